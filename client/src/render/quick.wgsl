// The field where the scale is linear: nearly every frame.
// Same answer as field.wgsl, a fraction of the work; a software GPU draws it
// several times faster. A Mercator map comes as rectangles of one page each, over
// which the texel runs along straight lines (patches.rs); where cells are smooth,
// the CPU has found each column's and row's texels. The globe
// needs every page in view to be here and finds it in a window of pages.

struct View {
    size: vec2f,
    world: f32,
    globe: u32,
    centre: vec2f,
    latitude: vec2f,
    longitude: f32,
    radius: f32,
    ratio: f32,
    dark: f32,
}

struct Quick {
    window: array<vec4u, 256>,  // layer + 1 of each page in view, 0: none
    nodata: vec4u,
    axis_y: vec4f,      // first edge, cells of the level per degree, cells (ragged), cells of a page
    axis_x: vec4f,
    origin: vec2i,      // first page of the window: y, x
    columns: u32,       // pages in a row of the window
    around: i32,        // pages around the globe
    is_float: u32,
    shift: u32,         // 32 - bits of a signed type
    scale: f32,
    zero: f32,
    zero_rest: f32,
    opacity: f32,
    x_middle: f32,
    wraps: u32,
    cells: vec2i,       // x, y of the level, for smooth drawing
}

@group(0) @binding(0) var<uniform> view: View;
@group(1) @binding(0) var<uniform> quick: Quick;
@group(1) @binding(1) var atlas: texture_2d_array<u32>;
@group(2) @binding(0) var texels: texture_2d<u32>;  // two rows a table: of columns of pixels, of rows (patches.rs)
@group(2) @binding(1) var lut: texture_2d<f32>;

fn value(raw: u32) -> f32 {
    let signed = f32(bitcast<i32>(raw << quick.shift) >> quick.shift);
    return select(select(f32(raw), signed, quick.shift != 0u), bitcast<f32>(raw), quick.is_float != 0u);
}

// A number and whether it is one.
fn number(texel: vec2u, layer: u32) -> vec2f {
    let raw = textureLoad(atlas, texel, layer, 0).x;
    let v = value(raw);
    let nan = quick.is_float != 0u && (raw & 0x7fffffffu) > 0x7f800000u;
    let there = !nan && !any(vec4u(raw) == quick.nodata);
    return select(vec2f(0.0), vec2f(v, 1.0), there);
}

fn in_colours(v: f32) -> vec4f {
    let t = ((v - quick.zero) - quick.zero_rest) * quick.scale;
    return textureLoad(lut, vec2u(u32(clamp(floor(t * 256.0), 0.0, 255.0)), 0u), 0);
}

fn colour(n: vec2f) -> vec4f {
    let c = in_colours(n.x);
    return select(vec4f(0.0), vec4f(c.rgb * quick.opacity, quick.opacity), n.y != 0.0);
}

// Four numbers around a place and the place between them. No data has no weight,
// and where it is nearest it stays what it is.
fn between(n00: vec2f, n10: vec2f, n01: vec2f, n11: vec2f, w: vec2f) -> vec2f {
    let right = w.x >= 0.5;
    let nearest = select(select(n00, n10, right), select(n01, n11, right), w.y >= 0.5);
    let weight = vec4f(n00.y, n10.y, n01.y, n11.y)
        * vec4f((1.0 - w.x) * (1.0 - w.y), w.x * (1.0 - w.y), (1.0 - w.x) * w.y, w.x * w.y);
    let sum = dot(weight, vec4f(n00.x, n10.x, n01.x, n11.x));
    return vec2f(sum / max(dot(weight, vec4f(1.0)), 1e-9), nearest.y);
}

struct Patch {
    @builtin(position) position: vec4f,
    @location(0) @interpolate(flat) table: u32,
    @location(1) @interpolate(flat) layers: vec4u,
    @location(2) texel: vec2f,
}

@vertex fn map_vs(
    @location(0) px: vec2u,
    @location(1) table: vec2u,      // its first row
    @location(2) layers: vec4u,
    @location(3) texel: vec2f,
) -> Patch {
    let at = vec2f(px) / view.size;
    return Patch(vec4f(at.x * 2.0 - 1.0, 1.0 - at.y * 2.0, 0.0, 1.0), table.x, layers, texel);
}

@fragment fn map_fs(v: Patch) -> @location(0) vec4f {
    return colour(number(vec2u(max(v.texel, vec2f(0.0))), v.layers.x));
}

// Every texel is a number.
@fragment fn map_opaque_fs(v: Patch) -> @location(0) vec4f {
    let raw = textureLoad(atlas, vec2u(max(v.texel, vec2f(0.0))), v.layers.x, 0).x;
    return vec4f(in_colours(value(raw)).rgb, 1.0);
}

// A layer that is not here gives no number.
fn number_at(x: u32, y: u32, layer: u32) -> vec2f {
    let here = layer != 0xffffu;
    return select(vec2f(0.0), number(vec2u(x, y), select(0u, layer, here)), here);
}

@fragment fn map_smooth_fs(v: Patch) -> @location(0) vec4f {
    let x = textureLoad(texels, vec2u(u32(v.position.x), v.table), 0).x;
    let y = textureLoad(texels, vec2u(u32(v.position.y), v.table + 1u), 0).x;
    let before = vec2u(x, y) >> vec2u(22u);
    let after = (vec2u(x, y) >> vec2u(12u)) & vec2u(1023u);
    return colour(between(
        number_at(before.x, before.y, v.layers.x),
        number_at(after.x, before.y, v.layers.y),
        number_at(before.x, after.y, v.layers.z),
        number_at(after.x, after.y, v.layers.w),
        vec2f(vec2u(x, y) & vec2u(4095u)) / 4096.0,
    ));
}

@vertex fn globe_vs(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

const DEG: f32 = 57.29577951308232;

struct Globe { inside: bool, layer: u32, texel: vec2u, at: vec2f }

fn on_globe(p: vec2f) -> Globe {
    let d = vec2f(p.x - view.size.x * 0.5, view.size.y * 0.5 - p.y) / view.radius;
    let rr = dot(d, d);
    let z = sqrt(max(1.0 - rr, 0.0));
    let lat = asin(clamp(d.y * view.latitude.y + z * view.latitude.x, -1.0, 1.0)) * DEG;
    var lon = (view.longitude + atan2(d.x, z * view.latitude.y - d.y * view.latitude.x)) * DEG;
    lon = lon - round((lon - quick.x_middle) / 360.0) * 360.0;
    let at = (vec2f(lat, lon) - vec2f(quick.axis_y.x, quick.axis_x.x)) * vec2f(quick.axis_y.y, quick.axis_x.y);
    let end = vec2f(quick.axis_y.z, quick.axis_x.z);
    let inside = rr <= 1.0 && all(at >= vec2f(0.0)) && all(at <= end);
    let cell = min(floor(max(at, vec2f(0.0))), ceil(end) - 1.0);
    let size = vec2f(quick.axis_y.w, quick.axis_x.w);
    let page = floor((cell + 0.5) / size);
    let texel = vec2u(cell - page * size);
    var local = vec2i(page) - quick.origin;
    if local.y < 0 { local.y += quick.around; }
    let number = clamp(local.x * i32(quick.columns) + local.y, 0, 1023);
    let known = local.x >= 0 && local.y < i32(quick.columns);
    let entry = quick.window[number >> 2][number & 3];
    return Globe(inside && known && entry != 0u, max(entry, 1u) - 1u, texel.yx, at.yx);
}

@fragment fn globe_fs(@builtin(position) p: vec4f) -> @location(0) vec4f {
    let g = on_globe(p.xy);
    return select(vec4f(0.0), colour(number(g.texel, g.layer)), g.inside);
}

// Where one page holds the whole level. `at` is x, y in cells.
fn between_cells(at: vec2f, layer: u32) -> vec2f {
    let base = floor(at - 0.5);
    let b = vec2i(base);
    var x = vec2i(b.x, b.x + 1);
    // Longitudes that close around the globe have their neighbours across the seam.
    if quick.wraps != 0u { x = (x + quick.cells.x) % quick.cells.x; }
    let xs = vec2u(clamp(x, vec2i(0), vec2i(quick.cells.x - 1)));
    let ys = vec2u(clamp(vec2i(b.y, b.y + 1), vec2i(0), vec2i(quick.cells.y - 1)));
    return between(
        number(vec2u(xs.x, ys.x), layer),
        number(vec2u(xs.y, ys.x), layer),
        number(vec2u(xs.x, ys.y), layer),
        number(vec2u(xs.y, ys.y), layer),
        at - 0.5 - base,
    );
}

@fragment fn globe_smooth_fs(@builtin(position) p: vec4f) -> @location(0) vec4f {
    let g = on_globe(p.xy);
    return select(vec4f(0.0), colour(between_cells(g.at, g.layer)), g.inside);
}
