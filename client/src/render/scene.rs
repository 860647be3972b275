//! One canvas: what lies under the field, the field, what lies over it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytemuck::{Pod, Zeroable};
use graticule_shared::colormap::Lut;
use graticule_shared::raster::{Camera, Cell, Projection, mercator_y};
use wgpu::util::DeviceExt;

use crate::render::field::{Field, texture, write_whole};
use crate::render::gpu::{Draw, Gpu, STENCIL_FORMAT};
use crate::render::layers::{Mesh, Segment};
use crate::render::patches::{Patch, Patches, TABLES};

/// Slots of the item buffer: disc, then land, graticule and coastlines once for each copy of the world.
const MAX_COPIES: i32 = 9;
const SLOTS: u64 = 1 + 3 * MAX_COPIES as u64;
const SLOT_BYTES: u64 = 256;

/// Colours of the base map, sRGB with straight alpha.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Palette {
    pub dark: bool,
    /// Around the globe.
    pub space: [f32; 3],
    pub water: [f32; 3],
    pub land: [f32; 3],
    pub coast: [f32; 4],
    pub graticule: [f32; 4],
}

pub const DARK: Palette = Palette {
    dark: true,
    space: [0.024, 0.031, 0.047],
    water: [0.055, 0.071, 0.098],
    land: [0.118, 0.141, 0.176],
    coast: [0.0, 0.0, 0.0, 0.62],
    graticule: [1.0, 1.0, 1.0, 0.13],
};

pub const LIGHT: Palette = Palette {
    dark: false,
    space: [0.955, 0.963, 0.972],
    water: [0.878, 0.906, 0.929],
    land: [0.965, 0.961, 0.945],
    coast: [0.08, 0.1, 0.13, 0.6],
    graticule: [0.0, 0.0, 0.0, 0.13],
};

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct ViewUniform {
    size: [f32; 2],
    world: f32,
    globe: u32,
    centre: [f32; 2],
    latitude: [f32; 2],
    longitude: f32,
    radius: f32,
    ratio: f32,
    dark: f32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Default)]
struct Item {
    colour: [f32; 4],
    width: f32,
    copy: f32,
    pad: [f32; 2],
}

/// Triangles, indexed: land, or lines two of which make a segment.
struct Drawn {
    vertices: wgpu::Buffer,
    indices: wgpu::Buffer,
    count: u32,
}

pub struct Scene {
    surface: wgpu::Surface<'static>,
    size: [u32; 2],
    configured: bool,
    /// Pictures handed in that the device has not finished.
    drawing: Arc<AtomicU32>,
    view_buffer: wgpu::Buffer,
    view_group: wgpu::BindGroup,
    item_buffer: wgpu::Buffer,
    item_group: wgpu::BindGroup,
    screen: Option<(wgpu::Texture, u32)>,
    /// Where each pixel is marked that a mesh has drawn; made when first needed.
    stencil: Option<wgpu::Texture>,
    lut: wgpu::Texture,
    style_group: Option<wgpu::BindGroup>,
    texels: Option<wgpu::Texture>,
    patches: Option<Patched>,
    quick_group: Option<wgpu::BindGroup>,
    coastlines: Option<Drawn>,
    graticule: Option<Drawn>,
    land: Option<Drawn>,
}

/// What a frame shows besides the camera.
pub struct Frame<'a> {
    pub palette: &'a Palette,
    pub coastlines: bool,
    pub graticule: bool,
    pub field: Option<&'a Field>,
    pub way: Way,
}

/// How the field is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Way {
    /// By the shader that can do everything.
    #[default]
    General,
    /// The quick way on a Mercator map: the patches are put up for this view.
    /// `opaque`: they hide all land in view.
    Map { opaque: bool, smooth: bool },
    /// The quick way on the globe: the window is written for this view.
    Globe { smooth: bool },
    /// Through the meshes that the field has placed for this view.
    Warp,
}

/// A corner of a patch, as the shader takes it.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
pub struct Corner {
    px: [u16; 2],
    table: [u16; 2],
    layers: [u16; 4],
    texel: [f32; 2],
}

impl Corner {
    /// Of its two triangles.
    pub fn six(p: &Patch) -> [Self; 6] {
        let at = |x: usize, y: usize| Self {
            px: [p.x[x], p.y[y]],
            table: [2 * p.table, 0],
            layers: p.layers,
            texel: [p.u[x], p.v[y]],
        };
        [at(0, 0), at(1, 0), at(0, 1), at(0, 1), at(1, 0), at(1, 1)]
    }
}

/// Six corners for each patch.
struct Patched {
    vertices: wgpu::Buffer,
    count: u32,
}

impl Scene {
    pub fn new(gpu: &Gpu, surface: wgpu::Surface<'static>) -> Self {
        let buffer = |label, size| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let view_buffer = buffer("view", size_of::<ViewUniform>() as u64);
        let item_buffer = buffer("items", SLOTS * SLOT_BYTES);
        let view_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("view"),
            layout: &gpu.layouts().view,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: view_buffer.as_entire_binding() }],
        });
        let item_group = gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("items"),
            layout: &gpu.layouts().item,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &item_buffer,
                    offset: 0,
                    size: std::num::NonZeroU64::new(size_of::<Item>() as u64),
                }),
            }],
        });
        Self {
            surface,
            size: [0, 0],
            configured: false,
            drawing: Arc::default(),
            view_buffer,
            view_group,
            item_buffer,
            item_group,
            screen: None,
            stencil: None,
            lut: texture(gpu, "colours", [256, 1, 1], wgpu::TextureFormat::Rgba8Unorm),
            style_group: None,
            texels: None,
            patches: None,
            quick_group: None,
            coastlines: None,
            graticule: None,
            land: None,
        }
    }

    /// Device pixels.
    pub fn size(&self) -> [u32; 2] {
        self.size
    }

    pub fn resize(&mut self, gpu: &Gpu, size: [u32; 2]) {
        let most = gpu.device.limits().max_texture_dimension_2d;
        let size = size.map(|n| n.clamp(1, most));
        if size == self.size && self.configured {
            return;
        }
        self.size = size;
        self.configure(gpu);
        let width = size[0].max(size[1]);
        if self.screen.as_ref().is_none_or(|(_, w)| *w != width) {
            let t = texture(gpu, "screen cells", [width, 2, 1], wgpu::TextureFormat::Rg32Float);
            self.style_group = Some(self.bind_style(gpu, &t));
            let texels = texture(gpu, "texels", [width, 2 * TABLES as u32, 1], wgpu::TextureFormat::R32Uint);
            self.quick_group = Some(gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("quick style"),
                layout: &gpu.layouts().quick_style,
                entries: &[
                    wgpu::BindGroupEntry {
                        binding: 0,
                        resource: wgpu::BindingResource::TextureView(
                            &texels.create_view(&Default::default()),
                        ),
                    },
                    wgpu::BindGroupEntry {
                        binding: 1,
                        resource: wgpu::BindingResource::TextureView(
                            &self.lut.create_view(&Default::default()),
                        ),
                    },
                ],
            }));
            self.texels = Some(texels);
            self.screen = Some((t, width));
        }
    }

    fn configure(&mut self, gpu: &Gpu) {
        let [width, height] = self.size;
        self.surface.configure(
            &gpu.device,
            &wgpu::SurfaceConfiguration {
                usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
                format: gpu.format,
                color_space: Default::default(),
                width,
                height,
                present_mode: wgpu::PresentMode::Fifo,
                desired_maximum_frame_latency: 2,
                alpha_mode: wgpu::CompositeAlphaMode::Auto,
                view_formats: vec![],
            },
        );
        self.configured = true;
    }

    fn bind_style(&self, gpu: &Gpu, screen: &wgpu::Texture) -> wgpu::BindGroup {
        let view = |t: &wgpu::Texture| t.create_view(&wgpu::TextureViewDescriptor::default());
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("style"),
            layout: &gpu.layouts().style,
            entries: &[
                wgpu::BindGroupEntry {
                    binding: 0,
                    resource: wgpu::BindingResource::TextureView(&view(screen)),
                },
                wgpu::BindGroupEntry {
                    binding: 1,
                    resource: wgpu::BindingResource::TextureView(&view(&self.lut)),
                },
            ],
        })
    }

    pub fn set_colours(&mut self, gpu: &Gpu, lut: &Lut) {
        let rgba: Vec<u8> = lut.iter().flat_map(|c| [c[0], c[1], c[2], 255]).collect();
        write_whole(gpu, &self.lut, &rgba, 1024, [256, 1]);
    }

    pub fn set_coastlines(&mut self, gpu: &Gpu, segments: &[Segment]) {
        self.coastlines = lines(gpu, segments);
    }

    pub fn set_graticule(&mut self, gpu: &Gpu, segments: &[Segment]) {
        self.graticule = lines(gpu, segments);
    }

    pub fn set_land(&mut self, gpu: &Gpu, mesh: &Mesh) {
        self.land = drawn(gpu, bytemuck::cast_slice(&mesh.vertices), &mesh.indices);
    }

    /// Which cell each column and row of pixels shows, on a Mercator map.
    pub fn put_cells(&mut self, gpu: &Gpu, columns: &[Cell], rows: &[Cell]) {
        let Some((texture, width)) = &self.screen else { return };
        let mut both: Vec<[f32; 2]> = Vec::with_capacity(2 * *width as usize);
        for line in [columns, rows] {
            both.extend(line.iter().take(*width as usize).map(|c| [c.index, c.fraction]));
            let missing = *width as usize - line.len().min(*width as usize);
            both.extend(std::iter::repeat_n([-1.0, 0.0], missing));
        }
        write_whole(gpu, texture, bytemuck::cast_slice(&both), width * 8, [*width, 2]);
    }

    /// What the quick way draws on a Mercator map.
    pub fn put_patches(&mut self, gpu: &Gpu, patches: &Patches) {
        let (Some(texture), Some((_, width))) = (&self.texels, &self.screen) else { return };
        let mut texels = Vec::with_capacity(2 * patches.tables.len() * *width as usize);
        for line in patches.tables.iter().take(TABLES).flatten() {
            let end = texels.len() + *width as usize;
            texels.extend(line.iter().take(*width as usize));
            texels.resize(end, 0);
        }
        let rows = (texels.len() / *width as usize) as u32;
        if rows > 0 {
            write_whole(gpu, texture, bytemuck::cast_slice(&texels), width * 4, [*width, rows]);
        }
        if patches.quads.is_empty() {
            self.patches = None;
            return;
        }
        let corners: Vec<Corner> = patches.quads.iter().flat_map(Corner::six).collect();
        let bytes: &[u8] = bytemuck::cast_slice(&corners);
        let count = corners.len() as u32;
        match &mut self.patches {
            Some(held) if held.vertices.size() >= bytes.len() as u64 => {
                gpu.queue.write_buffer(&held.vertices, 0, bytes);
                held.count = count;
            }
            _ => {
                let vertices = gpu.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("patches"),
                    size: bytes.len().next_power_of_two() as u64,
                    usage: wgpu::BufferUsages::VERTEX | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                gpu.queue.write_buffer(&vertices, 0, bytes);
                self.patches = Some(Patched { vertices, count });
            }
        }
    }

    /// Draws to the canvas. False where the canvas gives no picture to draw on
    /// just now; the caller tries again with the next frame.
    pub fn draw(&mut self, gpu: &Gpu, camera: &Camera, ratio: f64, frame: &Frame) -> bool {
        use wgpu::CurrentSurfaceTexture as C;
        if !self.configured {
            return false;
        }
        let target = match self.surface.get_current_texture() {
            C::Success(t) => t,
            C::Suboptimal(t) => {
                drop(t);
                self.configure(gpu);
                return false;
            }
            C::Outdated | C::Lost => {
                self.configure(gpu);
                return false;
            }
            _ => return false,
        };
        let view = target.texture.create_view(&wgpu::TextureViewDescriptor::default());
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(gpu, &mut encoder, &view, camera, ratio, frame);
        gpu.queue.submit([encoder.finish()]);
        gpu.queue.present(target);
        // WebGL tells only when it is asked: nothing is counted there.
        if cfg!(feature = "webgpu") {
            self.drawing.fetch_add(1, Ordering::Relaxed);
            let drawing = self.drawing.clone();
            gpu.queue.on_submitted_work_done(move || {
                drawing.fetch_sub(1, Ordering::Relaxed);
            });
        }
        true
    }

    /// True while another picture would only queue up behind those that are not
    /// finished: on a slow device that is how a map comes to lag behind the hand.
    /// One is drawn while the next is prepared.
    pub fn is_busy(&self) -> bool {
        self.drawing.load(Ordering::Relaxed) > 1
    }

    /// Draws the same frame into a texture and returns its bytes once the GPU has them.
    pub fn read_back(
        &mut self,
        gpu: &Gpu,
        camera: &Camera,
        ratio: f64,
        frame: &Frame,
        done: impl FnOnce(Option<Vec<u8>>) + wgpu::WasmNotSend + 'static,
    ) {
        let [width, height] = self.size.map(|n| n.max(1));
        let target = gpu.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("snapshot"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: gpu.format,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let stride = (width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = gpu.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("snapshot"),
            size: u64::from(stride) * u64::from(height),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        self.encode(gpu, &mut encoder, &target.create_view(&Default::default()), camera, ratio, frame);
        encoder.copy_texture_to_buffer(
            target.as_image_copy(),
            wgpu::TexelCopyBufferInfo {
                buffer: &buffer,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(stride),
                    rows_per_image: Some(height),
                },
            },
            wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
        );
        gpu.queue.submit([encoder.finish()]);
        let swap = gpu.format == wgpu::TextureFormat::Bgra8Unorm;
        let mapped = buffer.clone();
        buffer.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            let read = result.ok().and_then(|()| {
                let range = mapped.slice(..).get_mapped_range().ok()?;
                let mut out = Vec::with_capacity((width * height * 4) as usize);
                for row in range.chunks(stride as usize) {
                    out.extend_from_slice(row.get(..width as usize * 4)?);
                }
                if swap {
                    out.as_chunks_mut::<4>().0.iter_mut().for_each(|p| p.swap(0, 2));
                }
                Some(out)
            });
            done(read);
        });
        let _ = gpu.device.poll(wgpu::PollType::Poll);
    }

    fn encode(
        &mut self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::TextureView,
        camera: &Camera,
        ratio: f64,
        frame: &Frame,
    ) {
        let p = frame.palette;
        let globe = camera.projection == Projection::Globe;
        let (sin, cos) = camera.latitude_deg.to_radians().sin_cos();
        let uniform = ViewUniform {
            size: self.size.map(|n| n as f32),
            world: (camera.world_px() * ratio) as f32,
            globe: u32::from(globe),
            centre: [(camera.longitude_deg / 360.0 + 0.5) as f32, mercator_y(camera.latitude_deg) as f32],
            latitude: [sin as f32, cos as f32],
            longitude: camera.longitude_deg.to_radians() as f32,
            radius: (camera.radius_px() * ratio) as f32,
            ratio: ratio as f32,
            dark: f32::from(u8::from(p.dark)),
        };
        gpu.queue.write_buffer(&self.view_buffer, 0, bytemuck::bytes_of(&uniform));
        // Copies of the world that the screen shows.
        let half = camera.width_px / camera.world_px() / 2.0;
        let middle = camera.longitude_deg / 360.0 + 0.5;
        let copies: Vec<i32> = if globe {
            vec![0]
        } else {
            let first = (middle - half).floor() as i32;
            (first..=(middle + half).floor() as i32).take(MAX_COPIES as usize).collect()
        };
        let premultiply = |c: [f32; 4]| [c[0] * c[3], c[1] * c[3], c[2] * c[3], c[3]];
        let opaque = |c: [f32; 3]| [c[0], c[1], c[2], 1.0];
        let width = ratio.max(1.0) as f32;
        let mut slots = vec![0u8; (SLOTS * SLOT_BYTES) as usize];
        let mut put = |slot: u64, item: Item| {
            let at = (slot * SLOT_BYTES) as usize;
            slots[at..at + size_of::<Item>()].copy_from_slice(bytemuck::bytes_of(&item));
        };
        put(0, Item { colour: opaque(p.water), ..Item::default() });
        for (n, copy) in copies.iter().enumerate() {
            let (n, copy) = (n as u64, *copy as f32);
            let line = |colour, width| Item { colour, width, copy, pad: [0.0; 2] };
            put(1 + n, Item { colour: opaque(p.land), copy, ..Item::default() });
            put(1 + MAX_COPIES as u64 + n, line(premultiply(p.graticule), width));
            put(1 + 2 * MAX_COPIES as u64 + n, line(premultiply(p.coast), 1.1 * width));
        }
        gpu.queue.write_buffer(&self.item_buffer, 0, &slots);
        if frame.way == Way::Warp {
            self.make_stencil(gpu);
        }
        let around = if globe { p.space } else { p.water };
        let [r, g, b] = around.map(f64::from);
        let clear = wgpu::LoadOp::Clear(wgpu::Color { r, g, b, a: 1.0 });
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("map"),
            color_attachments: &[Some(onto(view, clear))],
            ..Default::default()
        });
        pass.set_bind_group(0, &self.view_group, &[]);
        let offset = |slot: u64| [(slot * SLOT_BYTES) as u32];
        if globe {
            pass.set_pipeline(gpu.pipeline(Draw::Disc));
            pass.set_bind_group(1, &self.item_group, &offset(0));
            pass.draw(0..3, 0..1);
        }
        let hidden = frame.field.is_some() && matches!(frame.way, Way::Map { opaque: true, .. });
        if let Some(land) = self.land.as_ref().filter(|_| !hidden) {
            pass.set_pipeline(gpu.pipeline(Draw::Land));
            pass.set_vertex_buffer(0, land.vertices.slice(..));
            pass.set_index_buffer(land.indices.slice(..), wgpu::IndexFormat::Uint32);
            for n in 0..copies.len() as u64 {
                pass.set_bind_group(1, &self.item_group, &offset(1 + n));
                pass.draw_indexed(0..land.count, 0, 0..1);
            }
        }
        let field = frame.field.filter(|_| frame.way != Way::Warp);
        if let (Some(field), Some(style), Some(quick)) = (field, &self.style_group, &self.quick_group) {
            let (draw, group, style) = match frame.way {
                Way::Map { smooth: false, opaque: true } if gpu.is_made(Draw::OpaqueMap) => {
                    (Draw::OpaqueMap, &field.quick_group, quick)
                }
                Way::Map { smooth: false, .. } => (Draw::QuickMap, &field.quick_group, quick),
                Way::Map { smooth: true, .. } => (Draw::SmoothMap, &field.quick_group, quick),
                Way::Globe { smooth: false } => (Draw::QuickGlobe, &field.quick_group, quick),
                Way::Globe { smooth: true } => (Draw::SmoothGlobe, &field.quick_group, quick),
                Way::General | Way::Warp => (Draw::Field, &field.bind_group, style),
            };
            pass.set_pipeline(gpu.pipeline(draw));
            pass.set_bind_group(1, group, &[]);
            pass.set_bind_group(2, style, &[]);
            match (&self.patches, frame.way) {
                (Some(p), Way::Map { .. }) => {
                    pass.set_vertex_buffer(0, p.vertices.slice(..));
                    pass.draw(0..p.count, 0..1);
                }
                (None, Way::Map { .. }) => {}
                _ => pass.draw(0..3, 0..1),
            }
        }
        if let (Some(field), Way::Warp) = (frame.field, frame.way) {
            // A pass of its own: no other drawing has a stencil.
            drop(pass);
            self.encode_meshes(gpu, encoder, view, field);
            pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
                label: Some("lines"),
                color_attachments: &[Some(onto(view, wgpu::LoadOp::Load))],
                ..Default::default()
            });
            pass.set_bind_group(0, &self.view_group, &[]);
        }
        let over = [(frame.graticule, &self.graticule, 1u64), (frame.coastlines, &self.coastlines, 2)];
        for (wanted, lines, row) in over {
            let Some(lines) = lines.as_ref().filter(|_| wanted) else { continue };
            pass.set_pipeline(gpu.pipeline(Draw::Line));
            pass.set_vertex_buffer(0, lines.vertices.slice(..));
            pass.set_index_buffer(lines.indices.slice(..), wgpu::IndexFormat::Uint32);
            for n in 0..copies.len() as u64 {
                pass.set_bind_group(1, &self.item_group, &offset(1 + row * MAX_COPIES as u64 + n));
                pass.draw_indexed(0..lines.count, 0, 0..1);
            }
        }
    }

    fn make_stencil(&mut self, gpu: &Gpu) {
        let [width, height] = self.size.map(|n| n.max(1));
        if self.stencil.as_ref().is_some_and(|t| (t.width(), t.height()) == (width, height)) {
            return;
        }
        self.stencil = Some(gpu.device.create_texture(&wgpu::TextureDescriptor {
            label: Some("stencil"),
            size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: STENCIL_FORMAT,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
            view_formats: &[],
        }));
    }

    fn encode_meshes(
        &self,
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        view: &wgpu::TextureView,
        field: &Field,
    ) {
        let (Some(stencil), Some(quick)) = (&self.stencil, &self.quick_group) else { return };
        let stencil = stencil.create_view(&Default::default());
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("meshes"),
            color_attachments: &[Some(onto(view, wgpu::LoadOp::Load))],
            depth_stencil_attachment: Some(wgpu::RenderPassDepthStencilAttachment {
                view: &stencil,
                depth_ops: Some(wgpu::Operations {
                    load: wgpu::LoadOp::Clear(1.0),
                    store: wgpu::StoreOp::Discard,
                }),
                stencil_ops: Some(wgpu::Operations {
                    load: wgpu::LoadOp::Clear(0),
                    store: wgpu::StoreOp::Discard,
                }),
            }),
            ..Default::default()
        });
        pass.set_pipeline(gpu.pipeline(Draw::Warp));
        pass.set_bind_group(1, &field.quick_group, &[]);
        pass.set_bind_group(2, quick, &[]);
        field.warp.draw(&mut pass);
    }
}

fn onto(view: &wgpu::TextureView, load: wgpu::LoadOp<wgpu::Color>) -> wgpu::RenderPassColorAttachment<'_> {
    wgpu::RenderPassColorAttachment {
        view,
        depth_slice: None,
        resolve_target: None,
        ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
    }
}

fn drawn(gpu: &Gpu, vertices: &[u8], indices: &[u32]) -> Option<Drawn> {
    let init = |contents: &[u8], usage| {
        gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("base map"),
            contents,
            usage,
        })
    };
    (!indices.is_empty()).then(|| Drawn {
        vertices: init(vertices, wgpu::BufferUsages::VERTEX),
        indices: init(bytemuck::cast_slice(indices), wgpu::BufferUsages::INDEX),
        count: indices.len() as u32,
    })
}

/// Four corners for each segment. Not instances: a software GPU takes each as a
/// draw call of its own.
fn lines(gpu: &Gpu, segments: &[Segment]) -> Option<Drawn> {
    const CORNERS: [[i16; 2]; 4] = [[-32767, -32767], [-32767, 32767], [32767, -32767], [32767, 32767]];
    let mut vertices: Vec<[i16; 6]> = Vec::with_capacity(segments.len() * 4);
    let mut indices = Vec::with_capacity(segments.len() * 6);
    for [a, b, c, d] in segments {
        let first = vertices.len() as u32;
        vertices.extend(CORNERS.map(|[end, side]| [*a, *b, *c, *d, end, side]));
        indices.extend([0, 1, 2, 2, 1, 3].map(|i| first + i));
    }
    drawn(gpu, bytemuck::cast_slice(&vertices), &indices)
}
