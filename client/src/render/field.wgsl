// The field: each pixel finds its cell, the cell its page, the page its number.
// Twin: graticule_shared::raster::pixel and graticule_shared::colormap::index.

struct View {
    size: vec2f,        // device pixels
    world: f32,         // width of the world in device pixels
    globe: u32,
    centre: vec2f,      // Mercator place of the middle, 0..1
    latitude: vec2f,    // sine and cosine at the middle of the globe
    longitude: f32,     // radians
    radius: f32,        // of the globe, device pixels
    ratio: f32,
    dark: f32,
}

struct Level {
    factor: vec2f,      // y, x, as all pairs here
    cells: vec2u,
    block: vec2u,
    page: vec2u,
    cuts: vec2u,
    columns_first: vec2u, // pages in a row of pages; number of the first page
}

struct Field {
    levels: array<Level, 16>,
    nodata: vec4u,
    axis_y: vec4f,      // first edge, cells per degree, cells, edges in the table (0: regular)
    axis_x: vec4f,
    count: u32,
    wanted: u32,
    kind: u32,          // 0: float32 bits; else width in bits, + 64 if signed
    nodata_count: u32,
    smooth_: u32,
    log_: u32,
    scale: f32,         // t = (raw - zero) * scale, or the logarithm's argument
    zero: f32,
    log_scale: f32,     // t = log(v / low) * log_scale
    opacity: f32,
    x_middle: f32,      // of the longitude axis, degrees
    table_width: u32,
    zero_rest: f32,     // what float32 lost of zero
}

@group(0) @binding(0) var<uniform> view: View;
@group(1) @binding(0) var<uniform> field: Field;
@group(1) @binding(1) var atlas: texture_2d_array<u32>;
@group(1) @binding(2) var table: texture_2d<u32>;
@group(1) @binding(3) var edges: texture_2d<f32>;
@group(2) @binding(0) var screen: texture_2d<f32>;  // row 0: columns of pixels, row 1: rows
@group(2) @binding(1) var lut: texture_2d<f32>;

@vertex fn vs(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

struct Place { inside: bool, cell: vec2i, part: vec2f }  // y, x at level 0

const DEG: f32 = 57.29577951308232;

fn along(axis: vec4f, row: i32, coordinate: f32) -> vec2f {
    if axis.w == 0.0 {
        let at = (coordinate - axis.x) * axis.y;
        if at < 0.0 || at > axis.z { return vec2f(-1.0, 0.0); }
        let i = min(floor(at), axis.z - 1.0);
        return vec2f(i, at - i);
    }
    // Irregular: the cell whose edges enclose it, by halving.
    let n = i32(axis.w);
    let width = i32(textureDimensions(edges).x);
    let start = row * i32(field.axis_y.w);
    var low = 0;
    var high = n - 1;
    let first = textureLoad(edges, vec2i(start % width, start / width), 0).x;
    let last = textureLoad(edges, vec2i((start + high) % width, (start + high) / width), 0).x;
    let rising = last > first;
    if (coordinate < min(first, last)) || (coordinate > max(first, last)) { return vec2f(-1.0, 0.0); }
    for (var step = 0; step < 24 && high - low > 1; step++) {
        let middle = (low + high) / 2;
        let e = textureLoad(edges, vec2i((start + middle) % width, (start + middle) / width), 0).x;
        if (e <= coordinate) == rising { low = middle; } else { high = middle; }
    }
    let a = textureLoad(edges, vec2i((start + low) % width, (start + low) / width), 0).x;
    let b = textureLoad(edges, vec2i((start + low + 1) % width, (start + low + 1) / width), 0).x;
    return vec2f(f32(low), clamp((coordinate - a) / (b - a), 0.0, 0.999999));
}

fn locate(p: vec2f) -> Place {
    var y: vec2f;
    var x: vec2f;
    if view.globe == 0u {
        x = textureLoad(screen, vec2i(i32(p.x), 0), 0).xy;
        y = textureLoad(screen, vec2i(i32(p.y), 1), 0).xy;
    } else {
        let d = vec2f(p.x - view.size.x * 0.5, view.size.y * 0.5 - p.y) / view.radius;
        let rr = dot(d, d);
        if rr > 1.0 { return Place(false, vec2i(0), vec2f(0.0)); }
        let z = sqrt(1.0 - rr);
        let lat = asin(clamp(d.y * view.latitude.y + z * view.latitude.x, -1.0, 1.0)) * DEG;
        var lon = (view.longitude + atan2(d.x, z * view.latitude.y - d.y * view.latitude.x)) * DEG;
        lon = lon - round((lon - field.x_middle) / 360.0) * 360.0;
        y = along(field.axis_y, 0, lat);
        x = along(field.axis_x, 1, lon);
    }
    return Place(y.x >= 0.0 && x.x >= 0.0, vec2i(vec2f(y.x, x.x)), vec2f(y.y, x.y));
}

struct Tap { state: u32, value: f32 }  // state 0: page not here, 1: no data, 2: a number

fn tap(l: u32, cell: vec2u) -> Tap {
    let block = cell / field.levels[l].block;
    let within = cell - block * field.levels[l].block;
    let part = within / field.levels[l].page;
    let page = block * field.levels[l].cuts + part;
    let number = field.levels[l].columns_first.y + page.y + page.x * field.levels[l].columns_first.x;
    let entry = textureLoad(table, vec2u(number % field.table_width, number / field.table_width), 0).x;
    if entry == 0u { return Tap(0u, 0.0); }
    let at = within - part * field.levels[l].page;
    let raw = textureLoad(atlas, vec2u(at.y, at.x), entry - 1u, 0).x;
    for (var i = 0u; i < field.nodata_count; i++) {
        if raw == field.nodata[i] { return Tap(1u, 0.0); }
    }
    if field.kind == 0u {
        // NaN by its bits: what a comparison with NaN gives is up to the driver.
        if (raw & 0x7fffffffu) > 0x7f800000u { return Tap(1u, 0.0); }
        return Tap(2u, bitcast<f32>(raw));
    }
    if field.kind >= 64u {
        let shift = 32u - (field.kind - 64u);
        return Tap(2u, f32(bitcast<i32>(raw << shift) >> shift));
    }
    return Tap(2u, f32(raw));
}

// page here is (y, x): number = first + y * columns + x.
fn cell_of(l: u32, p: Place) -> vec2u {
    let f = field.levels[l].factor;
    let whole = vec2f(p.cell);
    // Whole factors divide the index exactly, whatever the fraction.
    let at = select((whole + p.part) / f, floor(whole / f), f == floor(f));
    return min(vec2u(at), field.levels[l].cells - 1u);
}

fn blend(l: u32, p: Place, nearest: f32) -> f32 {
    let u = (vec2f(p.cell) + p.part) / field.levels[l].factor - 0.5;
    let base = floor(u);
    let w = u - base;
    var sum = 0.0;
    var weight = 0.0;
    for (var k = 0u; k < 4u; k++) {
        let d = vec2f(f32(k >> 1u), f32(k & 1u));
        var c = vec2i(base + d);
        let n = vec2i(field.levels[l].cells);
        c.x = clamp(c.x, 0, n.x - 1);
        // Longitudes that close around the globe have their neighbours across the seam.
        if field.smooth_ == 2u { c.y = (c.y + n.y) % n.y; } else { c.y = clamp(c.y, 0, n.y - 1); }
        let t = tap(l, vec2u(c));
        if t.state == 2u {
            let a = abs(1.0 - d - w);
            let part = a.x * a.y;
            sum += t.value * part;
            weight += part;
        }
    }
    return select(nearest, sum / weight, weight > 0.0);
}

@fragment fn fs(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let p = locate(position.xy);
    if !p.inside { return vec4f(0.0); }
    for (var l = field.wanted; l < field.count; l++) {
        let t = tap(l, cell_of(l, p));
        if t.state == 0u { continue; }
        if t.state == 1u { return vec4f(0.0); }
        var v = t.value;
        if field.smooth_ != 0u { v = blend(l, p, v); }
        var at = ((v - field.zero) - field.zero_rest) * field.scale;
        if field.log_ != 0u {
            if at <= 0.0 { at = 0.0; } else { at = log(at) * field.log_scale; }
        }
        let index = i32(clamp(floor(at * 256.0), 0.0, 255.0));
        let colour = textureLoad(lut, vec2i(index, 0), 0).rgb;
        return vec4f(colour * field.opacity, field.opacity);
    }
    return vec4f(0.0);
}
