//! The address bar holds the whole state, so that a link shows what its sender saw.
//!
//! Written short, left out where it is the default, exact where it is a number.

use crate::engine::api::{Projection, Scale, Theme, View};

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Address {
    /// A collection of the server that serves this page.
    pub collection: Option<String>,
    /// Any Zarr hierarchy.
    pub data: Option<String>,
    pub variable: Option<String>,
    /// ISO 8601, for the time dimension.
    pub time: Option<String>,
    /// Dimension name and index, for the others.
    pub indices: Vec<(String, u64)>,
    pub view: Option<View>,
    pub projection: Option<Projection>,
    pub colormap: Option<String>,
    pub reversed: Option<bool>,
    pub clim: Option<(f64, f64)>,
    pub scale: Option<Scale>,
    pub opacity: Option<f64>,
    pub theme: Option<Theme>,
    pub coastlines: Option<bool>,
    pub graticule: Option<bool>,
    pub smooth: Option<bool>,
    /// What the legend and the readout say values in, as UDUNITS spells it.
    pub unit: Option<String>,
    /// False: the map alone, as after the key `d`.
    pub chrome: Option<bool>,
    /// `webgl` forces the other backend.
    pub gpu: Option<String>,
}

impl Address {
    /// Reads a query string; what it does not understand it leaves alone.
    pub fn parse(query: &str) -> Self {
        let mut a = Self::default();
        for pair in query.trim_start_matches('?').split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key), decode(value));
            let flag = || match value.as_str() {
                "0" | "false" | "off" => Some(false),
                "" | "1" | "true" | "on" => Some(true),
                _ => None,
            };
            match key.as_str() {
                "collection" => a.collection = some(value),
                "data" | "src" => a.data = some(value),
                "var" | "variable" => a.variable = some(value),
                "time" => a.time = some(value),
                "at" | "view" => {
                    if let [longitude_deg, latitude_deg, zoom] = numbers(&value)[..] {
                        a.view = Some(View { longitude_deg, latitude_deg, zoom });
                    }
                }
                "projection" => a.projection = projection(&value),
                "colormap" => a.colormap = some(value),
                "reversed" => a.reversed = flag(),
                "clim" => {
                    if let [low, high] = numbers(&value)[..] {
                        a.clim = Some((low, high));
                    }
                }
                "scale" => a.scale = scale(&value),
                "opacity" => a.opacity = numbers(&value).first().copied().filter(|o| (0.0..=1.0).contains(o)),
                "theme" => a.theme = theme(&value),
                "coastlines" => a.coastlines = flag(),
                "graticule" => a.graticule = flag(),
                "smooth" => a.smooth = flag(),
                "unit" => a.unit = some(value),
                "chrome" => a.chrome = flag(),
                "lines" => a.coastlines = flag(),
                "gpu" => a.gpu = some(value),
                _ => {
                    if let (Some(dim), Ok(index)) = (key.strip_prefix("dim."), value.parse()) {
                        a.indices.push((dim.to_owned(), index));
                    }
                }
            }
        }
        a
    }

    /// The query string, with its `?`; empty if there is nothing to say.
    pub fn query(&self) -> String {
        let mut out: Vec<(String, String)> = Vec::new();
        let mut put = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                out.push((key.to_owned(), value));
            }
        };
        let flag = |b: bool| if b { "1" } else { "0" }.to_owned();
        put("collection", self.collection.clone());
        put("data", self.data.clone());
        put("var", self.variable.clone());
        put("time", self.time.clone());
        for (dim, index) in &self.indices {
            put(&format!("dim.{dim}"), Some(index.to_string()));
        }
        put(
            "at",
            self.view.map(|v| {
                // A hundredth of a pixel is close enough at any zoom.
                let places = (v.zoom.max(0.0) * 0.302 + 4.0).ceil().clamp(0.0, 12.0) as usize;
                format!(
                    "{},{},{}",
                    short(v.longitude_deg, places),
                    short(v.latitude_deg, places),
                    short(v.zoom, 4)
                )
            }),
        );
        put("projection", self.projection.map(|p| projection_name(p).to_owned()));
        put("colormap", self.colormap.clone());
        put("reversed", self.reversed.map(flag));
        put("clim", self.clim.map(|(a, b)| format!("{a},{b}")));
        put("scale", self.scale.map(|s| scale_name(s).to_owned()));
        put("opacity", self.opacity.map(|o| short(o, 3)));
        put("theme", self.theme.map(|t| theme_name(t).to_owned()));
        put("coastlines", self.coastlines.map(flag));
        put("graticule", self.graticule.map(flag));
        put("smooth", self.smooth.map(flag));
        put("unit", self.unit.clone());
        put("chrome", self.chrome.map(flag));
        put("gpu", self.gpu.clone());
        let text: Vec<String> =
            out.into_iter().map(|(k, v)| format!("{}={}", encode(&k), encode(&v))).collect();
        if text.is_empty() { String::new() } else { format!("?{}", text.join("&")) }
    }
}

fn some(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

fn numbers(text: &str) -> Vec<f64> {
    let all: Option<Vec<f64>> =
        text.split(',').map(|t| t.trim().parse::<f64>().ok().filter(|v| v.is_finite())).collect();
    all.unwrap_or_default()
}

fn short(v: f64, places: usize) -> String {
    let text = format!("{v:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

pub fn projection(name: &str) -> Option<Projection> {
    match name {
        "globe" => Some(Projection::Globe),
        "mercator" => Some(Projection::Mercator),
        _ => None,
    }
}

pub const fn projection_name(p: Projection) -> &'static str {
    match p {
        Projection::Mercator => "mercator",
        Projection::Globe => "globe",
    }
}

pub fn scale(name: &str) -> Option<Scale> {
    match name {
        "linear" => Some(Scale::Linear),
        "log" => Some(Scale::Log),
        "diverging" => Some(Scale::Diverging),
        _ => None,
    }
}

pub const fn scale_name(s: Scale) -> &'static str {
    match s {
        Scale::Linear => "linear",
        Scale::Log => "log",
        Scale::Diverging => "diverging",
    }
}

pub fn theme(name: &str) -> Option<Theme> {
    match name {
        "dark" => Some(Theme::Dark),
        "light" => Some(Theme::Light),
        _ => None,
    }
}

pub const fn theme_name(t: Theme) -> &'static str {
    match t {
        Theme::Dark => "dark",
        Theme::Light => "light",
    }
}

/// Percent-decoding of a query component; bytes that are no UTF-8 become U+FFFD.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (b, hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
            }
            _ => {
                out.push(if b == b'+' { b' ' } else { b });
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encodes what a query component may not hold; `:`, `/` and `,` stay readable.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b':'
            | b'/'
            | b','
            | b'@' => {
                out.push(char::from(b));
            }
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let a = Address {
            collection: Some("sst".into()),
            data: Some("https://host/a b/x.zarr?key=1&z=é".into()),
            variable: Some("group/analysed_sst".into()),
            time: Some("2017-06-05T12:00:00".into()),
            indices: vec![("level".into(), 2), ("odd & name".into(), 0)],
            view: Some(View { longitude_deg: -12.5, latitude_deg: 51.25, zoom: 3.5 }),
            projection: Some(Projection::Globe),
            colormap: Some("thermal".into()),
            reversed: Some(true),
            clim: Some((-1.7999999523162842, 1.0e-9)),
            scale: Some(Scale::Diverging),
            opacity: Some(0.85),
            theme: Some(Theme::Light),
            coastlines: Some(false),
            graticule: Some(true),
            smooth: Some(true),
            unit: Some("km/h".into()),
            chrome: Some(false),
            gpu: Some("webgl".into()),
        };
        assert_eq!(Address::parse(&a.query()), a);
        assert_eq!(Address::default().query(), "");
    }

    #[test]
    fn junk_is_left_alone() {
        let a = Address::parse("?clim=NaN,3&at=1,2&opacity=7&scale=cubic&%zz=%&dim.level=x&theme=");
        assert_eq!(a, Address::default());
        assert_eq!(Address::parse("?src=a+b&variable=sst").data.as_deref(), Some("a b"));
    }
}
