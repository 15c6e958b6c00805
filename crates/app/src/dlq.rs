//! `flumen dlq`: the records that outputs gave up.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use config::{Action, CommandLine, Diagnostics, LogLevel, SystemHost};
use engine::{DeadLetter, LetterBox, Pipeline, Plan};
use record::json::write::{Date, DateFormat, Options, Writer};
use serde_json::json;
use tokio::task::LocalSet;

use crate::{router, signals};

const HELP: &str = "\
Looks at the records that outputs gave up (dead letters), and sends them once more.

Usage: flumen dlq ls     -c FILE [--output NAME] [--json]
       flumen dlq show   -c FILE [--output NAME] [LETTERS …]
       flumen dlq replay -c FILE [--output NAME] [LETTERS …]

  ls       what there is: file, output, tag, reason, how many records, when they were given up
  show     the records as JSON, one a line, each with where it comes from
  replay   send them through the output that gave them up, as FILE configures it now, without filters; what is
           delivered goes from the folder, what is given up again stays

  -c FILE         the configuration: its dead letters are in the folder 'rejected' below storage.path
  --path DIR      the folder of dead letters itself, wherever it is (ls and show then need no -c)
  --output NAME   only those of this output (its alias, or a name such as firehose.0)
  --json          ls: one JSON object a line instead of a table
  LETTERS         only these files, as ls names them
  -h              print this

A router may run meanwhile. The exit status is 0 if everything that was asked for was done, else 1.
";

/// What `flumen dlq …` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    path: Option<PathBuf>,
    output: Option<String>,
    json: bool,
    help: bool,
    /// Names of files.
    letters: Vec<String>,
}

/// Runs `flumen dlq COMMAND …`; the arguments are those behind `dlq`.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let command = arguments.first().and_then(|first| first.to_str());
    let Some(command @ ("ls" | "show" | "replay")) = command else {
        return match command {
            None | Some("-h" | "--help") => {
                print!("{HELP}");
                ExitCode::SUCCESS
            }
            Some(other) => {
                eprintln!("flumen: there is no command 'dlq {other}'; there are: ls, show, replay");
                ExitCode::FAILURE
            }
        };
    };
    let (flags, rest) = split(&arguments[1..]);
    if flags.help {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let mut diagnostics = Diagnostics::new();
    let command_line = CommandLine::parse(rest, &mut diagnostics);
    let is_configured = command_line.config_file.is_some() || !command_line.sections.is_empty();
    if !is_configured && (flags.path.is_none() || command == "replay") {
        eprintln!("Usage: flumen dlq {command} -c FILE; more: flumen dlq -h");
        return ExitCode::FAILURE;
    }
    let plan = match is_configured && matches!(command_line.action, Action::Run) {
        true => router::load(&command_line, &mut diagnostics),
        false => None,
    };
    if diagnostics.has_errors() || is_configured && plan.is_none() {
        eprint!("{diagnostics}");
        return ExitCode::FAILURE;
    }
    let letters = match (&flags.path, &plan) {
        (Some(path), _) => LetterBox::at(path.clone()),
        (None, Some(plan)) => LetterBox::of(plan),
        (None, None) => return ExitCode::FAILURE,
    };
    let done = match command {
        "ls" => list(&letters, &flags),
        "show" => show(&letters, &flags),
        _ => replay(&letters, &flags, &command_line),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("flumen: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Takes our own flags and the names of files out; the rest are Fluent Bit's.
fn split(arguments: &[OsString]) -> (Flags, Vec<OsString>) {
    let mut flags = Flags::default();
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--json") => flags.json = true,
            Some("-h" | "--help") => flags.help = true,
            Some("--path") => flags.path = arguments.next().map(PathBuf::from),
            Some("--output") => {
                flags.output = arguments
                    .next()
                    .map(|name| name.to_string_lossy().into_owned());
            }
            Some(name) if name.ends_with(".letters") => {
                let name = Path::new(name).file_name().unwrap_or_default();
                flags.letters.push(name.to_string_lossy().into_owned());
            }
            _ => rest.push(argument.clone()),
        }
    }
    (flags, rest)
}

impl Flags {
    fn wants_file(&self, path: &Path) -> bool {
        let name = name(path);
        self.letters.is_empty() || self.letters.contains(&name)
    }

    fn wants(&self, letter: &DeadLetter) -> bool {
        let output = self.output.as_deref();
        output.is_none_or(|output| output == &*letter.output)
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Calls `visit` for the letters of each wanted file. Returns whether all could be read.
fn each_file(
    letters: &LetterBox,
    flags: &Flags,
    mut visit: impl FnMut(&Path, Vec<DeadLetter>) -> Result<bool, String>,
) -> Result<bool, String> {
    let folder = letters.folder().display();
    let files = letters
        .files()
        .map_err(|error| format!("cannot list {folder}: {error}"))?;
    let mut is_good = true;
    for file in files.iter().filter(|file| flags.wants_file(file)) {
        match letters.read(file) {
            Ok(read) => {
                if read.damaged_bytes > 0 {
                    eprintln!(
                        "flumen: {}: {} bytes are damaged",
                        file.display(),
                        read.damaged_bytes
                    );
                    is_good = false;
                }
                is_good &= visit(file, read.letters)?;
            }
            Err(error) => {
                eprintln!("flumen: {}: {error}", file.display());
                is_good = false;
            }
        }
    }
    Ok(is_good)
}

fn list(letters: &LetterBox, flags: &Flags) -> Result<bool, String> {
    let mut records = 0;
    let mut rows: Vec<Row> = Vec::new();
    let is_good = each_file(letters, flags, |file, found| {
        for letter in found.iter().filter(|letter| flags.wants(letter)) {
            records += letter.batch.len();
            let row = Row {
                file: name(file),
                output: letter.output.to_string(),
                tag: letter.batch.tag().to_string(),
                reason: letter.reason.clone(),
                records: letter.batch.len(),
                given_up: time(letter),
            };
            match rows.last_mut() {
                Some(last) if last.is_like(&row) => last.records += row.records,
                _ => rows.push(row),
            }
        }
        Ok(true)
    })?;
    if flags.json {
        for row in rows {
            let Row {
                file,
                output,
                tag,
                reason,
                ..
            } = row;
            let row = json!({
                "file": file, "output": output, "tag": tag, "reason": reason, "records": row.records,
                "given_up": row.given_up,
            });
            println!("{row}");
        }
        return Ok(is_good);
    }
    print_table(rows);
    println!("{records} records in {}", letters.folder().display());
    Ok(is_good)
}

/// Letters of one file that differ in nothing but the moment.
struct Row {
    file: String,
    output: String,
    tag: String,
    reason: String,
    records: usize,
    /// When the first of them was given up.
    given_up: String,
}

impl Row {
    fn is_like(&self, other: &Row) -> bool {
        let key = |row: &Row| {
            (
                row.file.clone(),
                row.output.clone(),
                row.tag.clone(),
                row.reason.clone(),
            )
        };
        key(self) == key(other)
    }

    fn cells(self) -> [String; 6] {
        let records = self.records.to_string();
        [
            self.file,
            self.output,
            self.tag,
            self.reason,
            records,
            self.given_up,
        ]
    }
}

fn print_table(rows: Vec<Row>) {
    if rows.is_empty() {
        return;
    }
    let head = ["letters", "output", "tag", "reason", "records", "given up"].map(str::to_owned);
    let cells = rows.into_iter().map(Row::cells);
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(cells).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", cells.join("  ").trim_end());
    }
}

fn time(letter: &DeadLetter) -> String {
    let mut text = Vec::new();
    DateFormat::Iso8601.write(letter.given_up, &mut text);
    let text = String::from_utf8_lossy(&text);
    text.trim_matches('"').to_owned()
}

fn show(letters: &LetterBox, flags: &Flags) -> Result<bool, String> {
    let mut writer = Writer::new(Options {
        escape_unicode: false,
        ..Options::default()
    });
    let date = Date {
        key: b"@timestamp"[..].into(),
        format: DateFormat::Iso8601,
    };
    each_file(letters, flags, |file, found| {
        let mut out = std::io::stdout().lock();
        for letter in found.iter().filter(|letter| flags.wants(letter)) {
            let about = json!({
                "file": name(file), "output": &*letter.output, "tag": letter.batch.tag().to_string(),
                "reason": letter.reason, "given_up": time(letter),
            });
            for record in letter.batch.records() {
                let mut line = about.to_string().into_bytes();
                line.pop();
                line.extend_from_slice(b",\"record\":");
                writer.event(&letter.batch, record, None, Some(&date), &mut line);
                line.extend_from_slice(b"}\n");
                // Whoever reads may have seen enough.
                if out.write_all(&line).is_err() {
                    return Ok(true);
                }
            }
        }
        Ok(true)
    })
}

fn replay(letters: &LetterBox, flags: &Flags, command_line: &CommandLine) -> Result<bool, String> {
    let (mut sent, mut kept) = (0, 0);
    let is_good = each_file(letters, flags, |file, found| {
        let (wanted, mut left): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|letter| flags.wants(letter));
        let outputs: BTreeSet<Arc<str>> = wanted
            .iter()
            .map(|letter| Arc::clone(&letter.output))
            .collect();
        let mut wanted: Vec<Option<DeadLetter>> = wanted.into_iter().map(Some).collect();
        let (mut is_good, mut is_changed) = (true, false);
        for output in outputs {
            let mut own = Vec::new();
            for letter in &mut wanted {
                if letter
                    .as_ref()
                    .is_some_and(|letter| letter.output == output)
                {
                    own.extend(letter.take());
                }
            }
            let outcome = send(&output, own, letters.folder(), command_line)?;
            is_good &= outcome.left.is_empty();
            is_changed |= outcome.answered > 0;
            sent += outcome.delivered;
            kept += outcome.given_up;
            left.extend(outcome.left);
        }
        if is_changed {
            let place = file.display();
            letters
                .finish(file, &left)
                .map_err(|error| format!("{place}: {error}"))?;
        }
        Ok(is_good)
    })?;
    println!("{sent} records delivered, {kept} given up again");
    Ok(is_good && kept == 0)
}

/// What became of the letters of one output.
struct Outcome {
    /// How many letters have an answer, whichever it is.
    answered: usize,
    delivered: u64,
    given_up: u64,
    /// Letters without an answer.
    left: Vec<DeadLetter>,
}

/// Sends letters through the output `name`, as the configuration has it now.
fn send(
    name: &str,
    letters: Vec<DeadLetter>,
    folder: &Path,
    command_line: &CommandLine,
) -> Result<Outcome, String> {
    // It was read without a mistake a moment ago.
    let plan = router::load(command_line, &mut Diagnostics::new())
        .ok_or("the configuration has changed and cannot be read any more")?;
    let names = plan.output_names();
    if !names.iter().any(|known| **known == *name) {
        let known: Vec<&str> = names.iter().map(|name| &**name).collect();
        eprintln!(
            "flumen: there is no output '{name}' in this configuration, its letters stay; there are: {}",
            known.join(", ")
        );
        return Ok(Outcome {
            answered: 0,
            delivered: 0,
            given_up: 0,
            left: letters,
        });
    }
    let level = LogLevel::in_effect(command_line.log_level, plan.service.log_level, &SystemHost);
    let batches = letters.iter().filter_map(DeadLetter::copy).collect();
    let (plan, replay) = plan.into_replay(name, batches, folder.to_owned());
    let (delivered, given_up) = run(plan, level)?;
    let answered = replay.answered();
    let letters = letters.into_iter().enumerate();
    let is_left = |index: usize| !answered.get(index).copied().unwrap_or(false);
    let left = letters.filter_map(|(index, letter)| is_left(index).then_some(letter));
    Ok(Outcome {
        answered: answered.iter().filter(|answered| **answered).count(),
        delivered,
        given_up,
        left: left.collect(),
    })
}

/// Runs `plan` to its end. Returns how many records were delivered and how many given up.
fn run(plan: Plan, level: LogLevel) -> Result<(u64, u64), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let run = async {
        let pipeline = Pipeline::build(plan, level).map_err(|error| error.to_string())?;
        let counters = pipeline.counters().clone();
        pipeline
            .run(signals::shutdown(plugin::Log::new("engine", level)))
            .await;
        let sum = |of: fn(&monitor::OutputCounters) -> u64| counters.outputs.iter().map(of).sum();
        Ok((
            sum(|output| output.records.get() + output.filtered.get()),
            sum(|output| output.dropped.get()),
        ))
    };
    runtime.block_on(LocalSet::new().run_until(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_flags_stand_anywhere_among_fluent_bits() {
        let arguments = [
            "-c",
            "x.conf",
            "--output",
            "s3",
            "a/1.letters",
            "-q",
            "--json",
        ];
        let (flags, rest) = split(&arguments.map(OsString::from));
        let expected = Flags {
            output: Some("s3".to_owned()),
            json: true,
            letters: vec!["1.letters".to_owned()],
            ..Flags::default()
        };
        assert_eq!(flags, expected);
        assert_eq!(rest, ["-c", "x.conf", "-q"]);
        assert!(flags.wants_file(Path::new("/state/rejected/1.letters")));
        assert!(!flags.wants_file(Path::new("/state/rejected/2.letters")));
    }
}
