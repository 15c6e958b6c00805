//! What a section can say about lines that are joined.

use config::{CommaList, Seconds};

/// Lines that are joined.
#[derive(Clone, Debug, config::Options)]
pub struct Options {
    /// Multiline parsers that join lines, tried in order: `docker`, `cri`, `go`, `java`, `python`, `ruby`, or what a parsers file
    /// defines. `parser` is not used then. The position that is stored stays where an unfinished group of lines begins.
    #[option(name = "multiline.parser", multiple)]
    parsers: Vec<CommaList>,
    /// Joins lines by the parser of their first line, `parser_firstline`. `multiline.parser` is the better way.
    #[option(name = "multiline", default = "false")]
    pub multiline: bool,
    /// How many seconds a message waits for its next line, with `multiline`.
    #[option(name = "multiline_flush", default = "4")]
    pub multiline_flush: Seconds,
    /// Parsers of a message, with `multiline`: `parser_firstline` of its first line, which it needs; those with any other ending
    /// of the lines that follow, tried in order. Lines that none of them takes are appended to the last field.
    #[option(name = "parser_", prefix)]
    pub message_parsers: Vec<(String, String)>,
    /// Joins lines that Docker has cut, and gives them to `parser`. `multiline.parser docker` is the better way.
    #[option(name = "docker_mode", default = "false")]
    pub docker_mode: bool,
    /// How many seconds a cut line waits for the next part, with `docker_mode`.
    #[option(name = "docker_mode_flush", default = "4")]
    pub docker_mode_flush: i64,
    /// A parser that recognises the first line of a message, with `docker_mode`: lines up to the next one are joined.
    #[option(name = "docker_mode_parser")]
    pub docker_mode_parser: Option<String>,
}

impl Options {
    /// Whether lines are joined.
    pub fn is_used(&self) -> bool {
        self.multiline || self.docker_mode || self.names_parsers()
    }

    /// Whether multiline parsers join them.
    pub fn names_parsers(&self) -> bool {
        !self.parsers.is_empty()
    }

    /// The names of the multiline parsers.
    pub fn parser_names(&self) -> impl Iterator<Item = &String> {
        self.parsers.iter().flat_map(|list| &list.0)
    }

    /// The parser of the first line of a message, if one is named.
    pub fn first_line_parser(&self) -> Option<&str> {
        self.parsers_of_lines(true).next()
    }

    /// The parsers of the other lines.
    pub fn other_line_parsers(&self) -> impl Iterator<Item = &str> {
        self.parsers_of_lines(false)
    }

    fn parsers_of_lines(&self, first: bool) -> impl Iterator<Item = &str> {
        let parsers = self.message_parsers.iter();
        parsers
            .filter(move |(ending, _)| ending.eq_ignore_ascii_case("firstline") == first)
            .map(|(_, parser)| parser.as_str())
    }
}
