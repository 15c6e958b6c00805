//! `flumen aws doctor`: for each AWS output of a configuration, whether it could deliver, and what to do if not.

mod destination;
mod examination;
mod identity;
mod look;
mod put;
mod report;
mod words;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use config::{Action, CommandLine, Diagnostics, Document, SystemHost};

use examination::examine;
use report::{Report, Style};

const HELP: &str = "\
Looks at every AWS output of a configuration as it would run here, and says what is in the way of its records.

Usage: flumen aws doctor -c FILE [--put] [--json]

  -c FILE   the configuration; -o, -p and Fluent Bit's other flags work too: flumen aws doctor -o firehose -p …
  --put     send one test record to each destination (in S3: write and delete one object)
  --json    print JSON instead of a table
  -h        print this

For each output of the kinds firehose, kinesis_firehose, kinesis, kinesis_streams, cloudwatch, cloudwatch_logs and s3:

  options      can be read
  credentials  which source gave them, and when they end
  identity     the account and the user or role that AWS takes us for (STS GetCallerIdentity, which needs no permission)
  region       that is signed for
  endpoint     that is called, and why that one
  destination  exists and takes records: DescribeDeliveryStream, DescribeStreamSummary, DescribeLogGroups, HeadBucket.
               Delivery does not need the permission for these, so that a refusal is a warning
  clock        of this machine, beside the service's
  put          one test record, with --put only: the proof that the permissions suffice

Nothing is changed without --put. Environment variables, profiles and roles count exactly as for the router, so run it
where the router runs: kubectl exec POD -- flumen aws doctor -c /fluent-bit/etc/fluent-bit.conf

The exit status is 0 if nothing is wrong (warnings are allowed), else 1.
";

/// What `flumen aws …` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    put: bool,
    json: bool,
    help: bool,
}

/// Runs `flumen aws COMMAND …`; the arguments are those behind `aws`.
pub fn main(arguments: &[OsString]) -> ExitCode {
    match arguments.first().and_then(|first| first.to_str()) {
        Some("doctor") => doctor(&arguments[1..]),
        None | Some("-h" | "--help") => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Some(other) => {
            eprintln!("flumen: there is no command 'aws {other}'; there is: aws doctor");
            ExitCode::FAILURE
        }
    }
}

fn doctor(arguments: &[OsString]) -> ExitCode {
    let (flags, rest) = split(arguments);
    let mut diagnostics = Diagnostics::new();
    let command_line = CommandLine::parse(rest, &mut diagnostics);
    if flags.help || matches!(command_line.action, Action::Help(_)) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if command_line.config_file.is_none() && command_line.sections.is_empty() {
        eprintln!("Usage: flumen aws doctor -c FILE [--put] [--json]; more: flumen aws doctor -h");
        return ExitCode::FAILURE;
    }
    let document = Document::load(
        &SystemHost,
        command_line.config_file.as_deref(),
        command_line.sections,
        &mut diagnostics,
    );
    // What cannot be read as a configuration is no longer the one that the user means.
    if diagnostics.has_errors() {
        eprint!("{diagnostics}");
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let report = match runtime {
        Ok(runtime) => runtime.block_on(examine_all(&document, flags.put)),
        Err(error) => {
            eprintln!("flumen: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    if flags.json {
        println!("{}", report.json());
    } else {
        let terminal = std::io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let style = Style {
            color: terminal && !plain,
        };
        print!("{}", report.table(style));
    }
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Takes our own flags out; the rest are Fluent Bit's.
fn split(arguments: &[OsString]) -> (Flags, Vec<OsString>) {
    let mut flags = Flags::default();
    let mut rest = Vec::new();
    for argument in arguments {
        match argument.to_str() {
            Some("--put") => flags.put = true,
            Some("--json") => flags.json = true,
            Some("-h" | "--help") => flags.help = true,
            _ => rest.push(argument.clone()),
        }
    }
    (flags, rest)
}

async fn examine_all(document: &Document, put: bool) -> Report {
    let mut report = Report::default();
    for (index, section) in document.outputs.iter().enumerate() {
        if let Some(examination) = examine(section, index, put).await {
            report.examinations.push(examination);
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_flags_stand_anywhere_among_fluent_bits() {
        let arguments = ["-c", "x.conf", "--put", "-v", "--json"].map(OsString::from);
        let (flags, rest) = split(&arguments);
        let expected = Flags {
            put: true,
            json: true,
            help: false,
        };
        assert_eq!(flags, expected);
        assert_eq!(rest, ["-c", "x.conf", "-v"]);
    }
}
