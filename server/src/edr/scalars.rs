//! Times and levels that are no dimension: scalar coordinate variables (CF section 5.7), as the one
//! image of a satellite or a field at two metres has them. They are as dimensions of one step.

use std::sync::Arc;

use graticule_shared::cube::{Dim, Role, Variable, role_of};
use graticule_shared::node;
use serde_json::Value;

use super::coverage::Selected;
use super::{Choice, select};
use crate::opened::Opened;
use crate::problem::Answer;

/// Standard names of levels.
const LEVELS: [&str; 4] = ["air_pressure", "height", "altitude", "depth"];

/// Those that a variable names, of each role that none of its dimensions has the first.
pub fn of(opened: &Opened, variable: &Variable) -> Vec<Dim> {
    let names = variable.attributes.get("coordinates").and_then(Value::as_str).unwrap_or_default();
    let mut out: Vec<Dim> = Vec::new();
    for name in names.split_whitespace() {
        let path = node::beside(&variable.path, name);
        let Ok(array) = opened.array(&path) else { continue };
        let text = |key: &str| array.attributes.get(key).and_then(Value::as_str).map(str::to_owned);
        let role = match role_of(name, &array.attributes) {
            // Without `axis` or `positive`, which a scalar need not have.
            Role::Other if text("standard_name").is_some_and(|n| LEVELS.contains(&&*n)) => Role::Z,
            role => role,
        };
        // The time of a forecast's run is another.
        let is_time = text("standard_name").map_or(name == "time", |n| n == "time");
        let fits = role == Role::Z || (role == Role::T && is_time);
        let known = variable.leading().iter().chain(&out).any(|d| d.role == role);
        let dim = Dim {
            name: name.to_owned(),
            len: 1,
            role,
            coordinate: Some(path),
            units: text("units"),
            calendar: text("calendar"),
            positive: text("positive"),
            long_name: text("long_name"),
        };
        if array.shape.is_empty() && fits && !known && (role == Role::Z || select::clock(&dim).is_ok()) {
            out.push(dim);
        }
    }
    out
}

/// They as what is selected of them. What is `fixed` of roles is what no dimension says: only there
/// is it asked for.
///
/// # Errors
/// Another time or level is asked for.
pub async fn selected(
    opened: &Arc<Opened>,
    variable: &Variable,
    choice: &Choice,
    fixed: impl Fn(Role) -> bool,
) -> Answer<Vec<Selected>> {
    let mut out = Vec::new();
    for dim in of(opened, variable) {
        let choice =
            if fixed(dim.role) { Choice { dims: Vec::new(), ..choice.clone() } } else { Choice::default() };
        let found = select::along(opened, &dim, &choice).await?;
        // A scalar without a value says nothing.
        let known = match &found.labels {
            super::Labels::Times { stored, .. } | super::Labels::Numbers(stored) => {
                stored.iter().all(|v| v.is_finite())
            }
        };
        out.extend(known.then_some(Selected { is_scalar: true, ..found }));
    }
    Ok(out)
}
