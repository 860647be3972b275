//! Pictures of a variable: tiles, whole maps and legends, drawn as the browser draws.
//!
//! A client without a GPU, or one that only knows pictures (QGIS, a report, an `<img>`),
//! must see the colours that the viewer shows. So each step asks the rule that the browser
//! asks: `shared::level` says which resolution, [`graticule_shared::axis::Axis`] or a
//! [`graticule_shared::grid::Locator`] which cell lies under the middle of a pixel,
//! `Packing::value` which number it holds, `shared::range` and `colormap` which colour that is.
//!
//! The way of a picture: a request's words → variable, indices and style ([`select`], [`style`])
//! → the cell of each pixel ([`sheet`]) → the blocks that hold those cells ([`blocks`]), weighed
//! before any is read ([`weigh`]) → a state
//! for each pixel ([`paint`]) → bytes ([`encode`]). A version never changes, so what each step
//! made is kept by its version and asked for again, within fixed bounds.

mod blocks;
pub mod encode;
mod info;
pub mod legend;
pub mod paint;
mod range;
pub mod select;
mod sheet;
pub mod style;
mod weigh;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use graticule_shared::cube::Variable;
use graticule_shared::frame::Frame;
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::edr::Region;
use crate::opened::Opened;
use crate::problem::{Answer, Kind, Problem};
use crate::store::hex;

use blocks::Wanted;
pub use blocks::{MAX_BYTES, step_bytes};
pub use encode::Format;
pub use info::{Reading, reading};
use select::Choice;
pub use sheet::coarsest;
use style::Style;
pub use weigh::Weighed;

/// Pixels along a side of a picture.
pub const MAX_SIDE_PX: u32 = 4096;
/// Pixels of a picture.
pub const MAX_PIXELS: u64 = 1 << 23;
/// Decoded blocks kept, in bytes of all collections together.
const KEPT_BLOCK_BYTES: u64 = 32 << 20;
/// Cells of pixels kept.
const KEPT_SHEET_BYTES: u64 = 24 << 20;
/// Finished pictures kept.
const KEPT_PICTURE_BYTES: u64 = 16 << 20;
/// Ranges kept, sixteen bytes and a name each.
const KEPT_RANGES: usize = 4096;
/// Pictures being drawn at once: each may hold [`MAX_BYTES`].
const AT_ONCE: usize = 4;
/// Pictures whose cells are being searched for at once: what is found by tables does not wait for them.
const SEARCHES_AT_ONCE: usize = 2;
/// Without a request for so long, what is kept is given back.
const IDLE: Duration = Duration::from_secs(60);

/// What would be right where a picture needs too many blocks.
pub const SMALLER: &str = "ask for a smaller part, or ingest it with a pyramid";

/// What is asked for, still in words where words were given.
#[derive(Debug, Clone)]
pub struct Request {
    /// The one to begin with when absent.
    pub variable: Option<String>,
    pub choice: Choice,
    pub frame: Frame,
    pub style: style::Asked,
    pub format: Format,
    /// Colour of what has no data; transparent when absent.
    pub ground: Option<[u8; 3]>,
    /// What lies beside it has no data: places on longitude and latitude.
    pub only: Option<Region>,
}

#[derive(Clone)]
struct ByBytes;

impl<V: Heavy> Weighter<String, Arc<V>> for ByBytes {
    fn weight(&self, key: &String, value: &Arc<V>) -> u64 {
        (key.len() + value.bytes()) as u64 + 64
    }
}

/// What takes memory.
trait Heavy {
    fn bytes(&self) -> usize;
}

impl Heavy for Vec<u8> {
    fn bytes(&self) -> usize {
        self.len()
    }
}

type Kept<V> = Cache<String, Arc<V>, ByBytes>;

fn kept<V: Heavy>(bytes: u64, items: usize) -> Kept<V> {
    // One shard: what is weighed against the whole bound may be large.
    let options =
        OptionsBuilder::new().shards(1).estimated_items_capacity(items).weight_capacity(bytes).build();
    match options {
        Ok(options) => Cache::with_options(
            options,
            ByBytes,
            Default::default(),
            quick_cache::sync::DefaultLifecycle::default(),
        ),
        Err(_) => Cache::with_weighter(items, bytes, ByBytes),
    }
}

/// What has been made, and may be asked for again.
pub struct Pictures {
    blocks: Kept<Vec<u8>>,
    sheets: Kept<sheet::Sheet>,
    made: Kept<Vec<u8>>,
    ranges: Cache<String, (f64, f64)>,
    drawing: Semaphore,
    searching: Arc<Semaphore>,
    started: Instant,
    last_used_secs: AtomicU64,
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            blocks: kept(KEPT_BLOCK_BYTES, 256),
            sheets: kept(KEPT_SHEET_BYTES, 512),
            made: kept(KEPT_PICTURE_BYTES, 1024),
            ranges: Cache::new(KEPT_RANGES),
            drawing: Semaphore::new(AT_ONCE),
            searching: Arc::new(Semaphore::new(SEARCHES_AT_ONCE)),
            started: Instant::now(),
            last_used_secs: AtomicU64::new(0),
        }
    }
}

impl Pictures {
    /// The bytes of a picture.
    ///
    /// # Errors
    /// A variable, a step or a colour scale that there is not, more pixels or more data than one
    /// picture may take, a block that does not read.
    pub async fn draw(&self, opened: &Arc<Opened>, request: &Request) -> Answer<Arc<Vec<u8>>> {
        self.drawn(opened, request).await?.map_err(|much| much.refusal(SMALLER))
    }

    /// The bytes of a picture; of one that is too much what it would read.
    ///
    /// # Errors
    /// Those of [`Pictures::draw`] but for too much data.
    pub async fn drawn<'a>(
        &self,
        opened: &'a Arc<Opened>,
        request: &'a Request,
    ) -> Answer<Result<Arc<Vec<u8>>, Box<Weighed<'a>>>> {
        self.last_used_secs.store(self.started.elapsed().as_secs(), Ordering::Relaxed);
        check_size(&request.frame)?;
        let variable = select::variable(opened, request.variable.as_deref())?;
        let indices = select::indices(opened, variable, &request.choice).await?;
        let style = self.style(opened, variable, &request.style).await?;
        let key = format!(
            "{} {indices:?} {} {:?} {:?} {} {}",
            whose(opened, variable),
            style.key(),
            request.format,
            request.ground,
            frame_key(&request.frame),
            request.only.as_ref().map_or_else(String::new, |r| hex(&Sha256::digest(format!("{r:?}"))))
        );
        if let Some(made) = self.made.get(&key) {
            return Ok(Ok(made));
        }
        let weighed = self.weighed(opened, request, variable, &indices).await?;
        if weighed.is_too_much() {
            return Ok(Err(Box::new(weighed)));
        }
        let _turn = self.drawing.acquire().await.map_err(Problem::internal)?;
        let plane = self.plane(opened, &weighed.wanted).await?;
        let sheet = weighed.sheet;
        let (format, ground) = (request.format, request.ground);
        let size = [request.frame.width, request.frame.height];
        let packing = variable.packing.clone();
        let only = request.only.clone().map(|region| (region, request.frame.clone()));
        let made = tokio::task::spawn_blocking(move || {
            let mut states = paint::states(&sheet, &plane, &packing, &style, size);
            if let Some((region, frame)) = &only {
                paint::leave_out(&mut states, region, frame);
            }
            encode::picture(&states, size, &style, ground, format)
        });
        let made = Arc::new(made.await.map_err(Problem::internal)?.map_err(Problem::internal)?);
        self.made.insert(key, Arc::clone(&made));
        Ok(Ok(made))
    }

    /// What a picture would read.
    ///
    /// # Errors
    /// Those of [`Pictures::draw`] that are found without reading a block.
    pub async fn weigh<'a>(&self, opened: &'a Arc<Opened>, request: &'a Request) -> Answer<Weighed<'a>> {
        self.last_used_secs.store(self.started.elapsed().as_secs(), Ordering::Relaxed);
        check_size(&request.frame)?;
        if let Some(name) = &request.style.colormap {
            style::lut(name)?;
        }
        let variable = select::variable(opened, request.variable.as_deref())?;
        let indices = select::indices(opened, variable, &request.choice).await?;
        self.weighed(opened, request, variable, &indices).await
    }

    async fn weighed<'a>(
        &self,
        opened: &'a Arc<Opened>,
        request: &'a Request,
        variable: &'a Variable,
        indices: &[u64],
    ) -> Answer<Weighed<'a>> {
        let sheet = self.sheet(opened, variable, &request.frame).await?;
        let wanted = Wanted::new(opened, variable, &sheet, &request.frame, indices)?;
        Ok(Weighed { opened, request, variable, sheet, wanted })
    }

    /// A variable's colours, those left open as the browser's first view has them.
    ///
    /// # Errors
    /// An unknown colour scale, ends that its scale cannot have, data that do not read.
    pub async fn style(
        &self,
        opened: &Arc<Opened>,
        variable: &Variable,
        asked: &style::Asked,
    ) -> Answer<Style> {
        let name = asked.colormap.clone().unwrap_or_else(|| style::default_colormap(variable).to_owned());
        let lut = style::lut(&name)?;
        let (low, high) = match asked.clim {
            Some(ends) => ends,
            None => {
                let key = format!("{} {name}", whose(opened, variable));
                match self.ranges.get(&key) {
                    Some(ends) => ends,
                    None => {
                        let ends = range::first(opened, variable, &name).await?;
                        self.ranges.insert(key, ends);
                        ends
                    }
                }
            }
        };
        Style::new(name, lut, (low, high), asked)
    }

    async fn sheet(
        &self,
        opened: &Arc<Opened>,
        variable: &Variable,
        frame: &Frame,
    ) -> Answer<Arc<sheet::Sheet>> {
        let key = format!("{} {}", whose(opened, variable), frame_key(frame));
        if let Some(known) = self.sheets.get(&key) {
            return Ok(known);
        }
        let turn = if sheet::is_searched(variable, frame) {
            Some(self.searching.clone().acquire_owned().await.map_err(Problem::internal)?)
        } else {
            None
        };
        // Somebody else may have been before.
        if let Some(known) = self.sheets.get(&key) {
            return Ok(known);
        }
        let made = match turn {
            None => sheet::make(opened, variable, frame).await?,
            // Whoever asked may go; the search goes on, so it keeps its turn itself.
            Some(turn) => {
                let (opened, variable, frame) = (Arc::clone(opened), variable.clone(), frame.clone());
                let search = tokio::spawn(async move {
                    let _turn = turn;
                    sheet::make(&opened, &variable, &frame).await
                });
                search.await.map_err(Problem::internal)??
            }
        };
        let made = Arc::new(made);
        self.sheets.insert(key, Arc::clone(&made));
        Ok(made)
    }

    /// Gives back what a rush has left, once nobody asks any more.
    pub fn rest(&self) {
        let idle =
            self.started.elapsed().as_secs().saturating_sub(self.last_used_secs.load(Ordering::Relaxed));
        let empty = self.blocks.is_empty() && self.sheets.is_empty() && self.made.is_empty();
        if idle >= IDLE.as_secs() && !empty {
            self.blocks.clear();
            self.sheets.clear();
            self.made.clear();
            crate::memory::rest();
        }
    }
}

/// Collection, version and variable.
fn whose(opened: &Opened, variable: &Variable) -> String {
    format!("{}@{} {}", opened.snapshot.collection(), opened.snapshot.version(), variable.path)
}

fn frame_key(frame: &Frame) -> String {
    format!("{} {:?} {}x{}", frame.crs.name(), frame.bbox, frame.width, frame.height)
}

fn check_size(frame: &Frame) -> Answer<()> {
    for (name, side) in [("width", frame.width), ("height", frame.height)] {
        if !(1..=MAX_SIDE_PX).contains(&side) {
            let why = format!("expected a whole number of pixels from 1 to {MAX_SIDE_PX}");
            return Err(Problem::parameter(name, &side.to_string(), why));
        }
    }
    if u64::from(frame.width) * u64::from(frame.height) > MAX_PIXELS {
        return Err(Problem::new(
            Kind::TooLarge,
            format!(
                "{} x {} pixels are more than the {MAX_PIXELS} of one picture",
                frame.width, frame.height
            ),
        ));
    }
    Ok(())
}
