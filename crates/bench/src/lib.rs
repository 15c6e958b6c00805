//! The load generator, the sink, the verifier, and what puts a router between them: the load matrix and the faults.
//!
//! A generator marks each line with its writer and its number ([`Mark`]); a [`Tally`] keeps a bit for each line that
//! arrives, so that lost, repeated and late lines are told apart, exactly and in little memory.
//!
//! Invariants: it speaks with both ends of the road over their protocols only and knows no station; it keeps no record.

mod faults;
mod files;
mod generate;
mod line;
mod mark;
mod matrix;
mod port;
mod process;
mod quantity;
mod report;
mod scan;
mod sink;
mod table;
mod tally;
mod verify;
mod workers;

use std::process::ExitCode;

pub use mark::Mark;
pub use port::free_port;
pub use report::{Report, Sent, SinkCounts, WriterReport};
pub use sink::{Faults, Sink};
pub use tally::{Tally, Verdict};

/// What `flumen bench` is started with.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum BenchCommand {
    /// Writes lines that can be told apart, at a given pace
    Gen(Box<generate::GenerateCommand>),
    /// Runs AWS services that only count, and fail as they are told
    Sink(sink::SinkCommand),
    /// Says which lines are lost, repeated or out of order at a destination
    Verify(verify::VerifyCommand),
    /// Plays the load matrix that AWS runs on each release of its Fluent Bit distribution
    Matrix(matrix::MatrixCommand),
    /// Measures CPU and memory in the cases of AWS's post, for this program and its rivals
    Table(table::TableCommand),
    /// Measures a router that follows many files of few lines
    Files(files::FilesCommand),
    /// Compares numbers of workers: lines a second, and CPU time per line
    Workers(workers::WorkersCommand),
    /// Does to a router what goes wrong in production, and says what was lost and what came twice
    Faults(faults::FaultsCommand),
    /// Kills a router again and again while it delivers to a lake, and looks through the lake's objects
    Kill(faults::KillCommand),
}

impl BenchCommand {
    /// Does what was asked for.
    pub fn run(self) -> ExitCode {
        match self {
            BenchCommand::Gen(generate) => generate.run(),
            BenchCommand::Sink(sink) => sink.run(),
            BenchCommand::Verify(verify) => verify.run(),
            BenchCommand::Matrix(matrix) => matrix.run(),
            BenchCommand::Table(table) => table.run(),
            BenchCommand::Files(files) => files.run(),
            BenchCommand::Workers(workers) => workers.run(),
            BenchCommand::Faults(faults) => faults.run(),
            BenchCommand::Kill(kill) => kill.run(),
        }
    }
}

/// Completes when the process is asked to end.
async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}
