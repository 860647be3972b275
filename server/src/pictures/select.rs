//! Which variable a picture is of, and which step of each of its other dimensions.

use std::sync::Arc;

use graticule_shared::cube::{Role, Variable};

use crate::opened::Opened;
use crate::position;
use crate::problem::{Answer, Problem};

/// What was chosen along the dimensions, in the words of a position query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    pub datetime: Option<String>,
    pub z: Option<String>,
    /// Further dimensions by name, each with the value asked for.
    pub dims: Vec<(String, String)>,
}

/// The last step of time (OGC 06-042 annex C.2: `current`).
pub const CURRENT: &str = "current";

/// The variable of this name; the one to begin with where none is named.
///
/// # Errors
/// None that has a place on the Earth, or none of this name.
pub fn variable<'a>(opened: &'a Opened, name: Option<&str>) -> Answer<&'a Variable> {
    let placed = |v: &Variable| opened.is_placed(v);
    let Some(name) = name else {
        return opened.cube.principal(placed).ok_or_else(|| {
            Problem::not_found(
                "this collection has no variable whose cells have a latitude and a longitude, of which a picture is drawn",
            )
        });
    };
    opened.cube.variables.iter().find(|v| v.path == name && placed(v)).ok_or_else(|| {
        let known: Vec<&str> = position::readable(opened).map(|v| v.path.as_str()).collect();
        Problem::parameter("variable", name, format!("expected one of {}", known.join(", ")))
    })
}

/// One index along each dimension before the grid's: the first where nothing is asked, as the
/// viewer begins; the first of several that fit, such as the hours of a day.
///
/// # Errors
/// A dimension, a time or a level that the variable does not have.
pub async fn indices(opened: &Arc<Opened>, variable: &Variable, choice: &Choice) -> Answer<Vec<u64>> {
    let request = position::Request {
        datetime: choice.datetime.clone(),
        z: choice.z.clone(),
        dims: choice.dims.clone(),
        ..position::Request::default()
    };
    position::check_dims(&[variable], &request)?;
    let mut out = Vec::with_capacity(variable.leading().len());
    for dim in variable.leading() {
        let named = request.dims.iter().any(|(name, _)| *name == dim.name);
        let asked = match dim.role {
            Role::T => named || request.datetime.is_some(),
            Role::Z => named || request.z.is_some(),
            _ => named,
        };
        if !asked {
            out.push(0);
        } else if dim.role == Role::T && !named && request.datetime.as_deref() == Some(CURRENT) {
            out.push(dim.len.saturating_sub(1));
        } else {
            let selected = position::select::along(opened, dim, &request).await?;
            out.push(selected.indices.first().copied().unwrap_or(0));
        }
    }
    Ok(out)
}
