//! What a column holds, decided over all its values.

use super::Role;
use super::faults::shown;
use super::values::{Kind, Looks};

/// Of so many values of a column of measurements one may be something else.
const ODD_ONE_IN: u64 = 20;

/// What was seen in one column.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    perhaps_missing: u64,
    ints: u64,
    codes: u64,
    floats: u64,
    booleans: u64,
    times: u64,
    texts: u64,
    pub(crate) first_not_integer: Option<(u64, String)>,
    pub(crate) first_not_number: Option<(u64, String)>,
}

impl Evidence {
    pub(crate) fn see(&mut self, looks: Looks, line: u64, text: &str) {
        let count = match looks {
            Looks::Missing => return,
            Looks::PerhapsMissing => &mut self.perhaps_missing,
            Looks::Int => &mut self.ints,
            Looks::Code => &mut self.codes,
            Looks::Float => &mut self.floats,
            Looks::Boolean => &mut self.booleans,
            Looks::Time => &mut self.times,
            Looks::Text => &mut self.texts,
        };
        *count += 1;
        if !matches!(looks, Looks::Int | Looks::PerhapsMissing) && self.first_not_integer.is_none() {
            self.first_not_integer = Some((line, shown(text)));
        }
        let number = matches!(looks, Looks::Int | Looks::Code | Looks::Float | Looks::PerhapsMissing);
        if !number && self.first_not_number.is_none() {
            self.first_not_number = Some((line, shown(text)));
        }
    }

    /// Values that are there whatever the column holds.
    pub(crate) fn present(&self) -> u64 {
        self.ints + self.codes + self.floats + self.booleans + self.times + self.texts
    }

    /// The kind, by these rules, the first that holds:
    /// coordinates and times are what most of their values are, and the others are faults;
    /// a column of one kind is of that kind;
    /// fractions with few other values (1 in 20) are measurements, and so are times;
    /// everything else, whole numbers among words too (station numbers), is text and loses nothing.
    pub(crate) fn kind(&self, role: Option<Role>, part_of_time: bool) -> Kind {
        let present = self.present();
        let numbers = self.ints + self.codes + self.floats;
        let few = |n: u64| n * ODD_ONE_IN <= present;
        let whole = || {
            if self.floats == 0 && (self.codes == 0 || part_of_time) { Kind::Int64 } else { Kind::Float64 }
        };
        match role {
            _ if present == 0 && self.perhaps_missing == 0 => Kind::Empty,
            Some(Role::Latitude | Role::Longitude) if numbers * 2 > present => Kind::Float64,
            Some(Role::Time) if self.times * 2 > present => Kind::Timestamp,
            _ if present == 0 => Kind::Float64,
            _ if self.booleans == present => Kind::Boolean,
            _ if self.times == present => Kind::Timestamp,
            _ if numbers == present && self.codes > 0 && self.floats == 0 && !part_of_time => Kind::Text,
            _ if numbers == present => whole(),
            _ if self.floats > 0 && few(present - numbers) => Kind::Float64,
            _ if self.times > 0 && few(present - self.times) => Kind::Timestamp,
            _ if part_of_time && few(present - numbers) => whole(),
            _ => Kind::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::values::looks;

    fn kind(values: &[&str], role: Option<Role>) -> Kind {
        let mut e = Evidence::default();
        for v in values {
            e.see(looks(v, &[], false), 1, v);
        }
        e.kind(role, false)
    }

    #[test]
    fn a_column_is_what_all_its_values_are() {
        assert_eq!(kind(&["1", "2", ""], None), Kind::Int64);
        assert_eq!(kind(&["1", "2", "3.5"], None), Kind::Float64);
        assert_eq!(kind(&["1", "2", "YRSV2"], None), Kind::Text);
        assert_eq!(kind(&["01", "02"], None), Kind::Text);
        assert_eq!(kind(&["NaN", "1"], None), Kind::Int64);
        assert_eq!(kind(&["NaN", "NaN"], None), Kind::Float64);
        assert_eq!(kind(&["True", "False"], None), Kind::Boolean);
        assert_eq!(kind(&["", ""], None), Kind::Empty);
        assert_eq!(kind(&["2020-01-01", "2020-01-02T12:00Z"], None), Kind::Timestamp);
    }

    #[test]
    fn one_odd_value_in_twenty_does_not_make_measurements_words() {
        let mut values = vec!["1.5"; 19];
        values.push("not-a-number");
        assert_eq!(kind(&values, None), Kind::Float64);
        values.pop();
        values.pop();
        values.push("not-a-number");
        assert_eq!(kind(&values, None), Kind::Text);
        assert_eq!(kind(&["10", "ten", "11"], Some(Role::Latitude)), Kind::Float64);
    }
}
