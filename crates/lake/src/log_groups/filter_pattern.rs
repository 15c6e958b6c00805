//! CloudWatch Logs' filter pattern language, as FilterLogEvents and metric filters take it.
//!
//! A pattern that begins with `{` looks into JSON events, one that begins with `[` into events of fields between blanks;
//! every other is a list of terms. Nothing here does input or output, and no pattern and no event makes it panic.

mod expression;
mod fields;
mod json;
mod json_text;
mod literal;
mod regex;
mod scanner;
mod terms;

use fields::Fields;
use json::JsonCondition;
use terms::Terms;

use crate::limits;

/// A pattern, ready to be held against events.
#[derive(Debug)]
pub struct FilterPattern(Kind);

#[derive(Debug)]
enum Kind {
    Everything,
    Terms(Terms),
    Json(JsonCondition),
    Fields(Fields),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid filter pattern: {what} at character {at}")]
pub struct PatternError {
    /// What is wrong, and what is allowed.
    pub what: String,
    /// Where, counted from 1.
    pub at: usize,
}

impl FilterPattern {
    /// Reads a pattern; an empty one matches every event.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > limits::FILTER_PATTERN_CHARS {
            let what = format!(
                "it has more than {} characters",
                limits::FILTER_PATTERN_CHARS
            );
            return Err(PatternError { what, at: 1 });
        }
        let kind = match text.trim().chars().next() {
            None => Kind::Everything,
            Some('{') => Kind::Json(JsonCondition::parse(text)?),
            Some('[') => Kind::Fields(Fields::parse(text)?),
            Some(_) => Kind::Terms(Terms::parse(text)?),
        };
        Ok(Self(kind))
    }

    /// Whether `message` fits.
    pub fn matches(&self, message: &str) -> bool {
        match &self.0 {
            Kind::Everything => true,
            Kind::Terms(terms) => terms.match_message(message),
            Kind::Json(condition) => condition.match_message(message),
            Kind::Fields(fields) => fields.match_message(message),
        }
    }
}

#[cfg(test)]
mod tests;
