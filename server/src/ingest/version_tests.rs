//! What appending, revising and expiring leave behind.

use std::path::Path;
use std::time::Duration;

use super::classic::{Var, days, write as write_file};
use super::concat::stored;
use super::progress::Silent;
use super::*;
use crate::catalog::Catalog;
use crate::store::Retention;

struct House {
    dir: tempfile::TempDir,
    store: Store,
    catalog: Arc<Catalog>,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self { store: Store::open(&data).unwrap(), catalog: Catalog::open(&data).unwrap(), dir }
    }

    async fn ingest(&self, file: &Path, append: Option<&str>, policy: Duplicates) -> Outcome {
        let mut request = IngestRequest::of("c".into(), vec![file.to_owned()], Recipe::default());
        (request.append, request.duplicates) = (append.map(str::to_owned), policy);
        let report =
            ingest(&self.store, &self.catalog, &request, Arc::new(Silent), Arc::default()).await.unwrap();
        println!("{:?}", report.granules);
        report.granules[0].outcome
    }

    async fn values(&self, path: &str) -> (Vec<u64>, Vec<f64>) {
        let snapshot = self.store.open_version("c", None).await.unwrap();
        let a = &snapshot.hierarchy().arrays[path];
        let bytes = stored(&snapshot, path, &vec![0; a.shape.len()], &a.shape).await.unwrap();
        (a.shape.clone(), a.dtype.unwrap().to_f64_vec(&bytes))
    }

    fn day(&self, name: &str, first: usize, base: f32) -> PathBuf {
        days(&self.dir.path().join(name), "v", "K", first, 1, base)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_grows_along_a_dimension_before_time_keeps_every_value() {
    let h = House::new();
    let (days, rows, columns) = (20, 6, 8);
    let value = |m: usize, i: usize| m as f32 * 1000.0 + i as f32;
    for m in 0..3 {
        let file = h.dir.path().join(format!("{m}.nc"));
        let axis = |name, units, n: usize, first: f32| Var {
            name: ["member", "time", "lat", "lon"].into_iter().find(|x| *x == name).unwrap(),
            dims: match name {
                "member" => &["member"],
                "time" => &["time"],
                "lat" => &["lat"],
                _ => &["lon"],
            },
            attributes: units,
            values: (0..n).map(|i| first + i as f32).collect(),
        };
        let variables = [
            axis("member", &[][..], 1, m as f32),
            axis("time", &[("units", "days since 2000-01-01")][..], days, 0.0),
            axis("lat", &[("units", "degrees_north")][..], rows, 10.0),
            axis("lon", &[("units", "degrees_east")][..], columns, 20.0),
            Var {
                name: "v",
                dims: &["member", "time", "lat", "lon"],
                attributes: &[("units", "K")],
                values: (0..days * rows * columns).map(|i| value(m, i)).collect(),
            },
        ];
        write_file(&file, &[("member", 1), ("time", days), ("lat", rows), ("lon", columns)], &variables);
        assert_eq!(h.ingest(&file, Some("member"), Duplicates::Skip).await, Outcome::Published);
    }
    let (shape, got) = h.values("v").await;
    assert_eq!(shape, [3, days as u64, rows as u64, columns as u64]);
    let want: Vec<f64> =
        (0..3).flat_map(|m| (0..days * rows * columns).map(move |i| f64::from(value(m, i)))).collect();
    assert!(got == want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_revision_that_is_given_again_comes_back() {
    let h = House::new();
    let (a, b) = (h.day("a.nc", 0, 0.0), h.day("b.nc", 0, 7.0));
    for (file, first) in [(&a, 0.0), (&b, 7.0), (&a, 0.0)] {
        assert_eq!(h.ingest(file, None, Duplicates::Version).await, Outcome::Published);
        assert_eq!(h.values("v").await.1[0], first);
    }
    assert_eq!(h.ingest(&a, None, Duplicates::Version).await, Outcome::Unchanged);
    let living = h.store.living("c", None).await.unwrap();
    let current = living.iter().filter(|(_, s)| s.granule.superseded_by.is_none());
    assert_eq!(current.map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["a.nc~2"]);
    assert_eq!(living.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinate_that_grows_by_long_chunks_stays_small() {
    let h = House::new();
    for day in 0..3 {
        let file = h.day(&format!("{day}.nc"), day, 0.0);
        assert_eq!(h.ingest(&file, None, Duplicates::Skip).await, Outcome::Published);
    }
    let snapshot = h.store.open_version("c", None).await.unwrap();
    assert!(snapshot.hierarchy().arrays["time"].chunk_shape[0] > 1000);
    let chunks = h.store.root().join("collections/c/repo/chunks");
    for object in std::fs::read_dir(chunks).unwrap() {
        assert!(object.unwrap().metadata().unwrap().len() < 4096);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn granules_of_one_name_have_items_of_their_own_numbers() {
    let h = House::new();
    let ids = async || {
        let mut standing: Vec<_> = h.store.living("c", None).await.unwrap().into_iter().collect();
        standing.sort_by_key(|(_, s)| s.granule.steps);
        standing.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    };
    for day in 0..6 {
        assert_eq!(h.ingest(&h.day("latest.nc", day, 0.0), None, Duplicates::Skip).await, Outcome::Published);
    }
    let numbered: Vec<String> = (2..=6).map(|n| format!("latest.nc~{n}")).collect();
    assert_eq!(ids().await, [&["latest.nc".to_owned()][..], &numbered].concat());
    // One that takes the place of another has its id, so that links to it stay.
    let again = h.day("latest.nc", 3, 5.0);
    assert_eq!(h.ingest(&again, None, Duplicates::Replace).await, Outcome::Published);
    assert_eq!(ids().await, [&["latest.nc".to_owned()][..], &numbered].concat());
    // Several of the name in one run.
    let more = ["x", "y"].map(|folder| {
        std::fs::create_dir(h.dir.path().join(folder)).unwrap();
        h.day(&format!("{folder}/latest.nc"), if folder == "x" { 6 } else { 7 }, 0.0)
    });
    let request = IngestRequest::of("c".into(), more.into(), Recipe::default());
    ingest(&h.store, &h.catalog, &request, Arc::new(Silent), Arc::default()).await.unwrap();
    let all = ids().await;
    assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 8, "{all:?}");
    assert_eq!(all[6..], ["latest.nc~7", "latest.nc~8"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_may_expire_what_this_one_remembers_and_a_crash_in_between_is_made_up_for() {
    let h = House::new();
    for day in 0..4 {
        let file = h.day(&format!("{day}.nc"), day, 0.0);
        assert_eq!(h.ingest(&file, None, Duplicates::Skip).await, Outcome::Published);
    }
    assert_eq!(h.store.versions("c").await.unwrap().len(), 4);
    let other = Store::open(h.store.root()).unwrap();
    let keep = |n| Retention { keep: Some(n), keep_for: None };
    let done = other.expire("c", keep(2), Duration::ZERO, false).await.unwrap();
    assert!(done.objects > 0 && done.expired.len() == 2);
    // This one saw the history before: it goes on with it, writes to it and expires it.
    assert_eq!(h.store.versions("c").await.unwrap().len(), 2);
    assert_eq!(h.ingest(&h.day("4.nc", 4, 0.0), None, Duplicates::Skip).await, Outcome::Published);
    h.store.remove_orphans("c").await.unwrap();
    // Killed after it was said and before it was done.
    let done = h.store.expire("c", keep(1), Duration::from_secs(3600), false).await.unwrap();
    assert_eq!((done.objects, done.waiting), (0, 2));
    let path = h.store.root().join("collections/c/lineage.json");
    let text = std::fs::read_to_string(&path).unwrap().replace("\"gone\":false", "\"gone\":true");
    std::fs::write(&path, text).unwrap();
    let done = h.store.expire("c", keep(1), Duration::from_secs(3600), false).await.unwrap();
    assert!(done.objects > 0, "{done:?}");
    let done = h.store.expire("c", keep(1), Duration::ZERO, false).await.unwrap();
    assert_eq!((done.objects, done.waiting), (0, 0));
    assert_eq!(h.values("v").await.0[0], 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn netcdf_s_own_fill_is_named_where_it_is_met_and_stays_named() {
    let h = House::new();
    let fill = 9.969_21e36_f32;
    let (rows, columns) = (6, 8);
    for (day, second, named) in [(0, 1.0, false), (1, fill, true), (2, 1.0, true)] {
        let file = h.dir.path().join(format!("{day}.nc"));
        let mut values = vec![day as f32; rows * columns];
        values[1] = second;
        let axis = |name, dims, units, n: usize, first: f32| Var {
            name,
            dims,
            attributes: units,
            values: (0..n).map(|i| first + i as f32).collect(),
        };
        let variables = [
            axis("time", &["time"], &[("units", "days since 2000-01-01")], 1, day as f32),
            axis("lat", &["lat"], &[("units", "degrees_north")], rows, 10.0),
            axis("lon", &["lon"], &[("units", "degrees_east")], columns, 20.0),
            Var { name: "v", dims: &["time", "lat", "lon"], attributes: &[("units", "K")], values },
        ];
        write_file(&file, &[("time", 1), ("lat", rows), ("lon", columns)], &variables);
        assert_eq!(h.ingest(&file, None, Duplicates::Skip).await, Outcome::Published, "day {day}");
        let snapshot = h.store.open_version("c", None).await.unwrap();
        let said = snapshot.hierarchy().arrays["v"].attributes.get("_FillValue").cloned();
        assert_eq!(said, named.then(attributes::own_fill), "day {day}");
        assert_eq!(snapshot.hierarchy().arrays["lat"].attributes.get("_FillValue"), None);
    }
    // Stored as it came.
    let (shape, got) = h.values("v").await;
    assert_eq!((shape[0], got[rows * columns + 1]), (3, f64::from(fill)));
    assert_eq!(got[1], 1.0);
}
