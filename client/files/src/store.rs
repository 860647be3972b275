//! The Zarr v3 hierarchy of a file (core specification 3.0).

use std::collections::BTreeMap;

use graticule_formats::{AttrValue, FormatError, Limits, Source, Variable, open_bytes};
use serde_json::{Map, Value, json};

/// Cells of one chunk, at most: it is cut out, sent and drawn as a whole.
const CHUNK_CELLS: u64 = 1 << 20;
/// Cells along the last dimension of a chunk, at most.
const CHUNK_COLUMNS: u64 = 2048;

/// Attributes of the container, not of the data; those that say what is no data
/// are written anew.
const LEFT_OUT: [&str; 10] = [
    "CLASS",
    "NAME",
    "REFERENCE_LIST",
    "DIMENSION_LIST",
    "DIMENSION_LABELS",
    "_Netcdf4Dimid",
    "_Netcdf4Coordinates",
    "_NCProperties",
    "_FillValue",
    "missing_value",
];

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error("{name}: no variable of numbers in it; {skipped}")]
    Nothing { name: String, skipped: String },
}

struct Array {
    variable: Variable,
    chunk: Vec<u64>,
}

pub struct Store {
    source: Box<dyn Source>,
    arrays: BTreeMap<String, Array>,
    root: Vec<u8>,
}

impl Store {
    /// Reads the header of a file that is wholly in memory.
    ///
    /// # Errors
    /// Of no known format, damaged, or without any variable of numbers.
    pub fn open(name: &str, bytes: Vec<u8>) -> Result<Self, FileError> {
        let source = open_bytes(name, bytes, Limits::default())?;
        let header = source.header();
        if header.variables.is_empty() {
            let skipped = header.skipped.iter().map(|(v, why)| format!("{v}: {why}")).collect::<Vec<_>>();
            return Err(FileError::Nothing { name: name.to_owned(), skipped: skipped.join("; ") });
        }
        let arrays: BTreeMap<String, Array> = header
            .variables
            .iter()
            .map(|v| (v.path.clone(), Array { variable: v.clone(), chunk: chunk_of(&v.shape) }))
            .collect();
        let mut nodes: Map<String, Value> =
            arrays.iter().map(|(path, a)| (path.clone(), metadata(a))).collect();
        // A group of its own for every part of a path.
        for path in arrays.keys() {
            for (at, _) in path.match_indices('/') {
                let group = path.get(..at).unwrap_or_default();
                nodes
                    .entry(group)
                    .or_insert_with(|| json!({"zarr_format": 3, "node_type": "group", "attributes": {}}));
            }
        }
        let root = json!({
            "zarr_format": 3,
            "node_type": "group",
            "attributes": attributes(&header.attributes),
            "consolidated_metadata": {"kind": "inline", "must_understand": false, "metadata": nodes},
        });
        let root = root.to_string().into_bytes();
        Ok(Self { source, arrays, root })
    }

    /// The object at `key`; `None` where there is none.
    ///
    /// # Errors
    /// The bytes of the chunk do not decode.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>, FileError> {
        if key == "zarr.json" {
            return Ok(Some(self.root.clone()));
        }
        let Some((array, start)) = self.find(key) else { return Ok(None) };
        let (v, chunk) = (&array.variable, &array.chunk);
        let count: Vec<u64> =
            start.iter().zip(chunk).zip(&v.shape).map(|((s, c), n)| (*c).min(n - s)).collect();
        let bytes = self.source.read(&v.path, &start, &count)?;
        Ok(Some(if count == *chunk { bytes } else { padded(&bytes, &count, chunk, v.dtype.size()) }))
    }

    /// The array of a chunk's key, and where in it the chunk begins.
    fn find(&self, key: &str) -> Option<(&Array, Vec<u64>)> {
        let (path, index) = match key.rsplit_once("/c/") {
            Some((path, index)) => (path, index),
            // A scalar's only chunk.
            None => (key.strip_suffix("/c")?, ""),
        };
        let array = self.arrays.get(path)?;
        let index: Option<Vec<u64>> =
            index.split('/').filter(|p| !p.is_empty()).map(|p| p.parse().ok()).collect();
        let index = index.filter(|i| i.len() == array.chunk.len())?;
        let start: Option<Vec<u64>> = index
            .iter()
            .zip(&array.chunk)
            .zip(&array.variable.shape)
            .map(|((i, c), n)| i.checked_mul(*c).filter(|s| s < n))
            .collect();
        Some((array, start?))
    }
}

/// One step of everything but the last two dimensions, and of those not too much.
fn chunk_of(shape: &[u64]) -> Vec<u64> {
    let n = shape.len();
    let mut chunk = vec![1; n];
    let mut room = CHUNK_CELLS;
    for (i, (c, len)) in chunk.iter_mut().zip(shape).enumerate().rev().take(2) {
        let most = if i + 1 == n && n > 1 { CHUNK_COLUMNS } else { room };
        *c = (*len).clamp(1, most.max(1));
        room /= *c;
    }
    chunk
}

fn metadata(a: &Array) -> Value {
    let v = &a.variable;
    let mut said = attributes(&v.attributes);
    let nodata = v.packing().nodata;
    if !nodata.is_empty() {
        said.insert("missing_value".into(), AttrValue::Floats(v.dtype, nodata).to_json());
    }
    let leaf = |d: &String| d.rsplit('/').next().unwrap_or(d).to_owned();
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": v.shape,
        "data_type": v.dtype.zarr_name(),
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": a.chunk}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": v.dims.iter().map(leaf).collect::<Vec<_>>(),
        "attributes": said,
    })
}

fn attributes(list: &[(String, AttrValue)]) -> Map<String, Value> {
    let kept = list.iter().filter(|(n, _)| !n.is_empty() && !LEFT_OUT.contains(&n.as_str()));
    kept.map(|(name, value)| (name.clone(), value.to_json())).collect()
}

/// A whole chunk around the part of it that lies within the array.
fn padded(bytes: &[u8], count: &[u64], chunk: &[u64], item: usize) -> Vec<u8> {
    let mut out = vec![0; chunk.iter().product::<u64>() as usize * item];
    let Some((columns, outer)) = count.split_last() else { return bytes.to_vec() };
    let row = *columns as usize * item;
    for (number, from) in bytes.chunks_exact(row.max(1)).enumerate() {
        // Which row of the part this is, and which of the chunk.
        let (mut rest, mut at, mut stride) = (number as u64, 0, *chunk.last().unwrap_or(&1));
        for (n, whole) in outer.iter().zip(chunk).rev() {
            at += rest % n * stride;
            rest /= n;
            stride *= whole;
        }
        let to = at as usize * item;
        if let Some(place) = out.get_mut(to..to + row) {
            place.copy_from_slice(from);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_shared::cube::Cube;
    use graticule_shared::zarr::Hierarchy;

    fn demo(name: &str) -> Store {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/demo/").to_owned() + name;
        Store::open(name, std::fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn a_netcdf_file_reads_as_the_cube_that_it_is() {
        let store = demo("ncep-climatology.nc");
        let root = store.get("zarr.json").unwrap().unwrap();
        let cube = Cube::new(&Hierarchy::from_v3(&root).unwrap());
        let air = cube.variable("air").unwrap();
        assert!(air.is_mappable());
        assert_eq!(air.units.as_deref(), Some("degC"));
        let n: Vec<u64> = air.dims.iter().map(|d| d.len).collect();
        let whole = store.get("air/c/11/0/0").unwrap().unwrap();
        assert_eq!(whole.len() as u64, n[1] * n[2] * 4);
        assert_eq!(store.get("air/c/12/0/0").unwrap(), None);
        for key in [
            "air",
            "air/c/0",
            "air/c/0/0/x",
            "nowhere/c/0",
            "air/zarr.json",
            "",
            "air/c/18446744073709551615/0/0",
        ] {
            assert_eq!(store.get(key).unwrap(), None, "{key}");
        }
    }

    #[test]
    fn the_known_value_lies_where_the_axes_say() {
        let store = demo("ostia-sst.nc");
        let root = store.get("zarr.json").unwrap().unwrap();
        let cube = Cube::new(&Hierarchy::from_v3(&root).unwrap());
        let sst = cube.variable("analysed_sst").unwrap();
        let axis = |name: &str| -> Vec<f64> {
            let bytes = store.get(&format!("{name}/c/0")).unwrap().unwrap();
            graticule_shared::dtype::DataType::Float32.to_f64_vec(&bytes)
        };
        let near = |axis: &[f64], v: f64| axis.iter().position(|a| (a - v).abs() < 1e-6).unwrap();
        let (row, column) = (near(&axis("lat"), -33.625), near(&axis("lon"), 151.125));
        let chunk = chunk_of(&[1, 720, 1440]);
        let key = format!("analysed_sst/c/0/{}/{}", row as u64 / chunk[1], column as u64 / chunk[2]);
        let bytes = store.get(&key).unwrap().unwrap();
        let at = (row as u64 % chunk[1]) * chunk[2] + column as u64 % chunk[2];
        let raw = sst.packing.read_as().get_f64(&bytes, at as usize).unwrap();
        assert_eq!(sst.packing.value(raw), Some(292.619_993_461_295_96));
    }

    #[test]
    fn chunks_at_the_edge_are_whole_and_padded_at_the_far_ends() {
        assert_eq!(chunk_of(&[12, 3000, 5000]), [1, 512, 2048]);
        assert_eq!(chunk_of(&[5]), [5]);
        assert_eq!(chunk_of(&[]), Vec::<u64>::new());
        assert_eq!(padded(&[1, 2, 3, 4], &[2, 2], &[3, 4], 1), [1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0]);
        let two = padded(&[1, 2, 3, 4], &[2, 1, 2], &[2, 2, 2], 1);
        assert_eq!(two, [1, 2, 0, 0, 3, 4, 0, 0]);
    }

    #[test]
    fn what_is_no_such_file_is_named() {
        let error = Store::open("holiday.jpg", b"\xff\xd8\xff\xe0 nothing".to_vec()).err().unwrap();
        assert!(error.to_string().contains("holiday.jpg"), "{error}");
    }
}
