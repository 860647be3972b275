//! A text file as a table.

use hdf5_reader::storage::DynStorage;

use super::columns::{Heading, headings};
use super::dialect::Dialect;
use super::faults::{Fault, Faults, shown};
use super::infer::Evidence;
use super::lines::Lines;
use super::records::{Fields, Record, Records};
use super::values::{self, Kind, Value, looks};
use super::{Column, Each, Role, Table, TableHeader};
use crate::{FormatError, Limits};

pub(crate) struct Text {
    file: String,
    storage: DynStorage,
    dialect: Dialect,
    header: TableHeader,
    clock: Option<Clock>,
}

/// Columns that together are an instant; it becomes a column after all others.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Clock {
    /// Year, month, day, hour, minute, second; an hour of four digits has its minutes.
    Parts {
        year: usize,
        month: usize,
        day: usize,
        hour: Option<usize>,
        minute: Option<usize>,
        second: Option<usize>,
    },
    /// `YYYYMMDDHH`.
    Stamp(usize),
}

impl Clock {
    fn of(dialect: &Dialect) -> Option<Self> {
        if let Some(column) = dialect.stamp {
            return Some(Self::Stamp(column));
        }
        let find =
            |names: &[&str]| names.iter().find_map(|n| dialect.names.iter().position(|have| have == n));
        Some(Self::Parts {
            year: find(&["YY", "YYYY", "#YY", "year", "Year", "YEAR"])?,
            month: find(&["MM", "MO", "month", "Month", "MONTH"])?,
            day: find(&["DD", "day", "Day", "DAY"])?,
            hour: find(&["hh", "hhmm", "HH", "hour", "Hour", "HOUR"]),
            minute: find(&["mm", "MN", "minute", "Minute", "MINUTE"]),
            second: find(&["ss", "SS", "second", "Second", "SECOND"]),
        })
    }

    fn has(&self, column: usize) -> bool {
        match self {
            Self::Stamp(c) => *c == column,
            Self::Parts { year, month, day, hour, minute, second } => {
                [Some(*year), Some(*month), Some(*day), *hour, *minute, *second].contains(&Some(column))
            }
        }
    }

    /// The instant of a row; `Err` shows what is none.
    fn read(&self, fields: &Fields, missing: &[&str]) -> Result<Value, String> {
        match self {
            Self::Stamp(column) => {
                let text = fields.get(*column);
                if text.is_empty() || missing.contains(&text) {
                    return Ok(Value::Null);
                }
                let digits = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit());
                digits
                    .then(|| format!("{}-{}-{}T{}:00Z", &text[..4], &text[4..6], &text[6..8], &text[8..]))
                    .and_then(|iso| values::time(&iso))
                    .map(Value::Time)
                    .ok_or_else(|| shown(text))
            }
            Self::Parts { year, month, day, hour, minute, second } => {
                let all = [Some(*year), Some(*month), Some(*day), *hour, *minute, *second];
                let text = || all.iter().flatten().map(|c| fields.get(*c)).collect::<Vec<_>>().join(" ");
                let number = |c: Option<usize>| -> Result<i64, String> {
                    c.map_or(Ok(0), |c| fields.get(c).parse().map_err(|_| shown(&text())))
                };
                let (mut y, mut h, mut mi) = (number(Some(*year))?, number(*hour)?, number(*minute)?);
                if (0..100).contains(&y) && fields.get(*year).len() <= 2 {
                    // The files of before 1999 have two digits.
                    y += 1900;
                }
                if minute.is_none() && hour.is_some_and(|c| fields.get(c).len() == 4) {
                    (h, mi) = (h / 100, h % 100);
                }
                let (mo, d, s) = (number(Some(*month))?, number(Some(*day))?, number(*second)?);
                if !(0..=9999).contains(&y) || [mo, d, h, mi, s].iter().any(|n| !(0..100).contains(n)) {
                    return Err(shown(&text()));
                }
                values::time(&format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}Z"))
                    .map(Value::Time)
                    .ok_or_else(|| shown(&text()))
            }
        }
    }
}

impl Text {
    /// Recognises the layout and reads the file once, to learn what its columns hold.
    ///
    /// # Errors
    /// No table is recognised, the file cannot be read, or it has no row.
    pub(crate) fn open(file: &str, storage: DynStorage, _: &Limits) -> Result<Self, FormatError> {
        let dialect = Dialect::recognise(file, storage.as_ref())?;
        let headings = headings(&dialect);
        let clock = Clock::of(&dialect);
        let mut evidence = vec![Evidence::default(); headings.len()];
        let (mut rows, mut faults) = (0, Faults::default());
        let mut records = records(file, &storage, &dialect)?;
        let mut fields = Fields::default();
        while let Some(record) = records.next(&mut fields)? {
            match record {
                Record::Fault(fault) => faults.add(|| fault),
                Record::Fields(line) => match width_fault(&fields, headings.len(), line) {
                    Some(fault) => faults.add(|| fault),
                    None => {
                        rows += 1;
                        for (e, text) in evidence.iter_mut().zip(fields.iter()) {
                            e.see(looks(text, dialect.missing, dialect.decimal_comma), line, text);
                        }
                    }
                },
            }
        }
        refuse_if_mostly_faults(file, rows, &faults)?;
        let mut notes = dialect.notes.clone();
        if records.latin1 > 0 {
            notes.push(format!("{} lines are not UTF-8 and were read as ISO 8859-1", records.latin1));
        }
        let mut columns: Vec<Column> = headings
            .into_iter()
            .zip(evidence)
            .enumerate()
            .map(|(i, (h, e))| column(h, e, clock.as_ref().is_some_and(|c| c.has(i))))
            .collect();
        if clock.is_some() {
            derive_time(&mut columns, rows);
        }
        first_instant_is_time(&mut columns);
        for (role, what) in
            [(Role::Latitude, "latitude"), (Role::Longitude, "longitude"), (Role::Time, "time")]
        {
            if !columns.iter().any(|c| c.role == Some(role)) {
                notes.push(format!("no column of {what} is recognised"));
            }
        }
        let key = key(&dialect, &columns, rows);
        let header =
            TableHeader { format: dialect.format.to_owned(), columns, rows, key, title: None, faults, notes };
        Ok(Self { file: file.to_owned(), storage, dialect, header, clock })
    }

    /// One row's values; `Err` is why it is left out.
    fn values(&self, fields: &Fields, kinds: &[Kind], line: u64, out: &mut Vec<Value>) -> Result<(), Fault> {
        out.clear();
        let (missing, comma) = (self.dialect.missing, self.dialect.decimal_comma);
        for (i, (column, kind)) in self.header.columns.iter().zip(kinds).enumerate() {
            let fault = |expected: String, found: String| Fault {
                line,
                column: Some(column.name.clone()),
                expected,
                found,
            };
            if i == self.dialect.names.len() {
                let time = self.clock.as_ref().map_or(Ok(Value::Null), |c| c.read(fields, missing));
                let time = time.map_err(|found| fault("an instant".to_owned(), found))?;
                out.push(as_kind(time, *kind));
                continue;
            }
            let text = fields.get(i);
            // Refused by what the file itself decided, kept as what the table wants.
            let own = values::parse(text, column.kind, missing, comma)
                .ok_or_else(|| fault(expected(column.kind).to_owned(), shown(text)))?;
            if let (Some(limit), Value::Float(v)) = (bound(column.role), &own)
                && v.abs() > limit
            {
                return Err(fault(format!("degrees within -{limit} and {limit}"), shown(text)));
            }
            out.push(if *kind == column.kind {
                own
            } else {
                values::parse(text, *kind, missing, comma).unwrap_or(Value::Null)
            });
        }
        Ok(())
    }
}

impl Table for Text {
    fn header(&self) -> &TableHeader {
        &self.header
    }

    fn rows(&self, kinds: &[Kind], each: &mut Each<'_>) -> Result<Faults, FormatError> {
        let width = self.dialect.names.len();
        let mut records = records(&self.file, &self.storage, &self.dialect)?;
        let (mut fields, mut values) = (Fields::default(), Vec::new());
        let (mut rows, mut faults) = (0, Faults::default());
        while let Some(record) = records.next(&mut fields)? {
            let line = match record {
                Record::Fault(fault) => {
                    faults.add(|| fault);
                    continue;
                }
                Record::Fields(line) => line,
            };
            let read = match width_fault(&fields, width, line) {
                Some(fault) => Err(fault),
                None => self.values(&fields, kinds, line, &mut values),
            };
            match read {
                Ok(()) => {
                    rows += 1;
                    each(&values).map_err(|e| FormatError::new(&self.file, e))?;
                }
                Err(fault) => faults.add(|| fault),
            }
        }
        refuse_if_mostly_faults(&self.file, rows, &faults)?;
        Ok(faults)
    }
}

fn records<'a>(
    file: &'a str,
    storage: &'a DynStorage,
    dialect: &Dialect,
) -> Result<Records<'a>, FormatError> {
    let lines = Lines::new(file, storage.as_ref(), dialect.end_byte);
    Records::new(lines, dialect.separator, dialect.comment, dialect.header_ends)
}

/// A row may end in one separator more than there are columns.
fn width_fault(fields: &Fields, width: usize, line: u64) -> Option<Fault> {
    let found = fields.len();
    let fits = found == width || (found == width + 1 && fields.get(width).is_empty());
    (!fits).then(|| Fault {
        line,
        column: None,
        expected: format!("{width} fields"),
        found: format!("{found}, beginning {}", shown(&fields.iter().take(3).collect::<Vec<_>>().join(" "))),
    })
}

/// A file of which hardly a row fits was misunderstood, or is damaged: nothing of it is used.
fn refuse_if_mostly_faults(file: &str, rows: u64, faults: &Faults) -> Result<(), FormatError> {
    match faults.first.first() {
        Some(first) if faults.count > 3 * rows => Err(FormatError::new(
            file,
            format!("{} of {} rows are at fault; {first}", faults.count, faults.count + rows),
        )),
        _ if rows == 0 => Err(FormatError::new(file, "the table has a header and no row")),
        _ => Ok(()),
    }
}

fn column(heading: Heading, evidence: Evidence, part_of_time: bool) -> Column {
    let kind = evidence.kind(heading.role, part_of_time);
    let fits = match heading.role {
        Some(Role::Time) => matches!(kind, Kind::Timestamp | Kind::Empty),
        Some(_) => matches!(kind, Kind::Float64 | Kind::Empty),
        None => true,
    };
    Column {
        name: heading.name,
        kind,
        units: heading.units,
        role: heading.role.filter(|_| fits),
        description: heading.description,
        present: evidence.present(),
        first_not_integer: evidence.first_not_integer,
        first_not_number: evidence.first_not_number,
    }
}

/// The column that the parts of an instant become.
fn derive_time(columns: &mut Vec<Column>, rows: u64) {
    let name = ["time", "instant", "derived_time"]
        .into_iter()
        .find(|n| !columns.iter().any(|c| c.name == *n))
        .unwrap_or("graticule_time");
    for c in columns.iter_mut().filter(|c| c.role == Some(Role::Time)) {
        c.role = None;
    }
    columns.push(Column {
        name: name.to_owned(),
        kind: Kind::Timestamp,
        units: Some("UTC".to_owned()),
        role: Some(Role::Time),
        description: Some("From the columns that are its parts".to_owned()),
        present: rows,
        first_not_integer: None,
        first_not_number: None,
    });
}

fn first_instant_is_time(columns: &mut [Column]) {
    let named = columns.iter().any(|c| c.role == Some(Role::Time) && c.kind == Kind::Timestamp);
    if !named && let Some(first) = columns.iter_mut().find(|c| c.kind == Kind::Timestamp) {
        first.role = Some(Role::Time);
    }
}

/// Columns known to name a row: a stated identifier, or a station's instant.
fn key(dialect: &Dialect, columns: &[Column], rows: u64) -> Vec<usize> {
    let everywhere =
        |i: usize| columns[i].present == rows && matches!(columns[i].kind, Kind::Int64 | Kind::Text);
    let named = |wanted: &[&str]| {
        columns.iter().position(|c| wanted.contains(&c.name.as_str())).filter(|i| everywhere(*i))
    };
    if dialect.format == "NDBC text" {
        let station = named(&["STN"]);
        let time = columns.iter().position(|c| c.role == Some(Role::Time));
        return station.into_iter().chain(time).collect();
    }
    let id = named(&[
        "Unique trajectory (identifier)",
        "STORMID",
        "id",
        "ID",
        "event_id",
        "eventid",
        "identifier",
    ]);
    id.into_iter().collect()
}

fn bound(role: Option<Role>) -> Option<f64> {
    match role {
        Some(Role::Latitude) => Some(90.0),
        Some(Role::Longitude) => Some(360.0),
        _ => None,
    }
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Int64 => "a whole number",
        Kind::Float64 => "a finite number",
        Kind::Boolean => "true or false",
        Kind::Timestamp => "an instant such as 2020-01-31T12:00:00Z",
        Kind::Empty | Kind::Text => "nothing",
    }
}

/// An instant as what the table wants it to be.
fn as_kind(time: Value, kind: Kind) -> Value {
    match (time, kind) {
        (Value::Time(t), Kind::Text) => Value::Text(super::instant(t)),
        (time, _) => time,
    }
}
