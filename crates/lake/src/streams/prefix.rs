//! `Prefix` rules: what the name of an object begins with.
//!
//! A prefix is plain text with expressions `!{namespace:value}` in it. Firehose appends `yyyy/MM/dd/HH/` unless a
//! timestamp expression says where the time goes, and it inserts no slash: the prefix `ecs` gives `ecs2026/11/22/13/`.

use jiff::Zoned;
use uuid::Uuid;

use super::timestamp_pattern::TimestampPattern;

/// What is appended to a prefix without a timestamp expression.
const DEFAULT_TIMESTAMP: &str = "yyyy/MM/dd/HH/";
const RANDOM_CHARS: usize = 11;
const RANDOM_ALPHABET: &[u8; 63] =
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";

/// A checked `Prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRule {
    parts: Vec<Part>,
    has_expressions: bool,
}

/// A piece of a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text that stands as it is.
    Text(String),
    /// `!{timestamp:…}`.
    Timestamp(TimestampPattern),
    /// `!{firehose:random-string}`: eleven characters, new each time.
    RandomString,
    /// `!{firehose:error-output-type}`, which only `ErrorOutputPrefix` may have.
    ErrorOutputType,
}

impl PrefixRule {
    /// Checks `prefix`. The error says what is wrong and what is allowed.
    pub fn parse(prefix: &str) -> Result<Self, String> {
        let mut parts = parse_parts(prefix)?;
        if parts.contains(&Part::ErrorOutputType) {
            return Err(
                "!{firehose:error-output-type} may stand in ErrorOutputPrefix only".to_owned(),
            );
        }
        let has_expressions = parts.iter().any(|part| !matches!(part, Part::Text(_)));
        if !parts.iter().any(|part| matches!(part, Part::Timestamp(_))) {
            parts.push(Part::Timestamp(TimestampPattern::parse(DEFAULT_TIMESTAMP)?));
        }
        Ok(Self {
            parts,
            has_expressions,
        })
    }

    /// Whether the prefix as written has expressions, which makes `ErrorOutputPrefix` mandatory.
    pub fn has_expressions(&self) -> bool {
        self.has_expressions
    }

    /// What an object's name begins with whose oldest record arrived at `time`, in the zone that `time` carries.
    pub fn evaluate(&self, time: &Zoned) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Timestamp(pattern) => pattern.write(time, &mut out),
                Part::RandomString => out.push_str(&random_string()),
                Part::ErrorOutputType => {}
            }
        }
        out
    }
}

/// Checks an `ErrorOutputPrefix`: expressions are allowed if one of them is the error's type.
pub fn check_error_output_prefix(prefix: &str) -> Result<(), String> {
    let parts = parse_parts(prefix)?;
    let has_expressions = parts.iter().any(|part| !matches!(part, Part::Text(_)));
    match has_expressions && !parts.contains(&Part::ErrorOutputType) {
        true => {
            Err("an ErrorOutputPrefix with expressions needs at least one !{firehose:error-output-type}".to_owned())
        }
        false => Ok(()),
    }
}

fn parse_parts(prefix: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = prefix;
    while let Some(start) = rest.find("!{") {
        if start > 0 {
            parts.push(Part::Text(rest[..start].to_owned()));
        }
        let inside = &rest[start + 2..];
        let end = inside
            .find('}')
            .ok_or_else(|| format!("the expression \"{}\" is not closed", &rest[start..]))?;
        parts.push(parse_expression(&inside[..end])?);
        rest = &inside[end + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn parse_expression(expression: &str) -> Result<Part, String> {
    let (namespace, value) = expression.split_once(':').ok_or_else(|| {
        format!("the expression !{{{expression}}} is not of the form !{{namespace:value}}")
    })?;
    match (namespace, value) {
        ("timestamp", pattern) => Ok(Part::Timestamp(TimestampPattern::parse(pattern)?)),
        ("firehose", "random-string") => Ok(Part::RandomString),
        ("firehose", "error-output-type") => Ok(Part::ErrorOutputType),
        ("firehose", _) => Err(format!(
            "!{{{expression}}} is unknown; of firehose there are random-string and error-output-type"
        )),
        ("partitionKeyFromQuery" | "partitionKeyFromLambda", _) => Err(format!(
            "!{{{expression}}} needs dynamic partitioning, which the lake does not do"
        )),
        _ => Err(format!(
            "!{{{expression}}} has an unknown namespace; there are timestamp and firehose"
        )),
    }
}

fn random_string() -> String {
    let bytes = Uuid::new_v4().into_bytes();
    // In a version 4 UUID the version stands in byte 6 and the variant in byte 8; the others are random.
    let random = bytes[..6].iter().chain(&bytes[9..]);
    random
        .take(RANDOM_CHARS)
        .map(|&byte| char::from(RANDOM_ALPHABET[usize::from(byte) % 63]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluated(prefix: &str, zone: &str) -> String {
        let time: Zoned = "2026-11-22T13:04:05+00:00[UTC]".parse().unwrap();
        PrefixRule::parse(prefix)
            .unwrap()
            .evaluate(&time.in_tz(zone).unwrap())
    }

    #[test]
    fn prefixes_become_what_the_guide_says() {
        for (prefix, zone, expected) in [
            ("", "UTC", "2026/11/22/13/"),
            ("ecs", "UTC", "ecs2026/11/22/13/"),
            ("ecs/", "UTC", "ecs/2026/11/22/13/"),
            ("ecs", "Asia/Tokyo", "ecs2026/11/22/22/"),
            ("ecs", "America/New_York", "ecs2026/11/22/08/"),
            ("dt=!{timestamp:yyyy-MM-dd}/", "UTC", "dt=2026-11-22/"),
            (
                "!{timestamp:yyyy}/x/!{timestamp:'h='HH}/",
                "UTC",
                "2026/x/h=13/",
            ),
            ("logs!/", "UTC", "logs!/2026/11/22/13/"),
            ("a}b/", "UTC", "a}b/2026/11/22/13/"),
        ] {
            assert_eq!(evaluated(prefix, zone), expected, "{prefix}");
        }
    }

    #[test]
    fn random_strings_are_eleven_characters_and_new_each_time() {
        let value = evaluated(
            "r/!{firehose:random-string}!{firehose:random-string}/!{timestamp:yyyy}/",
            "UTC",
        );
        let random = value
            .strip_prefix("r/")
            .unwrap()
            .strip_suffix("/2026/")
            .unwrap();
        assert_eq!(random.len(), 22);
        assert!(random.bytes().all(|byte| RANDOM_ALPHABET.contains(&byte)));
        assert_ne!(random[..11], random[11..]);
    }

    #[test]
    fn a_random_string_alone_leaves_the_time_to_firehose() {
        let value = evaluated("!{firehose:random-string}/", "UTC");
        assert_eq!(&value[11..], "/2026/11/22/13/");
    }

    #[test]
    fn wrong_prefixes_are_refused() {
        for (prefix, told) in [
            ("!{timestamp:yyyy", "is not closed"),
            ("!{yyyy}", "namespace:value"),
            ("!{time:yyyy}", "unknown namespace"),
            ("!{firehose:random}", "random-string and error-output-type"),
            ("!{firehose:error-output-type}/", "ErrorOutputPrefix only"),
            ("!{partitionKeyFromQuery:customer}/", "dynamic partitioning"),
            ("!{timestamp:YYYY}/", "'Y'"),
        ] {
            let error = PrefixRule::parse(prefix).unwrap_err();
            assert!(error.contains(told), "{prefix}: {error}");
        }
    }

    #[test]
    fn error_prefixes_with_expressions_name_the_error() {
        assert_eq!(check_error_output_prefix("errors/"), Ok(()));
        assert_eq!(
            check_error_output_prefix("e/!{firehose:error-output-type}/!{timestamp:yyyy}/"),
            Ok(())
        );
        assert!(check_error_output_prefix("e/!{timestamp:yyyy}/").is_err());
    }

    #[test]
    fn only_expressions_as_written_count() {
        assert!(!PrefixRule::parse("ecs").unwrap().has_expressions());
        assert!(
            PrefixRule::parse("!{firehose:random-string}")
                .unwrap()
                .has_expressions()
        );
    }
}
