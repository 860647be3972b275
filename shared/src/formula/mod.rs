//! Formulas over variables: band math, and masks by flag.
//!
//! `sqrt(u10^2 + v10^2)`, `where(flag(quality, 'cloud'), nan, sst)`, `(nir - red) / (nir + red)`. No value
//! anywhere makes no value; a truth is 1 or 0. Text is bounded before it is read, and so is what
//! it nests.

mod parse;

use std::collections::BTreeMap;

use crate::cube::Packing;

/// Elements that are worked on together: buffers stay in the cache.
const AT_ONCE: usize = 512;

/// A test of a variable's flags (CF section 3.5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flag {
    /// Bits that are looked at; all of them where none are named.
    pub mask: Option<i64>,
    pub value: f64,
}

impl Flag {
    fn test(&self, v: f64) -> f64 {
        if v.is_nan() {
            return f64::NAN;
        }
        let held = match self.mask {
            Some(mask) => (v as i64 & mask) == self.value as i64,
            None => v == self.value,
        };
        f64::from(u8::from(held))
    }
}

#[derive(Debug, Clone)]
enum Step {
    Number(f64),
    Variable(usize),
    /// Of a variable: which, and which test.
    Flag(usize, usize),
    Unary(fn(f64) -> f64),
    Binary(fn(f64, f64) -> f64),
    /// Condition, then, else.
    Where,
}

/// A formula, read.
#[derive(Debug, Clone)]
pub struct Formula {
    /// In the order of evaluation, on a stack.
    steps: Vec<Step>,
    names: Vec<String>,
    /// What a flag is asked of and which; and once bound, its test.
    flags: Vec<(usize, String, Option<Flag>)>,
    height: usize,
}

impl Formula {
    /// # Errors
    /// What is wrong, where, and what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut out = parse::steps(text)?;
        let mut stack = 0usize;
        for step in &out.steps {
            stack = match step {
                Step::Number(_) | Step::Variable(_) | Step::Flag(..) => stack + 1,
                Step::Unary(_) => stack,
                Step::Binary(_) => stack.saturating_sub(1),
                Step::Where => stack.saturating_sub(2),
            };
            out.height = out.height.max(stack);
        }
        Ok(out)
    }

    /// Variables that it reads, each once, in the order of [`Formula::evaluate`]'s inputs.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Finds what the flags mean that it asks for: by variable and meaning.
    ///
    /// # Errors
    /// What `find` says of a flag that there is not.
    pub fn bind(mut self, find: impl Fn(&str, &str) -> Result<Flag, String>) -> Result<Self, String> {
        for (variable, meaning, flag) in &mut self.flags {
            let name = self.names.get(*variable).map_or("", String::as_str);
            *flag = Some(find(name, meaning)?);
        }
        Ok(self)
    }

    /// The values of `out.len()` elements; a variable with fewer of them has none for the rest.
    pub fn evaluate(&self, inputs: &[&[f64]], out: &mut [f64]) {
        let mut stack = vec![[0.0; AT_ONCE]; self.height.max(1)];
        for (block, out) in out.chunks_mut(AT_ONCE).enumerate() {
            let from = block * AT_ONCE;
            let n = out.len();
            let input = |i: &usize, to: &mut [f64; AT_ONCE]| {
                let values = inputs.get(*i).and_then(|v| v.get(from..)).unwrap_or_default();
                let there = values.len().min(n);
                to[..there].copy_from_slice(&values[..there]);
                to[there..n].fill(f64::NAN);
            };
            let mut top = 0;
            for step in &self.steps {
                match step {
                    Step::Number(v) => {
                        stack[top][..n].fill(*v);
                        top += 1;
                    }
                    Step::Variable(i) => {
                        input(i, &mut stack[top]);
                        top += 1;
                    }
                    Step::Flag(i, f) => {
                        input(i, &mut stack[top]);
                        let flag = self.flags.get(*f).and_then(|f| f.2);
                        stack[top][..n].iter_mut().for_each(|v| *v = flag.map_or(f64::NAN, |f| f.test(*v)));
                        top += 1;
                    }
                    Step::Unary(f) => stack[top - 1][..n].iter_mut().for_each(|v| *v = f(*v)),
                    Step::Binary(f) => {
                        let (low, high) = stack.split_at_mut(top - 1);
                        low[top - 2][..n].iter_mut().zip(&high[0]).for_each(|(a, b)| *a = f(*a, *b));
                        top -= 1;
                    }
                    Step::Where => {
                        let (low, high) = stack.split_at_mut(top - 2);
                        let (then, otherwise) = (&high[0], &high[1]);
                        for (i, c) in low[top - 3][..n].iter_mut().enumerate() {
                            *c = match *c {
                                c if c.is_nan() => f64::NAN,
                                0.0 => otherwise[i],
                                _ => then[i],
                            };
                        }
                        top -= 2;
                    }
                }
            }
            out.copy_from_slice(&stack[0][..n]);
        }
    }
}

/// Meanings of a variable's flags (CF section 3.5), by its attributes.
///
/// # Errors
/// No such meaning, and which there are.
pub fn flag_of(
    attributes: &serde_json::Map<String, serde_json::Value>,
    packing: &Packing,
    variable: &str,
    meaning: &str,
) -> Result<Flag, String> {
    let numbers = |key: &str| -> Vec<f64> {
        match attributes.get(key) {
            Some(serde_json::Value::Array(list)) => {
                list.iter().filter_map(serde_json::Value::as_f64).collect()
            }
            Some(one) => one.as_f64().into_iter().collect(),
            None => Vec::new(),
        }
    };
    let read = |key: &str| numbers(key).into_iter().map(|v| packing.as_read(v)).collect::<Vec<_>>();
    let (values, masks) = (read("flag_values"), read("flag_masks"));
    let text = attributes.get("flag_meanings").and_then(serde_json::Value::as_str).unwrap_or_default();
    let all: BTreeMap<&str, usize> = text.split_whitespace().enumerate().map(|(i, m)| (m, i)).collect();
    let found = all.get(meaning).map(|i| (values.get(*i).copied(), masks.get(*i).copied()));
    match found {
        Some((Some(value), mask)) => Ok(Flag { mask: mask.map(|m| m as i64), value }),
        Some((None, Some(mask))) => Ok(Flag { mask: Some(mask as i64), value: mask }),
        _ if all.is_empty() => Err(format!("{variable} has no flag_meanings")),
        _ => {
            let there = text.split_whitespace().collect::<Vec<_>>().join(", ");
            Err(format!("{variable} has no flag {meaning:?}; there are {there}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::dtype::DataType;

    use super::*;

    fn of(text: &str, inputs: &[&[f64]]) -> Vec<f64> {
        let n = inputs.first().map_or(1, |v| v.len());
        let mut out = vec![0.0; n];
        Formula::parse(text).unwrap().evaluate(inputs, &mut out);
        out
    }

    fn one(text: &str) -> f64 {
        of(text, &[])[0]
    }

    #[test]
    fn operators_bind_as_they_do_on_paper() {
        for (text, value) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("-2^2", -4.0),
            ("2^3^2", 512.0),
            ("2**-1", 0.5),
            ("7 - 2 - 1", 4.0),
            ("8 / 4 / 2", 1.0),
            ("-7 % 3", 2.0),
            ("5 % -3", -1.0),
            ("1 < 2 and not 3 == 4", 1.0),
            ("0 || 0 && 1", 0.0),
            ("!0 != 0", 1.0),
            ("min(3, 1, 2) + max(1, 5)", 6.0),
            ("where(1 > 2, 10, 20)", 20.0),
            ("hypot(3, 4) * 1e-1", 0.5),
            ("round(2.5) + floor(-0.5)", 1.0),
            ("degrees(pi)", 180.0),
        ] {
            assert!((one(text) - value).abs() < 1e-12, "{text}: {}", one(text));
        }
    }

    #[test]
    fn no_value_makes_no_value_and_can_be_asked_for() {
        for text in
            ["nan + 1", "nan < 1", "not nan", "min(nan, 1)", "where(nan, 1, 2)", "nan^0", "hypot(nan, 1)"]
        {
            assert!(one(text).is_nan(), "{text}");
        }
        assert_eq!(one("where(missing(nan), 1, 2)"), 1.0);
        assert_eq!(of("where(a > 1, nan, a)", &[&[1.0, 2.0]])[0], 1.0);
    }

    #[test]
    fn variables_are_read_through_blocks_of_any_length() {
        let a: Vec<f64> = (0..1300).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|v| v * 2.0).collect();
        let f = Formula::parse("(b - a) / (b + a) + `a` - a").unwrap();
        assert_eq!(f.names(), ["b", "a"]);
        let got = of("(b - a) / (b + a)", &[&b, &a]);
        assert!(got[0].is_nan() && got[1..].iter().all(|v| (v - 1.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn flags_are_tested_by_value_by_mask_and_by_both() {
        let attributes = |text: &str| serde_json::from_str(text).unwrap();
        let both =
            attributes(r#"{"flag_meanings":"clear cloud ice","flag_masks":[3,3,4],"flag_values":[0,2,4]}"#);
        let masks = attributes(r#"{"flag_meanings":"a b","flag_masks":[1,6]}"#);
        let byte = |unsigned| Packing {
            dtype: DataType::Int8,
            unsigned,
            scale: 1.0,
            offset: 0.0,
            nodata: Vec::new(),
        };
        let plain = byte(false);
        assert_eq!(flag_of(&both, &plain, "q", "cloud").unwrap(), Flag { mask: Some(3), value: 2.0 });
        assert_eq!(flag_of(&masks, &plain, "q", "b").unwrap(), Flag { mask: Some(6), value: 6.0 });
        // The highest bit of a byte is written as -128 in NetCDF's classic model.
        let high = attributes(r#"{"flag_meanings":"low cloud","flag_masks":[1,-128]}"#);
        let cloud = flag_of(&high, &byte(true), "q", "cloud").unwrap();
        assert_eq!((cloud.test(129.0), cloud.test(1.0)), (1.0, 0.0));
        assert!(flag_of(&masks, &plain, "q", "c").unwrap_err().contains("there are a, b"));
        let f = Formula::parse("where(flag(q, 'cloud'), nan, v)")
            .unwrap()
            .bind(|v, m| flag_of(&both, &plain, v, m))
            .unwrap();
        assert_eq!(f.names(), ["q", "v"]);
        let mut out = [0.0; 3];
        f.evaluate(&[&[2.0, 6.0, 1.0], &[10.0, 20.0, 30.0]], &mut out);
        assert!(out[0].is_nan() && out[1].is_nan() && out[2] == 30.0);
    }

    #[test]
    fn what_is_no_formula_is_refused_with_its_column() {
        for (text, says) in [
            ("", "column 1"),
            ("1 +", "column 4"),
            ("a b", "column 3"),
            ("sqr(2)", "a function that there is"),
            ("sqrt(1, 2)", "takes one value"),
            ("where(1, 2)", "a condition and two values"),
            ("(1", "\")\""),
            ("flag(q)", "flag(VARIABLE"),
            ("1..2", "a number"),
            ("`a", "ends with"),
        ] {
            let why = Formula::parse(text).unwrap_err();
            assert!(why.contains(says), "{text}: {why}");
        }
        assert!(Formula::parse(&"(".repeat(4000)).unwrap_err().contains("deep"));
        assert!(Formula::parse(&"-".repeat(4000)).unwrap_err().contains("deep"));
        assert!(Formula::parse(&"1+".repeat(2000)).unwrap_err().contains("operations"));
        assert!(Formula::parse(&"2^".repeat(2000)).unwrap_err().contains("deep"));
    }
}
