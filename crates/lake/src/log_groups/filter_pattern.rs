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

/// Why a text is no pattern: in the service's own words where it has some, else what is wrong and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl FilterPattern {
    /// Reads a pattern; an empty one matches every event.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.chars().count() > limits::FILTER_PATTERN_CHARS {
            return Err(PatternError(format!(
                "Invalid filter pattern: it has more than {} characters",
                limits::FILTER_PATTERN_CHARS
            )));
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

    /// What a pattern of fields takes out of a message that fits: names (`$status`, or `$3` for a field without a name)
    /// and values. Other patterns take nothing.
    pub fn extract<'a>(&self, message: &'a str) -> Vec<(String, &'a str)> {
        match &self.0 {
            Kind::Fields(fields) => fields.extract(message),
            Kind::Everything | Kind::Terms(_) | Kind::Json(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
