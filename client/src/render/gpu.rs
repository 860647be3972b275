//! The device, and the pipelines that every map on a page shares.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::view::mesh::Vertex;

#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    #[error("the canvas gives no drawing surface: {0}")]
    Surface(#[from] wgpu::CreateSurfaceError),
    #[error("no graphics adapter: {0}")]
    Adapter(#[from] wgpu::RequestAdapterError),
    #[error("the graphics adapter gives no device: {0}")]
    Device(#[from] wgpu::RequestDeviceError),
}

/// Bind group layouts: what a draw call needs to know, in three parts.
pub struct Layouts {
    pub view: wgpu::BindGroupLayout,
    pub field: wgpu::BindGroupLayout,
    pub style: wgpu::BindGroupLayout,
    pub quick: wgpu::BindGroupLayout,
    pub quick_style: wgpu::BindGroupLayout,
    pub item: wgpu::BindGroupLayout,
}

/// Made when first drawn with: compiling them all would delay the first picture.
#[derive(Default)]
pub struct Pipelines {
    made: [OnceCell<wgpu::RenderPipeline>; 10],
}

/// The only format with a stencil that every device has.
pub const STENCIL_FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Depth24PlusStencil8;

/// What can be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// The field, with all that may be wanted of it.
    Field,
    /// The field where all is simple, on a Mercator map and on the globe.
    QuickMap,
    /// The same where every texel is a number and nothing shows through.
    OpaqueMap,
    QuickGlobe,
    SmoothMap,
    SmoothGlobe,
    /// The field on a grid of its own, through a mesh; the pass has a stencil.
    Warp,
    Disc,
    Land,
    Line,
}

pub struct Gpu {
    pub instance: wgpu::Instance,
    pub adapter: wgpu::Adapter,
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    /// Not sRGB: colours are written as they stand in the table.
    pub format: wgpu::TextureFormat,
    layouts: OnceCell<Layouts>,
    pub pipelines: Pipelines,
    pub lost: Rc<Cell<bool>>,
    errors: Arc<Mutex<Vec<String>>>,
    lost_flag: Arc<std::sync::atomic::AtomicBool>,
}

impl Gpu {
    /// `on_lost` is called when the device is lost, after [`Gpu::is_lost`] says so.
    ///
    /// # Errors
    /// No surface, adapter or device; the caller falls back to the other backend.
    pub async fn new(
        target: impl Into<wgpu::SurfaceTarget<'static>>,
        on_lost: fn(),
    ) -> Result<(Self, wgpu::Surface<'static>), GpuError> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let surface = instance.create_surface(target)?;
        let adapter = instance
            .request_adapter(&wgpu::RequestAdapterOptions {
                power_preference: wgpu::PowerPreference::HighPerformance,
                compatible_surface: Some(&surface),
                ..Default::default()
            })
            .await?;
        let base = if cfg!(feature = "webgl") {
            wgpu::Limits::downlevel_webgl2_defaults()
        } else {
            wgpu::Limits::defaults()
        };
        let has = adapter.limits();
        // Only what textures need is raised, and only to what there is.
        let limits = wgpu::Limits {
            max_texture_dimension_2d: has.max_texture_dimension_2d.min(16384),
            max_texture_array_layers: has.max_texture_array_layers.min(1024),
            ..base
        };
        let (device, queue) = adapter
            .request_device(&wgpu::DeviceDescriptor {
                label: Some("graticule"),
                required_limits: limits,
                ..Default::default()
            })
            .await?;
        let errors = Arc::new(Mutex::new(Vec::new()));
        let sink = errors.clone();
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| {
            if let Ok(mut list) = sink.lock()
                && list.len() < 16
            {
                list.push(e.to_string());
            }
        }));
        let lost_flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = lost_flag.clone();
        device.set_device_lost_callback(move |_, _| {
            flag.store(true, std::sync::atomic::Ordering::Relaxed);
            on_lost();
        });
        let capabilities = surface.get_capabilities(&adapter);
        let format = capabilities
            .formats
            .iter()
            .map(|f| f.remove_srgb_suffix())
            .find(|f| matches!(f, wgpu::TextureFormat::Bgra8Unorm | wgpu::TextureFormat::Rgba8Unorm))
            .unwrap_or(wgpu::TextureFormat::Rgba8Unorm);
        let lost = Rc::new(Cell::new(false));
        Ok((
            Self {
                instance,
                adapter,
                device,
                queue,
                format,
                layouts: OnceCell::new(),
                pipelines: Pipelines::default(),
                lost,
                errors,
                lost_flag,
            },
            surface,
        ))
    }

    pub fn layouts(&self) -> &Layouts {
        self.layouts.get_or_init(|| Layouts::new(&self.device))
    }

    pub fn pipeline(&self, draw: Draw) -> &wgpu::RenderPipeline {
        self.pipelines.made[draw as usize].get_or_init(|| self.make(draw))
    }

    pub fn is_made(&self, draw: Draw) -> bool {
        self.pipelines.made[draw as usize].get().is_some()
    }

    pub fn backend(&self) -> &'static str {
        match self.adapter.get_info().backend {
            wgpu::Backend::BrowserWebGpu => "webgpu",
            wgpu::Backend::Gl => "webgl2",
            _ => "native",
        }
    }

    /// Errors that no call reported, once each.
    pub fn take_errors(&self) -> Vec<String> {
        self.errors.lock().map(|mut e| std::mem::take(&mut *e)).unwrap_or_default()
    }

    pub fn is_lost(&self) -> bool {
        self.lost.get() || self.lost_flag.load(std::sync::atomic::Ordering::Relaxed)
    }
}

fn uniform(binding: u32, visibility: wgpu::ShaderStages, dynamic: bool) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: dynamic,
            min_binding_size: None,
        },
        count: None,
    }
}

fn texture(binding: u32, sample_type: wgpu::TextureSampleType, array: bool) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Texture {
            sample_type,
            view_dimension: if array {
                wgpu::TextureViewDimension::D2Array
            } else {
                wgpu::TextureViewDimension::D2
            },
            multisampled: false,
        },
        count: None,
    }
}

impl Layouts {
    fn new(device: &wgpu::Device) -> Self {
        use wgpu::{ShaderStages as S, TextureSampleType as T};
        let layout = |label, entries: &[wgpu::BindGroupLayoutEntry]| {
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries })
        };
        let float = T::Float { filterable: false };
        Self {
            view: layout("view", &[uniform(0, S::VERTEX_FRAGMENT, false)]),
            field: layout(
                "field",
                &[
                    uniform(0, S::FRAGMENT, false),
                    texture(1, T::Uint, true),
                    texture(2, T::Uint, false),
                    texture(3, float, false),
                ],
            ),
            style: layout("style", &[texture(0, float, false), texture(1, float, false)]),
            quick: layout("quick", &[uniform(0, S::FRAGMENT, false), texture(1, T::Uint, true)]),
            quick_style: layout("quick style", &[texture(0, T::Uint, false), texture(1, float, false)]),
            item: layout("item", &[uniform(0, S::VERTEX_FRAGMENT, true)]),
        }
    }
}

/// The first triangle over a pixel is the only one.
fn once_a_pixel() -> wgpu::DepthStencilState {
    let face = wgpu::StencilFaceState {
        compare: wgpu::CompareFunction::Equal,
        fail_op: wgpu::StencilOperation::Keep,
        depth_fail_op: wgpu::StencilOperation::Keep,
        pass_op: wgpu::StencilOperation::IncrementClamp,
    };
    wgpu::DepthStencilState {
        format: STENCIL_FORMAT,
        depth_write_enabled: Some(false),
        depth_compare: Some(wgpu::CompareFunction::Always),
        stencil: wgpu::StencilState { front: face, back: face, read_mask: 0xff, write_mask: 0xff },
        bias: Default::default(),
    }
}

impl Gpu {
    fn make(&self, draw: Draw) -> wgpu::RenderPipeline {
        use wgpu::PrimitiveTopology::TriangleList;
        let l = self.layouts();
        let under = [Some(&l.view), Some(&l.item)];
        let field = [Some(&l.view), Some(&l.field), Some(&l.style)];
        let quick = [Some(&l.view), Some(&l.quick), Some(&l.quick_style)];
        let warp = [Some(&l.item), Some(&l.quick), Some(&l.quick_style)];
        let (source, vs, fs, groups): (&'static str, _, _, &[Option<&wgpu::BindGroupLayout>]) = match draw {
            Draw::Field => (include_str!("field.wgsl"), "vs", "fs", &field),
            Draw::QuickMap => (include_str!("quick.wgsl"), "map_vs", "map_fs", &quick),
            Draw::OpaqueMap => (include_str!("quick.wgsl"), "map_vs", "map_opaque_fs", &quick),
            Draw::QuickGlobe => (include_str!("quick.wgsl"), "globe_vs", "globe_fs", &quick),
            Draw::SmoothMap => (include_str!("quick.wgsl"), "map_vs", "map_smooth_fs", &quick),
            Draw::SmoothGlobe => (include_str!("quick.wgsl"), "globe_vs", "globe_smooth_fs", &quick),
            Draw::Warp => (include_str!("warp.wgsl"), "vs", "fs", &warp),
            Draw::Disc => (include_str!("base.wgsl"), "disc_vs", "disc_fs", &under),
            Draw::Land => (include_str!("base.wgsl"), "land_vs", "land_fs", &under),
            Draw::Line => (include_str!("base.wgsl"), "line_vs", "line_fs", &under),
        };
        let buffer = match draw {
            Draw::Land => Some(wgpu::VertexBufferLayout {
                array_stride: 4,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Snorm16x2],
            }),
            Draw::Line => Some(wgpu::VertexBufferLayout {
                array_stride: 12,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Snorm16x4, 1 => Snorm16x2],
            }),
            Draw::QuickMap | Draw::OpaqueMap | Draw::SmoothMap => Some(wgpu::VertexBufferLayout {
                array_stride: 24,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Uint16x2, 1 => Uint16x2, 2 => Uint16x4, 3 => Float32x2],
            }),
            Draw::Warp => Some(wgpu::VertexBufferLayout {
                array_stride: size_of::<Vertex>() as u64,
                step_mode: wgpu::VertexStepMode::Vertex,
                attributes: &wgpu::vertex_attr_array![0 => Float32x3, 1 => Uint16x2],
            }),
            _ => None,
        };
        let module = self.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(fs),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(fs),
            bind_group_layouts: groups,
            immediate_size: 0,
        });
        self.device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some(fs),
            layout: Some(&layout),
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some(vs),
                compilation_options: Default::default(),
                buffers: if buffer.is_some() { std::slice::from_ref(&buffer) } else { &[] },
            },
            primitive: wgpu::PrimitiveState { topology: TriangleList, ..Default::default() },
            depth_stencil: (draw == Draw::Warp).then(once_a_pixel),
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some(fs),
                compilation_options: Default::default(),
                targets: &[Some(wgpu::ColorTargetState {
                    format: self.format,
                    blend: (draw != Draw::OpaqueMap)
                        .then_some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
                    write_mask: wgpu::ColorWrites::ALL,
                })],
            }),
            multiview_mask: None,
            cache: None,
        })
    }
}
