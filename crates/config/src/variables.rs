//! `${NAME}` in values, and the `@SET` lines that define names.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use crate::classic::Command;
use crate::host::Host;
use crate::{Diagnostic, Diagnostics, Position, nearest};

/// Names longer than this are not expanded.
const NAME_BYTES_MAX: usize = 4095;

/// The most bytes of a file that a variable may hold.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The variables that a configuration sets for itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    set: BTreeMap<String, String>,
}

/// A text with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expansion {
    /// The new text.
    pub text: String,
    /// Names that are set nowhere and have no default; nothing stands in their place.
    pub unset: Vec<String>,
    /// What Fluent Bit loses, or leaves as it is, because a brace is where it does not expect one.
    pub broken: Option<&'static str>,
}

impl Variables {
    /// Runs the commands of a configuration in order. Where Fluent Bit goes on without a variable, so do we.
    pub fn from_commands(
        commands: &[Command],
        host: &dyn Host,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut variables = Self::default();
        for command in commands {
            if command.word.eq_ignore_ascii_case("SET") {
                variables.set_by(command, host, diagnostics);
            } else {
                let finding = Diagnostic::warning(
                    &command.position,
                    format!(
                        "the command '@{}' is not known and is ignored",
                        command.word
                    ),
                );
                let help = match nearest(&command.word, ["SET", "INCLUDE"]) {
                    Some("INCLUDE") => "@INCLUDE is followed by exactly one space and a path",
                    Some(_) => "did you mean '@SET'?",
                    None => "commands are '@SET name=value' and '@INCLUDE path'",
                };
                diagnostics.push(finding.with_help(help));
            }
        }
        variables
    }

    fn set_by(&mut self, command: &Command, host: &dyn Host, diagnostics: &mut Diagnostics) {
        let position = &command.argument_position;
        let Some((name, value)) = command.argument.split_once('=') else {
            let message = format!("'{}' sets nothing: there is no '='", command.argument);
            diagnostics
                .push(Diagnostic::warning(position, message).with_help("write '@SET name=value'"));
            return;
        };
        if name.trim() != name {
            let message = format!("the name of the variable is '{name}', with the blank");
            diagnostics.push(
                Diagnostic::warning(position, message).with_help("write no blank before the '='"),
            );
        }
        let path = value
            .strip_prefix("file://")
            .filter(|path| !path.is_empty());
        let value = match path {
            None => value.to_owned(),
            Some(path) => match file_text(host, Path::new(path)) {
                Ok(text) => text,
                Err(why) => {
                    let message = format!("the variable '{name}' is not set: {why}");
                    diagnostics.push(Diagnostic::warning(position, message));
                    return;
                }
            },
        };
        self.set.insert(name.to_owned(), value);
    }

    /// The value of a variable: what the configuration sets, or else the environment.
    pub fn lookup(&self, host: &dyn Host, name: &str) -> Option<String> {
        self.set.get(name).cloned().or_else(|| host.variable(name))
    }

    /// Replaces each `${NAME}` and `${NAME:-default}`.
    pub fn expand(&self, host: &dyn Host, text: &str) -> Expansion {
        let mut expansion = Expansion {
            text: String::new(),
            unset: Vec::new(),
            broken: None,
        };
        // Everything before this byte has been dealt with.
        let mut done = 0;
        let mut found = false;
        while let Some(start) = text[done..].find("${").map(|at| done + at) {
            let Some(end) = text[done..].find('}').map(|at| done + at) else {
                expansion.broken = Some("a '${' is not closed");
                done = if found { text.len() } else { done };
                break;
            };
            let inner = start + 2;
            if end <= inner || end - inner > NAME_BYTES_MAX {
                expansion.broken = Some("a '}' stands where no variable ends");
                done = if found { end + 1 } else { done };
                break;
            }
            expansion.text.push_str(&text[done..start]);
            self.push_value(host, &text[inner..end], &mut expansion);
            found = true;
            done = end + 1;
        }
        expansion.text.push_str(&text[done..]);
        expansion
    }

    fn push_value(&self, host: &dyn Host, inner: &str, expansion: &mut Expansion) {
        // Only the first colon can begin a default.
        let (name, default) = match inner.split_once(':') {
            Some((name, rest)) if rest.starts_with('-') => (name, Some(&rest[1..])),
            _ => (inner, None),
        };
        match (self.lookup(host, name), default) {
            (Some(value), None) => expansion.text.push_str(&value),
            (Some(value), Some(_)) if !value.is_empty() => expansion.text.push_str(&value),
            (_, Some(default)) => expansion.text.push_str(default),
            (None, None) => expansion.unset.push(name.to_owned()),
        }
    }

    /// Replaces the variables of a value that stands at `position`, and says what is odd about it.
    pub fn expand_at(
        &self,
        host: &dyn Host,
        text: &str,
        position: &Position,
        diagnostics: &mut Diagnostics,
    ) -> String {
        let expansion = self.expand(host, text);
        for name in &expansion.unset {
            let message = format!("the variable ${{{name}}} is used but not set");
            let help = format!("nothing stands in its place; ${{{name}:-default}} gives a default");
            diagnostics.push(Diagnostic::warning(position, message).with_help(help));
        }
        if let Some(broken) = expansion.broken {
            let message = format!("{broken}; variables from there on are not replaced");
            let help = format!("the value becomes '{}'", expansion.text);
            diagnostics.push(Diagnostic::warning(position, message).with_help(help));
        }
        expansion.text
    }
}

/// The content of a file without one line feed or carriage return at its end.
fn file_text(host: &dyn Host, path: &Path) -> Result<String, String> {
    let shown = path.display();
    let source = host
        .open(path)
        .map_err(|error| format!("cannot read '{shown}': {error}"))?;
    let mut bytes = Vec::new();
    source
        .take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read '{shown}': {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("'{shown}' has more than 16 MiB"));
    }
    if matches!(bytes.last(), Some(b'\n' | b'\r')) {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(format!("'{shown}' is empty"));
    }
    String::from_utf8(bytes).map_err(|_| format!("'{shown}' is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::MemoryHost;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let host = MemoryHost::new()
            .with_variable("A", "alpha")
            .with_variable("EMPTY", "");
        let variables = Variables {
            set: BTreeMap::from([("SET".into(), "s".into()), ("NIL".into(), String::new())]),
        };
        assert_eq!(variables.expand(&host, text).text, expected, "{text}");
    }

    #[test]
    fn replaces_names_and_defaults() {
        check("plain $A {A}", "plain $A {A}");
        check("${A}", "alpha");
        check("x-${A}/${SET}.log", "x-alpha/s.log");
        check("${NONE:-word}", "word");
        check("${EMPTY:-word}", "word");
        check("${NIL:-word}", "word");
        check("[${NIL}]", "[]");
        check("${A:-word}", "alpha");
        check("${NONE:-}", "");
        check("${NONE:-a:-b}", "a:-b");
        check("a${NONE}b", "ab");
        check("${A:b:-c}", "");
    }

    #[test]
    fn misplaced_braces_stop_as_in_fluent_bit() {
        check("}${A}", "}${A}");
        check("x ${A", "x ${A");
        check("${}", "${}");
        check("${A}x${B", "alpha");
        check("${A}x}y${A}", "alphay${A}");
        check("${A}${}z", "alphaz");
    }
}
