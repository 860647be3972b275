//! From cells to what each pixel shows.

use graticule_shared::colormap;
use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;
use graticule_shared::frame::Frame;

use super::blocks::Plane;
use super::sheet::{NONE, Places, Sheet};
use super::style::Style;
use crate::edr::Region;

/// What a pixel shows: an index into the colour scale, or one of these.
pub type State = u16;
pub const NO_DATA: State = 256;
pub const BELOW: State = 257;
pub const ABOVE: State = 258;
pub const STATES: usize = 259;

/// The state of each pixel, row by row.
pub fn states(sheet: &Sheet, plane: &Plane, packing: &Packing, style: &Style, size: [u32; 2]) -> Vec<State> {
    // One loop for each type, in which the type is known.
    macro_rules! each_type {
        ($($t:ident),*) => {
            match packing.read_as() {
                $(DataType::$t => fill(sheet, plane, size, |bytes, at| {
                    state(DataType::$t.get_f64(bytes, at), packing, style)
                }),)*
            }
        };
    }
    each_type!(Int8, UInt8, Int16, UInt16, Int32, UInt32, Int64, UInt64, Float32, Float64)
}

#[inline(always)]
fn state(raw: Option<f64>, packing: &Packing, style: &Style) -> State {
    let Some(value) = raw.and_then(|raw| packing.value(raw)).filter(|v| v.is_finite()) else {
        return NO_DATA;
    };
    if value < style.low.min(style.high) {
        return BELOW;
    }
    if value > style.low.max(style.high) {
        return ABOVE;
    }
    State::from(colormap::index(value, style.low, style.high, style.stretch))
}

/// What lies beside a region shows nothing; the frame is of degrees.
pub fn leave_out(states: &mut [State], region: &Region, frame: &Frame) {
    let sight = region.sight();
    let longitudes = frame.longitudes();
    for (row, latitude) in states.chunks_mut(longitudes.len().max(1)).zip(frame.latitudes()) {
        let along = sight.along(latitude);
        for (state, longitude) in row.iter_mut().zip(&longitudes) {
            if !along.contains(*longitude) {
                *state = NO_DATA;
            }
        }
    }
}

fn fill(
    sheet: &Sheet,
    plane: &Plane,
    [width, _]: [u32; 2],
    read: impl Fn(&[u8], usize) -> State,
) -> Vec<State> {
    let [tall, wide] = plane.block;
    let at = |row: u32, column: u32| {
        plane.offset + (row % tall) as usize * wide as usize + (column % wide) as usize
    };
    match &sheet.places {
        Places::Each(all) => {
            let mut last = ([NONE; 2], None);
            all.iter()
                .map(|[row, column]| {
                    if *row == NONE {
                        return NO_DATA;
                    }
                    let here = [row / tall, column / wide];
                    if last.0 != here {
                        last = (here, plane.blocks.get(&here));
                    }
                    last.1.map_or(NO_DATA, |bytes| read(bytes, at(*row, *column)))
                })
                .collect()
        }
        Places::Table { rows, columns } => {
            let width = width as usize;
            let mut out: Vec<State> = Vec::with_capacity(rows.len() * width);
            let mut before = None;
            for row in rows {
                // Pixels smaller than cells show one row of cells in several.
                if before == Some(*row) {
                    out.extend_from_within(out.len() - width..);
                    continue;
                }
                before = Some(*row);
                if *row == NONE {
                    out.resize(out.len() + width, NO_DATA);
                    continue;
                }
                let mut block = (NONE, None);
                let mut cell = (NONE, NO_DATA);
                out.extend(columns.iter().map(|column| {
                    if *column == NONE {
                        return NO_DATA;
                    }
                    if cell.0 != *column {
                        if block.0 != column / wide {
                            block = (column / wide, plane.blocks.get(&[row / tall, column / wide]));
                        }
                        cell = (*column, block.1.map_or(NO_DATA, |bytes| read(bytes, at(*row, *column))));
                    }
                    cell.1
                }));
            }
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use super::super::style::{self, Asked};
    use super::*;

    #[test]
    fn a_pixel_has_the_colour_of_its_cells_value_whatever_the_block_it_lies_in() {
        // Six columns in blocks of four: the last one is padded.
        let block = |values: [i16; 8]| Arc::new(values.map(i16::to_ne_bytes).concat());
        let plane = Plane {
            block: [1, 4],
            offset: 4,
            blocks: HashMap::from([
                ([0, 0], block([9, 9, 9, 9, 0, 10, 20, 30])),
                ([0, 1], block([9, 9, 9, 9, 40, -1, 0, 0])),
            ]),
        };
        let packing =
            Packing { dtype: DataType::Int16, unsigned: false, scale: 0.1, offset: 0.0, nodata: vec![-1.0] };
        let lut = style::lut("viridis").unwrap();
        let style = Style::new("viridis".into(), lut, (0.0, 3.0), &Asked::default()).unwrap();
        let index = |v: f64| State::from(colormap::index(v, 0.0, 3.0, style.stretch));
        let expected = [NO_DATA, index(0.0), index(1.0), index(1.0), ABOVE, NO_DATA];
        let columns = vec![NONE, 0, 1, 1, 4, 5];
        let table =
            Sheet { level: 0, places: Places::Table { rows: vec![0, 0, NONE], columns: columns.clone() } };
        let found = states(&table, &plane, &packing, &style, [6, 3]);
        assert_eq!(found, [expected, expected, [NO_DATA; 6]].concat());
        let each = columns.iter().map(|c| [if *c == NONE { NONE } else { 0 }, *c]).collect();
        let each = Sheet { level: 0, places: Places::Each(each) };
        assert_eq!(states(&each, &plane, &packing, &style, [6, 1]), expected);
    }
}
