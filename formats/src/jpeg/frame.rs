//! What a picture is made of (T.81 B.2.2).

/// One component, as the frame header declares it.
pub(crate) struct Component {
    pub(crate) id: u8,
    /// Sampling factors, 1 to 4: of `Frame::max_h` and `Frame::max_v` samples it has `h` and `v`.
    pub(crate) h: usize,
    pub(crate) v: usize,
    /// Which table its coefficients are multiplied by.
    pub(crate) quantisation: usize,
    /// Blocks of a scan of this component alone (T.81 A.2.2).
    pub(crate) across: usize,
    pub(crate) down: usize,
    /// Samples that a block becomes along each direction: 8, or 16 where twice as many are needed.
    pub(crate) block_width: usize,
    pub(crate) block_height: usize,
    /// Samples in memory: whole units of interleaved blocks.
    pub(crate) stride: usize,
    pub(crate) rows: usize,
}

pub(crate) struct Frame {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) max_h: usize,
    pub(crate) max_v: usize,
    pub(crate) components: Vec<Component>,
}

impl Frame {
    /// Reads the parameters of a start-of-frame segment.
    pub(super) fn read(segment: &[u8], max_width: usize, max_height: usize) -> Result<Self, String> {
        let [precision, h1, h0, w1, w0, n, rest @ ..] = segment else {
            return Err("its frame header is cut off".into());
        };
        if *precision != 8 {
            return Err(format!("its samples have {precision} bits; 8 are read"));
        }
        let (width, height) =
            (usize::from(u16::from_be_bytes([*w1, *w0])), usize::from(u16::from_be_bytes([*h1, *h0])));
        if width == 0 || height == 0 || width > max_width || height > max_height {
            return Err(format!(
                "its picture is {width} x {height}; 1 x 1 to {max_width} x {max_height} is expected"
            ));
        }
        let (entries, tail) = rest.as_chunks::<3>();
        if !(1..=4).contains(n) || entries.len() != usize::from(*n) || !tail.is_empty() {
            return Err(format!(
                "its frame declares {n} components in {} bytes; 1 to 4 of 3 bytes are read",
                rest.len()
            ));
        }
        let factors = |e: &[u8; 3]| (usize::from(e[1] >> 4), usize::from(e[1] & 15));
        if let Some(e) =
            entries.iter().find(|e| !(1..=4).contains(&factors(e).0) || !(1..=4).contains(&factors(e).1))
        {
            return Err(format!("its sampling factors are {:?}; 1 to 4 are allowed", factors(e)));
        }
        let max_h = entries.iter().map(|e| factors(e).0).max().unwrap_or(1);
        let max_v = entries.iter().map(|e| factors(e).1).max().unwrap_or(1);
        let mut components = Vec::with_capacity(entries.len());
        for e in entries {
            let (h, v) = factors(e);
            if max_h % h != 0 || max_v % v != 0 || e[2] > 3 {
                return Err(format!(
                    "a component has sampling factors {h} x {v} of {max_h} x {max_v} and quantisation table {}; \
                     divisors and tables 0 to 3 are read",
                    e[2]
                ));
            }
            let [block_width, block_height] = [max_h / h, max_v / v].map(|n| if n % 2 == 0 { 16 } else { 8 });
            components.push(Component {
                id: e[0],
                h,
                v,
                quantisation: usize::from(e[2]),
                across: (width * h).div_ceil(8 * max_h),
                down: (height * v).div_ceil(8 * max_v),
                block_width,
                block_height,
                stride: width.div_ceil(8 * max_h) * block_width * h,
                rows: height.div_ceil(8 * max_v) * block_height * v,
            });
        }
        Ok(Self { width, height, max_h, max_v, components })
    }
}
