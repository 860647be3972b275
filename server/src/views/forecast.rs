//! One time axis out of a forecast's two, as the collections of a forecast model run are known:
//! the best estimate, a single run, a constant lead, a constant time of validity.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use futures::future::BoxFuture;
use graticule_shared::cube::Dim;
use graticule_shared::dtype::DataType;
use graticule_shared::node;
use graticule_shared::time::{CfTime, TimeUnits};
use graticule_shared::units::Unit;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::array;
use super::tree::{Make, Source, Tree, effort_of};
use crate::opened::{Opened, unravel};
use crate::recipe::Section;
use crate::store::{Effort, Snapshot, slab};

/// `[forecast]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", tag = "take")]
pub enum Forecast {
    /// Of each time of validity, what the latest run says.
    Best,
    /// All of one run; the latest where none is named.
    Run { run: Option<String> },
    /// What each run says so many hours ahead.
    Lead { lead_hours: f64 },
    /// What each run says of one time.
    Valid { valid: String },
}

impl Forecast {
    pub const KEYS: [&str; 4] = ["take", "run", "lead_hours", "valid"];

    pub fn read(s: &Section<'_>) -> anyhow::Result<Self> {
        let take = s.text("take")?;
        let out = match take.as_deref() {
            Some("best") => Self::Best,
            Some("run") => Self::Run { run: s.text("run")?.filter(|r| r != "latest") },
            Some("lead") => Self::Lead {
                lead_hours: s
                    .number("lead_hours")?
                    .context("forecast.lead_hours: expected hours, found nothing")?,
            },
            Some("valid") => Self::Valid {
                valid: s.text("valid")?.context("forecast.valid: expected an instant, found nothing")?,
            },
            _ => return Err(s.wrong("take", "best, run, lead or valid")),
        };
        for (key, own) in [("run", "run"), ("lead_hours", "lead"), ("valid", "valid")] {
            if s.get(key).is_some() && take.as_deref() != Some(own) {
                bail!("{}: only with take = {own:?}", s.path(key));
            }
        }
        Ok(out)
    }
}

/// Where along run and lead each step of the new axis is, in its order.
fn steps(
    what: &Forecast,
    runs: &[f64],
    leads: &[f64],
    instant: impl Fn(&str) -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<(u64, u64)>> {
    let near = |a: f64, b: f64| (a - b).abs() < 0.5;
    let mut out = Vec::new();
    match what {
        Forecast::Best => {
            // To the second; the shortest lead of a time is the latest run's.
            let mut best: BTreeMap<i64, (f64, u64, u64)> = BTreeMap::new();
            for (r, run) in runs.iter().enumerate() {
                for (l, lead) in leads.iter().enumerate().filter(|(_, l)| **l >= 0.0) {
                    let slot = best.entry((run + lead).round() as i64).or_insert((f64::INFINITY, 0, 0));
                    if *lead < slot.0 {
                        *slot = (*lead, r as u64, l as u64);
                    }
                }
            }
            out.extend(best.into_values().map(|(_, r, l)| (r, l)));
        }
        Forecast::Run { run } => {
            let r = match run {
                Some(text) => {
                    let at = instant(text)?;
                    runs.iter()
                        .position(|r| near(*r, at))
                        .with_context(|| format!("run: none began at {text}"))?
                }
                None => (0..runs.len()).max_by(|a, b| runs[*a].total_cmp(&runs[*b])).context("no run")?,
            };
            let mut order: Vec<usize> = (0..leads.len()).collect();
            order.sort_by(|a, b| leads[*a].total_cmp(&leads[*b]));
            out.extend(order.into_iter().map(|l| (r as u64, l as u64)));
        }
        Forecast::Lead { lead_hours } => {
            let l = leads.iter().position(|l| near(*l, lead_hours * 3600.0)).with_context(|| {
                let there: Vec<String> = leads.iter().take(24).map(|l| (l / 3600.0).to_string()).collect();
                format!("lead_hours: none is {lead_hours}; there are {}", there.join(", "))
            })?;
            let mut order: Vec<usize> = (0..runs.len()).collect();
            order.sort_by(|a, b| runs[*a].total_cmp(&runs[*b]));
            out.extend(order.into_iter().map(|r| (r as u64, l as u64)));
        }
        Forecast::Valid { valid } => {
            let at = instant(valid)?;
            let mut order: Vec<usize> = (0..runs.len()).collect();
            order.sort_by(|a, b| runs[*a].total_cmp(&runs[*b]));
            for r in order {
                let found = leads.iter().position(|l| near(runs[r] + l, at));
                out.extend(found.map(|l| (r as u64, l as u64)));
            }
            anyhow::ensure!(!out.is_empty(), "valid: no run says anything of {valid}");
        }
    }
    anyhow::ensure!(!out.is_empty(), "no step is left");
    Ok(out)
}

/// Takes pairs of run and lead as steps of one dimension, which lies where the run's was.
struct Gathered {
    path: String,
    run: usize,
    lead: usize,
    pairs: Arc<Vec<(u64, u64)>>,
    size: usize,
}

impl Gathered {
    /// Which of the result's dimensions is the new one.
    fn axis(&self) -> usize {
        if self.lead < self.run { self.run - 1 } else { self.run }
    }
}

impl Make for Gathered {
    fn effort(&self, base: &Snapshot, shape: &[u64]) -> Effort {
        // At worst each step is of another run.
        let axis = self.axis();
        let mut own = shape.to_vec();
        let Some(steps) = own.get_mut(axis).map(|n| std::mem::replace(n, 1)) else {
            return Effort::default();
        };
        own.insert(self.lead.min(own.len()), 1);
        effort_of(base, &self.path, &own).times(steps)
    }

    fn slab<'a>(
        &'a self,
        base: &'a Arc<Snapshot>,
        start: &'a [u64],
        count: &'a [u64],
    ) -> BoxFuture<'a, anyhow::Result<Vec<u8>>> {
        Box::pin(async move {
            let axis = self.axis();
            let from = start[axis] as usize;
            let wanted =
                self.pairs.get(from..from + count[axis] as usize).context("steps that there are not")?;
            let mut out = vec![0; count.iter().product::<u64>() as usize * self.size];
            let mut done = 0;
            while done < wanted.len() {
                // Of one run as many leads as follow each other.
                let (r, l) = wanted[done];
                let together =
                    wanted[done..].iter().enumerate().take_while(|(i, p)| **p == (r, l + *i as u64)).count();
                let with = |of: &[u64], run: u64, lead: u64| {
                    let mut all = of.to_vec();
                    all[axis] = run;
                    all.insert(self.lead, lead);
                    all
                };
                let (first, own) = (with(start, r, l), with(count, 1, together as u64));
                let bytes = slab(base, &self.path, &first, &own).await?;
                // What lies between the run's dimension and the lead's is in another order.
                let outer: Vec<u64> = own.iter().take(self.run.max(self.lead) + 1).copied().collect();
                let chunk = bytes.len() / outer.iter().product::<u64>().max(1) as usize;
                for (n, part) in bytes.chunks(chunk.max(1)).enumerate() {
                    let mut index = unravel(n as u64, &outer);
                    let lead = index.remove(self.lead);
                    index[axis] = done as u64 + lead;
                    let shape = &count[..index.len()];
                    let slot = index.iter().zip(shape).fold(0, |at, (i, n)| at * n + i) as usize;
                    if let Some(to) = out.get_mut(slot * part.len()..(slot + 1) * part.len()) {
                        to.copy_from_slice(part);
                    }
                }
                done += together;
            }
            Ok(out)
        })
    }
}

/// # Errors
/// A collection that is no forecast; a run, lead or time that there is not.
pub async fn tree(opened: &Arc<Opened>, what: &Forecast) -> anyhow::Result<Tree> {
    let mut tree = Tree::of(Arc::clone(&opened.snapshot));
    let named = |dim: &Dim, name: &str| {
        let of = dim.coordinate.as_deref().and_then(|c| opened.attributes(c));
        of.and_then(|a| a.get("standard_name")).and_then(Value::as_str) == Some(name)
    };
    let find =
        |name: &str| opened.cube.variables.iter().flat_map(|v| &v.dims).find(|d| named(d, name)).cloned();
    let (Some(run), Some(lead)) = (find("forecast_reference_time"), find("forecast_period")) else {
        bail!(
            "expected dimensions whose standard_name is forecast_reference_time and forecast_period (CF), found none"
        );
    };
    let run_path = run.coordinate.clone().unwrap_or_default();
    let stored = opened.array(&run_path)?.clone();
    let units = TimeUnits::parse(run.units.as_deref().unwrap_or_default(), run.calendar.as_deref())?;
    let values = opened.axis_values(&run_path).await?;
    let seconds = |v: f64| -> anyhow::Result<f64> { Ok(units.decode(v)?.epoch_secs(units.calendar)) };
    let runs: Vec<f64> = values.iter().map(|v| seconds(*v)).collect::<Result<_, _>>()?;
    let lead_units = lead.units.clone().unwrap_or_default();
    let to_seconds = Unit::parse(&lead_units).zip(Unit::parse("s"));
    let leads = opened.axis_values(&lead.coordinate.clone().unwrap_or_default()).await?;
    let leads: Vec<f64> = leads
        .iter()
        .map(|l| to_seconds.and_then(|(own, s)| own.convert(*l, &s)))
        .collect::<Option<_>>()
        .with_context(|| format!("{}: units {lead_units:?} are none of time", lead.name))?;
    let pairs = steps(what, &runs, &leads, |text| {
        let t = CfTime::parse(text.trim_end_matches('Z'), units.calendar)
            .map_err(|e| anyhow::anyhow!("{text:?}: {e}; expected such as 2024-01-01T00:00:00Z"))?;
        Ok(t.epoch_secs(units.calendar))
    })?;
    let pairs = Arc::new(pairs);
    let n = pairs.len() as u64;
    let new = if matches!(what, Forecast::Valid { .. }) { "forecast_reference_time" } else { "time" };
    let mut made: Vec<String> = Vec::new();
    for variable in &opened.cube.variables {
        for level in &variable.levels {
            let a = opened.array(&level.array)?;
            let at = |name: &str| a.dims.iter().position(|d| d == name);
            let (Some(r), Some(l)) = (at(&run.name), at(&lead.name)) else { continue };
            let size = a.dtype.context("not numeric")?.size();
            let make = Gathered { path: a.path.clone(), run: r, lead: l, pairs: Arc::clone(&pairs), size };
            let axis = make.axis();
            let together = match what {
                Forecast::Best | Forecast::Run { .. } => a.block_shape()[l],
                _ => 1,
            };
            let without = |of: &[u64], with: u64| {
                let mut all = of.to_vec();
                all.remove(l);
                all[axis] = with;
                all
            };
            let mut dims = a.dims.clone();
            dims.remove(l);
            dims[axis] = new.to_owned();
            let (shape, chunk) = (without(&a.shape, n), without(a.block_shape(), together.min(n)));
            let mut document = array::reshaped(a, &shape, &chunk, &dims).context("not numeric")?;
            let others =
                ["forecast_reference_time", "forecast_period", "time"].into_iter().filter(|o| *o != new);
            let gone = [run.name.as_str(), lead.name.as_str(), "valid_time"];
            let before = a.attributes.get("coordinates").and_then(Value::as_str).unwrap_or_default();
            let named: Vec<&str> =
                before.split_whitespace().filter(|c| !gone.contains(c)).chain(others).collect();
            document["attributes"]["coordinates"] = json!(named.join(" "));
            tree.put(&a.path, document, Source::Made(Box::new(make)));
            made.push(a.path.clone());
        }
    }
    anyhow::ensure!(!made.is_empty(), "no variable has both {} and {}", run.name, lead.name);
    let both = [run.name.as_str(), lead.name.as_str()];
    let h = &opened.hierarchy;
    tree.retain(|path| {
        made.iter().any(|m| m == path)
            || !h.arrays.get(path).is_some_and(|a| a.dims.iter().any(|d| both.contains(&d.as_str())))
    });
    // Of a whole day: that of a second would be lost beside the years before it.
    let on = |day: u8| units.encode(CfTime { year: 1970, month: 1, day, micros_of_day: 0 });
    let day = on(2) - on(1);
    let of =
        |pick: &dyn Fn(u64, u64) -> f64| -> Vec<f64> { pairs.iter().map(|(r, l)| pick(*r, *l)).collect() };
    let at = |list: &[f64], i: u64| list.get(i as usize).copied().unwrap_or(f64::NAN);
    let valid = of(&|r, l| at(&values, r) + at(&leads, l) / 86_400.0 * day);
    let reference = of(&|r, _| at(&values, r));
    let ahead = of(&|_, l| at(&leads, l) / 3600.0);
    let stamp = |standard: &str, long: &str| -> Map<String, Value> {
        let mut out = Map::new();
        out.insert("standard_name".into(), json!(standard));
        out.insert("long_name".into(), json!(long));
        for key in ["units", "calendar"] {
            out.extend(stored.attributes.get(key).map(|v| (key.to_owned(), v.clone())));
        }
        out
    };
    let mut hours = Map::new();
    hours.insert("standard_name".into(), json!("forecast_period"));
    hours.insert("long_name".into(), json!("time since forecast_reference_time"));
    hours.insert("units".into(), json!("hours"));
    for group in node::groups(made.iter().map(String::as_str)) {
        for (name, mut attributes, values) in [
            ("time", stamp("time", "time"), &valid),
            (
                "forecast_reference_time",
                stamp("forecast_reference_time", "initial time of forecast"),
                &reference,
            ),
            ("forecast_period", hours.clone(), &ahead),
        ] {
            if name == new {
                attributes.insert("axis".into(), json!("T"));
            }
            let path = node::within(group, name);
            let document = array::document(DataType::Float64, &[n], &[n], &[new.to_owned()], attributes);
            tree.put(&path, document, Source::Whole(array::bytes_of(values, DataType::Float64)));
        }
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    const H: f64 = 3600.0;

    fn pairs(what: &Forecast) -> anyhow::Result<Vec<(u64, u64)>> {
        let runs = [0.0, 12.0 * H, 24.0 * H];
        let leads = [0.0, 6.0 * H, 12.0 * H, 18.0 * H];
        steps(what, &runs, &leads, |t| Ok(t.parse::<f64>()? * H))
    }

    #[test]
    fn the_best_estimate_is_what_the_latest_run_says() {
        let best = pairs(&Forecast::Best).unwrap();
        assert_eq!(best, [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 3)]);
    }

    #[test]
    fn runs_leads_and_times_of_validity_are_lines_through_a_forecast() {
        assert_eq!(pairs(&Forecast::Run { run: None }).unwrap(), [(2, 0), (2, 1), (2, 2), (2, 3)]);
        assert_eq!(pairs(&Forecast::Run { run: Some("12".into()) }).unwrap()[0], (1, 0));
        assert_eq!(pairs(&Forecast::Lead { lead_hours: 12.0 }).unwrap(), [(0, 2), (1, 2), (2, 2)]);
        assert_eq!(pairs(&Forecast::Valid { valid: "12".into() }).unwrap(), [(0, 2), (1, 0)]);
        assert!(pairs(&Forecast::Valid { valid: "90".into() }).is_err());
        assert!(
            pairs(&Forecast::Lead { lead_hours: 5.0 })
                .unwrap_err()
                .to_string()
                .contains("there are 0, 6, 12, 18")
        );
    }
}
