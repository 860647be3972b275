//! LZF, which h5py writes.

use hdf5_reader::error::Result;

use super::failed;

/// Input that ends early is damage.
struct Input<'a>(std::slice::Iter<'a, u8>);

impl Input<'_> {
    fn byte(&mut self) -> Option<usize> {
        self.0.next().map(|b| usize::from(*b))
    }

    fn literals(&mut self, n: usize, out: &mut Vec<u8>) -> Option<()> {
        let (run, rest) = self.0.as_slice().split_at_checked(n)?;
        out.extend_from_slice(run);
        self.0 = rest.iter();
        Some(())
    }
}

/// Repeats `n` bytes from `distance` back; they may overlap what is written.
fn repeat(out: &mut Vec<u8>, distance: usize, n: usize) -> Option<()> {
    let from = out.len().checked_sub(distance)?;
    if distance >= n {
        out.extend_from_within(from..from + n);
    } else {
        for i in from..from + n {
            out.push(*out.get(i)?);
        }
    }
    Some(())
}

/// LibLZF: Marc Lehmann's format, HDF5 filter 32000.
pub(super) fn lzf(data: &[u8], limit: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut input = Input(data.iter());
    let mut step = || -> Option<()> {
        while let Some(control) = input.byte() {
            if control < 32 {
                input.literals(control + 1, &mut out)?;
            } else {
                let mut n = control >> 5;
                if n == 7 {
                    n += input.byte()?;
                }
                let distance = ((control & 31) << 8) + input.byte()? + 1;
                repeat(&mut out, distance, n + 2)?;
            }
            if out.len() > limit {
                return None;
            }
        }
        Some(())
    };
    step().ok_or_else(|| {
        failed("LZF", format!("the chunk is damaged, or decodes to more than {limit} bytes"))
    })?;
    Ok(out)
}
