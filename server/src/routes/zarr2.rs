//! `/zarr2/{id}/…`: the hierarchy of `/zarr/{id}/…` as Zarr v2, for older clients.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Response, header};
use graticule_shared::zarr::ArrayMeta;
use serde_json::{Value, json};

use super::chunks::Object;
use super::respond::{self, JSON};
use super::stored::{self, OCTETS};
use super::zarr::{self, Named, absent, named, nothing, send_metadata};
use super::{App, stac};
use crate::problem::{Answer, Problem};
use crate::zarr2::{Chunk, View};

pub async fn any(app: Arc<App>, request: Request) -> Response<Body> {
    let (request, _) = request.into_parts();
    zarr::refused(&request, answer(&app, &request).await)
}

async fn answer(app: &App, request: &Parts) -> Answer<Response<Body>> {
    let Some(named) = named(app, request, "/zarr2").await? else { return Ok(respond::preflight()) };
    let view = named.served.view().map_err(Problem::internal)?;
    // The bare address of a hierarchy describes it, as a directory would.
    let key = if named.key.is_empty() { ".zmetadata" } else { &named.key };
    if let Some((bytes, etag)) = view.document(key) {
        let etag = HeaderValue::try_from(etag).map_err(Problem::internal)?;
        let object = Object { bytes: bytes.clone(), etag, is_metadata: true, is_elsewhere: false };
        let bare = named.key.is_empty();
        let links = format!(
            "</api/collections/{}>; rel=\"collection\"; type=\"{JSON}\", </zarr/{}>; rel=\"canonical\"; type=\"{}\"",
            named.id(),
            named.reference,
            stac::ZARR_TYPE
        );
        let of_root = !key.contains('/');
        let links = HeaderValue::try_from(links).ok().filter(|_| of_root).map(|v| (header::LINK, v));
        let root_type = bare.then_some(stac::ZARR2_TYPE);
        return send_metadata(app, request, &named, object, key, root_type, links.into_iter().collect());
    }
    let Some((chunk, index)) = view.chunk(key) else { return Err(nothing(&named, key, grid, first_key)) };
    match find(app, &named, chunk, &index).await? {
        Some(object) => stored::send(request, named.stored(&object, OCTETS)),
        None => {
            let object = fill(Arc::clone(&view), key.to_owned()).await?;
            let object = object.ok_or_else(|| absent(&named, chunk.meta(), key))?;
            stored::send(request, named.stored(&object, OCTETS))
        }
    }
}

/// Chunks along each dimension, as v2 has them.
fn grid(meta: &ArrayMeta) -> Vec<u64> {
    meta.shape.iter().zip(meta.block_shape()).map(|(n, b)| n.div_ceil((*b).max(1))).collect()
}

fn first_key(meta: &ArrayMeta) -> String {
    let zeros = vec!["0"; meta.shape.len().max(1)];
    format!("{}/{}", meta.path, zeros.join("."))
}

/// The stored bytes of a chunk: an object, or the part of one where that is a shard.
async fn find(app: &App, named: &Named, chunk: Chunk<'_>, index: &[u64]) -> Answer<Option<Object>> {
    let (meta, snapshot) = (chunk.meta(), &named.served.snapshot);
    if meta.sharding.is_none() {
        return app.chunks.object(&named.served, &meta.chunk_key(index)).await.map_err(Problem::of);
    }
    let Some((key, span)) = snapshot.inner_chunk(meta, index).await? else { return Ok(None) };
    let Some(shard) = app.chunks.object(&named.served, &key).await.map_err(Problem::of)? else {
        return Ok(None);
    };
    let (from, length) = (usize::try_from(span.offset), usize::try_from(span.length));
    let (from, length) = (from.map_err(Problem::internal)?, length.map_err(Problem::internal)?);
    let to = from.saturating_add(length);
    if to > shard.bytes.len() {
        return Err(Problem::internal(format!(
            "{key}: inner chunk at {from}+{length} is past the shard's end"
        )));
    }
    let tag = shard.etag.to_str().unwrap_or_default().trim_matches('"');
    let etag = format!("\"{tag}-{from}-{length}\"");
    let etag = HeaderValue::try_from(etag).map_err(Problem::internal)?;
    Ok(Some(Object { bytes: shard.bytes.slice(from..to), etag, ..shard }))
}

/// What is sent in the place of a chunk that is not stored, where v2 cannot say what that means.
async fn fill(view: Arc<View>, key: String) -> Answer<Option<Object>> {
    let make = move || match view.chunk(&key) {
        Some((chunk, _)) => chunk.in_place_of_absent(),
        None => Ok(None),
    };
    let made = tokio::task::spawn_blocking(make).await.map_err(Problem::internal)?;
    let Some((bytes, etag)) = made.map_err(Problem::internal)? else { return Ok(None) };
    let etag = HeaderValue::try_from(etag).map_err(Problem::internal)?;
    Ok(Some(Object { bytes, etag, is_metadata: false, is_elsewhere: false }))
}

/// For the OpenAPI document.
pub fn describe() -> Value {
    let mut operation = zarr::describe();
    operation["summary"] = json!("The same hierarchy as Zarr v2, for older clients");
    operation["description"] = json!(
        "`key` is `.zmetadata`, `.zgroup`, `.zattrs`, `ARRAY/.zarray`, `ARRAY/.zattrs` or a chunk key such as \
         `sst/0.0.0`. The bytes of chunks are the stored ones; the chunks of a sharded array are its inner chunks. \
         What v2 cannot say is left out and listed in the root's attribute `graticule:left_out`."
    );
    operation["operationId"] = json!("getZarr2");
    operation
}
