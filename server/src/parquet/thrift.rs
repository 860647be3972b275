//! Thrift's compact protocol, written: what Parquet's headers are in.
//!
//! Every structure is a run of fields, each with the distance of its number from the one before
//! and a type, and ends with a zero (THRIFT-110, "compact protocol").

/// Types of fields and elements.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A structure being written.
#[derive(Default)]
pub(super) struct Thrift {
    out: Vec<u8>,
    /// Number of the last field of the structure at hand, and of those around it.
    last: i16,
    around: Vec<i16>,
}

impl Thrift {
    /// Seven bits at a time, the lowest first.
    pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }

    /// Numbers with a sign: small ones are short.
    fn zigzag(&mut self, value: i64) {
        Self::varint(((value << 1) ^ (value >> 63)) as u64, &mut self.out);
    }

    /// Numbers of fields here are at most 15 apart and rise.
    fn field(&mut self, number: i16, kind: u8) {
        let step = number - self.last;
        debug_assert!((1..=15).contains(&step), "field {number} after {}", self.last);
        self.out.push((step as u8) << 4 | kind);
        self.last = number;
    }

    pub(super) fn int(&mut self, number: i16, value: i32) -> &mut Self {
        self.field(number, I32);
        self.zigzag(i64::from(value));
        self
    }

    pub(super) fn long(&mut self, number: i16, value: i64) -> &mut Self {
        self.field(number, I64);
        self.zigzag(value);
        self
    }

    fn binary(&mut self, text: &str) {
        Self::varint(text.len() as u64, &mut self.out);
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn text(&mut self, number: i16, text: &str) -> &mut Self {
        self.field(number, BINARY);
        self.binary(text);
        self
    }

    fn begin_list(&mut self, number: i16, len: usize, kind: u8) {
        self.field(number, LIST);
        if len < 15 {
            self.out.push((len as u8) << 4 | kind);
        } else {
            self.out.push(0xf0 | kind);
            Self::varint(len as u64, &mut self.out);
        }
    }

    /// A list of structures: each an [`Thrift::element`].
    pub(super) fn list(&mut self, number: i16, len: usize) -> &mut Self {
        self.begin_list(number, len, STRUCT);
        self
    }

    pub(super) fn ints(&mut self, number: i16, values: &[i32]) -> &mut Self {
        self.begin_list(number, values.len(), I32);
        values.iter().for_each(|v| self.zigzag(i64::from(*v)));
        self
    }

    pub(super) fn texts(&mut self, number: i16, values: &[&str]) -> &mut Self {
        self.begin_list(number, values.len(), BINARY);
        values.iter().for_each(|v| self.binary(v));
        self
    }

    /// A structure as a field; [`Thrift::close`] ends it.
    pub(super) fn open(&mut self, number: i16) -> &mut Self {
        self.field(number, STRUCT);
        self.element()
    }

    /// A structure in a list; [`Thrift::close`] ends it.
    pub(super) fn element(&mut self) -> &mut Self {
        self.around.push(std::mem::take(&mut self.last));
        self
    }

    pub(super) fn close(&mut self) -> &mut Self {
        self.out.push(0);
        self.last = self.around.pop().unwrap_or_default();
        self
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_distances_and_numbers_are_folded() {
        let mut t = Thrift::default();
        t.int(1, -1).open(5).long(2, 150).close().text(6, "ab").ints(7, &[1, -2]);
        let expected = [0x15, 1, 0x4c, 0x26, 0xac, 0x02, 0, 0x18, 2, b'a', b'b', 0x19, 0x25, 2, 3, 0];
        assert_eq!(t.finish(), expected);
        let mut t = Thrift::default();
        t.texts(1, &["x"; 15]);
        assert_eq!(t.finish()[..4], [0x19, 0xf8, 15, 1]);
    }
}
