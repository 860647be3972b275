//! One array of a store: which block holds an element, which object a block.

use graticule_shared::codec::{Chain, CodecError};
use graticule_shared::zarr::{ArrayMeta, ZarrFormat};

/// A block of an array: its number counts blocks in C order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockKey {
    pub array: u32,
    pub number: u64,
}

#[derive(Debug)]
pub struct Source {
    pub id: u32,
    /// Absolute URL of the hierarchy, without a slash at the end.
    pub base: String,
    pub meta: ArrayMeta,
    pub chain: Chain,
    /// Blocks along each dimension.
    blocks: Vec<u64>,
}

impl Source {
    /// # Errors
    /// A codec that the decoder does not have, a block that is too large.
    pub fn new(id: u32, base: &str, meta: &ArrayMeta, format: ZarrFormat) -> Result<Self, CodecError> {
        let chain = Chain::new(meta, format)?;
        let blocks = meta.shape.iter().zip(meta.block_shape()).map(|(n, b)| n.div_ceil(*b)).collect();
        Ok(Self { id, base: base.to_owned(), meta: meta.clone(), chain, blocks })
    }

    pub fn block_count(&self) -> u64 {
        self.blocks.iter().product()
    }

    pub fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// Key of the block with this index along each dimension.
    pub fn key(&self, index: &[u64]) -> BlockKey {
        let number = index.iter().zip(&self.blocks).fold(0, |n, (i, count)| n * count + i);
        BlockKey { array: self.id, number }
    }

    pub fn index(&self, key: BlockKey) -> Vec<u64> {
        let mut rest = key.number;
        let mut index: Vec<u64> = self
            .blocks
            .iter()
            .rev()
            .map(|count| {
                let i = rest % count.max(&1);
                rest /= count.max(&1);
                i
            })
            .collect();
        index.reverse();
        index
    }

    /// Index of the stored object that holds a block, and the block's number in it.
    pub fn object_of(&self, key: BlockKey) -> (Vec<u64>, usize) {
        let index = self.index(key);
        let mut inner = 0;
        let object = index
            .iter()
            .enumerate()
            .map(|(d, i)| {
                let per = self.inner_along(d);
                inner = inner * per + i % per;
                i / per
            })
            .collect();
        (object, inner as usize)
    }

    /// Inner chunks of a shard along dimension `d`; 1 where there are no shards.
    fn inner_along(&self, d: usize) -> u64 {
        let block = self.meta.block_shape().get(d).copied().unwrap_or(1).max(1);
        (self.meta.chunk_shape.get(d).copied().unwrap_or(1) / block).max(1)
    }

    /// Inner chunks in a shard.
    pub fn inner_count(&self) -> u64 {
        (0..self.blocks.len()).map(|d| self.inner_along(d)).product()
    }

    pub fn object_url(&self, object: &[u64]) -> String {
        format!("{}/{}", self.base, self.meta.chunk_key(object))
    }

    /// Number of an object, for use as a key.
    pub fn object_number(&self, object: &[u64]) -> u64 {
        object.iter().zip(self.meta.grid_shape()).fold(0, |n, (i, count)| n * count + i)
    }

    /// Native bytes of one element of the fill value.
    pub fn fill(&self) -> Vec<u8> {
        use graticule_shared::dtype::DataType as T;
        let v = self.meta.fill_f64().unwrap_or(0.0);
        match self.chain.dtype {
            T::Int8 => (v as i8).to_ne_bytes().to_vec(),
            T::UInt8 => (v as u8).to_ne_bytes().to_vec(),
            T::Int16 => (v as i16).to_ne_bytes().to_vec(),
            T::UInt16 => (v as u16).to_ne_bytes().to_vec(),
            T::Int32 => (v as i32).to_ne_bytes().to_vec(),
            T::UInt32 => (v as u32).to_ne_bytes().to_vec(),
            T::Int64 => (v as i64).to_ne_bytes().to_vec(),
            T::UInt64 => (v as u64).to_ne_bytes().to_vec(),
            T::Float32 => (v as f32).to_ne_bytes().to_vec(),
            T::Float64 => v.to_ne_bytes().to_vec(),
        }
    }

    /// True where stored bytes are the elements already.
    pub fn is_plain(&self) -> bool {
        self.chain.steps.is_empty()
            && self.chain.order.is_empty()
            && (self.chain.big_endian == cfg!(target_endian = "big"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_shared::zarr::Hierarchy;

    fn sharded() -> Source {
        let text = br#"{"zarr_format":3,"node_type":"array","shape":[5,300,500],"data_type":"int16","fill_value":-1,
            "chunk_grid":{"name":"regular","configuration":{"chunk_shape":[2,256,512]}},
            "chunk_key_encoding":{"name":"default"},
            "codecs":[{"name":"sharding_indexed","configuration":{"chunk_shape":[1,64,128],
            "codecs":[{"name":"bytes"},{"name":"zstd"}],"index_codecs":[{"name":"bytes"},{"name":"crc32c"}]}}]}"#;
        let h = Hierarchy::from_v3(text).unwrap();
        Source::new(7, "https://host/store", h.arrays.values().next().unwrap(), h.format).unwrap()
    }

    #[test]
    fn a_fill_value_is_read_to_the_last_bit() {
        // NetCDF's own for float64: the last bit tells it from another number.
        let text = br#"{"zarr_format":3,"node_type":"array","shape":[2],"data_type":"float64",
            "fill_value":9.969209968386869e36,"chunk_grid":{"name":"regular","configuration":{"chunk_shape":[2]}},
            "chunk_key_encoding":{"name":"default"},"codecs":[{"name":"bytes","configuration":{"endian":"little"}}]}"#;
        let h = Hierarchy::from_v3(text).unwrap();
        let s = Source::new(7, "https://host/store", h.arrays.values().next().unwrap(), h.format).unwrap();
        assert_eq!(s.fill(), 9.969_209_968_386_869e36_f64.to_ne_bytes());
    }

    #[test]
    fn a_block_of_a_shard_is_found_and_numbered() {
        let s = sharded();
        assert_eq!(s.blocks(), [5, 5, 4]);
        let key = s.key(&[3, 4, 2]);
        assert_eq!(s.index(key), [3, 4, 2]);
        assert_eq!(s.object_of(key), (vec![1, 1, 0], 18));
        assert_eq!(s.inner_count(), 32);
        assert_eq!(s.object_url(&[1, 1, 0]), "https://host/store/c/1/1/0");
        assert_eq!(s.fill(), (-1i16).to_ne_bytes());
    }
}
