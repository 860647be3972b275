//! Legends: which colour is which number, as a picture and as JSON.

use std::convert::Infallible;

use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13;
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Drawable, Pixel};
use embedded_graphics::text::{Baseline, Text};
use graticule_shared::colormap::Stretch;
use graticule_shared::cube::Variable;
use serde_json::{Value, json};

use super::encode::Format;
use super::style::Style;
use crate::problem::{Answer, Problem};

/// Pixels along a side of a legend.
pub const MAX_SIDE_PX: u32 = 2048;
/// Categories that are listed one by one.
const MAX_FLAGS: usize = 64;
const CHARACTER: [i32; 2] = [7, 13];
const LINE: i32 = 16;
const MARGIN: i32 = 8;
const BAR: i32 = 20;

/// How a legend is to look; what is left open follows from what it says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Asked {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub horizontal: bool,
    /// The colours alone, from edge to edge (ncWMS: `COLORBARONLY`).
    pub bar_only: bool,
    pub format: Format,
}

struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<[u8; 3]>,
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(at, colour) in pixels {
            self.put(at.x, at.y, [colour.r(), colour.g(), colour.b()]);
        }
        Ok(())
    }
}

impl Canvas {
    fn put(&mut self, x: i32, y: i32, colour: [u8; 3]) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if x < self.width
            && let Some(slot) = self.pixels.get_mut(y as usize * self.width as usize + x as usize)
            && y < self.height
        {
            *slot = colour;
        }
    }

    fn fill(&mut self, [x, y, width, height]: [i32; 4], colour: [u8; 3]) {
        for v in y.max(0)..(y + height).min(self.height as i32) {
            for u in x.max(0)..(x + width).min(self.width as i32) {
                self.put(u, v, colour);
            }
        }
    }

    fn write(&mut self, x: i32, y: i32, text: &str) {
        let style = MonoTextStyle::new(&FONT_7X13, Rgb888::new(0x22, 0x22, 0x22));
        // Drawing into memory does not fail.
        let _ = Text::with_baseline(text, Point::new(x, y), style, Baseline::Top).draw(self);
    }
}

/// Numbers that a legend names: of the form 1, 2 or 5 times a power of ten, within the ends.
pub fn ticks(low: f64, high: f64, stretch: Stretch) -> Vec<f64> {
    let (a, b) = (low.min(high), low.max(high));
    if stretch == Stretch::Log && a > 0.0 {
        let decades = (a.log10().floor() as i32)..=(b.log10().ceil() as i32);
        let within = |v: &f64| *v >= a * (1.0 - 1e-12) && *v <= b * (1.0 + 1e-12);
        let whole: Vec<f64> = decades.clone().map(|d| 10f64.powi(d)).filter(within).collect();
        if whole.len() >= 3 {
            let every = whole.len().div_ceil(8);
            return whole.into_iter().step_by(every).collect();
        }
        return decades.flat_map(|d| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(d))).filter(within).collect();
    }
    let span = b - a;
    if span <= 0.0 || !span.is_finite() {
        return vec![a];
    }
    let power = 10f64.powf((span / 6.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| span / s <= 6.0).unwrap_or(span);
    let (first, last) = ((a / step - 1e-9).ceil() as i64, (b / step + 1e-9).floor() as i64);
    (first..=last).take(16).map(|i| i as f64 * step).collect()
}

/// A number as a legend writes it, no longer than neighbours `step` apart need.
fn label(value: f64, step: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size.max(step.abs())) {
        return format!("{value:.2e}");
    }
    let digits = (-(step.abs().max(1e-12).log10() + 1e-9).floor()).clamp(0.0, 8.0) as usize;
    let text = format!("{value:.digits$}");
    if text.trim_start_matches('-').bytes().all(|b| matches!(b, b'0' | b'.')) { "0".to_owned() } else { text }
}

fn labels(style: &Style) -> Vec<(f64, String)> {
    let all = ticks(style.low, style.high, style.stretch);
    let gap = |i: usize| {
        let (a, b) = (all.get(i.saturating_sub(1)), all.get(i.max(1)));
        a.zip(b).map_or(1.0, |(a, b)| if style.stretch == Stretch::Log { all[i] } else { b - a })
    };
    all.iter().enumerate().map(|(i, v)| (*v, label(*v, gap(i)))).collect()
}

/// From 0 at the low end to 1 at the high end.
fn position(style: &Style, value: f64) -> f64 {
    match style.stretch {
        Stretch::Linear => (value - style.low) / (style.high - style.low),
        Stretch::Log => (value / style.low).ln() / (style.high / style.low).ln(),
    }
}

fn categories(variable: &Variable) -> Option<&[(f64, String)]> {
    (1..=MAX_FLAGS).contains(&variable.flags.len()).then_some(variable.flags.as_slice())
}

fn title(variable: &Variable) -> String {
    match variable.units.as_deref().filter(|u| !matches!(*u, "" | "1") && variable.flags.is_empty()) {
        Some(units) => format!("{} [{units}]", variable.label()),
        None => variable.label(),
    }
}

/// Lines of at most so many characters, broken between words.
fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().take(64) {
        let word: String = word.chars().take(most.max(1)).collect();
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = word,
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines.truncate(4);
    lines
}

/// A picture of the colours with the numbers beside them, on white.
///
/// # Errors
/// A size that no legend has.
pub fn picture(variable: &Variable, style: &Style, asked: &Asked) -> Answer<Vec<u8>> {
    for (name, side) in [("width", asked.width), ("height", asked.height)] {
        if let Some(side) = side
            && !(1..=MAX_SIDE_PX).contains(&side)
        {
            let why = format!("expected a whole number of pixels from 1 to {MAX_SIDE_PX}");
            return Err(Problem::parameter(name, &side.to_string(), why));
        }
    }
    let flags = categories(variable);
    let width = asked.width.unwrap_or(match (asked.bar_only, asked.horizontal, flags) {
        (true, true, _) | (false, true, None) => 320,
        (true, false, _) => BAR as u32,
        _ => 190,
    });
    let lines = wrapped(&title(variable), ((width as i32 - 2 * MARGIN) / CHARACTER[0]).max(4) as usize);
    let head = MARGIN + lines.len() as i32 * LINE;
    let height = asked.height.unwrap_or(match (asked.bar_only, asked.horizontal, flags) {
        (true, true, _) => BAR as u32,
        (true, false, _) => 256,
        (false, _, Some(flags)) => (head + flags.len() as i32 * LINE + MARGIN) as u32,
        (false, true, None) => (head + BAR + LINE + 2 * MARGIN) as u32,
        (false, false, None) => (head + 220 + 2 * MARGIN) as u32,
    });
    let mut canvas = Canvas { width, height, pixels: vec![[255; 3]; width as usize * height as usize] };
    let (w, h) = (width as i32, height as i32);
    if asked.bar_only {
        bar(&mut canvas, style, [0, 0, w, h], asked.horizontal);
        return encode(&canvas, asked.format);
    }
    for (i, line) in lines.iter().enumerate() {
        canvas.write(MARGIN, MARGIN / 2 + i as i32 * LINE, line);
    }
    if let Some(flags) = flags {
        for (i, (value, meaning)) in flags.iter().enumerate() {
            let y = head + i as i32 * LINE;
            canvas.fill([MARGIN, y, BAR, LINE - 3], style.colour(*value));
            canvas.write(2 * MARGIN + BAR, y, &meaning.replace('_', " "));
        }
        return encode(&canvas, asked.format);
    }
    let ink = [0x22; 3];
    if asked.horizontal {
        let space = [MARGIN, head, w - 2 * MARGIN, (h - head - LINE - 2 * MARGIN).max(1)];
        bar(&mut canvas, style, space, true);
        for (value, text) in labels(style) {
            let x = space[0] + (position(style, value) * f64::from(space[2])).round() as i32;
            canvas.fill([x.min(space[0] + space[2] - 1), space[1] + space[3], 1, 4], ink);
            let long = text.chars().count() as i32 * CHARACTER[0];
            canvas.write((x - long / 2).clamp(0, (w - long).max(0)), space[1] + space[3] + 5, &text);
        }
    } else {
        let space = [MARGIN, head + MARGIN / 2, BAR, (h - head - 2 * MARGIN).max(1)];
        bar(&mut canvas, style, space, false);
        for (value, text) in labels(style) {
            let y = space[1] + ((1.0 - position(style, value)) * f64::from(space[3])).round() as i32;
            let y = y.min(space[1] + space[3] - 1);
            canvas.fill([space[0] + space[2], y, 4, 1], ink);
            canvas.write(space[0] + space[2] + 8, y - CHARACTER[1] / 2, &text);
        }
    }
    encode(&canvas, asked.format)
}

/// The colours from the low to the high end: rightwards, or upwards.
fn bar(canvas: &mut Canvas, style: &Style, [x, y, width, height]: [i32; 4], horizontal: bool) {
    let long = if horizontal { width } else { height };
    for k in 0..long {
        let index = (f64::from(k) + 0.5) / f64::from(long.max(1)) * 256.0;
        let colour = style.lut[(index as usize).min(255)];
        if horizontal {
            canvas.fill([x + k, y, 1, height], colour);
        } else {
            canvas.fill([x, y + height - 1 - k, width, 1], colour);
        }
    }
}

fn encode(canvas: &Canvas, format: Format) -> Answer<Vec<u8>> {
    let mut out = Vec::new();
    let bytes = canvas.pixels.concat();
    match format {
        Format::WebP => image_webp::WebPEncoder::new(&mut out)
            .encode(&bytes, canvas.width, canvas.height, image_webp::ColorType::Rgb8)
            .map_err(Problem::internal)?,
        Format::Png => {
            let mut encoder = png::Encoder::new(&mut out, canvas.width, canvas.height);
            encoder.set_color(png::ColorType::Rgb);
            encoder.set_depth(png::BitDepth::Eight);
            let mut writer = encoder.write_header().map_err(Problem::internal)?;
            writer.write_image_data(&bytes).map_err(Problem::internal)?;
            writer.finish().map_err(Problem::internal)?;
        }
    }
    Ok(out)
}

fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Everything that a client needs to draw a legend of its own.
pub fn json(variable: &Variable, style: &Style) -> Value {
    let ticks: Vec<Value> = labels(style)
        .into_iter()
        .map(|(value, label)| {
            json!({"value": value, "label": label, "position": position(style, value), "color": hex(style.colour(value))})
        })
        .collect();
    let mut out = json!({
        "variable": variable.path,
        "title": variable.label(),
        "unit": variable.units,
        "colormap": style.name,
        "range": [style.low, style.high],
        "scale": if style.stretch == Stretch::Log { "logarithmic" } else { "linear" },
        "colors": style.lut.iter().map(|c| hex(*c)).collect::<Vec<_>>(),
        "ticks": ticks,
        "nodata": "transparent",
    });
    if !variable.flags.is_empty() {
        let category = |(value, meaning): &(f64, String)| json!({"value": value, "meaning": meaning, "color": hex(style.colour(*value))});
        out["categories"] = variable.flags.iter().map(category).collect();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_ends() {
        assert_eq!(ticks(240.0, 310.0, Stretch::Linear), [240.0, 260.0, 280.0, 300.0]);
        assert_eq!(ticks(1.0, -1.0, Stretch::Linear).len(), 5);
        assert_eq!(ticks(1.0, 1000.0, Stretch::Log), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(ticks(0.9, 9.0, Stretch::Log), [1.0, 2.0, 5.0]);
        for (low, high) in [(0.0, 1e-9), (-1e30, 1e30), (5.0, 5.0), (0.0, f64::INFINITY)] {
            assert!(ticks(low, high, Stretch::Linear).len() <= 16);
        }
    }

    #[test]
    fn labels_are_as_long_as_their_step_needs() {
        assert_eq!(label(0.30000000000000004, 0.1), "0.3");
        assert_eq!(label(-0.0, 0.5), "0");
        assert_eq!(label(280.0, 20.0), "280");
        assert_eq!(label(2e-7, 1e-7), "2.00e-7");
        assert_eq!(label(5e8, 1e8), "5.00e8");
    }

    #[test]
    fn long_titles_are_broken_between_words() {
        assert_eq!(wrapped("sea surface temperature", 12), ["sea surface", "temperature"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(wrapped("abcdefghij", 4), ["abcd"]);
    }
}
