//! As much of Apache Parquet as references and answers need: one row group, one page a column, gzip.
//!
//! Format version 2.x as in `parquet.thrift` of apache/parquet-format; numbers of fields and enums
//! are those given there. Texts are written through a dictionary in runs, since one file is
//! referred to many times in a row.

mod thrift;

use std::collections::HashMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use thrift::Thrift;

/// Values of one column.
pub enum Column<'a> {
    Texts(Vec<Option<&'a str>>),
    Ints(Vec<i64>),
    Blobs(Vec<Option<&'a [u8]>>),
    /// NaN is null.
    Doubles(Vec<f64>),
    /// Microseconds since 1970, UTC.
    Instants(Vec<Option<i64>>),
}

/// `Type`
const INT64: i32 = 2;
const DOUBLE: i32 = 5;
const BYTE_ARRAY: i32 = 6;
/// `Encoding`
const PLAIN: i32 = 0;
const RLE: i32 = 3;
const RLE_DICTIONARY: i32 = 8;
/// `CompressionCodec`
const GZIP: i32 = 2;
/// `PageType`
const DATA_PAGE: i32 = 0;
const DICTIONARY_PAGE: i32 = 2;

const MAGIC: &[u8] = b"PAR1";

impl Column<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Texts(v) => v.len(),
            Self::Ints(v) => v.len(),
            Self::Blobs(v) => v.len(),
            Self::Doubles(v) => v.len(),
            Self::Instants(v) => v.len(),
        }
    }

    fn kind(&self) -> i32 {
        match self {
            Self::Ints(_) | Self::Instants(_) => INT64,
            Self::Doubles(_) => DOUBLE,
            Self::Texts(_) | Self::Blobs(_) => BYTE_ARRAY,
        }
    }

    fn is_optional(&self) -> bool {
        !matches!(self, Self::Ints(_))
    }
}

/// A whole file of these columns.
///
/// # Errors
/// Columns of different lengths, more than 2 GiB in one.
pub fn file(columns: &[(&str, Column<'_>)]) -> anyhow::Result<Vec<u8>> {
    let rows = columns.first().map_or(0, |(_, c)| c.len());
    anyhow::ensure!(columns.iter().all(|(_, c)| c.len() == rows), "columns of different lengths");
    let mut out = MAGIC.to_vec();
    let chunks: Vec<Chunk> =
        columns.iter().map(|(_, c)| chunk(c, &mut out)).collect::<anyhow::Result<_>>()?;
    let footer = footer(columns, &chunks, rows as i64);
    out.extend_from_slice(&footer);
    out.extend_from_slice(&i32::try_from(footer.len())?.to_le_bytes());
    out.extend_from_slice(MAGIC);
    Ok(out)
}

/// Where a column's pages are.
struct Chunk {
    start: i64,
    dictionary: Option<i64>,
    data: i64,
    packed: i64,
    unpacked: i64,
}

fn chunk(column: &Column<'_>, out: &mut Vec<u8>) -> anyhow::Result<Chunk> {
    let start = out.len() as i64;
    let (mut unpacked, mut dictionary) = (0, None);
    let rows = column.len();
    let mut body = Vec::new();
    let encoding = match column {
        Column::Ints(values) => {
            values.iter().for_each(|v| body.extend_from_slice(&v.to_le_bytes()));
            PLAIN
        }
        Column::Doubles(values) => {
            levels(values.iter().map(|v| !v.is_nan()), &mut body)?;
            let there = values.iter().filter(|v| !v.is_nan());
            there.for_each(|v| body.extend_from_slice(&v.to_le_bytes()));
            PLAIN
        }
        Column::Instants(values) => {
            levels(values.iter().map(Option::is_some), &mut body)?;
            values.iter().flatten().for_each(|v| body.extend_from_slice(&v.to_le_bytes()));
            PLAIN
        }
        Column::Blobs(values) => {
            levels(values.iter().map(Option::is_some), &mut body)?;
            values.iter().flatten().try_for_each(|v| plain(v, &mut body))?;
            PLAIN
        }
        Column::Texts(values) => {
            let mut numbers: HashMap<&str, u32> = HashMap::new();
            let mut words = Vec::new();
            let mut all = Vec::with_capacity(rows);
            for text in values.iter().flatten() {
                let next = numbers.len() as u32;
                let number = *numbers.entry(text).or_insert(next);
                if number == next {
                    plain(text.as_bytes(), &mut words)?;
                }
                all.push(number);
            }
            dictionary = Some(out.len() as i64);
            unpacked += page(DICTIONARY_PAGE, numbers.len(), PLAIN, &words, out)?;
            levels(values.iter().map(Option::is_some), &mut body)?;
            // Bits of a number, then runs of them.
            let bits = 32 - (numbers.len() as u32).saturating_sub(1).leading_zeros();
            let bits = bits.max(1);
            body.push(bits as u8);
            runs(all.into_iter(), bits.div_ceil(8) as usize, &mut body);
            RLE_DICTIONARY
        }
    };
    let data = out.len() as i64;
    unpacked += page(DATA_PAGE, rows, encoding, &body, out)?;
    Ok(Chunk { start, dictionary, data, packed: out.len() as i64 - start, unpacked })
}

/// A length and the bytes.
fn plain(bytes: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
    out.extend_from_slice(&i32::try_from(bytes.len())?.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Which values are there: a length, then runs of ones and zeros.
fn levels(there: impl Iterator<Item = bool>, out: &mut Vec<u8>) -> anyhow::Result<()> {
    let mut packed = Vec::new();
    runs(there.map(u32::from), 1, &mut packed);
    plain(&packed, out)
}

/// The runs of the RLE / bit-packing hybrid encoding: a count, then the value in `bytes` bytes.
fn runs(values: impl Iterator<Item = u32>, bytes: usize, out: &mut Vec<u8>) {
    let mut values = values.peekable();
    while let Some(value) = values.next() {
        let mut count = 1u64;
        while values.next_if_eq(&value).is_some() {
            count += 1;
        }
        Thrift::varint(count << 1, out);
        out.extend_from_slice(&value.to_le_bytes()[..bytes]);
    }
}

/// Writes a page and its header; how long both are, unpacked.
fn page(kind: i32, values: usize, encoding: i32, body: &[u8], out: &mut Vec<u8>) -> anyhow::Result<i64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    let packed = encoder.finish()?;
    let mut h = Thrift::default();
    h.int(1, kind).int(2, i32::try_from(body.len())?).int(3, i32::try_from(packed.len())?);
    let values = i32::try_from(values)?;
    if kind == DICTIONARY_PAGE {
        h.open(7).int(1, values).int(2, encoding).close();
    } else {
        h.open(5).int(1, values).int(2, encoding).int(3, RLE).int(4, RLE).close();
    }
    let header = h.finish();
    out.extend_from_slice(&header);
    out.extend_from_slice(&packed);
    Ok((header.len() + body.len()) as i64)
}

fn footer(columns: &[(&str, Column<'_>)], chunks: &[Chunk], rows: i64) -> Vec<u8> {
    const UTF8: i32 = 0;
    const TIMESTAMP_MICROS: i32 = 10;
    let mut m = Thrift::default();
    m.int(1, 2).list(2, columns.len() + 1);
    m.element().text(4, "schema").int(5, columns.len() as i32).close();
    for (name, column) in columns {
        m.element().int(1, column.kind()).int(3, i32::from(column.is_optional())).text(4, name);
        if matches!(column, Column::Texts(_)) {
            m.int(6, UTF8);
        }
        if matches!(column, Column::Instants(_)) {
            m.int(6, TIMESTAMP_MICROS);
        }
        m.close();
    }
    m.long(3, rows).list(4, 1).element().list(1, chunks.len());
    for ((name, column), c) in columns.iter().zip(chunks) {
        m.element().long(2, c.start).open(3).int(1, column.kind());
        let encodings: &[i32] =
            if c.dictionary.is_some() { &[PLAIN, RLE, RLE_DICTIONARY] } else { &[PLAIN, RLE] };
        m.ints(2, encodings).texts(3, &[name]).int(4, GZIP).long(5, rows);
        m.long(6, c.unpacked).long(7, c.packed).long(9, c.data);
        if let Some(at) = c.dictionary {
            m.long(11, at);
        }
        if !column.is_optional() {
            // Statistics: no nulls. Without these fastparquet reads integers as floats.
            m.open(12).long(3, 0).close();
        }
        m.close().close();
    }
    m.long(2, chunks.iter().map(|c| c.unpacked).sum()).long(3, rows).close();
    m.text(6, concat!("graticule ", env!("CARGO_PKG_VERSION")));
    m.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_a_count_and_a_value() {
        let mut out = Vec::new();
        runs([7, 7, 7, 300].into_iter(), 2, &mut out);
        assert_eq!(out, [6, 7, 0, 2, 44, 1]);
        let mut out = Vec::new();
        levels([true; 200].into_iter(), &mut out).unwrap();
        // 200 of them: 400 as a varint.
        assert_eq!(out, [3, 0, 0, 0, 0x90, 0x03, 1]);
    }

    #[test]
    fn a_file_is_between_two_marks_and_says_where_its_footer_is() {
        let columns = [
            ("path", Column::Texts(vec![Some("/a.nc"), None, Some("/a.nc")])),
            ("size", Column::Ints(vec![1, 0, 3])),
        ];
        let bytes = file(&columns).unwrap();
        assert!(bytes.starts_with(MAGIC) && bytes.ends_with(MAGIC));
        let n = bytes.len();
        let length = i32::from_le_bytes(bytes[n - 8..n - 4].try_into().unwrap()) as usize;
        let footer = &bytes[n - 8 - length..n - 8];
        // Version 2, then a list of three structures that begins with the schema's name.
        assert_eq!(&footer[..6], [0x15, 4, 0x19, 0x3c, 0x48, 6]);
        assert!(footer[6..].starts_with(b"schema"));
        let uneven = [("a", Column::Ints(vec![1])), ("b", Column::Ints(vec![]))];
        assert!(file(&uneven).is_err());
    }
}
