//! What coverages are written as.

mod arrow;
mod covjson;
mod csv;
mod geojson;
mod netcdf;
mod parquet;
mod rows;

use super::Coverage;
use crate::accept;
use crate::problem::{Answer, Kind, Problem};

pub use netcdf::Source;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    CoverageJson,
    Csv,
    GeoJson,
    NetCdf,
    Parquet,
    Arrow,
}

impl Format {
    pub const ALL: [Self; 6] =
        [Self::CoverageJson, Self::Csv, Self::GeoJson, Self::NetCdf, Self::Parquet, Self::Arrow];

    /// The name that EDR collections list.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CoverageJson => "CoverageJSON",
            Self::Csv => "CSV",
            Self::GeoJson => "GeoJSON",
            Self::NetCdf => "NetCDF4",
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
        }
    }

    pub const fn media_type(self) -> &'static str {
        match self {
            Self::CoverageJson => "application/vnd.cov+json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::GeoJson => "application/geo+json",
            Self::NetCdf => "application/x-netcdf",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// The end of a file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::CoverageJson => "covjson",
            Self::Csv => "csv",
            Self::GeoJson => "geojson",
            Self::NetCdf => "nc",
            Self::Parquet => "parquet",
            Self::Arrow => "arrows",
        }
    }

    /// Values in one answer: what names every value's place takes more of memory.
    pub const fn most_values(self) -> u64 {
        match self {
            Self::CoverageJson | Self::NetCdf => super::MAX_VALUES,
            Self::Csv | Self::Parquet | Self::Arrow => super::MAX_VALUES / 2,
            Self::GeoJson => super::MAX_VALUES / 8,
        }
    }

    /// By the value of `f`.
    pub fn named(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "coveragejson" | "covjson" | "json" => Self::CoverageJson,
            "csv" => Self::Csv,
            "geojson" => Self::GeoJson,
            "netcdf4" | "netcdf" | "nc" => Self::NetCdf,
            "parquet" => Self::Parquet,
            "arrow" | "arrows" => Self::Arrow,
            _ => return None,
        })
    }

    /// By `f` first, `Accept` second (OGC API Common).
    ///
    /// # Errors
    /// Neither names a format that is written here.
    pub fn negotiated(f: Option<&str>, accept: Option<&str>) -> Answer<Self> {
        let names = || Self::ALL.map(Self::name).join(", ");
        if let Some(f) = f {
            return Self::named(f)
                .ok_or_else(|| Problem::parameter("f", f, format!("expected one of {}", names())));
        }
        let Some(accept) = accept else { return Ok(Self::CoverageJson) };
        for t in accept::preferred(accept) {
            let own = Self::ALL.into_iter().find(|f| f.media_type().split(';').next() == Some(t));
            let any =
                ["*/*", "application/*", "application/json", "application/prs.coverage+json", "text/html"];
            match own {
                Some(format) => return Ok(format),
                // A browser that asks for a page gets the data all the same.
                None if any.contains(&t) => return Ok(Self::CoverageJson),
                None if t == "application/netcdf" => return Ok(Self::NetCdf),
                None if t == "text/*" => return Ok(Self::Csv),
                None => {}
            }
        }
        let types = Self::ALL.map(Self::media_type).join(", ");
        Err(Problem::new(Kind::NotAcceptable, format!("Accept {accept:?} names none of {types}.")))
    }

    /// # Errors
    /// More than the format holds.
    pub fn write(self, coverages: &[Coverage], source: &Source) -> Answer<Vec<u8>> {
        match self {
            Self::CoverageJson => covjson::write(coverages),
            Self::Csv => Ok(csv::write(coverages)),
            Self::GeoJson => geojson::write(coverages),
            Self::NetCdf => netcdf::write(coverages, source),
            Self::Parquet => parquet::write(coverages),
            Self::Arrow => arrow::write(coverages, source),
        }
    }
}
