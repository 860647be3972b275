//! Cells whose centres lie in a region.

use graticule_shared::axis::Axis;
use graticule_shared::grid::Locator;
use graticule_shared::grid::healpix::Healpix;
use graticule_shared::grid::locate::ProjectedGrid;
use graticule_shared::grid::sphere::{cross, unit_vector, wrap_longitude};

use super::cost::MAX_VALUES;
use super::coverage::Domain;
use super::gather::Where;
use super::region::{Region, Sight};
use super::split;
use crate::problem::{Answer, Kind, Problem};

/// A degree that no longitude or latitude in float64 is known to.
const TINY: f64 = 1e-9;
/// Of a projected grid with more cells only those near the region are looked at.
const SCANNED: usize = 1 << 18;
/// Cells that are collected of a region: with one more it is refused.
pub(super) const MOST_CELLS: usize = MAX_VALUES as usize + 1;
/// Edges of a region that all cells near it together are compared with: some seconds.
pub(super) const MOST_EFFORT: usize = 1 << 31;
/// What a cell takes besides, in edges.
const A_LOOK: usize = 64;

/// Cells of a region.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    pub at: Where,
    pub domain: Domain,
    pub areas: Areas,
}

/// Areas of cells in steradians, in the order of a domain.
#[derive(Debug, Clone, PartialEq)]
pub enum Areas {
    /// The grid says nothing of them.
    Unknown,
    Listed(Vec<f64>),
    /// Of rows and columns: a cell's is the product.
    Product {
        rows: Vec<f64>,
        columns: Vec<f64>,
    },
}

impl Chosen {
    /// True of so many cells of a regular grid that none was compared with the region.
    pub fn is_uncompared(&self) -> bool {
        matches!(self.at, Where::Window { .. }) && self.at.count() > MOST_CELLS
    }
}

impl Areas {
    /// What a cell counts for.
    pub fn weight(&self, i: usize) -> f64 {
        match self {
            Self::Unknown => 1.0,
            Self::Listed(areas) => areas.get(i).copied().unwrap_or(0.0),
            Self::Product { rows, columns } => {
                let of = |list: &[f64], i: usize| list.get(i).copied().unwrap_or(0.0);
                let wide = columns.len().max(1);
                of(rows, i / wide) * of(columns, i % wide)
            }
        }
    }
}

/// The rows and columns of a regular grid that a region covers, and which of their cells it does not.
pub(super) fn window(axes: &(Axis, Axis), region: &Region) -> Option<Chosen> {
    let (y, x) = axes;
    let [west, south, east, north] = region.bounds();
    let inside = |lat: f64| lat >= south - TINY && lat <= north + TINY;
    let rows: Vec<usize> = (0..y.len()).filter(|r| inside(y.values()[*r])).collect();
    let mut columns: Vec<(f64, usize)> = x
        .values()
        .iter()
        .enumerate()
        .map(|(c, v)| (v + ((west - TINY - v) / 360.0).ceil() * 360.0, c))
        .filter(|(v, _)| *v <= east + TINY)
        .collect();
    columns.sort_by(|a, b| a.0.total_cmp(&b.0));
    if rows.is_empty() || columns.is_empty() {
        return None;
    }
    let latitude: Vec<f64> = rows.iter().map(|r| y.values()[*r]).collect();
    let longitude: Vec<f64> = columns.iter().map(|(v, _)| *v).collect();
    let outside = match region {
        Region::Box(_) => None,
        _ if rows.len().saturating_mul(columns.len()) > MOST_CELLS => None,
        _ => {
            let sight = region.sight();
            let mut outside = Vec::with_capacity(rows.len() * columns.len());
            for lat in &latitude {
                let along = sight.along(*lat);
                outside.extend(longitude.iter().map(|lon| !along.contains(*lon)));
            }
            if outside.iter().all(|o| *o) {
                return None;
            }
            Some(outside).filter(|o| o.contains(&true))
        }
    };
    let band = |r: &usize| {
        let edge = |i| y.edge(i).clamp(-90.0, 90.0).to_radians().sin();
        (edge(r + 1) - edge(*r)).abs()
    };
    let wide = |(_, c): &(f64, usize)| (x.edge(c + 1) - x.edge(*c)).abs().to_radians();
    let areas =
        Areas::Product { rows: rows.iter().map(band).collect(), columns: columns.iter().map(wide).collect() };
    Some(Chosen {
        at: Where::Window {
            rows: rows.iter().map(|r| *r as u64).collect(),
            columns: columns.iter().map(|(_, c)| *c as u64).collect(),
        },
        domain: Domain::Grid { latitude, longitude, outside },
        areas,
    })
}

/// Of a grid whose cells are found one by one, those of a region.
pub(super) fn listed(locator: &Locator, region: &Region) -> Answer<Option<Chosen>> {
    let mut list = Listed::new(region);
    match locator {
        Locator::Projected(grid) => list.projected(grid),
        Locator::Curvilinear { places, .. } => {
            for flat in 0..places.longitude.len() {
                let (row, column) = (flat / places.columns.max(1), flat % places.columns.max(1));
                if list.is_near(places.longitude[flat], places.latitude[flat])
                    && let Some(place) = places.get(row, column)
                {
                    list.offer(flat as u64, place, || {
                        places.steps(row, column).map_or(0.0, |(a, b)| size(cross(a, b)))
                    });
                }
            }
        }
        Locator::Cells { longitude, latitude, .. } => {
            for (flat, place) in longitude.iter().zip(latitude).enumerate() {
                list.offer(flat as u64, (*place.0, *place.1), || 0.0);
            }
        }
        Locator::Healpix(grid) => list.healpix(grid),
    }
    let Listed { cells, longitude, latitude, areas, effort, .. } = list;
    if effort > MOST_EFFORT {
        let why = "the region has more edges, or more cells around it, than are compared for one answer";
        return Err(match split::through(region, latitude) {
            Some(split) => split.refusal(Problem::new(Kind::TooLarge, why)),
            None => Problem::new(Kind::TooLarge, format!("{why}: ask with fewer vertices")),
        });
    }
    let areas = if matches!(locator, Locator::Cells { .. }) { Areas::Unknown } else { Areas::Listed(areas) };
    Ok((!cells.is_empty()).then_some(Chosen {
        at: Where::List(cells),
        domain: Domain::Cells { longitude, latitude },
        areas,
    }))
}

/// Cells found so far.
struct Listed<'a> {
    sight: Sight<'a>,
    bounds: [f64; 4],
    cells: Vec<u64>,
    longitude: Vec<f64>,
    latitude: Vec<f64>,
    areas: Vec<f64>,
    effort: usize,
}

impl<'a> Listed<'a> {
    fn new(region: &'a Region) -> Self {
        Self {
            sight: region.sight(),
            bounds: region.bounds(),
            cells: Vec::new(),
            longitude: Vec::new(),
            latitude: Vec::new(),
            areas: Vec::new(),
            effort: 0,
        }
    }

    /// True within the region's box.
    fn is_near(&self, longitude: f64, latitude: f64) -> bool {
        let [west, south, east, north] = self.bounds;
        latitude >= south - TINY
            && latitude <= north + TINY
            && longitude + ((west - TINY - longitude) / 360.0).ceil() * 360.0 <= east + TINY
    }

    fn is_full(&self) -> bool {
        self.cells.len() >= MOST_CELLS || self.effort > MOST_EFFORT
    }

    fn offer(&mut self, flat: u64, (longitude, latitude): (f64, f64), area: impl FnOnce() -> f64) {
        let is_place = longitude.is_finite() && latitude.is_finite();
        if !is_place || !self.is_near(longitude, latitude) || self.is_full() {
            return;
        }
        self.effort += A_LOOK + self.sight.effort(latitude);
        if self.sight.along(latitude).contains(longitude) {
            self.cells.push(flat);
            self.longitude.push(wrap_longitude(longitude));
            self.latitude.push(latitude);
            self.areas.push(area());
        }
    }

    fn projected(&mut self, grid: &ProjectedGrid) {
        let (y, x, projection) = grid.parts();
        let (mut rows, mut columns) = ((0, y.len()), (0, x.len()));
        if y.len() * x.len() > SCANNED
            && let Some((r, c)) = near(grid, self.bounds)
        {
            (rows, columns) = (r, c);
        }
        let corner = |r: usize, c: usize| {
            projection.inverse(x.edge(c), y.edge(r)).map(|(lon, lat)| unit_vector(lon, lat))
        };
        for row in rows.0..rows.1 {
            for column in columns.0..columns.1 {
                let Some(place) = grid.place(row, column) else { continue };
                self.offer((row * x.len() + column) as u64, place, || {
                    let quad = || {
                        let (a, b) = (corner(row, column)?, corner(row + 1, column + 1)?);
                        let (c, d) = (corner(row + 1, column)?, corner(row, column + 1)?);
                        let minus = |p: [f64; 3], q: [f64; 3]| [p[0] - q[0], p[1] - q[1], p[2] - q[2]];
                        Some(size(cross(minus(b, a), minus(d, c))) / 2.0)
                    };
                    quad().unwrap_or(0.0)
                });
            }
        }
    }

    /// All cells of small grids and of those that are not cut in quarters; of others down the
    /// quarters that may reach into the region's box.
    fn healpix(&mut self, grid: &Healpix) {
        let area = 4.0 * std::f64::consts::PI / grid.cells() as f64;
        let mut depth = 0;
        while 12u64 << (2 * depth) < grid.cells() {
            depth += 1;
        }
        if 12u64 << (2 * depth) != grid.cells() {
            for cell in 0..grid.cells() {
                if self.is_full() {
                    return;
                }
                if let Some(place) = grid.place(cell) {
                    self.offer(cell, place, || area);
                }
            }
            return;
        }
        let mut open: Vec<(u32, u64)> = (0..12).rev().map(|c| (0, c)).collect();
        while let Some((level, cell)) = open.pop() {
            if self.is_full() {
                return;
            }
            let Some((lon, lat)) = Healpix::new(1 << level, true).ok().and_then(|g| g.place(cell)) else {
                continue;
            };
            if level == depth {
                // The same place by the grid's own order.
                if let Some(own) = grid.cell(lon, lat) {
                    self.offer(own, (lon, lat), || area);
                }
                continue;
            }
            // No cell reaches further from its centre than this many of its widths.
            let reach =
                1.2 * (4.0 * std::f64::consts::PI / (12u64 << (2 * level)) as f64).sqrt().to_degrees();
            let around = Region::of_circles(vec![(lon, lat)], reach.min(90.0), None).bounds();
            if overlap(around, self.bounds) {
                open.extend((0..4).rev().map(|q| (level + 1, cell * 4 + q)));
            }
        }
        // The quarters of a ring grid are not in its own order; areas are all the same.
        let mut order: Vec<usize> = (0..self.cells.len()).collect();
        order.sort_unstable_by_key(|i| self.cells[*i]);
        self.cells = order.iter().map(|i| self.cells[*i]).collect();
        self.longitude = order.iter().map(|i| self.longitude[*i]).collect();
        self.latitude = order.iter().map(|i| self.latitude[*i]).collect();
    }
}

/// Whether two boxes have a place in common, whichever turn their longitudes count from.
fn overlap(a: [f64; 4], b: [f64; 4]) -> bool {
    let across = (-2..=2).any(|turn| {
        let west = a[0] + f64::from(turn) * 360.0;
        west <= b[2] + TINY && west + (a[2] - a[0]) >= b[0] - TINY
    });
    across && a[1] <= b[3] + TINY && a[3] >= b[1] - TINY
}

/// Rows and columns of a projected grid that a box may reach, with room to spare.
fn near(
    grid: &ProjectedGrid,
    [west, south, east, north]: [f64; 4],
) -> Option<((usize, usize), (usize, usize))> {
    const STEPS: usize = 96;
    let (y, x, _) = grid.parts();
    let mut ends: Option<(usize, usize, usize, usize)> = None;
    for i in 0..=STEPS {
        for j in 0..=STEPS {
            let part = |a: f64, b: f64, k: usize| a + (b - a) * k as f64 / STEPS as f64;
            if let Some((r, c)) = grid.cell(part(west, east, j), part(south, north, i)) {
                let (r0, r1, c0, c1) = ends.unwrap_or((r, r, c, c));
                ends = Some((r0.min(r), r1.max(r), c0.min(c), c1.max(c)));
            }
        }
    }
    // A box that holds the whole grid, or slips between the samples, is looked at cell by cell.
    let (r0, r1, c0, c1) = ends?;
    let room = |a: usize, b: usize, n: usize| {
        let spare = (b - a) / 16 + n / STEPS + 2;
        (a.saturating_sub(spare), (b + spare + 1).min(n))
    };
    Some((room(r0, r1, y.len()), room(c0, c1, x.len())))
}

fn size(v: [f64; 3]) -> f64 {
    v.iter().map(|c| c * c).sum::<f64>().sqrt()
}
