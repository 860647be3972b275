//! Parameters of WMS and WMTS: names in any case (OGC 06-042 section 6.8.1), unknown ones passed over,
//! since clients send their own.

use super::super::query::Query;
use crate::pictures::select::{CURRENT, Choice};
use crate::pictures::style::{self, Asked, Beyond};
use crate::problem::{Answer, Problem};

pub struct Kvp(Vec<(String, String)>);

/// What is said of a parameter that is not there.
pub const REQUIRED: &str = "it is required";
/// Words before a slash that other servers put before a style's name.
const KINDS: [&str; 5] = ["default-scalar", "default", "boxfill", "raster", "colored"];

impl Kvp {
    pub fn parse(text: Option<&str>) -> Answer<Self> {
        let query = Query::parse(text, &["*"])?;
        Ok(Self(query.starting("").map(|(k, v)| (k.to_ascii_uppercase(), v.to_owned())).collect()))
    }

    /// The first value of `key` that is not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// # Errors
    /// There is none.
    pub fn need(&self, key: &'static str) -> Answer<&str> {
        self.get(key).ok_or_else(|| Problem::parameter(key, "", REQUIRED))
    }

    pub fn is(&self, key: &str, value: &str) -> bool {
        self.get(key).is_some_and(|v| v.eq_ignore_ascii_case(value))
    }

    /// # Errors
    /// Neither TRUE nor FALSE.
    pub fn flag(&self, key: &'static str) -> Answer<bool> {
        match self.get(key).map(str::to_ascii_lowercase).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(Problem::parameter(key, other, "expected TRUE or FALSE")),
        }
    }

    /// # Errors
    /// Not a whole number.
    pub fn whole(&self, key: &'static str) -> Answer<Option<u32>> {
        let Some(text) = self.get(key) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Problem::parameter(key, text, "expected a whole number"))
    }

    /// TIME, ELEVATION and `DIM_…` (OGC 06-042 annex C) in the words of a position query.
    pub fn choice(&self) -> Choice {
        let time = self.get("TIME").filter(|t| !t.eq_ignore_ascii_case("default")).map(|t| {
            if t.eq_ignore_ascii_case(CURRENT) {
                return CURRENT.to_owned();
            }
            // A period's resolution says nothing where one step is drawn.
            t.splitn(3, '/').take(2).collect::<Vec<_>>().join("/")
        });
        let dims = self.0.iter().filter(|(_, v)| !v.is_empty());
        Choice {
            datetime: time,
            z: self.get("ELEVATION").filter(|t| !t.eq_ignore_ascii_case("default")).map(str::to_owned),
            dims: dims.filter_map(|(k, v)| Some((k.strip_prefix("DIM_")?.to_owned(), v.clone()))).collect(),
        }
    }

    /// ncWMS's parameters of a style; `name` is that of WMS or WMTS.
    ///
    /// # Errors
    /// A value that none of them has.
    pub fn style(&self, name: Option<&str>) -> Answer<Asked> {
        let name = name.filter(|n| !n.is_empty() && !n.eq_ignore_ascii_case("default"));
        let bare =
            name.map(|n| n.split_once('/').filter(|(kind, _)| KINDS.contains(kind)).map_or(n, |(_, n)| n));
        let clim = self.get("COLORSCALERANGE").filter(|t| !matches!(*t, "auto" | "default"));
        let bands = self.whole("NUMCOLORBANDS")?.map(|n| {
            let wrong = || Problem::parameter("NUMCOLORBANDS", &n.to_string(), "expected 1 to 250");
            u8::try_from(n).ok().filter(|n| (1..=250).contains(n)).ok_or_else(wrong)
        });
        let alpha = self.get("OPACITY").map(|t| {
            let percent = t.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p));
            let wrong = || Problem::parameter("OPACITY", t, "expected a percentage from 0 to 100");
            percent.map(|p| (p / 100.0 * 255.0).round() as u8).ok_or_else(wrong)
        });
        let beyond = |key: &str| self.get(key).map_or(Ok(Beyond::Extend), |t| Beyond::parse(key, t));
        Ok(Asked {
            // ncWMS names its default palette so.
            colormap: bare.filter(|n| *n != "default").map(str::to_owned),
            clim: clim.map(|t| style::clim("COLORSCALERANGE", t)).transpose()?,
            logarithmic: self.flag("LOGSCALE")?,
            bands: bands.transpose()?,
            below: beyond("BELOWMINCOLOR")?,
            above: beyond("ABOVEMAXCOLOR")?,
            alpha: alpha.transpose()?,
        })
    }
}

/// `collection/variable`.
///
/// # Errors
/// Not of this form.
pub fn layer<'a>(key: &str, name: &'a str) -> Answer<(&'a str, &'a str)> {
    name.split_once('/').filter(|(c, v)| !c.is_empty() && !v.is_empty()).ok_or_else(|| {
        let why =
            "there is no such layer; layers are called COLLECTION/VARIABLE, as the capabilities list them";
        Problem::parameter(key, name, why)
    })
}

/// Names of dimensions as the variable spells them: parameters know no case.
pub fn spelled(choice: &mut Choice, names: &[&str]) {
    for (name, _) in &mut choice.dims {
        if let Some(own) = names.iter().find(|n| n.eq_ignore_ascii_case(name)) {
            *name = (*own).to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_know_no_case_and_periods_lose_their_step() {
        let k =
            Kvp::parse(Some("time=2020-01-01/2020-02-01/P1D&Dim_Member=3&styles=raster/viridis&x=")).unwrap();
        let choice = k.choice();
        assert_eq!(choice.datetime.as_deref(), Some("2020-01-01/2020-02-01"));
        assert_eq!(choice.dims, [("MEMBER".to_owned(), "3".to_owned())]);
        assert_eq!(k.style(k.get("STYLES")).unwrap().colormap.as_deref(), Some("viridis"));
        assert_eq!(k.style(Some("default")).unwrap(), Asked::default());
        assert_eq!(k.style(Some("default-scalar/default")).unwrap().colormap, None);
        assert!(Kvp::parse(Some("NUMCOLORBANDS=300")).unwrap().style(None).is_err());
        assert!(layer("LAYERS", "a/b/c").unwrap() == ("a", "b/c") && layer("LAYERS", "a").is_err());
    }
}
