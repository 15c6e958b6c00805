//! One statement on its way: which front end, which plan, and the task that makes its rows.

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{ExecutionPlan, collect, execute_stream};
use datafusion::sql::sqlparser::ast::{ObjectName, Query};
use futures_util::StreamExt;
use tokio::sync::mpsc::{Sender, channel};

use crate::catalog::{CATALOG_NAME, Catalog, Entry, Existing, ViewDef, name_fault};
use crate::commands::{self, Answer, CommandContext};
use crate::error::{Error, ErrorKind, Position, Result};
use crate::execution::{AbortOnDrop, Column, Execution, Message, Row, Rows, StatementKind};
use crate::plan::{PlannedQuery, Planner, translate};
use crate::scan::ScanContext;
use crate::statement::FrontEnd;
use crate::text::value_text;
use crate::trino::{self, ExplainKind, Rewritten, TrinoStatement};
use crate::types::result_type_name;

/// Batches that wait for the caller at most; then the query waits.
const WAITING_BATCHES: usize = 4;

/// Everything that one statement needs.
pub(crate) struct Run {
    pub state: SessionState,
    pub catalog: Catalog,
    pub database: String,
    pub scan: Arc<ScanContext>,
    pub started: Instant,
    /// Now, in seconds since 1970.
    pub now: i64,
}

impl Run {
    /// Carries the statement out up to its first row.
    pub(crate) async fn start(self, text: &str) -> Result<Execution> {
        match FrontEnd::of(text) {
            FrontEnd::Hive => {
                let answer = self.command(text)?;
                Ok(self.answered(answer))
            }
            FrontEnd::Trino => match trino::parse(text)? {
                TrinoStatement::Query(query) => self.query(query).await,
                TrinoStatement::CreateView {
                    name,
                    or_replace,
                    sql,
                    query,
                } => {
                    let answer = self.create_view(&name, or_replace, sql, query)?;
                    Ok(self.answered(answer))
                }
                TrinoStatement::Explain { kind, query } => self.explain(kind, query).await,
            },
        }
    }

    fn answered(self, answer: Answer) -> Execution {
        let Answer {
            kind,
            substatement,
            columns,
            rows,
        } = answer;
        self.execution(kind, substatement, columns, Rows::Ready(rows))
    }

    fn execution(
        self,
        kind: StatementKind,
        substatement: &'static str,
        columns: Vec<Column>,
        rows: Rows,
    ) -> Execution {
        Execution {
            kind,
            substatement,
            columns,
            rows,
            scan: self.scan,
            started: self.started,
            finished: None,
            row_count: 0,
        }
    }

    fn command(&self, text: &str) -> Result<Answer> {
        let statement = crate::hive::parse(text)?;
        let context = CommandContext {
            catalog: &self.catalog,
            objects_root: self.scan.objects_root.clone(),
            database: &self.database,
            now: self.now,
        };
        commands::run(statement, &context)
    }

    fn plan(&self, query: Box<Query>) -> Result<PlannedQuery> {
        let planner = Planner {
            state: self.state.clone(),
            catalog: self.catalog.clone(),
            scan: Arc::clone(&self.scan),
        };
        planner.plan(query, &self.database)
    }

    async fn physical(&self, planned: &PlannedQuery) -> Result<Arc<dyn ExecutionPlan>> {
        self.state
            .create_physical_plan(&planned.plan)
            .await
            .map_err(engine_error)
    }

    async fn query(self, query: Box<Query>) -> Result<Execution> {
        let planned = self.plan(query)?;
        let headings = planned.headings();
        let physical = self.physical(&planned).await?;
        let columns = result_columns(&physical.schema(), headings);
        let stream = execute_stream(physical, self.state.task_ctx()).map_err(engine_error)?;
        let (sender, receiver) = channel(WAITING_BATCHES);
        let task = tokio::spawn(send_rows(stream, sender));
        let rows = Rows::Streaming {
            receiver,
            task: AbortOnDrop(task.abort_handle()),
        };
        Ok(self.execution(StatementKind::Dml, "SELECT", columns, rows))
    }

    async fn explain(self, kind: ExplainKind, query: Box<Query>) -> Result<Execution> {
        let planned = self.plan(query)?;
        let text = match kind {
            ExplainKind::Validate => "true".to_owned(),
            ExplainKind::Logical => {
                let optimised = self.state.optimize(&planned.plan).map_err(engine_error)?;
                optimised.display_indent().to_string()
            }
            ExplainKind::Distributed => {
                let physical = self.physical(&planned).await?;
                DisplayableExecutionPlan::new(physical.as_ref())
                    .indent(false)
                    .to_string()
            }
            ExplainKind::Analyze => {
                let physical = self.physical(&planned).await?;
                collect(Arc::clone(&physical), self.state.task_ctx())
                    .await
                    .map_err(engine_error)?;
                DisplayableExecutionPlan::with_metrics(physical.as_ref())
                    .indent(false)
                    .to_string()
            }
        };
        let heading = if kind == ExplainKind::Validate {
            "Valid"
        } else {
            "Query Plan"
        };
        let rows = text
            .lines()
            .map(|line| vec![Some(line.to_owned())])
            .collect();
        let columns = vec![Column::text(heading)];
        Ok(self.execution(
            StatementKind::Utility,
            "EXPLAIN",
            columns,
            Rows::Ready(rows),
        ))
    }

    fn create_view(
        &self,
        name: &ObjectName,
        or_replace: bool,
        sql: String,
        query: Box<Query>,
    ) -> Result<Answer> {
        let (database, name) = self.view_name(name)?;
        let columns = self.plan(query)?.view_columns()?;
        let view = ViewDef {
            name: name.clone(),
            sql,
            database: self.database.clone(),
            columns,
            created: self.now,
        };
        let existing = if or_replace {
            Existing::ReplaceView
        } else {
            Existing::Refuse
        };
        self.catalog
            .create(&database, &Entry::View(view), existing)
            .map_err(|error| match error.kind() {
                ErrorKind::ExecutionError => {
                    let message = format!("'{CATALOG_NAME}.{database}.{name}' already exists");
                    Error::at(
                        ErrorKind::SyntaxError,
                        Position { line: 1, column: 1 },
                        message,
                    )
                }
                _ => error,
            })?;
        Ok(Answer {
            kind: StatementKind::Ddl,
            substatement: "CREATE_VIEW",
            ..Answer::default()
        })
    }

    fn view_name(&self, name: &ObjectName) -> Result<(String, String)> {
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|ident| ident.value.clone())
            .collect();
        let (database, name) = match parts.as_slice() {
            [name] => (self.database.clone(), name.clone()),
            [database, name] => (database.clone(), name.clone()),
            [catalog, database, name] if catalog == CATALOG_NAME => {
                (database.clone(), name.clone())
            }
            _ => {
                let message = format!("'{}' is not the name of a view", parts.join("."));
                return Err(Error::new(ErrorKind::SyntaxError, message));
            }
        };
        if !self.catalog.database_exists(&database) {
            return Err(Error::new(
                ErrorKind::SchemaNotFound,
                format!("Schema '{database}' does not exist"),
            ));
        }
        match name_fault(&name) {
            Some(fault) => Err(Error::new(ErrorKind::SyntaxError, fault)),
            None => Ok((database, name)),
        }
    }
}

fn engine_error(error: datafusion::common::DataFusionError) -> Error {
    translate(error, &Rewritten::default())
}

/// Runs the query and hands its rows over, until the last one, an error, or nobody listens.
async fn send_rows(mut stream: SendableRecordBatchStream, sender: Sender<Result<Message>>) {
    while let Some(batch) = stream.next().await {
        let (message, last) = match batch {
            Ok(batch) => (Ok(Message::Rows(rows_of(&batch))), false),
            Err(error) => (Err(engine_error(error)), true),
        };
        if sender.send(message).await.is_err() || last {
            return;
        }
    }
    // The receiver may be gone, which is its right.
    let _ = sender.send(Ok(Message::End)).await;
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let row = |row: usize| {
        batch
            .columns()
            .iter()
            .map(|column| value_text(column, row))
            .collect()
    };
    (0..batch.num_rows()).map(row).collect()
}

fn result_columns(schema: &SchemaRef, headings: Vec<String>) -> Vec<Column> {
    let column = |(heading, data_type): (String, &DataType)| {
        let (precision, scale) = precision_and_scale(data_type);
        Column {
            name: heading,
            type_name: result_type_name(data_type),
            precision,
            scale,
        }
    };
    headings
        .into_iter()
        .zip(schema.fields().iter().map(|field| field.data_type()))
        .map(column)
        .collect()
}

/// The numbers that Athena gives for each type.
fn precision_and_scale(data_type: &DataType) -> (u32, u32) {
    match data_type {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 | DataType::UInt64 => (19, 0),
        DataType::Float16 | DataType::Float32 | DataType::Float64 => (17, 0),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            (u32::from(*precision), scale.unsigned_abs().into())
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => (i32::MAX as u32, 0),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => (1_073_741_824, 0),
        DataType::Timestamp(..) => (3, 0),
        _ => (0, 0),
    }
}
