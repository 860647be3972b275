//! One variable on the GPU: pages in a texture array, found through a table.
//!
//! Stored numbers go up as they are (8, 16 or 32 bits) and are unpacked in the
//! shader: fewer bytes to copy, and changing colours touches no data. Types that
//! do not fit 32 bits are narrowed on the way to the float32 that is drawn.

use std::collections::HashMap;

use bytemuck::{Pod, Zeroable};
use graticule_shared::axis::Axis;
use graticule_shared::colormap::Stretch;
use graticule_shared::cube::Packing;
use graticule_shared::dtype::DataType;

use crate::render::gpu::Gpu;
use crate::render::warp::Warp;
use crate::render::window::{WINDOW, Window};
use crate::view::levels::{Grid, MAX_LEVELS, PageId};

const TABLE_WIDTH: u32 = 1024;
/// Bytes of pages kept on the GPU for one variable.
const ATLAS_BYTES: u64 = 192 << 20;
const MAX_NODATA: usize = 4;

/// A page of one plane (one choice of the non-spatial indices).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageKey {
    pub plane: u64,
    pub number: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable, Default)]
struct LevelUniform {
    factor: [f32; 2],
    cells: [u32; 2],
    block: [u32; 2],
    page: [u32; 2],
    cuts: [u32; 2],
    columns_first: [u32; 2],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct FieldUniform {
    levels: [LevelUniform; MAX_LEVELS],
    nodata: [u32; MAX_NODATA],
    axis_y: [f32; 4],
    axis_x: [f32; 4],
    count: u32,
    wanted: u32,
    kind: u32,
    nodata_count: u32,
    smooth: u32,
    log: u32,
    scale: f32,
    zero: f32,
    log_scale: f32,
    opacity: f32,
    x_middle: f32,
    table_width: u32,
    zero_rest: f32,
    /// Uniforms end on sixteen bytes.
    pad: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct QuickUniform {
    window: [u32; WINDOW],
    nodata: [u32; 4],
    axis_y: [f32; 4],
    axis_x: [f32; 4],
    origin: [i32; 2],
    columns: u32,
    around: i32,
    is_float: u32,
    shift: u32,
    scale: f32,
    zero: f32,
    zero_rest: f32,
    opacity: f32,
    x_middle: f32,
    wraps: u32,
    cells: [i32; 2],
    /// For meshes; 0 where the scale is linear.
    log_scale: f32,
    pad: u32,
}

/// Size of the quick shaders' uniform.
pub const QUICK_BYTES: usize = size_of::<QuickUniform>();

/// What the shader needs to know of how values become colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Values at the ends of the scale.
    pub low: f64,
    pub high: f64,
    pub stretch: Stretch,
    pub opacity: f64,
    pub smooth: bool,
}

/// How numbers of a type are held in the atlas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Bits as stored: width, signed; a float has its own kind.
    Float,
    Integer {
        bits: u32,
        signed: bool,
    },
    /// Unpacked and narrowed to float32 on the CPU; no data becomes NaN.
    Narrowed,
}

impl Hold {
    fn of(packing: &Packing) -> Self {
        match packing.read_as() {
            DataType::Float32 => Hold::Float,
            DataType::Int8 => Hold::Integer { bits: 8, signed: true },
            DataType::UInt8 => Hold::Integer { bits: 8, signed: false },
            DataType::Int16 => Hold::Integer { bits: 16, signed: true },
            DataType::UInt16 => Hold::Integer { bits: 16, signed: false },
            _ => Hold::Narrowed,
        }
    }

    fn bytes(self) -> u32 {
        match self {
            Hold::Integer { bits, .. } => bits / 8,
            _ => 4,
        }
    }

    fn format(self) -> wgpu::TextureFormat {
        match self.bytes() {
            1 => wgpu::TextureFormat::R8Uint,
            2 => wgpu::TextureFormat::R16Uint,
            _ => wgpu::TextureFormat::R32Uint,
        }
    }
}

pub struct Field {
    grids: Vec<Grid>,
    packing: Packing,
    hold: Hold,
    uniform: FieldUniform,
    uniform_buffer: wgpu::Buffer,
    atlas: wgpu::Texture,
    /// Rows and columns of a layer.
    layer_size: [u32; 2],
    layers: u32,
    layers_limit: u32,
    table: wgpu::Texture,
    table_cpu: Vec<u32>,
    table_dirty: bool,
    edges: wgpu::Texture,
    pub bind_group: wgpu::BindGroup,
    quick_buffer: wgpu::Buffer,
    pub quick_group: wgpu::BindGroup,
    /// Meshes of the pages of a grid that is not on latitude and longitude.
    pub warp: Warp,
    resident: HashMap<PageKey, u32>,
    owners: Vec<Option<PageKey>>,
    used: Vec<u64>,
    /// Layers without any cell that is no data.
    opaque: Vec<bool>,
    clock: u64,
    shown: u64,
    changes: u64,
}

impl Field {
    /// `axes` are of a grid on latitude and longitude; another has none.
    pub fn new(gpu: &Gpu, grids: Vec<Grid>, packing: &Packing, axes: Option<(&Axis, &Axis)>) -> Self {
        let hold = Hold::of(packing);
        let layer_size = grids.iter().fold([1, 1], |s, g| [s[0].max(g.page[0]), s[1].max(g.page[1])]);
        let layer_bytes = u64::from(layer_size[0]) * u64::from(layer_size[1]) * u64::from(hold.bytes());
        let limits = gpu.device.limits();
        let layers_limit = ((ATLAS_BYTES / layer_bytes) as u32).clamp(4, limits.max_texture_array_layers);
        let layers = not_a_cube(layers_limit.min(24));
        let pages: u64 = grids.iter().map(Grid::page_count).sum();
        let rows = (pages as u32).div_ceil(TABLE_WIDTH).max(1);
        let table = texture(gpu, "page table", [TABLE_WIDTH, rows, 1], wgpu::TextureFormat::R32Uint);
        let atlas = texture(gpu, "atlas", [layer_size[1], layer_size[0], layers], hold.format());
        let (edges, axis_y, axis_x) = upload_axes(gpu, axes);
        let buffer = |label, size: usize| {
            gpu.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: size as u64,
                usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let uniform_buffer = buffer("field", size_of::<FieldUniform>());
        let quick_buffer = buffer("quick", size_of::<QuickUniform>());
        let quick_group = bind_quick(gpu, &quick_buffer, &atlas);
        let mut uniform = FieldUniform::zeroed();
        for (u, g) in uniform.levels.iter_mut().zip(&grids) {
            *u = LevelUniform {
                factor: g.factor.map(|f| f as f32),
                cells: g.cells,
                block: g.block,
                page: g.page,
                cuts: g.cuts,
                columns_first: [g.pages[1], g.first_page],
            };
        }
        uniform.count = grids.len().min(MAX_LEVELS) as u32;
        uniform.axis_y = axis_y;
        uniform.axis_x = axis_x;
        let (a, b) = axes.map_or((0.0, 0.0), |(_, x)| x.edges());
        uniform.x_middle = ((a + b) / 2.0) as f32;
        uniform.table_width = TABLE_WIDTH;
        uniform.kind = match hold {
            Hold::Integer { bits, signed } => bits + if signed { 64 } else { 0 },
            _ => 0,
        };
        if let Hold::Integer { bits, .. } = hold {
            let mask = u32::MAX >> (32 - bits);
            push_nodata(&mut uniform, packing.nodata.iter().map(|v| *v as i64 as u32 & mask));
        } else if hold == Hold::Float {
            let zeros = packing.nodata.iter().filter(|v| **v == 0.0).flat_map(|_| [0, 0x8000_0000]);
            push_nodata(&mut uniform, packing.nodata.iter().map(|v| (*v as f32).to_bits()).chain(zeros));
        }
        let bind_group = bind(gpu, &uniform_buffer, &atlas, &table, &edges);
        Self {
            table_cpu: vec![0; (TABLE_WIDTH * rows) as usize],
            table_dirty: true,
            owners: vec![None; layers as usize],
            used: vec![0; layers as usize],
            opaque: vec![false; layers as usize],
            resident: HashMap::new(),
            packing: packing.clone(),
            clock: 0,
            shown: u64::MAX,
            changes: 0,
            grids,
            hold,
            uniform,
            uniform_buffer,
            atlas,
            layer_size,
            layers,
            layers_limit,
            table,
            edges,
            bind_group,
            quick_buffer,
            quick_group,
            warp: Warp::default(),
        }
    }

    pub fn has(&self, key: PageKey) -> bool {
        self.resident.contains_key(&key)
    }

    pub fn shown_plane(&self) -> u64 {
        self.shown
    }

    /// Grows with each change of what is shown from where.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// The layer that holds a page of the plane shown.
    pub fn layer_of(&self, page: PageId) -> Option<u32> {
        let number = self.grids.get(usize::from(page.level))?.page_number(page);
        self.table_cpu.get(number as usize)?.checked_sub(1)
    }

    /// True where every cell of a layer's page is a number.
    pub fn is_opaque(&self, layer: u32) -> bool {
        self.opaque.get(layer as usize).copied().unwrap_or(false)
    }

    /// True where the plane shown has pages of no level but this one.
    pub fn has_only(&self, level: usize) -> bool {
        let Some(grid) = self.grids.get(level) else { return false };
        let numbers = grid.first_page..grid.first_page + grid.page_count() as u32;
        self.resident.keys().filter(|k| k.plane == self.shown).all(|k| numbers.contains(&k.number))
    }

    fn table_changed(&mut self) {
        self.table_dirty = true;
        self.changes += 1;
    }

    /// Points the table at `plane`.
    pub fn show(&mut self, plane: u64) {
        if self.shown == plane {
            return;
        }
        self.shown = plane;
        self.table_cpu.fill(0);
        for (key, layer) in self.resident.iter().filter(|(k, _)| k.plane == plane) {
            if let Some(entry) = self.table_cpu.get_mut(key.number as usize) {
                *entry = layer + 1;
            }
        }
        self.table_changed();
    }

    /// Marks pages as wanted now: they are the last to be evicted.
    pub fn touch(&mut self, keys: impl Iterator<Item = PageKey>) {
        self.clock += 1;
        for key in keys {
            if let Some(layer) = self.resident.get(&key) {
                self.used[*layer as usize] = self.clock;
            }
        }
    }

    /// Makes room for `wanted` pages at once, as far as the device allows.
    /// True where the atlas was made anew and is empty.
    pub fn reserve(&mut self, gpu: &Gpu, wanted: usize) -> bool {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).min(self.layers_limit);
        if not_a_cube(wanted) <= self.layers {
            return false;
        }
        self.layers = not_a_cube(wanted.max(self.layers.saturating_mul(2)).min(self.layers_limit));
        let size = [self.layer_size[1], self.layer_size[0], self.layers];
        self.atlas = texture(gpu, "atlas", size, self.hold.format());
        self.bind_group = bind(gpu, &self.uniform_buffer, &self.atlas, &self.table, &self.edges);
        self.quick_group = bind_quick(gpu, &self.quick_buffer, &self.atlas);
        self.resident.clear();
        self.owners = vec![None; self.layers as usize];
        self.used = vec![0; self.layers as usize];
        self.opaque = vec![false; self.layers as usize];
        self.table_cpu.fill(0);
        self.table_changed();
        true
    }

    /// A layer for a new page: a free one, else the one that was wanted longest ago.
    fn layer_for(&mut self, key: PageKey) -> u32 {
        let (layer, _) = self.used.iter().enumerate().min_by_key(|(_, used)| **used).unwrap_or((0, &0));
        if let Some(old) = self.owners[layer].take() {
            self.resident.remove(&old);
            if old.plane == self.shown
                && let Some(entry) = self.table_cpu.get_mut(old.number as usize)
            {
                *entry = 0;
                self.table_changed();
            }
        }
        self.owners[layer] = Some(key);
        self.used[layer] = self.clock;
        self.resident.insert(key, layer as u32);
        if key.plane == self.shown
            && let Some(entry) = self.table_cpu.get_mut(key.number as usize)
        {
            *entry = layer as u32 + 1;
            self.table_changed();
        }
        layer as u32
    }

    /// Puts a page up. `bytes` starts at its first element; rows are `row_cells`
    /// elements apart; `size` is rows and columns. Returns the bytes written.
    pub fn upload(&mut self, gpu: &Gpu, key: PageKey, bytes: &[u8], row_cells: u32, size: [u32; 2]) -> u64 {
        let [rows, columns] = [size[0].min(self.layer_size[0]), size[1].min(self.layer_size[1])];
        let item = self.packing.dtype.size();
        let needed = ((rows.max(1) as usize - 1) * row_cells as usize + columns as usize) * item;
        if rows == 0 || columns == 0 || bytes.len() < needed {
            return 0;
        }
        let layer = self.layer_for(key);
        let narrowed;
        let (data, width): (&[u8], u32) = if self.hold == Hold::Narrowed {
            narrowed = self.narrow(&bytes[..needed]);
            (&narrowed, 4)
        } else {
            (&bytes[..needed], item as u32)
        };
        let row = (columns * width) as usize;
        self.opaque[layer as usize] =
            data.chunks((row_cells * width) as usize).all(|r| self.has_no_gap(&r[..row.min(r.len())]));
        gpu.queue.write_texture(
            wgpu::TexelCopyTextureInfo {
                texture: &self.atlas,
                mip_level: 0,
                origin: wgpu::Origin3d { x: 0, y: 0, z: layer },
                aspect: wgpu::TextureAspect::All,
            },
            data,
            wgpu::TexelCopyBufferLayout {
                offset: 0,
                bytes_per_row: Some(row_cells * width),
                rows_per_image: Some(rows),
            },
            wgpu::Extent3d { width: columns, height: rows, depth_or_array_layers: 1 },
        );
        u64::from(rows) * u64::from(columns) * u64::from(width)
    }

    /// Marks a page that has no stored chunk: every cell is the fill value.
    pub fn upload_fill(&mut self, gpu: &Gpu, key: PageKey, fill: &[u8], size: [u32; 2]) -> u64 {
        let cells = (size[0] * size[1]) as usize;
        let bytes = fill.repeat(cells);
        self.upload(gpu, key, &bytes, size[1], size)
    }

    /// True where none of these numbers, as they are held, is no data.
    fn has_no_gap(&self, data: &[u8]) -> bool {
        let nodata = &self.uniform.nodata[..self.uniform.nodata_count as usize];
        match self.hold.bytes() {
            1 => data.iter().all(|b| !nodata.contains(&u32::from(*b))),
            2 => data.as_chunks::<2>().0.iter().all(|b| !nodata.contains(&u32::from(u16::from_ne_bytes(*b)))),
            _ => data.as_chunks::<4>().0.iter().all(|b| {
                let bits = u32::from_ne_bytes(*b);
                bits & 0x7fff_ffff <= 0x7f80_0000 && !nodata.contains(&bits)
            }),
        }
    }

    fn narrow(&self, bytes: &[u8]) -> Vec<u8> {
        let dtype = self.packing.read_as();
        let count = bytes.len() / dtype.size();
        let mut out = Vec::with_capacity(count * 4);
        for i in 0..count {
            let value = dtype.get_f64(bytes, i).and_then(|raw| self.packing.value(raw));
            out.extend_from_slice(&value.map_or(f32::NAN, |v| v as f32).to_ne_bytes());
        }
        out
    }

    /// What turns a raw number into a place on the scale: factor, zero, and what
    /// float32 loses of the zero. Divided in float64 here, and subtracted first
    /// there: the shader rounds once, near zero, where neighbouring colours meet.
    fn ramp(&self, look: &Look) -> (f32, f32, f32) {
        let (scale, offset) = match self.hold {
            Hold::Narrowed => (1.0, 0.0),
            _ => (self.packing.scale, self.packing.offset),
        };
        let (span, zero) = if look.stretch == Stretch::Log {
            (look.low, -offset / scale)
        } else {
            (look.high - look.low, (look.low - offset) / scale)
        };
        ((scale / span) as f32, zero as f32, (zero - f64::from(zero as f32)) as f32)
    }

    /// True where the quick shader can place cells on the globe.
    pub fn is_regular(&self, level: usize) -> bool {
        let regular = self.uniform.axis_y[3] == 0.0 && self.uniform.axis_x[3] == 0.0;
        regular && self.grids.get(level).is_some_and(|g| g.cuts == [1, 1])
    }

    /// True where one page holds a whole level, so that the quick shaders can blend its cells.
    pub fn is_one_page(&self, level: usize) -> bool {
        let page = PageId { level: level as u8, y: 0, x: 0 };
        self.grids.get(level).is_some_and(|g| g.pages == [1, 1]) && self.layer_of(page).is_some()
    }

    /// Writes the uniform of the quick shaders; the globe needs the `window`.
    pub fn prepare_quick(
        &mut self,
        gpu: &Gpu,
        look: &Look,
        (level, wraps): (usize, bool),
        window: Option<&Window>,
    ) {
        let mut q = QuickUniform::zeroed();
        if let Some(grid) = self.grids.get(level) {
            q.cells = [grid.cells[1] as i32, grid.cells[0] as i32];
        }
        q.wraps = u32::from(wraps);
        if let Some(window) = window {
            self.write_window(&mut q, window);
        }
        let u = &self.uniform;
        // Unused places repeat a number that is no data anyway, or cannot occur.
        let none = if self.hold.bytes() < 4 { u32::MAX } else { f32::NAN.to_bits() };
        q.nodata = u.nodata;
        for (i, n) in q.nodata.iter_mut().enumerate().skip(u.nodata_count as usize) {
            *n = if i == 0 || u.nodata_count == 0 { none } else { u.nodata[0] };
        }
        q.is_float = u32::from(u.kind == 0);
        q.shift = if u.kind >= 64 { 32 - (u.kind - 64) } else { 0 };
        (q.scale, q.zero, q.zero_rest) = self.ramp(look);
        q.opacity = look.opacity.clamp(0.0, 1.0) as f32;
        q.x_middle = u.x_middle;
        if look.stretch == Stretch::Log {
            q.log_scale = (1.0 / (look.high / look.low).ln()) as f32;
        }
        gpu.queue.write_buffer(&self.quick_buffer, 0, bytemuck::bytes_of(&q));
    }

    fn write_window(&self, q: &mut QuickUniform, window: &Window) {
        let Some(grid) = self.grids.get(window.level) else { return };
        for row in 0..window.size[0] {
            for column in 0..window.size[1] {
                let (y, x) = (window.origin[0] + row, (window.origin[1] + column) % grid.pages[1]);
                let number = grid.page_number(PageId { level: window.level as u8, y, x });
                let slot = (row * window.size[1] + column) as usize;
                if let (Some(slot), Some(entry)) =
                    (q.window.get_mut(slot), self.table_cpu.get(number as usize))
                {
                    *slot = *entry;
                }
            }
        }
        let u = &self.uniform;
        let axis = |a: [f32; 4], d: usize| {
            let f = grid.factor[d] as f32;
            [a[0], a[1] / f, a[2] / f, grid.block[d] as f32]
        };
        q.axis_y = axis(u.axis_y, 0);
        q.axis_x = axis(u.axis_x, 1);
        q.origin = window.origin.map(|n| n as i32);
        q.columns = window.size[1];
        q.around = grid.pages[1] as i32;
    }

    /// Writes what changed since the last frame, for the general shader.
    pub fn prepare(&mut self, gpu: &Gpu, look: &Look, wanted_level: usize, magnified: bool, wraps: bool) {
        let ramp = self.ramp(look);
        let u = &mut self.uniform;
        u.wanted = wanted_level.min(self.grids.len().saturating_sub(1)) as u32;
        u.opacity = look.opacity.clamp(0.0, 1.0) as f32;
        u.smooth = match (look.smooth && magnified, wraps) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => 2,
        };
        u.log = u32::from(look.stretch == Stretch::Log);
        (u.scale, u.zero, u.zero_rest) = ramp;
        if look.stretch == Stretch::Log {
            u.log_scale = (1.0 / (look.high / look.low).ln()) as f32;
        }
        gpu.queue.write_buffer(&self.uniform_buffer, 0, bytemuck::bytes_of(&self.uniform));
        if std::mem::take(&mut self.table_dirty) {
            let rows = self.table_cpu.len() as u32 / TABLE_WIDTH;
            let bytes = bytemuck::cast_slice(&self.table_cpu);
            write_whole(gpu, &self.table, bytes, TABLE_WIDTH * 4, [TABLE_WIDTH, rows]);
        }
    }
}

/// On WebGL wgpu takes square arrays of six layers, or a multiple, for cubes.
fn not_a_cube(layers: u32) -> u32 {
    if layers.is_multiple_of(6) { layers - 1 } else { layers }
}

fn push_nodata(uniform: &mut FieldUniform, bits: impl Iterator<Item = u32>) {
    for b in bits {
        let n = uniform.nodata_count as usize;
        if n < MAX_NODATA && !uniform.nodata[..n].contains(&b) {
            uniform.nodata[n] = b;
            uniform.nodata_count += 1;
        }
    }
}

pub fn texture(
    gpu: &Gpu,
    label: &str,
    [width, height, layers]: [u32; 3],
    format: wgpu::TextureFormat,
) -> wgpu::Texture {
    gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width, height, depth_or_array_layers: layers },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    })
}

pub fn write_whole(
    gpu: &Gpu,
    texture: &wgpu::Texture,
    data: &[u8],
    bytes_per_row: u32,
    [width, height]: [u32; 2],
) {
    gpu.queue.write_texture(
        texture.as_image_copy(),
        data,
        wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(bytes_per_row),
            rows_per_image: Some(height),
        },
        wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
    );
}

fn bind_quick(gpu: &Gpu, uniform: &wgpu::Buffer, atlas: &wgpu::Texture) -> wgpu::BindGroup {
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("quick"),
        layout: &gpu.layouts().quick,
        entries: &[
            wgpu::BindGroupEntry { binding: 0, resource: uniform.as_entire_binding() },
            wgpu::BindGroupEntry {
                binding: 1,
                resource: wgpu::BindingResource::TextureView(&array_view(atlas)),
            },
        ],
    })
}

fn array_view(atlas: &wgpu::Texture) -> wgpu::TextureView {
    atlas.create_view(&wgpu::TextureViewDescriptor {
        dimension: Some(wgpu::TextureViewDimension::D2Array),
        ..Default::default()
    })
}

fn bind(
    gpu: &Gpu,
    uniform: &wgpu::Buffer,
    atlas: &wgpu::Texture,
    table: &wgpu::Texture,
    edges: &wgpu::Texture,
) -> wgpu::BindGroup {
    let plain = |t: &wgpu::Texture| t.create_view(&wgpu::TextureViewDescriptor::default());
    let array = array_view(atlas);
    let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
    gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("field"),
        layout: &gpu.layouts().field,
        entries: &[
            entry(0, uniform.as_entire_binding()),
            entry(1, wgpu::BindingResource::TextureView(&array)),
            entry(2, wgpu::BindingResource::TextureView(&plain(table))),
            entry(3, wgpu::BindingResource::TextureView(&plain(edges))),
        ],
    })
}

/// For the globe: a regular axis is two numbers, an irregular one a table of its edges.
fn upload_axes(gpu: &Gpu, axes: Option<(&Axis, &Axis)>) -> (wgpu::Texture, [f32; 4], [f32; 4]) {
    let mut edges: Vec<f32> = Vec::new();
    let mut describe = |axis: &Axis| {
        let (first, last) = axis.edges();
        let n = axis.len() as f64;
        let mut count = 0;
        if axis.step().is_none() && axis.len() > 1 {
            edges.extend((0..=axis.len()).map(|i| axis.edge(i) as f32));
            count = axis.len() + 1;
        }
        [first as f32, (n / (last - first)) as f32, n as f32, count as f32]
    };
    let [y, x] = axes.map_or([[0.0; 4]; 2], |(y, x)| [describe(y), describe(x)]);
    // The table of x starts where that of y ends, so at the count of y's edges.
    let width = (edges.len() as u32).clamp(1, 4096);
    let height = (edges.len() as u32).div_ceil(width).max(1);
    edges.resize((width * height) as usize, 0.0);
    let t = texture(gpu, "edges", [width, height, 1], wgpu::TextureFormat::R32Float);
    write_whole(gpu, &t, bytemuck::cast_slice(&edges), width * 4, [width, height]);
    (t, y, x)
}
