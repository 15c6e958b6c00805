//! TestMetricFilter: tries a filter pattern out on messages.

use std::collections::BTreeMap;

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};

use super::face::{invalid, refuse};
use crate::aws_json::{ApiError, answer, parse};
use crate::limits;
use crate::log_groups::filter_pattern::FilterPattern;
use crate::streams::Violations;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    filter_pattern: Option<String>,
    log_event_messages: Option<Vec<String>>,
}

#[derive(Serialize)]
struct Output<'a> {
    matches: Vec<Match<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Match<'a> {
    /// Counted from 1.
    event_number: usize,
    event_message: &'a str,
    extracted_values: BTreeMap<String, &'a str>,
}

/// `TestMetricFilter`.
pub fn test_metric_filter(body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    match &input.filter_pattern {
        None => violations.add_missing("filterPattern"),
        Some(pattern) => {
            violations.length(pattern, "filterPattern", (0, limits::FILTER_PATTERN_CHARS))
        }
    }
    let path = "logEventMessages";
    match input.log_event_messages.as_ref().map(Vec::len) {
        None => violations.add_missing(path),
        Some(0) => {
            violations.add_unshown(path, "Member must have length greater than or equal to 1");
        }
        Some(count) if count > limits::TESTED_MESSAGES => {
            let most = limits::TESTED_MESSAGES;
            let constraint = format!("Member must have length less than or equal to {most}");
            violations.add_unshown(path, &constraint);
        }
        Some(_) => {}
    }
    refuse(violations)?;
    let pattern = FilterPattern::parse(&input.filter_pattern.unwrap_or_default())
        .map_err(|error| invalid(error.to_string()))?;
    let messages = input.log_event_messages.unwrap_or_default();
    let matches = messages
        .iter()
        .enumerate()
        .filter(|(_, message)| pattern.matches(message))
        .map(|(index, message)| Match {
            event_number: index + 1,
            event_message: message,
            extracted_values: pattern.extract(message).into_iter().collect(),
        });
    Ok(answer(&Output {
        matches: matches.collect(),
    }))
}
