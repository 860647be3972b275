//! What a check found: for people in groups, the gravest first; for machines as JSON with
//! codes that do not change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

/// Lines of one kind that people are shown.
const SHOWN: usize = 5;

/// What is wrong. The names in JSON are stable; docs/check.md says what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    // Data that is lost.
    TipUnreadable,
    VersionUnreadable,
    ManifestUnreadable,
    ObjectMissing,
    ObjectShort,
    ObjectCorrupt,
    ChunkUndecodable,
    ChunkOutside,
    LineageUnreadable,
    // References.
    ReferenceMissing,
    ReferenceChanged,
    // Metadata against its rules.
    ZarrInvalid,
    MultiscalesInvalid,
    SpatialInvalid,
    ProjInvalid,
    LevelShape,
    CfCoordinateMissing,
    CfUnits,
    CfTime,
    CfNotMonotonic,
    // The catalog against the stores.
    CatalogMissing,
    CatalogCorrupt,
    CollectionMissing,
    CollectionExtra,
    CollectionStale,
    CollectionDiffers,
    ItemMissing,
    ItemExtra,
    ItemDiffers,
    CountsDiffer,
    // What should not be there.
    Orphan,
    Unpublished,
    // Sources.
    SourceMissing,
    SourceChanged,
}

impl Code {
    /// What to do about it.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::TipUnreadable => {
                "restore refs/branch.main/ref.json from a backup; it names the latest snapshot"
            }
            Self::VersionUnreadable | Self::ManifestUnreadable => {
                "restore the file from a backup, or roll back to a version that reads"
            }
            Self::ObjectMissing | Self::ObjectShort | Self::ObjectCorrupt | Self::ChunkUndecodable => {
                "restore the object from a backup, or ingest its granule again with --duplicates replace"
            }
            Self::ChunkOutside | Self::ZarrInvalid => {
                "ingest the collection anew; its metadata contradicts itself"
            }
            Self::LineageUnreadable => "restore lineage.json from a backup; it says what expired",
            Self::ReferenceMissing | Self::ReferenceChanged => {
                "bring the origin back as it was, or ingest it again by reference"
            }
            Self::MultiscalesInvalid | Self::SpatialInvalid | Self::ProjInvalid | Self::LevelShape => {
                "ingest the collection anew; maps may show its coarser levels in the wrong place"
            }
            Self::CfCoordinateMissing | Self::CfUnits | Self::CfTime | Self::CfNotMonotonic => {
                "correct the source's attributes and ingest it anew; clients may misread this variable"
            }
            Self::CatalogMissing
            | Self::CatalogCorrupt
            | Self::CollectionMissing
            | Self::CollectionExtra
            | Self::CollectionStale
            | Self::CollectionDiffers
            | Self::ItemMissing
            | Self::ItemExtra
            | Self::ItemDiffers
            | Self::CountsDiffer => "`graticule check --repair` writes the catalog anew from the store",
            Self::Orphan | Self::Unpublished => {
                "an ingest died here; `graticule check --repair` removes it, and so does the next ingest"
            }
            Self::SourceMissing => "nothing, unless the granule is to be ingested again",
            Self::SourceChanged => "ingest it again with --duplicates replace, if the new content is wanted",
        }
    }

    /// Whether `--repair` sets it right.
    pub const fn is_repairable(self) -> bool {
        matches!(
            self,
            Self::CatalogMissing
                | Self::CatalogCorrupt
                | Self::CollectionMissing
                | Self::CollectionExtra
                | Self::CollectionStale
                | Self::CollectionDiffers
                | Self::ItemMissing
                | Self::ItemExtra
                | Self::ItemDiffers
                | Self::CountsDiffer
                | Self::Orphan
                | Self::Unpublished
        )
    }

    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: Code,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Of the node, chunk, item or file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub detail: String,
    pub advice: &'static str,
    pub repairable: bool,
}

impl Finding {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            collection: None,
            version: None,
            path: None,
            detail: detail.into(),
            advice: code.advice(),
            repairable: code.is_repairable(),
        }
    }
    pub fn of(mut self, collection: &str) -> Self {
        self.collection = Some(collection.to_owned());
        self
    }
    pub fn in_version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub collections: u64,
    pub versions: u64,
    pub chunks: u64,
    pub objects: u64,
    pub bytes: u64,
    pub items: u64,
    /// Every chunk was decoded and compared with its name.
    pub deep: bool,
    /// What could not be looked at, and why.
    pub notes: Vec<String>,
    /// What was wrong and was set right.
    pub repaired: Vec<Finding>,
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(
            out,
            "{} collections, {} versions, {} chunks in {} objects ({:.1} MB){}, {} items",
            self.collections,
            self.versions,
            self.chunks,
            self.objects,
            self.bytes as f64 / 1e6,
            if self.deep { ", all decoded" } else { "" },
            self.items
        );
        for note in &self.notes {
            let _ = writeln!(out, "note: {note}");
        }
        groups(&mut out, "repaired: ", &self.repaired);
        groups(&mut out, "", &self.findings);
        let verdict = match (self.findings.len(), self.repaired.len()) {
            (0, 0) => "nothing is wrong".to_owned(),
            (0, n) => format!("{n} repaired; nothing else is wrong"),
            (1, _) => "1 finding".to_owned(),
            (n, _) => format!("{n} findings"),
        };
        let _ = writeln!(out, "{verdict}");
        out
    }

    /// For machines.
    pub fn json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        value["ok"] = self.is_clean().into();
        value
    }
}

fn groups(out: &mut String, lead: &str, findings: &[Finding]) {
    let mut by: BTreeMap<(Code, &Option<String>), Vec<&Finding>> = BTreeMap::new();
    for f in findings {
        by.entry((f.code, &f.collection)).or_default().push(f);
    }
    for ((code, collection), list) in by {
        let place = collection.as_deref().unwrap_or("catalog");
        let _ = writeln!(out, "\n{lead}{place}: {} ({})", code.name(), list.len());
        for f in list.iter().take(SHOWN) {
            let version = f.version.as_ref().map_or(String::new(), |v| format!("@{v} "));
            let path = f.path.as_ref().map_or(String::new(), |p| format!("{p}: "));
            let _ = writeln!(out, "  {version}{path}{}", f.detail);
        }
        if list.len() > SHOWN {
            let _ = writeln!(out, "  … and {} more; --json lists all", list.len() - SHOWN);
        }
        if lead.is_empty() {
            let _ = writeln!(out, "  → {}", code.advice());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_groups_with_advice_and_machines_stable_codes() {
        let mut report = Report { collections: 1, ..Report::default() };
        for n in 0..7 {
            report.findings.push(Finding::new(Code::Orphan, format!("{n} bytes")).of("c").at("x"));
        }
        report.findings.push(Finding::new(Code::ObjectMissing, "not there").of("c").in_version("V"));
        let text = report.text();
        assert!(text.find("object-missing").unwrap() < text.find("orphan (7)").unwrap());
        assert!(text.contains("… and 2 more") && text.contains("→ an ingest died here"));
        let json = report.json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][0]["code"], "orphan");
        assert_eq!(json["findings"][0]["repairable"], true);
    }
}
