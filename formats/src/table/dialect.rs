//! How a text file lays out its table: separator, header lines, what stands for nothing.

use hdf5_reader::Storage;

use super::columns::is_unit;
use super::lines::Lines;
use super::records::{Fields, decode};
use super::values::{Looks, looks};
use crate::FormatError;
use crate::sniff;

/// As much of the beginning as decides.
const HEAD_LINES: usize = 200;
const HEAD_BYTES: usize = 128 << 10;
/// Wider tables are refused.
const MAX_COLUMNS: usize = 1500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    Byte(u8),
    /// Any run of blanks and tabs; no quotes.
    Blanks,
}

#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    pub(crate) format: &'static str,
    pub(crate) separator: Separator,
    /// Lines beginning with `#` are no rows.
    pub(crate) comment: bool,
    /// Fields of a row, and their names.
    pub(crate) names: Vec<String>,
    /// A second header line, field by field; or empty.
    pub(crate) seconds: Vec<String>,
    pub(crate) seconds_are_units: bool,
    /// Rows come after this line.
    pub(crate) header_ends: u64,
    /// What stands for nothing in any column.
    pub(crate) missing: &'static [&'static str],
    pub(crate) decimal_comma: bool,
    pub(crate) end_byte: u8,
    /// A column of `YYYYMMDDHH`.
    pub(crate) stamp: Option<usize>,
    pub(crate) notes: Vec<String>,
}

/// Fields of the ATCF storm list, which has no header (NHC, "ATCF storm list format").
const ATCF: [&str; 21] = [
    "STORM NAME",
    "RE",
    "X",
    "R2",
    "R3",
    "R4",
    "R5",
    "CY",
    "YYYY",
    "TY",
    "I",
    "BEGIN",
    "END",
    "SIZE",
    "GENESIS_NUM",
    "PAR1",
    "PAR2",
    "PRIORITY",
    "STORM_STATE",
    "WT_NUMBER",
    "STORMID",
];

/// True where the file begins as a table in text may: what is known to be something else is not.
pub(crate) fn is_text(storage: &dyn Storage) -> bool {
    let Ok(head) = storage.read_range(0, storage.len().min(4096) as usize) else { return false };
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    let control = |b: &u8| *b < 9 || (14..32).contains(b) || *b == 127;
    !head.is_empty()
        && !head.iter().any(control)
        && !head.iter().all(u8::is_ascii_whitespace)
        && !sniff::is_known_text(&head)
}

struct Head {
    /// Without the `#`.
    comments: Vec<String>,
    content: Vec<(u64, String)>,
    end_byte: u8,
}

fn head(file: &str, storage: &dyn Storage) -> Result<Head, FormatError> {
    let begin = storage
        .read_range(0, storage.len().min(HEAD_BYTES as u64) as usize)
        .map_err(|e| FormatError::new(file, format!("the file cannot be read: {e}")).at_byte(0))?;
    if begin.starts_with(b"\xff\xfe") || begin.starts_with(b"\xfe\xff") {
        return Err(FormatError::new(
            file,
            "this is text in UTF-16; expected UTF-8 or ISO 8859-1: save it as UTF-8",
        )
        .at_byte(0));
    }
    let end_byte = if begin.contains(&b'\n') { b'\n' } else { b'\r' };
    let mut lines = Lines::new(file, storage, end_byte);
    let (mut line, mut bytes) = (Vec::new(), 0);
    let mut out = Head { comments: Vec::new(), content: Vec::new(), end_byte };
    while out.content.len() < HEAD_LINES && (bytes < HEAD_BYTES || out.content.len() < 2) {
        let Some(number) = lines.next(&mut line)? else { break };
        bytes += line.len();
        let (text, _) = decode(&line);
        let text = text.trim_start_matches('\u{feff}').trim_end();
        match text.trim_start().strip_prefix('#') {
            Some(comment) if out.content.is_empty() => out.comments.push(comment.to_owned()),
            Some(_) => {}
            None if text.trim().is_empty() => {}
            None => out.content.push((number, text.to_owned())),
        }
    }
    Ok(out)
}

impl Dialect {
    /// # Errors
    /// The file cannot be read, or nothing in its beginning is a table.
    pub(crate) fn recognise(file: &str, storage: &dyn Storage) -> Result<Self, FormatError> {
        let head = head(file, storage)?;
        let first = head.content.first().map(|(_, l)| l.as_str()).unwrap_or_default();
        let none = |why: &str| {
            let begin: String = first.chars().take(60).collect();
            FormatError::new(
                file,
                format!(
                    "this is text beginning {begin:?}, and no table is recognised in it: {why}; expected rows of the same number of fields, separated by commas, semicolons, tabs, bars or blanks"
                ),
            )
            .at_byte(0)
        };
        if head.content.is_empty() {
            return Err(none("it has no row"));
        }
        let (separator, width) =
            separator(&head).ok_or_else(|| none("its lines do not agree in any separator"))?;
        if width > MAX_COLUMNS {
            return Err(none(&format!("it has {width} columns, more than the {MAX_COLUMNS} that are read")));
        }
        let cut = |line: &str| -> Option<Vec<String>> {
            let mut fields = Fields::default();
            fields.split(line, separator).ok()?;
            Some(fields.iter().map(str::to_owned).collect())
        };
        let mut dialect = Self {
            format: match separator {
                Separator::Byte(b'\t') => "TSV",
                Separator::Byte(_) => "CSV",
                Separator::Blanks => "text in columns",
            },
            separator,
            comment: !head.comments.is_empty(),
            names: Vec::new(),
            seconds: Vec::new(),
            seconds_are_units: false,
            header_ends: head.content[0].0 - 1,
            missing: &[],
            decimal_comma: false,
            end_byte: head.end_byte,
            stamp: None,
            notes: Vec::new(),
        };
        let rule = |fields: &[String]| fields.iter().all(|f| f.chars().all(|c| matches!(c, '-' | '=' | '_')));
        let mut commented =
            head.comments.iter().filter_map(|l| cut(l)).filter(|f| f.len() == width && !rule(f));
        if let Some(names) = commented.next() {
            dialect.names = names;
            dialect.seconds = commented.next().unwrap_or_default();
            dialect.name_format();
        } else {
            dialect.header_in_content(&head, width, &cut);
        }
        dialect.decimal_comma = separator == Separator::Byte(b';') && has_decimal_commas(&head, &cut);
        if dialect.decimal_comma {
            dialect.notes.push("numbers are read with decimal commas".to_owned());
        }
        Ok(dialect)
    }

    /// Known files whose header is a comment.
    fn name_format(&mut self) {
        let has = |name: &str| self.names.iter().any(|n| n == name);
        if self.separator == Separator::Blanks && has("MM") && has("DD") && (has("YY") || has("YYYY")) {
            // https://www.ndbc.noaa.gov/faq/rt_data_access.shtml
            self.format = "NDBC text";
            self.missing = &["MM"];
            self.seconds_are_units = true;
        } else if self.names.first().is_some_and(|n| n == "Unique trajectory") {
            // https://globalmeteornetwork.org/data/media/GMN_orbit_data_columns.pdf
            self.format = "Global Meteor Network trajectories";
            self.missing = &["..."];
        }
    }

    /// The header is the first line that is no comment, or there is none.
    fn header_in_content(&mut self, head: &Head, width: usize, cut: &dyn Fn(&str) -> Option<Vec<String>>) {
        let fields = |i: usize| head.content.get(i).and_then(|(_, l)| cut(l)).unwrap_or_default();
        let word = |f: &String| looks(f, &[], true) == Looks::Text;
        let first = fields(0);
        let trailing = first.iter().rev().take_while(|f| f.is_empty()).count();
        let is_header = first.len() > 1 && trailing < 2 && first[..first.len() - trailing].iter().all(word);
        if !is_header {
            let storm = |f: &Vec<String>| {
                f.last().is_some_and(|id| {
                    id.len() == 8
                        && id[..2].bytes().all(|b| b.is_ascii_uppercase())
                        && id[2..].bytes().all(|b| b.is_ascii_digit())
                })
            };
            if width == ATCF.len() && storm(&first) {
                self.format = "ATCF storm list";
                self.names = ATCF.map(str::to_owned).to_vec();
                self.missing = &["9999999999"];
                self.stamp = Some(11);
            } else {
                self.names = (1..=width).map(|i| format!("column_{i}")).collect();
                self.notes.push("there is no header line; columns are named by their number".to_owned());
            }
            return;
        }
        self.header_ends = head.content[0].0;
        self.names = first;
        let (second, third) = (fields(1), fields(2));
        let stated: Vec<&String> = second.iter().filter(|f| !f.is_empty()).collect();
        let units = stated.iter().filter(|f| is_unit(f)).count();
        let rows_follow = third.iter().zip(&second).any(|(t, s)| word(s) && !word(t) && !t.is_empty());
        let units_line = second.len() == self.names.len()
            && stated.iter().all(|f| word(f))
            && units > 0
            && units * 3 >= stated.len()
            && rows_follow;
        if units_line {
            self.header_ends = head.content[1].0;
            self.seconds = second;
            self.seconds_are_units = true;
        }
    }
}

/// The separator in which most lines agree, and their number of fields.
fn separator(head: &Head) -> Option<(Separator, usize)> {
    let agreement = |separator: Separator| {
        let mut fields = Fields::default();
        let counts: Vec<usize> = head
            .content
            .iter()
            .filter_map(|(_, l)| fields.split(l, separator).ok().map(|()| fields.len()))
            .collect();
        let most = counts
            .iter()
            .copied()
            .filter(|n| *n > 1)
            .map(|n| (counts.iter().filter(|c| **c == n).count(), n))
            .max()?;
        Some((most.0 as f64 / counts.len() as f64, most.1))
    };
    let bytes = [b';', b'\t', b',', b'|'].map(Separator::Byte);
    let agreed: Vec<_> =
        bytes.into_iter().filter_map(|s| agreement(s).map(|(share, width)| (share, width, s))).collect();
    let best = agreed.iter().map(|a| a.0).fold(0.6, f64::max);
    // A few broken rows must not hand the file to a separator inside its last field.
    if let Some((_, width, s)) =
        agreed.into_iter().filter(|a| a.0 >= (best - 0.15).max(0.6)).max_by_key(|a| a.1)
    {
        return Some((s, width));
    }
    // Prose has blanks too: columns must agree, and hold numbers.
    let numeric = head.content.iter().filter(|(_, l)| {
        l.split_ascii_whitespace().filter(|w| !matches!(looks(w, &[], false), Looks::Text)).count() >= 2
    });
    let enough = numeric.count() * 2 > head.content.len();
    agreement(Separator::Blanks)
        .filter(|(share, _)| *share >= 0.6 && enough)
        .map(|(_, w)| (Separator::Blanks, w))
}

/// True where fields such as `52,5` occur, and none such as `52.5`.
fn has_decimal_commas(head: &Head, cut: &dyn Fn(&str) -> Option<Vec<String>>) -> bool {
    let fields = || head.content.iter().filter_map(|(_, l)| cut(l)).flatten();
    let with = |decimal_comma: bool| {
        fields().any(|f| {
            let point = if decimal_comma { ',' } else { '.' };
            f.contains(point) && looks(&f, &[], decimal_comma) == Looks::Float
        })
    };
    with(true) && !with(false)
}
