//! What of a cube of references goes out again: its full resolution, with what describes it.

use graticule_formats::FileCodec;
use graticule_shared::zarr::ArrayMeta;
use serde_json::{Map, Value, json};

use crate::store::Snapshot;
use crate::zarr2;

type Attributes = Map<String, Value>;

/// Groups and arrays but for the coarser levels, which are no references.
pub(super) struct Contents<'s> {
    /// Of the root.
    pub(super) attributes: Attributes,
    pub(super) groups: Vec<(&'s String, &'s Attributes)>,
    pub(super) arrays: Vec<(&'s String, &'s ArrayMeta)>,
    /// `.zarray` and `.zattrs` of each array: version 2 of Zarr, which every reader of references
    /// knows. `None` where it cannot say all of them.
    pub(super) v2: Option<Vec<(Value, Value)>>,
}

impl<'s> Contents<'s> {
    /// # Errors
    /// A version without references, or with chunks that only this server decodes.
    pub(super) fn of(snapshot: &'s Snapshot) -> anyhow::Result<Self> {
        let id = snapshot.collection();
        anyhow::ensure!(
            super::is_marked(snapshot.hierarchy()),
            "{id} refers to no files: its chunks are its own, and xarray reads them as Zarr"
        );
        let h = snapshot.hierarchy();
        if let Some(a) = h.arrays.values().find(|a| FileCodec::is_one(&a.metadata["codecs"])) {
            anyhow::bail!(
                "{id}: the chunks of {} are of codec {}, which this server decodes and other readers of references do not: read it at /zarr/{id}, or ingest a copy",
                a.path,
                a.metadata["codecs"][0]["name"]
            );
        }
        let levels: Vec<String> = h
            .attributes
            .get("multiscales")
            .and_then(|m| m["layout"].as_array())
            .into_iter()
            .flatten()
            .filter_map(|l| l["asset"].as_str())
            .filter(|a| *a != ".")
            .map(|a| format!("{a}/"))
            .collect();
        let coarser = |path: &str| levels.iter().any(|l| format!("{path}/").starts_with(l.as_str()));
        let mut attributes = h.attributes.clone();
        for about in ["multiscales", "zarr_conventions", super::MARK] {
            attributes.shift_remove(about);
        }
        let arrays: Vec<_> = h.arrays.iter().filter(|(p, _)| !coarser(p)).collect();
        // A shard is one object, and a reference names objects.
        let said = |a: &ArrayMeta| zarr2::array(a).ok().filter(|_| a.sharding.is_none());
        let v2 = arrays.iter().map(|(_, a)| Some(said(a)?.into_pair())).collect();
        let groups = h.groups.iter().filter(|(p, _)| !coarser(p)).collect();
        Ok(Self { attributes, groups, arrays, v2 })
    }

    /// Metadata of version 2 by its key, but for the arrays'.
    pub(super) fn groups_v2(&self) -> Vec<(String, Value)> {
        let group = || json!({"zarr_format": 2});
        let mut out = vec![
            (".zgroup".to_owned(), group()),
            (".zattrs".to_owned(), Value::Object(self.attributes.clone())),
        ];
        out.extend(self.groups.iter().map(|(path, _)| (format!("{path}/.zgroup"), group())));
        out
    }
}
