//! Meshes of a field's pages on the GPU, and what one picture draws of them.
//!
//! Each pixel is drawn once, marked in the stencil: by the wanted level where its
//! pages are here, else by another. Where a page has no data, nothing shines
//! through from a coarser one, and where cells overlap, opacity does not add up.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};
use graticule_shared::raster::{Camera, Projection, mercator_y};
use wgpu::util::DeviceExt;

use crate::render::gpu::Gpu;
use crate::view::cap::{Cap, Frame};
use crate::view::levels::PageId;
use crate::view::mesh::{Mesh, Origin};

/// Bytes of meshes kept for one variable.
const MESH_BYTES: u64 = 96 << 20;
/// Distance between pages in the uniform buffer.
const SLOT_BYTES: u64 = 256;
/// Pages, times copies of the world, in one picture.
const MAX_DRAWS: usize = 8192;

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct PageUniform {
    origin: [f32; 4],
    x: [f32; 4],
    y: [f32; 4],
    z: [f32; 4],
    last: [f32; 2],
    layer: u32,
    pad: u32,
}

/// Size of a page's uniform.
pub const PAGE_BYTES: u64 = size_of::<PageUniform>() as u64;

struct Held {
    step: u32,
    origin: Origin,
    /// Where it lies, for the copies of the world that show it.
    cap: Cap,
    vertices: wgpu::Buffer,
    indices: wgpu::Buffer,
    count: u32,
    bytes: u64,
    used: u64,
}

/// A page to be drawn: where it lies in the atlas, and its rows and columns.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub id: PageId,
    pub layer: u32,
    pub size: [u32; 2],
}

#[derive(Default)]
pub struct Warp {
    /// By page, and whether it is for the globe; `None` where a page has no cell with a place.
    meshes: HashMap<(PageId, bool), Option<Held>>,
    bytes: u64,
    clock: u64,
    slots: Option<(wgpu::Buffer, wgpu::BindGroup)>,
    /// Mesh and offset of its uniform, first drawn first.
    order: Vec<((PageId, bool), u32)>,
}

impl Warp {
    /// True where the page can be drawn, with whatever step.
    pub fn has(&self, page: PageId, globe: bool) -> bool {
        self.meshes.contains_key(&(page, globe))
    }

    /// True where the page's mesh has this step; one without cells has any.
    pub fn has_step(&self, page: PageId, globe: bool, step: u32) -> bool {
        self.meshes.get(&(page, globe)).is_some_and(|m| m.as_ref().is_none_or(|m| m.step == step))
    }

    /// Pages of a level that could be drawn.
    pub fn pages(&self, level: usize, globe: bool) -> impl Iterator<Item = PageId> + '_ {
        let fits = move |(id, g): &&(PageId, bool)| usize::from(id.level) == level && *g == globe;
        self.meshes.keys().filter(fits).map(|(id, _)| *id)
    }

    pub fn put(&mut self, gpu: &Gpu, page: PageId, globe: bool, step: u32, cap: Cap, mesh: &Mesh) {
        let held = (!mesh.indices.is_empty()).then(|| {
            let buffer = |contents: &[u8], usage| {
                gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
                    label: Some("mesh"),
                    contents,
                    usage,
                })
            };
            let (vertices, indices): (&[u8], &[u8]) =
                (bytemuck::cast_slice(&mesh.vertices), bytemuck::cast_slice(&mesh.indices));
            Held {
                step,
                origin: mesh.origin,
                cap,
                vertices: buffer(vertices, wgpu::BufferUsages::VERTEX),
                indices: buffer(indices, wgpu::BufferUsages::INDEX),
                count: mesh.indices.len() as u32,
                bytes: (vertices.len() + indices.len()) as u64,
                used: self.clock,
            }
        });
        let size = |m: &Option<Held>| m.as_ref().map_or(0, |m| m.bytes);
        self.bytes += size(&held);
        if let Some(old) = self.meshes.insert((page, globe), held) {
            self.bytes -= size(&old);
        }
    }

    /// Forgets what was drawn longest ago until the rest fits; never what was drawn last.
    fn shrink(&mut self) {
        if self.bytes <= MESH_BYTES {
            return;
        }
        let mut ages: Vec<(u64, (PageId, bool))> =
            self.meshes.iter().filter_map(|(k, m)| Some((m.as_ref()?.used, *k))).collect();
        ages.sort_unstable();
        for (used, key) in ages {
            if self.bytes <= MESH_BYTES / 4 * 3 || used + 1 >= self.clock {
                break;
            }
            if let Some(Some(old)) = self.meshes.remove(&key) {
                self.bytes -= old.bytes;
            }
        }
    }

    /// Places these pages on the screen, first drawn first. True where any is.
    pub fn place(&mut self, gpu: &Gpu, camera: &Camera, pages: &[Page]) -> bool {
        let globe = camera.projection == Projection::Globe;
        self.clock += 1;
        self.order.clear();
        let mut slots: Vec<u8> = Vec::new();
        for page in pages {
            let key = (page.id, globe);
            let Some(Some(held)) = self.meshes.get_mut(&key) else { continue };
            held.used = self.clock;
            let last = [page.size[0].max(1) - 1, page.size[1].max(1) - 1].map(|n| n as f32);
            for at in placed(&held.origin, &held.cap, camera) {
                if self.order.len() == MAX_DRAWS {
                    break;
                }
                let [origin, x, y, z] = at.map(|v| [v[0] as f32, v[1] as f32, v[2] as f32, 0.0]);
                let uniform = PageUniform { origin, x, y, z, last, layer: page.layer, pad: 0 };
                self.order.push((key, slots.len() as u32));
                slots.extend_from_slice(bytemuck::bytes_of(&uniform));
                slots.resize(slots.len().next_multiple_of(SLOT_BYTES as usize), 0);
            }
        }
        self.shrink();
        self.write(gpu, &slots);
        !self.order.is_empty()
    }

    fn write(&mut self, gpu: &Gpu, slots: &[u8]) {
        let needed = slots.len() as u64;
        if needed == 0 {
            return;
        }
        if self.slots.as_ref().is_none_or(|(b, _)| b.size() < needed) {
            let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("page places"),
                size: needed.next_power_of_two().max(16 * SLOT_BYTES),
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            });
            let group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("page places"),
                layout: &gpu.layouts().item,
                entries: &[wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                        buffer: &buffer,
                        offset: 0,
                        size: std::num::NonZeroU64::new(PAGE_BYTES),
                    }),
                }],
            });
            self.slots = Some((buffer, group));
        }
        if let Some((buffer, _)) = &self.slots {
            gpu.queue.write_buffer(buffer, 0, slots);
        }
    }

    /// The pipeline and its groups 1 and 2 are set.
    pub fn draw(&self, pass: &mut wgpu::RenderPass) {
        let Some((_, group)) = &self.slots else { return };
        for (key, offset) in &self.order {
            let Some(Some(held)) = self.meshes.get(key) else { continue };
            pass.set_bind_group(0, group, &[*offset]);
            pass.set_vertex_buffer(0, held.vertices.slice(..));
            pass.set_index_buffer(held.indices.slice(..), wgpu::IndexFormat::Uint32);
            pass.draw_indexed(0..held.count, 0, 0..1);
        }
    }
}

/// For each copy of the world that shows the cap: where the origin comes to lie in
/// clip space, and what offsets along x, y and z add. In float64, whatever the zoom.
fn placed(origin: &Origin, cap: &Cap, camera: &Camera) -> Vec<[[f64; 3]; 4]> {
    let (half_width, half_height) = (camera.width_px / 2.0, camera.height_px / 2.0);
    match origin {
        Origin::Globe(o) => {
            if !cap.is_in_view(camera) {
                return Vec::new();
            }
            let frame = Frame::of(camera);
            let r = camera.radius_px();
            let scale = |v: [f64; 3]| [v[0] * r / half_width, v[1] * r / half_height, v[2]];
            let column = |i: usize| scale([frame.right[i], frame.up[i], frame.near[i]]);
            vec![[scale(frame.turn(*o)), column(0), column(1), column(2)]]
        }
        Origin::Map([x, y]) => {
            let world = camera.world_px();
            let (across, down) = (world / half_width, -world / half_height);
            let middle = camera.longitude_deg / 360.0 + 0.5;
            let top = (y - mercator_y(camera.latitude_deg)) * down;
            // A page reaches at most half a world to either side of its origin.
            let reach = half_width / world + 0.51;
            let copies = (middle - reach - x).ceil() as i64..=(middle + reach - x).floor() as i64;
            copies
                .take(16)
                .filter(|k| {
                    // One copy at a time: the camera as it would have to stand for the page's own.
                    let off = (x + *k as f64 - middle).abs();
                    off <= half_width / world + span(cap)
                })
                .map(|k| {
                    let left = (x + k as f64 - middle) * across;
                    [[left, top, 1.0], [across, 0.0, 0.0], [0.0, down, 0.0], [0.0; 3]]
                })
                .collect()
        }
    }
}

/// How far a cap reaches to either side on a map, in widths of the world.
fn span(cap: &Cap) -> f64 {
    let flat = cap.centre[0].hypot(cap.centre[1]);
    let latitude = cap.centre[2].atan2(flat);
    if latitude.abs() + cap.radius >= std::f64::consts::FRAC_PI_2 {
        return 0.51;
    }
    (cap.radius.sin() / flat).clamp(0.0, 1.0).asin() / std::f64::consts::TAU
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_shared::grid::sphere::unit_vector;

    /// Clip coordinates of a place, as the shader makes them.
    fn clip(at: &[[f64; 3]; 4], d: [f64; 3]) -> [f64; 3] {
        [0, 1, 2].map(|i| at[0][i] + at[1][i] * d[0] + at[2][i] * d[1] + at[3][i] * d[2])
    }

    #[test]
    fn places_come_to_lie_where_the_camera_has_them() {
        for projection in [Projection::Mercator, Projection::Globe] {
            let camera = Camera {
                projection,
                longitude_deg: 179.0,
                latitude_deg: 40.0,
                zoom: 9.0,
                width_px: 800.0,
                height_px: 600.0,
            };
            let middle = unit_vector(-179.5, 40.5);
            let origin = Origin::new(projection == Projection::Globe, middle);
            let cap = Cap { centre: middle, radius: 0.05 };
            let found = placed(&origin, &cap, &camera);
            assert_eq!(found.len(), 1);
            for (lon, lat) in [(-179.9, 40.2), (179.3, 39.9), (-179.5, 40.5)] {
                let [x, y, near] = clip(&found[0], origin.offset(unit_vector(lon, lat)));
                let (px, py) = camera.project(lon, lat).unwrap();
                assert!((400.0 + x * 400.0 - px).abs() < 1e-6, "{projection:?} {x} {px}");
                assert!((300.0 - y * 300.0 - py).abs() < 1e-6, "{projection:?} {y} {py}");
                assert!(near > 0.0);
            }
        }
    }

    #[test]
    fn a_map_wider_than_the_world_shows_a_page_more_than_once() {
        let camera = Camera {
            projection: Projection::Mercator,
            longitude_deg: 0.0,
            latitude_deg: 0.0,
            zoom: 0.0,
            width_px: 1200.0,
            height_px: 500.0,
        };
        let page = |lon: f64| {
            let middle = unit_vector(lon, 10.0);
            placed(&Origin::new(false, middle), &Cap { centre: middle, radius: 0.1 }, &camera).len()
        };
        assert_eq!((page(0.0), page(150.0)), (3, 2));
    }
}
