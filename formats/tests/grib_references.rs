//! Messages read in their place are the fields that the file's reader reads.

mod sample;

use graticule_formats::{FileCodec, Limits, Source, open};

/// Start and extent of a chunk by its number.
fn chunk(shape: &[u64], chunks: &[u64], mut index: u64) -> Vec<u64> {
    let mut start = vec![0; shape.len()];
    for a in (0..shape.len()).rev() {
        let n = shape[a].div_ceil(chunks[a]);
        start[a] = index % n * chunks[a];
        index /= n;
    }
    start
}

/// Chunks compared; why variables cannot be referred to.
fn compare(source: &dyn Source, bytes: &[u8], refused: &mut Vec<String>) -> usize {
    let mut compared = 0;
    for v in &source.header().variables {
        let stored = match source.stored(&v.path) {
            Ok(stored) => stored,
            Err(e) => {
                refused.push(e.to_string());
                continue;
            }
        };
        if stored.spans.is_empty() {
            let all: Vec<u8> = stored.inline.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            assert!(all == source.read(&v.path, &vec![0; v.shape.len()], &v.shape).unwrap(), "{}", v.path);
            continue;
        }
        assert!(FileCodec::is_one(&stored.codecs));
        let codec = FileCodec::new(&stored.codecs, &stored.chunk_shape, v.dtype, 1 << 28).unwrap();
        for span in &stored.spans {
            let start = chunk(&v.shape, &stored.chunk_shape, span.index);
            let expected = source.read(&v.path, &start, &stored.chunk_shape).unwrap();
            let message = &bytes[span.offset as usize..(span.offset + span.length) as usize];
            assert!(message.starts_with(b"GRIB") && message.ends_with(b"7777"), "{}", v.path);
            assert!(codec.decode(message).unwrap() == expected, "{} chunk {start:?}", v.path);
            compared += 1;
        }
    }
    compared
}

#[test]
fn every_message_decodes_by_itself_to_what_the_file_gives() {
    let Some(data) = sample::dir() else { return };
    let mut files: Vec<_> =
        std::fs::read_dir(data.join("grib")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let (mut compared, mut refused) = (0, Vec::new());
    for path in files.iter().filter(|p| p.is_file()) {
        let Ok(source) = open(path, Limits::default()) else { continue };
        let bytes = std::fs::read(path).unwrap();
        compared += compare(source.as_ref(), &bytes, &mut refused);
    }
    eprintln!("{compared} messages compared; refused:\n{}", refused.join("\n"));
    assert!(compared > 400, "{compared} messages");
    // The one has several times of one variable in a message.
    let known = |r: &String| r.contains("unpack it first") || r.contains("one number for all");
    assert!(refused.iter().all(known), "{refused:?}");
    assert_eq!(refused.iter().filter(|r| r.contains("one number for all")).count(), 1);
}

#[test]
fn a_message_that_is_not_what_the_array_declares_is_refused() {
    let Some(data) = sample::dir() else { return };
    let path = data.join("grib/gfswave_atlocn.grib2");
    let source = open(&path, Limits::default()).unwrap();
    let v = source.header().variables.iter().find(|v| v.chunks.is_some()).unwrap();
    let stored = source.stored(&v.path).unwrap();
    let span = stored.spans[0];
    let bytes = std::fs::read(&path).unwrap();
    let message = &bytes[span.offset as usize..(span.offset + span.length) as usize];
    let new = |shape: &[u64]| FileCodec::new(&stored.codecs, shape, v.dtype, 1 << 28).unwrap();
    let whole = new(&stored.chunk_shape);
    assert!(whole.decode(message).is_ok());
    assert!(whole.decode(&message[..message.len() / 2]).is_err());
    let mut other = stored.chunk_shape.clone();
    *other.last_mut().unwrap() += 1;
    assert!(new(&other).decode(message).unwrap_err().contains("grid"));
    // A small chunk keeps a large grid from being laid out.
    assert!(new(&[1, 2, 2]).decode(message).unwrap_err().contains("points"));
}
