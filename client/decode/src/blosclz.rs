//! BloscLZ, the codec that c-blosc uses unless told otherwise; after
//! `blosclz_decompress` of c-blosc 1.21.

const MAX_DISTANCE: usize = 8191;

/// Fills `out` from `stream`; how many bytes it wrote, or `None` where the stream is damaged.
pub fn decompress(stream: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut input = stream.iter().copied();
    let mut at = 0usize;
    let mut control = usize::from(input.next()? & 31);
    loop {
        if control >= 32 {
            let mut length = (control >> 5) - 1;
            let mut distance = (control & 31) << 8;
            if length == 6 {
                loop {
                    let more = input.next()?;
                    length += usize::from(more);
                    if more != 255 {
                        break;
                    }
                }
            }
            let code = usize::from(input.next()?);
            length += 3;
            distance += code;
            if code == 255 && distance == (31 << 8) + 255 {
                let (high, low) = (usize::from(input.next()?), usize::from(input.next()?));
                distance = (high << 8) + low + MAX_DISTANCE;
            }
            let from = at.checked_sub(distance + 1)?;
            if at + length > out.len() {
                return None;
            }
            for i in 0..length {
                out[at + i] = out[from + i];
            }
            at += length;
        } else {
            let run = control + 1;
            let target = out.get_mut(at..at + run)?;
            for byte in target {
                *byte = input.next()?;
            }
            at += run;
        }
        match input.next() {
            Some(next) => control = usize::from(next),
            None => return Some(at),
        }
    }
}
