//! Run-length packing with level values (template 5.200), as JMA uses it.

use super::super::bits::Bits;
use super::super::octets::{Fault, Result, decimal};

/// Numbers up to `largest` are levels; those above are digits, base
/// `2^bits - 1 - largest`, of how often the level before is repeated. Level 0 is
/// no value; level `n` means `levels[n - 1] * 10^-decimal`.
pub(super) fn unpack(
    bits: u32,
    largest: u32,
    levels: &[u16],
    factor: i32,
    data: &[u8],
    count: usize,
    out: &mut Vec<f32>,
) -> Result<()> {
    if bits == 0 || bits > 16 {
        return Err(Fault::new(format!("run-length packing of {bits} bits; 1 to 16 are read")));
    }
    let top = (1u32 << bits) - 1;
    let base = top
        .checked_sub(largest)
        .map(u64::from)
        .ok_or_else(|| Fault::new(format!("the largest level {largest} does not fit into {bits} bits")))?;
    let values: Vec<f32> = std::iter::once(f32::NAN)
        .chain(levels.iter().map(|l| decimal(i32::from(*l), factor) as f32))
        .collect();
    let end = out.len() + count;
    let mut stream = Bits::new(data);
    let mut run: Option<(f32, u64, u64)> = None;
    let flush = |run: &mut Option<(f32, u64, u64)>, out: &mut Vec<f32>| -> Result<()> {
        let Some((value, times, _)) = run.take() else { return Ok(()) };
        if times > (end - out.len()) as u64 {
            return Err(Fault::new(format!("the runs hold more than the {count} values declared")));
        }
        out.resize(out.len() + times as usize, value);
        Ok(())
    };
    // Bits that pad the last octet are no number.
    let numbers = data.len() as u64 * 8 / u64::from(bits);
    for _ in 0..numbers {
        let v = stream.next(bits)?;
        if v <= largest {
            flush(&mut run, out)?;
            if out.len() == end {
                break;
            }
            let value = values
                .get(v as usize)
                .copied()
                .ok_or_else(|| Fault::new(format!("level {v} is used; the table has {}", levels.len())))?;
            run = Some((value, 1, 1));
        } else {
            let Some((_, times, power)) = &mut run else {
                return Err(Fault::new("a run length comes before any level"));
            };
            let digit = u64::from(v - largest - 1);
            *times = times.saturating_add(digit.saturating_mul(*power));
            *power = power.saturating_mul(base);
        }
    }
    flush(&mut run, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_digits_of_the_base_that_the_levels_leave() {
        // 4 bits, largest level 10, so base 5: 3, then 15-ary digits (4 + 1*5) => 1 + 9 times; 0 once.
        let data = [3 << 4 | 15, 12 << 4];
        let mut out = Vec::new();
        unpack(4, 10, &[10, 20, 30], 1, &data, 11, &mut out).unwrap();
        assert_eq!(out[..10], [3.0; 10]);
        assert!(out[10].is_nan());
        assert!(unpack(4, 10, &[10, 20, 30], 1, &data, 5, &mut Vec::new()).is_err());
    }
}
