//! All that the headers of a file say, before anything is arranged.

use std::collections::{HashMap, HashSet};

use hdf5_reader::Storage;

use super::field::{Field, Keys};
use super::grid::{self, Grid, Positions};
use super::octets::{Fault, Result, Section};
use super::scan::{Gaps, Next, Scanner};
use super::window::Window;
use super::{edition1, edition2};
use crate::Limits;

/// Fields that are listed at most: 200 MB of headers.
pub(super) const MOST_FIELDS: usize = 1 << 19;
/// Values of all axes of all grids together.
const MOST_AXIS_VALUES: usize = 1 << 24;
/// Faults that are told one by one.
pub(super) const MOST_FAULTS: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Inventory {
    pub(crate) fields: Vec<Field>,
    pub(crate) grids: Vec<Grid>,
    /// Messages and fields that cannot be read.
    pub(crate) faults: Vec<(String, Fault)>,
    pub(crate) gaps: Gaps,
    pub(crate) editions: [bool; 3],
    known: HashMap<(u8, Vec<u8>), Result<usize>>,
    keys: HashSet<Keys>,
    axis_values: usize,
    most_points: u64,
}

impl Inventory {
    /// Reads all headers of a file.
    pub(crate) fn read(storage: &dyn Storage, limits: &Limits) -> Self {
        let mut out = Inventory { most_points: limits.chunk_bytes / 4, ..Self::default() };
        let mut window = Window::new(storage);
        let mut scanner = Scanner::new();
        let mut number = 0;
        loop {
            match scanner.next(&mut window) {
                Next::Message(m) => {
                    number += 1;
                    out.editions[usize::from(m.edition)] = true;
                    let read = if m.edition == 1 { edition1::read } else { edition2::read };
                    if let Err(fault) = read(&m, number, &mut window, &mut out) {
                        let fault = Fault { offset: fault.offset.or(Some(m.offset)), ..fault };
                        out.faults.push((format!("message {number}"), fault));
                    }
                    if out.fields.len() >= MOST_FIELDS {
                        let fault = Fault::at(
                            format!("{MOST_FIELDS} fields are read; the rest is not"),
                            m.offset + m.len,
                        );
                        out.faults.push(("further messages".into(), fault));
                        break;
                    }
                }
                Next::Broken(fault) => {
                    number += 1;
                    out.faults.push((format!("message {number}"), fault));
                }
                Next::End => break,
            }
            if out.faults.len() >= MOST_FAULTS {
                out.faults.push((
                    "further messages".into(),
                    Fault::new(format!("{MOST_FAULTS} cannot be read; the rest is not tried")),
                ));
                break;
            }
        }
        out.gaps = scanner.gaps;
        (out.known, out.keys) = (HashMap::new(), HashSet::new());
        out
    }

    /// The index of the grid that a section describes; messages mostly share them.
    pub(crate) fn grid(&mut self, edition: u8, s: &Section<'_>) -> Result<usize> {
        let key = (edition, s.bytes.to_vec());
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let found = self.new_grid(edition, s);
        self.known.insert(key, found.clone());
        found
    }

    fn new_grid(&mut self, edition: u8, s: &Section<'_>) -> Result<usize> {
        let grid = if edition == 1 { grid::read1(s)? } else { grid::read2(s)? };
        let points = grid.points();
        if points == 0 || points > self.most_points {
            return Err(Fault::at(
                format!("{}: a grid of {points} points; 1 to {} are read", s.name, self.most_points),
                s.offset,
            ));
        }
        for c in &grid.coordinates {
            self.axis_values += match &c.positions {
                Positions::Values(v) => v.len(),
                _ => 1 << 12,
            };
        }
        if self.axis_values > MOST_AXIS_VALUES || self.grids.len() > 10_000 {
            return Err(Fault::at("there are more, and larger, grids in the file than are read", s.offset));
        }
        self.grids.push(grid);
        Ok(self.grids.len() - 1)
    }

    /// Adds a field whose sizes agree with one another.
    pub(crate) fn field(&mut self, mut field: Field) -> Result<()> {
        let points = self.grids.get(field.grid).map_or(0, Grid::points);
        let e = &field.encoded;
        if let Some(bitmap) = e.bitmap
            && bitmap.len < points.div_ceil(8)
        {
            return Err(Fault::at(
                format!("the bitmap has {} bytes; {points} points need {}", bitmap.len, points.div_ceil(8)),
                bitmap.offset,
            ));
        }
        if let (Some(values), None) = (e.values, e.bitmap)
            && values != points
        {
            return Err(Fault::at(
                format!(
                    "section 5 declares {values} values and there is no bitmap; section 3 declares {points} points"
                ),
                field.offset,
            ));
        }
        if e.values.is_some_and(|v| v > points) {
            return Err(Fault::at(
                format!("section 5 declares more values than the {points} points of section 3"),
                field.offset,
            ));
        }
        match self.keys.get(&field.product.keys) {
            Some(known) => field.product.keys = known.clone(),
            None => {
                self.keys.insert(field.product.keys.clone());
            }
        }
        self.fields.push(field);
        Ok(())
    }
}
