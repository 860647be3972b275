//! Shapes on longitude and latitude, from GeoJSON and WKT.

use geo::line_intersection::{LineIntersection, line_intersection};
use geo::{BoundingRect, Geometry, Intersects, Relate};
use geo_types::{Coord, Line, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};
use rstar::RTree;
use rstar::primitives::{GeomWithData, Rectangle};
use serde_json::{Value, json};

use super::cql2::Spatial;

/// Positions that one shape may have.
const MAX_POSITIONS: usize = 10_000;
const TOO_MANY: &str = "too many positions";
const MAX_DEPTH: usize = 8;
/// Of a geometry without positions.
pub(super) const EMPTY: &str = "the geometry is empty; expected one with positions, such as POINT(4.9 52.4) or {\"type\": \"Point\", \"coordinates\": [4.9, 52.4]}";
/// Times that the shapes of a filter may cross themselves: each takes some kilobytes while they are related.
const MAX_CROSSINGS: usize = 20_000;
/// Pairs of lines, in either order, whose boxes meet: each is looked at.
const MAX_PAIRS: usize = 500_000;

#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub geometry: Geometry<f64>,
}

impl Shape {
    /// From a GeoJSON geometry (RFC 7946).
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn from_geojson(value: &Value) -> Result<Self, String> {
        Self::read(value, MAX_POSITIONS)
    }

    /// The same of at most so many positions.
    ///
    /// # Errors
    /// What is not as it should be.
    pub fn read(value: &Value, most: usize) -> Result<Self, String> {
        // Of no place nothing can be said, neither that items meet it nor that they do not.
        let empty = |v: &Value| v.as_array().is_some_and(Vec::is_empty);
        if empty(&value["coordinates"]) || empty(&value["geometries"]) {
            return Err(EMPTY.to_owned());
        }
        let mut left = most;
        let geometry = geometry(value, &mut left, 0)
            .map_err(|e| if e == TOO_MANY { format!("more than {most} positions") } else { e })?;
        if geometry.bounding_rect().is_none() {
            return Err(EMPTY.to_owned());
        }
        Ok(Self { geometry })
    }

    /// A box; west may be greater than east.
    pub fn of_box([west, south, east, north]: [f64; 4]) -> Self {
        let ring = |w: f64, e: f64| {
            Polygon::new(
                LineString::from(vec![(w, south), (e, south), (e, north), (w, north), (w, south)]),
                vec![],
            )
        };
        let geometry = match (west > east, west == east, south == north) {
            (true, ..) => MultiPolygon(vec![ring(west, 180.0), ring(-180.0, east)]).into(),
            // Without an area it is less than a polygon.
            (_, true, true) => Point::new(west, south).into(),
            (_, true, _) | (_, _, true) => LineString::from(vec![(west, south), (east, north)]).into(),
            _ => ring(west, east).into(),
        };
        Self { geometry }
    }

    /// West, south, east, north.
    pub fn bounds(&self) -> [f64; 4] {
        self.geometry.bounding_rect().map_or([0.0; 4], |r| [r.min().x, r.min().y, r.max().x, r.max().y])
    }

    /// Whether `of` holds of `self` and `other`, in this order.
    pub fn relates(&self, of: Spatial, other: &Self) -> bool {
        // These two need no graph of all nodes.
        match of {
            Spatial::Intersects => return self.geometry.intersects(&other.geometry),
            Spatial::Disjoint => return !self.geometry.intersects(&other.geometry),
            _ => {}
        }
        let m = self.geometry.relate(&other.geometry);
        match of {
            Spatial::Intersects => m.is_intersects(),
            Spatial::Disjoint => m.is_disjoint(),
            Spatial::Within => m.is_within(),
            Spatial::Contains => m.is_contains(),
            Spatial::Equals => m.is_equal_topo(),
            Spatial::Touches => m.is_touches(),
            Spatial::Crosses => m.is_crosses(),
            Spatial::Overlaps => m.is_overlaps(),
        }
    }

    /// As GeoJSON text that [`Shape::from_geojson`] reads again.
    pub fn to_geojson(&self) -> Value {
        to_geojson(&self.geometry)
    }
}

/// Counts how often shapes cross themselves.
#[derive(Debug, Default)]
pub struct Crossings {
    found: usize,
    pairs: usize,
}

impl Crossings {
    /// # Errors
    /// With this shape there are too many.
    pub fn add(&mut self, shape: &Shape) -> Result<(), String> {
        let mut lines = Vec::new();
        lines_of(&shape.geometry, &mut lines);
        let boxes = lines.iter().enumerate().map(|(i, l)| {
            GeomWithData::new(Rectangle::from_corners([l.start.x, l.start.y], [l.end.x, l.end.y]), i)
        });
        let tree = RTree::bulk_load(boxes.collect());
        for (a, b) in tree.intersection_candidates_with_other_tree(&tree) {
            self.pairs += 1;
            self.found += usize::from(a.data < b.data && cross(lines[a.data], lines[b.data]));
            if self.found > MAX_CROSSINGS {
                return Err(format!(
                    "the geometry crosses itself more than {MAX_CROSSINGS} times; S_INTERSECTS and S_DISJOINT alone take such a one"
                ));
            }
            if self.pairs > MAX_PAIRS {
                return Err(format!(
                    "more than {MAX_PAIRS} pairs of the geometry's lines lie close together; S_INTERSECTS and S_DISJOINT alone take such a one"
                ));
            }
        }
        Ok(())
    }
}

/// Whether two lines meet elsewhere than in an end that both have.
fn cross(a: Line<f64>, b: Line<f64>) -> bool {
    let is_end = |l: Line<f64>, at| l.start == at || l.end == at;
    match line_intersection(a, b) {
        Some(LineIntersection::SinglePoint { intersection: at, .. }) => !(is_end(a, at) && is_end(b, at)),
        Some(LineIntersection::Collinear { .. }) => true,
        None => false,
    }
}

fn lines_of(g: &Geometry<f64>, out: &mut Vec<Line<f64>>) {
    let rings = |p: &Polygon<f64>, out: &mut Vec<Line<f64>>| {
        std::iter::once(p.exterior()).chain(p.interiors()).for_each(|r| out.extend(r.lines()));
    };
    match g {
        Geometry::LineString(l) => out.extend(l.lines()),
        Geometry::MultiLineString(m) => m.iter().for_each(|l| out.extend(l.lines())),
        Geometry::Polygon(p) => rings(p, out),
        Geometry::MultiPolygon(m) => m.iter().for_each(|p| rings(p, out)),
        Geometry::GeometryCollection(c) => c.iter().for_each(|g| lines_of(g, out)),
        // Points have none.
        _ => {}
    }
}

fn position(value: &Value, left: &mut usize) -> Result<Coord<f64>, String> {
    let wrong = || "a position is [longitude, latitude] in degrees".to_owned();
    let list = value.as_array().filter(|l| (2..=4).contains(&l.len())).ok_or_else(wrong)?;
    *left = left.checked_sub(1).ok_or(TOO_MANY)?;
    let number = |i: usize| list[i].as_f64().filter(|v| v.is_finite() && v.abs() <= 1e6).ok_or_else(wrong);
    Ok(Coord { x: number(0)?, y: number(1)? })
}

fn each<T>(
    value: &Value,
    left: &mut usize,
    one: impl Fn(&Value, &mut usize) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let list = value.as_array().ok_or("coordinates are a list")?;
    list.iter().map(|v| one(v, left)).collect()
}

fn line(value: &Value, left: &mut usize) -> Result<LineString<f64>, String> {
    let line = each(value, left, position)?;
    if line.len() < 2 { Err("a line has two positions or more".to_owned()) } else { Ok(LineString(line)) }
}

fn polygon(value: &Value, left: &mut usize) -> Result<Polygon<f64>, String> {
    let mut rings = each(value, left, line)?.into_iter();
    let outer = rings.next().ok_or("a polygon has a ring")?;
    let rings: Vec<_> = rings.collect();
    if std::iter::once(&outer).chain(&rings).any(|r| r.0.len() < 4 || r.0.first() != r.0.last()) {
        return Err("a polygon's ring has four positions or more and ends where it begins".to_owned());
    }
    Ok(Polygon::new(outer, rings))
}

fn geometry(value: &Value, left: &mut usize, depth: usize) -> Result<Geometry<f64>, String> {
    let kind = value["type"].as_str().unwrap_or_default();
    let at = &value["coordinates"];
    Ok(match kind {
        "Point" => Point(position(at, left)?).into(),
        "LineString" => line(at, left)?.into(),
        "Polygon" => polygon(at, left)?.into(),
        "MultiPoint" => MultiPoint(each(at, left, |v, n| position(v, n).map(Point))?).into(),
        "MultiLineString" => MultiLineString(each(at, left, line)?).into(),
        "MultiPolygon" => MultiPolygon(each(at, left, polygon)?).into(),
        "GeometryCollection" if depth < MAX_DEPTH => {
            let parts = value["geometries"].as_array().ok_or("a GeometryCollection has geometries")?;
            let parts: Result<Vec<_>, _> = parts.iter().map(|g| geometry(g, left, depth + 1)).collect();
            Geometry::GeometryCollection(geo_types::GeometryCollection(parts?))
        }
        _ => {
            return Err(
                "expected a GeoJSON geometry: Point, LineString, Polygon, MultiPoint, MultiLineString, MultiPolygon or GeometryCollection"
                    .to_owned(),
            );
        }
    })
}

fn to_geojson(g: &Geometry<f64>) -> Value {
    let at = |c: &Coord<f64>| json!([c.x, c.y]);
    let line = |l: &LineString<f64>| Value::from(l.0.iter().map(at).collect::<Vec<_>>());
    let rings = |p: &Polygon<f64>| {
        Value::from(std::iter::once(p.exterior()).chain(p.interiors()).map(line).collect::<Vec<_>>())
    };
    let of = |kind: &str, coordinates: Value| json!({"type": kind, "coordinates": coordinates});
    match g {
        Geometry::Point(p) => of("Point", at(&p.0)),
        Geometry::LineString(l) => of("LineString", line(l)),
        Geometry::Polygon(p) => of("Polygon", rings(p)),
        Geometry::MultiPoint(m) => of("MultiPoint", m.0.iter().map(|p| at(&p.0)).collect()),
        Geometry::MultiLineString(m) => of("MultiLineString", m.0.iter().map(line).collect()),
        Geometry::MultiPolygon(m) => of("MultiPolygon", m.0.iter().map(rings).collect()),
        Geometry::GeometryCollection(c) => {
            json!({"type": "GeometryCollection", "geometries": c.0.iter().map(to_geojson).collect::<Vec<_>>()})
        }
        // Shapes are made of the kinds above alone.
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_relates_to_shapes_as_its_area_does() {
        let unit = Shape::of_box([0.0, 0.0, 1.0, 1.0]);
        let triangle = Shape::from_geojson(
            &json!({"type": "Polygon", "coordinates": [[[0.9, 0.9], [5.0, 0.9], [5.0, 5.0], [0.9, 0.9]]]}),
        )
        .unwrap();
        assert!(unit.relates(Spatial::Intersects, &triangle) && unit.relates(Spatial::Overlaps, &triangle));
        let inner = Shape::of_box([0.2, 0.2, 0.4, 0.4]);
        assert!(unit.relates(Spatial::Contains, &inner) && inner.relates(Spatial::Within, &unit));
        let across = Shape::of_box([170.0, -1.0, -170.0, 1.0]);
        assert!(across.relates(Spatial::Intersects, &Shape::of_box([-175.0, 0.0, -175.0, 0.0])));
        assert!(!across.relates(Spatial::Intersects, &Shape::of_box([0.0, 0.0, 0.0, 0.5])));
        assert_eq!(Shape::from_geojson(&triangle.to_geojson()).unwrap(), triangle);
    }

    #[test]
    fn intersecting_without_a_graph_is_what_the_graph_says() {
        let shapes = [
            json!({"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]], [[2, 2], [7, 2], [7, 7], [2, 7], [2, 2]]]}),
            json!({"type": "MultiPolygon", "coordinates": [[[[0, 0], [3, 0], [0, 3], [0, 0]]], [[[5, 5], [8, 5], [8, 8], [5, 5]]]]}),
            json!({"type": "LineString", "coordinates": [[0, 0], [4, 8], [8, 0], [8, 9]]}),
            json!({"type": "MultiLineString", "coordinates": [[[1, 1], [2, 8]], [[0, 6], [9, 5]]]}),
            json!({"type": "MultiPoint", "coordinates": [[1, 1], [4, 4], [8, 2]]}),
            json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [6, 1]},
                {"type": "LineString", "coordinates": [[0, 9], [9, 9]]}]}),
        ];
        for shape in shapes.map(|s| Shape::from_geojson(&s).unwrap()) {
            for i in 0..400u32 {
                let (w, s) = (f64::from(i % 20) / 2.0, f64::from(i / 20) / 2.0);
                let (e, n) = (w + f64::from(i % 3), s + f64::from(i % 4));
                for b in [[w, s, e, n], [w + 1.0, s, w, n]] {
                    let of = Shape::of_box(b);
                    let there = of.geometry.relate(&shape.geometry).is_intersects();
                    assert_eq!(of.relates(Spatial::Intersects, &shape), there, "{b:?} {shape:?}");
                    assert_eq!(of.relates(Spatial::Disjoint, &shape), !there, "{b:?} {shape:?}");
                }
            }
        }
    }

    #[test]
    fn ends_that_lines_share_are_no_crossings() {
        let cells: Vec<Value> = (0..2000)
            .map(|i| (i % 50, i / 50))
            .map(|(x, y)| json!([[[x, y], [x + 1, y], [x + 1, y + 1], [x, y + 1], [x, y]]]))
            .collect();
        let mut crossings = Crossings::default();
        let mesh = Shape::from_geojson(&json!({"type": "MultiPolygon", "coordinates": cells})).unwrap();
        crossings.add(&mesh).unwrap();
        // Edges that two cells have.
        assert_eq!(crossings.found, 49 * 40 + 50 * 39);
        let bow = json!({"type": "LineString", "coordinates": [[0, 0], [2, 2], [2, 0], [0, 2]]});
        let mut crossings = Crossings::default();
        crossings.add(&Shape::from_geojson(&bow).unwrap()).unwrap();
        assert_eq!(crossings.found, 1);
    }

    #[test]
    fn what_is_empty_is_refused_as_such() {
        for empty in [
            json!({"type": "Point", "coordinates": []}),
            json!({"type": "Polygon", "coordinates": []}),
            json!({"type": "MultiPolygon", "coordinates": []}),
            json!({"type": "GeometryCollection", "geometries": []}),
            json!({"type": "GeometryCollection", "geometries": [{"type": "MultiPoint", "coordinates": []}]}),
        ] {
            let e = Shape::from_geojson(&empty).unwrap_err();
            assert!(e.contains("is empty; expected one with positions"), "{empty}: {e}");
        }
    }

    #[test]
    fn what_is_no_geometry_is_refused() {
        for bad in [
            json!({"type": "Point", "coordinates": [1]}),
            json!({"type": "Point", "coordinates": ["a", 2]}),
            json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}),
            json!({"type": "Polygon", "coordinates": []}),
            json!({"type": "MultiPolygon", "coordinates": []}),
            json!({"type": "Circle"}),
            json!([1, 2]),
            json!({"type": "LineString", "coordinates": vec![[0, 0]; 20_000]}),
        ] {
            assert!(
                Shape::from_geojson(&bad).is_err(),
                "{}",
                bad.to_string().chars().take(80).collect::<String>()
            );
        }
    }
}
