//! Huffman codes and the bits that they are read from (T.81 annexes C and F.2.2).

/// A table of codes: the longest are 16 bits, the first 9 are looked up at once.
pub(super) struct Codes {
    values: Vec<u8>,
    /// By the next nine bits: length of the code, and its value; length 0 where it is longer.
    short: Box<[(u8, u8); 512]>,
    /// By length: one more than the largest code, left-aligned in 16 bits.
    limit: [u32; 17],
    /// By length: what added to a code gives its place in `values`.
    offset: [i32; 17],
}

impl Codes {
    /// From the number of codes of each length, 1 to 16, and their values in order.
    pub(super) fn new(counts: &[u8; 16], values: &[u8]) -> Result<Self, String> {
        let mut codes =
            Self { values: values.to_vec(), short: Box::new([(0, 0); 512]), limit: [0; 17], offset: [0; 17] };
        let (mut code, mut k) = (0u32, 0usize);
        for (length, count) in (1..=16).zip(counts) {
            codes.offset[length] = k as i32 - code as i32;
            for _ in 0..*count {
                if code >= 1 << length {
                    return Err(format!("its Huffman table has too many codes of {length} bits"));
                }
                if length <= 9 {
                    let value = values.get(k).copied().unwrap_or_default();
                    let first = (code as usize) << (9 - length);
                    codes.short[first..first + (1 << (9 - length))].fill((length as u8, value));
                }
                code += 1;
                k += 1;
            }
            codes.limit[length] = code << (16 - length);
            code <<= 1;
        }
        Ok(codes)
    }
}

/// The bits of a scan, without the zero that follows each byte 255.
pub(super) struct Bits<'a> {
    stream: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
    /// Bits that were asked for beyond the last: a scan that is cut off ends in zeros.
    beyond: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(stream: &'a [u8], at: usize) -> Self {
        Self { stream, at, held: 0, count: 0, beyond: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match (self.stream.get(self.at), self.stream.get(self.at + 1)) {
                (Some(0xff), Some(0)) => {
                    self.at += 2;
                    0xff
                }
                // A marker, or the end: nothing but zeros follows.
                (Some(0xff), _) | (None, _) => {
                    self.beyond += 8;
                    0
                }
                (Some(byte), _) => {
                    self.at += 1;
                    *byte
                }
            };
            self.held |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn peek(&mut self, n: u32) -> u32 {
        if self.count < n {
            self.fill();
        }
        (self.held >> (64 - n)) as u32
    }

    fn skip(&mut self, n: u32) {
        self.held <<= n;
        self.count -= n;
    }

    pub(super) fn code(&mut self, codes: &Codes) -> Result<u8, String> {
        let next = self.peek(16);
        let (length, value) = codes.short[(next >> 7) as usize];
        if length > 0 {
            self.skip(u32::from(length));
            return Ok(value);
        }
        let length =
            (10..=16).find(|l| next < codes.limit[*l]).ok_or("a code in its scan is in no Huffman table")?;
        self.skip(length as u32);
        let k = (next >> (16 - length)) as i32 + codes.offset[length];
        codes
            .values
            .get(k as usize)
            .copied()
            .ok_or_else(|| "a code in its scan is in no Huffman table".into())
    }

    /// A number of `n` bits, 0 to 15, the smaller half of which are negative (T.81 F.2.2.1).
    pub(super) fn signed(&mut self, n: u8) -> i32 {
        if n == 0 {
            return 0;
        }
        let bits = self.peek(u32::from(n)) as i32;
        self.skip(u32::from(n));
        if bits < 1 << (n - 1) { bits - (1 << n) + 1 } else { bits }
    }

    /// True where more was read than there is.
    pub(super) fn ran_out(&self) -> bool {
        self.beyond > self.count
    }

    /// Goes on behind the restart marker that is due; `None` where there is none.
    pub(super) fn restart(&mut self) -> Option<()> {
        let rest = self.stream.get(self.at..)?;
        let marker = rest.windows(2).position(|w| w[0] == 0xff && w[1] != 0 && w[1] != 0xff)?;
        if !(0xd0..=0xd7).contains(&rest[marker + 1]) {
            return None;
        }
        *self = Self::new(self.stream, self.at + marker + 2);
        Some(())
    }

    /// Where the next marker is looked for.
    pub(super) fn position(&self) -> usize {
        self.at
    }
}
