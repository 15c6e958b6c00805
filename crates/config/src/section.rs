//! The model of what was written: sections, entries, groups, values.

use std::fmt;

use crate::Position;

/// What a section configures. Decided by the section's name in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// `[SERVICE]`: settings of the whole process.
    Service,
    /// `[INPUT]`: a source of records.
    Input,
    /// `[FILTER]`: changes records on their way.
    Filter,
    /// `[OUTPUT]`: a destination.
    Output,
    /// `[CUSTOM]`: a plugin that configures others.
    Custom,
    /// `[PARSER]`: how text becomes fields.
    Parser,
    /// `[MULTILINE_PARSER]`: which lines belong together.
    MultilineParser,
    /// `[STREAM_PROCESSOR]` and `[STREAM_TASK]`: SQL over records in flight.
    StreamTask,
    /// `[PLUGINS]`: shared objects to load.
    Plugins,
    /// `[UPSTREAM_SERVERS]` and `[UPSTREAM]`: a group of hosts.
    Upstream,
    /// Any other name: kept, and ignored without a word, as Fluent Bit does.
    Other,
}

impl SectionKind {
    /// The word for this kind in messages: `input`, `service` …
    pub fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Input => "input",
            Self::Filter => "filter",
            Self::Output => "output",
            Self::Custom => "custom",
            Self::Parser => "parser",
            Self::MultilineParser => "multiline_parser",
            Self::StreamTask => "stream_task",
            Self::Plugins => "plugins",
            Self::Upstream => "upstream",
            Self::Other => "section",
        }
    }

    /// Whether Fluent Bit refuses a key that it does not know in such a section. It looks up the keys it wants in the
    /// others and never sees the rest.
    pub fn refuses_unknown_keys(self) -> bool {
        matches!(
            self,
            Self::Input | Self::Filter | Self::Output | Self::Custom
        )
    }
}

/// One section: `[INPUT]` and what follows, or one map of a YAML list.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// What it configures.
    pub kind: SectionKind,
    /// The name as written between the brackets.
    pub name: String,
    /// Where the section begins.
    pub position: Position,
    /// Keys and values in the order of the text, repeated keys included.
    pub entries: Vec<Entry>,
    /// Sub-sections such as `[PROCESSORS]`.
    pub groups: Vec<Group>,
}

impl Section {
    /// An empty section.
    pub fn new(kind: SectionKind, name: impl Into<String>, position: Position) -> Self {
        Self {
            kind,
            name: name.into(),
            position,
            entries: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// The first entry with this key (lower case), as Fluent Bit takes the first `Name` and ignores the others.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The text of the first entry with this key (lower case), if it is a scalar.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.entry(key)?.value.as_text()
    }

    /// The plugin's or parser's name: the value of the first `name` key.
    pub fn plugin_name(&self) -> Option<&str> {
        self.text("name")
    }

    /// How messages call this section: `input 'tail'`, `service`.
    pub fn title(&self) -> String {
        let word = match self.kind {
            SectionKind::Other => self.name.as_str(),
            kind => kind.word(),
        };
        match self.plugin_name() {
            Some(name) => format!("{word} '{name}'"),
            None => word.to_owned(),
        }
    }
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key in lower case.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// What was given.
    pub value: Value,
    /// It was not written as a key but follows from something else, so that it is no mistake if no option takes it.
    pub implied: bool,
}

impl Entry {
    /// A key with plain text, as the classic format and the command line have it.
    pub fn plain(
        key: &str,
        position: Position,
        text: impl Into<String>,
        text_position: Position,
    ) -> Self {
        let value = Value {
            kind: ValueKind::Text {
                text: text.into(),
                quoted: false,
            },
            position: text_position,
        };
        Self {
            key: key.to_ascii_lowercase(),
            position,
            value,
            implied: false,
        }
    }
}

/// A sub-section of a section.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The name as written between the brackets.
    pub name: String,
    /// Where the group begins.
    pub position: Position,
    /// Keys and values in the order of the text.
    pub entries: Vec<Entry>,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Where the value begins.
    pub position: Position,
    /// What it is.
    pub kind: ValueKind,
}

impl Value {
    /// The text of a scalar.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            ValueKind::Text { text, .. } => Some(text),
            ValueKind::List(_) | ValueKind::Map(_) => None,
        }
    }
}

/// The shapes a value can have. The classic format knows only text.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueKind {
    /// A scalar. What it means is up to the option; inside YAML's nested values, a scalar that is not quoted is typed.
    Text {
        /// The characters.
        text: String,
        /// Whether quotes stood around it (YAML only; in the classic format quotes are part of the text).
        quoted: bool,
    },
    /// A YAML sequence.
    List(Vec<Value>),
    /// A YAML mapping in the order of the text.
    Map(Vec<Entry>),
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        })
    }
}
