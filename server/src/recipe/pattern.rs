//! File names with places in them: `sst.{time:%Y%m%d}.nc`, `{variable}_{member}.nc`.
//!
//! The same pattern reads what a name says and, for servers that list nothing,
//! writes the names that there must be between two instants.

use std::fmt::Write as _;

use graticule_shared::time::{Calendar, CfTime};

/// What a name says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captures {
    pub time: Option<CfTime>,
    pub variable: Option<String>,
    pub member: Option<String>,
    /// What `*` and `?` stood for.
    pub rest: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(char),
    /// `*`: any run of characters.
    Any,
    /// `?`: one character.
    One,
    /// A field of a time: one of `YmdHMSj`.
    Time(char),
    Variable,
    Member,
}

/// Fields of a time as far as a name gives them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Fields {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    hour: Option<u32>,
    minute: Option<u32>,
    second: Option<u32>,
    day_of_year: Option<u32>,
}

#[derive(Debug, Clone, Default)]
struct Partial {
    fields: Fields,
    variable: Option<String>,
    member: Option<String>,
    rest: String,
}

impl Partial {
    fn passing(&self, run: &[char]) -> Self {
        let mut next = self.clone();
        next.rest.extend(run);
        next.rest.push('/');
        next
    }
}

/// A pattern over names or relative paths; its parts match between slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    segments: Vec<Vec<Token>>,
}

/// More of them would let one name be tried in too many ways.
const MOST_WILD: usize = 8;

impl Pattern {
    /// # Errors
    /// A brace that does not close, a name or a time field that is not known.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        anyhow::ensure!(!text.is_empty(), "the pattern is empty");
        let mut segments = Vec::new();
        for segment in text.split('/') {
            anyhow::ensure!(
                !matches!(segment, "" | "." | ".."),
                "{text:?}: a part between slashes is {segment:?}; expected names below the root"
            );
            segments.push(tokens(text, segment)?);
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn has_time(&self) -> bool {
        self.segments.iter().flatten().any(|t| matches!(t, Token::Time(_)))
    }

    /// Files that belong together are told by their names.
    pub fn merges(&self) -> bool {
        self.segments.iter().flatten().any(|t| matches!(t, Token::Variable | Token::Member))
    }

    /// Folders below the root in which the names lie.
    pub fn depth(&self) -> usize {
        self.segments.len() - 1
    }

    /// The part of every match that is the same: what a listing may begin with.
    pub fn literal_prefix(&self) -> String {
        let mut out = String::new();
        for (i, segment) in self.segments.iter().enumerate() {
            if i > 0 {
                out.push('/');
            }
            for token in segment {
                let Token::Text(c) = token else { return out };
                out.push(*c);
            }
        }
        out
    }

    /// Whether folder number `depth` below the root may hold matches.
    pub fn admits_folder(&self, depth: usize, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.segments.get(depth).is_some_and(|s| walk(s, &name, &Partial::default()).is_some())
    }

    /// What a path relative to the root says; `None` where it does not match.
    pub fn read(&self, relative: &str) -> Option<Captures> {
        let parts: Vec<&str> = relative.split('/').collect();
        (parts.len() == self.segments.len()).then(|| self.read_last(&parts)).flatten()
    }

    /// What a file's name says, by the last part of the pattern.
    pub fn read_name(&self, name: &str) -> Option<Captures> {
        let segment = self.segments.last()?;
        let name: Vec<char> = name.chars().collect();
        walk(segment, &name, &Partial::default())?.captures()
    }

    /// What a file's path says: by all of the pattern where its folders fit, else by its name.
    pub fn read_path(&self, path: &str) -> Option<Captures> {
        let parts: Vec<&str> = path.split('/').collect();
        let below = parts.len().checked_sub(self.segments.len()).and_then(|from| parts.get(from..));
        below.and_then(|parts| self.read_last(parts)).or_else(|| self.read_name(parts.last()?))
    }

    fn read_last(&self, parts: &[&str]) -> Option<Captures> {
        let mut known = Partial::default();
        for (segment, part) in self.segments.iter().zip(parts) {
            let part: Vec<char> = part.chars().collect();
            known = walk(segment, &part, &known)?;
        }
        known.captures()
    }

    /// The name of an instant.
    ///
    /// # Errors
    /// A pattern that a time alone does not make a name of.
    pub fn name_at(&self, time: CfTime, variable: Option<&str>) -> anyhow::Result<String> {
        let mut out = String::new();
        for (i, segment) in self.segments.iter().enumerate() {
            if i > 0 {
                out.push('/');
            }
            for token in segment {
                match token {
                    Token::Text(c) => out.push(*c),
                    Token::Time(f) => {
                        let _ = match f {
                            'Y' => write!(out, "{:04}", time.year),
                            'm' => write!(out, "{:02}", time.month),
                            'd' => write!(out, "{:02}", time.day),
                            'H' => write!(out, "{:02}", time.hour()),
                            'M' => write!(out, "{:02}", time.minute()),
                            'S' => write!(out, "{:02}", time.second()),
                            _ => write!(out, "{:03}", day_of_year(time)),
                        };
                    }
                    Token::Variable if variable.is_some() => out.push_str(variable.unwrap_or_default()),
                    Token::Variable | Token::Member | Token::Any | Token::One => anyhow::bail!(
                        "{:?}: names cannot be made from times alone: it also has {}; list the URLs, or name a root that can be listed",
                        self.text,
                        match token {
                            Token::Variable => "{variable}, and cube.variables is not given",
                            Token::Member => "{member}",
                            _ => "* or ?",
                        }
                    ),
                }
            }
        }
        Ok(out)
    }
}

fn day_of_year(t: CfTime) -> i64 {
    Calendar::Standard.days(t.year, t.month, t.day) - Calendar::Standard.days(t.year, 1, 1) + 1
}

fn tokens(text: &str, segment: &str) -> anyhow::Result<Vec<Token>> {
    let mut out = Vec::new();
    let mut rest = segment;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => out.push(Token::Any),
            '?' => out.push(Token::One),
            '{' => {
                let Some((inside, after)) = rest.split_once('}') else {
                    anyhow::bail!("{text:?}: a brace is opened and not closed")
                };
                rest = after;
                match inside.split_once(':') {
                    Some(("time", format)) => time_tokens(text, format, &mut out)?,
                    None if inside == "time" => time_tokens(text, "%Y%m%d", &mut out)?,
                    None if inside == "variable" => out.push(Token::Variable),
                    None if inside == "member" => out.push(Token::Member),
                    _ => anyhow::bail!(
                        "{text:?}: {{{inside}}} is not known; known are {{time:%Y%m%d}}, {{variable}}, {{member}}, * and ?"
                    ),
                }
            }
            '}' => anyhow::bail!("{text:?}: a brace is closed and was not opened"),
            c => out.push(Token::Text(c)),
        }
    }
    let wild = out.iter().filter(|t| matches!(t, Token::Any | Token::Variable | Token::Member)).count();
    anyhow::ensure!(
        wild <= MOST_WILD,
        "{text:?}: {wild} open places between two slashes; at most {MOST_WILD}"
    );
    Ok(out)
}

fn time_tokens(text: &str, format: &str, out: &mut Vec<Token>) -> anyhow::Result<()> {
    let before = out.len();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => match chars.next() {
                Some('%') => out.push(Token::Text('%')),
                Some(f @ ('Y' | 'm' | 'd' | 'H' | 'M' | 'S' | 'j')) => out.push(Token::Time(f)),
                other => anyhow::bail!(
                    "{text:?}: time field %{} is not known; known are %Y %m %d %H %M %S %j",
                    other.map(String::from).unwrap_or_default()
                ),
            },
            c => out.push(Token::Text(c)),
        }
    }
    anyhow::ensure!(
        out[before..].iter().any(|t| matches!(t, Token::Time(_))),
        "{text:?}: {{time:{format}}} has no field such as %Y"
    );
    Ok(())
}

impl Partial {
    fn captures(self) -> Option<Captures> {
        let f = self.fields;
        let time = match f.year {
            None => None,
            Some(year) => {
                let year = i64::from(year);
                let (month, day) = match f.day_of_year {
                    Some(n) => of_day(year, n)?,
                    None => (f.month.unwrap_or(1), f.day.unwrap_or(1)),
                };
                let text = format!(
                    "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
                    f.hour.unwrap_or(0),
                    f.minute.unwrap_or(0),
                    f.second.unwrap_or(0)
                );
                Some(CfTime::parse(&text, Calendar::Standard).ok()?)
            }
        };
        Some(Captures { time, variable: self.variable, member: self.member, rest: self.rest })
    }
}

fn of_day(year: i64, n: u32) -> Option<(u32, u32)> {
    let mut left = n.checked_sub(1)?;
    for month in 1..=12u8 {
        let days = u32::from(Calendar::Standard.days_in_month(year, month));
        if left < days {
            return Some((u32::from(month), left + 1));
        }
        left -= days;
    }
    None
}

/// What is known after the tokens have matched all of `name`; the shortest runs are tried first.
fn walk(tokens: &[Token], name: &[char], known: &Partial) -> Option<Partial> {
    let Some((token, rest)) = tokens.split_first() else {
        return name.is_empty().then(|| known.clone());
    };
    match token {
        Token::Text(c) => (name.first() == Some(c)).then(|| walk(rest, &name[1..], known)).flatten(),
        Token::One => {
            let (one, after) = name.split_at_checked(1)?;
            walk(rest, after, &known.passing(one))
        }
        Token::Any => (0..=name.len()).find_map(|n| walk(rest, &name[n..], &known.passing(&name[..n]))),
        Token::Time(f) => {
            let width = match f {
                'Y' => 4,
                'j' => 3,
                _ => 2,
            };
            let digits = name.get(..width).filter(|d| d.iter().all(char::is_ascii_digit))?;
            let n = digits.iter().fold(0, |n, d| n * 10 + d.to_digit(10).unwrap_or(0));
            let mut next = known.clone();
            let slot = match f {
                'Y' => &mut next.fields.year,
                'm' => &mut next.fields.month,
                'd' => &mut next.fields.day,
                'H' => &mut next.fields.hour,
                'M' => &mut next.fields.minute,
                'S' => &mut next.fields.second,
                _ => &mut next.fields.day_of_year,
            };
            // The year in the folder and the year in the name must be one.
            (*slot.get_or_insert(n) == n).then(|| walk(rest, &name[width..], &next)).flatten()
        }
        Token::Variable | Token::Member => {
            let known_here = if *token == Token::Variable { &known.variable } else { &known.member };
            if let Some(already) = known_here {
                let already: Vec<char> = already.chars().collect();
                return name.strip_prefix(already.as_slice()).and_then(|n| walk(rest, n, known));
            }
            (1..=name.len()).find_map(|n| {
                let mut next = known.clone();
                let text = Some(name[..n].iter().collect());
                if *token == Token::Variable {
                    next.variable = text
                } else {
                    next.member = text
                }
                walk(rest, &name[n..], &next)
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pattern: &str, name: &str) -> Option<Captures> {
        Pattern::parse(pattern).unwrap().read(name)
    }

    #[test]
    fn a_name_says_its_time_variable_and_member() {
        let c = read("oisst-avhrr-v02r01.{time:%Y%m%d}.nc", "oisst-avhrr-v02r01.20200229.nc").unwrap();
        assert_eq!(c.time.unwrap().to_string(), "2020-02-29T00:00:00");
        let c = read("{variable}_Amon_*_{member}_gn.nc", "tas_Amon_UKESM1_r1i1p1f2_gn.nc").unwrap();
        assert_eq!((c.variable.as_deref(), c.member.as_deref()), (Some("tas"), Some("r1i1p1f2")));
        let c = read("{time:%Y}/{time:%j}/x_{time:%Y%j%H}.h5", "2020/061/x_202006106.h5").unwrap();
        assert_eq!(c.time.unwrap().to_string(), "2020-03-01T06:00:00");
    }

    #[test]
    fn what_does_not_match_says_nothing() {
        assert_eq!(read("a.{time:%Y%m%d}.nc", "a.20201332.nc"), None);
        assert_eq!(read("a.{time:%Y%m%d}.nc", "a.2020130.nc"), None);
        assert_eq!(read("{time:%Y}/{time:%Y%m}.nc", "2019/202001.nc"), None);
        assert_eq!(read("{variable}.nc", "sub/tas.nc"), None);
        assert_eq!(read("{variable}/{variable}_x.nc", "tas/pr_x.nc"), None);
    }

    #[test]
    fn names_are_made_from_times_and_only_where_times_suffice() {
        let t = CfTime::parse("2020-03-01T06:00:00", Calendar::Standard).unwrap();
        let p = Pattern::parse("{time:%Y}/f_{time:%Y%m%dT%H%M}_{time:%j}.nc").unwrap();
        assert_eq!(p.name_at(t, None).unwrap(), "2020/f_20200301T0600_061.nc");
        assert_eq!(p.literal_prefix(), "");
        let p = Pattern::parse("days/{variable}_*.nc").unwrap();
        assert!(p.name_at(t, Some("sst")).unwrap_err().to_string().contains("* or ?"));
        assert_eq!(p.literal_prefix(), "days/");
    }

    #[test]
    fn a_pattern_that_means_nothing_is_refused_with_what_is_known() {
        for (bad, why) in [
            ("{tim:%Y}.nc", "{tim:%Y} is not known"),
            ("{time:%y}.nc", "%y is not known"),
            ("{time:Y}.nc", "no field"),
            ("a{b.nc", "not closed"),
            ("../a.nc", "between slashes"),
        ] {
            let e = Pattern::parse(bad).unwrap_err().to_string();
            assert!(e.contains(why), "{bad}: {e}");
        }
    }
}
