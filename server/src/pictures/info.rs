//! The number behind a pixel: what a position query gives for the place under it.

use std::sync::Arc;

use graticule_shared::cube::{Role, Variable};
use graticule_shared::time::TimeUnits;

use super::select::{self, Choice};
use crate::edr;
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

/// One variable at one place and step.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub variable: Variable,
    /// Of the cell that it was read from; `None` beside the grid.
    pub cell: Option<(f64, f64)>,
    pub value: Option<f64>,
    /// Each other dimension's name and value.
    pub steps: Vec<(String, String)>,
}

/// Reads a place.
///
/// # Errors
/// No such variable or step; a block that does not read.
pub async fn reading(
    opened: &Arc<Opened>,
    variable: Option<&str>,
    choice: &Choice,
    (longitude, latitude): (f64, f64),
) -> Answer<Reading> {
    let variable = select::variable(opened, variable)?;
    let indices = select::indices(opened, variable, choice).await?;
    let mut steps = Vec::new();
    for (dim, index) in variable.leading().iter().zip(&indices) {
        let value = match &dim.coordinate {
            Some(path) => opened.axis_values(path).await.map_err(Problem::of)?.get(*index as usize).copied(),
            None => None,
        };
        let units = dim.units.as_deref().filter(|_| dim.role == Role::T);
        let time = units
            .and_then(|u| TimeUnits::parse(u, dim.calendar.as_deref()).ok())
            .and_then(|u| u.decode(value?).ok());
        let text = match (time, value) {
            (Some(time), _) => format!("{time}Z"),
            (None, Some(v)) => v.to_string(),
            (None, None) => index.to_string(),
        };
        steps.push((dim.name.clone(), text));
    }
    let found = edr::at(opened, variable, &indices, (longitude, latitude)).await?;
    Ok(Reading {
        variable: variable.clone(),
        cell: found.as_ref().map(|(place, _)| *place),
        value: found.and_then(|(_, value)| value),
        steps,
    })
}
