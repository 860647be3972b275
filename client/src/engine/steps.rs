//! Which time steps are here, for the strip: counted from the cache, not from
//! the steps, so that ten thousand steps cost no more than ten.

use std::collections::HashMap;

use crate::chunks::source::BlockKey;
use crate::engine::api::{Signal, StepState};
use crate::engine::run::Engine;
use crate::engine::state::State;

impl Engine {
    pub(super) fn update_steps(&self, s: &mut State) {
        let Some(layer) = &s.layer else { return };
        let Some(dim) = layer.time_dim() else { return };
        let Some(len) = layer.outer().get(dim).and_then(|d| usize::try_from(d.len).ok()) else { return };
        let selection = s.selection();
        // Blocks that the view needs, without their place along time.
        let mut needed: HashMap<BlockKey, ()> = HashMap::new();
        let Some(source) = layer.sources.get(s.plan.level) else { return };
        for page in &s.plan.pages {
            if let Some(p) = layer.place(*page, &selection) {
                let mut index = source.index(p.key);
                if let Some(t) = index.get_mut(dim) {
                    *t = 0;
                }
                needed.insert(source.key(&index), ());
            }
        }
        if needed.is_empty() || len > 1 << 20 {
            return;
        }
        let per_block = source.meta.block_shape().get(dim).copied().unwrap_or(1).max(1) as usize;
        let mut found: HashMap<u64, usize> = HashMap::new();
        self.loader.cached(|key| {
            if key.array == source.id {
                let mut index = source.index(key);
                if let Some(t) = index.get_mut(dim) {
                    let at = std::mem::take(t);
                    if needed.contains_key(&source.key(&index)) {
                        *found.entry(at).or_default() += 1;
                    }
                }
            }
        });
        let mut steps = vec![StepState::Missing; len];
        for (block, count) in found {
            if count >= needed.len() {
                let from = (block as usize).saturating_mul(per_block).min(len);
                let to = (from + per_block).min(len);
                steps[from..to].fill(StepState::Cached);
            }
        }
        let wanted = s.prefetch.iter().copied().chain([s.time_index()]);
        for t in wanted {
            if let Some(state) = steps.get_mut(t as usize).filter(|st| **st == StepState::Missing) {
                *state = StepState::Loading;
            }
        }
        if steps != s.steps {
            s.steps = steps.clone();
            s.say(Signal::Steps(steps));
        }
    }
}
