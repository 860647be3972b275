//! Workers that decode.
//!
//! The module is compiled once and handed to each worker. A worker holds two
//! jobs: while it works on one, the next is already there.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use futures_channel::oneshot;
use js_sys::{Array, ArrayBuffer, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageEvent, Worker};

use crate::chunks::source::Source;

const JOBS_EACH: usize = 2;

type Reply = Result<Uint8Array, String>;

struct Job {
    source: Rc<Source>,
    bytes: ArrayBuffer,
    reply: oneshot::Sender<Reply>,
}

struct Hand {
    worker: Worker,
    busy: usize,
    knows: HashSet<u32>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

struct Inner {
    hands: Vec<Hand>,
    queue: VecDeque<Job>,
    running: HashMap<u32, (usize, oneshot::Sender<Reply>)>,
    next_job: u32,
    broken: Option<String>,
}

#[derive(Clone)]
pub struct Pool(Rc<RefCell<Inner>>);

fn set(object: &Object, key: &str, value: &JsValue) {
    let _ = Reflect::set(object, &key.into(), value);
}

impl Pool {
    /// `hire` gives the workers, which may not have started yet; `module` rejects
    /// where the decoder does not load.
    pub fn new(hire: &Function, module: Promise) -> Self {
        let pool = Self(Rc::new(RefCell::new(Inner {
            hands: Vec::new(),
            queue: VecDeque::new(),
            running: HashMap::new(),
            next_job: 0,
            broken: None,
        })));
        match hire.call0(&JsValue::UNDEFINED) {
            Ok(workers) => Array::from(&workers).iter().for_each(|w| pool.take_on(w.unchecked_into())),
            Err(e) => pool.fail(format!("the browser starts no worker: {}", words(&e))),
        }
        let waiting = pool.clone();
        wasm_bindgen_futures::spawn_local(async move {
            if let Err(e) = JsFuture::from(module).await {
                waiting.fail(format!("the decoder did not load: {}", words(&e)));
            }
        });
        pool
    }

    fn take_on(&self, worker: Worker) {
        let n = self.0.borrow().hands.len();
        // Not owned: the pool owns the workers.
        let pool = Rc::downgrade(&self.0);
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |e: MessageEvent| {
            if let Some(inner) = pool.upgrade() {
                Pool(inner).heard(n, &e.data());
            }
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        let hand = Hand { worker, busy: 0, knows: HashSet::new(), _on_message: on_message };
        self.0.borrow_mut().hands.push(hand);
    }

    fn fail(&self, why: String) {
        let (queue, running) = {
            let mut inner = self.0.borrow_mut();
            inner.broken = Some(why.clone());
            (std::mem::take(&mut inner.queue), std::mem::take(&mut inner.running))
        };
        for reply in queue.into_iter().map(|j| j.reply).chain(running.into_values().map(|(_, r)| r)) {
            let _ = reply.send(Err(why.clone()));
        }
    }

    fn heard(&self, hand: usize, data: &JsValue) {
        let get = |key: &str| Reflect::get(data, &key.into()).unwrap_or(JsValue::UNDEFINED);
        if let Some(why) = get("broken").as_string() {
            self.fail(format!("the decoder did not start: {why}"));
            return;
        }
        let Some(job) = get("job").as_f64() else { return };
        let reply = {
            let mut inner = self.0.borrow_mut();
            if let Some(h) = inner.hands.get_mut(hand) {
                h.busy = h.busy.saturating_sub(1);
            }
            inner.running.remove(&(job as u32))
        };
        if let Some((_, reply)) = reply {
            let result = match get("error").as_string() {
                Some(error) => Err(error),
                None => Ok(Uint8Array::new(&get("bytes"))),
            };
            let _ = reply.send(result);
        }
        self.assign();
    }

    fn assign(&self) {
        let mut inner = self.0.borrow_mut();
        let inner = &mut *inner;
        loop {
            let free = (0..inner.hands.len()).filter(|i| inner.hands[*i].busy < JOBS_EACH);
            let Some(at) = free.min_by_key(|i| inner.hands[*i].busy) else { return };
            let Some(job) = inner.queue.pop_front() else { return };
            // Nobody waits for it any more.
            if job.reply.is_canceled() {
                continue;
            }
            inner.next_job = inner.next_job.wrapping_add(1);
            let number = inner.next_job;
            let hand = &mut inner.hands[at];
            let array = JsValue::from(job.source.id);
            if hand.knows.insert(job.source.id) {
                let about = Object::new();
                set(&about, "array", &array);
                set(&about, "chain", &job.source.chain.to_text().into());
                let _ = hand.worker.post_message(&about);
            }
            let message = Object::new();
            set(&message, "job", &number.into());
            set(&message, "array", &array);
            set(&message, "bytes", &job.bytes);
            let transfer = Array::of1(&job.bytes);
            match hand.worker.post_message_with_transfer(&message, &transfer) {
                Ok(()) => {
                    hand.busy += 1;
                    inner.running.insert(number, (at, job.reply));
                }
                Err(e) => drop(job.reply.send(Err(words(&e)))),
            }
        }
    }

    /// Decodes one stored block.
    ///
    /// # Errors
    /// In words, from the decoder or about it.
    pub async fn decode(&self, source: Rc<Source>, bytes: ArrayBuffer) -> Reply {
        if source.is_plain() {
            let expected = source.chain.decoded_len().unwrap_or(0);
            let plain = Uint8Array::new(&bytes);
            if plain.length() as usize != expected {
                return Err(format!(
                    "the chunk has {} bytes, its shape and type need {expected}",
                    plain.length()
                ));
            }
            return Ok(plain);
        }
        let (reply, answer) = oneshot::channel();
        {
            let mut inner = self.0.borrow_mut();
            if let Some(why) = &inner.broken {
                return Err(why.clone());
            }
            inner.queue.push_back(Job { source, bytes, reply });
        }
        self.assign();
        answer.await.unwrap_or_else(|_| Err("the decoder went away".to_owned()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.hands.iter().for_each(|h| h.worker.terminate());
    }
}

pub fn words(e: &JsValue) -> String {
    Reflect::get(e, &"message".into())
        .ok()
        .and_then(|m| m.as_string())
        .or_else(|| e.as_string())
        .unwrap_or_else(|| format!("{e:?}"))
}
