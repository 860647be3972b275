//! Which variable a picture is of, and which step of each of its other dimensions.

use std::borrow::Cow;
use std::sync::Arc;

use graticule_shared::cube::{Role, Variable};

use crate::edr;
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

pub use crate::edr::Choice;

/// The last step of time (OGC 06-042 annex C.2: `current`).
pub const CURRENT: &str = "current";

/// The variable of this name; the one to begin with where none is named.
///
/// # Errors
/// None that has a place on the Earth, or none of this name.
pub fn variable<'a>(opened: &'a Opened, name: Option<&str>) -> Answer<&'a Variable> {
    let placed = |v: &Variable| opened.is_placed(v);
    let none = || {
        Problem::not_found(
            "this collection has no variable whose cells have a latitude and a longitude, of which a picture is drawn",
        )
    };
    let Some(name) = name else { return opened.cube.principal(placed).ok_or_else(none) };
    opened.cube.variables.iter().find(|v| v.path == name && placed(v)).ok_or_else(|| {
        let known: Vec<&str> = edr::readable(opened).map(|v| v.path.as_str()).collect();
        if known.is_empty() {
            // Whatever had been named.
            return none();
        }
        Problem::parameter("variable", name, format!("expected one of {}", known.join(", ")))
    })
}

/// WMS and WMTS list a dimension called time as TIME, also where its steps are no instants: it is
/// then asked for by its numbers.
fn by_number<'a>(variable: &Variable, choice: &'a Choice) -> Cow<'a, Choice> {
    let called =
        |name: &str| name.eq_ignore_ascii_case("time") && !choice.dims.iter().any(|(n, _)| n == name);
    let dim =
        variable.leading().iter().find(|d| d.role == Role::T && called(&d.name) && edr::clock(d).is_err());
    match (dim, &choice.datetime) {
        (Some(dim), Some(asked)) if asked != CURRENT => {
            let mut own = Choice { datetime: None, ..choice.clone() };
            own.dims.push((dim.name.clone(), asked.clone()));
            Cow::Owned(own)
        }
        _ => Cow::Borrowed(choice),
    }
}

/// One index along each dimension before the grid's: the first where nothing is asked, as the
/// viewer begins; the first of several that fit, such as the hours of a day.
///
/// # Errors
/// A dimension, a time or a level that the variable does not have.
pub async fn indices(opened: &Arc<Opened>, variable: &Variable, choice: &Choice) -> Answer<Vec<u64>> {
    let choice = &*by_number(variable, choice);
    edr::check_dims(opened, &[variable], choice)?;
    let told = |role: Role| variable.leading().iter().any(|d| d.role == role);
    let current = choice.datetime.as_deref() == Some(CURRENT);
    edr::scalars::selected(opened, variable, choice, |role| !(told(role) || role == Role::T && current))
        .await?;
    let mut out = Vec::with_capacity(variable.leading().len());
    for dim in variable.leading() {
        let named = choice.dims.iter().any(|(name, _)| *name == dim.name);
        let asked = match dim.role {
            Role::T => named || choice.datetime.is_some(),
            Role::Z => named || choice.z.is_some(),
            _ => named,
        };
        if !asked {
            out.push(0);
        } else if dim.role == Role::T && !named && choice.datetime.as_deref() == Some(CURRENT) {
            out.push(dim.len.saturating_sub(1));
        } else {
            let selected = edr::along(opened, dim, choice).await?;
            out.push(selected.indices.first().copied().unwrap_or(0));
        }
    }
    Ok(out)
}
