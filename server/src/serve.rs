//! `graticule serve`: everything in one process, and its orderly end.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::background::{self, Ingester};
use crate::catalog::Catalog;
use crate::config::Config;
use crate::grouping::ByRecipe;
use crate::jobs::{self, Jobs, WatchedFolder};
use crate::memory;
use crate::patience::Patiently;
use crate::retention;
use crate::routes::{self, App, chunks::Chunks};
use crate::rules;
use crate::store::Store;

/// How often to look for what another process published.
const NOTICE_EVERY: Duration = Duration::from_millis(500);
/// How long open requests may take to end.
const GRACE: Duration = Duration::from_secs(10);

/// # Errors
/// The data directory or the address cannot be used.
pub fn run(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Idle blocking threads cost memory; they come back when needed.
        .thread_keep_alive(Duration::from_secs(5))
        .build()?;
    let result = runtime.block_on(serve(config));
    runtime.shutdown_timeout(Duration::from_secs(2));
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let store = Arc::new(Store::open(&config.data)?);
    let catalog = Catalog::open(&config.data)?;
    let listener =
        TcpListener::bind(config.bind).await.with_context(|| format!("cannot listen on {}", config.bind))?;
    let address = listener.local_addr()?;
    say(&format!("data     {}", store.root().display()));
    let changed = catalog.reconcile(&store).await?;
    let known = catalog.call_with(|c| c.collections()).await?.len();
    say(&format!("catalog  {known} collections, {} brought up to date", changed.len()));
    if config.demo {
        let n = background::demo(&store, &catalog).await?;
        say(&format!("demo     {n} collections of real data"));
    }
    let incoming = store.root().join("incoming");
    std::fs::create_dir_all(&incoming).with_context(|| incoming.display().to_string())?;
    let mut roots = vec![incoming.clone()];
    roots.extend(config.watch.iter().map(|w| w.folder.clone()));
    let grouping = Arc::new(ByRecipe(config.recipes.clone()));
    let queue = Jobs::open(Arc::clone(&catalog), roots, Arc::clone(&config.allow_urls), grouping)?;
    let ingester = Ingester {
        store: Arc::clone(&store),
        catalog: Arc::clone(&catalog),
        runtime: tokio::runtime::Handle::current(),
        recipes: config.recipes.clone(),
        allow_urls: Arc::clone(&config.allow_urls),
        turn: Arc::new(Semaphore::new(1)),
    };
    let bake: Arc<dyn jobs::Bake> = Arc::new(ingester);
    jobs::spawn(&queue, &bake);
    say(&format!("ingest   in the background; runs may name files in {}", incoming.display()));
    if let Some(recipes) = &config.recipes {
        let ids = recipes.ids().with_context(|| format!("recipes: {}", recipes.path().display()))?;
        say(&format!("recipes  {} in {}", ids.len(), recipes.path().display()));
    }
    for w in &config.watch {
        let folder = WatchedFolder {
            folder: w.folder.clone(),
            collection: w.collection.clone(),
            recipe: w.recipe.clone(),
            depth: None,
        };
        tokio::spawn(jobs::watch(Arc::clone(&queue), folder));
        say(&format!("watching {} for {}", w.folder.display(), w.collection));
    }
    let (stop, stopping) = watch::channel(false);
    let app = Arc::new(App {
        chunks: Chunks::new(Arc::clone(&store), catalog.follow()),
        opened: quick_cache::sync::Cache::new(routes::KEPT_OPENED),
        pictures: crate::pictures::Pictures::default(),
        previews: quick_cache::sync::Cache::new(routes::KEPT_PREVIEWS),
        answers: crate::answers::Answers::new(store.root()),
        budget: tokio::sync::Semaphore::new(routes::edr::BUDGET_KIB),
        planning: tokio::sync::Semaphore::new(routes::edr::PLANS),
        making: tokio::sync::Semaphore::new(routes::edr::MADE_LATER),
        queue,
        config,
        store,
        catalog,
        stopping: stopping.clone(),
    });
    routes::edr::later::resume(&app);
    if !app.config.versions.is_none() {
        let (store, policy) = (Arc::clone(&app.store), app.config.versions.clone());
        tokio::spawn(retention::daily(store, policy, stopping.clone()));
        say("versions expire as configured, daily");
    }
    if let Some(recipes) = &app.config.recipes {
        tokio::spawn(rules::follow(Arc::clone(&app.queue), recipes.clone(), stopping.clone()));
    }
    tokio::spawn(watch_others(Arc::clone(&app), stopping.clone()));
    tokio::spawn(crate::reference::watch(Arc::clone(&app.store), stopping.clone()));
    tokio::spawn(rest(Arc::clone(&app), stopping.clone()));
    say(&format!("explorer http://{address}/"));
    say(&format!("api      http://{address}/api"));
    say(&format!("Graticule is ready at http://{address}/"));
    tokio::spawn(async move {
        signalled().await;
        let _ = stop.send(true);
    });
    let listener = Patiently { listener, timeout: app.config.limits.write_timeout };
    let mut ended = stopping.clone();
    let server = axum::serve(listener, routes::front(app)).with_graceful_shutdown(async move {
        let _ = ended.wait_for(|s| *s).await;
    });
    let mut late = stopping;
    tokio::select! {
        done = server.into_future() => done?,
        () = async {
            let _ = late.wait_for(|s| *s).await;
            tokio::time::sleep(GRACE).await;
        } => tracing::warn!("requests were still open after {GRACE:?} and were cut"),
    }
    say("stopped");
    Ok(())
}

fn say(line: &str) {
    // A closed standard output is no reason to stop serving.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// A foreground `ingest` in another process writes to the same files: its
/// versions and events show here without a restart.
async fn watch_others(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    let (catalog, store) = (&app.catalog, &app.store);
    let mut heads = std::collections::BTreeMap::new();
    let stamps = |ids: &mut dyn Iterator<Item = String>| -> std::collections::BTreeMap<String, _> {
        ids.map(|id| (id.clone(), store.lineage_stamp(&id))).collect()
    };
    let mut expired = stamps(&mut store.collections().unwrap_or_default().into_iter());
    loop {
        tokio::select! {
            () = tokio::time::sleep(NOTICE_EVERY) => {}
            _ = stopping.wait_for(|s| *s) => return,
        }
        if let Err(e) = catalog.call_with(Catalog::notice).await {
            tracing::warn!(error = %format!("{e:#}"), "the catalog cannot be read");
        }
        // A store that changed and was not catalogued (its ingest was killed in between).
        let mut now: std::collections::BTreeMap<String, Option<String>> = match store.collections() {
            Ok(ids) => ids.into_iter().map(|id| (id.clone(), store.latest(&id).ok().flatten())).collect(),
            Err(_) => continue,
        };
        let Ok(tables) = crate::tables::list(store.root()) else { continue };
        now.extend(tables.into_iter().map(|(id, version)| (id, Some(version))));
        // What is no longer there must not be answered from memory.
        let standing = stamps(&mut now.keys().cloned());
        if expired.iter().any(|(id, stamp)| standing.get(id) != Some(stamp)) {
            app.chunks.forget_versions();
        }
        expired = standing;
        if now != heads {
            if let Err(e) = catalog.reconcile(store).await {
                tracing::warn!(error = %format!("{e:#}"), "the catalog cannot be brought up to date");
            }
            heads = now;
        }
    }
}

async fn rest(app: Arc<App>, mut stopping: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {
                app.chunks.rest();
                app.pictures.rest();
                drop(tokio::task::spawn_blocking(memory::tidy));
            }
            _ = stopping.wait_for(|s| *s) => return,
        }
    }
}

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}
