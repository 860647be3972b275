//! Part of a stored array, block by block.

use super::Snapshot;

/// The hyperslab `start`, `count` of a stored array: native-endian bytes in C order, in the stored type.
///
/// # Errors
/// No such array, another number of dimensions, a block that does not read.
pub async fn slab(snapshot: &Snapshot, path: &str, start: &[u64], count: &[u64]) -> anyhow::Result<Vec<u8>> {
    let array = snapshot.hierarchy().arrays.get(path).ok_or_else(|| anyhow::anyhow!("no such array"))?;
    let dtype = array.dtype.ok_or_else(|| anyhow::anyhow!("not numeric"))?;
    let (size, rank) = (dtype.size(), start.len());
    anyhow::ensure!(rank == array.shape.len() && count.len() == rank, "wrong number of dimensions");
    let block = array.block_shape();
    let mut out = vec![0; count.iter().product::<u64>() as usize * size];
    if out.is_empty() {
        return Ok(out);
    }
    let first: Vec<u64> = (0..rank).map(|a| start[a] / block[a]).collect();
    let last: Vec<u64> = (0..rank).map(|a| (start[a] + count[a] - 1) / block[a]).collect();
    let mut at = first.clone();
    loop {
        let bytes = snapshot.read_block(array, &at).await?;
        // The part of this block that is asked for, row by row of the last axis.
        let lo: Vec<u64> = (0..rank).map(|a| start[a].max(at[a] * block[a])).collect();
        let hi: Vec<u64> = (0..rank).map(|a| (start[a] + count[a]).min((at[a] + 1) * block[a])).collect();
        let run = if rank == 0 { size } else { (hi[rank - 1] - lo[rank - 1]) as usize * size };
        let mut index = lo.clone();
        loop {
            let (mut from, mut to) = (0u64, 0u64);
            for a in 0..rank {
                from = from * block[a] + (index[a] - at[a] * block[a]);
                to = to * count[a] + (index[a] - start[a]);
            }
            let (from, to) = (from as usize * size, to as usize * size);
            out[to..to + run].copy_from_slice(&bytes[from..from + run]);
            let Some(a) = (0..rank.saturating_sub(1)).rev().find(|a| index[*a] + 1 < hi[*a]) else { break };
            index[a] += 1;
            index[(a + 1)..rank].copy_from_slice(&lo[(a + 1)..rank]);
        }
        let Some(a) = (0..rank).rev().find(|a| at[*a] < last[*a]) else { break };
        at[a] += 1;
        at[(a + 1)..rank].copy_from_slice(&first[(a + 1)..rank]);
    }
    Ok(out)
}
