//! Layers: every variable of every collection that a picture can be drawn of.
//!
//! From the catalog alone, so that capabilities open no store; only the values of a long
//! dimension, which the catalog does not list, are read from it.

use graticule_shared::raster::MERCATOR_LATITUDE_DEG;
use graticule_shared::time::TimeUnits;

use super::super::{App, collections, tables};
use crate::catalog::Collection;
use crate::catalog::facts::{DimFacts, VariableFacts};
use crate::problem::{Answer, Problem};

/// More steps are not listed one by one.
const MAX_LISTED: usize = 10_000;
/// Regular steps beyond this many are said as start, end and period.
const MAX_REGULAR: usize = 512;

pub struct Group {
    pub collection: Collection,
    pub layers: Vec<Layer>,
}

pub struct Layer {
    /// `collection/variable`.
    pub name: String,
    pub title: String,
    /// What else is to be said of it.
    pub description: String,
    /// West, south, east, north; none crosses the antimeridian.
    pub bbox: [f64; 4],
    pub dims: Vec<Dimension>,
}

/// A dimension as OGC 06-042 annex C has it.
pub struct Dimension {
    /// `time`, `elevation`, or its own name.
    pub name: String,
    pub units: String,
    pub default: String,
    /// One by one, or one interval `start/end/period`.
    pub values: Vec<String>,
}

impl Layer {
    /// The box that Web Mercator shows of it, in degrees.
    pub fn mercator_bbox(&self) -> [f64; 4] {
        let [west, south, east, north] = self.bbox;
        let held = |v: f64| v.clamp(-MERCATOR_LATITUDE_DEG, MERCATOR_LATITUDE_DEG);
        [west, held(south), east, held(north)]
    }
}

/// Of one collection, which may have none, or of all that have some.
///
/// # Errors
/// No such collection, or a table; a dimension that does not read.
pub async fn list(app: &App, only: Option<&str>) -> Answer<Vec<Group>> {
    let all = match only {
        Some(id) => vec![of_a_grid(app, id).await?],
        None => app.catalog.call_with(|c| c.collections()).await.map_err(Problem::internal)?,
    };
    let mut out = Vec::new();
    for collection in all {
        let mut layers = Vec::new();
        for v in collection.facts.variables.iter().filter(|v| v.locatable) {
            match layer(app, &collection, v).await {
                Ok(layer) => layers.push(layer),
                // One cube that cannot be read does not take the list of all with it.
                Err(e) if only.is_none() => {
                    tracing::warn!(collection = %collection.id, error = %e.detail, "left out of the capabilities");
                }
                Err(e) => return Err(e),
            }
        }
        if only.is_some() || !layers.is_empty() {
            out.push(Group { collection, layers });
        }
    }
    Ok(out)
}

async fn of_a_grid(app: &App, id: &str) -> Answer<Collection> {
    let collection = collections::find(app, id).await?;
    if collection.facts.table.is_some() {
        return Err(tables::is_a_table(id));
    }
    Ok(collection)
}

async fn layer(app: &App, collection: &Collection, v: &VariableFacts) -> Answer<Layer> {
    let facts = &collection.facts;
    let mut dims = Vec::new();
    let mut description =
        v.standard_name.clone().map_or(String::new(), |s| format!("{}. ", s.replace('_', " ")));
    for key in &v.dims {
        let Some(d) = facts.dims.get(key) else { continue };
        // Those of the grid are none of a layer's.
        let grid = matches!(d.role.as_str(), "x" | "y")
            || (d.role.is_empty() && v.dims.last() == Some(key) && is_cells(v, facts));
        if grid {
            continue;
        }
        dims.push(dimension(app, collection, d).await?);
        if let Some(calendar) =
            d.calendar.as_deref().filter(|c| !matches!(*c, "standard" | "proleptic_gregorian"))
        {
            description += &format!("Times are of the calendar {calendar}. ");
        }
    }
    if let Some(units) = &v.units {
        description += &format!("Unit: {units}.");
    }
    let [west, south, east, north] = facts.bbox.unwrap_or([-180.0, -90.0, 180.0, 90.0]);
    let (west, east) = if west > east { (-180.0, 180.0) } else { (west, east) };
    Ok(Layer {
        name: format!("{}/{}", collection.id, v.path),
        title: v.label.clone(),
        description: description.trim().to_owned(),
        bbox: [west, south, east, north],
        dims,
    })
}

/// True where a variable's last dimension alone is its grid.
fn is_cells(v: &VariableFacts, facts: &crate::catalog::Facts) -> bool {
    let role = |r: &str| v.dims.iter().filter_map(|k| facts.dims.get(k)).any(|d| d.role == r);
    !(role("x") && role("y"))
}

async fn dimension(app: &App, collection: &Collection, d: &DimFacts) -> Answer<Dimension> {
    let is_time = d.role == "t" && d.calendar.is_some();
    let name = match d.role.as_str() {
        "t" if is_time => "time".to_owned(),
        "z" => "elevation".to_owned(),
        _ => d.name.clone(),
    };
    let units = if is_time { "ISO8601".to_owned() } else { d.units.clone().unwrap_or_default() };
    let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    let listed: Vec<String> = d.values.iter().map(text).collect();
    let (default, values) = match listed.first() {
        Some(first) => (first.clone(), listed),
        None => unlisted(app, collection, d, is_time).await?,
    };
    Ok(Dimension { name, units, default, values })
}

/// The first value and all of them: of an axis that the catalog does not list.
async fn unlisted(
    app: &App,
    collection: &Collection,
    d: &DimFacts,
    is_time: bool,
) -> Answer<(String, Vec<String>)> {
    let axis = match &d.coordinate {
        Some(path) => {
            let opened = app.opened(&collection.id).await?;
            opened.axis_values(path).await.map_err(Problem::of)?.to_vec()
        }
        None => (0..d.len.min(MAX_LISTED as u64)).map(|i| i as f64).collect(),
    };
    let units = d.units.as_deref().filter(|_| is_time);
    let units = units.and_then(|u| TimeUnits::parse(u, d.calendar.as_deref()).ok());
    let say = |v: &f64| match &units {
        Some(units) => units.decode(*v).map_or_else(|_| v.to_string(), |t| format!("{t}Z")),
        None => v.to_string(),
    };
    let default = axis.first().map(say).unwrap_or_default();
    let (low, high) =
        axis.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(*v), h.max(*v)));
    let period = units.as_ref().filter(|u| u.calendar.is_real()).and_then(|u| period(u, &axis));
    Ok(match period {
        Some(period) if axis.len() > MAX_REGULAR => {
            (default, vec![format!("{}/{}/{period}", say(&low), say(&high))])
        }
        // OGC 06-042 annex C.2: a resolution of 0 is infinitely fine.
        _ if axis.len() > MAX_LISTED => (default, vec![format!("{}/{}/0", say(&low), say(&high))]),
        _ => (default, axis.iter().map(say).collect()),
    })
}

/// The step of a regular axis of time as ISO 8601 has it; none where steps differ.
fn period(units: &TimeUnits, axis: &[f64]) -> Option<String> {
    let secs = |v: &f64| units.decode(*v).ok().map(|t| t.epoch_secs(units.calendar));
    let step = secs(axis.get(1)?)? - secs(axis.first()?)?;
    let same = axis
        .windows(2)
        .all(|p| secs(&p[1]).zip(secs(&p[0])).is_some_and(|(b, a)| ((b - a) - step).abs() < 1e-3));
    if !same || step == 0.0 {
        return None;
    }
    let millis = (step.abs() * 1e3).round() as u64;
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    let mut out = "P".to_owned();
    if days > 0 {
        out += &format!("{days}D");
    }
    if rest > 0 {
        out.push('T');
        let (hours, minutes, seconds) = (rest / 3_600_000, rest / 60_000 % 60, rest % 60_000);
        for (n, letter) in [(hours, 'H'), (minutes, 'M')] {
            if n > 0 {
                out += &format!("{n}{letter}");
            }
        }
        if seconds > 0 {
            out += &format!("{}S", seconds as f64 / 1e3);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_steps_are_a_period() {
        let hours = TimeUnits::parse("hours since 2000-01-01", None).unwrap();
        assert_eq!(period(&hours, &[0.0, 6.0, 12.0]).unwrap(), "PT6H");
        assert_eq!(period(&hours, &[48.0, 0.0, -48.0]).unwrap(), "P2D");
        assert_eq!(period(&hours, &[0.0, 30.25, 60.5]).unwrap(), "P1DT6H15M");
        assert_eq!(period(&hours, &[0.0, 1.0, 3.0]), None);
        assert_eq!(period(&hours, &[0.0]), None);
        let seconds = TimeUnits::parse("seconds since 2000-01-01", None).unwrap();
        assert_eq!(period(&seconds, &[0.0, 1.5, 3.0]).unwrap(), "PT1.5S");
    }
}
