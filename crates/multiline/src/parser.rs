//! One multiline parser as it runs.

use config::{MultilineParserOptions, MultilineType};
use plugin::{Parser, Parsers};

use crate::rules::Rules;

/// A multiline parser with what reading needs, for one thread.
pub(crate) struct LineParser {
    pub kind: Kind,
    /// Takes each line apart first.
    pub parser: Option<Box<dyn Parser>>,
    pub keys: Keys,
}

/// How lines that belong together are found.
pub(crate) enum Kind {
    Rules(Rules),
    /// The last line ends with this text, or does not.
    EndsWith(Mark),
    /// The last line is this text, or is not.
    Equal(Mark),
}

/// The text that marks a last line.
pub(crate) struct Mark {
    text: Vec<u8>,
    negate: bool,
}

/// The fields that count.
#[derive(Default)]
pub(crate) struct Keys {
    /// The text.
    pub content: Option<Vec<u8>>,
    /// What is looked at for the mark.
    pub pattern: Option<Vec<u8>>,
    /// What keeps streams apart.
    pub group: Option<Vec<u8>>,
}

impl Mark {
    /// Whether `text` is a last line; none if it is too short to tell, as upstream.
    pub fn is_at_end_of(&self, text: &[u8]) -> Option<bool> {
        (text.len() >= self.text.len()).then(|| text.ends_with(&self.text) != self.negate)
    }

    /// Whether `text` is a last line.
    pub fn is(&self, text: &[u8]) -> bool {
        (text == self.text) != self.negate
    }
}

impl LineParser {
    /// Builds what `options` define. `content` is the text's field if the user named one.
    ///
    /// # Errors
    /// What is wrong with the definition.
    pub fn new(
        options: &MultilineParserOptions,
        content: Option<&str>,
        parsers: &dyn Parsers,
    ) -> Result<LineParser, String> {
        let mark = Mark {
            text: options
                .match_string
                .clone()
                .unwrap_or_default()
                .into_bytes(),
            negate: options.negate,
        };
        let name = &options.name;
        let kind = match options.kind {
            MultilineType::Regex => Kind::Rules(
                Rules::new(&options.rules)
                    .map_err(|error| format!("multiline parser '{name}': rule: {error}"))?,
            ),
            MultilineType::EndsWith => Kind::EndsWith(mark),
            MultilineType::Equal => Kind::Equal(mark),
        };
        let parser = match &options.parser {
            None => None,
            Some(parser) => Some(parsers.make(parser).ok_or_else(|| {
                format!("multiline parser '{name}': {}", parsers.missing(parser))
            })?),
        };
        let bytes = |key: &Option<String>| key.clone().map(String::into_bytes);
        Ok(LineParser {
            kind,
            parser,
            keys: Keys {
                content: content
                    .map(|key| key.as_bytes().to_vec())
                    .or_else(|| bytes(&options.key_content)),
                pattern: bytes(&options.key_pattern),
                group: bytes(&options.key_group),
            },
        })
    }

    /// The name of the field that holds the text where a line has no other fields.
    pub fn text_key(&self) -> &[u8] {
        self.keys.content.as_deref().unwrap_or(b"log")
    }

    /// Whether records end with a line end. Upstream adds one where the text's field has no name.
    pub fn ends_lines(&self) -> bool {
        self.keys.content.is_none()
    }
}
