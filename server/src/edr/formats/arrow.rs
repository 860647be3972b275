//! Rows as an Arrow IPC stream; units and the version are in the schema's metadata.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema, TimeUnit};

use super::super::Coverage;
use super::Source;
use super::parquet::{Filled, filled};
use crate::problem::{Answer, Problem};

pub fn write(coverages: &[Coverage], source: &Source) -> Answer<Vec<u8>> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (name, units, values) in filled(coverages) {
        let (kind, array): (DataType, ArrayRef) = match values {
            Filled::Numbers(v) => {
                let there = v.into_iter().map(|v| (!v.is_nan()).then_some(v));
                (DataType::Float64, Arc::new(there.collect::<Float64Array>()))
            }
            Filled::Instants(v) => (
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                Arc::new(v.into_iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            ),
            Filled::Texts(v) => (DataType::Utf8, Arc::new(v.into_iter().collect::<StringArray>())),
        };
        let metadata = units.map(|u| HashMap::from([("units".to_owned(), u)])).unwrap_or_default();
        fields.push(Field::new(name, kind, true).with_metadata(metadata));
        arrays.push(array);
    }
    let metadata = source.attributes.iter().cloned().collect::<HashMap<_, _>>();
    let schema = Arc::new(Schema::new_with_metadata(fields, metadata));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(Problem::internal)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(Problem::internal)?;
    writer.write(&batch).map_err(Problem::internal)?;
    writer.finish().map_err(Problem::internal)?;
    writer.into_inner().map_err(Problem::internal)
}
