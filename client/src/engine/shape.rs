//! What a frame does for grids that meshes draw.

use std::rc::Rc;

use graticule_shared::raster::Projection;

use crate::engine::run::{Engine, now_ms};
use crate::engine::state::{Layer, State};
use crate::engine::terrain::Terrain;
use crate::render::field::Field;
use crate::render::gpu::Gpu;
use crate::render::warp::Page;
use crate::view::levels::PageId;

/// How long one frame may make meshes.
const BUILD_MS: f64 = 12.0;

/// Level and pages of the view.
pub(super) fn plan_terrain(s: &mut State, terrain: &Terrain) {
    let Some(layer) = &s.layer else { return };
    let ground = &terrain.ground;
    s.plan = ground.plan(&s.camera, s.ratio, &layer.grids);
    s.cell_px = ground.cell_px(&s.camera, s.ratio).unwrap_or(1.0);
    s.columns.clear();
    s.rows.clear();
    s.window = None;
    s.place += 1;
}

/// What a picture of `layer` draws, first drawn first: the pages of `level`, then,
/// where one of them is missing, finer ones that are still here and coarser ones.
pub(super) fn terrain_pages(
    s: &State,
    layer: &Layer,
    terrain: &Terrain,
    field: &Field,
    level: usize,
    wanted: bool,
) -> Vec<Page> {
    let globe = s.camera.projection == Projection::Globe;
    let page = |id: PageId| {
        let layer_number = field.layer_of(id)?;
        let size = layer.grids.get(usize::from(id.level))?.cut(id).size;
        field.warp.has(id, globe).then_some(Page { id, layer: layer_number, size })
    };
    let Some(grid) = layer.grids.get(level) else { return Vec::new() };
    let own = if wanted { s.plan.pages.clone() } else { terrain.ground.pages(level, grid, &s.camera) };
    let mut out: Vec<Page> = own.iter().filter_map(|id| page(*id)).collect();
    if out.len() < own.len() {
        let others = (0..level).rev().chain(level + 1..layer.grids.len());
        out.extend(others.flat_map(|l| field.warp.pages(l, globe)).filter_map(page));
    }
    out
}

impl Engine {
    /// Makes the meshes of the pages in view. True where some are left for the next frame.
    pub(super) fn build_meshes(&self, s: &mut State, gpu: &Rc<Gpu>) -> bool {
        let globe = s.camera.projection == Projection::Globe;
        let cell_px = s.cell_px;
        let Some(layer) = &mut s.layer else { return false };
        let (Some(terrain), Some(field)) = (&layer.terrain, &mut layer.field) else { return false };
        let start = now_ms();
        for page in s.plan.pages.iter().chain(&s.plan.background) {
            let Some(grid) = layer.grids.get(usize::from(page.level)) else { continue };
            let step = terrain.step(usize::from(page.level), grid, globe, cell_px);
            if field.warp.has_step(*page, globe, step) {
                continue;
            }
            if now_ms() - start > BUILD_MS {
                return true;
            }
            if let Some((cap, mesh)) = terrain.mesh(&self.loader, *page, grid, globe, step) {
                field.warp.put(gpu, *page, globe, step, cap, &mesh);
                s.draw_dirty = true;
            }
        }
        false
    }
}
