//! What a filter may ask at most, whichever way it was said: SQLite binds so many values to a
//! query and reads a tree so deep, and relating shapes takes memory for each place where they cross.

use super::cql2::{Arithmetic, Expr, Scalar, Spatial};
use super::geometry::Crossings;

/// Properties and values. SQLite binds 32,766, and the rest of a search has up to 16,000.
const MAX_VALUES: usize = 15_000;
/// SQLite's trees are at most 1000 deep; a query has a few levels above its filter.
const MAX_HEIGHT: usize = 900;

/// # Errors
/// Which bound the filter exceeds.
pub fn check(e: &Expr) -> Result<(), String> {
    let mut counted = Counted { values: 0, crossings: Crossings::default() };
    let height = counted.expr(e)?;
    if counted.values > MAX_VALUES {
        return Err(format!(
            "the filter has {} properties and values; at most {MAX_VALUES} are read",
            counted.values
        ));
    }
    if height > MAX_HEIGHT {
        return Err(format!(
            "the filter's conditions and operators lie {height} deep within each other; at most {MAX_HEIGHT} are read"
        ));
    }
    Ok(())
}

struct Counted {
    values: usize,
    crossings: Crossings,
}

impl Counted {
    /// The height of its SQL.
    fn expr(&mut self, e: &Expr) -> Result<usize, String> {
        Ok(1 + match e {
            Expr::And(list) | Expr::Or(list) => {
                let mut highest = 0;
                for e in list {
                    highest = highest.max(self.expr(e)?);
                }
                // Brackets halve them, see `sql::joined`.
                highest + list.len().max(1).next_power_of_two().ilog2() as usize
            }
            Expr::Not(inner) => self.expr(inner)?,
            Expr::Is(_) => 0,
            Expr::Compare(_, a, b) | Expr::Like(a, b) => self.scalar(a).max(self.scalar(b)),
            Expr::Between(a, low, high) => self.scalar(a).max(self.scalar(low)).max(self.scalar(high)),
            Expr::In(a, list) => list.iter().fold(self.scalar(a), |h, v| h.max(self.scalar(v))),
            Expr::IsNull(a) => self.scalar(a),
            Expr::Spatial(op, shape) => {
                self.values += 2;
                if !matches!(op, Spatial::Intersects | Spatial::Disjoint) {
                    self.crossings.add(shape)?;
                }
                2
            }
            Expr::Temporal(_, a, b) => {
                // Three comparisons at most.
                self.values += 6;
                4 + [&a.0, &a.1, &b.0, &b.1].into_iter().fold(0, |h, v| h.max(self.scalar(v)))
            }
        })
    }

    fn scalar(&mut self, s: &Scalar) -> usize {
        match s {
            Scalar::Property(_) => {
                self.values += 1;
                // Some are small expressions.
                4
            }
            Scalar::Text(_) | Scalar::Number(_) | Scalar::Bool(_) | Scalar::Time(_) => {
                self.values += 1;
                1
            }
            Scalar::Folded(inner) => 1 + self.scalar(inner),
            // What is divided is multiplied by 1.0 first.
            Scalar::Arithmetic(Arithmetic::Divide, a, b) => 1 + (1 + self.scalar(a)).max(self.scalar(b)),
            Scalar::Arithmetic(_, a, b) => 1 + self.scalar(a).max(self.scalar(b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Expr, ITEMS};

    fn grid(n: usize) -> Value {
        let line = |i: usize| [json!([[i, -1], [i, n]]), json!([[-1, i], [n, i]])];
        json!({"type": "MultiLineString", "coordinates": (0..n).flat_map(line).collect::<Vec<_>>()})
    }

    #[test]
    fn values_of_all_conditions_together_have_a_bound() {
        let ids: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let lists = |n: usize| {
            let one = json!({"op": "in", "args": [{"property": "id"}, ids]});
            Expr::from_json(&ITEMS, &json!({"op": "and", "args": vec![one; n]}))
        };
        assert!(lists(14).is_ok());
        let e = lists(40).unwrap_err();
        assert!(e.contains("40040 properties and values; at most 15000"), "{e}");
    }

    #[test]
    fn chains_of_arithmetic_have_a_bound() {
        let sum = |n: usize| Expr::from_text(&ITEMS, &format!("graticule:bytes{} > 0", "+1".repeat(n)));
        assert!(sum(500).is_ok());
        let e = sum(1200).unwrap_err();
        assert!(e.contains("more than 500 arithmetic operators"), "{e}");
        // Each division is two levels of SQL.
        let e = Expr::from_text(&ITEMS, &format!("graticule:bytes{} > 0", "/1".repeat(500))).unwrap_err();
        assert!(e.contains("deep within each other; at most 900"), "{e}");
    }

    #[test]
    fn a_shape_that_crosses_itself_too_often_is_not_related_by_its_nodes() {
        let filter = |op: &str, shape: &Value| {
            Expr::from_json(&ITEMS, &json!({"op": op, "args": [{"property": "geometry"}, shape]}))
        };
        assert!(filter("s_within", &grid(100)).is_ok());
        let e = filter("s_within", &grid(300)).unwrap_err();
        assert!(e.contains("20000 times"), "{e}");
        // Neither of these looks for crossings of the shape with itself.
        assert!(filter("s_intersects", &grid(300)).is_ok() && filter("s_disjoint", &grid(300)).is_ok());
        let e = Expr::from_json(
            &ITEMS,
            &json!({"op": "or", "args": vec![
            json!({"op": "s_touches", "args": [{"property": "geometry"}, grid(100)]}); 3]}),
        );
        assert!(e.unwrap_err().contains("20000 times"));
    }
}
