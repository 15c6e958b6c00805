//! The interactive shell: history, statements over several lines, a few words of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use query::Session;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::runtime::Runtime;

use super::print::Format;
use super::run_all;

const HELP: &str = "\
A statement ends with a semicolon and may take several lines.
  .tables          the tables and views of the database
  .schema NAME     the columns of one
  .help            this
  .quit, Ctrl-D    leave
Try: SHOW TABLES;   SELECT * FROM fluentbit_eks LIMIT 5;";

/// Reads and runs statements until the end of input.
pub fn run(runtime: &Runtime, session: &Session, format: Format) -> ExitCode {
    let mut editor = match DefaultEditor::new() {
        Ok(editor) => editor,
        Err(error) => {
            eprintln!("flumen query: no shell here ({error}); give a statement, or -f FILE");
            return ExitCode::FAILURE;
        }
    };
    let history = history_file();
    if let Some(history) = &history {
        // Without a history so far there is none to load.
        let _ = editor.load_history(history);
    }
    println!("Athena's SQL over this lake. '.help' tells more.");
    let mut statement = String::new();
    loop {
        let prompt = if statement.is_empty() {
            "flumen> "
        } else {
            "     -> "
        };
        match editor.readline(prompt) {
            Ok(line) => {
                let is_command = statement.is_empty() && line.trim_start().starts_with('.');
                if is_command && !command(line.trim(), runtime, session, format) {
                    break;
                }
                if is_command {
                    let _ = editor.add_history_entry(line.trim());
                    continue;
                }
                statement.push_str(&line);
                statement.push('\n');
                if line.trim_end().ends_with(';') {
                    let text = std::mem::take(&mut statement);
                    let _ = editor.add_history_entry(text.trim());
                    run_all(runtime, session, "", &text, format);
                } else if statement.trim().is_empty() {
                    statement.clear();
                }
            }
            Err(ReadlineError::Interrupted) => statement.clear(),
            Err(ReadlineError::Eof) => break,
            Err(error) => {
                eprintln!("flumen query: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    if let Some(history) = history {
        let _ = editor.save_history(&history);
    }
    ExitCode::SUCCESS
}

/// A word of the shell's own. Whether the shell goes on.
fn command(line: &str, runtime: &Runtime, session: &Session, format: Format) -> bool {
    let (word, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match (word, argument.trim()) {
        (".quit" | ".exit", _) => return false,
        (".help", _) => println!("{HELP}"),
        (".tables", _) => {
            run_all(runtime, session, "", "SHOW TABLES", format);
        }
        (".schema", name) if !name.is_empty() => {
            run_all(runtime, session, "", &format!("DESCRIBE {name}"), format);
        }
        _ => println!("'{line}' is no command of the shell.\n{HELP}"),
    }
    true
}

fn history_file() -> Option<PathBuf> {
    let home = std::env::var_os("HOME")?;
    Some(PathBuf::from(home).join(".flumen_history"))
}
