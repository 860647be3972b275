//! The geometry of a query: WKT (OGC 06-103r4 section 7) with longitude before latitude as in
//! CRS84, or a GeoJSON geometry.
//!
//! EDR adds heights and measures: `LINESTRINGZ`, `LINESTRINGM` and `LINESTRINGZM`, whose M is
//! seconds since 1970 (OGC 19-086r6, requirement A.50).

use geo::CoordsIter;
use geo_types::{Coord, Geometry, LineString, Polygon};

use crate::search::geometry::Shape as Feature;

/// Positions that are read of points and lines, which are asked for in parts where they are many.
const MAX_POSITIONS: usize = 100_000;
/// Positions that polygons may have.
pub(super) const MAX_CORNERS: usize = 10_000;
/// Brackets within brackets: those of a `MULTIPOLYGON`, and one more.
const MAX_DEPTH: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vertex {
    pub longitude: f64,
    pub latitude: f64,
    pub z: Option<f64>,
    /// Seconds since 1970, UTC.
    pub m: Option<f64>,
}

/// A ring of a polygon, longitudes and latitudes in degrees; its last position is its first.
pub type Ring = Vec<(f64, f64)>;

#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    Points(Vec<Vertex>),
    Lines(Vec<Vec<Vertex>>),
    /// Polygons of one outer ring and any number of holes.
    Polygons(Vec<Vec<Ring>>),
}

/// Reads a geometry; text that begins with a brace is GeoJSON.
///
/// # Errors
/// What was expected, with `example`, for anything else.
pub fn parse(text: &str, example: &str) -> Result<Shape, String> {
    let text = text.trim();
    let shape = if text.starts_with('{') { geojson(text)? } else { wkt(text, example)? };
    if let Shape::Polygons(p) = &shape {
        check_corners(p.iter().flatten().map(Vec::len).sum())?;
    }
    let vertices: Vec<(f64, f64)> = match &shape {
        Shape::Points(p) => p.iter().map(|v| (v.longitude, v.latitude)).collect(),
        Shape::Lines(l) => l.iter().flatten().map(|v| (v.longitude, v.latitude)).collect(),
        Shape::Polygons(p) => p.iter().flatten().flatten().copied().collect(),
    };
    for (longitude, latitude) in vertices {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(format!(
                "latitude {latitude} is not within -90 and 90; longitude comes first, as in {example}"
            ));
        }
        if !(-540.0..=540.0).contains(&longitude) {
            return Err(format!("longitude {longitude} is not within -180 and 180"));
        }
    }
    Ok(shape)
}

fn geojson(text: &str) -> Result<Shape, String> {
    let value = serde_json::from_str(text).map_err(|e| format!("not GeoJSON: {e}"))?;
    of_geometry(Feature::read(&value, MAX_POSITIONS)?.geometry)
}

fn check_corners(count: usize) -> Result<(), String> {
    if count <= MAX_CORNERS {
        return Ok(());
    }
    Err(format!(
        "polygons of {count} positions, of at most {MAX_CORNERS}: ask with fewer vertices, or in parts"
    ))
}

/// # Errors
/// A collection of different kinds; polygons of more positions than are compared with cells.
pub fn of_geometry(geometry: Geometry<f64>) -> Result<Shape, String> {
    if matches!(geometry, Geometry::Polygon(_) | Geometry::MultiPolygon(_)) {
        check_corners(geometry.coords_count())?;
    }
    let vertex = |c: Coord<f64>| Vertex { longitude: c.x, latitude: c.y, z: None, m: None };
    let ring = |l: &LineString<f64>| l.0.iter().map(|c| (c.x, c.y)).collect::<Ring>();
    let rings = |p: &Polygon<f64>| std::iter::once(p.exterior()).chain(p.interiors()).map(ring).collect();
    let line = |l: LineString<f64>| l.0.into_iter().map(vertex).collect();
    Ok(match geometry {
        Geometry::Point(p) => Shape::Points(vec![vertex(p.0)]),
        Geometry::MultiPoint(m) => Shape::Points(m.0.into_iter().map(|p| vertex(p.0)).collect()),
        Geometry::LineString(l) => Shape::Lines(vec![line(l)]),
        Geometry::MultiLineString(m) => Shape::Lines(m.0.into_iter().map(line).collect()),
        Geometry::Polygon(p) => Shape::Polygons(vec![rings(&p)]),
        Geometry::MultiPolygon(m) => Shape::Polygons(m.0.iter().map(rings).collect()),
        _ => {
            return Err("a collection of geometries: give one point, line or polygon, or several of a kind"
                .to_owned());
        }
    })
}

/// Brackets and what is between them.
enum Node {
    Numbers(Position),
    Group(Vec<Node>),
}

/// Two to four numbers.
struct Position {
    numbers: [f64; 4],
    count: u8,
}

impl Position {
    fn parse(text: &str) -> Option<Self> {
        let mut out = Self { numbers: [0.0; 4], count: 0 };
        for word in text.split_whitespace() {
            let number = word.parse().ok().filter(|v: &f64| v.is_finite())?;
            *out.numbers.get_mut(usize::from(out.count))? = number;
            out.count += 1;
        }
        (out.count >= 2).then_some(out)
    }

    fn numbers(&self) -> &[f64] {
        &self.numbers[..usize::from(self.count)]
    }
}

fn wkt(text: &str, example: &str) -> Result<Shape, String> {
    let expected = || format!("expected WKT with longitude before latitude, such as {example}");
    let open = text.find('(').ok_or_else(expected)?;
    let (keyword, body) = text.split_at(open);
    let keyword: String = keyword.split_whitespace().collect::<String>().to_ascii_uppercase();
    let known = ["MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON", "POINT", "LINESTRING", "POLYGON"];
    let kind = known.into_iter().find(|k| keyword.starts_with(k)).ok_or_else(expected)?;
    let (z, m) = match keyword.strip_prefix(kind) {
        Some("") => (None, None),
        Some("Z") => (Some(2), None),
        Some("M") => (None, Some(2)),
        Some("ZM") => (Some(2), Some(3)),
        _ => return Err(expected()),
    };
    let mut reader = Reader { rest: body, left: MAX_POSITIONS };
    let node = reader.group(0).map_err(|why| why.unwrap_or_else(expected))?;
    if !reader.rest.trim().is_empty() {
        return Err(expected());
    }
    let marked = z.is_some() || m.is_some();
    let vertex = |n: &[f64]| -> Option<Vertex> {
        let fits = match n.len() {
            2 => !marked,
            3 => m.is_none() || z.is_none(),
            4 => m.is_some() && z.is_some(),
            _ => false,
        };
        let at = |i: Option<usize>| i.and_then(|i| n.get(i).copied());
        fits.then(|| Vertex { longitude: n[0], latitude: n[1], z: at(z), m: at(m) })
    };
    let vertices = |node: &Node| -> Option<Vec<Vertex>> {
        let Node::Group(members) = node else { return None };
        members
            .iter()
            .map(|n| match n {
                Node::Numbers(n) => vertex(n.numbers()),
                // `MULTIPOINT((1 2),(3 4))`.
                Node::Group(one) => match one.as_slice() {
                    [Node::Numbers(n)] if kind == "MULTIPOINT" => vertex(n.numbers()),
                    _ => None,
                },
            })
            .collect()
    };
    let members =
        |node: &'_ Node| -> Option<usize> { if let Node::Group(m) = node { Some(m.len()) } else { None } };
    let line = |node: &Node| vertices(node).filter(|l| l.len() >= 2);
    let ring = |node: &Node| -> Option<Ring> {
        let ring: Ring = vertices(node)?.iter().map(|v| (v.longitude, v.latitude)).collect();
        (ring.len() >= 4 && ring.first() == ring.last()).then_some(ring)
    };
    fn each<T>(node: &Node, one: impl Fn(&Node) -> Option<T>) -> Option<Vec<T>> {
        if let Node::Group(m) = node { m.iter().map(one).collect() } else { None }
    }
    let polygon = |node: &Node| each(node, ring);
    match kind {
        "POINT" if members(&node) != Some(1) => None,
        "POINT" | "MULTIPOINT" => vertices(&node).map(Shape::Points),
        "LINESTRING" => line(&node).map(|l| Shape::Lines(vec![l])),
        "MULTILINESTRING" => each(&node, line).map(Shape::Lines),
        "POLYGON" => polygon(&node).map(|p| Shape::Polygons(vec![p])),
        _ => each(&node, polygon).map(Shape::Polygons),
    }
    .ok_or_else(|| {
        if kind.ends_with("POLYGON") {
            format!("{}; a polygon's ring has four positions or more and ends where it begins", expected())
        } else {
            expected()
        }
    })
}

struct Reader<'a> {
    rest: &'a str,
    left: usize,
}

impl Reader<'_> {
    /// What a bracket holds. An error without words is one of form.
    fn group(&mut self, depth: usize) -> Result<Node, Option<String>> {
        if depth > MAX_DEPTH {
            return Err(None);
        }
        self.rest = self.rest.trim_start().strip_prefix('(').ok_or(None)?;
        let mut members = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            if self.rest.starts_with('(') {
                members.push(self.group(depth + 1)?);
            } else {
                let end = self.rest.find([',', '(', ')']).ok_or(None)?;
                let (position, rest) = self.rest.split_at(end);
                let numbers = Position::parse(position).ok_or(None)?;
                self.left = self
                    .left
                    .checked_sub(1)
                    .ok_or_else(|| Some(format!("more than {MAX_POSITIONS} positions")))?;
                members.push(Node::Numbers(numbers));
                self.rest = rest;
            }
            self.rest = self.rest.trim_start();
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
            } else {
                self.rest = self.rest.strip_prefix(')').ok_or(None)?;
                return Ok(Node::Group(members));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINT: &str = "POINT(4.9 52.4)";

    fn points(text: &str) -> Vec<(f64, f64)> {
        match parse(text, POINT).unwrap() {
            Shape::Points(p) => p.iter().map(|v| (v.longitude, v.latitude)).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn points_are_read_with_longitude_first() {
        assert_eq!(points("POINT(4.9 52.4)"), [(4.9, 52.4)]);
        assert_eq!(points(" point Z (4.9 52.4 10)"), [(4.9, 52.4)]);
        assert_eq!(points("MULTIPOINT((1 2), (3 4))"), [(1.0, 2.0), (3.0, 4.0)]);
        assert_eq!(points("MULTIPOINT(1 2,3 4)"), [(1.0, 2.0), (3.0, 4.0)]);
        assert_eq!(points(r#"{"type":"Point","coordinates":[1,2]}"#), [(1.0, 2.0)]);
    }

    #[test]
    fn lines_have_heights_and_times_where_they_say_so() {
        let Shape::Lines(l) = parse("LINESTRINGZM(1 2 850 1500000000, 3 4 500 1500003600)", POINT).unwrap()
        else {
            panic!("no lines");
        };
        assert_eq!((l[0][1].z, l[0][1].m), (Some(500.0), Some(1_500_003_600.0)));
        let Shape::Lines(l) = parse("LINESTRING M (1 2 60, 3 4 120)", POINT).unwrap() else {
            panic!("no lines")
        };
        assert_eq!((l[0][0].z, l[0][0].m), (None, Some(60.0)));
        assert!(parse("LINESTRINGZM(1 2 3, 4 5 6)", POINT).is_err());
    }

    #[test]
    fn polygons_have_closed_rings_and_holes() {
        let text = "MULTIPOLYGON(((0 0,9 0,9 9,0 9,0 0),(1 1,2 1,2 2,1 1)),((20 0,21 0,21 1,20 0)))";
        let Shape::Polygons(p) = parse(text, POINT).unwrap() else { panic!("no polygons") };
        assert_eq!((p.len(), p[0].len(), p[0][1].len()), (2, 2, 4));
        let open = parse("POLYGON((0 0,9 0,9 9,0 9))", "POLYGON((0 0,1 0,1 1,0 0))").unwrap_err();
        assert!(open.contains("ends where it begins"), "{open}");
    }

    #[test]
    fn what_is_no_geometry_is_refused_with_an_example() {
        for bad in [
            "",
            "POINT",
            "POINT()",
            "POINT(1)",
            "POINT(a b)",
            "POINT(1 2 3 4)",
            "POINT(NaN 0)",
            "POINT 1 2",
            "POINT(1 2",
            "(1 2)",
            "POINT(1 2))",
            "POINT((1 2))",
            "POINT(1 2,3 4)",
            "LINESTRING(1 2)",
            "POINTER(1 2)",
            "CIRCLE(1 2)",
            "POLYGON(1 2)",
        ] {
            assert!(parse(bad, POINT).unwrap_err().contains(POINT), "{bad}");
        }
        assert!(parse("POINT(52 104)", POINT).unwrap_err().contains("longitude comes first"));
        let deep = format!("POLYGON{}1 2{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(parse(&deep, POINT).is_err());
        let many = format!("MULTIPOINT({}1 2)", "1 2,".repeat(100_000));
        assert!(parse(&many, POINT).unwrap_err().contains("positions"));
        let corners = format!("POLYGON((1 2,{}1 2))", "3 4,".repeat(10_000));
        assert!(parse(&corners, POINT).unwrap_err().contains("fewer vertices"));
    }
}
