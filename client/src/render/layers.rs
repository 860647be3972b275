//! Coastlines, land and the graticule, from the files that the server carries.
//!
//! `GRL1`: magic, line count, point count, points in each line, then points.
//! `GRM1`: magic, vertex count, index count, vertices, then triangles. Points are
//! two signed 16-bit integers, longitude over 180 and latitude over 90 degrees,
//! in 32767ths; everything little-endian.

/// Segments of lines: longitude and latitude of both ends.
pub type Segment = [i16; 4];

#[derive(Debug, Clone, PartialEq)]
pub struct Mesh {
    pub vertices: Vec<[i16; 2]>,
    pub indices: Vec<u32>,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn points(bytes: &[u8], at: usize, count: usize) -> Option<Vec<[i16; 2]>> {
    let raw = bytes.get(at..at.checked_add(count.checked_mul(4)?)?)?;
    let (points, _) = raw.as_chunks::<4>();
    Some(
        points.iter().map(|p| [i16::from_le_bytes([p[0], p[1]]), i16::from_le_bytes([p[2], p[3]])]).collect(),
    )
}

/// `None` where the file is not as described above.
pub fn parse_lines(bytes: &[u8]) -> Option<Vec<Segment>> {
    if !bytes.starts_with(b"GRL1") {
        return None;
    }
    let (lines, total) = (word(bytes, 4)? as usize, word(bytes, 8)? as usize);
    let start = lines.checked_mul(4)?.checked_add(12)?;
    let points = points(bytes, start, total)?;
    let mut segments = Vec::with_capacity(total);
    let mut first = 0usize;
    for line in 0..lines {
        let count = word(bytes, 12 + 4 * line)? as usize;
        let run = points.get(first..first.checked_add(count)?)?;
        segments.extend(run.windows(2).map(|p| [p[0][0], p[0][1], p[1][0], p[1][1]]));
        first += count;
    }
    Some(segments)
}

/// `None` where the file is not as described above.
pub fn parse_mesh(bytes: &[u8]) -> Option<Mesh> {
    if !bytes.starts_with(b"GRM1") {
        return None;
    }
    let (vertex_count, index_count) = (word(bytes, 4)? as usize, word(bytes, 8)? as usize);
    let vertices = points(bytes, 12, vertex_count)?;
    let start = vertex_count.checked_mul(4)?.checked_add(12)?;
    let raw = bytes.get(start..start.checked_add(index_count.checked_mul(4)?)?)?;
    let indices: Vec<u32> = raw.as_chunks::<4>().0.iter().map(|w| u32::from_le_bytes(*w)).collect();
    (indices.iter().all(|i| (*i as usize) < vertex_count) && index_count.is_multiple_of(3))
        .then_some(Mesh { vertices, indices })
}

/// Degrees between the lines of the graticule at a zoom.
pub fn graticule_step_deg(zoom: f64) -> u32 {
    match zoom {
        z if z < 3.0 => 30,
        z if z < 5.0 => 10,
        _ => 5,
    }
}

/// Meridians and parallels every `step` degrees, in pieces short enough to bend.
pub fn graticule(step: u32) -> Vec<Segment> {
    let step = step.max(1) as usize;
    let point = |lon: i32, lat: i32| -> [i16; 2] {
        [(f64::from(lon) / 180.0 * 32767.0).round() as i16, (f64::from(lat) / 90.0 * 32767.0).round() as i16]
    };
    let mut out = Vec::new();
    let mut piece = |a: [i16; 2], b: [i16; 2]| out.push([a[0], a[1], b[0], b[1]]);
    for lon in (-180..180).step_by(step) {
        // Only every third meridian reaches the poles, where all would meet.
        let end = if lon % 90 == 0 { 90 } else { 90 - step.min(30) as i32 / 2 };
        for lat in (-end..end).step_by(5) {
            piece(point(lon, lat), point(lon, (lat + 5).min(end)));
        }
    }
    for lat in (-90 + step as i32..90).step_by(step) {
        for lon in (-180..180).step_by(3) {
            piece(point(lon, lat), point(lon + 3, lat));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_the_server_carries_are_read_whole() {
        let lines = parse_lines(include_bytes!("../../../assets/vector/coastline-110m.lines")).unwrap();
        let mesh = parse_mesh(include_bytes!("../../../assets/vector/land-110m.mesh")).unwrap();
        assert!(lines.len() > 1000 && mesh.indices.len() > 1000);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let whole = include_bytes!("../../../assets/vector/coastline-110m.lines");
        assert_eq!(parse_lines(&whole[..whole.len() - 1]), None);
        assert_eq!(parse_lines(b"GRL1\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(parse_mesh(b"GRM1\x01\0\0\0\x03\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\0\0\0\0"), None);
        assert_eq!(parse_mesh(b""), None);
    }

    #[test]
    fn the_graticule_stays_on_the_globe() {
        let g = graticule(30);
        assert!(g.contains(&[0, 0, 0, (5.0f64 / 90.0 * 32767.0).round() as i16]));
        assert!(g.iter().all(|s| s[0].abs_diff(s[2]) <= 547 && s[1].abs_diff(s[3]) <= 1821));
    }
}
