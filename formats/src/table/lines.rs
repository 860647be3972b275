//! Lines of a file, one at a time.

use hdf5_reader::Storage;

use crate::FormatError;

/// Read from the file at a time.
const BLOCK: usize = 256 << 10;
/// A longer line is no row of a table.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// Lines end in LF, CR LF, LF CR (the Global Meteor Network), or, where the file has no
/// LF at its beginning, CR alone. None of these bytes is part of the line.
pub(crate) struct Lines<'a> {
    file: &'a str,
    storage: &'a dyn Storage,
    end_byte: u8,
    block: Vec<u8>,
    /// Next byte of `block`.
    at: usize,
    /// Where in the file the block after this one begins.
    offset: u64,
    number: u64,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(file: &'a str, storage: &'a dyn Storage, end_byte: u8) -> Self {
        Self { file, storage, end_byte, block: Vec::new(), at: 0, offset: 0, number: 0 }
    }

    /// Reads the next line into `line` and returns its number, from 1; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or a line that is too long.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> Result<Option<u64>, FormatError> {
        line.clear();
        let begin = self.offset - (self.block.len() - self.at) as u64;
        let mut any = false;
        loop {
            if self.at == self.block.len() {
                let left = self.storage.len().saturating_sub(self.offset);
                if left == 0 {
                    break;
                }
                let len = left.min(BLOCK as u64) as usize;
                let read = self.storage.read_range(self.offset, len).map_err(|e| {
                    FormatError::new(self.file, format!("{len} bytes cannot be read: {e}"))
                        .at_byte(self.offset)
                })?;
                self.block.clear();
                self.block.extend_from_slice(&read);
                self.offset += len as u64;
                self.at = 0;
            }
            any = true;
            let rest = &self.block[self.at..];
            let end = rest.iter().position(|b| *b == self.end_byte);
            let part = &rest[..end.unwrap_or(rest.len())];
            if line.len() + part.len() > MAX_LINE {
                return Err(FormatError::new(
                    self.file,
                    format!(
                        "line {} is longer than {MAX_LINE} bytes; expected rows of a table, one a line",
                        self.number + 1
                    ),
                )
                .at_byte(begin));
            }
            line.extend_from_slice(part);
            self.at += part.len() + usize::from(end.is_some());
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        while line.last() == Some(&b'\r') {
            line.pop();
        }
        let leading = line.iter().take_while(|b| **b == b'\r').count();
        line.drain(..leading);
        self.number += 1;
        Ok(Some(self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdf5_reader::BytesStorage;

    fn all(text: &[u8], end_byte: u8) -> Vec<(u64, String)> {
        let storage = BytesStorage::new(text.to_vec());
        let mut lines = Lines::new("t", &storage, end_byte);
        let (mut line, mut out) = (Vec::new(), Vec::new());
        while let Some(n) = lines.next(&mut line).unwrap() {
            out.push((n, String::from_utf8(line.clone()).unwrap()));
        }
        out
    }

    #[test]
    fn every_way_to_end_a_line_is_one() {
        let two = vec![(1, "a".to_owned()), (2, "b".to_owned())];
        for text in ["a\nb\n", "a\r\nb\r\n", "a\n\rb", "a\nb"] {
            assert_eq!(all(text.as_bytes(), b'\n'), two, "{text:?}");
        }
        assert_eq!(all(b"a\rb\r", b'\r'), two);
        assert_eq!(all(b"", b'\n'), []);
    }

    #[test]
    fn a_line_across_blocks_is_whole_and_one_too_long_is_refused() {
        let long = "x".repeat(BLOCK + 10);
        assert_eq!(all(format!("a\n{long}\nb").as_bytes(), b'\n')[1], (2, long));
        let storage = BytesStorage::new(vec![b'x'; MAX_LINE + 1]);
        let e = Lines::new("t", &storage, b'\n').next(&mut Vec::new()).unwrap_err();
        assert!(e.reason.contains("line 1 is longer than 1048576 bytes"), "{e}");
    }
}
