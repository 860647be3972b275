//! CQL2 JSON.

use serde_json::Value;

use super::cql2::{Arithmetic, Comparison, Expr, Scalar, Span, Spatial, Temporal, comparable};
use super::geometry::Shape;
use super::properties::{Kind, Queryables, cut};
use super::text::{instant_span, moment, spatial};
use super::{MAX_DEPTH, MAX_LISTED, instants};

/// # Errors
/// Which member cannot be understood, and what was expected.
pub fn parse(of: &'static Queryables, value: &Value, depth: usize) -> Result<Expr, String> {
    if depth > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} conditions within each other"));
    }
    if let Value::Bool(b) = value {
        return Ok(Expr::Is(*b));
    }
    if value["property"].is_string() {
        let p = scalar(of, value, depth)?;
        return if p.kind() == Kind::Bool {
            Ok(Expr::Compare(Comparison::Equal, p, Scalar::Bool(true)))
        } else {
            Err(format!("{} is no condition", shown(value)))
        };
    }
    let Some(op) = value["op"].as_str() else {
        return Err(format!("expected an object with \"op\" and \"args\", found {}", shown(value)));
    };
    let args = value["args"].as_array().ok_or_else(|| format!("{op:?}: \"args\" is a list"))?;
    let lower = op.to_ascii_lowercase();
    let count = |n: usize| -> Result<(), String> {
        if args.len() == n { Ok(()) } else { Err(format!("{op:?} has {n} arguments, found {}", args.len())) }
    };
    let value_of = |i: usize| scalar(of, &args[i], depth + 1);
    match lower.as_str() {
        "and" | "or" => {
            let list = args.iter().map(|a| parse(of, a, depth + 1)).collect::<Result<Vec<_>, _>>()?;
            if list.is_empty() || list.len() > MAX_LISTED {
                return Err(format!("{op:?} has 1 to {MAX_LISTED} arguments"));
            }
            Ok(if lower == "and" { Expr::And(list) } else { Expr::Or(list) })
        }
        "not" => {
            count(1)?;
            Ok(Expr::Not(Box::new(parse(of, &args[0], depth + 1)?)))
        }
        "like" => {
            count(2)?;
            let (a, b) = (value_of(0)?, value_of(1)?);
            if !a.may_be(Kind::Text) || !b.may_be(Kind::Text) {
                return Err("\"like\" compares texts".to_owned());
            }
            Ok(Expr::Like(a, b))
        }
        "between" => {
            // Drafts of CQL2 had both ends in a list, and clients still write them so.
            let ends = match args.as_slice() {
                [_, Value::Array(ends)] => ends.as_slice(),
                [_, ends @ ..] => ends,
                [] => &[],
            };
            let [low, high] = ends else { return Err("\"between\" has 3 arguments".to_owned()) };
            let (a, low) = comparable(value_of(0)?, scalar(of, low, depth + 1)?)?;
            let (a, high) = comparable(a, scalar(of, high, depth + 1)?)?;
            Ok(Expr::Between(a, low, high))
        }
        "in" => {
            count(2)?;
            let list = args[1].as_array().filter(|l| !l.is_empty() && l.len() <= MAX_LISTED);
            let list = list.ok_or_else(|| format!("\"in\" lists 1 to {MAX_LISTED} values"))?;
            let mut a = value_of(0)?;
            let mut values = Vec::new();
            for v in list {
                let (left, v) = comparable(a, scalar(of, v, depth + 1)?)?;
                a = left;
                values.push(v);
            }
            Ok(Expr::In(a, values))
        }
        "isnull" => {
            count(1)?;
            Ok(Expr::IsNull(value_of(0)?))
        }
        _ => {
            if let Some(sign) = Comparison::parse(&lower) {
                count(2)?;
                let (a, b) = comparable(value_of(0)?, value_of(1)?)?;
                return Ok(Expr::Compare(sign, a, b));
            }
            if let Some(relation) = Spatial::parse(&lower) {
                count(2)?;
                return spatial(relation, place(of, &args[0])?, place(of, &args[1])?);
            }
            if let Some(relation) = Temporal::parse(&lower) {
                count(2)?;
                return Ok(Expr::Temporal(
                    relation,
                    span(of, &args[0], depth + 1)?,
                    span(of, &args[1], depth + 1)?,
                ));
            }
            Err(format!("no operator {:?}", cut(op)))
        }
    }
}

fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

fn scalar(of: &'static Queryables, value: &Value, depth: usize) -> Result<Scalar, String> {
    if depth > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} values within each other"));
    }
    Ok(match value {
        Value::String(t) => Scalar::Text(t.clone()),
        Value::Bool(b) => Scalar::Bool(*b),
        Value::Number(n) => Scalar::Number(n.as_f64().ok_or("a number that is none")?),
        Value::Object(o) => {
            if let Some(name) = o.get("property").and_then(Value::as_str) {
                return of.find(name).map(Scalar::Property);
            }
            for (key, read) in
                [("timestamp", instants::instant as fn(&str) -> Option<f64>), ("date", instants::date)]
            {
                if let Some(t) = o.get(key).and_then(Value::as_str) {
                    let at = read(t).ok_or_else(|| format!("{:?} is no {key}", cut(t)))?;
                    return Ok(Scalar::Time(at));
                }
            }
            let op = o.get("op").and_then(Value::as_str).unwrap_or_default();
            let args = o.get("args").and_then(Value::as_array).map_or(&[] as &[Value], Vec::as_slice);
            match (op.to_ascii_lowercase().as_str(), args) {
                ("casei", [inner]) => {
                    let inner = scalar(of, inner, depth + 1)?;
                    if !inner.may_be(Kind::Text) {
                        return Err("\"casei\" is of texts".to_owned());
                    }
                    Scalar::Folded(Box::new(inner))
                }
                (sign, [a, b]) if Arithmetic::parse(sign).is_some() => {
                    let (a, b) = (scalar(of, a, depth + 1)?, scalar(of, b, depth + 1)?);
                    match Arithmetic::parse(sign) {
                        Some(op) if a.may_be(Kind::Number) && b.may_be(Kind::Number) => {
                            Scalar::Arithmetic(op, Box::new(a), Box::new(b))
                        }
                        _ => return Err(format!("{sign:?} is of numbers")),
                    }
                }
                _ => return Err(format!("{} is no value", shown(value))),
            }
        }
        _ => return Err(format!("{} is no value", shown(value))),
    })
}

/// `None` for the property geometry.
fn place(of: &'static Queryables, value: &Value) -> Result<Option<Shape>, String> {
    if let Some(name) = value["property"].as_str() {
        return if of.find(name)?.kind == Kind::Geometry {
            Ok(None)
        } else {
            Err(format!("{name:?} is no geometry"))
        };
    }
    if let Some(list) = value["bbox"].as_array() {
        let n: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        return match n.as_deref() {
            Some(&[w, s, e, n]) | Some(&[w, s, _, e, n, _]) if s <= n => {
                Ok(Some(Shape::of_box([w, s, e, n])))
            }
            _ => Err("\"bbox\" has west, south, east, north".to_owned()),
        };
    }
    Shape::from_geojson(value).map(Some)
}

fn span(of: &'static Queryables, value: &Value, depth: usize) -> Result<Span, String> {
    let Some(ends) = value["interval"].as_array() else { return instant_span(of, scalar(of, value, depth)?) };
    let [from, to] = ends.as_slice() else { return Err("\"interval\" has two ends".to_owned()) };
    let end = |v: &Value, open: f64| -> Result<Scalar, String> {
        if v == ".." { Ok(Scalar::Time(open)) } else { moment(scalar(of, v, depth)?) }
    };
    Ok(Span(end(from, f64::NEG_INFINITY)?, end(to, f64::INFINITY)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::properties::ITEMS;
    use super::*;

    #[test]
    fn json_and_text_say_the_same() {
        for (text, value) in [
            ("id = 'a'", json!({"op": "=", "args": [{"property": "id"}, "a"]})),
            (
                "id LIKE 'a%' AND NOT deprecated",
                json!({"op": "and", "args": [{"op": "like", "args": [{"property": "id"}, "a%"]},
                    {"op": "not", "args": [{"property": "deprecated"}]}]}),
            ),
            (
                "datetime BETWEEN DATE('2020-01-01') AND TIMESTAMP('2020-02-01T00:00:00Z')",
                json!({"op": "between", "args": [{"property": "datetime"}, {"date": "2020-01-01"}, {"timestamp": "2020-02-01T00:00:00Z"}]}),
            ),
            (
                "collection IN ('a', 'b')",
                json!({"op": "in", "args": [{"property": "collection"}, ["a", "b"]]}),
            ),
            ("end_datetime IS NULL", json!({"op": "isNull", "args": [{"property": "end_datetime"}]})),
            (
                "S_WITHIN(geometry, POLYGON((0 0, 1 0, 1 1, 0 0)))",
                json!({"op": "s_within", "args": [{"property": "geometry"},
                    {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}]}),
            ),
            (
                "S_INTERSECTS(geometry, BBOX(1, 2, 3, 4))",
                json!({"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [1, 2, 3, 4]}]}),
            ),
            (
                "T_DURING(datetime, INTERVAL('..', '2020-01-01T00:00:00Z'))",
                json!({"op": "t_during", "args": [{"property": "datetime"}, {"interval": ["..", "2020-01-01T00:00:00Z"]}]}),
            ),
            (
                "CASEI(id) = CASEI('A')",
                json!({"op": "=", "args": [{"op": "casei", "args": [{"property": "id"}]}, {"op": "casei", "args": ["A"]}]}),
            ),
            (
                "graticule:bytes * 2 > 10",
                json!({"op": ">", "args": [{"op": "*", "args": [{"property": "graticule:bytes"}, 2]}, 10]}),
            ),
        ] {
            assert_eq!(parse(&ITEMS, &value, 0), Expr::from_text(&ITEMS, text), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for bad in [
            json!({}),
            json!([]),
            json!("id = 'a'"),
            json!({"op": "=", "args": [{"property": "id"}]}),
            json!({"op": "and", "args": []}),
            json!({"op": "sleep", "args": [1]}),
            json!({"op": "=", "args": [{"property": "versions"}, 1]}),
            json!({"op": "in", "args": [{"property": "id"}, []]}),
            json!({"op": "s_intersects", "args": [{"property": "id"}, {"type": "Point", "coordinates": [0, 0]}]}),
        ] {
            assert!(parse(&ITEMS, &bad, 0).is_err(), "{bad}");
        }
        let point = json!({"type": "Point", "coordinates": [0, 0]});
        let e = parse(&ITEMS, &json!({"op": "s_intersects", "args": [point, point]}), 0).unwrap_err();
        assert!(e.contains("one of its sides must be a property"), "{e}");
        let mut deep = json!({"op": "isNull", "args": [{"property": "id"}]});
        for _ in 0..100 {
            deep = json!({"op": "not", "args": [deep]});
        }
        assert!(parse(&ITEMS, &deep, 0).unwrap_err().contains("within each other"));
    }
}
