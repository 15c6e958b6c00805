//! Running other programs: what they print passes through to the terminal and is read on the way.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A compiler that prints nothing for so long hangs: the longest silence of a good run is one large crate's compilation.
pub const COMPILING: Duration = Duration::from_secs(20 * 60);

/// Tests that print nothing for so long hang. Each waits three minutes at most for a condition, and then fails.
pub const TESTING: Duration = Duration::from_secs(10 * 60);

/// How long a program may take whose output is wanted, if nothing else is said.
const CAPTURING: Duration = Duration::from_secs(3 * 60);

/// Which of a program's two streams a line came from.
#[derive(Clone, Copy)]
enum Stream {
    Out,
    Err,
}

/// Runs `command` without standard input, hands each line that it prints to `on_line`, and passes it on. One that prints
/// nothing for as long as `silence` is ended.
///
/// # Errors
///
/// Says why when the program cannot be started, hangs, or ends other than with exit code 0.
pub fn watched(
    command: &mut Command,
    silence: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<(), String> {
    let name = name_of(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    let (sender, lines) = channel();
    forward(child.stdout.take(), Stream::Out, sender.clone());
    forward(child.stderr.take(), Stream::Err, sender);
    if !pass_on(&lines, silence, &mut on_line) {
        // Its children may live on; they hold nothing that this process waits for.
        kill(&mut child);
        return Err(format!(
            "{name} printed nothing for {} seconds and was ended",
            silence.as_secs()
        ));
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    ended(&name, status)
}

/// Runs `command` without standard input and returns what it printed on its standard output.
///
/// # Errors
///
/// Says why when the program cannot be started, takes minutes, or ends other than with exit code 0, with the end of its
/// standard error.
pub fn captured(command: &mut Command) -> Result<String, String> {
    captured_within(command, CAPTURING)
}

/// As [`captured`], for a program that may wait for a network: it is killed after `limit`, which then is the error.
///
/// # Errors
///
/// As [`captured`].
pub fn captured_within(command: &mut Command, limit: Duration) -> Result<String, String> {
    let name = name_of(command);
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    let (sender, lines) = channel();
    forward(child.stdout.take(), Stream::Out, sender.clone());
    forward(child.stderr.take(), Stream::Err, sender);
    let (mut output, mut last_error) = (String::new(), String::new());
    loop {
        let rest = deadline.saturating_duration_since(Instant::now());
        match lines.recv_timeout(rest) {
            Ok((Stream::Out, line)) => output += &format!("{line}\n"),
            Ok((Stream::Err, line)) if line.trim().is_empty() => {}
            Ok((Stream::Err, line)) => last_error = format!(": {}", line.trim()),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                kill(&mut child);
                let seconds = limit.as_secs();
                return Err(format!(
                    "{name} was ended after {seconds} seconds{last_error}"
                ));
            }
        }
    }
    let status = child.wait().map_err(|error| format!("{name}: {error}"))?;
    ended(&name, status).map_err(|message| message + &last_error)?;
    Ok(output)
}

fn kill(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn ended(name: &str, status: ExitStatus) -> Result<(), String> {
    if status.success() {
        Ok(())
    } else {
        Err(format!("{name}: {status}"))
    }
}

/// The program's name and its first argument, as in `cargo clippy`.
fn name_of(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default();
    match command.get_args().next() {
        Some(argument) => format!("{program} {}", argument.to_string_lossy()),
        None => program.to_owned(),
    }
}

fn forward(
    stream: Option<impl Read + Send + 'static>,
    which: Stream,
    lines: Sender<(Stream, String)>,
) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut bytes = Vec::new();
        while stream
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|read| read > 0)
        {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            bytes.clear();
            if lines.send((which, line)).is_err() {
                return;
            }
        }
    });
}

/// Returns false when no line came for as long as `silence`, true at the end of both streams.
fn pass_on(
    lines: &Receiver<(Stream, String)>,
    silence: Duration,
    on_line: &mut impl FnMut(&str),
) -> bool {
    loop {
        let (stream, line) = match lines.recv_timeout(silence) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return true,
            Err(RecvTimeoutError::Timeout) => return false,
        };
        on_line(&line);
        // A closed terminal is no reason to stop.
        let _ = match stream {
            Stream::Out => writeln!(std::io::stdout(), "{line}"),
            Stream::Err => writeln!(std::io::stderr(), "{line}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_of_both_streams_are_read() {
        let mut seen = Vec::new();
        let result = watched(
            &mut shell("echo out; echo err >&2; printf unfinished"),
            TESTING,
            |line| seen.push(line.to_owned()),
        );
        assert_eq!(result, Ok(()));
        seen.sort();
        assert_eq!(seen, ["err", "out", "unfinished"]);
    }

    #[test]
    fn a_failure_says_what_failed_and_why() {
        assert_eq!(
            watched(&mut shell("exit 3"), TESTING, |_| ()),
            Err("sh -c: exit status: 3".into())
        );
        assert_eq!(
            captured(&mut shell("echo no room >&2; exit 1")),
            Err("sh -c: exit status: 1: no room".into())
        );
        let missing = watched(&mut Command::new("/nonexistent/program"), TESTING, |_| ());
        assert!(
            missing
                .unwrap_err()
                .starts_with("program cannot be started: ")
        );
    }

    #[test]
    fn output_is_returned_line_by_line() {
        assert_eq!(
            captured(&mut shell("echo a; printf b")),
            Ok("a\nb\n".into())
        );
    }

    #[test]
    fn what_hangs_is_ended() {
        let limit = Duration::from_millis(100);
        let silent = watched(&mut shell("exec sleep 60"), limit, |_| ());
        assert_eq!(
            silent,
            Err("sh -c printed nothing for 0 seconds and was ended".into())
        );
        let late = captured_within(&mut shell("echo stuck >&2; exec sleep 60"), limit);
        assert!(late.is_err_and(|error| error.starts_with("sh -c was ended after 0 seconds")));
    }
}
