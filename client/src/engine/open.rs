//! From a URL to a variable that can be drawn.

use std::rc::Rc;

use graticule_shared::axis::Axis;
use graticule_shared::colormap;
use graticule_shared::cube::{Cube, Level, Role, Variable};
use graticule_shared::grid::Horizontal;
use graticule_shared::zarr::Hierarchy;
use js_sys::Uint8Array;
use wasm_bindgen_futures::spawn_local;

use crate::breath::breathe;
use crate::chunks::fetch::{self, FetchError, Range};
use crate::chunks::loader::{FailureKind, kind_of};
use crate::chunks::source::Source;
use crate::engine::api::{Signal, Trouble, View};
use crate::engine::run::Engine;
use crate::engine::state::{Layer, State, Store};
use crate::engine::troubles::{cors, network, status, trouble};
use crate::view::camera;
use crate::view::levels::{Grid, number_pages};

/// Entries of the page table.
const MAX_PAGES: u64 = 1 << 21;
const CANNOT_OPEN: &str = "The data cannot be opened";

impl Engine {
    pub(super) fn open(self: &Rc<Self>, url: String, refresh: bool) {
        let url = url.trim().trim_end_matches('/').to_owned();
        let generation = {
            let mut s = self.state.borrow_mut();
            s.generation = s.generation.wrapping_add(1);
            s.troubles = 0;
            s.opening = true;
            if !refresh {
                s.clim_forgotten = true;
                s.wanted_variable = s.wanted_variable.take().filter(|_| s.store.is_none());
            }
            s.generation
        };
        self.loader.retry();
        let this = self.clone();
        spawn_local(async move {
            let read = read_hierarchy(&url).await;
            // What it says is read in a task of its own, not behind the device's.
            breathe().await;
            if this.state.borrow().generation != generation {
                return;
            }
            let read = read.map(|hierarchy| {
                let cube = Rc::new(Cube::new(&hierarchy));
                (hierarchy, cube)
            });
            breathe().await;
            if this.state.borrow().generation != generation {
                return;
            }
            this.state.borrow_mut().opening = false;
            match read {
                Ok((hierarchy, cube)) => this.opened(url, hierarchy, cube, refresh),
                Err(t) => this.say_trouble(t),
            }
            this.ask_frame();
        });
    }

    fn opened(self: &Rc<Self>, url: String, hierarchy: Hierarchy, cube: Rc<Cube>, refresh: bool) {
        let choice = {
            let mut s = self.state.borrow_mut();
            s.say(Signal::Opened { url: url.clone(), cube: cube.clone() });
            if !refresh && s.store.is_some() {
                s.indices.clear();
            }
            s.sources.clear();
            let current = s.layer.as_ref().filter(|_| refresh).map(|l| l.variable.path.clone());
            let wanted = s.wanted_variable.take().or(current);
            s.store = Some(Rc::new(Store { url: url.clone(), hierarchy, cube: cube.clone() }));
            wanted
                .filter(|w| cube.variable(w).is_some_and(Variable::is_drawable))
                .or_else(|| cube.principal(Variable::is_drawable).map(|v| v.path.clone()))
        };
        self.flush();
        match choice {
            Some(path) => self.show_variable(&path, true),
            None => {
                let names: Vec<&str> = cube.variables.iter().map(|v| v.path.as_str()).collect();
                let found = if names.is_empty() { "no arrays at all".to_owned() } else { names.join(", ") };
                self.say_trouble(trouble(
                    "Nothing to draw",
                    "no variable says where its cells lie: by latitude and longitude as its last two dimensions, by a grid mapping, or by two-dimensional coordinates",
                    "Name the coordinates as CF does (units degrees_north and degrees_east, attributes coordinates and grid_mapping), or transpose the variable.",
                    &format!("{url}: {found}"),
                ));
            }
        }
    }

    pub(super) fn set_variable(self: &Rc<Self>, path: String) {
        let known = {
            let mut s = self.state.borrow_mut();
            let known = s.store.as_ref().is_some_and(|st| st.cube.variable(&path).is_some());
            let same = s.layer.as_ref().is_some_and(|l| l.variable.path == path);
            if s.store.is_none() {
                s.wanted_variable = Some(path.clone());
            }
            known && !same
        };
        if known {
            self.show_variable(&path, false);
        }
    }

    fn show_variable(self: &Rc<Self>, path: &str, opened: bool) {
        let made = {
            let mut s = self.state.borrow_mut();
            self.make_layer(&mut s, path)
        };
        let layer = match made {
            Ok(layer) => layer,
            Err(t) => return self.say_trouble(t),
        };
        let outer = layer.outer().to_vec();
        let axes = axis_paths(&layer.variable);
        // Only a grid on latitude and longitude has axes that metadata may give.
        let plane = match layer.variable.dims.as_slice() {
            [.., y, x] if !layer.is_warped() && layer.first_level == 0 => Some((y.clone(), x.clone())),
            _ => None,
        };
        let early = {
            let mut s = self.state.borrow_mut();
            if !s.style.colormap_set {
                let v = &layer.variable;
                let name = v.path.rsplit('/').next().unwrap_or(&v.path);
                let name = colormap::default_for(v.standard_name.as_deref(), name, v.units.as_deref());
                s.style.colormap = name.to_owned();
                s.colours_dirty = true;
                s.say_style();
            }
            // Before the range changes: what is shown keeps its own.
            self.keep_showing(&mut s);
            if std::mem::take(&mut s.clim_forgotten) || !opened {
                s.style.clim = None;
                s.clim_open = true;
            }
            self.replace_layer(&mut s, layer);
            s.say_selected();
            let early = plane.and_then(|(y, x)| axes_from_transform(s.store.as_ref()?, &y, &x));
            if let (Some(axes), Some(layer)) = (early.clone(), &mut s.layer) {
                layer.axes = Some(axes);
            }
            early.is_some()
        };
        let generation = self.state.borrow().generation;
        // The stored coordinates, and the data beside them if its place can be guessed.
        if self.state.borrow().layer.as_ref().is_some_and(Layer::is_warped) {
            self.read_terrain(generation, path.to_owned());
        } else {
            let (y, x) = axes;
            self.read_axes(generation, path.to_owned(), y, x, early);
        }
        self.replan(&mut self.state.borrow_mut());
        for dim in outer {
            self.read_coordinate(generation, dim.name.clone(), dim.coordinate.clone());
        }
        self.flush();
        self.ask_frame();
    }

    fn make_layer(&self, s: &mut State, path: &str) -> Result<Layer, Trouble> {
        let store = s
            .store
            .clone()
            .ok_or_else(|| trouble(CANNOT_OPEN, "no data is open", "Open a store first.", ""))?;
        let variable = store.cube.variable(path).filter(|v| v.is_drawable()).cloned().ok_or_else(|| {
            trouble(
                "This variable cannot be drawn",
                "it does not say where its cells lie",
                "Choose another variable.",
                path,
            )
        })?;
        let (mut grids, mut sources) = (Vec::new(), Vec::new());
        let mut set_aside = None;
        for (number, level) in (0u32..).zip(&variable.levels) {
            if !is_drawn(&variable, level) {
                continue;
            }
            let Some(meta) = store.hierarchy.arrays.get(&level.array) else { continue };
            // A type that the shader would read otherwise is not the same field.
            if meta.dtype != Some(variable.packing.dtype) {
                continue;
            }
            let source = match self.source(s, &store, &level.array) {
                Ok(source) => source,
                Err(t) => {
                    set_aside = Some(t);
                    continue;
                }
            };
            let shape = source.meta.block_shape();
            let Some([by, bx]) = shape.last_chunk::<2>().copied() else { continue };
            let Some(grid) =
                Grid::new([level.rows, level.columns], [level.factor_y, level.factor_x], [by, bx])
            else {
                continue;
            };
            grids.push(grid);
            sources.push((number, source));
        }
        let (grids, dropped) = number_pages(grids, MAX_PAGES);
        sources.drain(..dropped.min(sources.len()));
        sources.truncate(grids.len());
        let first_level = sources.first().map_or(0, |(number, _)| *number);
        let sources = sources.into_iter().map(|(_, source)| source).collect();
        if grids.is_empty() || grids.iter().map(Grid::page_count).sum::<u64>() > MAX_PAGES {
            return Err(set_aside.unwrap_or_else(|| {
                trouble(
                    "This variable cannot be drawn",
                    "its grid is empty or too finely cut",
                    "Rechunk the store.",
                    path,
                )
            }));
        }
        if let Some(t) = set_aside {
            s.say(Signal::Trouble(t));
        }
        Ok(Layer { variable, axes: None, terrain: None, first_level, grids, sources, field: None })
    }

    pub(super) fn source(&self, s: &mut State, store: &Store, path: &str) -> Result<Rc<Source>, Trouble> {
        let missing = || {
            trouble(
                CANNOT_OPEN,
                "the metadata names an array that is not there",
                "Consolidate the metadata again.",
                path,
            )
        };
        // A variable seen before finds its blocks again.
        if let Some(known) = s.sources.get(path) {
            return Ok(known.clone());
        }
        let meta = store.hierarchy.arrays.get(path).ok_or_else(missing)?;
        s.next_source += 1;
        let source = Source::new(s.next_source, &store.url, meta, store.hierarchy.format).map_err(|e| {
            let next = "Rewrite the array with a codec and a chunk size that browsers can take.";
            trouble(&format!("{path} cannot be read"), &e.to_string(), next, &format!("{}/{path}", store.url))
        })?;
        let source = Rc::new(source);
        self.loader.add_source(source.clone());
        s.sources.insert(path.to_owned(), source.clone());
        Ok(source)
    }

    fn read_axes(
        self: &Rc<Self>,
        generation: u32,
        variable: String,
        y: Option<String>,
        x: Option<String>,
        early: bool,
    ) {
        let sources = {
            let mut s = self.state.borrow_mut();
            let Some(store) = s.store.clone() else { return };
            let mut find = |path: Option<String>| match path {
                Some(path) => self.source(&mut s, &store, &path).map(Some),
                None => Ok(None),
            };
            match (find(y), find(x)) {
                (Ok(Some(y)), Ok(Some(x))) => Ok((y, x)),
                (Err(t), _) | (_, Err(t)) => Err(t),
                _ => return,
            }
        };
        let (y, x) = match sources {
            Ok(pair) => pair,
            Err(t) => return self.say_trouble(t),
        };
        self.loader.ask_first(&y);
        self.loader.ask_first(&x);
        let this = self.clone();
        spawn_local(async move {
            let (ya, xa) = (this.clone(), this.clone());
            let (y2, x2) = (y.clone(), x.clone());
            let (rows, columns) =
                both(
                    async move { ya.loader.read_all(&y2).await },
                    async move { xa.loader.read_all(&x2).await },
                )
                .await;
            let (Some(rows), Some(columns)) = (rows, columns) else { return };
            let (rows, columns) = match degrees(rows, columns) {
                Ok(pair) => pair,
                Err(why) => {
                    let next =
                        "Only latitude and longitude and Web Mercator (EPSG:3857) can be placed so far.";
                    let t = trouble("The grid cannot be placed on the map", why, next, &x.meta.path);
                    return this.say_trouble(t);
                }
            };
            let axes = (Axis::new(rows), Axis::longitude(columns));
            let axes = match axes {
                (Ok(r), Ok(c)) => (Rc::new(r), Rc::new(c)),
                (Err(e), _) => return this.say_axis(&y.meta.path, &e.to_string()),
                (_, Err(e)) => return this.say_axis(&x.meta.path, &e.to_string()),
            };
            {
                let mut s = this.state.borrow_mut();
                let s = &mut *s;
                if s.generation != generation {
                    return;
                }
                let Some(layer) = s.layer.as_mut().filter(|l| l.variable.path == variable) else { return };
                if !early {
                    layer.field = None;
                }
                layer.axes = Some(axes.clone());
                // How wide a cell is, for the readout's words.
                let across = layer.variable.dims.last().filter(|d| d.role == Role::X).map(|d| d.name.clone());
                if let Some(dim) = across {
                    s.say(Signal::Coordinate { dim, values: axes.1.values().to_vec() });
                }
                s.moved();
                if !s.view_set {
                    look_at(s, &axes);
                }
                this.replan(s);
            }
            this.flush();
            this.act();
        });
    }

    pub(super) fn say_axis(&self, path: &str, why: &str) {
        let next = "The coordinate must rise or fall throughout; sort or repair it.";
        self.say_trouble(trouble("The grid cannot be placed on the map", why, next, path));
    }

    fn read_coordinate(self: &Rc<Self>, generation: u32, dim: String, path: Option<String>) {
        let Some(path) = path else { return };
        let source = {
            let mut s = self.state.borrow_mut();
            let Some(store) = s.store.clone() else { return };
            self.source(&mut s, &store, &path)
        };
        let Ok(source) = source else { return };
        let this = self.clone();
        spawn_local(async move {
            let Some(values) = this.loader.read_all(&source).await else { return };
            let packing = this.state.borrow().store.as_ref().and_then(|st| {
                let a = st.hierarchy.arrays.get(&path)?;
                let number = |k: &str| a.attributes.get(k).and_then(graticule_shared::zarr::json_number);
                Some((number("scale_factor").unwrap_or(1.0), number("add_offset").unwrap_or(0.0)))
            });
            let (scale, offset) = packing.unwrap_or((1.0, 0.0));
            let values = if (scale, offset) == (1.0, 0.0) {
                values
            } else {
                values.into_iter().map(|v| v * scale + offset).collect()
            };
            {
                let mut s = this.state.borrow_mut();
                if s.generation != generation {
                    return;
                }
                s.say(Signal::Coordinate { dim, values });
            }
            this.flush();
        });
    }
}

/// Paths of y and x of a grid on latitude and longitude: a list of cells has them from level 1 on.
fn axis_paths(variable: &Variable) -> (Option<String>, Option<String>) {
    let drawn = variable.levels.iter().skip(1).find_map(|l| l.horizontal.as_ref());
    match (variable.horizontal(), drawn) {
        (Some(Horizontal::Cells(_)), Some(Horizontal::Separable { latitude, longitude })) => {
            (Some(latitude.clone()), Some(longitude.clone()))
        }
        _ => match variable.dims.as_slice() {
            [.., y, x] => (y.coordinate.clone(), x.coordinate.clone()),
            _ => (None, None),
        },
    }
}

/// False for a list of cells, and for a level that lacks the coordinates that the others have.
fn is_drawn(variable: &Variable, level: &Level) -> bool {
    match variable.horizontal() {
        Some(Horizontal::Cells(_)) => matches!(level.horizontal, Some(Horizontal::Separable { .. })),
        Some(Horizontal::Curvilinear { .. }) => {
            matches!(level.horizontal, Some(Horizontal::Curvilinear { .. }))
        }
        _ => true,
    }
}

/// Coordinates in degrees: as they are, or from metres of Web Mercator, which
/// nothing else has the extent of.
fn degrees(rows: Vec<f64>, columns: Vec<f64>) -> Result<(Vec<f64>, Vec<f64>), &'static str> {
    const HALF_WORLD_M: f64 = 20_037_508.342_789_244;
    let most = |v: &[f64]| v.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let (tall, wide) = (most(&rows), most(&columns));
    if wide <= 720.0 && tall <= 90.5 {
        return Ok((rows, columns));
    }
    if wide <= 720.0 || wide > HALF_WORLD_M * 1.001 || tall > HALF_WORLD_M * 1.001 {
        return Err("its coordinates are neither degrees nor metres of Web Mercator");
    }
    let latitude = |y: f64| graticule_shared::raster::mercator_latitude_deg(0.5 - y / HALF_WORLD_M / 2.0);
    Ok((
        rows.into_iter().map(latitude).collect(),
        columns.into_iter().map(|x| x / HALF_WORLD_M * 180.0).collect(),
    ))
}

/// Both at once.
pub(super) async fn both<A: 'static, B: 'static>(
    a: impl Future<Output = A> + 'static,
    b: impl Future<Output = B> + 'static,
) -> (A, B) {
    let (send, receive) = futures_channel::oneshot::channel();
    spawn_local(async move { drop(send.send(a.await)) });
    let b = b.await;
    match receive.await {
        Ok(a) => (a, b),
        // The sender only goes away with its value.
        Err(_) => std::future::pending().await,
    }
}

/// A regional grid fills the screen; a global one is seen whole.
fn look_at(s: &mut State, (y, x): &(Rc<Axis>, Rc<Axis>)) {
    let ((south, north), (west, east)) = (y.edges(), x.edges());
    let (height, width) = ((north - south).abs(), (east - west).abs());
    look_at_box(s, [(west + east) / 2.0, (south + north) / 2.0], [width, height]);
}

/// A box that is wide is seen whole. Middle, width and height in degrees.
pub(super) fn look_at_box(s: &mut State, [longitude, latitude]: [f64; 2], [width, height]: [f64; 2]) {
    if width > 200.0 || s.camera.width_px <= 1.0 {
        return;
    }
    let c = &mut s.camera;
    c.longitude_deg = camera::wrap_longitude_deg(longitude);
    c.latitude_deg = latitude.clamp(-80.0, 80.0);
    let stretch = 1.0 / c.latitude_deg.to_radians().cos().max(0.1);
    let fit = (c.width_px * 0.9 / width * 360.0).min(c.height_px * 0.9 / (height * stretch) * 360.0);
    c.zoom = (fit / graticule_shared::raster::TILE_PX).log2();
    camera::limit(c);
    let view = View { longitude_deg: c.longitude_deg, latitude_deg: c.latitude_deg, zoom: c.zoom };
    let projection = c.projection;
    s.say(Signal::ViewChanged { view, projection });
}

/// `spatial:transform` [dx, 0, x0, 0, dy, y0] of the `spatial` convention, registered
/// on nodes, gives both axes without a request.
fn axes_from_transform(
    store: &Store,
    y: &graticule_shared::cube::Dim,
    x: &graticule_shared::cube::Dim,
) -> Option<(Rc<Axis>, Rc<Axis>)> {
    let a = &store.hierarchy.attributes;
    let numbers: Vec<f64> =
        a.get("spatial:transform")?.as_array()?.iter().filter_map(|v| v.as_f64()).collect();
    let names: Vec<&str> =
        a.get("spatial:dimensions")?.as_array()?.iter().filter_map(|v| v.as_str()).collect();
    if a.get("spatial:registration").and_then(|v| v.as_str()) != Some("node")
        || names != [y.name.as_str(), x.name.as_str()]
        || x.role != Role::X
    {
        return None;
    }
    let &[dx, 0.0, x0, 0.0, dy, y0] = numbers.as_slice() else { return None };
    let line = |from: f64, step: f64, n: u64| {
        (n < 1 << 24).then(|| (0..n).map(|i| from + step * i as f64).collect())
    };
    Some((
        Rc::new(Axis::new(line(y0, dy, y.len)?).ok()?),
        Rc::new(Axis::longitude(line(x0, dx, x.len)?).ok()?),
    ))
}

async fn read_hierarchy(url: &str) -> Result<Hierarchy, Trouble> {
    let v3 = format!("{url}/zarr.json");
    match fetch::get(&v3, Range::All, None).await {
        Ok(f) => Hierarchy::from_v3(&Uint8Array::new(&f.bytes).to_vec()).map_err(|e| {
            let next = if e.to_string().contains("consolidated") {
                "Run zarr.consolidate_metadata on the store (xarray: consolidated=True)."
            } else {
                "Check that the address is a Zarr hierarchy."
            };
            trouble(CANNOT_OPEN, &e.to_string(), next, &v3)
        }),
        Err(FetchError::Status(404 | 403, said)) => {
            let v2 = format!("{url}/.zmetadata");
            match fetch::get(&v2, Range::All, None).await {
                Ok(f) => Hierarchy::from_v2(&Uint8Array::new(&f.bytes).to_vec()).map_err(|e| {
                    trouble(CANNOT_OPEN, &e.to_string(), "Check that the address is a Zarr hierarchy.", &v2)
                }),
                Err(FetchError::Status(404, _)) => {
                    let details = format!("GET {v3}: 404; GET {v2}: 404");
                    Err(match said {
                        // Our own server knows better what there is.
                        Some(said) => trouble(
                            CANNOT_OPEN,
                            &said,
                            "The menu at the top left lists what there is.",
                            &details,
                        ),
                        None => trouble(
                            CANNOT_OPEN,
                            "there is neither zarr.json (Zarr v3) nor .zmetadata (consolidated Zarr v2) at this address",
                            "Check the address; a v2 store needs consolidated metadata: zarr.consolidate_metadata(store).",
                            &details,
                        ),
                    })
                }
                Err(e) => Err(words(&v2, e).await),
            }
        }
        Err(e) => Err(words(&v3, e).await),
    }
}

async fn words(url: &str, e: FetchError) -> Trouble {
    match kind_of(url, e).await {
        FailureKind::Status(code, said) => status(CANNOT_OPEN, code, said.as_deref(), url),
        FailureKind::Cors => cors(CANNOT_OPEN, url),
        FailureKind::Network(why) | FailureKind::Decode(why) | FailureKind::ShardIndex(why) => {
            network(CANNOT_OPEN, url, &why)
        }
    }
}
