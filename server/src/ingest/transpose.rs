//! Variables whose grid is not along their last dimensions, as if it were.
//!
//! A map reads one plane at a time, and a chunk of a plane is one run of bytes only
//! where the plane's dimensions come last, as CF recommends (section 2.4). MPAS and
//! SCHISM write levels last, others time; some write longitude before latitude. Such
//! a variable is handed on in the order that a map can be drawn from, and a note says so.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_formats::checks::{Finding, Severity};
use graticule_formats::{FormatError, Header, Source};
use graticule_shared::cube::{Cube, Role, Variable};
use graticule_shared::grid::{Horizontal, horizontal};
use graticule_shared::zarr::Hierarchy;

use super::plan;

pub struct Transposed {
    header: Header,
    inner: Arc<dyn Source>,
    /// For each dimension as handed on: which of the source's it is.
    orders: BTreeMap<String, Vec<usize>>,
}

/// `source` with its grids last; itself where they are.
///
/// # Errors
/// A header that contradicts itself.
pub fn grids_last(source: Arc<dyn Source>) -> Result<Arc<dyn Source>, FormatError> {
    let orders = orders(source.header()).map_err(|e| FormatError::new("", e))?;
    if orders.is_empty() {
        return Ok(source);
    }
    let mut header = source.header().clone();
    for v in &mut header.variables {
        let Some(order) = orders.get(&v.path) else { continue };
        let found = v.dims.join(", ");
        // Without chunks, what follows the plane is read in whole runs: a plane alone lies scattered.
        let plane = order.last().copied().unwrap_or(0);
        let chunks = v.chunks.take().unwrap_or_else(|| {
            v.shape.iter().enumerate().map(|(a, n)| if a > plane { *n } else { 1 }).collect()
        });
        v.dims = pick(order, &v.dims);
        v.shape = pick(order, &v.shape);
        v.chunks = Some(pick(order, &chunks));
        header.notes.push(Finding {
            severity: Severity::Note,
            variable: v.path.clone(),
            index: None,
            found: format!("dimensions ({found}), stored as ({})", v.dims.join(", ")),
            expected: "those of the grid last (CF section 2.4): a map reads a plane at a time".to_owned(),
        });
    }
    Ok(Arc::new(Transposed { header, inner: source, orders }))
}

fn pick<T: Clone>(order: &[usize], from: &[T]) -> Vec<T> {
    order.iter().filter_map(|a| from.get(*a).cloned()).collect()
}

/// The order that gives a variable a map, for each that has none as it is.
fn orders(header: &Header) -> Result<BTreeMap<String, Vec<usize>>, String> {
    let seen = plan::hierarchy_of(header)?;
    let cube = Cube::new(&seen);
    let odd = cube.variables.iter().filter(|v| v.horizontal().is_none() && !v.is_mappable());
    Ok(odd.filter_map(|v| Some((v.path.clone(), order(v, &seen)?))).collect())
}

fn order(v: &Variable, seen: &Hierarchy) -> Option<Vec<usize>> {
    let rank = v.dims.len();
    let meta = seen.arrays.get(&v.path)?;
    // What a list of cells is followed by must be levels or times: a mesh has tables of other things too.
    let upright = |a: usize| {
        let d = &v.dims[a];
        let name = d.name.to_ascii_lowercase();
        matches!(d.role, Role::Z | Role::T)
            || ["lev", "layer", "depth", "interface", "vgrid"].iter().any(|part| name.contains(part))
            || matches!(name.as_str(), "nz" | "nz1")
    };
    let last = |plane: &[usize]| -> Vec<usize> {
        (0..rank).filter(|a| !plane.contains(a)).chain(plane.iter().copied()).collect()
    };
    let axes = v.position(Role::Y).zip(v.position(Role::X)).map(|(y, x)| last(&[y, x]));
    let pairs = (0..rank.saturating_sub(2)).rev().map(|a| last(&[a, a + 1]));
    let cells = (0..rank.saturating_sub(1)).rev().filter(|a| (a + 1..rank).all(upright)).map(|a| last(&[a]));
    let fits = |order: &Vec<usize>, listed: bool| {
        let turned = graticule_shared::zarr::ArrayMeta {
            shape: pick(order, &meta.shape),
            dims: pick(order, &meta.dims),
            ..meta.clone()
        };
        horizontal(seen, &turned, &mut Vec::new())
            .is_some_and(|h| matches!(h, Horizontal::Cells(_)) == listed)
    };
    axes.into_iter()
        .chain(pairs)
        .find(|o| fits(o, false))
        .or_else(|| cells.into_iter().find(|o| fits(o, true)))
}

impl Source for Transposed {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let Some(order) =
            self.orders.get(variable).filter(|o| o.len() == start.len() && o.len() == count.len())
        else {
            return self.inner.read(variable, start, count);
        };
        let (mut from, mut n) = (vec![0; order.len()], vec![0; order.len()]);
        for (i, a) in order.iter().enumerate() {
            (from[*a], n[*a]) = (start[i], count[i]);
        }
        let bytes = self.inner.read(variable, &from, &n)?;
        let elements = n.iter().product::<u64>() as usize;
        match bytes.len().checked_div(elements) {
            Some(size) => Ok(permuted(bytes, size, &n, order)),
            None => Ok(bytes),
        }
    }
}

/// C order over `shape` to C order over its axes in `order`; elements of `size` bytes.
fn permuted(bytes: Vec<u8>, size: usize, shape: &[u64], order: &[usize]) -> Vec<u8> {
    // Axes of one element are nowhere; what is left may be in order already.
    let order: Vec<usize> = order.iter().copied().filter(|a| shape[*a] > 1).collect();
    if order.is_sorted() {
        return bytes;
    }
    let step = |a: usize| shape[a + 1..].iter().product::<u64>() as usize;
    let mut axes: Vec<(usize, usize)> = order.iter().map(|a| (shape[*a] as usize, step(*a))).collect();
    let Some((inner, stride)) = axes.pop() else { return bytes };
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = vec![0; axes.len()];
    loop {
        let base: usize = index.iter().zip(&axes).map(|(i, (_, step))| i * step).sum();
        if stride == 1 {
            out.extend_from_slice(&bytes[base * size..(base + inner) * size]);
        } else {
            match size {
                4 => run::<4>(&bytes, base, inner, stride, &mut out),
                8 => run::<8>(&bytes, base, inner, stride, &mut out),
                2 => run::<2>(&bytes, base, inner, stride, &mut out),
                _ => (0..inner).for_each(|i| {
                    let at = (base + i * stride) * size;
                    out.extend_from_slice(&bytes[at..at + size]);
                }),
            }
        }
        let Some(a) = (0..axes.len()).rev().find(|a| index[*a] + 1 < axes[*a].0) else { return out };
        index[a] += 1;
        index[a + 1..].fill(0);
    }
}

fn run<const SIZE: usize>(bytes: &[u8], base: usize, inner: usize, stride: usize, out: &mut Vec<u8>) {
    let (elements, _) = bytes.as_chunks::<SIZE>();
    out.extend(elements[base..].iter().step_by(stride).take(inner).flatten());
}

#[cfg(test)]
mod tests {
    use graticule_formats::{AttrValue, Dimension};
    use graticule_shared::dtype::DataType;

    use super::*;

    /// Every variable holds its own flat indices as float32.
    struct Counted(Header);

    impl Source for Counted {
        fn header(&self) -> &Header {
            &self.0
        }
        fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
            let v = self.0.variables.iter().find(|v| v.path == variable).unwrap();
            let mut out = Vec::new();
            let total: u64 = count.iter().product();
            for flat in 0..total {
                let (mut rest, mut at, mut step) = (flat, 0, 1);
                for a in (0..count.len()).rev() {
                    at += (start[a] + rest % count[a]) * step;
                    rest /= count[a];
                    step *= v.shape[a];
                }
                out.extend((at as f32).to_ne_bytes());
            }
            Ok(out)
        }
    }

    fn source(variables: &[(&str, &[(&str, u64)], &[(&str, &str)])]) -> Arc<dyn Source> {
        let mut header = Header::default();
        for (path, dims, attributes) in variables {
            for (name, len) in *dims {
                if !header.dimensions.iter().any(|d| d.name == *name) {
                    header.dimensions.push(Dimension { name: (*name).into(), len: *len, unlimited: false });
                }
            }
            header.variables.push(graticule_formats::Variable {
                path: (*path).into(),
                dims: dims.iter().map(|d| d.0.to_owned()).collect(),
                shape: dims.iter().map(|d| d.1).collect(),
                dtype: DataType::Float32,
                attributes: attributes
                    .iter()
                    .map(|(k, v)| ((*k).into(), AttrValue::Text((*v).into())))
                    .collect(),
                chunks: None,
            });
        }
        Arc::new(Counted(header))
    }

    fn order_of(source: &Arc<dyn Source>, variable: &str) -> Option<Vec<usize>> {
        orders(source.header()).unwrap().remove(variable)
    }

    const NORTH: &[(&str, &str)] = &[("units", "degrees_north")];
    const EAST: &[(&str, &str)] = &[("units", "degrees_east")];

    #[test]
    fn time_after_latitude_and_longitude_goes_before_them_and_so_do_their_values() {
        let s = source(&[
            ("lat", &[("lat", 3)], NORTH),
            ("lon", &[("lon", 4)], EAST),
            ("time", &[("time", 2)], &[("units", "days since 2000-01-01")]),
            ("t", &[("lat", 3), ("lon", 4), ("time", 2)], &[]),
            ("swapped", &[("lon", 4), ("lat", 3)], &[]),
            ("fine", &[("time", 2), ("lat", 3), ("lon", 4)], &[]),
            ("hovmoeller", &[("lat", 3), ("time", 2)], &[]),
        ]);
        assert_eq!(order_of(&s, "t"), Some(vec![2, 0, 1]));
        assert_eq!(order_of(&s, "swapped"), Some(vec![1, 0]));
        assert_eq!((order_of(&s, "fine"), order_of(&s, "hovmoeller")), (None, None));
        let turned = grids_last(s).unwrap();
        let v = turned.header().variables.iter().find(|v| v.path == "t").unwrap();
        assert_eq!(
            (v.dims.as_slice(), v.shape.as_slice()),
            (["time", "lat", "lon"].map(String::from).as_slice(), [2, 3, 4].as_slice())
        );
        // Read without chunks, whole runs of time are the smallest piece.
        assert_eq!(v.chunks.as_deref(), Some([2, 1, 1].as_slice()));
        let read = |variable, start: &[u64], count: &[u64]| {
            DataType::Float32.to_f64_vec(&turned.read(variable, start, count).unwrap())
        };
        // The value at (lat, lon, time) is its flat index, (lat * 4 + lon) * 2 + time.
        assert_eq!(read("t", &[1, 0, 2], &[1, 2, 2]), [5.0, 7.0, 13.0, 15.0]);
        assert_eq!(read("t", &[0, 2, 3], &[2, 1, 1]), [22.0, 23.0]);
        assert_eq!(read("swapped", &[1, 0], &[1, 4]), [1.0, 4.0, 7.0, 10.0]);
        assert_eq!(read("fine", &[1, 0, 0], &[1, 1, 2]), [12.0, 13.0]);
        let notes: Vec<String> = turned.header().notes.iter().map(ToString::to_string).collect();
        assert!(notes[0].contains("(lat, lon, time), stored as (time, lat, lon)"), "{notes:?}");
    }

    #[test]
    fn levels_of_a_mesh_go_before_its_cells_and_tables_of_the_mesh_stay() {
        let s = source(&[
            ("latCell", &[("nCells", 5)], &[]),
            ("lonCell", &[("nCells", 5)], &[]),
            ("theta", &[("Time", 2), ("nCells", 5), ("nVertLevels", 3)], &[]),
            ("ps", &[("Time", 2), ("nCells", 5)], &[]),
            ("cellsOnCell", &[("nCells", 5), ("maxEdges", 6)], &[]),
        ]);
        assert_eq!(order_of(&s, "theta"), Some(vec![0, 2, 1]));
        assert_eq!((order_of(&s, "ps"), order_of(&s, "cellsOnCell")), (None, None));
        let turned = grids_last(s).unwrap();
        let bytes = turned.read("theta", &[1, 0, 1], &[1, 3, 2]).unwrap();
        assert_eq!(DataType::Float32.to_f64_vec(&bytes), [18.0, 21.0, 19.0, 22.0, 20.0, 23.0]);
    }

    #[test]
    fn channels_after_a_swath_go_before_it() {
        let place: &[(&str, u64)] = &[("scan", 3), ("pixel", 4)];
        let s = source(&[
            ("lat", place, NORTH),
            ("lon", place, EAST),
            ("bt", &[("scan", 3), ("pixel", 4), ("channel", 2)], &[("coordinates", "lat lon")]),
        ]);
        assert_eq!(order_of(&s, "bt"), Some(vec![2, 0, 1]));
    }

    #[test]
    fn elements_of_any_size_are_permuted() {
        let bytes: Vec<u8> = (0..24).collect();
        assert_eq!(permuted(bytes.clone(), 1, &[2, 3, 4], &[0, 1, 2]), bytes);
        assert_eq!(permuted((0..6).collect(), 1, &[2, 3], &[1, 0]), [0, 3, 1, 4, 2, 5]);
        assert_eq!(permuted((0..12).collect(), 2, &[2, 3], &[1, 0]), [0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11]);
        // An axis of one element moves nothing.
        assert_eq!(permuted((0..12).collect(), 2, &[1, 6], &[1, 0]), (0..12).collect::<Vec<u8>>());
    }
}
