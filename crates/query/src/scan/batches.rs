//! Reading objects into record batches of bounded size.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;

use crate::error::{Error, ErrorKind};
use crate::formats::{Format, LineError, ReadColumn, RowReader};

use super::lines::LineReader;
use super::{Object, ScanContext, object};

/// A batch ends after this many bytes of lines, however few they are.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// An object to read, and the values of the columns that are the same for all of its lines.
pub(super) struct Task {
    pub object: Object,
    pub constants: Vec<ScalarValue>,
}

/// What a query reads of a table: shared by the streams that read it side by side.
#[derive(Debug)]
pub(super) struct TableRead {
    /// The columns of the batches: those read from lines first, then the constant ones, then `order`ed.
    pub schema: SchemaRef,
    pub columns: Vec<ReadColumn>,
    /// For each column of `schema` its place among the read columns followed by the constants.
    pub order: Vec<usize>,
    pub format: Format,
    pub skip_lines: usize,
    pub context: Arc<ScanContext>,
}

/// The objects that nobody has begun to read. Streams take from it, so that none of them waits for another.
pub(super) type Queue = Arc<Mutex<VecDeque<Task>>>;

/// One of the streams over a table.
pub(super) struct TableStream {
    read: Arc<TableRead>,
    queue: Queue,
}

impl TableStream {
    pub(super) fn new(read: &Arc<TableRead>, queue: &Queue) -> TableStream {
        TableStream {
            read: Arc::clone(read),
            queue: Arc::clone(queue),
        }
    }
}

impl std::fmt::Debug for TableStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableStream")
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

impl PartitionStream for TableStream {
    fn schema(&self) -> &SchemaRef {
        &self.read.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batches = Batches {
            read: Arc::clone(&self.read),
            queue: Arc::clone(&self.queue),
            batch_rows: context.session_config().batch_size(),
            current: None,
            failed: false,
        };
        let schema = Arc::clone(&self.read.schema);
        Box::pin(RecordBatchStreamAdapter::new(
            schema,
            futures_util::stream::iter(batches),
        ))
    }
}

/// The batches of one stream, made when they are asked for.
struct Batches {
    read: Arc<TableRead>,
    queue: Queue,
    batch_rows: usize,
    current: Option<OpenObject>,
    failed: bool,
}

/// An object that is being read.
struct OpenObject {
    task: Task,
    lines: LineReader<Box<dyn Read + Send>>,
    rows: Box<dyn RowReader>,
    line_number: u64,
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.failed {
            return None;
        }
        let next = self.next_batch().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

impl Batches {
    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let mut open = match self.current.take() {
                Some(open) => open,
                None => match self.open_next()? {
                    Some(open) => open,
                    None => return Ok(None),
                },
            };
            let (rows, ended) = open
                .read_rows(self.batch_rows, self.read.skip_lines)
                .map_err(external)?;
            let columns = open.rows.take_columns();
            let batch = if rows > 0 {
                Some(self.batch(columns, &open.task.constants, rows)?)
            } else {
                None
            };
            if !ended {
                self.current = Some(open);
            }
            if batch.is_some() {
                return Ok(batch);
            }
        }
    }

    fn open_next(&self) -> Result<Option<OpenObject>> {
        let task = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();
        let Some(task) = task else { return Ok(None) };
        let context = &self.read.context;
        context.objects.fetch_add(1, Ordering::Relaxed);
        let source = object::open(&task.object, &context.bytes).map_err(external)?;
        Ok(Some(OpenObject {
            task,
            lines: LineReader::new(source),
            rows: self.read.format.reader(&self.read.columns),
            line_number: 0,
        }))
    }

    fn batch(
        &self,
        mut columns: Vec<ArrayRef>,
        constants: &[ScalarValue],
        rows: usize,
    ) -> Result<RecordBatch> {
        for constant in constants {
            columns.push(constant.to_array_of_size(rows)?);
        }
        let ordered = self
            .read
            .order
            .iter()
            .map(|index| Arc::clone(&columns[*index]))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.read.schema),
            ordered,
            &options,
        )?)
    }
}

impl OpenObject {
    /// Reads rows until the batch is full or the object ends; answers how many, and whether it ended.
    fn read_rows(&mut self, most: usize, skip_lines: usize) -> Result<(usize, bool), Error> {
        let uri = &self.task.object.uri;
        let mut rows = 0;
        let mut bytes = 0;
        while rows < most && bytes < BATCH_BYTES {
            let line = self.lines.next_line().map_err(|error| {
                let message = format!(
                    "{uri}: cannot be read after line {}: {error}",
                    self.line_number
                );
                Error::new(ErrorKind::HiveCursorError, message)
            })?;
            let Some(line) = line else {
                return Ok((rows, true));
            };
            self.line_number += 1;
            if self.line_number <= skip_lines as u64 {
                continue;
            }
            self.rows
                .read_line(line)
                .map_err(|LineError { kind, message }| {
                    Error::new(kind, format!("{message} ({uri} line {})", self.line_number))
                })?;
            rows += 1;
            bytes += line.len();
        }
        Ok((rows, false))
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
