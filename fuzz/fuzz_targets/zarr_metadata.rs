//! Zarr metadata, v3 and v2, and the cube that is made of it.

#![no_main]

use graticule_shared::codec::Chain;
use graticule_shared::cube::Cube;
use graticule_shared::zarr::Hierarchy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    for hierarchy in [Hierarchy::from_v3(text), Hierarchy::from_v2(text)].into_iter().flatten() {
        for array in hierarchy.arrays.values() {
            let _ = Chain::new(array, hierarchy.format).map(|c| Chain::from_text(&c.to_text()));
            let _ = array.block_metadata();
            let last: Vec<u64> = array.grid_shape().iter().map(|n| n.saturating_sub(1)).collect();
            let _ = array.chunk_key(&last);
        }
        let cube = Cube::new(&hierarchy);
        for v in &cube.variables {
            let _ = (v.label(), v.is_mappable(), v.is_drawable(), v.packing.value(1.0));
        }
    }
});
