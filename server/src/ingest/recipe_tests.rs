//! Recipes followed, from real files to versions.

use serde_json::json;

use std::path::Path;
use std::time::Duration;

use graticule_shared::dtype::DataType;

use super::classic::{self, LAT, LON, Var, days, grid};
use super::concat::stored;
use super::dry_run::dry_run;
use super::progress::Silent;
use super::*;
use crate::catalog::Catalog;

struct House {
    dir: tempfile::TempDir,
    store: Store,
    catalog: Arc<Catalog>,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        let data = dir.path().join("data");
        Self { store: Store::open(&data).unwrap(), catalog: Catalog::open(&data).unwrap(), dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("in").join(name)
    }

    fn request(&self, recipe: &str) -> IngestRequest {
        let mut recipe = Recipe::parse(recipe, &self.dir.path().join("in")).unwrap();
        recipe.path = Some(self.file("recipe.toml"));
        IngestRequest::of("c".into(), Vec::new(), recipe)
    }

    async fn follow(&self, request: &IngestRequest) -> IngestReport {
        let report =
            ingest(&self.store, &self.catalog, request, Arc::new(Silent), Arc::default()).await.unwrap();
        println!("{:?}", report.granules);
        report
    }

    async fn values(&self, path: &str) -> (Vec<u64>, Vec<f64>) {
        let snapshot = self.store.open_version("c", None).await.unwrap();
        let a = &snapshot.hierarchy().arrays[path];
        let bytes = stored(&snapshot, path, &vec![0; a.shape.len()], &a.shape).await.unwrap();
        (a.shape.clone(), a.dtype.unwrap().to_f64_vec(&bytes))
    }
}

fn why(report: &IngestReport) -> String {
    report.granules.iter().filter(|g| g.outcome == Outcome::Failed).map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_by_variable_and_member_become_one_cube() {
    let h = House::new();
    for (m, member) in ["r1", "r2", "r10"].into_iter().enumerate() {
        for (period, first) in [("a", 0), ("b", 3)] {
            let base = m as f32 * 10_000.0;
            days(&h.file(&format!("tas_{member}_{period}.nc")), "tas", "K", first, 3, base);
            days(&h.file(&format!("pr_{member}_{period}.nc")), "pr", "kg m-2 s-1", first, 3, base + 0.5);
        }
    }
    let r = h.follow(&h.request("[source]\npattern = \"{variable}_{member}_*.nc\"")).await;
    assert!(r.is_complete(), "{}", why(&r));
    let (shape, tas) = h.values("tas").await;
    assert_eq!(shape, [3, 6, LAT as u64, LON as u64]);
    let (_, pr) = h.values("pr").await;
    let at = |m: usize, d: usize, c: usize| (m * 6 + d) * LAT * LON + c;
    for (m, d, c) in [(0, 0, 0), (1, 4, 17), (2, 5, 47)] {
        let expected = m as f64 * 10_000.0 + 100.0 * d as f64 + c as f64;
        assert_eq!((tas[at(m, d, c)], pr[at(m, d, c)]), (expected, expected + 0.5));
    }
    let snapshot = h.store.open_version("c", None).await.unwrap();
    let member = &snapshot.hierarchy().arrays["member"];
    assert_eq!(member.attributes["flag_meanings"], "r1 r2 r10");
    assert_eq!(member.dtype, Some(DataType::Int32));
    assert_eq!(snapshot.info().granules.len(), 12, "every file is a granule");
    let again = h.follow(&h.request("[source]\npattern = \"{variable}_{member}_*.nc\"")).await;
    assert!(again.version.is_none() && again.granules.iter().all(|g| g.outcome == Outcome::Unchanged));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_go_together_is_refused_naming_the_first_field_that_differs() {
    let recipe = "[source]\npattern = \"{variable}_{member}.nc\"";
    let h = House::new();
    days(&h.file("pr_1.nc"), "pr", "mm", 0, 2, 0.0);
    days(&h.file("tas_1.nc"), "tas", "K", 0, 3, 0.0);
    let said = why(&h.follow(&h.request(recipe)).await);
    assert!(said.contains("tas_1.nc") || said.contains("pr_1.nc"), "{said}");
    assert!(said.contains("dimension \"time\": expected 2, found 3"), "{said}");
    days(&h.file("tas_1.nc"), "tas", "K", 1, 2, 0.0);
    let said = why(&h.follow(&h.request(recipe)).await);
    assert!(said.contains("variable \"time\", value 0: expected 0, found 1"), "{said}");
    days(&h.file("tas_1.nc"), "tas", "K", 0, 2, 0.0);
    days(&h.file("pr_2.nc"), "pr", "mm", 0, 2, 0.0);
    days(&h.file("tas_2.nc"), "tas", "degC", 0, 2, 0.0);
    let said = why(&h.follow(&h.request(recipe)).await);
    assert!(said.contains("variable \"tas\": units: expected \"K\", found \"degC\""), "{said}");
    std::fs::remove_file(h.file("tas_2.nc")).unwrap();
    let said = why(&h.follow(&h.request(recipe)).await);
    assert!(said.contains("variable \"tas\": expected, not found"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_other_names_are_refused_though_they_are_as_many() {
    let recipe = "[source]\npattern = \"{variable}_{member}_*.nc\"";
    let h = House::new();
    for (period, first, members) in [("a", 0, ["r1", "r2"]), ("b", 3, ["r1", "r3"])] {
        for member in members {
            days(&h.file(&format!("tas_{member}_{period}.nc")), "tas", "K", first, 3, 0.0);
        }
    }
    let said = why(&h.follow(&h.request(recipe)).await);
    assert!(
        said.contains("variable \"member\": flag_meanings: expected \"r1 r2\", found \"r1 r3\""),
        "{said}"
    );
    assert_eq!(h.values("tas").await.0, [2, 3, LAT as u64, LON as u64]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_a_time_takes_that_of_its_name() {
    let h = House::new();
    for day in [3, 1, 2] {
        // The second and the third day are the same bytes.
        let kind = if day == 1 { 100 } else { 200 };
        grid(&h.file(&format!("ndvi.2020030{day}.nc")), "ndvi", "1", None, LON, &|_, c| (kind + c) as f32);
    }
    let recipe = "[source]\npattern = \"ndvi.{time:%Y%m%d}.nc\"";
    let r = h.follow(&IngestRequest { first: Some(2), ..h.request(recipe) }).await;
    assert_eq!((r.granules.len(), r.is_complete()), (2, true), "{}", why(&r));
    let r = h.follow(&h.request(recipe)).await;
    assert!(r.is_complete(), "{}", why(&r));
    let (shape, v) = h.values("ndvi").await;
    assert_eq!((shape[0], v[0], v[LAT * LON], v[2 * LAT * LON]), (3, 100.0, 200.0, 200.0));
    let opened = crate::opened::Opened::new(h.store.open_version("c", None).await.unwrap());
    let facts = crate::catalog::Facts::derive(&opened).await.unwrap();
    let t = facts.time.unwrap();
    assert_eq!((t.start.as_str(), t.end.as_str()), ("2020-03-01T00:00:00Z", "2020-03-03T00:00:00Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cube_is_cut_packed_and_described_as_the_recipe_says() {
    let h = House::new();
    let file = days(&h.file("a.nc"), "tas", "K", 0, 5, 0.0);
    let mut request = h.request(
        r#"
[collection]
title = "Days"
description = "Five of them"
license = "CC0-1.0"
keywords = ["a", "b"]
providers = [{ name = "Nobody", roles = ["producer"] }]
[cube]
chunks = { time = 2, lat = 3, lon = 4 }
shards = { time = 4, lat = 3, lon = 8 }
codec = "gzip:9"
pyramid = false
[cube.attributes]
history = "by a test"
[cube.attributes.tas]
units = "kelvin"
valid_range = [0, 400]
"#,
    );
    request.inputs = vec![file];
    let r = h.follow(&request).await;
    assert!(r.is_complete(), "{}", why(&r));
    let snapshot = h.store.open_version("c", None).await.unwrap();
    let a = &snapshot.hierarchy().arrays["tas"];
    assert_eq!((a.block_shape(), a.chunk_shape.as_slice()), (&[2, 3, 4][..], &[4, 3, 8][..]));
    let codecs = &a.sharding.as_ref().unwrap().inner_codecs;
    assert!(codecs.to_string().contains("gzip") && !codecs.to_string().contains("blosc"), "{codecs}");
    assert_eq!((&a.attributes["units"], &a.attributes["valid_range"]), (&json!("kelvin"), &json!([0, 400])));
    let (_, v) = h.values("tas").await;
    assert_eq!((v[0], v[4 * LAT * LON + 47]), (0.0, 447.0));
    let c = h.catalog.collection("c").unwrap().unwrap();
    assert_eq!((c.title.as_str(), c.description.as_str()), ("Days", "Five of them"));
    assert_eq!(c.facts.attributes["providers"][0]["name"], "Nobody");
    assert_eq!(
        (&c.facts.attributes["license"], &c.facts.attributes["keywords"]),
        (&json!("CC0-1.0"), &json!("a, b"))
    );
    // A later recipe may say other things of the whole, and cannot change how what is stored was packed.
    let mut request = h.request("[collection]\ntitle = \"More days\"\n[cube]\ncodec = \"zstd\"\n[cube.attributes.tas]\nunits = \"kelvin\"\nvalid_range = [0, 400]");
    request.inputs = vec![days(&h.file("b.nc"), "tas", "K", 5, 1, 0.0)];
    let r = h.follow(&request).await;
    assert!(r.is_complete(), "{}", why(&r));
    let (shape, v) = h.values("tas").await;
    assert_eq!((shape[0], v[0], v[5 * LAT * LON + 1]), (6, 0.0, 501.0));
    let c = h.catalog.collection("c").unwrap().unwrap();
    assert_eq!((c.title.as_str(), &c.facts.attributes["license"]), ("More days", &json!("CC0-1.0")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_the_files_do_not_have_are_refused_with_the_nearest() {
    let h = House::new();
    days(&h.file("a.nc"), "tas", "K", 0, 1, 0.0);
    for (cube, said) in [
        ("variables = [\"tass\"]", "cube.variables: there is no \"tass\"; did you mean \"tas\"?"),
        ("chunks = { latitude = 2 }", "cube.chunks: there is no \"latitude\"; did you mean \"lat\"?"),
        (
            "attributes = { tass = { units = \"K\" } }",
            "cube.attributes: there is no \"tass\"; did you mean \"tas\"?",
        ),
    ] {
        let mut request = h.request(&format!("[cube]\n{cube}"));
        request.inputs = vec![h.file("a.nc")];
        let found = why(&h.follow(&request).await);
        assert!(found.contains(said), "{found}");
    }
    let mut request = h.request("[source]\npattern = \"b.{time}.nc\"");
    request.inputs = vec![h.file("a.nc")];
    let found = why(&h.follow(&request).await);
    assert!(found.contains("a.nc: its name does not match the recipe's pattern \"b.{time}.nc\""), "{found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_variables_come_with_what_they_need_and_no_more() {
    let h = House::new();
    days(&h.file("tas_x.nc"), "tas", "K", 0, 1, 0.0);
    days(&h.file("pr_x.nc"), "pr", "mm", 0, 1, 0.0);
    let r =
        h.follow(&h.request("[source]\npattern = \"{variable}_x.nc\"\n[cube]\nvariables = [\"tas\"]")).await;
    assert!(r.is_complete(), "{}", why(&r));
    let snapshot = h.store.open_version("c", None).await.unwrap();
    let names: Vec<&String> = snapshot.hierarchy().arrays.keys().collect();
    assert_eq!(names, ["lat", "lon", "tas", "time"]);
}

fn everything(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for e in std::fs::read_dir(dir).unwrap().flatten() {
        if e.path().is_dir() {
            all.extend(everything(&e.path()));
        }
        all.push(e.path());
    }
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_shows_what_would_be_and_writes_nothing() {
    let h = House::new();
    for day in 0..3 {
        days(&h.file(&format!("d{day}.nc")), "tas", "K", day, 1, 0.0);
    }
    let recipe = "[source]\npattern = \"d*.nc\"\n[cube]\nchunks = { lat = 3 }";
    let nowhere = h.dir.path().join("nowhere");
    let plan = dry_run(&nowhere, &h.request(recipe)).await.unwrap();
    assert!(!nowhere.exists());
    assert_eq!((plan.wrong.as_deref(), plan.granules.len()), (None, 3));
    let v = &plan.variables[0];
    assert_eq!((v.path.as_str(), v.dtype.as_str(), v.units.as_deref()), ("tas", "float32", Some("K")));
    assert_eq!((v.levels[0].chunk.as_slice(), v.levels[0].chunks), (&[3, 3, 8][..], 2));
    assert_eq!(v.bytes, 3 * 48 * 4);
    assert!(v.stored_bytes_estimate > 0 && v.stored_bytes_estimate < 2 * v.bytes);
    assert_eq!(v.grid, "latitude and longitude");
    h.follow(&h.request(recipe)).await;
    let before = everything(h.dir.path());
    // One more day, one that differs, and those that are there.
    days(&h.file("d3.nc"), "tas", "degC", 4, 1, 0.0);
    days(&h.file("d4.nc"), "tas", "K", 5, 1, 0.0);
    let plan = dry_run(h.store.root(), &h.request(recipe)).await.unwrap();
    let would: Vec<&str> = plan.granules.iter().map(|g| g.would).collect();
    assert_eq!(would, ["refuse", "unchanged", "unchanged", "unchanged", "take"]);
    assert!(plan.wrong.as_deref().unwrap().contains("units: expected \"K\", found \"degC\""), "{plan}");
    assert_eq!(plan.grows, Some(("time".into(), 3)));
    let after = everything(h.dir.path());
    assert_eq!(before.len() + 2, after.len());
    assert_eq!(h.values("tas").await.0[0], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_that_is_no_longer_wanted_ends_though_its_server_is_silent() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let h = House::new();
    let inputs = vec![PathBuf::from(format!("http://{}/a.nc", silent.local_addr().unwrap()))];
    let request = IngestRequest { inputs, ..h.request("") };
    let cancel = Arc::new(AtomicBool::new(false));
    let later = Arc::clone(&cancel);
    let work = ingest(&h.store, &h.catalog, &request, Arc::new(Silent), cancel);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        later.store(true, Ordering::Relaxed);
    });
    let ended = tokio::time::timeout(Duration::from_secs(20), work).await.expect("it ends");
    assert_eq!(ended.unwrap_err().to_string(), "cancelled");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_along_members_are_refused_before_anything_is_written() {
    let h = House::new();
    for member in 1..=2 {
        days(&h.file(&format!("tas_{member}.nc")), "tas", "K", 0, 2, 0.0);
    }
    for what in ["chunks", "shards"] {
        let recipe = format!("[source]\npattern = \"tas_{{member}}.nc\"\n[cube]\n{what} = {{ member = 2 }}");
        let plan = dry_run(h.store.root(), &h.request(&recipe)).await.unwrap();
        let said = plan.wrong.unwrap_or_default();
        let expected =
            format!("cube.{what}.member: expected 1, found 2: {what} hold more than one only along time");
        assert!(said.contains(&expected), "{said}");
        let r = h.follow(&h.request(&recipe)).await;
        assert!(r.version.is_none() && why(&r).contains(&expected), "{}", why(&r));
    }
    let one = h.request("[source]\npattern = \"tas_{member}.nc\"\n[cube]\nchunks = { member = 1 }");
    assert!(h.follow(&one).await.is_complete());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_of_the_documentation_is_followed() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/recipes.md")).unwrap();
    let (_, rest) = text.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let h = House::new();
    let folder = h.file("incoming");
    std::fs::create_dir(&folder).unwrap();
    for day in 0..2 {
        let name = folder.join(format!("oisst-avhrr-v02r01.2020010{}.nc", day + 1));
        let field = |name| super::classic::Var {
            name,
            dims: &["time", "lat", "lon"],
            attributes: &[("units", "1")],
            values: (0..6).map(|c| (day * 10 + c) as f32).collect(),
        };
        let axis = |name, dims, attributes, values| super::classic::Var { name, dims, attributes, values };
        super::classic::write(
            &name,
            &[("time", 1), ("lat", 2), ("lon", 3)],
            &[
                axis("time", &["time"], &[("units", "days since 2020-01-01")], vec![day as f32]),
                axis("lat", &["lat"], &[("units", "degrees_north")], vec![-10.0, 10.0]),
                axis("lon", &["lon"], &[("units", "degrees_east")], vec![0.0, 90.0, 180.0]),
                field("sst"),
                field("ice"),
                field("anom"),
            ],
        );
    }
    let request = h.request(example);
    assert_eq!(request.recipe.collection.id.as_deref(), Some("oisst"));
    let r = h.follow(&request).await;
    assert!(r.is_complete(), "{}", why(&r));
    let (shape, v) = h.values("sst").await;
    assert_eq!((shape.as_slice(), v[0], v[11]), (&[2, 2, 3][..], 0.0, 15.0));
    let snapshot = h.store.open_version("c", None).await.unwrap();
    assert!(!snapshot.hierarchy().arrays.contains_key("anom"));
    assert_eq!(snapshot.hierarchy().arrays["sst"].attributes["long_name"], "sea surface temperature");
    assert_eq!(h.catalog.collection("c").unwrap().unwrap().title, "NOAA OISST v2.1 daily");
}

fn granule_days(h: &House, name: &str, first: usize, value: &dyn Fn(usize, usize) -> f32) -> PathBuf {
    grid(&h.file(name), "tas", "K", Some((first, 4)), LON, value);
    h.file(name)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quality_is_tested_across_granules_and_written_down_with_each() {
    let h = House::new();
    let usual = |d: usize, c: usize| 280.0 + (d % 2) as f32 + c as f32 * 0.01;
    // Day 2, cell 5: far out, so also a spike. Day 3 to 6, cell 7: the same value, which is also that of day 7.
    let odd = move |d: usize, c: usize| match (d, c) {
        (2, 5) => 400.0,
        (3..=6, 7) => 281.07,
        _ => usual(d, c),
    };
    let recipe = "[quality.tas]\ngross_range = { suspect = [270, 290], fail = [200, 350] }\nspike = { suspect = 3, fail = 20 }\nflat_line = { suspect = 3, fail = 4 }\nmissing = { fail = 0.5 }";
    let mut together = h.request(recipe);
    together.inputs = vec![granule_days(&h, "a.nc", 0, &odd), granule_days(&h, "b.nc", 4, &odd)];
    let r = h.follow(&together).await;
    assert!(r.is_complete(), "{}", why(&r));
    let granules = h.store.open_version("c", None).await.unwrap().info().granules.clone();
    let [a, b] = granules.as_slice() else { panic!("{granules:?}") };
    let q = &a.quality[0];
    assert_eq!((&q["variable"], &q["flag"], &q["values"]), (&json!("tas"), &json!(4), &json!(192)));
    assert_eq!(q["tests"]["gross_range"], json!({"1": 191, "4": 1}));
    // The spike and its two neighbours: 119.., and 59.. on each side; nothing lies before day 0.
    assert_eq!(q["tests"]["spike"], json!({"1": 141, "2": 48, "4": 3}));
    assert_eq!((&q["worst"]["test"], &q["worst"]["value"]), (&json!("spike"), &json!(usual(1, 5))));
    assert_eq!(q["worst"]["index"], json!({"time": 1, "lat": 0, "lon": 5}));
    assert_eq!(q["worst"]["at"], json!({"time": "2000-01-02T00:00:00Z", "lat": -50.0, "lon": 50.0}));
    // Cell 7 says the same from day 3 to 7: a run that began in the granule before.
    assert_eq!(b.quality[0]["tests"]["flat_line"], json!({"1": 189, "3": 1, "4": 2}));
    assert!(
        r.granules[0].notes.iter().any(|n| n.starts_with("quality: tas; gross_range: 191 good, 1 failed")),
        "{:?}",
        r.granules[0].notes
    );
    let item = h.catalog.item("c", "a.nc").unwrap().unwrap();
    assert_eq!(item.record["quality"][0]["flag"], 4);
    // One after the other they are judged alike, as what is stored is looked back at.
    let h2 = House::new();
    for (name, first) in [("a.nc", 0), ("b.nc", 4)] {
        let mut one = h2.request(recipe);
        one.inputs = vec![granule_days(&h2, name, first, &odd)];
        let r = h2.follow(&one).await;
        assert!(r.is_complete(), "{}", why(&r));
    }
    let granules = h2.store.open_version("c", None).await.unwrap().info().granules.clone();
    assert_eq!(granules[0].quality[0]["tests"]["flat_line"], b.quality[0]["tests"]["flat_line"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_series_is_tested_along_its_times_across_granules() {
    let h = House::new();
    let wave = |h: &House, name: &str, values: &[f32], first: usize| {
        let times = (first..first + values.len()).map(|d| d as f32).collect();
        let units = [("units", "days since 2000-01-01")];
        let variables = [
            Var { name: "time", dims: &["time"], attributes: &units, values: times },
            Var { name: "wvht", dims: &["time"], attributes: &[("units", "m")], values: values.to_vec() },
        ];
        classic::write(&h.file(name), &[("time", values.len())], &variables);
        h.file(name)
    };
    let recipe = "[quality.wvht]\ngross_range = { fail = [0, 20] }\nspike = { fail = 5 }\nflat_line = { suspect = 3, fail = 4 }";
    // A spike on day 2; the same value from day 4 to day 7, across two files; day 8 out of range.
    let parts: [(&str, &[f32], usize); 2] =
        [("a.nc", &[1.0, 1.2, 9.0, 1.1, 3.0, 3.0], 0), ("b.nc", &[3.0, 3.0, -4.0, 1.0], 6)];
    let mut found = Vec::new();
    for together in [true, false] {
        let h = House::new();
        let files: Vec<PathBuf> = parts.iter().map(|(name, v, first)| wave(&h, name, v, *first)).collect();
        let runs = if together { vec![files] } else { files.into_iter().map(|f| vec![f]).collect() };
        let mut granules = Vec::new();
        for inputs in runs {
            let r = h.follow(&IngestRequest { inputs, ..h.request(recipe) }).await;
            assert!(r.is_complete(), "{}", why(&r));
            granules.extend(h.store.open_version("c", None).await.unwrap().info().granules.clone());
        }
        let [a, b] = granules.as_slice() else { panic!("{granules:?}") };
        let (a, b) = (a.quality[0].clone(), b.quality[0].clone());
        assert_eq!((&a["values"], &b["values"]), (&json!(6), &json!(4)));
        assert_eq!(a["worst"]["at"], json!({"time": "2000-01-03T00:00:00Z"}));
        assert_eq!(a["worst"]["index"], json!({"time": 2}));
        assert_eq!(b["tests"]["gross_range"], json!({"1": 3, "4": 1}));
        assert_eq!(
            b["tests"]["flat_line"],
            json!({"1": 2, "3": 1, "4": 1}),
            "the run began in the file before"
        );
        found.push(b);
    }
    assert_eq!(found[0], found[1]);
    let refusing = format!("{recipe}\nfail = \"refuse\"");
    let inputs = vec![wave(&h, "c.nc", &[1.0, 50.0, 1.0], 0)];
    let said = why(&h.follow(&IngestRequest { inputs, ..h.request(&refusing) }).await);
    assert!(said.contains("variable \"wvht\": quality: gross_range fails at time 2000-01-02"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_refuse_files_that_are_merged_stacked_or_timed_by_their_names() {
    let h = House::new();
    days(&h.file("tas_r1.nc"), "tas", "K", 0, 2, 0.0);
    days(&h.file("pr_r1.nc"), "pr", "mm", 0, 2, 0.0);
    days(&h.file("tas_r2.nc"), "tas", "K", 0, 2, 0.0);
    grid(&h.file("still_20200101.nc"), "tas", "K", None, LON, &|_, c| c as f32);
    for pattern in ["{variable}_r1.nc", "tas_{member}.nc", "still_{time:%Y%m%d}.nc"] {
        let recipe = h.request(&format!("[source]\npattern = \"{pattern}\""));
        let r = h.follow(&IngestRequest { reference: true, ..recipe }).await;
        let said = why(&r);
        assert!(r.version.is_none() && said.contains("they become copies"), "{pattern}: {said}");
        assert!(h.store.latest("c").unwrap().is_none(), "{pattern}: nothing is left behind");
    }
    // The same files one by one are referred to.
    let one = h.request("[source]\npattern = \"tas_r1.nc\"");
    let r = h.follow(&IngestRequest { reference: true, ..one }).await;
    assert!(r.is_complete() && r.version.is_some(), "{}", why(&r));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_granule_with_failed_values_is_refused_where_the_recipe_says_so_and_the_others_are_published() {
    let h = House::new();
    let good = |d: usize, c: usize| 280.0 + d as f32 + c as f32;
    granule_days(&h, "a.nc", 0, &good);
    granule_days(&h, "b.nc", 4, &|d, c| if (d, c) == (5, 3) { 1e6 } else { good(d, c) });
    granule_days(&h, "c.nc", 8, &good);
    let mut request = h.request("[quality.tas]\ngross_range = { fail = [0, 1000] }\nfail = \"refuse\"");
    request.inputs = ["a.nc", "b.nc", "c.nc"].map(|n| h.file(n)).to_vec();
    let r = h.follow(&request).await;
    let said = why(&r);
    assert!(said.contains("b.nc, variable \"tas\": quality: gross_range fails at time 2000-01-06T00:00:00Z, lat -50.0, lon 30.0: found 1000000"), "{said}");
    assert_eq!(h.values("tas").await.0[0], 8);
    let named: std::collections::BTreeSet<PathBuf> =
        everything(&h.store.root().join("collections/c/repo/chunks")).into_iter().collect();
    let count = named.len();
    // What the refused attempt had stored is gone: the same data alone makes as many objects.
    let alone = House::new();
    let mut request = alone.request("");
    request.inputs = ["a.nc", "c.nc"].map(|n| h.file(n)).to_vec();
    alone.follow(&request).await;
    assert_eq!(count, everything(&alone.store.root().join("collections/c/repo/chunks")).len());
    let mut request = h.request("[quality.tsa]\nmissing = { fail = 1 }");
    request.inputs = vec![granule_days(&h, "d.nc", 12, &good)];
    let e = ingest(&h.store, &h.catalog, &request, Arc::new(Silent), Arc::default()).await.unwrap_err();
    assert!(e.to_string().contains("quality: there is no \"tsa\""), "{e}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_layout_holds_the_same_values_and_follows_what_is_appended() {
    let h = House::new();
    let value = |d: usize, c: usize| d as f32 * 1000.0 + c as f32;
    let mut first = true;
    for n in 0..5 {
        let name = format!("{n}.nc");
        grid(&h.file(&name), "tas", "K", Some((n * 20, 20)), LON, &value);
        let mut request = h.request("[cube]\nseries = true");
        // A collection that has it keeps it, whatever a later recipe says.
        if !first {
            request = h.request("");
        }
        first = false;
        request.inputs = vec![h.file(&name)];
        let r = h.follow(&request).await;
        assert!(r.is_complete(), "{}", why(&r));
        let (shape, v) = h.values("tas").await;
        let (long, w) = h.values("series/tas").await;
        assert!(long[0] <= shape[0] && shape[0] - long[0] <= 64, "{long:?} of {shape:?}");
        assert_eq!(v[..w.len()], w[..]);
        assert_eq!(h.values("series/time").await.0, [long[0]]);
    }
    let snapshot = h.store.open_version("c", None).await.unwrap();
    let opened = Arc::new(crate::opened::Opened::new(snapshot));
    assert_eq!(opened.cube.variables.len(), 1);
    assert_eq!(opened.array("series/tas").unwrap().block_shape(), [1024, 6, 8]);
    let request = crate::edr::Request::new(crate::edr::Query::Points(vec![(30.0, -50.0)]));
    let plan = crate::edr::Plan::new(&opened, &request).await.unwrap();
    // 64 steps lie in the second layout, each of the others in a chunk of its own.
    assert!(plan.cost.chunks < 100, "{:?}", plan.cost);
    let found = plan.read(&opened).await.unwrap();
    let expected: Vec<f64> = (0..100).map(|d| f64::from(value(d, 3))).collect();
    assert_eq!(found[0].fields[0].values, expected);
    // Added to a collection that was made without it, it begins with what is there.
    let h = House::new();
    for (n, recipe) in ["", "[cube]\nseries = true"].into_iter().enumerate() {
        let mut request = h.request(recipe);
        grid(&h.file(&format!("{n}.nc")), "tas", "K", Some((n * 20, 20)), LON, &value);
        request.inputs = vec![h.file(&format!("{n}.nc"))];
        let r = h.follow(&request).await;
        assert!(r.is_complete(), "{}", why(&r));
    }
    assert_eq!(h.values("series/tas").await, h.values("tas").await);
    assert_eq!(h.values("series/lat").await, h.values("lat").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_replaced_is_replaced_in_the_second_layout_too() {
    let h = House::new();
    let follow = async |name: &str, first: usize, n: usize, base: f32| {
        let file = days(&h.file(name), "tas", "K", first, n, base);
        let mut request = h.request("[cube]\nseries = true\nduplicates = \"replace\"");
        request.inputs = vec![file];
        let r = h.follow(&request).await;
        assert!(r.is_complete(), "{}", why(&r));
    };
    follow("a.nc", 0, 200, 0.0).await;
    follow("b.nc", 200, 3, 0.0).await;
    assert_eq!(h.values("series/tas").await.0[0], 200, "too little to go on with");
    follow("new.nc", 100, 2, 5000.0).await;
    let (shape, v) = h.values("tas").await;
    assert_eq!((shape[0], v[100 * LAT * LON], v[102 * LAT * LON]), (203, 15_000.0, 10_200.0));
    assert_eq!(h.values("series/tas").await, (shape, v));
    assert_eq!(h.values("series/time").await.1.len(), 203);
}
