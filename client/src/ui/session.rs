//! One map and whoever watches it.
//!
//! Commands go to the engine; its signals are remembered in [`State`] and passed
//! on. The engine lends nothing while it speaks, and nor does this: a listener
//! may read the state and give commands at once.

use std::cell::{Ref, RefCell};
use std::rc::Rc;

use futures_channel::oneshot;
use web_sys::HtmlCanvasElement;

use super::state::State;
use crate::engine::Engine;
use crate::engine::EngineError;
use crate::engine::api::{Command, Readout, Signal};

type Listener = Rc<dyn Fn(&Signal)>;

/// A place that someone waits to hear of.
struct Probe {
    longitude_deg: f64,
    latitude_deg: f64,
    reply: oneshot::Sender<Option<Readout>>,
}

pub struct Session {
    engine: RefCell<Option<Rc<Engine>>>,
    state: RefCell<State>,
    listeners: RefCell<Vec<Listener>>,
    probes: RefCell<Vec<Probe>>,
}

impl Session {
    /// Starts drawing on `canvas`; commands may be given at once.
    ///
    /// # Errors
    /// The decoder's addresses are unknown: the page did not come through the loader script.
    pub fn start(canvas: HtmlCanvasElement) -> Result<Rc<Self>, EngineError> {
        let session = Rc::new(Self {
            engine: RefCell::new(None),
            state: RefCell::new(State::default()),
            listeners: RefCell::default(),
            probes: RefCell::default(),
        });
        let hear = Rc::downgrade(&session);
        let engine = Engine::new(canvas, move |signal| {
            if let Some(session) = hear.upgrade() {
                session.hear(&signal);
            }
        })?;
        session.engine.replace(Some(engine));
        Ok(session)
    }

    pub fn engine(&self) -> Option<Rc<Engine>> {
        self.engine.borrow().clone()
    }

    pub fn send(&self, command: Command) {
        self.state.borrow_mut().say(&command);
        if let Some(engine) = self.engine() {
            engine.send(command);
        }
    }

    /// Shows values in the unit of this name, where it fits.
    pub fn choose_unit(&self, name: &str) {
        self.state.borrow_mut().choose_unit(name);
    }

    pub fn state(&self) -> Ref<'_, State> {
        self.state.borrow()
    }

    pub fn listen(&self, listener: impl Fn(&Signal) + 'static) {
        self.listeners.borrow_mut().push(Rc::new(listener));
    }

    pub fn is_idle(&self) -> bool {
        self.engine().is_some_and(|e| e.is_idle())
    }

    /// The stored value at a place of what is shown; `None` outside it, or where it is gone meanwhile.
    pub async fn probe(&self, longitude_deg: f64, latitude_deg: f64) -> Option<Readout> {
        let (reply, answer) = oneshot::channel();
        self.probes.borrow_mut().push(Probe { longitude_deg, latitude_deg, reply });
        self.send(Command::Probe { longitude_deg, latitude_deg });
        answer.await.ok().flatten()
    }

    /// Answers those who wait for this place; nothing there answers the first who waits.
    fn answer(&self, readout: &Option<Readout>) {
        let mut probes = self.probes.borrow_mut();
        let here = |p: &Probe| match readout {
            Some(r) => r.longitude_deg == p.longitude_deg && r.latitude_deg == p.latitude_deg,
            None => true,
        };
        if let Some(at) = probes.iter().position(here) {
            let probe = probes.swap_remove(at);
            let _ = probe.reply.send(readout.clone());
        }
    }

    /// Ends the engine: its GPU resources and requests go with it.
    pub fn stop(&self) {
        self.listeners.borrow_mut().clear();
        self.engine.replace(None);
    }

    fn hear(&self, signal: &Signal) {
        self.state.borrow_mut().hear(signal);
        if let Signal::Readout(readout) = signal {
            self.answer(readout);
        }
        let listeners = self.listeners.borrow().clone();
        for listener in listeners {
            listener(signal);
        }
    }
}
