//! Tags, retention and record size of streams.

use std::collections::BTreeMap;

use http::Response;
use s3s::Body;
use serde::Deserialize;
use serde_json::json;

use super::{StreamRef, invalid, nothing};
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

/// Checks tags' keys and values.
pub fn check_tags(tags: &BTreeMap<String, String>, violations: &mut Violations) {
    for (key, value) in tags {
        violations.length(key, "tags", (1, limits::TAG_KEY_CHARS));
        violations.length(value, "tags", (0, limits::TAG_VALUE_CHARS));
    }
}

/// `AddTagsToStream`.
pub fn add_tags(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        #[serde(flatten)]
        stream: StreamRef,
        tags: Option<BTreeMap<String, String>>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    match &input.tags {
        Some(tags) => check_tags(tags, &mut violations),
        None => violations.add_missing("tags"),
    }
    violations.into_result()?;
    let stream = input.stream.find(lake)?;
    stream.change(|settings| {
        settings.tags.extend(input.tags.unwrap_or_default());
        match settings.tags.len() <= limits::DATA_STREAM_TAGS {
            true => Ok(()),
            false => Err(invalid(format!(
                "Failed to add tags to stream {} under account {} because a given stream cannot have more than {} tags \
                 associated with it.",
                stream.name,
                lake.options.account_id,
                limits::DATA_STREAM_TAGS
            ))),
        }
    })?;
    Ok(nothing())
}

/// `RemoveTagsFromStream`. Keys that are not there are passed over.
pub fn remove_tags(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        #[serde(flatten)]
        stream: StreamRef,
        #[serde(default)]
        tag_keys: Vec<String>,
    }
    let input: Input = parse(body)?;
    let stream = input.stream.find(lake)?;
    stream.change(|settings| {
        input
            .tag_keys
            .iter()
            .for_each(|key| drop(settings.tags.remove(key)));
        Ok::<_, ApiError>(())
    })?;
    Ok(nothing())
}

/// `ListTagsForStream`: by key.
pub fn list_tags(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        #[serde(flatten)]
        stream: StreamRef,
        exclusive_start_tag_key: Option<String>,
        limit: Option<i64>,
    }
    let input: Input = parse(body)?;
    let most = limits::DATA_STREAM_TAGS as i64;
    let limit = input.limit.unwrap_or(most);
    let mut violations = Violations::default();
    violations.range(limit, "limit", (1, most));
    violations.into_result()?;
    let after = input.exclusive_start_tag_key;
    let tags = input.stream.find(lake)?.definition().tags.into_iter();
    let mut tags = tags.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let page: Vec<_> = tags
        .by_ref()
        .take(limit as usize)
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    let more = tags.next().is_some();
    Ok(answer(&json!({ "Tags": page, "HasMoreTags": more })))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RetentionInput {
    #[serde(flatten)]
    stream: StreamRef,
    retention_period_hours: Option<i64>,
}

/// `IncreaseStreamRetentionPeriod`.
pub fn increase_retention(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    change_retention(lake, body, |wanted, present| {
        (wanted < present).then_some("can not be shorter than existing retention period")
    })
}

/// `DecreaseStreamRetentionPeriod`. What is older is not read any more from now on, and soon gone.
pub fn decrease_retention(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    change_retention(lake, body, |wanted, present| {
        (wanted > present).then_some("can not be longer than existing retention period")
    })
}

fn change_retention(
    lake: &Inner,
    body: &[u8],
    refuse: impl FnOnce(u32, u32) -> Option<&'static str>,
) -> Result<Response<Body>, ApiError> {
    let input: RetentionInput = parse(body)?;
    let mut violations = Violations::default();
    if input.retention_period_hours.is_none() {
        violations.add_missing("retentionPeriodHours");
    }
    violations.into_result()?;
    let given = input.retention_period_hours.unwrap_or_default();
    let stream = input.stream.find(lake)?;
    let (least, most) = limits::RETENTION_HOURS;
    let wanted = u32::try_from(given)
        .ok()
        .filter(|hours| (least..=most).contains(hours));
    let wanted = wanted.ok_or_else(|| {
        let bound = if given < i64::from(least) { "Minimum" } else { "Maximum" };
        let hours = if given < i64::from(least) { least } else { most };
        invalid(format!("{bound} allowed retention period is {hours} hours. Requested retention period ({given} hours) is not allowed."))
    })?;
    stream.change(|settings| match refuse(wanted, settings.retention_hours) {
        Some(reason) => Err(invalid(format!(
            "Requested retention period ({wanted} hours) for stream {} {reason} ({} hours).",
            stream.name, settings.retention_hours
        ))),
        None => {
            settings.retention_hours = wanted;
            Ok(())
        }
    })?;
    Ok(nothing())
}

/// `UpdateMaxRecordSize`.
pub fn update_max_record_size(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        #[serde(flatten)]
        stream: StreamRef,
        #[serde(rename = "MaxRecordSizeInKiB")]
        size: Option<i64>,
    }
    let input: Input = parse(body)?;
    let (least, most, usual) = limits::DATA_RECORD_KIB;
    let mut violations = Violations::default();
    match input.size {
        Some(size) => violations.range(size, "maxRecordSizeInKiB", (least, most)),
        None => violations.add_missing("maxRecordSizeInKiB"),
    }
    violations.into_result()?;
    let size = input.size.and_then(|size| u32::try_from(size).ok());
    input.stream.find(lake)?.change(|settings| {
        settings.max_record_kib = size.unwrap_or(usual);
        Ok::<_, ApiError>(())
    })?;
    Ok(nothing())
}
