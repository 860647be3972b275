// Grids that are not on latitude and longitude: triangles whose corners are cell
// corners, placed on the map or the globe by the vertices; the cell of a pixel is
// the whole part of what lies between them. Colours as in quick.wgsl.

struct Quick {
    window: array<vec4u, 256>,
    nodata: vec4u,
    axis_y: vec4f,
    axis_x: vec4f,
    origin: vec2i,
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
    cells: vec2i,
    log_scale: f32,     // 0: linear
    pad: u32,
}

struct Page {
    origin: vec4f,      // of the vertices: clip x, clip y, towards the eye
    x: vec4f,           // what a vertex' x adds to them, its y, its z
    y: vec4f,
    z: vec4f,
    last: vec2f,        // last row and column
    layer: u32,
    pad: u32,
}

@group(0) @binding(0) var<uniform> page: Page;
@group(1) @binding(0) var<uniform> quick: Quick;
@group(1) @binding(1) var atlas: texture_2d_array<u32>;
@group(2) @binding(1) var lut: texture_2d<f32>;

struct Corner { @builtin(position) position: vec4f, @location(0) cell: vec2f, @location(1) near: f32 }

@vertex fn vs(@location(0) at: vec3f, @location(1) cell: vec2u) -> Corner {
    let p = page.origin + page.x * at.x + page.y * at.y + page.z * at.z;
    return Corner(vec4f(p.xy, 0.0, 1.0), vec2f(cell), p.z);
}

@fragment fn fs(v: Corner) -> @location(0) vec4f {
    // Behind the globe.
    if v.near < 0.0 { discard; }
    let cell = vec2u(clamp(floor(v.cell), vec2f(0.0), page.last));
    let raw = textureLoad(atlas, cell.yx, page.layer, 0).x;
    let signed = f32(bitcast<i32>(raw << quick.shift) >> quick.shift);
    let value = select(select(f32(raw), signed, quick.shift != 0u), bitcast<f32>(raw), quick.is_float != 0u);
    let nan = quick.is_float != 0u && (raw & 0x7fffffffu) > 0x7f800000u;
    var t = ((value - quick.zero) - quick.zero_rest) * quick.scale;
    if quick.log_scale != 0.0 {
        if t <= 0.0 { t = 0.0; } else { t = log(t) * quick.log_scale; }
    }
    let colour = textureLoad(lut, vec2u(u32(clamp(floor(t * 256.0), 0.0, 255.0)), 0u), 0);
    let shown = !nan && !any(vec4u(raw) == quick.nodata);
    return select(vec4f(0.0), vec4f(colour.rgb * quick.opacity, quick.opacity), shown);
}
