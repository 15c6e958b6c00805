//! CreateLogGroup, DeleteLogGroup and PutLogGroupDeletionProtection.

use std::collections::BTreeMap;

use http::Response;
use s3s::Body;
use serde::Deserialize;

use super::face::{check_group, find, invalid, no_group, nothing, on_disk, refuse};
use super::tags;
use crate::aws_json::{ApiError, parse};
use crate::lake::Inner;
use crate::log_groups::{self, Definition};
use crate::streams::Violations;

/// The classes of groups.
pub const CLASSES: [&str; 4] = ["STANDARD", "INFREQUENT_ACCESS", "DELIVERY", "ESSENTIALS"];

/// `CreateLogGroup`.
pub async fn create_log_group(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        log_group_name: Option<String>,
        kms_key_id: Option<String>,
        tags: Option<BTreeMap<String, String>>,
        log_group_class: Option<String>,
        deletion_protection_enabled: Option<bool>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    check_group(input.log_group_name.as_deref(), &mut violations)?;
    let tags = input.tags.unwrap_or_default();
    tags::check(&tags, &mut violations);
    let class = input.log_group_class.as_deref();
    if let Some(class) = class {
        violations.one_of(class, "logGroupClass", &CLASSES);
    }
    refuse(violations)?;
    let name = input.log_group_name.unwrap_or_default();
    if name.starts_with("aws/") {
        return Err(invalid(
            "Log groups starting with AWS/ are reserved for AWS.",
        ));
    }
    if let Some(key) = input.kms_key_id {
        return Err(invalid(format!(
            "The specified KMS key does not exist or is not allowed to be used with LogGroup '{}': {key}",
            super::face::group_arn(&lake.options, &name)
        )));
    }
    let mut definition = Definition::new(name, log_groups::now());
    definition.tags = tags;
    definition.deletion_protection = input.deletion_protection_enabled.unwrap_or(false);
    if let Some(class) = input.log_group_class {
        definition.class = class;
    }
    lake.log_groups.create(definition).await?;
    Ok(nothing())
}

/// `DeleteLogGroup`.
pub async fn delete_log_group(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        log_group_name: Option<String>,
    }
    let input: Input = parse(body)?;
    let group = find(lake, input.log_group_name.as_deref(), None)?;
    if group.definition().deletion_protection {
        return Err(ApiError::client(
            "ValidationException",
            "The log group is protected: disable its deletion protection before deleting it.",
        ));
    }
    match lake.log_groups.delete(&group.name).await {
        Ok(true) => Ok(nothing()),
        Ok(false) => Err(no_group()),
        Err(error) => Err(ApiError::unavailable(format!(
            "the log group cannot be removed: {error}"
        ))),
    }
}

/// `PutLogGroupDeletionProtection`.
pub async fn protect(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        log_group_identifier: Option<String>,
        deletion_protection_enabled: Option<bool>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    if input.log_group_identifier.is_none() {
        violations.add_missing("logGroupIdentifier");
    }
    if input.deletion_protection_enabled.is_none() {
        violations.add_missing("deletionProtectionEnabled");
    }
    refuse(violations)?;
    let protected = input.deletion_protection_enabled.unwrap_or(false);
    let group = find(lake, None, input.log_group_identifier.as_deref())?;
    on_disk(move || {
        group.redefine(|definition| {
            definition.deletion_protection = protected;
            Ok::<_, ApiError>(())
        })
    })
    .await?;
    Ok(nothing())
}
