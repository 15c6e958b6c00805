//! Parsers: text in, fields out.

use config::{MultilineParserOptions, ParserOptions};
use record::{Batch, Fields, Span, Time};

use crate::{BuildError, Log};

/// What a parser made of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parsed {
    /// The fields, in the batch that was given.
    pub body: Fields,
    /// The time that the text named, if it named one in the configured format.
    pub time: Option<Time>,
}

/// One instance of a parser, owned by whoever parses on one thread: it may keep scratch space and caches.
pub trait Parser: Send {
    /// Parses `text`, a span of `batch`, into fields of `batch`. `None` when the text does not match; then the batch holds
    /// no new record and no visible new field.
    ///
    /// Must not allocate per call once warm, nor fail in any way that depends on the text's size or content.
    fn parse(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed>;
}

/// What a parser is built with.
#[derive(Clone, Debug)]
pub struct ParserContext {
    /// The name of the definition.
    pub name: String,
    /// For messages: scope `parser:NAME`.
    pub log: Log,
}

/// Builds an instance of a format.
pub type BuildParser = fn(&ParserOptions, &ParserContext) -> Result<Box<dyn Parser>, BuildError>;

/// A format of `[PARSER]` sections (`Format regex`).
#[derive(Debug)]
pub struct ParserPlugin {
    /// The word behind `Format`.
    pub format: &'static str,
    /// Builds an instance; the definition was checked for what every format needs.
    pub build: BuildParser,
}

/// The parser definitions of the running configuration.
pub trait Parsers: Send + Sync {
    /// A new instance of the parser `name`, or none if there is no such definition.
    fn make(&self, name: &str) -> Option<Box<dyn Parser>>;

    /// The names of all definitions, for messages.
    fn names(&self) -> Vec<String>;

    /// The multiline parser `name`, defined or built in; case does not count.
    fn multiline(&self, _name: &str) -> Option<&MultilineParserOptions> {
        None
    }

    /// The names of all multiline parsers, for messages.
    fn multiline_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// How many bytes a record that is made of several lines may have (`multiline_buffer_limit`); 0 is no limit.
    fn multiline_limit(&self) -> usize {
        2 << 20
    }

    /// What to say when there is no parser `name`: which is near, and which there are.
    fn missing(&self, name: &str) -> String {
        let names = self.names();
        if names.is_empty() {
            return format!(
                "there is no parser '{name}': no parser is defined; does 'Parsers_File' in [SERVICE] name a file?"
            );
        }
        let near = config::nearest(name, names.iter().map(String::as_str))
            .map_or(String::new(), |near| format!("did you mean '{near}'? "));
        format!(
            "there is no parser '{name}'; {near}there are: {}",
            names.join(", ")
        )
    }
}
