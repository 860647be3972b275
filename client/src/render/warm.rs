//! Drawing once before there is anything to draw.
//!
//! Drivers compile a pipeline when it first draws, and the first picture would
//! wait for that. Nine pixels of nothing, drawn while the data is on its way,
//! take the wait out of it.

use wgpu::util::DeviceExt;

use crate::render::field::{QUICK_BYTES, texture, write_whole};
use crate::render::gpu::{Draw, Gpu};
use crate::render::patches::Patch;
use crate::render::scene::Corner;

/// Side of the picture that nobody sees, in pixels.
const SIDE: u32 = 3;

/// What the first picture will most likely be drawn with.
pub fn likely(globe: bool, smooth: bool) -> Draw {
    match (globe, smooth) {
        (false, false) => Draw::QuickMap,
        (false, true) => Draw::SmoothMap,
        (true, false) => Draw::QuickGlobe,
        (true, true) => Draw::SmoothGlobe,
    }
}

/// Draws with one of the quick pipelines.
pub fn warm_up(gpu: &Gpu, draw: Draw) {
    let globe = matches!(draw, Draw::QuickGlobe | Draw::SmoothGlobe);
    let uniform = |contents: &[u8]| {
        gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
            label: Some("warm-up"),
            contents,
            usage: wgpu::BufferUsages::UNIFORM,
        })
    };
    // Size, world and so on; only the size and the radius matter.
    let view = uniform(bytemuck::cast_slice(&[SIDE as f32; 12]));
    let quick = uniform(&[0; QUICK_BYTES]);
    let atlas = texture(gpu, "warm-up", [1, 1, 2], wgpu::TextureFormat::R32Uint);
    let texels = texture(gpu, "warm-up", [SIDE, 2, 1], wgpu::TextureFormat::R32Uint);
    let lut = texture(gpu, "warm-up", [1, 1, 1], wgpu::TextureFormat::Rgba8Unorm);
    write_whole(gpu, &texels, &[0; 4 * 2 * SIDE as usize], 4 * SIDE, [SIDE, 2]);
    let target = gpu.device.create_texture(&wgpu::TextureDescriptor {
        label: Some("warm-up"),
        size: wgpu::Extent3d { width: SIDE, height: SIDE, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: gpu.format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    });
    let group = |layout, resources: &[wgpu::BindingResource]| {
        let entries: Vec<_> = (0u32..)
            .zip(resources)
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.clone() })
            .collect();
        gpu.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("warm-up"),
            layout,
            entries: &entries,
        })
    };
    let layers = atlas.create_view(&wgpu::TextureViewDescriptor {
        dimension: Some(wgpu::TextureViewDimension::D2Array),
        ..Default::default()
    });
    let [texels, lut, picture] = [&texels, &lut, &target].map(|t| t.create_view(&Default::default()));
    let whole = |v| wgpu::BindingResource::TextureView(v);
    let groups = [
        group(&gpu.layouts().view, &[view.as_entire_binding()]),
        group(&gpu.layouts().quick, &[quick.as_entire_binding(), whole(&layers)]),
        group(&gpu.layouts().quick_style, &[whole(&texels), whole(&lut)]),
    ];
    // One rectangle over everything.
    let over = [0, SIDE as u16];
    let corners =
        Corner::six(&Patch { x: over, y: over, layers: [0; 4], table: 0, u: [0.0; 2], v: [0.0; 2] });
    let corners = gpu.device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some("warm-up"),
        contents: bytemuck::cast_slice(&corners),
        usage: wgpu::BufferUsages::VERTEX,
    });
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    {
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("warm-up"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &picture,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load: wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT),
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        });
        pass.set_pipeline(gpu.pipeline(draw));
        for (number, group) in (0u32..).zip(&groups) {
            pass.set_bind_group(number, group, &[]);
        }
        if globe {
            pass.draw(0..3, 0..1);
        } else {
            pass.set_vertex_buffer(0, corners.slice(..));
            pass.draw(0..6, 0..1);
        }
    }
    gpu.queue.submit([encoder.finish()]);
}
