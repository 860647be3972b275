//! Well-known text (OGC 06-103r4) inside of CQL2 text, as GeoJSON.

use serde_json::{Value, json};

use super::MAX_DEPTH;
use super::geometry::EMPTY;
use super::properties::cut;
use super::text::Parser;
use super::tokens::Token;

impl Parser {
    pub(super) fn number(&mut self) -> Result<f64, String> {
        let minus = self.takes("-");
        match self.next() {
            Token::Number(n) => Ok(if minus { -n } else { n }),
            _ => {
                self.at -= 1;
                Err(self.expected("a number"))
            }
        }
    }

    /// What follows the name of a WKT geometry, as GeoJSON.
    pub(super) fn wkt(&mut self, kind: (&str, usize)) -> Result<Value, String> {
        let (kind, depth) = kind;
        // Heights are read and left aside.
        if !self.keyword("z") {
            self.keyword("zm");
        }
        if self.keyword("empty") {
            return Err(EMPTY.to_owned());
        }
        if kind == "GeometryCollection" {
            self.demands("(")?;
            let mut parts = Vec::new();
            loop {
                self.depth += 1;
                let Token::Word(name) = self.next() else {
                    return Err("a geometry collection lists geometries".to_owned());
                };
                let inner = wkt_kind(&name).filter(|_| self.depth < MAX_DEPTH);
                parts.push(self.wkt(inner.ok_or_else(|| format!("{:?} is no geometry", cut(&name)))?)?);
                self.depth -= 1;
                if !self.takes(",") {
                    break;
                }
            }
            self.demands(")")?;
            return Ok(json!({"type": kind, "geometries": parts}));
        }
        let coordinates = self.coordinates(depth, kind == "MultiPoint")?;
        Ok(json!({"type": kind, "coordinates": coordinates}))
    }

    /// Brackets `depth` deep around positions.
    fn coordinates(&mut self, depth: usize, loose: bool) -> Result<Value, String> {
        self.demands("(")?;
        let mut list = Vec::new();
        loop {
            // MULTIPOINT (1 2, 3 4) is as good as MULTIPOINT ((1 2), (3 4)).
            let bracketed = matches!(self.peek(), Token::Sign("("));
            if depth > 1 || (loose && bracketed && depth == 1) {
                let inner = self.coordinates(depth.saturating_sub(1), loose)?;
                list.push(inner);
            } else {
                let mut position = vec![self.number()?, self.number()?];
                while position.len() < 4 && matches!(self.peek(), Token::Number(_) | Token::Sign("-")) {
                    position.push(self.number()?);
                }
                list.push(json!(position));
            }
            if !self.takes(",") {
                break;
            }
        }
        self.demands(")")?;
        if depth == 0 {
            list.into_iter().next().ok_or_else(|| "a position is missing".to_owned())
        } else {
            Ok(list.into())
        }
    }
}

/// GeoJSON's name of a WKT geometry, and how deep its positions lie.
pub(super) fn wkt_kind(name: &str) -> Option<(&'static str, usize)> {
    Some(match name.to_ascii_lowercase().as_str() {
        "point" => ("Point", 0),
        "linestring" => ("LineString", 1),
        "polygon" => ("Polygon", 2),
        "multipoint" => ("MultiPoint", 1),
        "multilinestring" => ("MultiLineString", 2),
        "multipolygon" => ("MultiPolygon", 3),
        "geometrycollection" => ("GeometryCollection", 0),
        _ => return None,
    })
}
