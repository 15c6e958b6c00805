//! Fluent Bit's command line.
//!
//! The order of the flags counts: `-i`, `-F`, `-o` and `-C` begin a section, `-p`, `-m` and `-t` add to the last one. `-h` and
//! `-V` act where they stand: what follows them is not looked at.

mod flags;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::{Diagnostic, Diagnostics, Entry, LogLevel, Position, Section, SectionKind, nearest};
use flags::{Effect, FLAGS, Flag};

pub use flags::flags_help;

/// What the user asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandLine {
    /// What to do.
    pub action: Action,
    /// The configuration file.
    pub config_file: Option<PathBuf>,
    /// Whether to check the configuration and leave.
    pub dry_run: bool,
    /// How much to say: `info`, one step more for each `-v`, nothing after `-q`. See [`LogLevel::in_effect`].
    pub log_level: LogLevel,
    /// The folder to change to before anything is read.
    pub working_directory: Option<PathBuf>,
    /// Whether the router gives up the right to touch anything that its configuration does not name.
    pub sandbox: bool,
    /// Whether a parent process starts the router again when it fails.
    pub supervisor: bool,
    /// Whether to print a report for those who help.
    pub support_report: bool,
    /// SQL of stream processor tasks.
    pub stream_tasks: Vec<String>,
    /// Sections for [`Document::load`](crate::Document::load), the service first.
    pub sections: Vec<Section>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run the router.
    Run,
    /// Print the version.
    Version,
    /// Print help.
    Help(HelpTopic),
}

/// What help is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelpTopic {
    /// The plugin that was named last before the flag: its kind, and its name as written. None: everything.
    /// The kind of a processor is [`SectionKind::Other`].
    pub plugin: Option<(SectionKind, String)>,
    /// Whether it is wanted as a JSON schema.
    pub json: bool,
}

impl CommandLine {
    /// Whether the banner and all messages are wanted to be left out.
    pub fn is_quiet(&self) -> bool {
        self.log_level == LogLevel::Off
    }

    /// Reads the arguments, the program's name not among them. Mistakes are reported and left out.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let mut reading = Reading::new(&arguments, diagnostics);
        reading.all();
        let Reading {
            mut result,
            service,
            ..
        } = reading;
        if !service.entries.is_empty() {
            result.sections.insert(0, service);
        }
        result
    }
}

/// The arguments on their way.
struct Reading<'a> {
    result: CommandLine,
    service: Section,
    parser: lexopt::Parser,
    count: usize,
    /// The number of the argument that is being read.
    number: u32,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Reading<'a> {
    fn new(arguments: &[OsString], diagnostics: &'a mut Diagnostics) -> Self {
        let mut parser = lexopt::Parser::from_args(arguments);
        // As for getopt: `-f=1` is the value `=1`.
        parser.set_short_equals(false);
        Self {
            result: CommandLine {
                action: Action::Run,
                config_file: None,
                dry_run: false,
                log_level: LogLevel::Info,
                working_directory: None,
                sandbox: false,
                supervisor: false,
                support_report: false,
                stream_tasks: Vec::new(),
                sections: Vec::new(),
            },
            service: Section::new(SectionKind::Service, "service", Position::argument(1)),
            parser,
            count: arguments.len(),
            number: 0,
            diagnostics,
        }
    }

    fn all(&mut self) {
        while self.result.action == Action::Run {
            self.next_argument();
            let argument = match self.parser.next() {
                Ok(None) => return,
                Ok(Some(argument)) => Argument::from(argument),
                Err(error) => {
                    self.error(error.to_string(), None);
                    continue;
                }
            };
            match argument {
                Argument::Flag(name) => self.flag(&name),
                Argument::Stray(text) => {
                    let finding = Diagnostic::warning(
                        &self.position(),
                        format!("the argument '{text}' is ignored"),
                    );
                    self.diagnostics.push(finding);
                }
            }
        }
    }

    /// Finds out the number of the argument that will be read next.
    fn next_argument(&mut self) {
        // There is no answer in the middle of `-vvc`; then it is still the same argument.
        if let Some(rest) = self.parser.try_raw_args() {
            self.number = u32::try_from(self.count - rest.as_slice().len() + 1).unwrap_or(u32::MAX);
        }
    }

    /// Finds out the number of the argument that held the value just read.
    fn value_argument(&mut self) {
        self.next_argument();
        self.number -= 1;
    }

    fn position(&self) -> Position {
        Position::argument(self.number)
    }

    fn error(&mut self, message: String, help: Option<String>) {
        let mut finding = Diagnostic::error(&self.position(), message);
        finding.help = help;
        self.diagnostics.push(finding);
    }

    fn flag(&mut self, name: &str) {
        let flag = match find(name) {
            Found::One(flag) => flag,
            Found::Several(names) => {
                self.skip_value(name);
                self.error(
                    format!("'{}' may be any of {}", shown(name), names.join(", ")),
                    None,
                );
                return;
            }
            Found::None => {
                self.skip_value(name);
                let near = nearest(
                    name,
                    FLAGS.iter().flat_map(|flag| flag.long.iter().copied()),
                );
                let help = match near {
                    Some(near) => format!("did you mean '{}'?", shown(near)),
                    None => "--help lists the flags".to_owned(),
                };
                self.error(format!("there is no flag '{}'", shown(name)), Some(help));
                return;
            }
        };
        match flag.argument {
            None => {
                if self.skip_value(name) {
                    self.error(format!("'{}' takes no value", shown(name)), None);
                }
                self.bare(flag);
            }
            Some(what) => match self.parser.value() {
                Ok(value) => {
                    self.value_argument();
                    self.with_value(flag, value);
                }
                Err(_) => self.error(format!("'{}' needs a value: {what}", shown(name)), None),
            },
        }
    }

    /// Skips the value of `--name=value`, where there should be none. What follows a letter are other flags.
    fn skip_value(&mut self, name: &str) -> bool {
        name.chars().count() > 1 && self.parser.optional_value().is_some()
    }

    /// A flag without a value.
    fn bare(&mut self, flag: &Flag) {
        match flag.effect {
            Effect::Switch(key, value) => self.service_key(key, value),
            Effect::DryRun => self.result.dry_run = true,
            Effect::Verbose => self.result.log_level = louder(self.result.log_level),
            Effect::Quiet => self.result.log_level = LogLevel::Off,
            Effect::Sandbox => self.result.sandbox = true,
            Effect::Supervisor => self.result.supervisor = true,
            Effect::SupportReport => self.result.support_report = true,
            Effect::Version => self.result.action = Action::Version,
            Effect::Help { json } => {
                let last = self.result.sections.last();
                let plugin = last
                    .and_then(|section| Some((section.kind, section.plugin_name()?.to_owned())));
                self.result.action = Action::Help(HelpTopic { plugin, json });
            }
            _ => {}
        }
    }

    /// A flag with a value.
    fn with_value(&mut self, flag: &Flag, value: OsString) {
        let text = value.to_string_lossy().into_owned();
        match flag.effect {
            Effect::Service(key) => self.service_key(key, &text),
            Effect::Begin(kind) => self.begin(kind, &text),
            Effect::Property => self.property(&text),
            Effect::Match => self.match_tags(&text),
            Effect::Tag => self.add_to_last("tag", &text, flag),
            Effect::ConfigFile => self.result.config_file = Some(value.into()),
            Effect::WorkingDirectory => self.result.working_directory = Some(value.into()),
            Effect::StreamTask => self.result.stream_tasks.push(text),
            Effect::WindowsOnly => {
                self.error(format!("'{}' is for Windows only", flag.name()), None)
            }
            Effect::Ignored(why) => {
                let message = format!("'{}' is accepted and has no effect", flag.name());
                let finding = Diagnostic::warning(&self.position(), message).with_help(why);
                self.diagnostics.push(finding);
            }
            _ => {}
        }
    }

    fn service_key(&mut self, key: &str, value: &str) {
        if self.service.entries.is_empty() {
            self.service.position = self.position();
        }
        let position = self.position();
        self.service
            .entries
            .push(Entry::plain(key, position.clone(), value, position));
    }

    fn begin(&mut self, kind: SectionKind, name: &str) {
        let position = self.position();
        let word = if kind == SectionKind::Other {
            "processor"
        } else {
            kind.word()
        };
        let mut section = Section::new(kind, word, position.clone());
        section.entries.push(Entry::plain(
            "name",
            position.clone(),
            name.trim(),
            position,
        ));
        self.result.sections.push(section);
    }

    fn property(&mut self, text: &str) {
        let Some((key, value)) = text.split_once('=') else {
            let finding = Diagnostic::warning(
                &self.position(),
                format!("the property '{text}' is ignored"),
            )
            .with_help("a property is written key=value");
            self.diagnostics.push(finding);
            return;
        };
        let (key, value) = (key.trim(), value.trim());
        if key.is_empty() || value.is_empty() {
            let finding = Diagnostic::warning(
                &self.position(),
                format!("the property '{text}' sets nothing"),
            )
            .with_help("a property is written key=value");
            self.diagnostics.push(finding);
            return;
        }
        let position = self.position();
        match self.result.sections.last_mut() {
            Some(section) => {
                section
                    .entries
                    .push(Entry::plain(key, position.clone(), value, position))
            }
            None => self.before_any_section(&format!("the property '{text}'")),
        }
    }

    /// Fluent Bit ignores a match for anything else than a filter or an output.
    fn match_tags(&mut self, pattern: &str) {
        let takes_match = |section: &&mut Section| {
            matches!(section.kind, SectionKind::Filter | SectionKind::Output)
        };
        let position = self.position();
        match self.result.sections.last_mut().filter(takes_match) {
            Some(section) => section.entries.push(Entry::plain(
                "match",
                position.clone(),
                pattern.trim(),
                position,
            )),
            None => {
                let finding =
                    Diagnostic::warning(&position, format!("the match '{pattern}' is ignored"))
                        .with_help("-m follows the -F or -o that it belongs to");
                self.diagnostics.push(finding);
            }
        }
    }

    fn add_to_last(&mut self, key: &str, value: &str, flag: &Flag) {
        let position = self.position();
        match self.result.sections.last_mut() {
            Some(section) => {
                section
                    .entries
                    .push(Entry::plain(key, position.clone(), value.trim(), position))
            }
            None => self.before_any_section(&format!("'{}'", flag.name())),
        }
    }

    fn before_any_section(&mut self, what: &str) {
        let finding = Diagnostic::warning(&self.position(), format!("{what} is ignored"))
            .with_help("it follows the -i, -F, -o or -C that it belongs to");
        self.diagnostics.push(finding);
    }
}

/// An argument as the iterator of arguments gives it, without its borrow.
enum Argument {
    /// A flag without its dashes.
    Flag(String),
    /// Something that is neither a flag nor its value.
    Stray(String),
}

impl From<lexopt::Arg<'_>> for Argument {
    fn from(argument: lexopt::Arg<'_>) -> Self {
        match argument {
            lexopt::Arg::Short(letter) => Self::Flag(letter.to_string()),
            lexopt::Arg::Long(word) => Self::Flag(word.to_owned()),
            lexopt::Arg::Value(text) => Self::Stray(OsStr::to_string_lossy(&text).into_owned()),
        }
    }
}

/// A flag's name with its dashes.
fn shown(name: &str) -> String {
    match name.chars().count() {
        1 => format!("-{name}"),
        _ => format!("--{name}"),
    }
}

/// What a name on the command line stands for.
enum Found {
    One(&'static Flag),
    Several(Vec<String>),
    None,
}

/// Finds a flag by its letter, its word, or a beginning of its word that no other flag shares.
fn find(name: &str) -> Found {
    if let Some(flag) = FLAGS
        .iter()
        .find(|flag| flag.names().any(|other| other == name))
    {
        return Found::One(flag);
    }
    let begins = |word: &&str| name.chars().count() > 1 && word.starts_with(name);
    let word = |flag: &Flag| flag.long.iter().copied().find(begins);
    let candidates: Vec<_> = FLAGS
        .iter()
        .filter_map(|flag| Some((flag, word(flag)?)))
        .collect();
    match candidates.as_slice() {
        [] => Found::None,
        [(flag, _)] => Found::One(flag),
        several => Found::Several(
            several
                .iter()
                .map(|(_, word)| format!("--{word}"))
                .collect(),
        ),
    }
}

fn louder(level: LogLevel) -> LogLevel {
    match level {
        LogLevel::Off => LogLevel::Error,
        LogLevel::Error => LogLevel::Warn,
        LogLevel::Warn => LogLevel::Info,
        LogLevel::Info => LogLevel::Debug,
        LogLevel::Debug | LogLevel::Trace => LogLevel::Trace,
    }
}
