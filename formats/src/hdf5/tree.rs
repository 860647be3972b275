//! Walks the groups of an HDF5 file and gathers what NetCDF calls dimensions,
//! variables and attributes.
//!
//! Two passes: a dimension may be declared in one group and used in another, so
//! all scales are known by address before any variable is named.

use std::collections::HashSet;

use graticule_shared::dtype::DataType;
use graticule_shared::node::within;
use hdf5_reader::error::Error;
use hdf5_reader::group::Group;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::dataspace::DataspaceType;
use hdf5_reader::{Attribute, Dataset, Hdf5File};

use super::dimensions::Dimensions;
use super::{attributes, explain, filters, legacy};
use crate::{AttrValue, FormatError, Header, Limits, Variable, slab};

const MAX_DEPTH: usize = 64;
/// Prefix of a variable that shares its name with a dimension without being its
/// coordinate (netcdf-c `NON_COORD_PREPEND`).
const NON_COORD: &str = "_nc4_non_coord_";

/// A dataset with its place in the tree.
pub(super) struct Node {
    /// Path of the group, without slashes at its ends.
    pub(super) group: String,
    /// The link's name.
    pub(super) name: String,
    pub(super) dataset: Dataset,
}

impl Node {
    pub(super) fn path(&self) -> String {
        within(&self.group, &self.name)
    }
}

/// What the walk has gathered so far.
struct Walk<'a> {
    file: &'a str,
    limits: &'a Limits,
    nodes: Vec<Node>,
    groups: usize,
    /// Addresses of the groups seen: hard links can make a loop.
    seen: HashSet<u64>,
    attributes: Attributes<'a>,
    global: Vec<(String, AttrValue)>,
    skipped: Vec<(String, String)>,
    is_netcdf: bool,
}

pub(super) enum Outcome {
    /// With the datasets in the order of the header's variables.
    Read(Header, Vec<Dataset>),
    /// Addresses of datasets whose layout must be read as [`super::legacy`] says.
    Suspect(Vec<u64>),
}

pub(super) fn read(
    file: &str,
    hdf5: &Hdf5File,
    limits: &Limits,
    suspect: bool,
) -> Result<Outcome, FormatError> {
    let mut walk = Walk {
        file,
        limits,
        nodes: Vec::new(),
        groups: 0,
        seen: HashSet::new(),
        attributes: Attributes { file, limit: limits.attribute_bytes, spent: 0 },
        global: Vec::new(),
        skipped: Vec::new(),
        is_netcdf: false,
    };
    let root = hdf5.root_group().map_err(|e| explain(file, &e))?;
    walk.group(&root, "", 0)?;
    if suspect {
        let suspects = walk.nodes.iter().map(|n| &n.dataset).filter(|d| legacy::is_suspect(hdf5, d));
        let addresses: Vec<u64> = suspects.map(Dataset::address).collect();
        if !addresses.is_empty() {
            return Ok(Outcome::Suspect(addresses));
        }
    }
    let mut dims = Dimensions::gather(file, &walk.nodes, limits)?;
    walk.is_netcdf |= dims.any_scale();
    let mut header = Header {
        format: if walk.is_netcdf { "NetCDF-4" } else { "HDF5" }.to_owned(),
        attributes: walk.global,
        skipped: walk.skipped,
        ..Header::default()
    };
    let mut datasets = Vec::new();
    for node in walk.nodes {
        if dims.is_dimension_only(&node) {
            continue;
        }
        let name = node.name.strip_prefix(NON_COORD).unwrap_or(&node.name);
        let path = within(&node.group, name);
        let dataset = &node.dataset;
        let Some((dtype, _)) = attributes::number(dataset.dtype()) else {
            // A container of attributes (CF section 5.6) may be of any type.
            if dataset.shape().iter().product::<u64>() <= 1 {
                let list = walk.attributes.of_dataset(&path, dataset, &mut header.skipped)?;
                if slab::holds_attributes(&list) {
                    let (dtype, chunks) = (DataType::Int8, None);
                    header.variables.push(Variable {
                        path,
                        dims: Vec::new(),
                        shape: Vec::new(),
                        dtype,
                        attributes: list,
                        chunks,
                    });
                    datasets.push(node.dataset);
                    continue;
                }
            }
            header
                .skipped
                .push((path, format!("it holds {}, not numbers", attributes::describe(dataset.dtype()))));
            continue;
        };
        if let Some(reason) = unreadable(file, hdf5, dataset)? {
            header.skipped.push((path, reason));
            continue;
        }
        let (names, shape) = dims.of(&node)?;
        let declared = slab::check_declared(file, &path, &shape, dtype, limits)?;
        let chunks: Option<Vec<u64>> = dataset.chunks().map(|c| c.iter().map(|n| u64::from(*n)).collect());
        if let Some(chunks) = &chunks {
            let bytes = chunks.iter().fold(dtype.size() as u64, |n, c| n.saturating_mul(*c));
            if bytes > limits.chunk_bytes && declared > 0 {
                return Err(FormatError::new(
                    file,
                    format!(
                        "its chunks of shape {chunks:?} decode to {bytes} bytes each; at most {} are decoded at once",
                        limits.chunk_bytes
                    ),
                )
                .in_variable(path));
            }
        }
        let list = walk.attributes.of_dataset(&path, dataset, &mut header.skipped)?;
        let dataset = if shape == dataset.shape() {
            node.dataset
        } else {
            node.dataset.with_padded_shape(&shape).map_err(|e| explain(file, &e).in_variable(&path))?
        };
        header.variables.push(Variable { path, dims: names, shape, dtype, attributes: list, chunks });
        datasets.push(dataset);
    }
    header.dimensions = dims.into_list();
    Ok(Outcome::Read(header, datasets))
}

impl Walk<'_> {
    fn group(&mut self, group: &Group, path: &str, depth: usize) -> Result<(), FormatError> {
        if !self.seen.insert(group.address()) {
            return Ok(());
        }
        self.groups += 1;
        if depth > MAX_DEPTH || self.groups > self.limits.variables {
            return Err(FormatError::new(
                self.file,
                format!(
                    "group {path:?}: at most {} groups, {MAX_DEPTH} deep, are read",
                    self.limits.variables
                ),
            ));
        }
        let at = |e: Error| {
            let mut error = explain(self.file, &e);
            error.reason = format!("group {:?}: {}", format!("/{path}"), error.reason);
            error
        };
        let (groups, datasets) = group.member_names().map_err(at)?;
        let list = group.attributes().map_err(at)?;
        for attribute in &list {
            self.is_netcdf |= matches!(attribute.name.as_str(), "_NCProperties" | "_nc3_strict");
        }
        let resolve = |reference: &[u8]| group.resolve_vlen_reference_bytes(reference, 1);
        let list = self.attributes.convert(
            path,
            &list,
            &resolve,
            usize::from(group.offset_size()),
            &mut self.skipped,
        )?;
        // Only the root's are the file's own; a group's keep their path.
        self.global.extend(list.into_iter().map(|(name, value)| (within(path, &name), value)));
        for name in datasets {
            if let Some(fault) = slab::name_fault(&name) {
                self.skipped.push((within(path, &name), fault.to_owned()));
                continue;
            }
            if self.nodes.len() >= self.limits.variables {
                return Err(FormatError::new(
                    self.file,
                    format!("the file has more than {} variables", self.limits.variables),
                ));
            }
            match group.dataset(&name) {
                Ok(dataset) => self.nodes.push(Node { group: path.to_owned(), name, dataset }),
                Err(e) if is_unsupported(&e) => {
                    self.skipped.push((within(path, &name), format!("it cannot be read: {e}")));
                }
                Err(e) => return Err(explain(self.file, &e).in_variable(within(path, &name))),
            }
        }
        for name in groups {
            if let Some(fault) = slab::name_fault(&name) {
                self.skipped.push((within(path, &name), fault.to_owned()));
                continue;
            }
            let child = group.group(&name).map_err(at_group(self.file, path))?;
            self.group(&child, &within(path, &name), depth + 1)?;
        }
        Ok(())
    }
}

fn at_group<'a>(file: &'a str, path: &'a str) -> impl Fn(Error) -> FormatError + 'a {
    move |e| {
        let mut error = explain(file, &e);
        error.reason = format!("group {:?}: {}", format!("/{path}"), error.reason);
        error
    }
}

/// Valid HDF5 that the library does not read, as opposed to damage.
fn is_unsupported(error: &Error) -> bool {
    match error {
        Error::Context { source, .. } => is_unsupported(source),
        Error::UnsupportedDatatypeClass(_)
        | Error::UnsupportedLayoutClass(_)
        | Error::UnsupportedEncoding(_)
        | Error::UnsupportedFilter(_) => true,
        _ => false,
    }
}

/// Why the values cannot be read, though the variable is understood.
fn unreadable(file: &str, hdf5: &Hdf5File, dataset: &Dataset) -> Result<Option<String>, FormatError> {
    let header = hdf5.get_or_parse_header(dataset.address()).map_err(|e| explain(file, &e))?;
    for message in &header.messages {
        match message {
            HdfMessage::FilterPipeline(pipeline) => {
                if let Some(reason) = pipeline.filters.iter().find_map(|f| filters::unsupported(f.id)) {
                    return Ok(Some(reason));
                }
            }
            HdfMessage::Dataspace(space) if space.dataspace_type == DataspaceType::Null => {
                return Ok(Some("it holds no values at all (a null dataspace)".to_owned()));
            }
            HdfMessage::ExternalFiles(_) => {
                return Ok(Some("its values lie in another file, which is not followed".to_owned()));
            }
            _ => {}
        }
    }
    Ok(None)
}

/// Converts attributes and keeps account of their size.
struct Attributes<'a> {
    file: &'a str,
    limit: u64,
    spent: u64,
}

impl Attributes<'_> {
    fn of_dataset(
        &mut self,
        path: &str,
        dataset: &Dataset,
        skipped: &mut Vec<(String, String)>,
    ) -> Result<Vec<(String, AttrValue)>, FormatError> {
        let resolve = |reference: &[u8]| dataset.resolve_vlen_reference_bytes(reference, 1);
        let offset_size = dataset.vlen_reference_size().saturating_sub(8);
        self.convert(path, &dataset.attributes(), &resolve, offset_size, skipped)
            .map_err(|e| e.in_variable(path))
    }

    fn convert(
        &mut self,
        owner: &str,
        list: &[Attribute],
        resolve: &attributes::Resolve<'_>,
        offset_size: usize,
        skipped: &mut Vec<(String, String)>,
    ) -> Result<Vec<(String, AttrValue)>, FormatError> {
        let mut converted = Vec::new();
        for attribute in list.iter().filter(|a| !attributes::is_internal(&a.name)) {
            let strings = attribute.decoded_strings.iter().flatten().map(|s| s.len() + 16).sum::<usize>();
            self.spent += (attribute.raw_data.len() + strings + attribute.name.len() + 16) as u64;
            if self.spent > self.limit {
                return Err(FormatError::new(
                    self.file,
                    format!("the attributes of the file have more than {} bytes", self.limit),
                ));
            }
            match attributes::convert(attribute, resolve, offset_size + 8) {
                Ok(Some(value)) => converted.push((attribute.name.clone(), value)),
                Ok(None) => skipped.push((
                    format!("{owner}@{}", attribute.name),
                    format!("the attribute holds {}", attributes::describe(&attribute.datatype)),
                )),
                Err(e) => {
                    let mut error = explain(self.file, &e);
                    error.reason = format!("attribute {:?}: {}", attribute.name, error.reason);
                    return Err(error);
                }
            }
        }
        Ok(converted)
    }
}
