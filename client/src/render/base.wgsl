// Under and over the field: the globe's disc, land, lines.

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

struct Item {
    colour: vec4f,      // premultiplied
    width: f32,         // device pixels
    copy: f32,          // which world, 0 the one around the middle
    pad: vec2f,
}

@group(0) @binding(0) var<uniform> view: View;
@group(1) @binding(0) var<uniform> item: Item;

const RAD: f32 = 0.017453292519943295;
const PI: f32 = 3.141592653589793;

// Device pixels, and how far towards the eye (1 at the middle, 0 at the limb).
fn place(lonlat: vec2f) -> vec3f {
    if view.globe == 0u {
        let lat = clamp(lonlat.y, -85.0511, 85.0511) * RAD;
        let y = 0.5 - log(tan(PI * 0.25 + lat * 0.5)) / (2.0 * PI);
        let x = lonlat.x / 360.0 + 0.5 + item.copy;
        return vec3f((vec2f(x, y) - view.centre) * view.world + view.size * 0.5, 1.0);
    }
    let lat = lonlat.y * RAD;
    let turn = lonlat.x * RAD - view.longitude;
    let c = cos(lat) * cos(turn);
    let up = view.latitude.y * sin(lat) - view.latitude.x * c;
    let near = view.latitude.x * sin(lat) + view.latitude.y * c;
    return vec3f(vec2f(cos(lat) * sin(turn), -up) * view.radius + view.size * 0.5, near);
}

fn clip(px: vec2f) -> vec4f {
    return vec4f(px.x / view.size.x * 2.0 - 1.0, 1.0 - px.y / view.size.y * 2.0, 0.0, 1.0);
}

struct Land { @builtin(position) position: vec4f, @location(0) near: f32 }

@vertex fn land_vs(@location(0) lonlat: vec2f) -> Land {
    let p = place(lonlat * vec2f(180.0, 90.0));
    return Land(clip(p.xy), p.z);
}

@fragment fn land_fs(v: Land) -> @location(0) vec4f {
    if v.near < 0.0 { discard; }
    return item.colour;
}

struct Line { @builtin(position) position: vec4f, @location(0) off: f32, @location(1) near: f32 }

// `corner`: which end (-1 the first, 1 the second), which side.
@vertex fn line_vs(@location(0) ends: vec4f, @location(1) corner: vec2f) -> Line {
    let a = place(ends.xy * vec2f(180.0, 90.0));
    let b = place(ends.zw * vec2f(180.0, 90.0));
    let d = b.xy - a.xy;
    let along = d / max(length(d), 1e-4);
    let side = corner.y;
    let reach = item.width * 0.5 + 1.0;
    let p = select(a, b, corner.x > 0.0);
    let px = p.xy + vec2f(-along.y, along.x) * side * reach;
    var out = Line(clip(px), side * reach, p.z);
    // A segment with an end behind the limb, or across the whole map, is not drawn.
    if min(a.z, b.z) < 0.0 || length(d) > view.world * 0.5 { out.position = vec4f(2.0, 2.0, 0.0, 1.0); }
    return out;
}

@fragment fn line_fs(v: Line) -> @location(0) vec4f {
    let cover = clamp(item.width * 0.5 + 0.5 - abs(v.off), 0.0, 1.0);
    return item.colour * cover;
}

// The globe's disc (its colour is the item's) and a thin glow around it.
@vertex fn disc_vs(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
    return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

@fragment fn disc_fs(@builtin(position) position: vec4f) -> @location(0) vec4f {
    let r = length(position.xy - view.size * 0.5);
    let inside = clamp(view.radius - r + 0.5, 0.0, 1.0);
    let height = max(r - view.radius, 0.0) / view.radius;
    let glow = exp(-height * 28.0) * (1.0 - inside) * mix(0.25, 0.38, view.dark);
    let air = mix(vec3f(0.45, 0.62, 0.82), vec3f(0.35, 0.58, 0.95), view.dark);
    return item.colour * inside + vec4f(air * glow, glow);
}
