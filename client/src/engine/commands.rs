//! What each command changes.

use graticule_shared::raster::Projection;

use crate::engine::api::{Command, Signal};
use crate::engine::run::Engine;
use crate::engine::state::State;
use crate::view::camera;

use std::rc::Rc;

impl Engine {
    pub(super) fn apply(self: &Rc<Self>, command: Command) {
        match command {
            Command::Open { url } => self.open(url, false),
            Command::Refresh => {
                let url = self.state.borrow().store.as_ref().map(|s| s.url.clone());
                if let Some(url) = url {
                    self.open(url, true);
                }
            }
            Command::SetVariable(path) => self.set_variable(path),
            Command::Probe { longitude_deg, latitude_deg } => self.probe(longitude_deg, latitude_deg),
            Command::AutoClim => self.auto_clim(),
            other => {
                let mut s = self.state.borrow_mut();
                let at_once = matches!(other, Command::SetIndex { .. } | Command::Prefetch(_));
                s.apply(other);
                // Another step: its requests do not wait for the next frame, unless
                // steps come faster than they can be answered.
                if at_once && s.plan_dirty && self.loader.is_idle() {
                    self.replan(&mut s);
                }
            }
        }
    }
}

impl State {
    fn apply(&mut self, command: Command) {
        match command {
            Command::SetIndex { dim, index } => {
                let len =
                    self.layer.as_ref().and_then(|l| l.outer().iter().find(|d| d.name == dim)).map(|d| d.len);
                let index = len.map_or(index, |n| index.min(n.saturating_sub(1)));
                if self.indices.insert(dim, index) != Some(index) {
                    self.plan_dirty = true;
                    self.readout = None;
                    self.sharpened = None;
                    self.stats_due = true;
                    self.say_selected();
                }
            }
            Command::SetColormap(name) => {
                if graticule_shared::colormap::lut(&name).is_some() {
                    self.style.colormap = name;
                    self.style.colormap_set = true;
                    self.recoloured();
                }
            }
            Command::SetReversed(reversed) => {
                self.style.reversed = reversed;
                self.recoloured();
            }
            Command::SetClim(low, high) => {
                if low.is_finite() && high.is_finite() && low != high {
                    self.style.clim = Some((low, high));
                    self.clim_open = false;
                    self.clim_forgotten = false;
                    self.restyled();
                }
            }
            Command::SetScale(scale) => {
                self.style.scale = scale;
                self.restyled();
            }
            Command::SetOpacity(opacity) => {
                self.style.opacity = if opacity.is_finite() { opacity.clamp(0.0, 1.0) } else { 1.0 };
                self.restyled();
            }
            Command::SetSmooth(smooth) => {
                self.style.smooth = Some(smooth);
                self.draw_dirty = true;
            }
            Command::SetTheme(theme) => {
                self.style.theme = theme;
                self.draw_dirty = true;
            }
            Command::SetGraticule(on) => {
                self.style.graticule = on;
                self.draw_dirty = true;
            }
            Command::SetCoastlines(on) => {
                self.style.coastlines = on;
                self.draw_dirty = true;
            }
            Command::SetProjection(projection) => self.set_projection(projection),
            Command::SetView(view) => {
                self.view_set = true;
                self.camera.longitude_deg = view.longitude_deg;
                self.camera.latitude_deg = view.latitude_deg;
                self.camera.zoom = view.zoom;
                // Before the first size nothing is known of the limits.
                if self.camera.width_px > 1.0 {
                    camera::limit(&mut self.camera);
                    self.say_view();
                }
                self.moved();
            }
            Command::Pan { dx, dy } => {
                self.view_set = true;
                camera::pan(&mut self.camera, dx, dy, self.pointer);
                self.moved();
                self.say_view();
            }
            Command::Zoom { delta, x, y } => {
                self.view_set = true;
                camera::zoom(&mut self.camera, delta, x, y);
                self.moved();
                self.say_view();
            }
            Command::Resize { width, height, ratio } => self.resize(width, height, ratio),
            Command::Pointer(at) => {
                self.pointer = at;
                self.readout = None;
            }
            Command::Prefetch(indices) => {
                self.prefetch = indices;
                self.plan_dirty = true;
            }
            Command::Open { .. }
            | Command::Refresh
            | Command::SetVariable(_)
            | Command::Probe { .. }
            | Command::AutoClim => {}
        }
    }

    fn recoloured(&mut self) {
        self.colours_dirty = true;
        self.restyled();
    }

    pub fn restyled(&mut self) {
        self.draw_dirty = true;
        self.say_style();
    }

    fn set_projection(&mut self, projection: Projection) {
        if self.camera.projection == projection {
            return;
        }
        self.camera.projection = projection;
        let whole = camera::whole_earth_zoom(projection, self.camera.width_px, self.camera.height_px);
        // A globe that would be a dot is shown whole.
        if projection == Projection::Globe && self.camera.zoom < whole {
            self.camera.zoom = whole;
        }
        camera::limit(&mut self.camera);
        self.moved();
        self.say_view();
    }

    fn resize(&mut self, width: f64, height: f64, ratio: f64) {
        if !(width >= 1.0 && height >= 1.0 && ratio > 0.0 && width < 32768.0 && height < 32768.0) {
            return;
        }
        let first = self.camera.width_px <= 1.0;
        self.camera.width_px = width;
        self.camera.height_px = height;
        self.ratio = ratio;
        if first && !self.view_set {
            self.camera.zoom = camera::whole_earth_zoom(self.camera.projection, width, height);
        }
        camera::limit(&mut self.camera);
        if let (Some(gpu), Some(scene)) = (&self.gpu, &mut self.scene) {
            scene.resize(gpu, [(width * ratio).round() as u32, (height * ratio).round() as u32]);
        }
        self.moved();
        self.outbox.retain(|s| !matches!(s, Signal::ViewChanged { .. }));
        self.say_view();
    }
}
