//! What a picture costs, as the queries of EDR say it; and of one that is too much the pictures
//! side by side that are not.

use axum::http::HeaderValue;
use graticule_shared::crs::Crs;
use graticule_shared::frame::Frame;
use serde_json::json;

use super::super::App;
use super::super::edr::COST;
use super::super::respond::Document;
use crate::pictures::{SMALLER, Weighed};
use crate::problem::{Answer, Problem};

/// `estimate=true`: the values are pixels.
pub async fn estimate(app: &App, weighed: &Weighed<'_>) -> Answer<Document> {
    let cost = weighed.cost();
    let mut body = cost.json();
    body["allowed"] = json!(!weighed.is_too_much());
    body["parts"] = if weighed.is_too_much() {
        json!(app.pictures.parts(weighed).await?.map(|parts| parts.len()))
    } else {
        json!(1)
    };
    Ok(Document::json(&body)?.header(COST, &cost.header()))
}

/// The refusal of a picture that is too much. A part has the pixels of the whole where it has its
/// share of their number, too: `split` alone does not say it, so `sizes` are listed beside it.
/// `asked` is the system that the request has its box in.
pub async fn refusal(app: &App, weighed: &Weighed<'_>, asked: &Crs) -> Answer<Problem> {
    let problem = match app.pictures.parts(weighed).await? {
        Some(parts) => with_parts(weighed, &parts, asked),
        None => weighed.refusal(SMALLER),
    };
    Ok(match HeaderValue::try_from(weighed.cost().header()) {
        Ok(cost) => problem.header(COST, cost),
        Err(_) => problem,
    })
}

fn with_parts(weighed: &Weighed<'_>, parts: &[Frame], asked: &Crs) -> Problem {
    let boxes: Vec<String> = parts.iter().map(|p| in_words(p, asked)).collect();
    let Some((first, size)) = boxes.first().zip(parts.first()) else { return weighed.refusal(SMALLER) };
    // What is cut on a plane has no box of degrees.
    let system = Some(size.crs.name()).filter(|name| !size.crs.is_degrees() && *name != asked.name());
    let also = system.map_or_else(String::new, |name| format!("&bbox-crs={name}"));
    let right = format!(
        "ask for {} pictures, such as bbox={first}{also}&width={}&height={}, or ingest it with a pyramid; \"split\" lists the boxes and \"sizes\" the width and height with which each has its pixels of the whole",
        parts.len(),
        size.width,
        size.height
    );
    let sizes: Vec<[u32; 2]> = parts.iter().map(|p| [p.width, p.height]).collect();
    let problem = weighed.refusal(&right).with("parameter", "bbox").with("split", boxes);
    let problem = problem.with("sizes", json!(sizes));
    match system {
        Some(name) => problem.with("bbox-crs", name),
        None => problem,
    }
}

/// The box of a frame as `bbox` has it in the system that was asked in.
fn in_words(frame: &Frame, asked: &Crs) -> String {
    let [west, south, east, north] = frame.bbox;
    let latitude_first = frame.crs.is_degrees() && asked.latitude_first();
    let said = if latitude_first { [south, west, north, east] } else { [west, south, east, north] };
    said.map(|v| v.to_string()).join(",")
}
