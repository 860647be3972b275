//! From a source in memory to a version and back.

use std::collections::BTreeMap;

use graticule_formats::{AttrValue, Dimension, Header, Variable};
use graticule_shared::dtype::DataType;

use super::concat::stored;
use super::progress::Silent;
use super::*;

/// A source in memory.
pub struct Memory {
    header: Header,
    values: BTreeMap<String, Vec<u8>>,
}

impl Source for Memory {
    fn header(&self) -> &Header {
        &self.header
    }

    fn read(&self, variable: &str, start: &[u64], count: &[u64]) -> Result<Vec<u8>, FormatError> {
        let v = self.header.variables.iter().find(|v| v.path == variable).unwrap();
        let (all, size) = (&self.values[variable], v.dtype.size());
        let mut out = Vec::new();
        for flat in 0..count.iter().product::<u64>() {
            let (mut rest, mut at, mut stride) = (flat, 0, 1);
            for a in (0..count.len()).rev() {
                at += (start[a] + rest % count[a]) * stride;
                rest /= count[a];
                stride *= v.shape[a];
            }
            out.extend_from_slice(&all[at as usize * size..(at as usize + 1) * size]);
        }
        Ok(out)
    }
}

pub fn text(s: &str) -> AttrValue {
    AttrValue::Text(s.into())
}

/// A packed int16 field over time, lat, lon with gaps, whose source has these chunks.
fn grid(steps: u64, rows: u64, columns: u64, chunks: Option<Vec<u64>>) -> Memory {
    let dims = [("time", steps), ("lat", rows), ("lon", columns)];
    let axis = |name: &str, n: u64, units: &str| Variable {
        path: name.into(),
        dims: vec![name.into()],
        shape: vec![n],
        dtype: DataType::Float64,
        attributes: vec![("units".into(), text(units))],
        chunks: None,
    };
    let field = Variable {
        path: "sst".into(),
        dims: dims.iter().map(|d| d.0.to_owned()).collect(),
        shape: dims.iter().map(|d| d.1).collect(),
        dtype: DataType::Int16,
        attributes: vec![
            ("units".into(), text("kelvin")),
            ("scale_factor".into(), AttrValue::Floats(DataType::Float32, vec![0.5])),
            ("_FillValue".into(), AttrValue::Ints(DataType::Int16, vec![-999])),
        ],
        chunks,
    };
    let doubles =
        |n: u64, f: &dyn Fn(u64) -> f64| (0..n).flat_map(|i| f(i).to_ne_bytes()).collect::<Vec<u8>>();
    let values = [
        ("time".to_owned(), doubles(steps, &|i| i as f64)),
        ("lat".to_owned(), doubles(rows, &|i| -80.0 + 160.0 * i as f64 / rows as f64)),
        ("lon".to_owned(), doubles(columns, &|i| 360.0 * i as f64 / columns as f64)),
        ("sst".to_owned(), (0..steps * rows * columns).flat_map(|i| cell(i).to_ne_bytes()).collect()),
    ];
    let header = Header {
        format: "memory".into(),
        dimensions: dims
            .iter()
            .map(|(n, len)| Dimension { name: (*n).into(), len: *len, unlimited: false })
            .collect(),
        variables: vec![
            axis("time", steps, "days since 2000-01-01"),
            axis("lat", rows, "degrees_north"),
            axis("lon", columns, "degrees_east"),
            field,
        ],
        ..Header::default()
    };
    Memory { header, values: values.into() }
}

fn cell(i: u64) -> i16 {
    let x = (i as u32).wrapping_mul(2_654_435_761) >> 16;
    if x.is_multiple_of(5) { -999 } else { (x % 30_000) as i16 }
}

/// An array of doubles over these dimensions.
pub fn array(
    path: &str,
    dims: &[(&str, usize)],
    attributes: Vec<(String, AttrValue)>,
    values: &[f64],
) -> (Variable, Vec<u8>) {
    let v = Variable {
        path: path.into(),
        dims: dims.iter().map(|d| d.0.to_owned()).collect(),
        shape: dims.iter().map(|d| d.1 as u64).collect(),
        dtype: DataType::Float64,
        attributes,
        chunks: None,
    };
    assert_eq!(v.shape.iter().product::<u64>(), values.len() as u64);
    (v, values.iter().flat_map(|f| f.to_ne_bytes()).collect())
}

impl Memory {
    pub fn of(arrays: Vec<(Variable, Vec<u8>)>) -> Self {
        let mut header = Header { format: "memory".into(), ..Header::default() };
        let mut values = BTreeMap::new();
        for (v, bytes) in arrays {
            for (name, len) in v.dims.iter().zip(&v.shape) {
                if !header.dimensions.iter().any(|d| d.name == *name) {
                    header.dimensions.push(Dimension { name: name.clone(), len: *len, unlimited: false });
                }
            }
            values.insert(v.path.clone(), bytes);
            header.variables.push(v);
        }
        Self { header, values }
    }
}

/// Makes a version of a source, and returns what was noted.
pub async fn publish(store: &Store, id: &str, source: Memory) -> Vec<String> {
    let writer = store.writer(id).await.unwrap();
    let progress: Arc<dyn Progress> = Arc::new(Silent);
    let (recipe, cancel) = (Arc::default(), Arc::default());
    let written = write(&writer, Arc::new(source), None, None, &[], vec![], &recipe, &progress, &cancel);
    let Written { nodes, notes, .. } = written.await.unwrap();
    writer.commit(nodes, &[], &crate::store::Change::default(), "test").await.unwrap();
    notes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_value_comes_back_whatever_the_chunks_of_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (steps, rows, columns) = (7, 300, 521);
    let layouts: [Option<Vec<u64>>; 5] = [
        None,
        Some(vec![1, 1, 521]),
        Some(vec![1, 100, 100]),
        Some(vec![7, 11, 13]),
        Some(vec![3, 300, 521]),
    ];
    for (n, chunks) in layouts.into_iter().enumerate() {
        let id = format!("c{n}");
        let source = grid(steps, rows, columns, chunks);
        let want = source.values["sst"].clone();
        publish(&store, &id, source).await;
        let snapshot = store.open_version(&id, None).await.unwrap();
        let got = stored(&snapshot, "sst", &[0, 0, 0], &[steps, rows, columns]).await.unwrap();
        assert!(got == want, "layout {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pyramid_is_the_area_weighted_mean_and_says_where_it_lies() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (steps, rows, columns) = (2u64, 301u64, 523u64);
    let source = grid(steps, rows, columns, None);
    let lat = DataType::Float64.to_f64_vec(&source.values["lat"]);
    publish(&store, "p", source).await;
    let snapshot = store.open_version("p", None).await.unwrap();
    let h = snapshot.hierarchy();
    assert_eq!(h.attributes["multiscales"]["layout"].as_array().unwrap().len(), 3);
    assert_eq!(h.attributes["proj:code"], "EPSG:4326");
    for k in 1..=2u32 {
        let (r, c) = (rows.div_ceil(1 << k), columns.div_ceil(1 << k));
        let path = format!("{k}/sst");
        assert_eq!(h.arrays[&path].shape, [steps, r, c]);
        let got = stored(&snapshot, &path, &[0, 0, 0], &[steps, r, c]).await.unwrap();
        let got = DataType::Int16.to_f64_vec(&got);
        for t in 0..steps {
            for j in 0..r {
                for i in 0..c {
                    let (mut sum, mut area) = (0.0, 0.0);
                    for y in (j << k)..((j + 1) << k).min(rows) {
                        for x in (i << k)..((i + 1) << k).min(columns) {
                            let v = cell((t * rows + y) * columns + x);
                            if v != -999 {
                                let a = lat[y as usize].to_radians().cos();
                                sum += f64::from(v) * a;
                                area += a;
                            }
                        }
                    }
                    let got = got[((t * r + j) * c + i) as usize];
                    if area == 0.0 {
                        assert_eq!(got, -999.0);
                    } else {
                        assert!((got - sum / area).abs() <= 0.5 + 1e-6, "level {k} at {t} {j} {i}");
                    }
                }
            }
        }
        let got = stored(&snapshot, &format!("{k}/lat"), &[0], &[r]).await.unwrap();
        let got = DataType::Float64.to_f64_vec(&got);
        assert_eq!(got[0], (lat[0] + lat[(1 << k) - 1]) / 2.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_first_granule_leaves_no_collection_and_a_later_one_no_trace() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let count = |store: &Store| walk(store.root()).len();
    let before = count(&store);
    {
        let writer = store.writer("gone").await.unwrap();
        writer.sink().put(vec![7; 4096]).unwrap();
        assert!(matches!(store.writer("gone").await, Err(crate::store::StoreError::Busy(_))));
    }
    assert_eq!(count(&store), before);
    assert!(store.collections().unwrap().is_empty());
    publish(&store, "kept", grid(1, 20, 30, None)).await;
    let whole = walk(store.root());
    {
        let writer = store.writer("kept").await.unwrap();
        writer.sink().put(vec![7; 4096]).unwrap();
    }
    assert_eq!(walk(store.root()), whole);
    // Killed: the marker and orphans stay, and the next writer removes them.
    let repo = store.root().join("collections/kept");
    std::fs::write(repo.join(".writing"), "ZZZZZZZZZZZZZZZZZZZ0\nZZZZ").unwrap();
    std::fs::write(repo.join("repo/chunks/ZZZZZZZZZZZZZZZZZZZ0"), [1; 999]).unwrap();
    std::fs::write(repo.join("repo/manifests/ZZZZZZZZZZZZZZZZZZZ0"), [1; 99]).unwrap();
    std::fs::write(repo.join("repo/snapshots/ZZZZZZZZZZZZZZZZZZZ0#1"), [1; 99]).unwrap();
    drop(store.writer("kept").await.unwrap());
    assert_eq!(walk(store.root()), whole);
    assert_eq!(store.collections().unwrap(), ["kept"]);
}

fn walk(dir: &std::path::Path) -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .flatten()
        .flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] })
        .filter(|p| !p.ends_with(".lock"))
        .collect();
    out.sort();
    out
}
