//! From the text of a Fluent Bit configuration to checked settings.
//!
//! The way through this crate:
//!
//! 1. [`CommandLine`] is what the flags say; [`Document`] is what was written, there and in files: sections of keys and
//!    values, each with its [`Position`], variables replaced.
//! 2. [`Options`] turns one [`Section`] into a struct of typed settings. `#[derive(config::Options)]` makes it from the
//!    struct's fields; the same table gives the reference page and the `--help` text.
//! 3. [`Diagnostics`] collects everything that is wrong, so that one run shows all mistakes. What Fluent Bit refuses when it
//!    loads a file is an error, what it refuses when a plugin starts is an error at start, all else is a warning.
//!
//! Files, globs and environment variables are reached through one small door, [`Host`], so that tests can live in memory.
//! Nothing here is asynchronous and nothing knows a plugin.

// The derive macros write `::config::…`; inside this crate that name has to be given.
extern crate self as config;

mod choice;
mod classic;
mod command_line;
mod diagnostic;
mod document;
mod engine_keys;
mod host;
mod instance;
mod list;
mod nearest;
mod network;
mod number;
mod options;
mod parser_definition;
mod position;
mod reference;
mod section;
mod section_reader;
mod service;
mod table;
mod text;
mod tls;
mod variables;

pub use choice::{Choice, ChoiceSpec, find_choice, unknown_choice};
pub use classic::{ClassicFile, Command, read_classic};
pub use command_line::{Action, CommandLine, HelpTopic, flags_help};
pub use config_derive::{Choice, Options};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::Document;
pub use host::{FileIdentity, Host, MemoryHost, SystemHost};
pub use instance::{
    Count, FilterCommon, InputCommon, LogLevel, OutputCommon, Percent, Positive, PositiveSeconds,
    Ratio, RetryLimit, SizeLimit, StorageType, TotalLimit,
};
pub use list::{BlankList, CommaList};
pub use nearest::nearest;
pub use network::{DnsMode, DnsResolver, NetOptions, NetServerOptions};
pub use number::{BinarySize, Milliseconds, Seconds, Size};
pub use options::Options;
pub use parser_definition::{
    AfterDecoding, DecodeRule, DecoderKind, Decoders, FieldType, FieldTypes,
    MultilineParserOptions, MultilineRule, MultilineType, ParserFormat, ParserOptions, UtcOffset,
};
pub use position::Position;
pub use reference::{options_markdown, options_text, reference_page};
pub use section::{Entry, Group, Section, SectionKind, Value, ValueKind};
pub use section_reader::SectionReader;
pub use service::{FlushInterval, Grace, ServiceOptions, StackSize, StorageSync, WholeSeconds};
pub use table::{BadValue, Form, Need, OptionSpec, Repeat, table_faults, try_text};
pub use text::{FromText, Parsed, Refusal, Switch};
pub use tls::{TlsOptions, TlsVersion};
pub use variables::{Expansion, Variables};
