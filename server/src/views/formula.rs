//! Variables that are computed from others, cell by cell.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use futures::future::BoxFuture;
use graticule_shared::cube::{Packing, Variable, packing};
use graticule_shared::dtype::DataType;
use graticule_shared::formula::{Formula, flag_of};
use graticule_shared::node;
use graticule_shared::zarr::ArrayMeta;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::array;
use super::tree::{Make, Source, Tree, effort_of};
use crate::opened::Opened;
use crate::recipe::Section;
use crate::store::{Effort, Snapshot};

/// `[formula.NAME]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expression {
    pub is: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub units: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub long_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard_name: Option<String>,
}

impl Expression {
    pub fn read(s: &Section<'_>, name: &str) -> anyhow::Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        anyhow::ensure!(
            !name.is_empty()
                && name.len() <= 64
                && name.chars().all(plain)
                && !name.starts_with(|c: char| c.is_ascii_digit()),
            "{}: expected a variable's name of letters, digits, '_' and '-', not beginning with a digit",
            s.path(name)
        );
        let s = s.table(name, &["is", "units", "long_name", "standard_name"])?.context("no table")?;
        let is =
            s.text("is")?.with_context(|| format!("{}: expected a formula, found nothing", s.path("is")))?;
        Formula::parse(&is).map_err(|why| anyhow::anyhow!("{}: {why}", s.path("is")))?;
        Ok(Self {
            is,
            units: s.text("units")?,
            long_name: s.text("long_name")?,
            standard_name: s.text("standard_name")?,
        })
    }
}

/// An array that is read, and where its dimensions are among those of the result.
struct Input {
    path: String,
    packing: Packing,
    /// For each of its dimensions, which of the result's.
    dims: Vec<usize>,
}

struct Computed {
    formula: Arc<Formula>,
    inputs: Vec<Input>,
    dtype: DataType,
}

impl Make for Computed {
    fn effort(&self, base: &Snapshot, shape: &[u64]) -> Effort {
        let of = |input: &Input| {
            let own: Vec<u64> = input.dims.iter().filter_map(|d| shape.get(*d).copied()).collect();
            effort_of(base, &input.path, &own)
        };
        self.inputs.iter().map(of).fold(Effort::default(), Effort::and)
    }

    fn slab<'a>(
        &'a self,
        base: &'a Arc<Snapshot>,
        start: &'a [u64],
        count: &'a [u64],
    ) -> BoxFuture<'a, anyhow::Result<Vec<u8>>> {
        Box::pin(async move {
            let cells = count.iter().product::<u64>() as usize;
            let mut read = Vec::with_capacity(self.inputs.len());
            for input in &self.inputs {
                let of =
                    |all: &[u64]| input.dims.iter().filter_map(|d| all.get(*d).copied()).collect::<Vec<_>>();
                let (from, own) = (of(start), of(count));
                let values = array::values(base, &input.path, &input.packing, &from, &own).await?;
                read.push((values, own, input.dims.clone()));
            }
            let count = count.to_vec();
            let (formula, dtype) = (Arc::clone(&self.formula), self.dtype);
            let work = tokio::task::spawn_blocking(move || {
                let whole: Vec<Vec<f64>> = read
                    .into_iter()
                    .map(|(v, own, dims)| if v.len() == cells { v } else { spread(&v, &own, &dims, &count) })
                    .collect();
                let inputs: Vec<&[f64]> = whole.iter().map(Vec::as_slice).collect();
                let mut out = vec![0.0; cells];
                formula.evaluate(&inputs, &mut out);
                // What is infinite is no value.
                out.iter_mut().filter(|v| !v.is_finite()).for_each(|v| *v = f64::NAN);
                array::bytes_of(&out, dtype)
            });
            Ok(work.await?)
        })
    }
}

/// Values of fewer dimensions, repeated along the others.
fn spread(values: &[f64], own: &[u64], dims: &[usize], count: &[u64]) -> Vec<f64> {
    let cells: u64 = count.iter().product();
    // How far each of the result's dimensions moves in the values.
    let mut steps = vec![0u64; count.len()];
    let mut stride = 1;
    for (dim, len) in dims.iter().zip(own).rev() {
        steps[*dim] = stride;
        stride *= len;
    }
    let (mut index, mut slot) = (vec![0u64; count.len()], 0u64);
    let mut out = Vec::with_capacity(cells as usize);
    for _ in 0..cells {
        out.push(values.get(slot as usize).copied().unwrap_or(f64::NAN));
        for d in (0..count.len()).rev() {
            index[d] += 1;
            slot += steps[d];
            if index[d] < count[d] {
                break;
            }
            slot -= steps[d] * count[d];
            index[d] = 0;
        }
    }
    out
}

/// # Errors
/// A formula that does not read, a variable or a flag that there is not, variables on different grids.
pub fn tree(opened: &Opened, all: &BTreeMap<String, Expression>) -> anyhow::Result<Tree> {
    let mut tree = Tree::of(Arc::clone(&opened.snapshot));
    for (name, expression) in all {
        one(opened, &mut tree, name, expression).with_context(|| format!("formula.{name}"))?;
    }
    Ok(tree)
}

fn one(opened: &Opened, tree: &mut Tree, name: &str, said: &Expression) -> anyhow::Result<()> {
    let formula = Formula::parse(&said.is).map_err(anyhow::Error::msg)?;
    let variables = &opened.cube.variables;
    let find = |wanted: &str| {
        variables.iter().find(|v| v.path == wanted).ok_or_else(|| {
            let there: Vec<&str> = variables.iter().map(|v| v.path.as_str()).collect();
            format!("no variable {wanted:?}; there are {}", there.join(", "))
        })
    };
    let inputs: Vec<&Variable> =
        formula.names().iter().map(|n| find(n)).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
    let formula = formula
        .bind(|v, meaning| {
            let of = find(v)?;
            flag_of(&of.attributes, &of.packing, v, meaning)
        })
        .map_err(anyhow::Error::msg)?;
    let widest = inputs.iter().rev().max_by_key(|v| v.dims.len()).context("expected a variable in it")?;
    let beside = node::beside(&widest.path, name);
    let taken = opened.hierarchy.arrays.contains_key(&beside) && !variables.iter().any(|v| v.path == beside);
    anyhow::ensure!(!taken, "{beside:?} is a coordinate already");
    for v in &inputs {
        // Of the same names and lengths are also grids of different places.
        let apart = v
            .dims
            .iter()
            .any(|d| widest.dims.iter().any(|w| w.name == d.name && w.coordinate != d.coordinate));
        let warped = |v: &Variable| v.is_warped().then(|| v.horizontal().cloned()).flatten();
        if apart || warped(v).zip(warped(widest)).is_some_and(|(a, b)| a != b) {
            anyhow::bail!(
                "{} and {} have coordinates of their own: they lie on different grids",
                v.path,
                widest.path
            );
        }
    }
    let formula = Arc::new(formula);
    let wide = inputs.iter().any(|v| array::float_for(&v.packing) == DataType::Float64);
    let dtype = if wide { DataType::Float64 } else { DataType::Float32 };
    // What replaces a variable has its levels and no more.
    if let Some(former) = variables.iter().find(|v| v.path == beside) {
        let gone: Vec<&str> = former.levels.iter().map(|l| l.array.as_str()).collect();
        tree.retain(|p| !gone.contains(&p));
    }
    let levels = inputs.iter().map(|v| v.levels.len()).min().unwrap_or(1);
    for level in 0..levels {
        let path_of = |v: &Variable| v.levels.get(level).map(|l| l.array.clone());
        let array_of = |v: &Variable| -> anyhow::Result<&ArrayMeta> {
            opened.array(&path_of(v).context("a level that is not there")?)
        };
        let model = array_of(widest)?;
        let mut read = Vec::with_capacity(inputs.len());
        for v in &inputs {
            let a = array_of(v)?;
            let mut dims = Vec::with_capacity(a.dims.len());
            for (dim, len) in a.dims.iter().zip(&a.shape) {
                let at = model.dims.iter().position(|d| d == dim).filter(|i| model.shape[*i] == *len);
                let after = dims.last().is_none_or(|last| at.is_some_and(|i| i > *last));
                let at = at.filter(|_| after).with_context(|| {
                    format!(
                        "{} ({}) does not lie on the grid of {} ({})",
                        v.path,
                        a.dims.join(", "),
                        widest.path,
                        model.dims.join(", ")
                    )
                })?;
                dims.push(at);
            }
            let stored = a.dtype.context("a variable of no numeric type")?;
            read.push(Input { path: a.path.clone(), packing: packing(a, stored), dims });
        }
        let mut attributes = array::of_values(model);
        for key in [
            "standard_name",
            "long_name",
            "units",
            "flag_values",
            "flag_masks",
            "flag_meanings",
            "cell_methods",
            "ancillary_variables",
        ] {
            attributes.shift_remove(key);
        }
        for (key, text) in
            [("standard_name", &said.standard_name), ("long_name", &said.long_name), ("units", &said.units)]
        {
            attributes.extend(text.as_ref().map(|t| (key.to_owned(), json!(t))));
        }
        if said.long_name.is_none() && said.standard_name.is_none() {
            attributes.insert("long_name".to_owned(), json!(name));
        }
        attributes.insert("formula".to_owned(), json!(said.is));
        let path = node::beside(&model.path, name);
        let document = array::document(dtype, &model.shape, model.block_shape(), &model.dims, attributes);
        let make = Computed { formula: Arc::clone(&formula), inputs: read, dtype };
        tree.put(&path, document, Source::Made(Box::new(make)));
    }
    Ok(())
}
