//! What parameters and centres are called.
//!
//! The tables are those of ecCodes (see `tables/make.py`): the WMO's parameters
//! and the local ones of several centres. A parameter that is in none of them keeps
//! its numbers as its name.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::field::{Field, Parameter};
use super::units;

/// A name with what belongs to it; empty where the tables say nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) short: String,
    pub(crate) long: String,
    pub(crate) units: String,
    pub(crate) standard: String,
}

struct Entry {
    /// `None` for those of the WMO.
    centre: Option<u16>,
    /// Key and value; no value where the key must be missing.
    conditions: Vec<(&'static str, Option<i64>)>,
    short: &'static str,
    units: &'static str,
    long: &'static str,
    standard: &'static str,
}

type Table = HashMap<Parameter, Vec<Entry>>;

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table::new();
        load(&mut table, include_str!("tables/parameters1.tsv"), 2, |n| match n {
            [table, indicator] => Some(Parameter::Edition1 { table: *table, indicator: *indicator }),
            _ => None,
        });
        load(&mut table, include_str!("tables/parameters2.tsv"), 3, |n| match n {
            [discipline, category, number] => {
                Some(Parameter::Edition2 { discipline: *discipline, category: *category, number: *number })
            }
            _ => None,
        });
        table
    })
}

fn load(table: &mut Table, text: &'static str, numbers: usize, key: impl Fn(&[u8]) -> Option<Parameter>) {
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let columns: Vec<&'static str> = line.split('\t').collect();
        let Some((centre, rest)) = columns.split_first() else { continue };
        let (Some(n), Some([conditions, short, units, long, standard])) = (
            rest.get(..numbers).map(|n| n.iter().filter_map(|x| x.parse().ok()).collect::<Vec<u8>>()),
            rest.get(numbers..),
        ) else {
            continue;
        };
        let Some(parameter) = key(&n) else { continue };
        let conditions = conditions
            .split(',')
            .filter_map(|c| c.split_once('='))
            .map(|(k, v)| (k, v.parse().ok()))
            .collect::<Vec<_>>();
        let centre = centre.parse().ok();
        table.entry(parameter).or_default().push(Entry { centre, conditions, short, units, long, standard });
    }
}

/// The name of a field's parameter.
pub(crate) fn of(field: &Field) -> Name {
    let p = &field.product;
    // Centres that use ECMWF's tables say so in the sub-centre.
    let local = |c: u16| c == field.centre || c == 98 && field.subcentre == 98;
    let met = |entry: &&Entry| {
        entry.centre.is_none_or(local)
            && entry.conditions.iter().all(|(key, want)| {
                let have = p.keys.iter().find(|(k, _)| k == key).map(|(_, v)| *v);
                have == *want
            })
    };
    let best = table()
        .get(&p.parameter)
        .into_iter()
        .flatten()
        .filter(met)
        .max_by_key(|e| (e.conditions.len(), e.centre.is_some()));
    let short = match (best.map_or("", |e| e.short), p.parameter) {
        ("", Parameter::Edition1 { table, indicator }) => format!("t{table}_p{indicator}"),
        ("", Parameter::Edition2 { discipline, category, number }) => {
            format!("d{discipline}_c{category}_n{number}")
        }
        (short, _) => safe(short),
    };
    best.map_or_else(
        || Name { short: short.clone(), long: String::new(), units: String::new(), standard: String::new() },
        |e| Name {
            short: short.clone(),
            long: e.long.to_owned(),
            units: units::of(e.units, e.long),
            standard: e.standard.to_owned(),
        },
    )
}

/// A name that can be a key of a store.
pub(crate) fn safe(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' })
        .collect()
}

/// WMO Common Code Table C-11: the identifier in four letters and the name of the
/// centres that are met most.
pub(crate) fn centre(code: u16) -> Option<(&'static str, &'static str)> {
    Some(match code {
        1 => ("ammc", "Melbourne (WMC)"),
        4 => ("rums", "Moscow (WMC)"),
        7 => ("kwbc", "US National Weather Service, National Centres for Environmental Prediction (NCEP)"),
        8 => ("kwbd", "US National Weather Service Telecommunications Gateway (NWSTG)"),
        28 => ("vabb", "New Delhi (RSMC)"),
        34 => ("rjtd", "Japanese Meteorological Agency (JMA)"),
        38 => ("babj", "Beijing (RSMC)"),
        40 => ("rksl", "Korea Meteorological Administration (KMA)"),
        46 => ("sbsj", "Brazilian Space Agency (INPE)"),
        54 => ("cwao", "Canadian Meteorological Service, Montreal (RSMC)"),
        58 => ("fnmo", "US Navy Fleet Numerical Meteorology and Oceanography Center"),
        59 => ("fsl", "NOAA Forecast Systems Laboratory"),
        74 => ("egrr", "UK Meteorological Office, Exeter (RSMC)"),
        78 => ("edzw", "Deutscher Wetterdienst, Offenbach (RSMC)"),
        80 => ("cnmc", "Rome (RSMC)"),
        82 => ("eswi", "Swedish Meteorological and Hydrological Institute, Norrkoping"),
        84 | 85 => ("lfpw", "Meteo-France, Toulouse"),
        86 => ("efkl", "Finnish Meteorological Institute, Helsinki"),
        87 => ("belg", "Belgrade"),
        88 => ("enmi", "Norwegian Meteorological Institute, Oslo"),
        94 => ("ekmi", "Danish Meteorological Institute, Copenhagen"),
        97 => ("esa", "European Space Agency"),
        98 => ("ecmf", "European Centre for Medium-Range Weather Forecasts"),
        99 => ("knmi", "KNMI, De Bilt"),
        161 => ("noaa-oar", "US NOAA Office of Oceanic and Atmospheric Research"),
        200 => ("cosmo", "COSMO"),
        214 => ("lemm", "AEMET, Madrid"),
        215 => ("lssw", "MeteoSwiss, Zurich"),
        233 => ("eidb", "Met Eireann, Dublin"),
        254 => ("eums", "EUMETSAT"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_whole() {
        let entries: usize = table().values().map(Vec::len).sum();
        let lines = |t: &str| t.lines().filter(|l| !l.starts_with('#')).count();
        let all =
            lines(include_str!("tables/parameters1.tsv")) + lines(include_str!("tables/parameters2.tsv"));
        assert_eq!(entries, all, "a line was not understood");
        assert!(all > 10_000);
        let odd = |t: &str, column: usize| {
            t.lines().skip(1).any(|l| {
                let conditions = l.split('\t').nth(column).unwrap_or_default();
                conditions
                    .split(',')
                    .filter_map(|c| c.split_once('='))
                    .any(|(_, v)| v != "x" && v.parse::<i64>().is_err())
            })
        };
        assert!(
            !odd(include_str!("tables/parameters1.tsv"), 3)
                && !odd(include_str!("tables/parameters2.tsv"), 4)
        );
    }

    #[test]
    fn names_suit_netcdf() {
        assert_eq!(safe("10fg/1"), "10fg_1");
    }
}
