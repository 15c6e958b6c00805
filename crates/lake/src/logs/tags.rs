//! Tags of log groups, under their new names and their old ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};

use super::face::{check_group, find, name_in_arn, no_group, nothing, on_disk, refuse};
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::log_groups::Group;
use crate::streams::Violations;

type Tags = BTreeMap<String, String>;

/// Checks a request's tags.
pub fn check(tags: &Tags, violations: &mut Violations) {
    if tags.len() > limits::TAGS {
        let constraint = format!(
            "Member must have length less than or equal to {}",
            limits::TAGS
        );
        violations.add_unshown("tags", &constraint);
    }
    for (key, value) in tags {
        violations.length(key, "tags.key", (1, limits::TAG_KEY_CHARS));
        let pattern = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]+)$";
        violations.pattern(key, "tags.key", pattern, has_tag_characters);
        violations.length(value, "tags.value", (0, limits::TAG_VALUE_CHARS));
        let pattern = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$";
        violations.pattern(value, "tags.value", pattern, has_tag_characters);
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    resource_arn: Option<String>,
    tags: Option<Tags>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named<T> {
    log_group_name: Option<String>,
    tags: Option<T>,
}

/// `TagResource`.
pub async fn tag_resource(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Resource = parse(body)?;
    let group = resource(lake, input.resource_arn.as_deref())?;
    add(group, input.tags, "TooManyTagsException").await
}

/// `UntagResource`. Keys that are not there are passed over.
pub async fn untag_resource(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Resource = parse(body)?;
    let group = resource(lake, input.resource_arn.as_deref())?;
    remove(group, input.tag_keys, "tagKeys").await
}

/// `ListTagsForResource`.
pub fn list_tags_for_resource(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Resource = parse(body)?;
    Ok(list(&*resource(lake, input.resource_arn.as_deref())?))
}

/// `TagLogGroup`.
pub async fn tag_log_group(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Named<Tags> = parse(body)?;
    let group = find(lake, input.log_group_name.as_deref(), None)?;
    add(group, input.tags, "InvalidParameterException").await
}

/// `UntagLogGroup`.
pub async fn untag_log_group(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Named<Vec<String>> = parse(body)?;
    let group = find(lake, input.log_group_name.as_deref(), None)?;
    remove(group, input.tags, "tags").await
}

/// `ListTagsLogGroup`.
pub fn list_tags_log_group(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Named<Tags> = parse(body)?;
    Ok(list(&*find(lake, input.log_group_name.as_deref(), None)?))
}

fn resource(lake: &Inner, arn: Option<&str>) -> Result<Arc<Group>, ApiError> {
    let mut violations = Violations::default();
    if arn.is_none() {
        violations.add_missing("resourceArn");
    }
    refuse(violations)?;
    let name = name_in_arn(&lake.options, arn.unwrap_or_default());
    let name = name.filter(|name| check_group(Some(name), &mut Violations::default()).is_ok());
    name.and_then(|name| lake.log_groups.find(name))
        .ok_or_else(no_group)
}

fn list(group: &Group) -> Response<Body> {
    #[derive(Serialize)]
    struct Output<'a> {
        tags: &'a Tags,
    }
    answer(&Output {
        tags: &group.definition().tags,
    })
}

/// Adds tags; `too_many` is the error's name if there are too many then.
async fn add(
    group: Arc<Group>,
    tags: Option<Tags>,
    too_many: &'static str,
) -> Result<Response<Body>, ApiError> {
    let mut violations = Violations::default();
    match &tags {
        None => violations.add_missing("tags"),
        Some(tags) => check(tags, &mut violations),
    }
    refuse(violations)?;
    on_disk(move || {
        group.redefine(|definition| {
            definition.tags.extend(tags.unwrap_or_default());
            match definition.tags.len() <= limits::TAGS {
                true => Ok(()),
                false => Err(ApiError::client(
                    too_many,
                    format!("a log group has at most {} tags", limits::TAGS),
                )),
            }
        })
    })
    .await?;
    Ok(nothing())
}

async fn remove(
    group: Arc<Group>,
    keys: Option<Vec<String>>,
    path: &str,
) -> Result<Response<Body>, ApiError> {
    let mut violations = Violations::default();
    if keys.is_none() {
        violations.add_missing(path);
    }
    refuse(violations)?;
    on_disk(move || {
        group.redefine(|definition| {
            for key in keys.unwrap_or_default() {
                definition.tags.remove(&key);
            }
            Ok::<_, ApiError>(())
        })
    })
    .await?;
    Ok(nothing())
}

fn has_tag_characters(text: &str) -> bool {
    text.chars()
        .all(|one| one.is_alphanumeric() || one.is_whitespace() || "_.:/=+-@".contains(one))
}
