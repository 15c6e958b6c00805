//! A table of the catalog as a DataFusion table.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use crate::catalog::{Partition, TableDef};
use crate::error::Error;
use crate::formats::{Format, ReadColumn};

use super::batches::{TableRead, TableStream, Task};
use super::{Object, S3Location, hint, list_objects, partitions};

/// Columns that every table has without `SELECT *` showing them.
pub(crate) const HIDDEN_COLUMNS: [&str; 2] = ["$path", "$file_size"];

/// What the scans of one query share: where the objects are, and what was read and noticed.
#[derive(Debug, Default)]
pub(crate) struct ScanContext {
    pub objects_root: PathBuf,
    /// Bytes read from objects, as they lie on the disk.
    pub bytes: Arc<AtomicU64>,
    /// Objects opened.
    pub objects: AtomicU64,
    /// What the user should know although the query succeeds.
    pub notes: Mutex<Vec<String>>,
}

impl ScanContext {
    fn note(&self, note: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// A table over the objects of a lake.
#[derive(Debug)]
pub(crate) struct LakeTable {
    /// `database.name`, for messages.
    name: String,
    definition: TableDef,
    format: Format,
    schema: SchemaRef,
    context: Arc<ScanContext>,
}

impl LakeTable {
    /// A table for one query. With `hidden` its schema has the [`HIDDEN_COLUMNS`] at its end.
    pub(crate) fn new(
        name: String,
        definition: TableDef,
        hidden: bool,
        context: Arc<ScanContext>,
    ) -> Result<LakeTable, Error> {
        let format = Format::of(&definition.serde)?;
        let mut fields: Vec<Field> = definition
            .columns
            .iter()
            .chain(&definition.partition_keys)
            .map(|column| Field::new(&column.name, column.hive_type.to_arrow(), true))
            .collect();
        if hidden {
            fields.push(Field::new(HIDDEN_COLUMNS[0], DataType::Utf8, false));
            fields.push(Field::new(HIDDEN_COLUMNS[1], DataType::Int64, false));
        }
        let schema = Arc::new(Schema::new(fields));
        Ok(LakeTable {
            name,
            definition,
            format,
            schema,
            context,
        })
    }

    fn is_partition_filter(&self, filter: &Expr) -> bool {
        let is_key = |name: &str| {
            self.definition
                .partition_keys
                .iter()
                .any(|key| key.name == name)
        };
        let columns = filter.column_refs();
        !columns.is_empty()
            && columns.iter().all(|column| is_key(&column.name))
            && !filter.is_volatile()
    }

    /// The objects to read, each with the values of its partition.
    fn tasks(&self, filters: &[Expr], state: &dyn Session) -> Result<Vec<Task>> {
        if self.definition.partition_keys.is_empty() {
            let objects = self.objects(&self.definition.location)?;
            return Ok(objects
                .into_iter()
                .map(|object| self.task(object, Vec::new()))
                .collect());
        }
        let all: &[Partition] = &self.definition.partitions;
        if all.is_empty() {
            let table = &self.name;
            self.context.note(format!(
                "{table} has no partitions yet; add them with MSCK REPAIR TABLE {table} or ALTER TABLE {table} ADD PARTITION"
            ));
        }
        let filters: Vec<Expr> = filters
            .iter()
            .filter(|filter| self.is_partition_filter(filter))
            .cloned()
            .collect();
        let mut tasks = Vec::new();
        for needed in partitions::needed(&self.definition.partition_keys, all, &filters, state)? {
            for object in self.objects(&needed.partition.location)? {
                tasks.push(self.task(object, needed.values.clone()));
            }
        }
        Ok(tasks)
    }

    fn objects(&self, location: &str) -> Result<Vec<Object>> {
        let listed = S3Location::parse(location)
            .map_err(|fault| Error::new(crate::ErrorKind::HiveInvalidMetadata, fault))
            .and_then(|location| {
                let objects = list_objects(&self.context.objects_root, &location)?;
                if objects.is_empty() {
                    let hint = hint::no_objects(&self.context.objects_root, &location)?;
                    self.context.note(format!("{}: {hint}", self.name));
                }
                Ok(objects)
            });
        listed.map_err(|error| DataFusionError::External(Box::new(error)))
    }

    /// Constant columns are the partition keys, then the hidden ones.
    fn task(&self, object: Object, mut constants: Vec<ScalarValue>) -> Task {
        constants.push(ScalarValue::Utf8(Some(object.uri.clone())));
        constants.push(ScalarValue::Int64(Some(object.size as i64)));
        Task { object, constants }
    }

    fn read(&self, projection: &[usize]) -> Result<TableRead> {
        let from_lines = self.definition.columns.len();
        let columns: Vec<ReadColumn> = projection
            .iter()
            .filter(|index| **index < from_lines)
            .map(|index| {
                let column = &self.definition.columns[*index];
                ReadColumn {
                    ordinal: *index,
                    name: column.name.clone(),
                    hive_type: column.hive_type.clone(),
                }
            })
            .collect();
        let mut next_read = 0;
        let order = projection
            .iter()
            .map(|index| {
                if *index >= from_lines {
                    return columns.len() + index - from_lines;
                }
                next_read += 1;
                next_read - 1
            })
            .collect();
        let skip_lines = self.definition.properties.get("skip.header.line.count");
        Ok(TableRead {
            schema: Arc::new(self.schema.project(projection)?),
            columns,
            order,
            format: self.format.clone(),
            skip_lines: skip_lines.and_then(|count| count.parse().ok()).unwrap_or(0),
            context: Arc::clone(&self.context),
        })
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    /// Filters on partition keys choose the objects; they are applied again to the rows.
    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        let answer = |filter: &&Expr| {
            if self.is_partition_filter(filter) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(answer).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.schema.fields().len()).collect();
        let read = Arc::new(self.read(projection.unwrap_or(&all))?);
        let tasks = self.tasks(filters, state)?;
        let streams = tasks.len().clamp(1, state.config().target_partitions());
        let queue = Arc::new(Mutex::new(VecDeque::from(tasks)));
        let streams: Vec<Arc<dyn PartitionStream>> = (0..streams)
            .map(|_| Arc::new(TableStream::new(&read, &queue)) as Arc<dyn PartitionStream>)
            .collect();
        let schema = Arc::clone(&read.schema);
        Ok(Arc::new(StreamingTableExec::try_new(
            schema, streams, None, None, false, limit,
        )?))
    }
}
