//! `/api/rules`: what starts runs by itself.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

use super::query::Query;
use super::respond::{Document, JSON};
use super::{App, doc};
use crate::problem::{Answer, Problem};
use crate::recipe::Rule;

pub async fn list(
    State(app): State<Arc<App>>,
    RawQuery(text): RawQuery,
    headers: HeaderMap,
) -> Answer<Response<Body>> {
    Query::of_document(text.as_deref(), JSON)?;
    let base = app.base(&headers);
    let folder = app.config.recipes.clone();
    let runs = format!("{base}/api/runs");
    let read = move |jobs: &crate::jobs::Jobs| -> anyhow::Result<Vec<Value>> {
        let Some(folder) = folder else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for id in folder.ids()? {
            // One that cannot be read is said by /api/recipes.
            let Ok(recipe) = folder.get(&id) else { continue };
            let Some(rule) = &recipe.rule else { continue };
            let mut one = json!({"recipe": id, "collection": recipe.collection.id});
            match rule {
                Rule::Watch(_) => one["watch"] = json!(true),
                Rule::Cron(cron) => {
                    one["cron"] = json!(cron.as_str());
                    // Of a rule that was just changed it is not known yet.
                    let known = jobs.scheduled(&id)?.filter(|s| s.cron == cron.as_str());
                    if let Some(known) = known {
                        one["next"] = json!(known.next);
                        let run = known.run.map(|r| json!({"rel": "run", "href": format!("{runs}/{r}")}));
                        one["links"] = run.into_iter().collect();
                    }
                }
            }
            out.push(one);
        }
        Ok(out)
    };
    let rules = app.jobs_checked(read).await?.map_err(Problem::internal)?;
    let links = json!([
        {"rel": "self", "type": "application/json", "href": format!("{base}/api/rules")},
        {"rel": "recipes", "type": "application/json", "href": format!("{base}/api/recipes")},
    ]);
    Ok(Document::json(&json!({"rules": rules, "links": links}))?.answer(&headers))
}

pub fn describe() -> Value {
    let summary = "Rules of recipes, and when each is due next";
    doc::returning(doc::get("Operations", summary, &[], "application/json"), "Rules")
}
