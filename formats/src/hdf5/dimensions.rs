//! Which dimension each axis of a dataset has.
//!
//! NetCDF-4 stores a dimension as an HDF5 dimension scale; variables refer to it
//! by address (`DIMENSION_LIST`), or, where a variable is itself a scale, by
//! number (`_Netcdf4Coordinates`). Axes without a scale get netcdf-c's names for
//! anonymous dimensions, `phony_dim_N`, one per length and group.

use graticule_shared::node::within;
use std::collections::HashMap;

use hdf5_reader::{Attribute, Dataset};

use super::explain;
use super::tree::Node;
use crate::{Dimension, FormatError, Limits};

/// `NAME` of a scale that only carries a dimension (netcdf-c `DIM_WITHOUT_VARIABLE`).
const NOT_A_VARIABLE: &str = "This is a netCDF dimension but not a netCDF variable";

pub(super) struct Dimensions<'a> {
    file: &'a str,
    limit: usize,
    list: Vec<Dimension>,
    /// Scales by the address of their dataset, and by `_Netcdf4Dimid`.
    by_address: HashMap<u64, usize>,
    by_id: HashMap<i64, usize>,
    /// Anonymous dimensions: group, and place in `list`.
    phony: Vec<(String, usize)>,
}

fn attribute(dataset: &Dataset, name: &str) -> Option<Attribute> {
    dataset.attribute(name).ok()
}

fn is_scale(dataset: &Dataset) -> bool {
    attribute(dataset, "CLASS")
        .and_then(|a| a.read_string().ok())
        .is_some_and(|class| class.trim_end_matches('\0') == "DIMENSION_SCALE")
}

fn is_unlimited(dataset: &Dataset, axis: usize) -> bool {
    dataset.max_dims().and_then(|max| max.get(axis)) == Some(&u64::MAX)
}

impl<'a> Dimensions<'a> {
    pub(super) fn gather(file: &'a str, nodes: &[Node], limits: &Limits) -> Result<Self, FormatError> {
        let mut dims = Self {
            file,
            limit: limits.dimensions,
            list: Vec::new(),
            by_address: HashMap::new(),
            by_id: HashMap::new(),
            phony: Vec::new(),
        };
        let mut scales: Vec<(i64, &Node)> = nodes
            .iter()
            .filter(|n| is_scale(&n.dataset) && !n.dataset.shape().is_empty())
            .map(|n| {
                let id = attribute(&n.dataset, "_Netcdf4Dimid").and_then(|a| a.read_scalar::<i32>().ok());
                (id.map_or(i64::MAX, i64::from), n)
            })
            .collect();
        scales.sort_by_key(|(id, _)| *id);
        for (id, node) in scales {
            if dims.by_address.contains_key(&node.dataset.address()) {
                continue;
            }
            let place = dims.add(Dimension {
                name: node.path(),
                len: node.dataset.shape().first().copied().unwrap_or(0),
                unlimited: is_unlimited(&node.dataset, 0),
            })?;
            dims.by_address.insert(node.dataset.address(), place);
            dims.by_id.entry(id).or_insert(place);
        }
        // An unlimited dimension is as long as its longest variable.
        for node in nodes {
            for (axis, place) in dims.scales_of(node)?.into_iter().enumerate() {
                let (Some(place), Some(len)) = (place, node.dataset.shape().get(axis)) else { continue };
                let dim = &mut dims.list[place];
                if dim.unlimited && is_unlimited(&node.dataset, axis) {
                    dim.len = dim.len.max(*len);
                }
            }
        }
        Ok(dims)
    }

    fn add(&mut self, dimension: Dimension) -> Result<usize, FormatError> {
        if self.list.len() >= self.limit {
            return Err(FormatError::new(
                self.file,
                format!("the file has more than {} dimensions", self.limit),
            ));
        }
        self.list.push(dimension);
        Ok(self.list.len() - 1)
    }

    pub(super) fn any_scale(&self) -> bool {
        !self.by_address.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Dimension> {
        self.list
    }

    /// A scale without values of its own.
    pub(super) fn is_dimension_only(&self, node: &Node) -> bool {
        self.by_address.contains_key(&node.dataset.address())
            && attribute(&node.dataset, "NAME")
                .and_then(|a| a.read_string().ok())
                .is_some_and(|name| name.starts_with(NOT_A_VARIABLE))
    }

    /// The scale of each axis, where it has one.
    fn scales_of(&self, node: &Node) -> Result<Vec<Option<usize>>, FormatError> {
        let dataset = &node.dataset;
        let rank = dataset.ndim();
        let mut found = vec![None; rank];
        if let Some(own) = self.by_address.get(&dataset.address()) {
            // A coordinate variable of several dimensions lists their numbers.
            let ids = attribute(dataset, "_Netcdf4Coordinates").and_then(|a| a.read_1d::<i32>().ok());
            match ids {
                Some(ids) if ids.len() == rank => {
                    for (slot, id) in found.iter_mut().zip(ids) {
                        *slot = self.by_id.get(&i64::from(id)).copied();
                    }
                }
                _ => {
                    if let Some(first) = found.first_mut() {
                        *first = Some(*own);
                    }
                }
            }
            return Ok(found);
        }
        let Some(list) = attribute(dataset, "DIMENSION_LIST") else { return Ok(found) };
        let entry = dataset.vlen_reference_size();
        let offset = entry.saturating_sub(8);
        for (slot, reference) in found.iter_mut().zip(list.raw_data.chunks_exact(entry.max(1))) {
            let at = |e| {
                let mut error = explain(self.file, &e).in_variable(node.path());
                error.reason = format!("attribute \"DIMENSION_LIST\": {}", error.reason);
                error
            };
            let bytes = dataset.resolve_vlen_reference_bytes(reference, offset).map_err(at)?;
            let addresses =
                hdf5_reader::reference::read_object_references(&bytes, offset as u8).map_err(at)?;
            *slot = addresses.iter().find_map(|address| self.by_address.get(address)).copied();
        }
        Ok(found)
    }

    /// Names and lengths of the axes of a variable.
    pub(super) fn of(&mut self, node: &Node) -> Result<(Vec<String>, Vec<u64>), FormatError> {
        let scales = self.scales_of(node)?;
        let dataset = &node.dataset;
        let mut places: Vec<usize> = Vec::new();
        for (axis, (len, scale)) in dataset.shape().iter().zip(scales).enumerate() {
            let unlimited = is_unlimited(dataset, axis) && dataset.chunks().is_some();
            // A scale that is longer fits only where records can be missing.
            let fits = |d: &Dimension| d.len == *len || (unlimited && d.unlimited && d.len > *len);
            let place = match scale {
                Some(place) if self.list.get(place).is_some_and(fits) => place,
                _ => self.phony(&node.group, *len, is_unlimited(dataset, axis), &places)?,
            };
            places.push(place);
        }
        let dims = places.iter().filter_map(|p| self.list.get(*p));
        Ok(dims.map(|d| (d.name.clone(), d.len)).unzip())
    }

    /// As netcdf-c: reused within a group by length, but not within one variable.
    fn phony(
        &mut self,
        group: &str,
        len: u64,
        unlimited: bool,
        used: &[usize],
    ) -> Result<usize, FormatError> {
        let known = self.phony.iter().find(|(g, place)| {
            g == group
                && !used.contains(place)
                && self.list.get(*place).is_some_and(|d| d.len == len && d.unlimited == unlimited)
        });
        if let Some((_, place)) = known {
            return Ok(*place);
        }
        let mut number = self.list.len();
        let name = loop {
            let name = within(group, &format!("phony_dim_{number}"));
            if self.list.iter().all(|d| d.name != name) {
                break name;
            }
            number += 1;
        };
        let place = self.add(Dimension { name, len, unlimited })?;
        self.phony.push((group.to_owned(), place));
        Ok(place)
    }
}
