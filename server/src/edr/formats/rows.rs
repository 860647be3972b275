//! Coverages as rows: one for each place and step, one column a parameter. What was not asked
//! for has no row; no data has one, with nothing in the parameter's column.

use super::super::coverage::{Coverage, Domain, Labels, Selected};

/// A column beside longitude and latitude.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    pub name: String,
    pub units: Option<String>,
    /// The calendar of times; `None` for numbers.
    pub calendar: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    pub name: String,
    pub units: Option<String>,
    pub standard_name: Option<String>,
}

#[derive(Debug, Default)]
pub struct Columns {
    pub dims: Vec<Dimension>,
    pub parameters: Vec<Parameter>,
}

/// The label of a row along one dimension.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Label<'a> {
    Time(&'a str),
    Number(f64),
}

pub struct Row<'a> {
    pub longitude: f64,
    pub latitude: f64,
    /// One for each of the columns' dimensions; none where the coverage does not have it.
    pub labels: &'a [Option<Label<'a>>],
    /// One for each of the columns' parameters; NaN for no data.
    pub values: &'a [f64],
}

/// The name of a path's own times and heights.
const TIME: &str = "time";

impl Columns {
    pub fn of(coverages: &[Coverage]) -> Self {
        let mut out = Self::default();
        let mut add = |name: &str, units: &Option<String>, labels: &Labels| {
            if !out.dims.iter().any(|d| d.name == name) {
                let calendar = match labels {
                    Labels::Times { calendar, .. } => Some(*calendar),
                    Labels::Numbers(_) => None,
                };
                let units = units.clone().filter(|_| calendar.is_none());
                out.dims.push(Dimension { name: name.to_owned(), units, calendar });
            }
        };
        for c in coverages {
            if let Domain::Path { times, heights, .. } = &c.domain {
                if let Some(labels) = times {
                    add(TIME, &None, labels);
                }
                if let Some(d) = heights {
                    add(&d.name, &d.units, &d.labels);
                }
            }
            c.dims.iter().for_each(|d| add(&d.name, &d.units, &d.labels));
        }
        for f in coverages.iter().flat_map(|c| &c.fields) {
            if !out.parameters.iter().any(|p| p.name == f.variable.path) {
                out.parameters.push(Parameter {
                    name: f.variable.path.clone(),
                    units: f.variable.units.clone(),
                    standard_name: f.variable.standard_name.clone(),
                });
            }
        }
        out
    }

    /// Every row, steps in C order and places within a step.
    pub fn each<'a>(&self, coverages: &'a [Coverage], mut row: impl FnMut(Row<'_>)) {
        for c in coverages {
            let column = |name: &str| self.dims.iter().position(|d| d.name == name);
            let own: Vec<Option<usize>> = c.dims.iter().map(|d| column(&d.name)).collect();
            let (times, heights): (Option<&'a Labels>, Option<&'a Selected>) = match &c.domain {
                Domain::Path { times, heights, .. } => (times.as_ref(), heights.as_deref()),
                _ => (None, None),
            };
            let at_time = times.and_then(|_| column(TIME));
            let at_height = heights.and_then(|d| column(&d.name));
            let shown: Vec<Option<usize>> = self
                .parameters
                .iter()
                .map(|p| c.fields.iter().position(|f| f.variable.path == p.name))
                .collect();
            let shape: Vec<u64> = c.dims.iter().map(|d| d.indices.len() as u64).collect();
            let places = c.domain.count();
            let mut labels: Vec<Option<Label<'a>>> = vec![None; self.dims.len()];
            let mut values = vec![f64::NAN; self.parameters.len()];
            for step in 0..c.steps() {
                let at = crate::opened::unravel(step as u64, &shape);
                for ((dim, slot), i) in c.dims.iter().zip(&own).zip(&at) {
                    if let Some(slot) = slot.and_then(|s| labels.get_mut(s)) {
                        *slot = label(&dim.labels, *i as usize);
                    }
                }
                for place in 0..places {
                    let Some((longitude, latitude)) = c.domain.place(place) else { continue };
                    for (slot, list) in [(at_time, times), (at_height, heights.map(|d| &d.labels))] {
                        if let (Some(slot), Some(list)) = (slot.and_then(|s| labels.get_mut(s)), list) {
                            *slot = label(list, place);
                        }
                    }
                    for (value, field) in values.iter_mut().zip(&shown) {
                        let of = |f: &usize| c.fields.get(*f)?.values.get(step * places + place).copied();
                        *value = field.as_ref().and_then(of).unwrap_or(f64::NAN);
                    }
                    row(Row { longitude, latitude, labels: &labels, values: &values });
                }
            }
        }
    }
}

fn label(labels: &Labels, i: usize) -> Option<Label<'_>> {
    match labels {
        Labels::Times { values, .. } => values.get(i).map(|t| Label::Time(t)),
        Labels::Numbers(values) => values.get(i).map(|v| Label::Number(*v)),
    }
}
