//! Tags of delivery streams.

use std::collections::BTreeMap;
use std::io;

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Empty, check_name, find};
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

/// One tag as requests and answers have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tag {
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// Checks a request's tags; of several with one key the last stands.
pub fn check(tags: &[Tag], violations: &mut Violations) -> BTreeMap<String, String> {
    check_count(tags.len(), "tags", violations);
    let mut checked = BTreeMap::new();
    for (index, tag) in tags.iter().enumerate() {
        let path = format!("tags.{}.member", index + 1);
        let value = tag.value.clone().unwrap_or_default();
        let value_path = format!("{path}.value");
        violations.length(&value, &value_path, (0, limits::TAG_VALUE_CHARS));
        violations.pattern(
            &value,
            &value_path,
            r"^[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$",
            has_tag_characters,
        );
        let key_path = format!("{path}.key");
        let Some(key) = &tag.key else {
            violations.add_missing(&key_path);
            continue;
        };
        violations.length(key, &key_path, (1, limits::TAG_KEY_CHARS));
        let pattern = r"^(?!aws:)[\p{L}\p{Z}\p{N}_.:\/=+\-@%]*$";
        violations.pattern(key, &key_path, pattern, |key| {
            !key.starts_with("aws:") && has_tag_characters(key)
        });
        checked.insert(key.clone(), value);
    }
    checked
}

/// `TagDeliveryStream`.
pub fn tag_delivery_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        delivery_stream_name: Option<String>,
        #[serde(default)]
        tags: Vec<Tag>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    check_name(input.delivery_stream_name.as_deref(), &mut violations);
    let more = check(&input.tags, &mut violations);
    violations.into_result()?;
    change(lake, input.delivery_stream_name.as_deref(), |tags| {
        tags.extend(more);
        match tags.len() <= limits::TAGS {
            true => Ok(()),
            false => Err(ApiError::client(
                "LimitExceededException",
                format!("a delivery stream has at most {} tags", limits::TAGS),
            )),
        }
    })
}

/// `UntagDeliveryStream`. Keys that are not there are passed over.
pub fn untag_delivery_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        delivery_stream_name: Option<String>,
        #[serde(default)]
        tag_keys: Vec<String>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    check_name(input.delivery_stream_name.as_deref(), &mut violations);
    check_count(input.tag_keys.len(), "tagKeys", &mut violations);
    violations.into_result()?;
    change(lake, input.delivery_stream_name.as_deref(), |tags| {
        input.tag_keys.iter().for_each(|key| drop(tags.remove(key)));
        Ok(())
    })
}

/// `ListTagsForDeliveryStream`: by key.
pub fn list_tags_for_delivery_stream(
    lake: &Inner,
    body: &[u8],
) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        delivery_stream_name: Option<String>,
        exclusive_start_tag_key: Option<String>,
        limit: Option<i64>,
    }
    let input: Input = parse(body)?;
    let most = limits::TAGS as i64;
    let limit = input.limit.unwrap_or(most);
    let mut violations = Violations::default();
    check_name(input.delivery_stream_name.as_deref(), &mut violations);
    violations.range(limit, "limit", (1, most));
    violations.into_result()?;
    let stream = find(
        lake,
        input.delivery_stream_name.as_deref().unwrap_or_default(),
    )?;
    let after = input.exclusive_start_tag_key;
    let tags = stream.definition().tags.into_iter();
    let mut tags = tags.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let page: Vec<Tag> = tags
        .by_ref()
        .take(limit as usize)
        .map(|(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        })
        .collect();
    Ok(answer(
        &json!({ "Tags": page, "HasMoreTags": tags.next().is_some() }),
    ))
}

fn change(
    lake: &Inner,
    name: Option<&str>,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), ApiError>,
) -> Result<Response<Body>, ApiError> {
    find(lake, name.unwrap_or_default())?.change_tags(change)?;
    Ok(answer(&Empty {}))
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        ApiError::unavailable(format!("the change cannot be stored: {error}"))
    }
}

fn check_count(count: usize, path: &str, violations: &mut Violations) {
    if count == 0 {
        violations.add_unshown(path, "Member must have length greater than or equal to 1");
    } else if count > limits::TAGS {
        violations.add_unshown(
            path,
            &format!(
                "Member must have length less than or equal to {}",
                limits::TAGS
            ),
        );
    }
}

fn has_tag_characters(text: &str) -> bool {
    text.chars()
        .all(|one| one.is_alphanumeric() || one.is_whitespace() || "_.:/=+-@%".contains(one))
}
