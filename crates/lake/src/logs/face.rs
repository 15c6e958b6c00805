//! What the operations of CloudWatch Logs have in common: names, ARNs, errors.

use std::sync::Arc;

use http::Response;
use s3s::Body;

use crate::aws_json::{ApiError, answer_bytes};
use crate::lake::Inner;
use crate::limits;
use crate::log_groups::{CreateError, Group, GroupError};
use crate::options::Options;
use crate::streams::Violations;

/// The service's error for most of what is wrong with a request.
pub fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::client("InvalidParameterException", message)
}

/// There is no such group.
pub fn no_group() -> ApiError {
    GroupError::NoGroup.into()
}

/// The answer of operations that say nothing.
pub fn nothing() -> Response<Body> {
    answer_bytes("{}".into())
}

/// Nothing, or what is wrong with the shape of a request, under this service's name for it.
pub fn refuse(violations: Violations) -> Result<(), ApiError> {
    violations
        .into_result()
        .map_err(|refusal| invalid(refusal.to_string()))
}

impl From<GroupError> for ApiError {
    fn from(error: GroupError) -> Self {
        let message = error.to_string();
        match error {
            GroupError::NoGroup | GroupError::NoStream => {
                Self::client("ResourceNotFoundException", message)
            }
            GroupError::StreamExists => Self::client("ResourceAlreadyExistsException", message),
            GroupError::Fenced(fenced) => fenced.into(),
            GroupError::Stopped | GroupError::Io(_) => Self::unavailable(message),
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        let message = error.to_string();
        match error {
            CreateError::Exists => Self::client("ResourceAlreadyExistsException", message),
            CreateError::TooMany => Self::client("LimitExceededException", message),
            CreateError::Stopped | CreateError::Io(_) => Self::unavailable(message),
        }
    }
}

/// Runs what waits for the disk where waiting does no harm.
pub async fn on_disk<T: Send + 'static, E: Into<ApiError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(Into::into),
        Err(error) => Err(ApiError::unavailable(error.to_string())),
    }
}

/// Checks the name of a log group.
pub fn check_group(name: Option<&str>, violations: &mut Violations) -> Result<(), ApiError> {
    check_name(name, "logGroupName", violations)?;
    if let Some(name) = name {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#".contains(&byte);
        violations.pattern(name, "logGroupName", r"[\.\-_/#A-Za-z0-9]+", |name| {
            name.bytes().all(fits)
        });
    }
    Ok(())
}

/// Checks the name of a log stream.
pub fn check_stream(name: Option<&str>, violations: &mut Violations) -> Result<(), ApiError> {
    check_name(name, "logStreamName", violations)?;
    if let Some(name) = name {
        violations.pattern(name, "logStreamName", "[^:*]*", |name| {
            !name.contains([':', '*'])
        });
    }
    Ok(())
}

fn check_name(name: Option<&str>, path: &str, violations: &mut Violations) -> Result<(), ApiError> {
    match name {
        None => violations.add_missing(path),
        Some("") => violations.add(
            "",
            path,
            "Member must have length greater than or equal to 1",
        ),
        Some(name) if name.chars().count() > limits::LOG_NAME_CHARS => {
            return Err(invalid(format!(
                "Invalid LogGroup or LogStream, both must have length less than or equal to {}.",
                limits::LOG_NAME_CHARS
            )));
        }
        Some(_) => {}
    }
    Ok(())
}

/// Checks a number that a request may leave out; `most` also stands in for one that is missing.
pub fn check_limit(limit: Option<i64>, most: i64, violations: &mut Violations) -> usize {
    let limit = limit.unwrap_or(most);
    violations.range(limit, "limit", (1, most));
    // What is out of range is refused.
    usize::try_from(limit).unwrap_or(1)
}

/// The group that a request names by `logGroupName` or by `logGroupIdentifier`.
pub fn find(
    lake: &Inner,
    name: Option<&str>,
    identifier: Option<&str>,
) -> Result<Arc<Group>, ApiError> {
    let name = match (name, identifier) {
        (Some(_), Some(_)) => {
            return Err(ApiError::client(
                "ValidationException",
                "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
            ));
        }
        (None, Some(identifier)) => name_of(&lake.options, identifier)?,
        (name, None) => {
            let mut violations = Violations::default();
            check_group(name, &mut violations)?;
            refuse(violations)?;
            name.unwrap_or_default()
        }
    };
    lake.log_groups.find(name).ok_or_else(no_group)
}

/// The name of the group that a name or an ARN stands for.
pub fn name_of<'a>(options: &Options, identifier: &'a str) -> Result<&'a str, ApiError> {
    let mut violations = Violations::default();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/#:".contains(&byte);
    let path = "logGroupIdentifier";
    violations.length(identifier, path, (1, limits::LOG_IDENTIFIER_CHARS));
    violations.pattern(identifier, path, r"[\w#+=/:,.@-]*", |text| {
        text.bytes().all(fits)
    });
    refuse(violations)?;
    match identifier.starts_with("arn:") {
        false => Ok(identifier),
        true => name_in_arn(options, identifier).ok_or_else(no_group),
    }
}

/// The name in the ARN of a group of this account and region.
pub fn name_in_arn<'a>(options: &Options, arn: &'a str) -> Option<&'a str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        ["arn", _, "logs", region, account, "log-group", name]
            if region == options.region && account == options.account_id =>
        {
            Some(name)
        }
        _ => None,
    }
}

/// The ARN of a group, without `:*`.
pub fn group_arn(options: &Options, name: &str) -> String {
    format!(
        "arn:aws:logs:{}:{}:log-group:{name}",
        options.region, options.account_id
    )
}
