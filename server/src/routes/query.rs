//! Query parameters, parsed once and strictly: a misspelt one that is silently
//! ignored gives a wrong answer that looks right, and so does one of two values.

use std::collections::{HashMap, HashSet};

use axum::http::{HeaderMap, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::respond::{GEOJSON, JSON};
use super::stac::path_segment;
use crate::problem::{Kind, Problem};

/// Parameters that are lists.
const LISTS: [&str; 4] = ["parameter-name", "collections", "ids", "fields"];

pub struct Query(Vec<(String, String)>);

/// A name that is none of `known`: which are, and which is nearest.
pub fn unknown(key: &str, value: &str, what: &str, known: &[&str]) -> Problem {
    let likeness = |k: &str| strsim::jaro_winkler(k, key);
    let near = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let near =
        near.filter(|k| likeness(k) > 0.85).map_or(String::new(), |k| format!("; did you mean {k:?}?"));
    Problem::parameter(key, value, format!("no such {what} here; known are {}{near}", known.join(", ")))
}

impl Query {
    /// # Errors
    /// A parameter that is not in `known`, and names the nearest that is; one that is given twice.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let decode = |s: &str| percent_decode_str(&s.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs: Vec<(String, String)> = text
            .unwrap_or_default()
            .split('&')
            .filter(|p| !p.is_empty())
            .map(|p| p.split_once('=').unwrap_or((p, "")))
            .map(|(k, v)| (decode(k), decode(v)))
            .collect();
        Self::of(pairs, known)
    }

    /// Of a document without parameters, but for the form that it has.
    ///
    /// # Errors
    /// As [`Query::parse`] and [`Query::form`].
    pub fn of_document(text: Option<&str>, media: &str) -> Result<(), Problem> {
        Self::parse(text, &["f"])?.form(media)
    }

    /// `f` of a document that has one form, of this media type.
    ///
    /// # Errors
    /// Another is asked for.
    pub fn form(&self, media: &str) -> Result<(), Problem> {
        let Some(f) = self.get("f") else { return Ok(()) };
        let media = media.split(';').next().unwrap_or_default();
        let known = match media {
            GEOJSON => vec!["json", "geojson", JSON, GEOJSON],
            JSON => vec!["json", JSON],
            m if m.ends_with("json") => vec!["json", JSON, m],
            m => vec![m.rsplit('/').next().unwrap_or_default(), m],
        };
        // The plus of a media type that was not encoded has become a space.
        let asked = f.replace(' ', "+");
        if known.iter().any(|k| k.eq_ignore_ascii_case(&asked)) {
            return Ok(());
        }
        Err(Problem::parameter(
            "f",
            f,
            format!("expected {}, which is all that this is written as", known.join(" or ")),
        ))
    }

    /// From pairs that are decoded already.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn of(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Self, Problem> {
        // Whoever takes whatever there is (WMS) has clients that repeat what an address has already.
        let once = !known.contains(&"*");
        let mut out: Vec<(String, String)> = Vec::with_capacity(pairs.len());
        let mut places: HashMap<String, usize> = HashMap::new();
        for (mut key, value) in pairs {
            // OWSLib sends the name that collections list them by.
            if key == "parameter_names" && known.contains(&"parameter-name") && !known.contains(&&*key) {
                "parameter-name".clone_into(&mut key);
            }
            let fits =
                known.iter().any(|k| *k == key || k.strip_suffix('*').is_some_and(|p| key.starts_with(p)));
            if !fits {
                return Err(unknown(&key, &value, "parameter", known));
            }
            let known = places.get(&key).filter(|_| once).and_then(|i| out.get_mut(*i));
            match known {
                None => {
                    places.insert(key.clone(), out.len());
                    out.push((key, value));
                }
                // Lists are given by commas, or one by one as many HTTP clients do.
                Some((_, list)) if LISTS.contains(&&*key) => {
                    list.push(',');
                    list.push_str(&value);
                }
                Some((_, first)) => {
                    let why = format!(
                        "it is given twice, before as {:?}; expected it once",
                        crate::search::cut(first)
                    );
                    return Err(Problem::parameter(&key, &value, why));
                }
            }
        }
        Ok(Self(out))
    }

    /// From the body of a POST: a JSON object with the same members, or a form.
    ///
    /// # Errors
    /// Another type of body, one that is not well formed, and as [`Query::parse`].
    pub fn of_body(headers: &HeaderMap, body: &[u8], known: &[&str]) -> Result<Self, Problem> {
        let given = headers.get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or(JSON);
        let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind == "application/x-www-form-urlencoded" {
            return Self::parse(Some(&String::from_utf8_lossy(body)), known);
        }
        if kind != JSON && !kind.ends_with("+json") {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                format!("Content-Type {given:?}; expected {JSON} or application/x-www-form-urlencoded"),
            ));
        }
        let asked: Value = serde_json::from_slice(body)
            .map_err(|e| Problem::bad_request(format!("the body is no JSON: {e}")))?;
        let Value::Object(asked) = asked else {
            return Err(Problem::bad_request(
                "expected a JSON object with the query's parameters as members",
            ));
        };
        let pairs = asked.iter().filter_map(|(k, v)| Some((k.clone(), super::edr::as_text(v)?))).collect();
        Self::of(pairs, known)
    }

    /// Together with what another place says.
    ///
    /// # Errors
    /// What both say.
    pub fn and(mut self, other: Self) -> Result<Self, Problem> {
        let own: HashSet<&String> = self.0.iter().map(|(k, _)| k).collect();
        if let Some((key, value)) = other.0.iter().find(|(k, _)| own.contains(k)) {
            return Err(Problem::parameter(
                key,
                value,
                "it is in the address and in the body; expected it once",
            ));
        }
        self.0.extend(other.0);
        Ok(self)
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// A value of `key`, which may be empty: of what an empty one cannot mean.
    pub fn given(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// The first value of `key` that is not empty.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, v)| k == key && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// `href` with these parameters, and `token` in the place of the one that was given.
    pub fn link(&self, href: &str, token: Option<&str>) -> String {
        let pairs = self.0.iter().filter(|(k, _)| token.is_none() || k != "token");
        let pairs = pairs.map(|(k, v)| (k.as_str(), v.as_str())).chain(token.map(|t| ("token", t)));
        let mut out = href.to_owned();
        for (i, (k, v)) in pairs.enumerate() {
            out += if i == 0 { "?" } else { "&" };
            out += &format!("{}={}", path_segment(k), path_segment(v));
        }
        out
    }

    /// All but `key`.
    pub fn without(&self, key: &str) -> Self {
        Self(self.0.iter().filter(|(k, _)| k != key).cloned().collect())
    }

    /// Parameters `prefix…`, without the prefix.
    pub fn starting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().filter_map(move |(k, v)| Some((k.strip_prefix(prefix)?, v.as_str())))
    }

    /// A whole number in a range; above it, its upper end.
    ///
    /// # Errors
    /// Not a number, or below the range.
    pub fn limit(&self, default: u32, most: u32) -> Result<u32, Problem> {
        let Some(text) = self.given("limit") else { return Ok(default) };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        // More digits than fit are a number all the same.
        match text.parse::<u32>() {
            Ok(n) if n >= 1 => Ok(n.min(most)),
            Err(_) if digits => Ok(most),
            _ => Err(Problem::parameter("limit", text, format!("expected a whole number from 1 to {most}"))),
        }
    }

    /// `bbox=west,south,east,north` (six numbers have heights, which are passed over).
    ///
    /// # Errors
    /// Not four or six finite numbers, or upside down.
    pub fn bbox(&self) -> Result<Option<[f64; 4]>, Problem> {
        let Some(text) = self.given("bbox") else { return Ok(None) };
        let wrong = || {
            Problem::parameter(
                "bbox",
                text,
                "expected west,south,east,north in degrees, such as -30,-20,30,20, with south at most north",
            )
        };
        let n: Option<Vec<f64>> =
            text.split(',').map(|s| s.trim().parse().ok().filter(|v: &f64| v.is_finite())).collect();
        let b = match n.as_deref() {
            Some(&[w, s, e, n]) | Some(&[w, s, _, e, n, _]) => [w, s, e, n],
            _ => return Err(wrong()),
        };
        if b[1] > b[3] { Err(wrong()) } else { Ok(Some(b)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_parameter_is_named_with_its_neighbour() {
        let e = Query::parse(Some("paramter-name=sst"), &["coords", "parameter-name"]).err().unwrap();
        assert!(e.detail.contains("did you mean \"parameter-name\""), "{}", e.detail);
        assert!(Query::parse(Some("dim:month=1"), &["coords", "dim:*"]).is_ok());
    }

    #[test]
    fn a_parameter_that_is_given_twice_is_refused_whatever_its_values() {
        let known = ["f", "parameter-name", "dim:*"];
        for text in ["f=a&f=b", "f=a&f=a", "f=&f=a", "dim:month=1&dim:month=2", "f=a&f=b&parameter-name=c"] {
            let e = Query::parse(Some(text), &known).err().unwrap();
            assert!(e.detail.contains("given twice"), "{text}: {}", e.detail);
        }
        let e = Query::parse(Some("f=a&dim:month=1&f=b"), &known).err().unwrap().detail;
        assert!(e.contains("f=\"b\"") && e.contains("\"a\""), "{e}");
        assert!(Query::parse(Some("dim:month=1&dim:day=2"), &known).is_ok());
        // Lists are one, in whatever parts they come.
        let q = Query::parse(Some("parameter-name=a&parameter_names=b&parameter-name=c"), &known).unwrap();
        assert_eq!((q.get("parameter-name"), q.pairs().count()), (Some("a,b,c"), 1));
        assert_eq!(Query::parse(Some("a=1&a=2"), &["*"]).unwrap().get("a"), Some("1"));
    }

    #[test]
    fn a_document_has_the_form_that_it_has_and_no_other() {
        let of = |text: &str, media: &str| Query::of_document(Some(text), media);
        for (text, media) in [
            ("", JSON),
            ("f=", JSON),
            ("f=json", JSON),
            ("f=application/json", JSON),
            ("f=JSON", GEOJSON),
            ("f=geojson", GEOJSON),
            ("f=application/geo+json", GEOJSON),
            ("f=application%2Fgeo%2Bjson", GEOJSON),
            ("f=application/schema%2Bjson", "application/schema+json"),
            ("f=application/vnd.oai.openapi%2Bjson", "application/vnd.oai.openapi+json;version=3.1"),
            ("f=html", "text/html; charset=utf-8"),
        ] {
            assert!(of(text, media).is_ok(), "{text} {media}");
        }
        let e = of("f=html", JSON).unwrap_err().detail;
        assert!(e.contains("f=\"html\"") && e.contains("expected json or application/json"), "{e}");
        assert!(
            of("f=geojson", JSON).is_err()
                && of("f=json", "text/html").is_err()
                && of("g=json", JSON).is_err()
        );
    }

    #[test]
    fn parameter_names_are_the_parameters_of_a_query() {
        let text = Some("parameter_names=sst,ice");
        let q = Query::parse(text, &["coords", "parameter-name"]).unwrap();
        assert_eq!(q.get("parameter-name"), Some("sst,ice"));
        assert_eq!(q.get("parameter_names"), None);
        assert!(Query::parse(text, &["coords"]).is_err());
        // A dimension of that name is itself.
        let q = Query::parse(text, &["parameter-name", "parameter_names"]).unwrap();
        assert_eq!(q.get("parameter_names"), Some("sst,ice"));
    }

    #[test]
    fn values_are_decoded() {
        let q = Query::parse(Some("coords=POINT(1%202)&f=CSV"), &["coords", "f"]).unwrap();
        assert_eq!(q.get("coords"), Some("POINT(1 2)"));
        let q = Query::parse(Some("bbox=1,2,3,4&limit=99999"), &["bbox", "limit"]).unwrap();
        assert_eq!(q.bbox().unwrap(), Some([1.0, 2.0, 3.0, 4.0]));
        assert_eq!(q.limit(10, 100).unwrap(), 100);
    }
}
