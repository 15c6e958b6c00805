//! What the lines of one file mean.

use std::path::Path;
use std::sync::Arc;

use super::indentation::{Indent, Indentation};
use super::line::{Line, Oddity};
use super::{ClassicFile, Command};
use crate::{Diagnostic, Diagnostics, Entry, Group, Position, Section, SectionKind};

/// A file on its way from lines to sections.
pub struct FileReader {
    path: Arc<Path>,
    indentation: Indentation,
    /// The section that keys go to. An included file begins without one.
    section: Option<usize>,
    /// The group of that section that keys go to.
    group: Option<usize>,
    /// The current section or group has a key.
    has_keys: bool,
    /// The entry that lost its first letter to the indentation.
    swallowed: Option<Swallowed>,
}

/// A first line that was not indented.
struct Swallowed {
    position: Position,
    section: usize,
    entry: usize,
    key: String,
}

/// An `@INCLUDE` line.
pub struct Include {
    pub argument: String,
    /// Where the argument begins.
    pub position: Position,
}

/// What follows `@INCLUDE` has to follow it after exactly one space.
const INCLUDE: &str = "@include ";

impl FileReader {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            indentation: Indentation::default(),
            section: None,
            group: None,
            has_keys: false,
            swallowed: None,
        }
    }

    /// Reads a line into `result`; an `@INCLUDE` is for the caller to follow before the next line.
    pub fn line(
        &mut self,
        line: Line,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) -> Option<Include> {
        let start = Position::new(Arc::clone(&self.path), line.number, 1);
        if let Some(oddity) = line.oddity {
            diagnostics.push(odd_line(oddity, &start));
        }
        let text = line.text.as_str();
        if text.is_empty() || text.starts_with('#') {
            return None;
        }
        if text.len() > INCLUDE.len()
            && text.as_bytes()[..INCLUDE.len()].eq_ignore_ascii_case(INCLUDE.as_bytes())
        {
            let argument = text[INCLUDE.len()..].to_owned();
            return Some(Include {
                argument,
                position: start.at_column(column(text, INCLUDE.len())),
            });
        }
        if text.starts_with('@') && text.len() > 3 {
            command(text, &start, result, diagnostics);
        } else if text.starts_with('[') {
            self.section_header(text, &start, result, diagnostics);
        } else {
            self.indented(text, &start, result, diagnostics);
        }
        None
    }

    fn section_header(
        &mut self,
        text: &str,
        start: &Position,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(end) = text.find(']') else {
            diagnostics.push(Diagnostic::error(
                start,
                "the name of the section does not end: there is no ']'",
            ));
            let name = text[1..].trim_end();
            self.begin_section(kind_of(name), name, start, result);
            return;
        };
        if let Some(section) = self.section
            && !self.has_keys
        {
            let empty = &result.sections[section];
            diagnostics.push(Diagnostic::warning(
                &empty.position,
                format!("section '{}' has no keys", empty.name),
            ));
        }
        // Between nothing, the name is what stands there instead.
        let name = match &text[1..end] {
            "" => &text[1..],
            name => name,
        };
        self.begin_section(kind_of(name), name, start, result);
    }

    fn begin_section(
        &mut self,
        kind: SectionKind,
        name: &str,
        start: &Position,
        result: &mut ClassicFile,
    ) {
        self.section = Some(result.sections.len());
        self.group = None;
        self.has_keys = false;
        result
            .sections
            .push(Section::new(kind, name, start.clone()));
    }

    /// A line that is neither a comment in the first column, nor a command, nor the name of a section.
    fn indented(
        &mut self,
        text: &str,
        start: &Position,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        let line = self.indentation.of(text);
        let position = start.at_column(column(text, text.len() - line.content.len()));
        match line.indent {
            Indent::Section => self.group = None,
            Indent::Group | Indent::WrongAgain => {}
            Indent::Wrong(reason) => self.wrong_indentation(reason, &position, result, diagnostics),
        }
        if line.content.is_empty() || line.content.starts_with('#') {
            return;
        }
        let Some((key, value)) = line.content.split_once(' ') else {
            // A key that went wrong is a key all the same.
            self.has_keys = true;
            let message = format!("'{}' has no value", line.content.trim_end());
            let help = match line.content.contains('\t') {
                true => "the key ends at the first space; a tab does not separate key and value",
                false if line.content.starts_with('[') => {
                    "the name of a group has to be followed by a space"
                }
                false => "a line is a key, a space and a value",
            };
            diagnostics.push(Diagnostic::error(&position, message).with_help(help));
            return;
        };
        if key.starts_with('[') {
            self.group_header(line.content, &position, result, diagnostics);
            return;
        }
        let value_start = text.len() - value.trim_start().len();
        let value_position = start.at_column(column(text, value_start));
        let entry = Entry::plain(key.trim(), position, value.trim(), value_position);
        let swallowed = line.swallowed;
        self.property(entry, result, diagnostics);
        if swallowed {
            self.first_letter_swallowed(text, start, result, diagnostics);
        }
    }

    fn property(&mut self, entry: Entry, result: &mut ClassicFile, diagnostics: &mut Diagnostics) {
        self.has_keys = true;
        if entry.value.as_text() == Some("") {
            let message = format!("'{}' has an empty value", entry.key);
            diagnostics.push(Diagnostic::error(&entry.position, message));
            return;
        }
        let Some(section) = self
            .section
            .and_then(|index| result.sections.get_mut(index))
        else {
            let message = format!("'{}' stands before any section", entry.key);
            diagnostics.push(
                Diagnostic::error(&entry.position, message)
                    .with_help("a section begins with its [NAME]"),
            );
            return;
        };
        match self.group.and_then(|index| section.groups.get_mut(index)) {
            Some(group) => group.entries.push(entry),
            None => section.entries.push(entry),
        }
    }

    fn group_header(
        &mut self,
        content: &str,
        position: &Position,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        let Some(end) = content.find(']') else {
            diagnostics.push(Diagnostic::error(
                position,
                "the name of the group does not end: there is no ']'",
            ));
            return;
        };
        let Some(section) = self
            .section
            .and_then(|index| result.sections.get_mut(index))
        else {
            diagnostics.push(Diagnostic::error(
                position,
                "the group stands before any section",
            ));
            return;
        };
        if self.group.is_some() && !self.has_keys {
            diagnostics.push(Diagnostic::error(position, "the group before has no keys"));
        }
        let name = &content[1..end];
        if name.is_empty() {
            self.group = None;
            return;
        }
        self.group = Some(section.groups.len());
        self.has_keys = false;
        section.groups.push(Group {
            name: name.to_owned(),
            position: position.clone(),
            entries: Vec::new(),
        });
    }

    /// Fluent Bit takes the first letter of a first line that is not indented for the indentation.
    fn first_letter_swallowed(
        &mut self,
        text: &str,
        start: &Position,
        result: &ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        let message =
            "the line is not indented: its first letter is taken for the indentation of the file";
        diagnostics.push(
            Diagnostic::warning(start, message).with_help("put four spaces before every key"),
        );
        let key = text
            .split(' ')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        // The line is the first of its file, so that its entry, if it has become one, is the last of its section.
        if let Some(section) = self.section
            && let Some(entry) = result.sections[section]
                .entries
                .iter()
                .rposition(|it| it.position.line == start.line)
        {
            self.swallowed = Some(Swallowed {
                position: start.clone(),
                section,
                entry,
                key,
            });
        }
    }

    fn wrong_indentation(
        &mut self,
        reason: &str,
        position: &Position,
        result: &mut ClassicFile,
        diagnostics: &mut Diagnostics,
    ) {
        let message = format!("invalid indentation: {reason}");
        let finding = Diagnostic::error(position, message);
        let Some(swallowed) = self.swallowed.take() else {
            let help = "all keys of a file are indented by the same blanks, those of a group twice";
            diagnostics.push(finding.with_help(help));
            return;
        };
        let help = format!(
            "the first key of the file, at {}, is not indented at all",
            swallowed.position
        );
        diagnostics.push(finding.with_help(help));
        // The file is refused now, so the key may get its letter back: other findings are clearer with it.
        let entry = result
            .sections
            .get_mut(swallowed.section)
            .and_then(|it| it.entries.get_mut(swallowed.entry));
        if let Some(entry) = entry {
            entry.key = swallowed.key;
        }
    }
}

/// A line that begins with `@` and is not an include.
fn command(text: &str, start: &Position, result: &mut ClassicFile, diagnostics: &mut Diagnostics) {
    let Some((word, argument)) = text[1..].split_once(' ') else {
        let message = format!("the command '{text}' has no argument");
        let help = "commands are '@SET name=value' and '@INCLUDE path', each with one space";
        diagnostics.push(Diagnostic::error(start, message).with_help(help));
        return;
    };
    if !argument.is_empty() && argument.trim().is_empty() {
        diagnostics.push(Diagnostic::error(
            start,
            format!("the command '@{word}' has no argument"),
        ));
        return;
    }
    let argument_start = text.len() - argument.trim_start().len();
    result.commands.push(Command {
        word: word.to_owned(),
        argument: argument.trim().to_owned(),
        position: start.clone(),
        argument_position: start.at_column(column(text, argument_start)),
    });
}

/// The kind that a section's name stands for: a name is enough of it that begins like one of the words, so `[IN]` is an input
/// and `[P]` a parser.
fn kind_of(name: &str) -> SectionKind {
    const WORDS: [(&str, SectionKind); 10] = [
        ("service", SectionKind::Service),
        ("parser", SectionKind::Parser),
        ("multiline_parser", SectionKind::MultilineParser),
        ("stream_processor", SectionKind::StreamTask),
        ("plugins", SectionKind::Plugins),
        ("upstream_servers", SectionKind::Upstream),
        ("customs", SectionKind::Custom),
        ("inputs", SectionKind::Input),
        ("filters", SectionKind::Filter),
        ("outputs", SectionKind::Output),
    ];
    let name = name.to_ascii_lowercase();
    WORDS
        .into_iter()
        .find(|(word, _)| word.starts_with(&name))
        .map_or(SectionKind::Other, |(_, kind)| kind)
}

/// The column, in characters from 1, of a byte of a line.
fn column(text: &str, byte: usize) -> u32 {
    let characters = text.get(..byte).map_or(0, |before| before.chars().count());
    u32::try_from(characters).map_or(u32::MAX, |characters| characters.saturating_add(1))
}

fn odd_line(oddity: Oddity, position: &Position) -> Diagnostic {
    match oddity {
        Oddity::NotUtf8 => Diagnostic::warning(
            position,
            "the line is not UTF-8: other bytes are replaced by U+FFFD",
        ),
        Oddity::Binary => {
            Diagnostic::error(position, "the line is longer than 1 MiB and is not text")
        }
        Oddity::ZeroByte => Diagnostic::warning(
            position,
            "the line has a zero byte: the rest of it is ignored",
        ),
        Oddity::ByteOrderMark => {
            Diagnostic::error(position, "the file begins with a byte order mark")
                .with_help("save it as UTF-8 without a byte order mark")
        }
    }
}
