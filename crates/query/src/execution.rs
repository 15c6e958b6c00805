//! What a statement answers: columns, rows as they come, and what it cost.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::task::AbortHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::scan::ScanContext;

/// One row: a text for every column, nothing for NULL.
pub type Row = Vec<Option<String>>;

/// Athena's `StatementType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatementKind {
    /// Queries.
    #[default]
    Dml,
    /// What changes the catalog.
    Ddl,
    /// `SHOW`, `DESCRIBE`, `EXPLAIN`.
    Utility,
}

impl StatementKind {
    /// The name in Athena's answers.
    pub fn name(self) -> &'static str {
        match self {
            StatementKind::Dml => "DML",
            StatementKind::Ddl => "DDL",
            StatementKind::Utility => "UTILITY",
        }
    }
}

/// A column of a result, as in Athena's `ColumnInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The heading, lower-case.
    pub name: String,
    /// Athena's type name, e.g. `varchar`, `bigint`, `timestamp with time zone`; `string` for what is not a query.
    pub type_name: String,
    /// Digits, or the longest text.
    pub precision: u32,
    /// Digits after the point.
    pub scale: u32,
}

impl Column {
    /// A column of a statement that is not a query.
    pub(crate) fn text(name: &str) -> Column {
        Column {
            name: name.to_owned(),
            type_name: "string".into(),
            precision: 0,
            scale: 0,
        }
    }
}

/// What a statement has cost so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Rows handed out.
    pub rows: u64,
    /// Bytes read from objects, as they lie on the disk (compressed).
    pub data_scanned_bytes: u64,
    /// Objects opened.
    pub objects: u64,
    /// From the start of the statement to its last row, or to now.
    pub elapsed: Duration,
}

/// A statement that is being carried out. Dropping it stops the work.
#[derive(Debug)]
pub struct Execution {
    pub(crate) kind: StatementKind,
    pub(crate) substatement: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Rows,
    pub(crate) scan: Arc<ScanContext>,
    pub(crate) started: Instant,
    pub(crate) finished: Option<Duration>,
    pub(crate) row_count: u64,
}

#[derive(Debug)]
pub(crate) enum Rows {
    Ready(Vec<Row>),
    /// Batches from the task that runs the query. Its last message is [`Message::End`] or an error.
    Streaming {
        receiver: Receiver<Result<Message>>,
        #[expect(dead_code, reason = "held for its drop")]
        task: AbortOnDrop,
    },
    Ended,
}

#[derive(Debug)]
pub(crate) enum Message {
    Rows(Vec<Row>),
    End,
}

/// Ends a task when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct AbortOnDrop(pub AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Execution {
    /// What sort of statement it is.
    pub fn kind(&self) -> StatementKind {
        self.kind
    }

    /// Athena's `SubstatementType`, e.g. `SELECT`, `CREATE_TABLE`, `SHOW_TABLES`.
    pub fn substatement(&self) -> &'static str {
        self.substatement
    }

    /// The columns of the result; none for statements that answer nothing.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The next rows, some thousand at once; nothing after the last.
    ///
    /// # Errors
    ///
    /// When an object cannot be read, a value cannot be converted, memory runs out … The statement has
    /// ended then.
    pub async fn next_rows(&mut self) -> Result<Option<Vec<Row>>> {
        let next = match &mut self.rows {
            Rows::Ready(rows) => {
                let rows = std::mem::take(rows);
                self.rows = Rows::Ended;
                Ok(Some(rows).filter(|rows| !rows.is_empty()))
            }
            Rows::Streaming { receiver, .. } => match receiver.recv().await {
                Some(Ok(Message::Rows(rows))) => Ok(Some(rows)),
                Some(Ok(Message::End)) => Ok(None),
                Some(Err(error)) => Err(error),
                None => Err(Error::new(
                    ErrorKind::Internal,
                    "the query's task ended without an answer",
                )),
            },
            Rows::Ended => Ok(None),
        };
        match &next {
            Ok(Some(rows)) => self.row_count += rows.len() as u64,
            _ => {
                self.rows = Rows::Ended;
                self.finished.get_or_insert_with(|| self.started.elapsed());
            }
        }
        next
    }

    /// All rows that are left.
    ///
    /// # Errors
    ///
    /// As [`Execution::next_rows`].
    pub async fn collect(&mut self) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        while let Some(rows) = self.next_rows().await? {
            all.extend(rows);
        }
        Ok(all)
    }

    /// What the statement has cost so far; final after the last row.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            rows: self.row_count,
            data_scanned_bytes: self.scan.bytes.load(Ordering::Relaxed),
            objects: self.scan.objects.load(Ordering::Relaxed),
            elapsed: self.finished.unwrap_or_else(|| self.started.elapsed()),
        }
    }

    /// What the user should know although the statement succeeds, e.g. that a table finds no objects.
    pub fn notes(&self) -> Vec<String> {
        self.scan
            .notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
