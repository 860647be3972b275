//! How a tile is coded: the marker segments of headers (annex A.6).

use super::codestream::Cursor;
use super::{Result, fault};

const CAP: u16 = 0xff50;
pub(super) const SIZ: u16 = 0xff51;
pub(super) const COD: u16 = 0xff52;
pub(super) const COC: u16 = 0xff53;
pub(super) const QCD: u16 = 0xff5c;
pub(super) const QCC: u16 = 0xff5d;
const RGN: u16 = 0xff5e;
const POC: u16 = 0xff5f;
const PPM: u16 = 0xff60;
const PPT: u16 = 0xff61;

/// Resolution levels above the lowest that COD can declare.
const MOST_LEVELS: u8 = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progression {
    LayerResolution,
    ResolutionLayer,
    ResolutionPosition,
    /// By position; by component and position is the same for one component.
    Position,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    /// 5-3, whole numbers.
    Reversible,
    /// 9-7, real numbers.
    Irreversible,
}

/// Styles of code-blocks (table A.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style(u8);

impl Style {
    pub(super) fn bypass(self) -> bool {
        self.0 & 1 != 0
    }
    pub(super) fn reset(self) -> bool {
        self.0 & 2 != 0
    }
    pub(super) fn terminate_all(self) -> bool {
        self.0 & 4 != 0
    }
    pub(super) fn vertically_causal(self) -> bool {
        self.0 & 8 != 0
    }
    pub(super) fn segmentation_symbols(self) -> bool {
        self.0 & 32 != 0
    }
}

/// COD, and COC where there is one.
#[derive(Debug, Clone)]
pub(super) struct Coding {
    /// Packets may begin with SOP.
    pub(super) start_markers: bool,
    /// Packet headers end with EPH.
    pub(super) end_markers: bool,
    pub(super) progression: Progression,
    pub(super) layers: u16,
    pub(super) levels: u8,
    /// Logarithms of a code-block's width and height.
    pub(super) block: (u8, u8),
    pub(super) style: Style,
    pub(super) transform: Transform,
    /// Logarithms of a precinct's width and height, for each resolution level.
    pub(super) precincts: Vec<(u8, u8)>,
}

/// QCD, or QCC where there is one.
#[derive(Debug, Clone)]
pub(super) struct Quantization {
    guard: u8,
    kind: u8,
    /// Exponents and mantissas, as many as are there.
    steps: Vec<(u8, u16)>,
}

impl Quantization {
    /// Exponent and mantissa of a sub-band: the lowest one is 0, then three a resolution level.
    fn step(&self, band: usize) -> Option<(u8, u16)> {
        if self.kind != 1 {
            return self.steps.get(band).copied();
        }
        // Derived from the lowest (equation E-5).
        let (exponent, mantissa) = *self.steps.first()?;
        let above = band.saturating_sub(1) / 3;
        Some((exponent.checked_sub(u8::try_from(above).ok()?)?, mantissa))
    }

    /// Bit planes of a sub-band (equation E-2), and its step size (E-3) for `bits` of a sample.
    pub(super) fn band(&self, band: usize, bits: u32) -> Option<(u8, f32)> {
        let (exponent, mantissa) = self.step(band)?;
        let gain = match (band, band % 3) {
            (0, _) => 0,
            (_, 0) => 2,
            _ => 1,
        };
        let planes = (self.guard + exponent).checked_sub(1)?;
        let power = bits as i32 + gain - i32::from(exponent);
        Some((planes, 2f32.powi(power) * (1.0 + f32::from(mantissa) / 2048.0)))
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    coding: Option<Coding>,
    quantization: Option<Quantization>,
    /// They are the component's own (COC, QCC), which the general ones do not replace.
    own: (bool, bool),
}

impl Parameters {
    pub(super) fn inherited(&self) -> Self {
        Self { own: (false, false), ..self.clone() }
    }

    pub(super) fn complete(&self, at: usize) -> Result<(&Coding, &Quantization)> {
        match (&self.coding, &self.quantization) {
            (Some(c), Some(q)) => {
                let quantized = q.kind != 0;
                if quantized != (c.transform == Transform::Irreversible) {
                    let (wavelet, with) = if quantized { ("5-3", "with") } else { ("9-7", "without") };
                    return fault(at, format!("the {wavelet} wavelet {with} quantization is not read"));
                }
                Ok((c, q))
            }
            (None, _) => fault(at, "there is no COD (FF52) before the first tile-part"),
            (_, None) => fault(at, "there is no QCD (FF5C) before the first tile-part"),
        }
    }

    /// Reads one marker segment, whose marker is read.
    pub(super) fn segment(&mut self, marker: u16, c: &mut Cursor<'_>) -> Result<()> {
        let at = c.at - 2;
        if let Some(what) = match marker {
            RGN => Some("regions of interest (RGN)"),
            POC => Some("changes of the progression order (POC)"),
            PPM | PPT => Some("packed packet headers (PPM, PPT)"),
            CAP => Some("extended capabilities (CAP)"),
            SIZ => Some("a second SIZ"),
            _ => None,
        } {
            return fault(at, format!("{what}: not read"));
        }
        if !(0xff50..0xff90).contains(&marker) {
            return fault(at, format!("{marker:04X} where a marker segment of a header is due"));
        }
        let mut s = c.segment()?;
        match marker {
            COD => {
                let coding = Coding::general(&mut s)?;
                if !self.own.0 {
                    self.coding = Some(coding);
                } else if let Some(own) = &mut self.coding {
                    own.general_part(&coding);
                }
            }
            COC => {
                component(&mut s)?;
                let precincts = s.u8()? & 1 != 0;
                let Some(general) = &self.coding else {
                    return fault(at, "COC (FF53) before COD (FF52)");
                };
                let mut own = general.clone();
                own.component_part(&mut s, precincts)?;
                self.coding = Some(own);
                self.own.0 = true;
            }
            QCD if self.own.1 => {}
            QCD => self.quantization = Some(Quantization::read(&mut s)?),
            QCC => {
                component(&mut s)?;
                self.quantization = Some(Quantization::read(&mut s)?);
                self.own.1 = true;
            }
            // Comments, and lengths that help who skips.
            _ => {}
        }
        Ok(())
    }
}

fn component(s: &mut Cursor<'_>) -> Result<()> {
    let at = s.at;
    match s.u8()? {
        0 => Ok(()),
        c => fault(at, format!("parameters of component {c}; there is only 0")),
    }
}

impl Coding {
    /// COD.
    fn general(s: &mut Cursor<'_>) -> Result<Self> {
        let flags = s.u8()?;
        let at = s.at;
        let progression = match s.u8()? {
            0 => Progression::LayerResolution,
            1 => Progression::ResolutionLayer,
            2 => Progression::ResolutionPosition,
            3 | 4 => Progression::Position,
            p => return fault(at, format!("progression order {p}; 0 to 4 are allowed")),
        };
        let layers = s.u16()?;
        if layers == 0 {
            return fault(at, "0 layers; 1 to 65535 are allowed");
        }
        // The transform between components: there is one.
        s.u8()?;
        let mut coding = Self {
            start_markers: flags & 2 != 0,
            end_markers: flags & 4 != 0,
            progression,
            layers,
            levels: 0,
            block: (6, 6),
            style: Style(0),
            transform: Transform::Reversible,
            precincts: Vec::new(),
        };
        coding.component_part(s, flags & 1 != 0)?;
        Ok(coding)
    }

    /// What COC does not have.
    fn general_part(&mut self, general: &Self) {
        self.start_markers = general.start_markers;
        self.end_markers = general.end_markers;
        self.progression = general.progression;
        self.layers = general.layers;
    }

    /// What COD and COC have in common (table A.20).
    fn component_part(&mut self, s: &mut Cursor<'_>, precincts: bool) -> Result<()> {
        let at = s.at;
        self.levels = s.u8()?;
        if self.levels > MOST_LEVELS {
            return fault(
                at,
                format!("{} decomposition levels; at most {MOST_LEVELS} are allowed", self.levels),
            );
        }
        let (width, height) = (s.u8()?, s.u8()?);
        if width > 8 || height > 8 || width + height > 8 {
            return fault(
                at + 1,
                format!("code-blocks of 2^({width} + 2) by 2^({height} + 2); 4096 samples are allowed"),
            );
        }
        self.block = (width + 2, height + 2);
        let style = s.u8()?;
        if style & 0xc0 != 0 {
            return fault(at + 3, "high-throughput code-blocks (part 15) are not read");
        }
        self.style = Style(style);
        self.transform = match s.u8()? {
            0 => Transform::Irreversible,
            1 => Transform::Reversible,
            t => return fault(at + 4, format!("wavelet {t}; 0 (9-7) and 1 (5-3) are read")),
        };
        self.precincts.clear();
        for level in 0..=self.levels {
            let sizes = if precincts { s.u8()? } else { 0xff };
            let size = (sizes & 15, sizes >> 4);
            if level > 0 && (size.0 == 0 || size.1 == 0) {
                return fault(s.at - 1, format!("precincts of one sample at resolution level {level}"));
            }
            self.precincts.push(size);
        }
        Ok(())
    }
}

impl Quantization {
    fn read(s: &mut Cursor<'_>) -> Result<Self> {
        let at = s.at;
        let (kind, guard) = s.u8().map(|v| (v & 31, v >> 5))?;
        let mut steps = Vec::new();
        while s.at < s.end {
            steps.push(match kind {
                0 => (s.u8()? >> 3, 0),
                1 | 2 => s.u16().map(|v| ((v >> 11) as u8, v & 0x7ff))?,
                _ => return fault(at, format!("quantization style {kind}; 0 to 2 are allowed")),
            });
        }
        Ok(Self { guard, kind, steps })
    }
}
