//! Messages in their place: one message is one chunk, a whole field of one variable.

use graticule_shared::dtype::DataType;
use hdf5_reader::BytesStorage;
use serde_json::json;

use super::cube::{HOLE, Places};
use super::decode::{self, Values};
use super::field::Field;
use super::inventory::Inventory;
use crate::file_codec::{GRIB, Shape};
use crate::stored::{ChunkSpan, StoredChunks, bytes_codec};
use crate::{Limits, Variable};

/// A message is read as a whole for each of its fields.
const LONGEST: u64 = 128 << 20;

/// Number of a field among those of its message, from 1; fields of a message follow one another.
fn within(fields: &[Field], index: usize) -> usize {
    let message = fields.get(index).map(|f| f.message);
    fields.iter().take(index).rev().take_while(|f| Some(f.message) == message).count() + 1
}

/// Where the messages of a variable lie. They may differ in packing, bitmap and scanning, since
/// each says these of itself; one grid they have, or they were several variables.
///
/// # Errors
/// In words: its fields have different numbers within their messages, which one codec for all
/// chunks cannot say.
pub(super) fn chunks(v: &Variable, places: &Places, fields: &[Field]) -> Result<StoredChunks, String> {
    let mut number: Option<(usize, &Field)> = None;
    let mut spans = Vec::new();
    for (index, at) in places.fields.iter().enumerate().filter(|(_, at)| **at != HOLE) {
        let f = fields.get(*at as usize).ok_or("a field that is not there")?;
        let this = within(fields, *at as usize);
        let (first, other) = *number.get_or_insert((this, f));
        if first != this {
            return Err(format!(
                "it is field {first} of {} and field {this} of {}; one number for all can be referred to",
                other.place(),
                f.place()
            ));
        }
        if f.len > LONGEST {
            return Err(format!("{} is {} bytes long; at most {LONGEST} are read", f.place(), f.len));
        }
        spans.push(ChunkSpan { index: index as u64, file: 0, offset: f.offset, length: f.len });
    }
    let (number, _) = number.ok_or("it has no field")?;
    Ok(StoredChunks {
        chunk_shape: v.chunks.clone().unwrap_or_else(|| v.shape.clone()),
        codecs: json!([{"name": GRIB, "configuration": {"field": number}}]),
        files: Vec::new(),
        spans,
        inline: Vec::new(),
    })
}

/// Values that are in no message, step by step along the first of several dimensions.
pub(super) fn given(v: &Variable, values: &[u8]) -> StoredChunks {
    let mut chunk_shape: Vec<u64> = v.shape.iter().map(|n| (*n).max(1)).collect();
    if let [first, _, ..] = chunk_shape.as_mut_slice() {
        *first = 1;
    }
    let bytes = chunk_shape.iter().product::<u64>() as usize * v.dtype.size();
    let inline = (0..).zip(values.chunks(bytes.max(1)).map(<[u8]>::to_vec)).collect();
    let codecs = json!([bytes_codec(v.dtype.size(), cfg!(target_endian = "big"))]);
    StoredChunks { chunk_shape, codecs, files: Vec::new(), spans: Vec::new(), inline }
}

/// The values of field `number` (from 1) of one message: native-endian bytes of `shape`.
///
/// # Errors
/// In words: no such field, another grid or type, bytes that do not decode.
pub(crate) fn decode(message: &[u8], number: usize, shape: &Shape) -> Result<Vec<u8>, String> {
    // What the array declares bounds what the message may ask for.
    let most = (shape.bytes() as u64).max(message.len() as u64);
    let limits = Limits { chunk_bytes: most, cache_bytes: 0, ..Limits::default() };
    let storage = BytesStorage::new(message.to_vec());
    let inventory = Inventory::read(&storage, &limits);
    let found = number.checked_sub(1).and_then(|i| inventory.fields.get(i));
    let Some(f) = found else {
        let why = inventory.faults.first().map(|(_, fault)| format!(": {fault}")).unwrap_or_default();
        return Err(format!("the message has no field {number}{why}"));
    };
    let grid = inventory.grids.get(f.grid).ok_or("a field without a grid")?;
    let dims: Vec<u64> = grid.dims.iter().map(|(_, n)| *n).collect();
    let outer = shape.extent.len().checked_sub(dims.len());
    let fits = outer.and_then(|n| shape.extent.split_at_checked(n));
    if fits.is_none_or(|(outer, inner)| outer.iter().any(|n| *n != 1) || inner != dims) {
        return Err(format!("the message's grid is {dims:?}; expected {:?}", shape.extent));
    }
    let values = decode::field(&storage, f, grid, most).map_err(|fault| fault.to_string())?;
    let mut out = vec![0; values.bytes()];
    match (&values, shape.dtype) {
        (Values::F32(v), DataType::Float32) => values.copy(0, v.len(), &mut out),
        (Values::F64(v), DataType::Float64) => values.copy(0, v.len(), &mut out),
        (_, expected) => return Err(format!("the message's values are no {expected}")),
    }
    Ok(out)
}
