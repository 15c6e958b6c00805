//! DescribeLogGroups and ListLogGroups.

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};

use super::face::{check_limit, group_arn, invalid, name_of, refuse};
use super::groups::CLASSES;
use super::token;
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::log_groups::Group;
use crate::options::Options;
use crate::streams::Violations;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    log_group_name: String,
    creation_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention_in_days: Option<u32>,
    metric_filter_count: u32,
    arn: String,
    log_group_arn: String,
    stored_bytes: u64,
    log_group_class: String,
    deletion_protection_enabled: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    log_group_name: String,
    log_group_arn: String,
    log_group_class: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Output<T> {
    log_groups: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

/// `DescribeLogGroups`: by name.
pub fn describe_log_groups(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        log_group_name_prefix: Option<String>,
        log_group_name_pattern: Option<String>,
        #[serde(default)]
        log_group_identifiers: Vec<String>,
        log_group_class: Option<String>,
        next_token: Option<String>,
        limit: Option<i64>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    let limit = check_limit(input.limit, limits::DESCRIBED_LOGS, &mut violations);
    check_class(input.log_group_class.as_deref(), &mut violations);
    if input.log_group_identifiers.len() > limits::LOG_IDENTIFIERS {
        let most = limits::LOG_IDENTIFIERS;
        let constraint = format!("Member must have length less than or equal to {most}");
        violations.add_unshown("logGroupIdentifiers", &constraint);
    }
    refuse(violations)?;
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        return Err(invalid(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
        ));
    }
    let named = input
        .log_group_identifiers
        .iter()
        .map(|identifier| name_of(&lake.options, identifier))
        .collect::<Result<Vec<&str>, ApiError>>()?;
    let fits = |group: &Group| {
        let name = group.name.as_str();
        let prefix = input.log_group_name_prefix.as_deref().unwrap_or("");
        let pattern = input.log_group_name_pattern.as_deref().unwrap_or("");
        name.starts_with(prefix)
            && name.contains(pattern)
            && (named.is_empty() || named.contains(&name))
            && has_class(group, input.log_group_class.as_deref())
    };
    let after = token::read::<String>(input.next_token.as_deref())?;
    let describe = |group: &Group| described(&lake.options, group);
    Ok(answer(&page(lake, after, limit, fits, describe)))
}

/// `ListLogGroups`: by name.
pub fn list_log_groups(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        log_group_name_pattern: Option<String>,
        log_group_class: Option<String>,
        next_token: Option<String>,
        limit: Option<i64>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    check_class(input.log_group_class.as_deref(), &mut violations);
    let limit = input.limit.unwrap_or(limits::DESCRIBED_LOGS);
    let limit = check_limit(Some(limit), limits::LISTED_LOG_GROUPS, &mut violations);
    if let Some(pattern) = &input.log_group_name_pattern {
        let path = "logGroupNamePattern";
        violations.length(pattern, path, limits::LOG_GROUP_PATTERN_CHARS);
    }
    refuse(violations)?;
    let pattern = input.log_group_name_pattern.unwrap_or_default();
    let fits = |group: &Group| {
        fits_pattern(&group.name, &pattern) && has_class(group, input.log_group_class.as_deref())
    };
    let after = token::read::<String>(input.next_token.as_deref())?;
    let list = |group: &Group| Listed {
        log_group_name: group.name.clone(),
        log_group_arn: group_arn(&lake.options, &group.name),
        log_group_class: group.definition().class.clone(),
    };
    Ok(answer(&page(lake, after, limit, fits, list)))
}

fn page<T>(
    lake: &Inner,
    after: Option<String>,
    limit: usize,
    fits: impl Fn(&Group) -> bool,
    show: impl Fn(&Group) -> T,
) -> Output<T> {
    let mut output = Output {
        log_groups: Vec::new(),
        next_token: None,
    };
    let mut last = String::new();
    lake.log_groups.after(after.as_deref(), |group| {
        if !fits(group) {
            return true;
        }
        if output.log_groups.len() == limit {
            output.next_token = Some(token::write(&last));
            return false;
        }
        last.clone_from(&group.name);
        output.log_groups.push(show(group));
        true
    });
    output
}

fn described(options: &Options, group: &Group) -> Described {
    let definition = group.definition();
    let arn = group_arn(options, &group.name);
    Described {
        log_group_name: group.name.clone(),
        creation_time: definition.created,
        retention_in_days: definition.retention_days,
        metric_filter_count: 0,
        arn: format!("{arn}:*"),
        log_group_arn: arn,
        stored_bytes: group.billed_bytes(),
        log_group_class: definition.class.clone(),
        deletion_protection_enabled: definition.deletion_protection,
    }
}

fn check_class(class: Option<&str>, violations: &mut Violations) {
    if let Some(class) = class {
        violations.one_of(class, "logGroupClass", &CLASSES);
    }
}

fn has_class(group: &Group, class: Option<&str>) -> bool {
    class.is_none_or(|class| group.definition().class == class)
}

/// Whether a name has one of the parts between `|`; one with `^` in front has to begin it.
fn fits_pattern(name: &str, pattern: &str) -> bool {
    pattern.split('|').any(|part| match part.strip_prefix('^') {
        Some(prefix) => name.starts_with(prefix),
        None => name.contains(part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_find_prefixes_and_parts() {
        for (pattern, fits) in [
            ("", true),
            ("^/ecs", true),
            ("^ecs", false),
            ("web", true),
            ("^ecs|web", true),
            ("Web", false),
        ] {
            assert_eq!(fits_pattern("/ecs/web", pattern), fits, "{pattern}");
        }
    }
}
