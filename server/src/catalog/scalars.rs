//! Times that are no dimension: scalar coordinate variables (CF section 5.7), as the one
//! image of a satellite or a field of one day has them.

use graticule_shared::cube::{Role, Variable};
use graticule_shared::node;
use graticule_shared::time::TimeUnits;
use serde_json::Value;

use super::facts::Facts;
use crate::opened::Opened;

impl Facts {
    /// Widens the temporal extent by the times that `v` names as its scalar coordinates.
    pub(super) async fn add_scalar_times(&mut self, opened: &Opened, v: &Variable) {
        if v.dim(Role::T).is_some() {
            return;
        }
        let names = v.attributes.get("coordinates").and_then(Value::as_str).unwrap_or_default();
        for name in names.split_whitespace() {
            let path = node::beside(&v.path, name);
            let Ok(array) = opened.array(&path) else { continue };
            let text = |key: &str| array.attributes.get(key).and_then(Value::as_str);
            if !array.shape.is_empty() || text("standard_name") != Some("time") {
                continue;
            }
            let units = TimeUnits::parse(text("units").unwrap_or_default(), text("calendar"));
            match (units, opened.scalar_value(&path).await) {
                (Ok(units), Ok(value)) => {
                    let at = units.decode(value).ok();
                    self.widen_time(&units, at.as_ref(), at.as_ref());
                }
                (Err(e), _) => self.notes.push(format!("{path}: {e}")),
                (_, Err(e)) => self.notes.push(format!("{path}: value not read: {e:#}")),
            }
        }
    }
}
