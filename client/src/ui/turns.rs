//! The interface's work in short turns.
//!
//! When a store opens, dozens of watchers wake at once, and one microtask would
//! run them all while the page answers nobody. Here they run in their order, and
//! what does not fit into a turn waits for the next. What answers a hand runs at
//! once, as ever.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use any_spawner::{CustomExecutor, Executor, PinnedFuture, PinnedLocalFuture};
use leptos::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::breath::breathe;
use crate::engine::now_ms;

/// A watcher begins in a turn only within this; a long task is one of 50 ms.
const TURN_MS: f64 = 6.0;
/// Without work for so long, the browser has had its chance.
const PAUSE_MS: f64 = 4.0;

thread_local! {
    static BEGUN: Cell<f64> = const { Cell::new(0.0) };
    static LAST: Cell<f64> = const { Cell::new(0.0) };
    static OVER: Cell<bool> = const { Cell::new(false) };
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Makes the interface's watchers run in turns. Before the first of them.
pub fn begin() {
    // A second map on the page finds it done.
    let _ = Executor::init_custom_executor(Turns);
}

/// The task that runs has enough to do: watchers begin in the next.
pub fn end() {
    OVER.set(true);
}

/// Shows `view` from the next turn on: the second half of what is too long for one.
pub fn later<N: IntoView + 'static>(
    view: impl Fn() -> N + Send + 'static,
) -> impl Fn() -> Option<N> + Send + 'static {
    let due = RwSignal::new(false);
    spawn_local(async move {
        breathe().await;
        let _ = due.try_set(true);
    });
    move || due.get().then(&view)
}

struct Turns;

impl CustomExecutor for Turns {
    fn spawn(&self, future: PinnedFuture<()>) {
        spawn_local(InTurn(future));
    }

    fn spawn_local(&self, future: PinnedLocalFuture<()>) {
        spawn_local(InTurn(future));
    }

    fn poll_local(&self) {}
}

struct InTurn<F>(F);

impl<F: Future<Output = ()> + Unpin> Future for InTurn<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if is_over() {
            wait(context.waker().clone());
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.0).poll(context);
        LAST.set(now_ms());
        polled
    }
}

fn is_over() -> bool {
    let now = now_ms();
    if OVER.get() || WAITING.with_borrow(|w| !w.is_empty()) {
        return true;
    }
    if now - LAST.get() > PAUSE_MS {
        BEGUN.set(now);
    }
    now - BEGUN.get() > TURN_MS
}

fn wait(waker: Waker) {
    let first = WAITING.with_borrow_mut(|w| {
        w.push(waker);
        w.len() == 1
    });
    if first {
        spawn_local(async {
            breathe().await;
            let now = now_ms();
            BEGUN.set(now);
            LAST.set(now);
            OVER.set(false);
            // In the order in which they would have run.
            WAITING.take().into_iter().for_each(Waker::wake);
        });
    }
}
