//! `flumen`: the one binary. This crate is the only one that knows all stations; it connects them and owns what people see.
//!
//! Called as `fluent-bit` it is the router alone.

mod aws_doctor;
mod crew;
mod dlq;
mod help;
mod log_file;
mod monitoring;
mod operator;
#[cfg(test)]
mod reference;
mod registry;
mod router;
mod sandbox;
mod signals;
mod upgrade;
mod workers;

#[cfg(feature = "query")]
mod demo;
#[cfg(feature = "lake")]
mod lake;
#[cfg(feature = "query")]
mod query;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let called_as = Path::new(&program).file_name().unwrap_or_default();
    if called_as == "fluent-bit" {
        return router::main(arguments);
    }
    let command = arguments
        .first()
        .and_then(|first| first.to_str())
        .unwrap_or_default();
    match command {
        "" => {
            print!("{}", help::overview());
            ExitCode::SUCCESS
        }
        "-h" | "--help" | "help" if arguments.len() == 1 => {
            print!("{}\n{}", help::overview(), help::router());
            ExitCode::SUCCESS
        }
        "run" => router::main(arguments[1..].to_vec()),
        "aws" => aws_doctor::main(&arguments[1..]),
        "check" => router::check(arguments[1..].to_vec()),
        "dlq" => dlq::main(&arguments[1..]),
        _ if command.starts_with('-') => router::main(arguments),
        _ => subcommand(command, &arguments),
    }
}

#[cfg(any(feature = "bench", feature = "lake"))]
fn subcommand(command: &str, arguments: &[OsString]) -> ExitCode {
    use clap::Parser;

    /// The commands beside the router.
    #[derive(Parser)]
    #[command(name = "flumen", version, disable_help_subcommand = true)]
    enum Command {
        /// Writes load, counts what arrives, and plays AWS's load matrix.
        #[cfg(feature = "bench")]
        #[command(subcommand)]
        Bench(bench::BenchCommand),
        /// Plays the whole story on this machine: two clusters, routers, delivery streams, table, view, top ten.
        #[cfg(feature = "query")]
        Demo(demo::DemoCommand),
        /// Runs the AWS services of the log path on this machine: Firehose, Kinesis, CloudWatch Logs, S3, STS and IAM.
        #[cfg(feature = "lake")]
        Lake(lake::LakeCommand),
        /// Asks about delivered logs in Athena's SQL.
        #[cfg(feature = "query")]
        Query(query::QueryCommand),
    }

    if !help::COMMANDS.iter().any(|(name, _)| *name == command) {
        return not_here(command);
    }
    match Command::parse_from(
        std::iter::once(OsString::from("flumen")).chain(arguments.iter().cloned()),
    ) {
        #[cfg(feature = "bench")]
        Command::Bench(bench) => bench.run(),
        #[cfg(feature = "query")]
        Command::Demo(demo) => demo.run(),
        #[cfg(feature = "lake")]
        Command::Lake(lake) => lake.run(),
        #[cfg(feature = "query")]
        Command::Query(query) => query.run(),
    }
}

#[cfg(not(any(feature = "bench", feature = "lake")))]
fn subcommand(command: &str, _: &[OsString]) -> ExitCode {
    not_here(command)
}

/// A command that this build does not have, or nobody has.
fn not_here(command: &str) -> ExitCode {
    if matches!(command, "bench" | "demo" | "lake" | "query") {
        eprintln!(
            "flumen: this is a slim build: '{command}' is in the full one (cargo build without --no-default-features)"
        );
        return ExitCode::FAILURE;
    }
    help::unknown_command(command)
}
