#![allow(dead_code, unused_imports, reason = "the commands that use the store are being written")]

mod codec;
mod ingest;
mod store;

use std::sync::Arc;

struct Nobody;
impl ingest::Publish for Nobody {
    async fn publish(&self, _: &store::Store, _: &str, _: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args: Vec<String> = std::env::args().skip(2).collect();
    let mut take = |name: &str| -> Option<String> {
        let at = args.iter().position(|a| a == name)?;
        let v = args.remove(at + 1);
        args.remove(at);
        Some(v)
    };
    let collection = take("--collection").unwrap_or_default();
    let data = take("--data").unwrap_or("graticule-data".into());
    let append = take("--append");
    let store = store::Store::open(data.as_ref())?;
    let request =
        ingest::IngestRequest { collection, inputs: args.iter().map(Into::into).collect(), append };
    let progress: Arc<dyn ingest::progress::Progress> = ingest::progress::for_stderr().into();
    let report = ingest::ingest(&store, &Nobody, &request, progress, Arc::default()).await?;
    for g in &report.granules {
        println!("{g}");
        for n in &g.notes {
            println!("   {n}");
        }
    }
    println!("{:?} {:.1} s", report.version, report.seconds);
    std::process::exit(if report.is_complete() { 0 } else { 1 })
}
