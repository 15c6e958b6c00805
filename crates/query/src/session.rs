//! A session: one data directory, one engine, statements one by one or side by side.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use datafusion::execution::SessionStateDefaults;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use tokio::runtime::Runtime;

use crate::catalog::{Catalog, DEFAULT_DATABASE};
use crate::error::{Error, ErrorKind, Result, did_you_mean};
use crate::execution::{AbortOnDrop, Execution};
use crate::run::Run;
use crate::scan::ScanContext;
use crate::statement::only_statement;

/// Memory for sorting, grouping and joining; beyond it queries write to temporary files or fail.
const DEFAULT_MEMORY: usize = 512 * 1024 * 1024;

/// Stack of the threads that plan and run queries: plans are trees that are walked by recursion.
pub(crate) const STACK_BYTES: usize = 256 * 1024 * 1024;

/// What a session may be told when it is opened.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// Where unqualified names are looked up; `default` unless given.
    pub database: Option<String>,
    /// Bytes for sorting, grouping and joining, all queries of the session together; 512 MiB unless given.
    pub memory_bytes: Option<usize>,
    /// Threads that read and compute; as many as the machine has processors unless given.
    pub threads: Option<usize>,
}

/// Athena's SQL over the objects and the catalog of one data directory.
///
/// The catalog and the objects are read anew for every statement, so a session sees what the lake or other
/// sessions on the same directory have done meanwhile. Work is done on threads of its own; its methods may
/// be awaited on any runtime.
pub struct Session {
    data_dir: PathBuf,
    database: String,
    state: SessionState,
    /// Taken out only when the session is dropped.
    runtime: Option<Runtime>,
}

impl Session {
    /// Opens the data directory of a lake.
    ///
    /// # Errors
    ///
    /// If there is no such directory, or no threads can be started.
    pub fn open(data_dir: impl AsRef<Path>) -> Result<Session> {
        Session::with_options(data_dir, SessionOptions::default())
    }

    /// Opens the data directory of a lake with options.
    ///
    /// # Errors
    ///
    /// As [`Session::open`]; also if the database does not exist.
    pub fn with_options(data_dir: impl AsRef<Path>, options: SessionOptions) -> Result<Session> {
        let data_dir = data_dir.as_ref();
        if !data_dir.is_dir() {
            let message = format!("{} is not a directory", data_dir.display());
            return Err(Error::new(ErrorKind::Io, message)
                .with_help("name the directory that the lake was started with"));
        }
        let database = options
            .database
            .unwrap_or_else(|| DEFAULT_DATABASE.to_owned())
            .to_lowercase();
        let catalog = Catalog::new(data_dir);
        if !catalog.database_exists(&database) {
            let databases = catalog.databases()?;
            let help = did_you_mean(&database, databases.iter().map(String::as_str));
            let message = format!("Schema '{database}' does not exist");
            return Err(Error::new(ErrorKind::SchemaNotFound, message).with_help_maybe(help));
        }
        let threads = options
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(2, usize::from));
        let state = engine(threads, options.memory_bytes.unwrap_or(DEFAULT_MEMORY))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .build()
            .map_err(|error| Error::io("start the query threads", &error))?;
        Ok(Session {
            data_dir: data_dir.to_owned(),
            database,
            state,
            runtime: Some(runtime),
        })
    }

    /// Where unqualified names are looked up.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Carries out one statement; a semicolon at its end is tolerated.
    ///
    /// Statements that change the catalog are done when this returns; the rows of queries come with
    /// [`Execution::next_rows`]. Dropping the future or the execution stops the work.
    ///
    /// # Errors
    ///
    /// Everything that can be told before the first row: syntax, unknown names, types that do not fit.
    pub async fn execute(&self, sql: &str) -> Result<Execution> {
        let text = only_statement(sql)?.to_owned();
        let run = self.run();
        let Some(runtime) = &self.runtime else {
            return Err(Error::new(ErrorKind::Internal, "the session is closed"));
        };
        let task = runtime.spawn(async move { run.start(&text).await });
        let _stop = AbortOnDrop(task.abort_handle());
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => {
                Err(Error::new(ErrorKind::Cancelled, "Query was canceled"))
            }
            Err(error) => Err(Error::new(
                ErrorKind::Internal,
                format!("the query's task failed: {error}"),
            )),
        }
    }

    fn run(&self) -> Run {
        let objects_root = self.data_dir.join("objects");
        let mut state = self.state.clone();
        state.mark_start_execution();
        Run {
            state,
            catalog: Catalog::new(&self.data_dir),
            database: self.database.clone(),
            scan: Arc::new(ScanContext {
                objects_root,
                ..ScanContext::default()
            }),
            started: Instant::now(),
            now: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs() as i64),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("data_dir", &self.data_dir)
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    /// Queries that still run are stopped; a session may be dropped inside of another runtime.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The engine with everything set where DataFusion's defaults differ from Athena.
fn engine(threads: usize, memory_bytes: usize) -> Result<SessionState> {
    let mut config = SessionConfig::new().with_target_partitions(threads.max(1));
    let parser = &mut config.options_mut().sql_parser;
    parser.default_null_ordering = "nulls_last".into();
    parser.map_string_types_to_utf8view = false;
    parser.collect_spans = true;
    let runtime: RuntimeEnv = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory_bytes)))
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    Ok(SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::new(runtime))
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .build())
}
