//! What is remembered of each cell from one time to the next, in memory while it
//! is small and in an unlinked file where it is not.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes held in memory.
const MEMORY: u64 = 64 << 20;

pub enum State {
    Memory(Vec<f64>),
    Disk(File),
}

impl State {
    /// `len` numbers, all NaN.
    ///
    /// # Errors
    /// The disk is full.
    pub fn new(len: u64, scratch: &Path) -> std::io::Result<Self> {
        let bytes = len.saturating_mul(8);
        if bytes <= MEMORY {
            return Ok(Self::Memory(vec![f64::NAN; len as usize]));
        }
        let file = tempfile::tempfile_in(scratch)?;
        // A hole reads as zeroes: what is stored is the complement, so that zero is NaN.
        file.set_len(bytes)?;
        Ok(Self::Disk(file))
    }

    /// Lets `change` see and set the numbers `from..from + n`.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn with<T>(
        &mut self,
        from: u64,
        n: usize,
        change: impl FnOnce(&mut [f64]) -> T,
    ) -> std::io::Result<T> {
        match self {
            Self::Memory(all) => {
                let from = from as usize;
                let slot = all.get_mut(from..from + n);
                Ok(change(slot.ok_or_else(|| std::io::Error::other("a cell outside of the grid"))?))
            }
            Self::Disk(file) => {
                let mut bytes = vec![0; n * 8];
                file.read_exact_at(&mut bytes, from * 8)?;
                let (words, _) = bytes.as_chunks::<8>();
                let mut numbers: Vec<f64> = words
                    .iter()
                    .map(|w| f64::from_bits(u64::from_ne_bytes(*w) ^ f64::NAN.to_bits()))
                    .collect();
                let out = change(&mut numbers);
                let bytes: Vec<u8> =
                    numbers.iter().flat_map(|v| (v.to_bits() ^ f64::NAN.to_bits()).to_ne_bytes()).collect();
                file.write_all_at(&bytes, from * 8)?;
                Ok(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_disk_remember_alike() {
        let dir = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(dir.path()).unwrap();
        file.set_len(80).unwrap();
        for mut s in [State::new(10, dir.path()).unwrap(), State::Disk(file)] {
            s.with(2, 3, |v| {
                assert!(v.iter().all(|x| x.is_nan()));
                v.copy_from_slice(&[1.0, f64::NAN, -3.5]);
            })
            .unwrap();
            let (a, b, c) = s.with(1, 4, |v| (v[1], v[2], v[3])).unwrap();
            assert_eq!((a, c), (1.0, -3.5));
            assert!(b.is_nan());
        }
    }
}
