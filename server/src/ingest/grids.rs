//! Grids as the pyramid needs them: how many levels, what a cell weighs, and where
//! the cells of each level lie. Made once for a grid, whatever fields are on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use graticule_formats::FormatError;
use graticule_shared::axis::Axis;
use graticule_shared::cube::Variable;
use graticule_shared::grid::areas::Places;
use graticule_shared::grid::projection::Plane;
use graticule_shared::grid::{Angles, Cells, Horizontal};

use super::bins::{Bins, MAX_CELLS};
use super::coordinates::Coordinates;
use super::field::Weights;
use super::pyramid::level_count;

/// One grid.
pub enum Grid {
    /// One-dimensional y and x, by the paths of their coordinate variables.
    Axes {
        y: String,
        x: String,
        rows: Axis,
        columns: Axis,
        areas: Vec<f64>,
    },
    Curvilinear {
        latitude: Angles,
        longitude: Angles,
        places: Places,
        areas: Arc<Vec<f32>>,
    },
    /// With the names that its coordinates have in the groups of the levels.
    Cells {
        bins: Arc<Bins>,
        latitude: String,
        longitude: String,
    },
}

impl Grid {
    /// Levels above level 0.
    pub fn levels(&self) -> u32 {
        match self {
            Self::Axes { rows, columns, .. } => level_count(rows.len() as u64, columns.len() as u64),
            Self::Curvilinear { places, .. } => level_count(places.rows as u64, places.columns as u64),
            Self::Cells { bins, .. } => 1 + level_count(bins.rows as u64, bins.columns as u64),
        }
    }

    /// Rows and columns of level `k`; of level 0 where that has rows.
    pub fn shape(&self, k: u32) -> (u64, u64) {
        let (rows, columns, k) = match self {
            Self::Axes { rows, columns, .. } => (rows.len(), columns.len(), k),
            Self::Curvilinear { places, .. } => (places.rows, places.columns, k),
            Self::Cells { bins, .. } => (bins.rows, bins.columns, k.saturating_sub(1)),
        };
        ((rows as u64).div_ceil(1 << k), (columns as u64).div_ceil(1 << k))
    }

    pub fn weights(&self) -> Weights {
        match self {
            Self::Axes { areas, .. } => Weights::Rows(areas.clone()),
            Self::Curvilinear { areas, .. } => Weights::Cells(Arc::clone(areas)),
            Self::Cells { bins, .. } => Weights::Bins(Arc::clone(bins)),
        }
    }

    /// Latitudes and longitudes of the regular grid of level `k` of a list of cells.
    pub fn binned_axes(&self, k: u32) -> Option<(Vec<f64>, Vec<f64>)> {
        let Self::Cells { bins, .. } = self else { return None };
        let coarse = |values: &[f64]| -> Option<Vec<f64>> {
            let axis = Axis::new(values.to_vec()).ok()?;
            let n = values.len().div_ceil(1 << (k - 1));
            Some((0..n).filter_map(|j| axis.level_value(k - 1, j)).collect())
        };
        Some((coarse(&bins.latitude)?, coarse(&bins.longitude)?))
    }
}

/// The grids of one source.
#[derive(Default)]
pub struct Grids {
    known: BTreeMap<String, Option<Arc<Grid>>>,
    /// Grids of cells so far.
    meshes: usize,
}

impl Grids {
    /// The grid of a variable; `None` where its cells cannot be placed, with a note.
    ///
    /// # Errors
    /// Coordinates that do not read, a list of too many cells.
    pub fn of(
        &mut self,
        variable: &Variable,
        coordinates: &mut Coordinates<'_>,
        taken: impl Fn(&str) -> bool,
        notes: &mut Vec<String>,
    ) -> Result<Option<Arc<Grid>>, FormatError> {
        let axes = || match variable.dims.as_slice() {
            [.., y, x] if variable.is_mappable() => Some((y.coordinate.clone()?, x.coordinate.clone()?)),
            _ => None,
        };
        let key = match (variable.horizontal(), axes()) {
            (Some(h), _) => format!("{h:?}"),
            (None, Some(axes)) => format!("{axes:?}"),
            (None, None) => return Ok(None),
        };
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let path = &variable.path;
        let made = match (variable.horizontal(), axes()) {
            (Some(Horizontal::Curvilinear { latitude, longitude }), _) => {
                curvilinear(variable, latitude, longitude, coordinates, notes)?
            }
            (Some(Horizontal::Cells(cells)), _) => {
                let (lat, lon) = listed(variable, cells, coordinates)?;
                let bins = Bins::new(&lon, &lat).map_err(|why| {
                    FormatError::new("", format!("its grid cannot be used: {why}")).in_variable(path)
                })?;
                let without = lat.len() - bins.valid;
                if without > 0 {
                    notes.push(format!(
                        "{path}: {without} of {} cells have no place and are left out of the map",
                        lat.len()
                    ));
                }
                self.meshes += 1;
                let name = |base: &str| {
                    let dim = variable.dims.last().map_or("cell", |d| d.name.as_str());
                    if self.meshes > 1 || taken(base) { format!("{base}_{dim}") } else { base.to_owned() }
                };
                Some(Grid::Cells {
                    bins: Arc::new(bins),
                    latitude: name("latitude"),
                    longitude: name("longitude"),
                })
            }
            (horizontal, Some((y, x))) => match (coordinates.axis(&y)?, coordinates.axis(&x)?) {
                (Ok(rows), Ok(columns)) => {
                    let areas = row_areas(horizontal, coordinates.is_latitude(&y), &rows);
                    Some(Grid::Axes { y, x, rows, columns, areas })
                }
                (Err(e), _) => {
                    notes.push(format!("{path}: no pyramid: {y}: {e}"));
                    None
                }
                (_, Err(e)) => {
                    notes.push(format!("{path}: no pyramid: {x}: {e}"));
                    None
                }
            },
            _ => None,
        };
        let made = made.map(Arc::new);
        self.known.insert(key, made.clone());
        Ok(made)
    }
}

/// Cells of a projection in metres are all alike; those of latitudes, rotated ones too, shrink with the cosine.
fn row_areas(horizontal: Option<&Horizontal>, is_latitude: bool, rows: &Axis) -> Vec<f64> {
    let degrees = match horizontal {
        Some(Horizontal::Projected(p)) if p.projection.plane() == Plane::RotatedDegrees => Some(p.unit),
        Some(Horizontal::Projected(_)) => None,
        _ => is_latitude.then_some(1.0),
    };
    let area = |v: &f64| degrees.map_or(1.0, |unit| (v * unit).to_radians().cos().abs().max(1e-12));
    rows.values().iter().map(area).collect()
}

fn curvilinear(
    variable: &Variable,
    latitude: &Angles,
    longitude: &Angles,
    coordinates: &Coordinates<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<Grid>, FormatError> {
    let [.., y, x] = variable.dims.as_slice() else { return Ok(None) };
    if y.len.saturating_mul(x.len) > MAX_CELLS {
        notes.push(format!(
            "{}: no pyramid: {} x {} two-dimensional coordinates; up to {MAX_CELLS} are held",
            variable.path, y.len, x.len
        ));
        return Ok(None);
    }
    let (lat, lon) = (coordinates.degrees(latitude)?, coordinates.degrees(longitude)?);
    let Some(places) = Places::new(y.len as usize, x.len as usize, lon, lat) else { return Ok(None) };
    if places.without + places.repeated + places.stray > 0 {
        let stray = match places.stray {
            0 => String::new(),
            n => format!(", {n} far from all their neighbours"),
        };
        let note = format!(
            "{}, {}: of {} cells {} have no place and {} lie where two or more of their neighbours do, as constants on land{stray}; they are left out of the map",
            latitude.path,
            longitude.path,
            places.latitude.len(),
            places.without,
            places.repeated,
        );
        notes.push(note);
    }
    if places.valid() == 0 {
        notes.push(format!("{}: no pyramid: none of its cells has a place", variable.path));
        return Ok(None);
    }
    let areas = Arc::new(places.areas());
    Ok(Some(Grid::Curvilinear { latitude: latitude.clone(), longitude: longitude.clone(), places, areas }))
}

/// Latitudes and longitudes of a list of cells.
fn listed(
    variable: &Variable,
    cells: &Cells,
    coordinates: &Coordinates<'_>,
) -> Result<(Vec<f64>, Vec<f64>), FormatError> {
    let n = variable.dims.last().map_or(0, |d| d.len);
    if n > MAX_CELLS {
        let why = format!("{n} cells; grids of up to {MAX_CELLS} cells are read");
        return Err(FormatError::new("", why).in_variable(&variable.path));
    }
    Ok(match cells {
        Cells::Listed { latitude, longitude } => {
            (coordinates.degrees(latitude)?, coordinates.degrees(longitude)?)
        }
        Cells::Healpix(h) => (0..n).filter_map(|c| h.place(c)).map(|(lon, lat)| (lat, lon)).unzip(),
    })
}
