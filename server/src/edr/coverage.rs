//! What a query is answered with, before it is written in any format.

use graticule_shared::cube::{Role, Variable};
use graticule_shared::units::is_pressure;

/// A dimension of the answer, with what was selected along it.
#[derive(Debug, Clone, PartialEq)]
pub struct Selected {
    pub name: String,
    pub role: Role,
    /// Indices along the stored dimension.
    pub indices: Vec<u64>,
    pub labels: Labels,
    pub units: Option<String>,
    pub positive: Option<String>,
    /// True of a scalar coordinate, which is no dimension of what is stored.
    pub is_scalar: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    /// ISO 8601 in the calendar of this name, and as they are stored, in their units.
    Times {
        values: Vec<String>,
        calendar: &'static str,
        stored: Vec<f64>,
    },
    Numbers(Vec<f64>),
}

impl Labels {
    /// Those at these places of the list.
    pub fn pick(&self, which: &[usize]) -> Self {
        let of = |v: &[f64]| which.iter().filter_map(|i| v.get(*i).copied()).collect();
        match self {
            Self::Times { values, calendar, stored } => Self::Times {
                values: which.iter().filter_map(|i| values.get(*i).cloned()).collect(),
                calendar,
                stored: of(stored),
            },
            Self::Numbers(values) => Self::Numbers(of(values)),
        }
    }
}

impl Selected {
    /// Which way its values rise: pressure does downwards (CF section 4.3.1).
    pub fn positive(&self) -> &'static str {
        match self.positive.as_deref().map(str::trim) {
            Some(said) if said.eq_ignore_ascii_case("down") => "down",
            None if self.units.as_deref().is_some_and(is_pressure) => "down",
            _ => "up",
        }
    }

    /// Only what is at these places of the selection.
    pub fn pick(&self, which: &[usize]) -> Self {
        Self {
            indices: which.iter().filter_map(|i| self.indices.get(*i).copied()).collect(),
            labels: self.labels.pick(which),
            name: self.name.clone(),
            role: self.role,
            units: self.units.clone(),
            positive: self.positive.clone(),
            is_scalar: self.is_scalar,
        }
    }
}

/// The places of an answer: centres of cells, in degrees.
#[derive(Debug, Clone, PartialEq)]
pub enum Domain {
    /// One cell; longitude within -180 <= x < 180.
    Point { longitude: f64, latitude: f64 },
    /// Rows and columns. Longitudes rise from the west end of what was asked for, past 180 where
    /// that lies across the antimeridian.
    Grid {
        latitude: Vec<f64>,
        longitude: Vec<f64>,
        /// True, in C order, for cells that were not asked for.
        outside: Option<Vec<bool>>,
    },
    /// Cells in no order.
    Cells { longitude: Vec<f64>, latitude: Vec<f64> },
    /// Cells along a path. Where the path says when or how high, each has one time or height,
    /// and the dimension is none of the coverage's.
    Path { longitude: Vec<f64>, latitude: Vec<f64>, times: Option<Labels>, heights: Option<Box<Selected>> },
}

impl Domain {
    /// Number of places.
    pub fn count(&self) -> usize {
        match self {
            Self::Point { .. } => 1,
            Self::Grid { latitude, longitude, .. } => latitude.len() * longitude.len(),
            Self::Cells { longitude, .. } | Self::Path { longitude, .. } => longitude.len(),
        }
    }

    /// Longitude and latitude of a place; `None` for one that was not asked for.
    pub fn place(&self, i: usize) -> Option<(f64, f64)> {
        match self {
            Self::Point { longitude, latitude } => Some((*longitude, *latitude)),
            Self::Grid { latitude, longitude, outside } => {
                if outside.as_ref().is_some_and(|o| o.get(i).copied().unwrap_or(true)) {
                    return None;
                }
                let columns = longitude.len().max(1);
                Some((*longitude.get(i % columns)?, *latitude.get(i / columns)?))
            }
            Self::Cells { longitude, latitude } | Self::Path { longitude, latitude, .. } => {
                Some((*longitude.get(i)?, *latitude.get(i)?))
            }
        }
    }

    /// How many of a field's last dimensions it takes.
    pub fn shape(&self) -> Vec<usize> {
        match self {
            Self::Point { .. } => vec![],
            Self::Grid { latitude, longitude, .. } => vec![latitude.len(), longitude.len()],
            Self::Cells { longitude, .. } | Self::Path { longitude, .. } => vec![longitude.len()],
        }
    }
}

/// One variable over a domain.
#[derive(Debug, Clone)]
pub struct Field {
    pub variable: Variable,
    /// C order over the coverage's dimensions and then its places; NaN for no data.
    pub values: Vec<f64>,
}

/// Variables that have their places and dimensions in common.
#[derive(Debug, Clone)]
pub struct Coverage {
    pub domain: Domain,
    /// Slowest first; all but those of the grid.
    pub dims: Vec<Selected>,
    pub fields: Vec<Field>,
}

impl Coverage {
    /// Steps of all dimensions together, at each place.
    pub fn steps(&self) -> usize {
        self.dims.iter().map(|d| d.indices.len()).product()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_downwards_unless_the_file_says_otherwise() {
        let way = |units: &str, positive: Option<&str>| {
            let dim = Selected {
                name: "level".to_owned(),
                role: Role::Z,
                indices: vec![0],
                labels: Labels::Numbers(vec![1.0]),
                units: Some(units.to_owned()),
                positive: positive.map(str::to_owned),
                is_scalar: false,
            };
            dim.positive()
        };
        assert_eq!(way("millibars", None), "down");
        assert_eq!(way("hPa", Some("up")), "up");
        assert_eq!(way("m", None), "up");
        assert_eq!(way("m", Some("Down")), "down");
    }
}
