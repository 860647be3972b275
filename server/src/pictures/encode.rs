//! From states to the bytes of a picture: a palette wherever the colours fit into one.

use super::paint::{ABOVE, BELOW, NO_DATA, STATES, State};
use super::style::{Beyond, Style};
use crate::problem::{Answer, Problem};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Png,
    /// Lossless.
    WebP,
}

impl Format {
    pub const ALL: [Format; 2] = [Format::Png, Format::WebP];

    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Png => "image/png",
            Format::WebP => "image/webp",
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Format::Png => "png",
            Format::WebP => "webp",
        }
    }

    /// A short name or a media type.
    ///
    /// # Errors
    /// Anything else.
    pub fn parse(name: &str, text: &str) -> Answer<Self> {
        let bare = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match bare.as_str() {
            "png" | "image/png" | "image/png8" => Ok(Self::Png),
            "webp" | "image/webp" => Ok(Self::WebP),
            _ => Err(Problem::parameter(name, text, "expected png (image/png) or webp (image/webp)")),
        }
    }
}

type Rgba = [u8; 4];

/// The colour of each state.
fn palette(style: &Style, ground: Option<[u8; 3]>) -> [Rgba; STATES] {
    let nothing = ground.map_or([0; 4], |[r, g, b]| [r, g, b, 255]);
    // Over a ground of its own a picture is opaque.
    let over = |[r, g, b]: [u8; 3]| match ground {
        None => [r, g, b, style.alpha],
        Some(ground) => {
            let mix = |c: u8, g: u8| {
                let alpha = u16::from(style.alpha);
                ((u16::from(c) * alpha + u16::from(g) * (255 - alpha) + 127) / 255) as u8
            };
            [mix(r, ground[0]), mix(g, ground[1]), mix(b, ground[2]), 255]
        }
    };
    let mut out = [nothing; STATES];
    for (slot, colour) in out.iter_mut().zip(&style.lut) {
        *slot = over(*colour);
    }
    let falls = style.low > style.high;
    let beyond = |how: Beyond, end: [u8; 3]| match how {
        Beyond::Extend => over(end),
        Beyond::Transparent => nothing,
        Beyond::Colour(colour) => over(colour),
    };
    let (first, last) = (style.lut[0], style.lut[255]);
    out[usize::from(BELOW)] = beyond(style.below, if falls { last } else { first });
    out[usize::from(ABOVE)] = beyond(style.above, if falls { first } else { last });
    out
}

/// Encodes `size` pixels (width, height).
///
/// # Errors
/// None for the sizes that are drawn.
pub fn picture(
    states: &[State],
    [width, height]: [u32; 2],
    style: &Style,
    ground: Option<[u8; 3]>,
    format: Format,
) -> anyhow::Result<Vec<u8>> {
    let palette = palette(style, ground);
    match format {
        Format::Png => png(states, [width, height], &palette),
        Format::WebP => {
            let pixels: Vec<u8> = states.iter().flat_map(|s| palette[usize::from(*s)]).collect();
            let mut out = Vec::new();
            image_webp::WebPEncoder::new(&mut out).encode(
                &pixels,
                width,
                height,
                image_webp::ColorType::Rgba8,
            )?;
            Ok(out)
        }
    }
}

fn png(states: &[State], [width, height]: [u32; 2], palette: &[Rgba; STATES]) -> anyhow::Result<Vec<u8>> {
    // States of one colour share a place; what is transparent comes first, so that few alphas are written.
    let mut used = [false; STATES];
    states.iter().for_each(|s| used[usize::from(*s)] = true);
    let mut order: Vec<usize> = (0..STATES).filter(|s| used[*s]).collect();
    order.sort_by_key(|s| (palette[*s][3] == 255, if *s == usize::from(NO_DATA) { 0 } else { s + 1 }));
    let mut colours: Vec<Rgba> = Vec::new();
    let mut place = [0usize; STATES];
    for s in order {
        let known = colours.iter().rposition(|c| *c == palette[s]);
        place[s] = known.unwrap_or_else(|| {
            colours.push(palette[s]);
            colours.len() - 1
        });
    }
    let mut out = Vec::with_capacity(states.len() / 2);
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_depth(png::BitDepth::Eight);
    // Neighbouring cells have neighbouring places in the scale: filters pay for a palette, too.
    encoder.set_compression(png::Compression::Fast);
    if colours.len() > 256 {
        // Every colour of the scale and no data besides: more than a palette holds.
        encoder.set_color(png::ColorType::Rgba);
        let pixels: Vec<u8> = states.iter().flat_map(|s| palette[usize::from(*s)]).collect();
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        return Ok(out);
    }
    let place = place.map(|p| p as u8);
    let indexed: Vec<u8> = if colours.len() == 1 {
        // Nothing there, mostly: a bit for each pixel, of which ordinary deflate makes next to nothing.
        encoder.set_depth(png::BitDepth::One);
        encoder.set_deflate_compression(png::DeflateCompression::Level(4));
        encoder.set_filter(png::Filter::NoFilter);
        vec![0; width.div_ceil(8) as usize * height as usize]
    } else {
        states.iter().map(|s| place[usize::from(*s)]).collect()
    };
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(colours.iter().flat_map(|c| [c[0], c[1], c[2]]).collect::<Vec<u8>>());
    let alphas: Vec<u8> = colours.iter().map(|c| c[3]).collect();
    let last = alphas.iter().rposition(|a| *a != 255).map_or(0, |i| i + 1);
    if last > 0 {
        encoder.set_trns(alphas[..last].to_vec());
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&indexed)?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::super::style::{self, Asked};
    use super::*;

    fn decode(bytes: &[u8]) -> Vec<Rgba> {
        let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
        decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::ALPHA);
        let mut reader = decoder.read_info().unwrap();
        let mut out = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut out).unwrap();
        out.as_chunks::<4>().0.to_vec()
    }

    fn styled(asked: &Asked) -> Style {
        Style::new("turbo".into(), style::lut("turbo").unwrap(), (0.0, 1.0), asked).unwrap()
    }

    #[test]
    fn pixels_keep_their_colours_and_no_data_is_transparent() {
        let style = styled(&Asked::default());
        let some: Vec<State> = vec![0, NO_DATA, 255, 128, BELOW, ABOVE];
        // All colours at once do not fit into a palette.
        let all: Vec<State> = (0..=NO_DATA).collect();
        for states in [some, all, vec![NO_DATA; 77], vec![3; 9]] {
            let palette = palette(&style, None);
            let expected: Vec<Rgba> = states.iter().map(|s| palette[usize::from(*s)]).collect();
            assert_eq!(
                decode(&picture(&states, [states.len() as u32, 1], &style, None, Format::Png).unwrap()),
                expected
            );
            let webp = picture(&states, [states.len() as u32, 1], &style, None, Format::WebP).unwrap();
            let mut reader = image_webp::WebPDecoder::new(std::io::Cursor::new(webp)).unwrap();
            let mut out = vec![0; reader.output_buffer_size().unwrap()];
            reader.read_image(&mut out).unwrap();
            assert_eq!(out, expected.concat());
        }
        assert_eq!(palette(&style, None)[usize::from(NO_DATA)], [0; 4]);
    }

    #[test]
    fn beyond_the_ends_is_what_was_asked_for() {
        let below =
            Asked { below: Beyond::Colour([1, 2, 3]), above: Beyond::Transparent, ..Asked::default() };
        let found = palette(&styled(&below), None);
        assert_eq!((found[257], found[258]), ([1, 2, 3, 255], [0; 4]));
        let white = palette(&styled(&Asked { alpha: Some(0), ..below }), Some([255; 3]));
        assert!(white.iter().all(|c| *c == [255; 4]));
    }
}
