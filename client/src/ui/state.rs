//! What is on the screen, as plain values.
//!
//! The engine speaks in signals; the controls, the address bar, the embedded
//! element and the tests all want to know how things stand. This remembers.

use std::collections::BTreeMap;
use std::rc::Rc;

use graticule_shared::cube::{Cube, Dim, Role, Variable};
use graticule_shared::raster::Camera;
use graticule_shared::units::{self, Quantity, Shown};

use super::address::Address;
use super::times::Steps;
use crate::engine::api::{
    Command, DROPPED, Projection, Readout, Scale, Signal, StepState, Theme, Trouble, View,
};
use crate::view::smooth;

#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    pub colormap: String,
    pub reversed: bool,
    pub clim: (f64, f64),
    pub scale: Scale,
    pub opacity: f64,
}

#[derive(Debug, Clone)]
pub struct State {
    pub backend: String,
    pub url: String,
    pub cube: Option<Rc<Cube>>,
    pub coordinates: BTreeMap<String, Rc<Vec<f64>>>,
    pub variable: String,
    pub indices: Vec<(String, u64)>,
    pub frame: Option<(u64, bool)>,
    pub progress: (u32, u32, u64),
    pub steps: Rc<Vec<StepState>>,
    pub style: Style,
    pub view: View,
    pub projection: Projection,
    pub size_px: (f64, f64),
    pub histogram: Option<(Vec<u32>, (f64, f64))>,
    pub readout: Option<Readout>,
    pub trouble: Option<Trouble>,
    pub theme: Theme,
    pub coastlines: bool,
    pub graticule: bool,
    /// `None`: as the size of the cells asks for.
    pub smooth: Option<bool>,
    /// Units chosen by hand, the last first; each holds where it fits.
    pub units: Vec<String>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            backend: String::new(),
            url: String::new(),
            cube: None,
            coordinates: BTreeMap::new(),
            variable: String::new(),
            indices: Vec::new(),
            frame: None,
            progress: (0, 0, 0),
            steps: Rc::default(),
            style: Style {
                colormap: "viridis".into(),
                reversed: false,
                clim: (0.0, 1.0),
                scale: Scale::Linear,
                opacity: 1.0,
            },
            view: View { longitude_deg: 0.0, latitude_deg: 0.0, zoom: 1.0 },
            projection: Projection::Mercator,
            size_px: (1.0, 1.0),
            histogram: None,
            readout: None,
            trouble: None,
            theme: Theme::Dark,
            coastlines: true,
            graticule: false,
            smooth: None,
            units: Vec::new(),
        }
    }
}

impl State {
    pub fn hear(&mut self, signal: &Signal) {
        match signal.clone() {
            Signal::Ready { backend } => self.backend = backend,
            Signal::Opened { url, cube } => {
                if url != self.url {
                    self.coordinates.clear();
                    self.frame = None;
                    self.histogram = None;
                    self.readout = None;
                }
                (self.url, self.cube, self.trouble) = (url, Some(cube), None);
            }
            Signal::Coordinate { dim, values } => {
                self.coordinates.insert(dim, Rc::new(values));
            }
            Signal::Selected { variable, indices } => {
                (self.variable, self.indices) = (variable, indices);
            }
            Signal::Frame { index, complete } => self.frame = Some((index, complete)),
            Signal::Progress { done, total, bytes } => self.progress = (done, total, bytes),
            Signal::Steps(steps) => self.steps = Rc::new(steps),
            Signal::Style { colormap, reversed, clim, scale, opacity } => {
                self.style = Style { colormap, reversed, clim, scale, opacity };
            }
            Signal::ViewChanged { view, projection } => {
                (self.view, self.projection) = (view, projection);
            }
            Signal::Histogram { counts, range } => self.histogram = Some((counts, range)),
            Signal::Readout(readout) => self.readout = readout,
            Signal::Trouble(trouble) => self.trouble = Some(trouble),
        }
    }

    /// Commands that the engine does not answer, remembered here.
    pub fn say(&mut self, command: &Command) {
        match *command {
            Command::SetTheme(theme) => self.theme = theme,
            Command::SetCoastlines(on) => self.coastlines = on,
            Command::SetGraticule(on) => self.graticule = on,
            Command::SetSmooth(on) => self.smooth = Some(on),
            Command::Resize { width, height, .. } => self.size_px = (width, height),
            _ => {}
        }
    }

    pub fn meta(&self) -> Option<&Variable> {
        self.cube.as_ref()?.variable(&self.variable)
    }

    /// The dimension that the strip runs along: time, else the first that is
    /// neither space nor height (months of a climatology, members).
    pub fn strip_dim(&self) -> Option<&Dim> {
        let meta = self.meta()?;
        meta.dim(Role::T).or_else(|| meta.leading().iter().find(|d| d.role == Role::Other && d.len > 1))
    }

    /// Dimensions for the pickers in the headline.
    pub fn other_dims(&self) -> Vec<&Dim> {
        let strip = self.strip_dim().map(|d| d.name.as_str());
        self.meta()
            .map(|m| {
                m.leading()
                    .iter()
                    .filter(|d| !matches!(d.role, Role::X | Role::Y) && Some(d.name.as_str()) != strip)
                    .collect()
            })
            .unwrap_or_default()
    }

    pub fn index_of(&self, dim: &str) -> u64 {
        self.indices.iter().find(|(d, _)| d == dim).map_or(0, |(_, i)| *i)
    }

    pub fn steps_of(&self, dim: &Dim) -> Steps {
        Steps::new(dim, self.coordinates.get(&dim.name).map_or(&[], |v| v.as_slice()))
    }

    pub fn strip(&self) -> Option<Steps> {
        self.strip_dim().map(|d| self.steps_of(d))
    }

    pub fn strip_index(&self) -> u64 {
        self.strip_dim().map_or(0, |d| self.index_of(&d.name))
    }

    pub fn camera(&self) -> Camera {
        Camera {
            projection: self.projection,
            longitude_deg: self.view.longitude_deg,
            latitude_deg: self.view.latitude_deg,
            zoom: self.view.zoom,
            width_px: self.size_px.0,
            height_px: self.size_px.1,
        }
    }

    /// Width in degrees of a cell of `level`.
    pub fn cell_deg(&self, level: u32) -> Option<f64> {
        let meta = self.meta()?;
        let lon = self.coordinates.get(&meta.dim(Role::X)?.name);
        let step = match lon.map(|v| v.as_slice()) {
            Some([a, .., b]) => (b - a).abs() / (lon?.len() - 1) as f64,
            _ => return None,
        };
        Some(step * meta.levels.get(level as usize)?.factor_x)
    }

    /// Whether cells are smoothed just now, said or not.
    pub fn is_smooth(&self) -> bool {
        self.smooth.unwrap_or_else(|| {
            let cell_px = self.cell_deg(0).map_or(0.0, |deg| deg / self.camera().degrees_per_px());
            smooth::by_default(cell_px, self.meta().is_some_and(|m| !m.flags.is_empty()))
        })
    }

    /// Units that the variable can be shown in, the stored one first.
    pub fn unit_choices(&self) -> Vec<Shown> {
        let Some(meta) = self.meta() else { return vec![Shown::stored(None)] };
        if !meta.flags.is_empty() {
            return vec![Shown::stored(meta.units.as_deref())];
        }
        units::choices(&Quantity {
            units: meta.units.as_deref(),
            standard_name: meta.standard_name.as_deref(),
            name: &meta.label(),
            units_metadata: meta.attributes.get("units_metadata").and_then(|v| v.as_str()),
        })
    }

    /// The unit that values are shown in: the last chosen that fits, else the stored one.
    pub fn unit(&self) -> Shown {
        let mut choices = self.unit_choices();
        let at = self.units.iter().find_map(|name| choices.iter().position(|c| c.is_called(name)));
        choices.swap_remove(at.unwrap_or(0))
    }

    pub fn choose_unit(&mut self, name: &str) {
        self.units.retain(|u| u != name);
        self.units.insert(0, name.to_owned());
        self.units.truncate(16);
    }

    /// The whole state, for the address bar. `collection` is known to the page only.
    pub fn address(&self, collection: Option<String>, gpu: Option<String>) -> Address {
        let strip = self.strip();
        let default_off = |on: bool| on.then_some(true);
        Address {
            // A dropped file has an address for this page only.
            data: collection.is_none().then(|| self.url.clone()).filter(|u| !u.is_empty() && !is_dropped(u)),
            collection,
            variable: (!self.variable.is_empty()).then(|| self.variable.clone()),
            time: strip.as_ref().and_then(|s| s.iso(self.strip_index())),
            // Of time too: the ISO text decides, the index spares waiting for the axis.
            indices: self.indices.iter().filter(|(_, i)| *i > 0).cloned().collect(),
            view: Some(self.view),
            projection: Some(self.projection),
            colormap: Some(self.style.colormap.clone()),
            reversed: default_off(self.style.reversed),
            clim: Some(self.style.clim),
            scale: (self.style.scale != Scale::Linear).then_some(self.style.scale),
            opacity: (self.style.opacity < 1.0).then_some(self.style.opacity),
            theme: Some(self.theme),
            coastlines: (!self.coastlines).then_some(false),
            graticule: default_off(self.graticule),
            smooth: self.smooth,
            unit: Some(self.unit()).filter(|u| !u.is_stored()).map(|u| u.id),
            chrome: None,
            gpu,
        }
    }
}

/// True for what was dropped on the page, which no link can lead to.
pub fn is_dropped(url: &str) -> bool {
    url.starts_with(DROPPED)
}

/// A readout in words; `None` where there is no data.
pub fn readout_words(state: &State, readout: &Readout) -> (Option<String>, String, String) {
    let unit = state.unit();
    let value = readout.value.map(|v| {
        let flag = state
            .meta()
            .and_then(|m| m.flags.iter().find(|(f, _)| Some(*f) == readout.raw))
            .map(|(_, words)| words.replace('_', " "));
        flag.unwrap_or_else(|| super::numbers::with_unit(unit.from_stored(v), &unit.label))
    });
    let place = format!(
        "{} {}",
        super::numbers::latitude(readout.latitude_deg),
        super::numbers::longitude(readout.longitude_deg)
    );
    let level = match (readout.level, state.cell_deg(readout.level)) {
        (0, Some(deg)) => format!("full resolution, {}", super::numbers::cell_size(deg)),
        (0, None) => "full resolution".to_owned(),
        (n, Some(deg)) => format!("level {n}: {} mean", super::numbers::cell_size(deg)),
        (n, None) => format!("level {n}, mean"),
    };
    (value, place, level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use graticule_shared::zarr::Hierarchy;

    fn cube(dims: &[(&str, u64)], extra: &str) -> Rc<Cube> {
        let names: Vec<String> = dims.iter().map(|(n, _)| format!("{n:?}")).collect();
        let shape: Vec<String> = dims.iter().map(|(_, n)| n.to_string()).collect();
        let array = |names: &str, shape: &str, attributes: &str| {
            format!(
                r#"{{"zarr_format":3,"node_type":"array","shape":[{shape}],"data_type":"float32","fill_value":0,
                "chunk_grid":{{"name":"regular","configuration":{{"chunk_shape":[{shape}]}}}},
                "chunk_key_encoding":{{"name":"default"}},"codecs":[{{"name":"bytes"}}],
                "dimension_names":[{names}],"attributes":{{{attributes}}}}}"#
            )
        };
        let mut nodes =
            vec![format!("\"v\":{}", array(&names.join(","), &shape.join(","), "\"units\":\"degC\""))];
        for (name, len) in dims {
            let attributes = if *name == "time" { extra } else { "" };
            nodes.push(format!("{name:?}:{}", array(&format!("{name:?}"), &len.to_string(), attributes)));
        }
        let text = format!(
            r#"{{"zarr_format":3,"node_type":"group","attributes":{{}},"consolidated_metadata":{{"metadata":{{{}}}}}}}"#,
            nodes.join(",")
        );
        Rc::new(Cube::new(&Hierarchy::from_v3(text.as_bytes()).unwrap()))
    }

    fn opened(dims: &[(&str, u64)], extra: &str) -> State {
        let mut s = State::default();
        s.hear(&Signal::Opened { url: "https://h/z".into(), cube: cube(dims, extra) });
        let indices = dims[..dims.len() - 2].iter().map(|(d, _)| ((*d).to_owned(), 0)).collect();
        s.hear(&Signal::Selected { variable: "v".into(), indices });
        s
    }

    #[test]
    fn the_strip_runs_along_time_else_along_months_never_along_height() {
        let s = opened(
            &[("month", 12), ("time", 3), ("lat", 4), ("lon", 8)],
            "\"units\":\"days since 2000-01-01\"",
        );
        assert_eq!(s.strip_dim().unwrap().name, "time");
        assert_eq!(s.other_dims()[0].name, "month");
        let s = opened(&[("month", 12), ("level", 3), ("lat", 4), ("lon", 8)], "");
        assert_eq!(s.strip_dim().unwrap().name, "month");
        let s = opened(&[("level", 3), ("lat", 4), ("lon", 8)], "");
        assert!(s.strip_dim().is_none());
    }

    #[test]
    fn the_address_names_the_time_and_the_other_indices() {
        let mut s = opened(
            &[("time", 3), ("level", 3), ("lat", 4), ("lon", 8)],
            "\"units\":\"days since 2000-01-01\"",
        );
        s.hear(&Signal::Coordinate { dim: "time".into(), values: vec![0.0, 1.0, 2.0] });
        s.hear(&Signal::Selected {
            variable: "v".into(),
            indices: vec![("time".into(), 2), ("level".into(), 1)],
        });
        let a = s.address(None, None);
        assert_eq!(a.time.as_deref(), Some("2000-01-03T00:00:00"));
        assert_eq!(a.indices, vec![("time".to_owned(), 2), ("level".to_owned(), 1)]);
        assert_eq!(a.data.as_deref(), Some("https://h/z"));
        assert_eq!(s.address(Some("sst".into()), None).data, None);
        s.url = "https://dropped.invalid/1/a.nc".into();
        assert_eq!(s.address(None, None).data, None);
    }

    #[test]
    fn a_readout_says_value_place_and_the_level_it_came_from() {
        let s = opened(&[("lat", 4), ("lon", 8)], "");
        let r = Readout {
            longitude_deg: 359.0,
            latitude_deg: -10.0,
            value: Some(-1.25),
            raw: Some(-1.25),
            level: 2,
            cell_longitude_deg: 359.0,
            cell_latitude_deg: -10.0,
            row: 0,
            column: 0,
        };
        let (value, place, level) = readout_words(&s, &r);
        assert_eq!(value.as_deref(), Some("\u{2212}1.25 °C"));
        assert_eq!(place, "10.00° S 1.00° W");
        assert_eq!(level, "level 2, mean");
        assert_eq!(readout_words(&s, &Readout { value: None, ..r.clone() }).0, None);
        let mut s = s;
        s.choose_unit("degF");
        assert_eq!(readout_words(&s, &r).0.as_deref(), Some("29.75 °F"));
        assert_eq!(s.address(None, None).unit.as_deref(), Some("degF"));
        // One that does not fit is remembered and does no harm.
        s.choose_unit("hPa");
        assert_eq!(s.unit().id, "degF");
        s.choose_unit("degC");
        assert!(s.unit().is_stored() && s.address(None, None).unit.is_none());
    }
}
