//! The four centres around a place, and what each counts for: bilinear interpolation on grids that
//! are not separable.

use std::f64::consts::{FRAC_PI_2, TAU};

use super::areas::Places;
use super::healpix::Healpix;
use super::neighbours;
use super::sphere::{cross, dot, unit, unit_vector};

/// Cells by their number in C order, with weights that add up to 1.
pub type Weighted = [(u64, f64); 4];

/// Of a curvilinear grid, near the cell that a place lies in: the quadrilateral of centres that has
/// the place, seen from the middle of the Earth, as ESMF's bilinear method has it. Beyond the
/// outermost centres the nearest place among them counts; a cell without neighbours is itself.
pub fn curvilinear(places: &Places, (row, column): (usize, usize), (lon, lat): (f64, f64)) -> Weighted {
    let flat = |r: usize, c: usize| (r * places.columns + c) as u64;
    let mut best: Option<(f64, Weighted)> = None;
    // The cells beside it; where rows lean much, the next ones too.
    for reach in [1isize, 2] {
        for dr in -reach..reach {
            for dc in -reach..reach {
                let Some(quad) = quad(places, row as isize + dr, column as isize + dc) else { continue };
                let corners = quad.map(|(r, c)| places.get(r, c).map(|(x, y)| unit_vector(x, y)));
                let [Some(a), Some(b), Some(c), Some(d)] = corners else { continue };
                let Some((u, v)) = inside([a, b, c, d], unit_vector(lon, lat)) else { continue };
                let over = |t: f64| (-t).max(t - 1.0).max(0.0);
                let beyond = over(u).max(over(v));
                if best.as_ref().is_none_or(|(b, _)| beyond < *b) {
                    // On a side its two centres count, whatever the last digits say.
                    let near = |t: f64| if (t - t.round()).abs() < 1e-6 { t.round() } else { t };
                    let (u, v) = (near(u.clamp(0.0, 1.0)), near(v.clamp(0.0, 1.0)));
                    let weights = [(1.0 - v) * (1.0 - u), (1.0 - v) * u, v * (1.0 - u), v * u];
                    let mut out = quad.map(|(r, c)| flat(r, c)).map(|f| (f, 0.0));
                    out.iter_mut().zip(weights).for_each(|(o, w)| o.1 = w);
                    best = Some((beyond, out));
                }
            }
        }
        if best.as_ref().is_some_and(|(beyond, _)| *beyond < 1e-9) {
            break;
        }
    }
    let alone = [
        (flat(row, column), 1.0),
        (flat(row, column), 0.0),
        (flat(row, column), 0.0),
        (flat(row, column), 0.0),
    ];
    // What lies far beyond a quadrilateral is beside another that has no place.
    best.filter(|(beyond, _)| *beyond < 1.0).map_or(alone, |(_, w)| w)
}

/// Rows and columns of a cell, the next in its row, and both in the next row; across the ends of
/// rows where these are beside each other.
fn quad(places: &Places, row: isize, column: isize) -> Option<[(usize, usize); 4]> {
    let n = places.columns as isize;
    let r = usize::try_from(row).ok().filter(|r| r + 1 < places.rows)?;
    let (left, right) = (column.rem_euclid(n.max(1)) as usize, (column + 1).rem_euclid(n.max(1)) as usize);
    let quad = [(r, left), (r, right), (r + 1, left), (r + 1, right)];
    let at = |(r, c): (usize, usize)| places.get(r, c).map(|(x, y)| unit_vector(x, y));
    let [a, b, c, d] = quad.map(at);
    let apart = |p: Option<[f64; 3]>, q: Option<[f64; 3]>| Some(neighbours::squared(p?, q?));
    let mut limit = places.limit();
    if right <= left {
        // A seam is as narrow as the steps beside it.
        let before = apart(at((r, left.checked_sub(1)?)), a)?.max(apart(b, at((r, right + 1)))?);
        limit = limit.min(2.25 * before);
    }
    let near = |p, q| apart(p, q).is_some_and(|d| d <= limit);
    let sides = near(a, b) && near(c, d);
    let ends = |p, q| apart(p, q).is_some_and(|d| d <= places.limit());
    (sides && ends(a, c) && ends(b, d)).then_some(quad)
}

/// Where in a quadrilateral a direction goes through the surface that is bilinear between its corners,
/// along its first side and along its others; beyond 0 and 1 outside.
fn inside([a, b, c, d]: [[f64; 3]; 4], at: [f64; 3]) -> Option<(f64, f64)> {
    if [a, b, c, d].iter().any(|p| dot(*p, at) <= 0.0) {
        return None;
    }
    // Two directions across the ray: what is left of the surface there is to be nothing.
    let away = if at[2].abs() < 0.9 { [0.0, 0.0, 1.0] } else { [1.0, 0.0, 0.0] };
    let east = unit(cross(away, at))?;
    let north = cross(at, east);
    let flat = |p: [f64; 3]| [dot(p, east), dot(p, north)];
    let (a, b, c, d) = (flat(a), flat(b), flat(c), flat(d));
    let along = [b[0] - a[0], b[1] - a[1]];
    let up = [c[0] - a[0], c[1] - a[1]];
    let twist = [a[0] - b[0] - c[0] + d[0], a[1] - b[1] - c[1] + d[1]];
    let size = [along, up].iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
    let (mut u, mut v) = (0.5, 0.5);
    for _ in 0..30 {
        let rest = [0, 1].map(|i| a[i] + along[i] * u + up[i] * v + twist[i] * u * v);
        let (du, dv) = ([0, 1].map(|i| along[i] + twist[i] * v), [0, 1].map(|i| up[i] + twist[i] * u));
        let turn = du[0] * dv[1] - du[1] * dv[0];
        if turn.abs() <= 1e-12 * size * size {
            return None;
        }
        let (step_u, step_v) =
            ((rest[0] * dv[1] - rest[1] * dv[0]) / turn, (du[0] * rest[1] - du[1] * rest[0]) / turn);
        (u, v) = (u - step_u, v - step_v);
        if !(u.abs() < 1e3 && v.abs() < 1e3) {
            return None;
        }
        if step_u.abs().max(step_v.abs()) < 1e-13 {
            return Some((u, v));
        }
    }
    None
}

/// Of HEALPix: between two neighbours on the ring above and two on the ring below, beyond the
/// first ring all four of it (`get_interpol` of the reference implementation, HEALPix C++ 3).
pub fn healpix(grid: &Healpix, (lon, lat): (f64, f64)) -> Option<Weighted> {
    let (z, phi) = (lat.to_radians().sin(), lon.to_radians().rem_euclid(TAU));
    let colatitude = FRAC_PI_2 - lat.to_radians();
    let rings = grid.rings();
    let above = grid.ring_above(z);
    // Two cells of a ring with what each counts for, and the ring's colatitude.
    let along = |ring: u64| -> Option<([(u64, f64); 2], f64)> {
        let (count, shift, height) = grid.ring(ring)?;
        let step = TAU / count as f64;
        let place = phi / step - shift;
        let left = place.floor();
        let part = place - left;
        let cell = |i: f64| {
            let at = (i + shift) * step;
            grid.cell(at.to_degrees(), height.asin().to_degrees())
        };
        Some(([(cell(left)?, 1.0 - part), (cell(left + 1.0)?, part)], height.acos()))
    };
    let cap = |ring: u64| -> Option<[u64; 4]> {
        let (_, shift, height) = grid.ring(ring)?;
        let cell = |i: usize| grid.cell((i as f64 + shift) * 90.0, height.asin().to_degrees());
        Some([cell(0)?, cell(1)?, cell(2)?, cell(3)?])
    };
    // Beyond the first or the last ring the pole is the mean of its four.
    let polar = |ring: u64, from_pole: f64, at: f64| -> Option<Weighted> {
        let (pair, _) = along(ring)?;
        let part = at / from_pole;
        let mut out = cap(ring)?.map(|cell| (cell, (1.0 - part) / 4.0));
        for (cell, weight) in pair {
            out.iter_mut().filter(|o| o.0 == cell).for_each(|o| o.1 += weight * part);
        }
        Some(out)
    };
    let angle = |ring: u64| grid.ring(ring).map(|r| r.2.acos());
    if above == 0 {
        return polar(1, angle(1)?, colatitude);
    }
    if above == rings {
        let pole = std::f64::consts::PI;
        return polar(rings, pole - angle(rings)?, pole - colatitude);
    }
    let ((upper, from), (lower, to)) = (along(above)?, along(above + 1)?);
    let part = ((colatitude - from) / (to - from)).clamp(0.0, 1.0);
    let [a, b] = upper.map(|(cell, w)| (cell, w * (1.0 - part)));
    let [c, d] = lower.map(|(cell, w)| (cell, w * part));
    Some([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::super::sphere::{place_of, plus, times};
    use super::*;

    /// Rows and columns that lean, 0.5 degrees apart, around (20, 60).
    fn leaning(rows: usize, columns: usize) -> Places {
        let (mut lon, mut lat) = (Vec::new(), Vec::new());
        for r in 0..rows {
            for c in 0..columns {
                let (y, x) = (r as f64 * 0.5, c as f64 * 0.5);
                lon.push(20.0 + x + 0.4 * y);
                lat.push(60.0 + y - 0.3 * x + 0.01 * x * y);
            }
        }
        Places::new(rows, columns, lon, lat).unwrap()
    }

    /// The place that weights make of the centres, which is the one they were asked for.
    fn mean(places: &Places, found: Weighted) -> (f64, f64) {
        let sum = found.iter().fold([0.0; 3], |sum, (flat, w)| {
            let at = (*flat as usize / places.columns, *flat as usize % places.columns);
            let (x, y) = places.get(at.0, at.1).unwrap();
            plus(sum, times(unit_vector(x, y), *w))
        });
        place_of(sum).unwrap()
    }

    #[test]
    fn weights_make_the_place_of_the_centres_around_it() {
        let places = leaning(9, 12);
        for (r, c, u, v) in [(0, 0, 0.3, 0.2), (3, 4, 0.5, 0.5), (7, 10, 0.9, 0.95), (5, 2, 0.02, 0.6)] {
            let centre = |r: usize, c: usize| places.get(r, c).map(|(x, y)| unit_vector(x, y)).unwrap();
            let row = |r: usize| plus(times(centre(r, c), 1.0 - u), times(centre(r, c + 1), u));
            let place = place_of(plus(times(row(r), 1.0 - v), times(row(r + 1), v))).unwrap();
            // From whichever of the four cells it is looked for.
            for near in [(r, c), (r + 1, c + 1), (r, c + 1), (r + 1, c)] {
                let found = curvilinear(&places, near, place);
                assert!((found[1].1 - u * (1.0 - v)).abs() < 1e-9, "{found:?}");
                assert_eq!(found[3].0, ((r + 1) * 12 + c + 1) as u64);
                let (x, y) = mean(&places, found);
                assert!((x - place.0).abs() < 1e-9 && (y - place.1).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn beyond_the_outermost_centres_these_count_as_they_are() {
        let places = leaning(4, 4);
        let found = curvilinear(&places, (0, 0), (19.9, 59.9));
        assert_eq!((found[0].0, found[0].1), (0, 1.0));
        // A cell whose neighbours have no place.
        let mut lon = places.longitude.clone();
        let mut lat = places.latitude.clone();
        for i in (0..16).filter(|i| ![5].contains(i)) {
            (lon[i], lat[i]) = (f64::NAN, f64::NAN);
        }
        let alone = Places::new(4, 4, lon, lat).unwrap();
        assert_eq!(curvilinear(&alone, (1, 1), places.get(1, 1).unwrap())[0], (5, 1.0));
    }

    #[test]
    fn rows_around_the_earth_are_joined_at_their_ends_and_others_are_not() {
        let ring = |columns: usize, step: f64| {
            let lon = (0..3 * columns).map(|i| (i % columns) as f64 * step - 180.0).collect();
            let lat = (0..3 * columns).map(|i| 70.0 + (i / columns) as f64).collect();
            Places::new(3, columns, lon, lat).unwrap()
        };
        let found = curvilinear(&ring(36, 10.0), (0, 35), (177.0, 70.4));
        assert_eq!((found[0].0, found[1].0), (35, 0));
        // Along the chord, not along the parallel.
        assert!((found[1].1 + found[3].1 - 0.7).abs() < 1e-3, "{found:?}");
        let found = curvilinear(&ring(36, 5.0), (0, 35), (-3.0, 70.4));
        assert_eq!((found[1].0, found[1].1 + found[3].1), (35, 1.0));
    }

    type Known = (u32, bool, f64, f64, [(u64, f64); 4]);

    /// Side, nested, longitude, latitude, and what `HEALPix.bilinear_interpolation_weights` of
    /// astropy-healpix 2.0.1 says, which has the formulas of HEALPix C++.
    #[rustfmt::skip]
    const KNOWN: [Known; 30] = [
        (1, false, 12.5, 3.25, [(0, 0.049662120318), (3, 0.028069894093), (4, 0.794175209813), (5, 0.128092775776)]),
        (1, false, 200.75, -41.5, [(6, 0.005710793453), (7, 0.001711176378), (9, 0.267444635907), (10, 0.725133394262)]),
        (1, false, 359.9, 88.0, [(0, 0.260329550332), (1, 0.239624335604), (2, 0.239624335604), (3, 0.260421778460)]),
        (1, false, 47.0, -89.2, [(8, 0.262081884764), (9, 0.246218646753), (10, 0.245849734242), (11, 0.245849734242)]),
        (1, false, 123.4, 41.9, [(0, 0.129114286971), (1, 0.869955170486), (2, 0.000465271271), (3, 0.000465271271)]),
        (1, false, 0.1, 0.0, [(4, 0.998888888889), (5, 0.001111111111), (8, -0.000000000000), (11, -0.000000000000)]),
        (4, true, 12.5, 3.25, [(69, 0.036736056748), (70, 0.624512964715), (71, 0.188194988076), (76, 0.150555990461)]),
        (4, true, 200.75, -41.5, [(96, 0.002043603682), (169, 0.411128373664), (170, 0.562596721855), (171, 0.024231300799)]),
        (4, true, 359.9, 88.0, [(15, 0.292487542605), (31, 0.207322780866), (47, 0.207322780866), (63, 0.292866895664)]),
        (4, true, 47.0, -89.2, [(128, 0.299695250725), (144, 0.234446524582), (160, 0.232929112346), (176, 0.232929112346)]),
        (4, true, 123.4, 41.9, [(25, 0.977398491269), (26, 0.015444219952), (27, 0.002767484994), (28, 0.004389803784)]),
        (4, true, 0.1, 0.0, [(67, -0.000000000000), (68, -0.000000000000), (70, 0.504444444444), (73, 0.495555555556)]),
        (4, false, 12.5, 3.25, [(72, 0.150555990461), (73, 0.188194988076), (88, 0.624512964715), (89, 0.036736056748)]),
        (4, false, 200.75, -41.5, [(144, 0.002043603682), (145, 0.024231300799), (160, 0.562596721855), (161, 0.411128373664)]),
        (4, false, 359.9, 88.0, [(0, 0.292487542605), (1, 0.207322780866), (2, 0.207322780866), (3, 0.292866895664)]),
        (4, false, 47.0, -89.2, [(188, 0.299695250725), (189, 0.234446524582), (190, 0.232929112346), (191, 0.232929112346)]),
        (4, false, 123.4, 41.9, [(15, 0.002767484994), (16, 0.004389803784), (28, 0.015444219952), (29, 0.977398491269)]),
        (4, false, 0.1, 0.0, [(88, 0.504444444444), (103, 0.495555555556), (104, -0.000000000000), (105, -0.000000000000)]),
        (32, true, 12.5, 3.25, [(4529, 0.263366672961), (4530, 0.015492157233), (4531, 0.400633983226), (4532, 0.320507186581)]),
        (32, true, 200.75, -41.5, [(10901, 0.705612727654), (10902, 0.098249873471), (10903, 0.122041048189), (10944, 0.074096350686)]),
        (32, true, 359.9, 88.0, [(1022, 0.183160385027), (1023, 0.315319663716), (4093, 0.184795745608), (4095, 0.316724205648)]),
        (32, true, 47.0, -89.2, [(8192, 0.648244669319), (9216, 0.125358538610), (10240, 0.113198396036), (11264, 0.113198396036)]),
        (32, true, 123.4, 41.9, [(1626, 0.354458894400), (1627, 0.000249664629), (1637, 0.589366564062), (1648, 0.055924876908)]),
        (32, true, 0.1, 0.0, [(4351, -0.000000000000), (4520, -0.000000000000), (4522, 0.535555555556), (4693, 0.464444444444)]),
        (64, false, 12.5, 3.25, [(22920, 0.270376339526), (22921, 0.172057670608), (23176, 0.061951776652), (23177, 0.495614213214)]),
        (64, false, 200.75, -41.5, [(40718, 0.095317040234), (40719, 0.294616306178), (40974, 0.454160731004), (40975, 0.155905922584)]),
        (64, false, 359.9, 88.0, [(4, 0.131434639189), (11, 0.132608162753), (12, 0.365525408368), (23, 0.370431789689)]),
        (64, false, 47.0, -89.2, [(49140, 0.043018683629), (49141, 0.051412573117), (49148, 0.885444993404), (49149, 0.020123749850)]),
        (64, false, 123.4, 41.9, [(7897, 0.013461312189), (7898, 0.098716289386), (8151, 0.664880329487), (8152, 0.222942068938)]),
        (64, false, 0.1, 0.0, [(24448, 0.571111111111), (24703, 0.428888888889), (24704, -0.000000000000), (24705, -0.000000000000)]),
    ];

    #[test]
    fn healpix_weights_are_those_of_its_reference_implementation() {
        KNOWN.iter().for_each(|(nside, nested, lon, lat, known)| {
            let grid = Healpix::new(*nside, *nested).unwrap();
            let mut sums: Vec<(u64, f64)> = Vec::new();
            for (cell, weight) in healpix(&grid, (*lon, *lat)).unwrap() {
                match sums.iter_mut().find(|s| s.0 == cell) {
                    Some(s) => s.1 += weight,
                    None => sums.push((cell, weight)),
                }
            }
            sums.sort_by_key(|s| s.0);
            for ((cell, weight), (known_cell, known_weight)) in sums.iter().zip(known) {
                assert!(
                    cell == known_cell && (weight - known_weight).abs() < 1e-9,
                    "{nside} {lon} {lat}: {sums:?}"
                );
            }
            assert_eq!(sums.len(), 4);
        });
    }
}
