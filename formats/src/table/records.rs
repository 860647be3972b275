//! Records: a line, or several where a quoted field goes on (RFC 4180), cut into fields.

use std::collections::VecDeque;

use super::dialect::Separator;
use super::faults::{Fault, shown};
use super::lines::Lines;
use crate::FormatError;

/// A quoted field may go on over this many lines and bytes; beyond, its quote is a mistake.
const MAX_LINES: usize = 64;
const MAX_BYTES: usize = 256 << 10;

/// The fields of one record; reused from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    text: String,
    /// Begin and end of each field in `text`.
    spans: Vec<(usize, usize)>,
}

impl Fields {
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Without blanks around it; empty where there is no such field.
    pub(crate) fn get(&self, index: usize) -> &str {
        self.spans.get(index).and_then(|(from, to)| self.text.get(*from..*to)).unwrap_or_default().trim()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// Cuts `line`, or says which quote is wrong.
    pub(crate) fn split(&mut self, line: &str, separator: Separator) -> Result<(), Quote> {
        self.text.clear();
        self.spans.clear();
        let separator = match separator {
            Separator::Blanks => {
                for word in line.split_ascii_whitespace() {
                    self.push(word);
                }
                return Ok(());
            }
            Separator::Byte(b) => char::from(b),
        };
        let mut rest = line;
        loop {
            let trimmed = rest.trim_start_matches(' ');
            let more = if let Some(quoted) = trimmed.strip_prefix('"') {
                let from = self.text.len();
                let mut left = quoted;
                let after = loop {
                    let Some(at) = left.find('"') else { return Err(Quote::Open) };
                    self.text.push_str(&left[..at]);
                    left = &left[at + 1..];
                    match left.strip_prefix('"') {
                        Some(escaped) => {
                            self.text.push('"');
                            left = escaped;
                        }
                        None => break left,
                    }
                };
                self.spans.push((from, self.text.len()));
                let after = after.trim_start_matches(' ');
                match after.strip_prefix(separator) {
                    Some(next) => Some(next),
                    None if after.is_empty() => None,
                    None => return Err(Quote::Inside),
                }
            } else {
                let (field, next) = match rest.split_once(separator) {
                    Some((field, next)) => (field, Some(next)),
                    None => (rest, None),
                };
                self.push(field);
                next
            };
            match more {
                Some(next) => rest = next,
                None => return Ok(()),
            }
        }
    }

    fn push(&mut self, field: &str) {
        let from = self.text.len();
        self.text.push_str(field);
        self.spans.push((from, self.text.len()));
    }
}

/// What is wrong with a quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quote {
    /// It is not closed in this text.
    Open,
    /// More than a separator follows where it closes.
    Inside,
}

/// What the reading of one record gave.
pub(crate) enum Record {
    /// The fields hold it; its first line.
    Fields(u64),
    Fault(Fault),
}

/// All records after the header.
pub(crate) struct Records<'a> {
    lines: Lines<'a>,
    separator: Separator,
    comment: bool,
    /// Lines that were read ahead for a quote that did not close.
    ahead: VecDeque<(u64, Vec<u8>)>,
    line: Vec<u8>,
    /// Lines that were not UTF-8.
    pub(crate) latin1: u64,
}

impl<'a> Records<'a> {
    /// Begins after line `skip`.
    pub(crate) fn new(
        mut lines: Lines<'a>,
        separator: Separator,
        comment: bool,
        skip: u64,
    ) -> Result<Self, FormatError> {
        let mut line = Vec::new();
        for _ in 0..skip {
            lines.next(&mut line)?;
        }
        Ok(Self { lines, separator, comment, ahead: VecDeque::new(), line, latin1: 0 })
    }

    fn next_line(&mut self) -> Result<Option<u64>, FormatError> {
        if let Some((number, line)) = self.ahead.pop_front() {
            self.line = line;
            return Ok(Some(number));
        }
        self.lines.next(&mut self.line)
    }

    /// # Errors
    /// The file cannot be read, or a line is too long.
    pub(crate) fn next(&mut self, fields: &mut Fields) -> Result<Option<Record>, FormatError> {
        loop {
            let Some(number) = self.next_line()? else { return Ok(None) };
            let blank = self.line.iter().all(u8::is_ascii_whitespace);
            if blank || (self.comment && self.line.first() == Some(&b'#')) {
                continue;
            }
            let (text, latin1) = decode(&self.line);
            self.latin1 += u64::from(latin1);
            if let Some(at) = text.chars().position(|c| c.is_control() && c != '\t') {
                return Ok(Some(Record::Fault(Fault {
                    line: number,
                    column: None,
                    expected: "text".to_owned(),
                    found: format!("a control character at character {} of {}", at + 1, shown(&text)),
                })));
            }
            return Ok(Some(match fields.split(&text, self.separator) {
                Ok(()) => Record::Fields(number),
                Err(Quote::Open) => {
                    let text = text.into_owned();
                    self.go_on(number, text, fields)?
                }
                Err(Quote::Inside) => Record::Fault(quote(number, &text)),
            }));
        }
    }

    /// Joins lines until the quote closes; where it does not, only its own line is at fault.
    fn go_on(&mut self, number: u64, first: String, fields: &mut Fields) -> Result<Record, FormatError> {
        let mut joined = first.clone();
        let mut read = Vec::new();
        while read.len() < MAX_LINES && joined.len() < MAX_BYTES {
            let Some(next) = self.next_line()? else { break };
            let line = std::mem::take(&mut self.line);
            joined.push('\n');
            joined.push_str(&decode(&line).0);
            let has_quote = line.contains(&b'"');
            read.push((next, line));
            if !has_quote {
                continue;
            }
            match fields.split(&joined, self.separator) {
                Ok(()) => return Ok(Record::Fields(number)),
                Err(Quote::Open) => {}
                Err(Quote::Inside) => break,
            }
        }
        for line in read.into_iter().rev() {
            self.ahead.push_front(line);
        }
        Ok(Record::Fault(quote(number, &first)))
    }
}

fn quote(line: u64, text: &str) -> Fault {
    Fault {
        line,
        column: None,
        expected: "a quoted field that closes before a separator or the end of the line".to_owned(),
        found: shown(text),
    }
}

/// UTF-8, or else ISO 8859-1, in which every byte is a character.
pub(crate) fn decode(line: &[u8]) -> (std::borrow::Cow<'_, str>, bool) {
    match std::str::from_utf8(line) {
        Ok(text) => (text.into(), false),
        Err(_) => (line.iter().map(|b| char::from(*b)).collect::<String>().into(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdf5_reader::BytesStorage;

    const COMMA: Separator = Separator::Byte(b',');

    fn split(line: &str, separator: Separator) -> Result<Vec<String>, Quote> {
        let mut fields = Fields::default();
        fields.split(line, separator)?;
        Ok(fields.iter().map(str::to_owned).collect())
    }

    #[test]
    fn fields_are_cut_as_rfc_4180_says() {
        assert_eq!(split("a, b ,", COMMA).unwrap(), ["a", "b", ""]);
        assert_eq!(split(r#""a, ""b""",c"#, COMMA).unwrap(), [r#"a, "b""#, "c"]);
        assert_eq!(split(r#"5" pipe,c"#, COMMA).unwrap(), [r#"5" pipe"#, "c"]);
        assert_eq!(split("\"a\nb\" , c", COMMA).unwrap(), ["a\nb", "c"]);
        assert_eq!(split("\"a", COMMA), Err(Quote::Open));
        assert_eq!(split("\"a\"b", COMMA), Err(Quote::Inside));
        assert_eq!(split(" 1  2\t3 ", Separator::Blanks).unwrap(), ["1", "2", "3"]);
    }

    #[test]
    fn a_quote_that_never_closes_costs_its_own_line_only() {
        let text = "x,1\n\"y,2\nz,3\nq,=F(\"x\")\n\"two\nlines\",5\n";
        let storage = BytesStorage::new(text.as_bytes().to_vec());
        let mut records = Records::new(Lines::new("t", &storage, b'\n'), COMMA, false, 0).unwrap();
        let (mut fields, mut seen) = (Fields::default(), Vec::new());
        while let Some(record) = records.next(&mut fields).unwrap() {
            seen.push(match record {
                Record::Fields(line) => format!("{line}:{}", fields.iter().collect::<Vec<_>>().join("|")),
                Record::Fault(f) => format!("fault {}", f.line),
            });
        }
        assert_eq!(seen, ["1:x|1", "fault 2", "3:z|3", "4:q|=F(\"x\")", "5:two\nlines|5"]);
    }
}
