//! `flumen query`: Athena's SQL over a lake's objects, from the command line, from files or in a shell.

mod print;
mod shell;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use query::{Error, Execution, Session, SessionOptions, split_statements};

use print::Format;

/// Asks about delivered logs in Athena's SQL.
#[derive(Debug, clap::Args)]
pub struct QueryCommand {
    /// The lake's folder, as given to `flumen lake --data`. The lake may be running.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The database that names without one belong to.
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// How results are printed: a table for people, JSON lines for programs, CSV as Athena writes it.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// A file of statements, separated by semicolons; repeatable. They run in order, up to the first that fails.
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The statement. Without one, and without files, a shell.
    #[arg(value_name = "SQL")]
    sql: Option<String>,
}

impl QueryCommand {
    /// Runs the statements. Fails at the first that does.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error.to_string()),
        };
        let options = SessionOptions {
            database: self.database.clone(),
            ..SessionOptions::default()
        };
        let session = match Session::with_options(&self.data, options) {
            Ok(session) => session,
            Err(error) => return failed(&error.to_string()),
        };
        match self.texts() {
            Err(why) => failed(&why),
            Ok(texts) if texts.is_empty() => shell::run(&runtime, &session, self.format),
            Ok(texts) => {
                for (name, text) in texts {
                    if !run_all(&runtime, &session, &name, &text, self.format) {
                        return ExitCode::FAILURE;
                    }
                }
                ExitCode::SUCCESS
            }
        }
    }

    /// What is to run, each text with the name that stands in front of its errors.
    fn texts(&self) -> Result<Vec<(String, String)>, String> {
        let mut texts = Vec::new();
        for file in &self.files {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("{}: {error}", file.display()))?;
            texts.push((shown(file), text));
        }
        texts.extend(self.sql.clone().map(|sql| (String::new(), sql)));
        Ok(texts)
    }
}

/// Runs every statement of a text. Whether all succeeded.
fn run_all(
    runtime: &tokio::runtime::Runtime,
    session: &Session,
    name: &str,
    text: &str,
    format: Format,
) -> bool {
    for statement in split_statements(text) {
        if let Err(error) = runtime.block_on(run_one(session, statement.text, format)) {
            if !name.is_empty() {
                eprintln!("{name}, statement at line {}:", statement.position.line);
            }
            report(&error, statement.text);
            return false;
        }
    }
    true
}

/// Runs one statement and prints what it gives. Ctrl-C ends it.
async fn run_one(session: &Session, sql: &str, format: Format) -> Result<(), Error> {
    let work = async {
        let mut execution = session.execute(sql).await?;
        print::result(&mut execution, format).await?;
        summary(&execution);
        Ok(())
    };
    tokio::select! {
        done = work => done,
        _ = tokio::signal::ctrl_c() => {
            eprintln!("cancelled");
            Ok(())
        }
    }
}

fn summary(execution: &Execution) {
    let statistics = execution.statistics();
    for note in execution.notes() {
        eprintln!("note: {note}");
    }
    eprintln!(
        "{} rows, {:.2} MB scanned in {} objects, {:.3} s",
        statistics.rows,
        statistics.data_scanned_bytes as f64 / 1e6,
        statistics.objects,
        statistics.elapsed.as_secs_f64()
    );
}

/// The message, the line that it is about with a mark under the place, and what may help.
fn report(error: &Error, sql: &str) {
    eprintln!("{error}");
    if let Some(position) = error.position()
        && let Some(line) = sql.lines().nth(position.line.saturating_sub(1))
    {
        eprintln!(
            "  {line}\n  {}^",
            " ".repeat(position.column.saturating_sub(1))
        );
    }
    if let Some(help) = error.help() {
        eprintln!("  {help}");
    }
}

fn failed(why: &str) -> ExitCode {
    eprintln!("flumen query: {why}");
    ExitCode::FAILURE
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
