//! From what is asked to which cells are read, and from those to coverages.

use std::sync::Arc;

use graticule_shared::cube::{Role, Variable};
use graticule_shared::grid::Horizontal;

use super::cost::{Cost, too_much};
use super::coverage::{Coverage, Domain, Field, Labels, Selected};
use super::gather::{self, Where};
use super::inside::Chosen;
use super::path::{self, Path};
use super::places::{self, Grid};
use super::split::{self, Most};
use super::{Choice, Method, Query, Region, Request, scalars, select};
use crate::opened::Opened;
use crate::problem::{Answer, Problem};

const MAX_POINTS: usize = 10_000;
/// Points that are found without a turn.
const FEW_POINTS: usize = 256;

/// Which cells of which variables are to be read.
pub struct Plan {
    pub(super) parts: Vec<Part>,
    pub(super) spots: Vec<Spot>,
    pub(super) query: Query,
    pub(super) choice: Choice,
    pub cost: Cost,
}

/// One variable.
pub(super) struct Part {
    pub variable: Variable,
    pub dims: Vec<Selected>,
    /// Times and levels that are no dimensions of it.
    pub scalars: Vec<Selected>,
    /// Which of the plan's spots.
    pub spot: usize,
    pub cost: Cost,
}

impl Part {
    /// All that is known of a value but its place.
    pub fn labels(&self) -> Vec<Selected> {
        self.dims.iter().chain(&self.scalars).cloned().collect()
    }

    pub fn steps(&self) -> u64 {
        self.dims.iter().map(|d| d.indices.len() as u64).fold(1, u64::saturating_mul)
    }
}

/// Cells of one grid, which several variables may have in common.
pub(super) enum Spot {
    /// For each point the cells that its value is made of and their weights; none beside the grid.
    Points(Vec<Option<Point>>),
    Region(Box<Chosen>),
    Path(Path),
}

pub(super) struct Point {
    /// What the answer says the place is.
    longitude: f64,
    latitude: f64,
    pub cells: Vec<(u64, f64)>,
}

impl Plan {
    /// # Errors
    /// A place outside the grid, an unknown parameter, a time or level that the collection does
    /// not have: each with what would be right.
    pub async fn new(opened: &Arc<Opened>, request: &Request) -> Answer<Self> {
        if let Query::Points(points) = &request.query
            && points.len() > MAX_POINTS
        {
            return Err(split::too_many(points, MAX_POINTS));
        }
        let variables = chosen(opened, request.parameters.as_deref())?;
        check_dims(opened, &variables, &request.choice)?;
        let told = |role: Role| variables.iter().flat_map(|v| v.leading()).any(|d| d.role == role);
        check_path(&variables, request)?;
        let (query, choice) = (request.query.clone(), request.choice.clone());
        let mut plan = Self { parts: Vec::new(), spots: Vec::new(), query, choice, cost: Cost::default() };
        let mut grids: Vec<(&Horizontal, Option<usize>)> = Vec::new();
        let mut beside = None;
        for variable in variables.iter().copied() {
            let Some(horizontal) = variable.horizontal() else { continue };
            let known = grids.iter().find(|(h, _)| *h == horizontal).map(|(_, spot)| *spot);
            let spot = match known {
                Some(spot) => spot,
                None => {
                    let spot = match spot(opened, variable, request).await? {
                        Ok(spot) => {
                            plan.spots.push(spot);
                            Some(plan.spots.len() - 1)
                        }
                        Err(why) => {
                            beside.get_or_insert(why);
                            None
                        }
                    };
                    grids.push((horizontal, spot));
                    spot
                }
            };
            // Variables on grids of their own (staggered ones) may lie beside what is asked for.
            let Some(spot) = spot else { continue };
            let mut dims = Vec::new();
            for dim in variable.leading() {
                dims.push(select::along(opened, dim, &request.choice).await?);
            }
            let scalars = match scalars::selected(opened, variable, &request.choice, |role| !told(role)).await
            {
                Ok(scalars) => scalars,
                // It is of another time or level; others may be of this one.
                Err(why) if why.refused_parameter().is_some() => {
                    beside.get_or_insert(why);
                    continue;
                }
                Err(why) => return Err(why),
            };
            plan.parts.push(Part { variable: variable.clone(), dims, scalars, spot, cost: Cost::default() });
        }
        if let (true, Some(why)) = (plan.parts.is_empty(), beside) {
            return Err(why);
        }
        // A point is refused only where no grid at all has it.
        if let Query::Points(points) = &request.query {
            for (i, (longitude, latitude)) in points.iter().enumerate() {
                let there = |s: &Spot| matches!(s, Spot::Points(p) if p.get(i).is_some_and(Option::is_some));
                if !plan.spots.iter().any(there)
                    && let Some(part) = plan.parts.first()
                {
                    let grid = Grid::of(opened, &part.variable).await?;
                    return Err(beside_point(&grid, &part.variable, *longitude, *latitude));
                }
            }
        }
        for part in &mut plan.parts {
            part.cost = match plan.spots.get(part.spot) {
                Some(Spot::Path(p)) => path::cost(opened, part, p)?,
                Some(spot) => gather::cost(opened, &part.variable, &part.dims, &spot.cells())?,
                None => Cost::default(),
            };
            plan.cost.add(part.cost);
        }
        Ok(plan)
    }

    /// The plan again, where it is not too much.
    ///
    /// # Errors
    /// More than is answered at once, with parts that each are.
    pub async fn check(self, opened: &Arc<Opened>, most: Most) -> Answer<Self> {
        let steps = self.steps();
        if most.has(&self.cost, steps) {
            return Ok(self);
        }
        let opened = Arc::clone(opened);
        let find = move || Err(too_much(&self.cost, steps, &most, split::of(&self, &opened, &most)));
        places::search(find).await
    }

    /// Reads what was planned.
    ///
    /// # Errors
    /// A chunk that does not read.
    pub async fn read(self, opened: &Arc<Opened>) -> Answer<Vec<Coverage>> {
        let mut out: Vec<Coverage> = Vec::new();
        for (s, spot) in self.spots.iter().enumerate() {
            let parts: Vec<&Part> = self.parts.iter().filter(|p| p.spot == s).collect();
            match spot {
                Spot::Points(points) => out.extend(points_of(opened, points, &parts).await?),
                Spot::Path(p) => out.extend(path::coverages(opened, p, &parts).await?),
                Spot::Region(chosen) => {
                    let mut here: Vec<Coverage> = Vec::new();
                    for part in parts {
                        let mut values =
                            gather::values(opened, &part.variable, &part.dims, &chosen.at).await?;
                        blank(&chosen.domain, &mut values);
                        let field = Field { variable: part.variable.clone(), values };
                        let dims = part.labels();
                        match here.iter_mut().find(|c| c.dims == dims) {
                            Some(c) => c.fields.push(field),
                            None => here.push(Coverage {
                                domain: chosen.domain.clone(),
                                dims,
                                fields: vec![field],
                            }),
                        }
                    }
                    out.extend(here);
                }
            }
        }
        // Points in the order in which they were asked for, whatever grids they lie on.
        if let [Spot::Points(points), _, ..] = self.spots.as_slice() {
            let count = points.len();
            let mut by_point: Vec<Vec<Coverage>> = (0..count).map(|_| Vec::new()).collect();
            let mut order = self.spots.iter().flat_map(|s| match s {
                Spot::Points(p) => {
                    let groups = self.groups(s);
                    p.iter()
                        .enumerate()
                        .filter(|(_, p)| p.is_some())
                        .flat_map(|(i, _)| vec![i; groups])
                        .collect()
                }
                _ => Vec::new(),
            });
            for coverage in out {
                if let Some(list) = order.next().and_then(|i| by_point.get_mut(i)) {
                    list.push(coverage);
                }
            }
            return Ok(by_point.into_iter().flatten().collect());
        }
        Ok(out)
    }

    /// How many sets of dimensions the variables of a spot have.
    fn groups(&self, spot: &Spot) -> usize {
        let own = |p: &&Part| self.spots.get(p.spot).is_some_and(|s| std::ptr::eq(s, spot));
        let mut seen: Vec<Vec<Selected>> = Vec::new();
        for part in self.parts.iter().filter(own) {
            let labels = part.labels();
            if !seen.contains(&labels) {
                seen.push(labels);
            }
        }
        seen.len()
    }

    /// Most cells of any variable.
    pub fn cells(&self) -> usize {
        self.spots.iter().map(|s| s.count()).max().unwrap_or(0)
    }

    /// The same of those that are found one by one.
    pub fn listed(&self) -> usize {
        let count = |s: &Spot| match s {
            Spot::Region(chosen) if matches!(chosen.at, Where::List(_)) => chosen.at.count(),
            _ => 0,
        };
        self.spots.iter().map(count).max().unwrap_or(0)
    }

    /// Steps of all variables together.
    pub fn steps(&self) -> u64 {
        self.parts.iter().map(Part::steps).fold(0, u64::saturating_add)
    }

    /// The cells of a part of a query of a region, and their areas.
    pub(super) fn region(&self, part: &Part) -> Option<&Chosen> {
        match self.spots.get(part.spot) {
            Some(Spot::Region(chosen)) => Some(chosen),
            _ => None,
        }
    }
}

impl Spot {
    /// True of a path that says times or heights itself.
    pub fn is_timed(&self) -> bool {
        matches!(self, Self::Path(path) if path.is_timed())
    }

    fn count(&self) -> usize {
        match self {
            Self::Points(points) => points.len(),
            Self::Region(chosen) => chosen.at.count(),
            Self::Path(path) => path.samples.len(),
        }
    }

    pub fn cells(&self) -> Where {
        match self {
            Self::Points(points) => {
                Where::List(points.iter().flatten().flat_map(|p| &p.cells).map(|(cell, _)| *cell).collect())
            }
            Self::Region(chosen) => chosen.at.clone(),
            Self::Path(path) => Where::List(path.samples.iter().map(|s| s.cell.flat).collect()),
        }
    }
}

/// What was not asked for has no values.
pub(super) fn blank(domain: &Domain, values: &mut [f64]) {
    if let Domain::Grid { outside: Some(outside), .. } = domain {
        for step in values.chunks_mut(outside.len().max(1)) {
            step.iter_mut().zip(outside).filter(|(_, o)| **o).for_each(|(v, _)| *v = f64::NAN);
        }
    }
}

/// The cells of a variable's grid that are asked for; what is wrong where it has none of them.
async fn spot(opened: &Arc<Opened>, variable: &Variable, request: &Request) -> Answer<Result<Spot, Problem>> {
    let grid = Grid::of(opened, variable).await?;
    Ok(match &request.query {
        Query::Points(points) => {
            let spots = if points.len() > FEW_POINTS {
                let (own, points, method) = (grid.clone(), points.clone(), request.method);
                places::search(move || found(&own, &points, method)).await?
            } else {
                found(&grid, points, request.method)?
            };
            match points.first() {
                Some(&(longitude, latitude)) if spots.iter().all(Option::is_none) => {
                    Err(beside_point(&grid, variable, longitude, latitude))
                }
                _ => Ok(Spot::Points(spots)),
            }
        }
        Query::Region(region) => match grid.within(region).await? {
            Some(chosen) => Ok(Spot::Region(Box::new(chosen))),
            None => {
                let (x, y) = region.middle();
                let (name, value) = region.given();
                let why = match region {
                    Region::Circles { clip: Some(_), .. } => "no cell lies in it and in its bbox".to_owned(),
                    _ => {
                        let why = grid.outside(variable, x, y);
                        format!("no cell lies in it; of its middle, {x} {y}: {why}")
                    }
                };
                Err(Problem::parameter(name, &value, why))
            }
        },
        Query::Path(lines) => {
            let (own, along) = (grid.clone(), lines.clone());
            if let Some(path) = places::search(move || path::samples(&own, &along)).await? {
                Ok(Spot::Path(path))
            } else {
                let first = lines.first().and_then(|l| l.first());
                let (lon, lat) = first.map_or((0.0, 0.0), |v| (v.longitude, v.latitude));
                let why = grid.outside(variable, lon, lat);
                Err(Problem::parameter("coords", &format!("LINESTRING({lon} {lat}, …)"), why))
            }
        }
    })
}

/// Each point's cells; none beside the grid.
fn found(grid: &Grid, points: &[(f64, f64)], method: Method) -> Answer<Vec<Option<Point>>> {
    let one = |&(longitude, latitude): &(f64, f64)| {
        let Some(cell) = grid.cell(longitude, latitude) else { return Ok(None) };
        Ok(Some(match method {
            Method::Nearest => {
                Point { longitude: cell.longitude, latitude: cell.latitude, cells: vec![(cell.flat, 1.0)] }
            }
            Method::Bilinear => {
                let around = grid.around(cell, longitude, latitude);
                let cells = around.map_err(|why| Problem::parameter("method", "bilinear", why))?;
                Point { longitude, latitude, cells: cells.to_vec() }
            }
        }))
    };
    points.iter().map(one).collect()
}

fn beside_point(grid: &Grid, variable: &Variable, longitude: f64, latitude: f64) -> Problem {
    let why = grid.outside(variable, longitude, latitude);
    Problem::parameter("coords", &format!("POINT({longitude} {latitude})"), why)
}

/// One coverage for each point and each set of dimensions.
async fn points_of(opened: &Arc<Opened>, points: &[Option<Point>], parts: &[&Part]) -> Answer<Vec<Coverage>> {
    let there: Vec<&Point> = points.iter().flatten().collect();
    let at = Where::List(there.iter().flat_map(|p| &p.cells).map(|(cell, _)| *cell).collect());
    let mut here: Vec<Vec<Coverage>> = there.iter().map(|_| Vec::new()).collect();
    for part in parts {
        let values = gather::values(opened, &part.variable, &part.dims, &at).await?;
        let dims = part.labels();
        let mut from = 0;
        for (point, list) in there.iter().zip(&mut here) {
            let mixed = |step: &[f64]| {
                let cells = step.get(from..from + point.cells.len()).unwrap_or_default();
                let weighed = cells.iter().zip(&point.cells).filter(|(_, (_, w))| *w > 0.0);
                weighed.map(|(v, (_, w))| if *w == 1.0 { *v } else { v * w }).sum::<f64>()
            };
            let own: Vec<f64> = values.chunks(at.count().max(1)).map(mixed).collect();
            let field = Field { variable: part.variable.clone(), values: own };
            from += point.cells.len();
            match list.iter_mut().find(|c| c.dims == dims) {
                Some(c) => c.fields.push(field),
                None => list.push(Coverage {
                    domain: Domain::Point { longitude: point.longitude, latitude: point.latitude },
                    dims: dims.clone(),
                    fields: vec![field],
                }),
            }
        }
    }
    Ok(here.into_iter().flatten().collect())
}

/// Variables that can be asked for: those whose cells have a place.
pub fn readable(opened: &Opened) -> impl Iterator<Item = &Variable> {
    opened.cube.variables.iter().filter(|v| opened.is_placed(v))
}

fn chosen<'a>(opened: &'a Opened, names: Option<&[String]>) -> Answer<Vec<&'a Variable>> {
    let all: Vec<&Variable> = readable(opened).collect();
    if all.is_empty() {
        return Err(Problem::not_found(
            "this collection has no variable whose cells have a latitude and a longitude, by which values are asked for",
        ));
    }
    let Some(names) = names else { return Ok(all) };
    let known = || all.iter().map(|v| v.path.as_str()).collect::<Vec<_>>().join(", ");
    let mut out: Vec<&Variable> = Vec::new();
    for name in names {
        let found = all.iter().find(|v| v.path == *name).copied().ok_or_else(|| {
            Problem::parameter("parameter-name", name, format!("expected some of {}", known()))
        })?;
        if !out.iter().any(|v| v.path == found.path) {
            out.push(found);
        }
    }
    Ok(out)
}

/// A selector that fits no variable would silently select nothing.
///
/// # Errors
/// A dimension that none of the variables has.
pub fn check_dims(opened: &Opened, variables: &[&Variable], choice: &Choice) -> Answer<()> {
    let dims: Vec<_> = variables.iter().flat_map(|v| v.leading()).collect();
    for (name, value) in &choice.dims {
        if !dims.iter().any(|d| d.name == *name) {
            let mut names: Vec<_> = dims.iter().map(|d| d.name.clone()).collect();
            names.sort();
            names.dedup();
            return Err(Problem::parameter(
                &format!("dim:{name}"),
                value,
                format!("no such dimension; there are {}", names.join(", ")),
            ));
        }
    }
    for (role, name, what, asked) in
        [(Role::Z, "z", "vertical", &choice.z), (Role::T, "datetime", "time", &choice.datetime)]
    {
        let Some(value) = asked else { continue };
        let mut own = dims.iter().filter(|d| d.role == role).peekable();
        let Some(&first) = own.peek() else {
            if variables.iter().any(|v| scalars::of(opened, v).iter().any(|d| d.role == role)) {
                continue;
            }
            return Err(Problem::parameter(name, value, format!("this collection has no {what} dimension")));
        };
        // What is asked of steps that are no instants would be passed over.
        if role == Role::T
            && let Err(why) = select::clock(first)
            && !own.any(|d| select::clock(d).is_ok())
        {
            let given = &first.name;
            return Err(Problem::parameter(
                name,
                value,
                format!(
                    "the {} steps of {given:?} are no known times: {why}; dim:{given} asks for them by number",
                    first.len
                ),
            ));
        }
    }
    Ok(())
}

/// A path may say heights and times itself.
fn check_path(variables: &[&Variable], request: &Request) -> Answer<()> {
    let Query::Path(lines) = &request.query else { return Ok(()) };
    let first = lines.iter().flatten().next();
    let choice = &request.choice;
    for (role, name, what, asked, drawn) in [
        (Role::Z, "z", "vertical", &choice.z, first.is_some_and(|v| v.z.is_some())),
        (Role::T, "datetime", "time", &choice.datetime, first.is_some_and(|v| v.m.is_some())),
    ] {
        if let (Some(value), true) = (asked, drawn) {
            return Err(Problem::parameter(name, value, "the path's own coordinates say this already"));
        }
        if drawn && !variables.iter().flat_map(|v| v.leading()).any(|d| d.role == role) {
            let why = format!("it says {name} of its places, and this collection has no {what} dimension");
            return Err(Problem::parameter("coords", "LINESTRING…", why));
        }
    }
    Ok(())
}

/// Place of the cell and value of one variable at one index along each of its other dimensions;
/// `None` beside the grid.
///
/// # Errors
/// A block that does not read.
pub async fn at(
    opened: &Arc<Opened>,
    variable: &Variable,
    indices: &[u64],
    (longitude, latitude): (f64, f64),
) -> Answer<Option<((f64, f64), Option<f64>)>> {
    let grid = Grid::of(opened, variable).await?;
    let Some(cell) = grid.cell(longitude, latitude) else { return Ok(None) };
    let one = |(dim, index): (&graticule_shared::cube::Dim, &u64)| Selected {
        name: dim.name.clone(),
        role: dim.role,
        indices: vec![*index],
        labels: Labels::Numbers(Vec::new()),
        units: None,
        positive: None,
        is_scalar: false,
    };
    let dims: Vec<Selected> = variable.leading().iter().zip(indices).map(one).collect();
    let values = gather::values(opened, variable, &dims, &Where::List(vec![cell.flat])).await?;
    Ok(Some(((cell.longitude, cell.latitude), values.first().copied().filter(|v| v.is_finite()))))
}
