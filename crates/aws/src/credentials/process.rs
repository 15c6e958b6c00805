//! `credential_process`: a program that prints credentials.
//!
//! As in Fluent Bit the command is split into words, with double quotes and backslashes, and run without a shell.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Credentials;
use super::document::Document;

/// A program may ask a remote service, but not for longer.
const RUN_MAX: Duration = Duration::from_secs(60);
/// Credentials are some 2 KiB.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Runs the command and reads its output.
pub(super) async fn run(command: &str) -> Result<Credentials, String> {
    let words = words(command).map_err(|problem| format!("credential_process: {problem}"))?;
    let (program, arguments) = words.split_first().ok_or("credential_process is empty")?;
    let output = output_of(program, arguments)
        .await
        .map_err(|problem| format!("credential_process {program}: {problem}"))?;
    let document = Document::parse(&output)
        .map_err(|problem| format!("credential_process {program}: {problem}"))?;
    match document.version {
        Some(1) => document
            .credentials()
            .map_err(|problem| format!("credential_process {program}: {problem}")),
        _ => Err(format!("credential_process {program}: Version is not 1")),
    }
}

/// The program's standard output. It is read on a thread of its own, which ends with the program; the program is
/// ended when it takes too long or nobody waits any more.
async fn output_of(program: &str, arguments: &[String]) -> Result<Vec<u8>, String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let stdout = child.stdout.take().ok_or("has no standard output")?;
    let child = Running(Arc::new(Mutex::new(child)));
    let (answer, result) = oneshot::channel();
    let waiting = child.0.clone();
    let reading = move || {
        let mut output = Vec::new();
        let read = stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut output);
        let ended = wait(&waiting);
        drop(answer.send(read.and(ended).map(|status| (status, output))));
    };
    std::thread::Builder::new()
        .name("credential-process".to_owned())
        .spawn(reading)
        .map_err(|error| error.to_string())?;
    match timeout(RUN_MAX, result).await {
        Err(_) => Err(format!("did not end within {RUN_MAX:?}")),
        Ok(Err(_)) => Err("its output could not be read".to_owned()),
        Ok(Ok(Err(error))) => Err(error.to_string()),
        Ok(Ok(Ok((status, output)))) if status.success() => Ok(output),
        Ok(Ok(Ok((status, _)))) => Err(format!("ended with {status}")),
    }
}

/// Waits for the end of a program that has closed its output, and leaves room for ending it meanwhile.
fn wait(child: &Mutex<Child>) -> io::Result<ExitStatus> {
    loop {
        let ended = child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_wait()?;
        if let Some(status) = ended {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ends the program when dropped, if it has not ended by itself.
struct Running(Arc<Mutex<Child>>);

impl Drop for Running {
    fn drop(&mut self) {
        let mut child = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(child.kill());
    }
}

/// Splits a command: blanks part words, double quotes keep them together, a backslash takes the next character as is.
fn words(command: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            '\\' => {
                let next = characters
                    .next()
                    .ok_or("a backslash at the end stands for nothing")?;
                word.get_or_insert_default().push(next);
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if quoted {
        return Err("a double quote is not closed");
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_without_a_shell() {
        let cases: [(&str, Result<&[&str], &str>); 6] = [
            ("  /bin/x  a\tb ", Ok(&["/bin/x", "a", "b"])),
            (
                r#""/opt/my tool/x" --name "a \"b\"""#,
                Ok(&["/opt/my tool/x", "--name", r#"a "b""#]),
            ),
            (r#"x "" $HOME ; y"#, Ok(&["x", "", "$HOME", ";", "y"])),
            ("", Ok(&[])),
            (r#"x "a"#, Err("a double quote is not closed")),
            (r"x \", Err("a backslash at the end stands for nothing")),
        ];
        for (command, expected) in cases {
            let expected =
                expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words(command), expected, "{command}");
        }
    }

    fn run_now(command: &str) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime
            .block_on(run(command))
            .map(|credentials| credentials.access_key_id().to_owned())
    }

    #[test]
    fn failures_are_told_without_the_output() {
        let cases = [
            ("/bin/echo {}", "Version is not 1"),
            ("/bin/echo hush", "not a credentials document"),
            ("/bin/false", "ended with exit status: 1"),
            ("/no/such/program", "No such file"),
            ("", "is empty"),
        ];
        for (command, part) in cases {
            let error = run_now(command).unwrap_err();
            assert!(error.contains(part) && !error.contains("hush"), "{error}");
        }
    }

    /// Starts a script that writes down its process id, gives up waiting for it, and gives the id.
    fn abandoned(last_command: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("slow");
        let pid = folder.path().join("pid");
        let text = format!(
            "echo $$ > {0}.new; mv {0}.new {0}; exec {last_command}\n",
            pid.display()
        );
        std::fs::write(&script, text).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let command = format!("/bin/sh {}", script.display());
        runtime.block_on(async {
            let mut running = Box::pin(run(&command));
            loop {
                assert!(
                    timeout(Duration::from_millis(5), &mut running)
                        .await
                        .is_err()
                );
                if let Ok(text) = std::fs::read_to_string(&pid) {
                    break text.trim().to_owned();
                }
            }
        })
    }

    #[test]
    fn a_program_that_nobody_waits_for_is_ended() {
        for last_command in ["sleep 1000", "sleep 1000 >&-"] {
            let entry = format!("/proc/{}/cmdline", abandoned(last_command));
            while std::fs::read(&entry).is_ok_and(|line| !line.is_empty()) {
                std::thread::yield_now();
            }
        }
    }
}
