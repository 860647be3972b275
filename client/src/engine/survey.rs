//! Reading where the cells of a grid lie that is not on latitude and longitude.

use std::rc::Rc;

use graticule_shared::cube::{Variable, packing};
use graticule_shared::grid::locate::ProjectedGrid;
use graticule_shared::grid::{Horizontal, Projected};
use wasm_bindgen_futures::spawn_local;

use crate::chunks::source::Source;
use crate::engine::api::Trouble;
use crate::engine::open::{both, look_at_box};
use crate::engine::run::Engine;
use crate::engine::state::State;
use crate::engine::terrain::{Coordinate, Coordinates, Terrain};
use crate::engine::troubles::trouble;
use crate::view::ground::Ground;
use crate::view::levels::Grid;

/// A level up to this size is read whole to see where the grid lies.
const SMALL_CELLS: u64 = 1 << 17;

enum Plan {
    Projected { grid: Projected, y: Rc<Source>, x: Rc<Source> },
    Curvilinear { levels: Vec<Coordinates>, grids: Vec<Grid> },
}

impl Engine {
    /// Reads the coordinates of the layer's grid and shows it.
    pub(super) fn read_terrain(self: &Rc<Self>, generation: u32, variable: String) {
        let plan = {
            let mut s = self.state.borrow_mut();
            self.terrain_plan(&mut s)
        };
        let plan = match plan {
            Ok(Some(plan)) => plan,
            Ok(None) => return,
            Err(t) => return self.say_trouble(t),
        };
        let this = self.clone();
        spawn_local(async move {
            let Some(terrain) = this.clone().survey(plan).await else { return };
            {
                let mut s = this.state.borrow_mut();
                let s = &mut *s;
                if s.generation != generation {
                    return;
                }
                let Some(layer) = s.layer.as_mut().filter(|l| l.variable.path == variable) else { return };
                layer.terrain = Some(terrain.clone());
                s.moved();
                if !s.view_set
                    && let Some((middle, size)) = terrain.ground.bounds()
                {
                    look_at_box(s, middle, size);
                }
                this.replan(s);
            }
            this.flush();
            this.act();
        });
    }

    fn terrain_plan(&self, s: &mut State) -> Result<Option<Plan>, Trouble> {
        let (Some(store), Some(layer)) = (s.store.clone(), &s.layer) else { return Ok(None) };
        let (grids, first) = (layer.grids.clone(), layer.first_level);
        let variable: &Variable = &layer.variable;
        let arrays: Vec<_> = layer.sources.iter().map(|l| l.meta.path.clone()).collect();
        match variable.horizontal().cloned() {
            Some(Horizontal::Projected(grid)) => {
                // Coarser levels are cut from the finest one's axes.
                debug_assert_eq!(first, 0);
                let (y, x) = (self.source(s, &store, &grid.y)?, self.source(s, &store, &grid.x)?);
                self.loader.ask_first(&y);
                self.loader.ask_first(&x);
                Ok(Some(Plan::Projected { grid, y, x }))
            }
            Some(Horizontal::Curvilinear { .. }) => {
                let described: Vec<_> = arrays
                    .iter()
                    .filter_map(|a| variable.levels.iter().find(|l| l.array == *a)?.horizontal.clone())
                    .collect();
                let mut levels = Vec::new();
                for (horizontal, grid) in described.iter().zip(&grids) {
                    let Horizontal::Curvilinear { latitude, longitude } = horizontal else { continue };
                    let lat = Coordinate::new(self.source(s, &store, &latitude.path)?, latitude);
                    let lon = Coordinate::new(self.source(s, &store, &longitude.path)?, longitude);
                    if let (Some(latitude), Some(longitude)) = (lat, lon) {
                        levels.push(Coordinates { size: grid.cells, latitude, longitude });
                    }
                }
                Ok((levels.len() == grids.len()).then_some(Plan::Curvilinear { levels, grids }))
            }
            _ => Ok(None),
        }
    }

    async fn survey(self: Rc<Self>, plan: Plan) -> Option<Rc<Terrain>> {
        match plan {
            Plan::Projected { grid, y, x } => {
                let (a, b) = (self.loader.clone(), self.loader.clone());
                let (y2, x2) = (y.clone(), x.clone());
                let (rows, columns) =
                    both(async move { a.read_all(&y2).await }, async move { b.read_all(&x2).await }).await;
                let unpack = |source: &Source, values: Vec<f64>| -> Vec<f64> {
                    let packing = packing(&source.meta, source.chain.dtype);
                    values.into_iter().map(|v| packing.value(v).unwrap_or(f64::NAN)).collect()
                };
                let (rows, columns) = (unpack(&y, rows?), unpack(&x, columns?));
                match ProjectedGrid::new(&grid, &rows, &columns) {
                    Ok(placed) => Some(Rc::new(Terrain::new(Ground::Projected(placed), Vec::new()))),
                    Err(e) => {
                        self.say_axis(&format!("{}, {}", grid.y, grid.x), &e.to_string());
                        None
                    }
                }
            }
            Plan::Curvilinear { levels, grids } => {
                let cells = |c: &Coordinates| u64::from(c.size[0]) * u64::from(c.size[1]);
                let at = levels.iter().position(|c| cells(c) <= SMALL_CELLS).unwrap_or(levels.len() - 1);
                let overview = levels.get(at)?.overview(&self.loader, grids.get(at)?.factor).await;
                let Some(overview) = overview else {
                    let next = "Check the two-dimensional latitudes and longitudes.";
                    let why = "its coordinates cannot be had, or name no place on the Earth";
                    self.say_trouble(trouble("The grid cannot be placed on the map", why, next, ""));
                    return None;
                };
                Some(Rc::new(Terrain::new(Ground::Curvilinear(overview), levels)))
            }
        }
    }
}
