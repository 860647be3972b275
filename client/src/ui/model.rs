//! What the controls watch: the engine's state in reactive pieces, and the
//! interface's own.

use std::rc::Rc;
use std::sync::Arc;

use graticule_shared::units::Shown;
use leptos::prelude::*;

use super::session::Session;
use super::state::{State, Style};
use super::times::Steps;
use super::turns;
use crate::engine::api::{Command, Projection, Readout, Signal, StepState, Theme, Trouble};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sheet {
    Catalog,
    Details,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Toast {
    pub words: String,
    pub serial: u32,
}

/// Counts per bin, and what the bins span.
pub type Histogram = (Vec<u32>, (f64, f64));

/// The variable, and the index along each dimension that is not space.
pub type Selected = (String, Vec<(String, u64)>);

/// A collection of the server's, as the catalog lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    pub id: String,
    pub title: String,
    pub description: String,
    /// Address of a small picture.
    pub thumbnail: Option<String>,
    /// It has more than one step of time.
    pub moves: bool,
    /// It is a table, which is not drawn: the address of its rows as CSV.
    pub table: Option<String>,
}

#[derive(Clone, Copy)]
pub struct Model {
    session: StoredValue<Rc<Session>, LocalStorage>,
    /// Raised when what there is to choose from has changed: store, variable, coordinates.
    pub shape: RwSignal<u32>,
    pub selected: RwSignal<Selected>,
    pub strip: RwSignal<Option<Arc<Steps>>>,
    pub index: RwSignal<u64>,
    pub frame: RwSignal<Option<(u64, bool)>>,
    pub steps: RwSignal<Arc<Vec<StepState>>>,
    pub progress: RwSignal<(u32, u32, u64)>,
    pub style: RwSignal<Style>,
    pub projection: RwSignal<Projection>,
    /// Raised when the camera moved.
    pub moved: RwSignal<u32>,
    pub histogram: RwSignal<Option<Histogram>>,
    pub readout: RwSignal<Option<Readout>>,
    pub trouble: RwSignal<Option<Trouble>>,
    pub theme: RwSignal<Theme>,
    pub coastlines: RwSignal<bool>,
    pub graticule: RwSignal<bool>,
    /// As it was said; `None`: as the size of the cells asks for.
    pub smooth: RwSignal<Option<bool>>,
    /// What values are shown in.
    pub unit: RwSignal<Shown>,

    // The interface's own.
    pub bare: bool,
    pub chrome: RwSignal<bool>,
    pub sheet: RwSignal<Option<Sheet>>,
    pub help: RwSignal<bool>,
    pub layers: RwSignal<bool>,
    pub editor: RwSignal<bool>,
    pub toast: RwSignal<Option<Toast>>,
    pub playing: RwSignal<bool>,
    /// Steps per second.
    pub speed: RwSignal<f64>,
    /// Raised with every move of a scrub; a late sharpening looks whether it is still meant.
    pub scrubbed: RwSignal<u32>,
    /// First and last step of the loop.
    pub looped: RwSignal<(u64, u64)>,
    /// Where the pointer is, CSS pixels.
    pub pointer: RwSignal<Option<(f64, f64)>>,
    /// The data cursor, longitude and latitude.
    pub cursor: RwSignal<Option<(f64, f64)>>,
    pub collection: RwSignal<Option<String>>,
    /// The backend that the address asked for.
    pub gpu: StoredValue<Option<String>>,
    /// `None` until the server answered, or where there is none.
    pub catalog: RwSignal<Option<Vec<Collection>>>,
}

impl Model {
    pub fn new(session: &Rc<Session>, bare: bool) -> Self {
        let state = State::default();
        let model = Self {
            session: StoredValue::new_local(session.clone()),
            shape: RwSignal::new(0),
            selected: RwSignal::new(<_>::default()),
            strip: RwSignal::new(None),
            index: RwSignal::new(0),
            frame: RwSignal::new(None),
            steps: RwSignal::new(Arc::default()),
            progress: RwSignal::new((0, 0, 0)),
            style: RwSignal::new(state.style),
            projection: RwSignal::new(state.projection),
            moved: RwSignal::new(0),
            histogram: RwSignal::new(None),
            readout: RwSignal::new(None),
            trouble: RwSignal::new(None),
            theme: RwSignal::new(state.theme),
            coastlines: RwSignal::new(state.coastlines),
            graticule: RwSignal::new(state.graticule),
            smooth: RwSignal::new(state.smooth),
            unit: RwSignal::new(Shown::stored(None)),
            bare,
            chrome: RwSignal::new(true),
            sheet: RwSignal::new(None),
            help: RwSignal::new(false),
            layers: RwSignal::new(false),
            editor: RwSignal::new(false),
            toast: RwSignal::new(None),
            playing: RwSignal::new(false),
            speed: RwSignal::new(4.0),
            scrubbed: RwSignal::new(0),
            looped: RwSignal::new((0, 0)),
            pointer: RwSignal::new(None),
            cursor: RwSignal::new(None),
            collection: RwSignal::new(None),
            gpu: StoredValue::new(None),
            catalog: RwSignal::new(None),
        };
        session.listen(move |signal| model.hear(signal));
        model
    }

    pub fn session(&self) -> Rc<Session> {
        self.session.get_value()
    }

    /// Reads the plain state.
    pub fn state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        self.session.with_value(|s| read(&s.state()))
    }

    pub fn send(&self, command: Command) {
        match &command {
            Command::SetTheme(t) => set(self.theme, *t),
            Command::SetCoastlines(on) => set(self.coastlines, *on),
            Command::SetGraticule(on) => set(self.graticule, *on),
            Command::SetSmooth(on) => set(self.smooth, Some(*on)),
            Command::Pointer(at) => set(self.pointer, *at),
            _ => {}
        }
        self.session.with_value(|s| s.send(command));
    }

    /// Shows values in the unit of this name, where it fits.
    pub fn choose_unit(&self, name: &str) {
        self.session.with_value(|s| s.choose_unit(name));
        set(self.unit, self.state(State::unit));
    }

    /// The next of the units that fit, or the one before.
    pub fn turn_unit(&self, back: bool) {
        let next = self.state(|s| {
            let choices = s.unit_choices();
            let at = choices.iter().position(|c| *c == s.unit()).unwrap_or(0);
            let by = if back { choices.len() - 1 } else { 1 };
            choices.get((at + by) % choices.len()).map(|c| c.id.clone())
        });
        if let Some(name) = next {
            self.choose_unit(&name);
        }
    }

    /// Shows step `index` of the strip.
    pub fn go(&self, index: u64) {
        let dim = self.strip.with_untracked(|s| s.as_ref().map(|s| s.dim.clone()));
        if let Some(dim) = dim {
            self.send(Command::SetIndex { dim, index });
        }
    }

    pub fn step_by(&self, by: i64) {
        let len = self.strip.with_untracked(|s| s.as_ref().map_or(0, |s| s.len)) as i64;
        if len > 0 {
            let index = self.index.get_untracked() as i64 + by;
            self.go(index.rem_euclid(len) as u64);
        }
    }

    pub fn say(&self, words: impl Into<String>) {
        let words = words.into();
        self.toast.update(|t| *t = Some(Toast { words, serial: t.as_ref().map_or(0, |t| t.serial + 1) }));
    }

    fn hear(&self, signal: &Signal) {
        let session = self.session();
        let state = &*session.state();
        match signal {
            Signal::Ready { .. } => {}
            Signal::Opened { .. } => {
                turns::end();
                set(self.trouble, None);
                self.reshape(state);
            }
            Signal::Coordinate { .. } => self.reshape(state),
            Signal::Selected { .. } => {
                let changed = self.selected.with_untracked(|(v, _)| *v != state.variable);
                set(self.selected, (state.variable.clone(), state.indices.clone()));
                set(self.index, state.strip_index());
                if changed {
                    self.reshape(state);
                }
            }
            Signal::Frame { .. } => set(self.frame, state.frame),
            Signal::Progress { .. } => set(self.progress, state.progress),
            Signal::Steps(steps) => set(self.steps, Arc::new(steps.clone())),
            Signal::Style { .. } => set(self.style, state.style.clone()),
            Signal::ViewChanged { .. } => {
                set(self.projection, state.projection);
                self.moved.update(|n| *n = n.wrapping_add(1));
            }
            Signal::Histogram { .. } => set(self.histogram, state.histogram.clone()),
            Signal::Readout(_) => set(self.readout, state.readout.clone()),
            Signal::Trouble(_) => set(self.trouble, state.trouble.clone()),
        }
    }

    fn reshape(&self, state: &State) {
        let strip = state.strip().map(Arc::new);
        let old_len = self.strip.with_untracked(|s| s.as_ref().map_or(0, |s| s.len));
        let len = strip.as_ref().map_or(0, |s| s.len);
        set(self.strip, strip);
        set(self.index, state.strip_index());
        set(self.unit, state.unit());
        let (_, end) = self.looped.get_untracked();
        // A loop over everything keeps covering everything when steps are added.
        if len != old_len && (end + 1 >= old_len || end >= len) {
            set(self.looped, (0, len.saturating_sub(1)));
        }
        self.shape.update(|n| *n = n.wrapping_add(1));
    }
}

/// Wakes the watchers only where something has changed.
pub fn set<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}
