//! What may be asked of the engine and what it says.
//!
//! The user interface, the custom element and the tests speak only this, so that
//! none of them can depend on how the picture is made.

use graticule_shared::cube::Cube;

pub use crate::chunks::DROPPED;
#[cfg(target_arch = "wasm32")]
pub use crate::chunks::fetch::global_fetch;
pub use graticule_shared::raster::Projection;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    #[default]
    Linear,
    Log,
    /// Linear, centred on zero.
    Diverging,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Theme {
    #[default]
    Dark,
    Light,
}

/// Where the camera is: centre in degrees, zoom as on web maps (the world is
/// 512 * 2^zoom CSS pixels wide).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    pub longitude_deg: f64,
    pub latitude_deg: f64,
    pub zoom: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Absolute URL of a Zarr v3 or v2 hierarchy. Replaces what is shown.
    Open {
        url: String,
    },
    /// The same store has a new version: read its metadata again, keep view and selection.
    Refresh,
    SetVariable(String),
    /// Index along a dimension that is neither x nor y (time is one of them).
    SetIndex {
        dim: String,
        index: u64,
    },
    SetColormap(String),
    SetReversed(bool),
    /// Physical values at the ends of the colour scale.
    SetClim(f64, f64),
    /// 2nd to 98th percentile of what is in view.
    AutoClim,
    SetScale(Scale),
    SetOpacity(f64),
    SetProjection(Projection),
    /// Straight lines between cell centres, or flat cells; until it is said, as
    /// [`crate::view::smooth`] has it.
    SetSmooth(bool),
    SetTheme(Theme),
    SetGraticule(bool),
    SetCoastlines(bool),
    SetView(View),
    /// Move the ground by CSS pixels under the pointer.
    Pan {
        dx: f64,
        dy: f64,
    },
    /// Multiply the scale by 2^delta about a point in CSS pixels.
    Zoom {
        delta: f64,
        x: f64,
        y: f64,
    },
    /// CSS pixels of the canvas and device pixels per CSS pixel.
    Resize {
        width: f64,
        height: f64,
        ratio: f64,
    },
    /// CSS pixels in the canvas, or `None` when it left.
    Pointer(Option<(f64, f64)>),
    /// Read the value at a place, whether or not a pointer is there.
    Probe {
        longitude_deg: f64,
        latitude_deg: f64,
    },
    /// Ask for these time indices ahead of need (playback), most wanted first.
    Prefetch(Vec<u64>),
}

/// State of one step of the time dimension for the variable, level and view shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StepState {
    Missing,
    Loading,
    Cached,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Readout {
    pub longitude_deg: f64,
    pub latitude_deg: f64,
    /// Stored value, unpacked in float64; `None` for no data.
    pub value: Option<f64>,
    /// The number as it stands in the store.
    pub raw: Option<f64>,
    /// Pyramid level it was read from; 0 is full resolution.
    pub level: u32,
    /// Centre of the cell.
    pub cell_longitude_deg: f64,
    pub cell_latitude_deg: f64,
    pub row: u64,
    pub column: u64,
}

/// What failed, why, and what to do next; never a blank page.
#[derive(Debug, Clone, PartialEq)]
pub struct Trouble {
    pub what: String,
    pub why: String,
    pub next: String,
    /// For the copy button.
    pub details: String,
}

#[derive(Debug, Clone)]
pub enum Signal {
    /// Which backend draws: `webgpu`, `webgl2`; sent once.
    Ready {
        backend: String,
    },
    /// Metadata was read; coordinates of the dims follow in `Coordinate`.
    Opened {
        url: String,
        cube: std::rc::Rc<Cube>,
    },
    /// Values of the coordinate of a non-spatial dimension, or of x.
    Coordinate {
        dim: String,
        values: Vec<f64>,
    },
    /// What is selected now: variable, and index of each non-spatial dimension.
    Selected {
        variable: String,
        indices: Vec<(String, u64)>,
    },
    /// The picture now shows exactly this time step, whole for this view.
    Frame {
        index: u64,
        complete: bool,
    },
    /// Chunks and bytes of what is being loaded now; all zero when idle.
    Progress {
        done: u32,
        total: u32,
        bytes: u64,
    },
    Steps(Vec<StepState>),
    Style {
        colormap: String,
        reversed: bool,
        clim: (f64, f64),
        scale: Scale,
        opacity: f64,
    },
    ViewChanged {
        view: View,
        projection: Projection,
    },
    /// Of the values in view: counts per bin over `range`.
    Histogram {
        counts: Vec<u32>,
        range: (f64, f64),
    },
    Readout(Option<Readout>),
    Trouble(Trouble),
}
