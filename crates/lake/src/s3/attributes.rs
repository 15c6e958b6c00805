//! What requests say about the objects that they write, besides their bytes.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use s3s::dto::{Tag, Tagging};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::error::uncommon;
use crate::limits;

/// The attributes that a request names; PutObject, CopyObject and CreateMultipartUpload name them alike. Takes them out
/// of `input` and fails where one cannot be kept.
macro_rules! attributes {
    ($input:expr) => {{
        let input = &mut $input;
        $crate::s3::attributes::refuse_customer_key(input.sse_customer_algorithm.as_deref())?;
        let text = |value: Option<String>| value;
        $crate::objects::Attributes {
            content_type: text(input.content_type.take()),
            content_encoding: $crate::s3::attributes::without_aws_chunked(
                input.content_encoding.take(),
            ),
            content_disposition: text(input.content_disposition.take()),
            content_language: text(input.content_language.take()),
            cache_control: text(input.cache_control.take()),
            metadata: input
                .metadata
                .take()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            tags: $crate::s3::attributes::parse_tags(input.tagging.take())?,
            storage_class: input.storage_class.take().map(|it| it.as_str().to_owned()),
            acl: input.acl.take().map(|it| it.as_str().to_owned()),
            server_side_encryption: input
                .server_side_encryption
                .take()
                .map(|it| it.as_str().to_owned()),
            kms_key_id: text(input.ssekms_key_id.take()),
            e_tag: None,
            upload_id: None,
        }
    }};
}
pub(super) use attributes;

/// Who brings a key of their own wants the object encrypted, and would not get that.
pub fn refuse_customer_key(algorithm: Option<&str>) -> S3Result<()> {
    match algorithm {
        None => Ok(()),
        Some(_) => Err(S3Error::with_message(
            S3ErrorCode::NotImplemented,
            "Server-side encryption with customer keys (SSE-C) is not served here.",
        )),
    }
}

/// `aws-chunked` is how the body travelled, not what the object is.
pub fn without_aws_chunked(encoding: Option<String>) -> Option<String> {
    let encoding = encoding?;
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|coding| *coding != "aws-chunked")
        .collect();
    Some(kept.join(",")).filter(|kept| !kept.is_empty())
}

/// The tags of an `x-amz-tagging` header, which has the form of a query.
pub fn parse_tags(header: Option<String>) -> S3Result<BTreeMap<String, String>> {
    let header = header.unwrap_or_default();
    let pairs = header.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        let decoded = percent_decode_str(&text).decode_utf8();
        decoded.map(std::borrow::Cow::into_owned).map_err(|_| invalid_tag("The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates."))
    };
    check_tags(pairs.map(|(key, value)| Ok((decoded(key)?, decoded(value)?))))
}

/// The tags of a PutObjectTagging request.
pub fn tags_of(tagging: Tagging) -> S3Result<BTreeMap<String, String>> {
    let tags = tagging.tag_set.into_iter();
    check_tags(
        tags.map(|tag: Tag| Ok((tag.key.unwrap_or_default(), tag.value.unwrap_or_default()))),
    )
}

fn check_tags(
    tags: impl Iterator<Item = S3Result<(String, String)>>,
) -> S3Result<BTreeMap<String, String>> {
    let mut checked = BTreeMap::new();
    for tag in tags {
        let (key, value) = tag?;
        if key.is_empty() || key.chars().count() > limits::TAG_KEY_CHARS {
            return Err(invalid_tag("The TagKey you have provided is invalid"));
        }
        if value.chars().count() > limits::TAG_VALUE_CHARS {
            return Err(invalid_tag("The TagValue you have provided is invalid"));
        }
        if checked.insert(key, value).is_some() {
            return Err(invalid_tag(
                "Cannot provide multiple Tags with the same key",
            ));
        }
        if checked.len() > limits::OBJECT_TAGS {
            let message = "Object tags cannot be greater than 10";
            return Err(uncommon("BadRequest", message));
        }
    }
    Ok(checked)
}

fn invalid_tag(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::InvalidTag, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coding_of_the_way_is_not_kept() {
        for (given, kept) in [
            (Some("aws-chunked"), None),
            (Some("gzip, aws-chunked"), Some("gzip")),
            (Some("aws-chunked,gzip"), Some("gzip")),
            (Some("br"), Some("br")),
            (None, None),
        ] {
            assert_eq!(
                without_aws_chunked(given.map(str::to_owned)).as_deref(),
                kept,
                "{given:?}"
            );
        }
    }

    #[test]
    fn tags_are_read_from_a_header() {
        let eleven: Vec<String> = (0..11).map(|number| format!("k{number}=v")).collect();
        let long = format!("{}=v", "k".repeat(129));
        for (header, expected) in [
            ("", Ok(vec![])),
            (
                "a=b&c=d%20e+f&g",
                Ok(vec![("a", "b"), ("c", "d e f"), ("g", "")]),
            ),
            ("a=b&a=c", Err("InvalidTag")),
            ("=b", Err("InvalidTag")),
            ("a=%ff", Err("InvalidTag")),
            (long.as_str(), Err("InvalidTag")),
            (&eleven.join("&"), Err("BadRequest")),
        ] {
            let parsed = parse_tags(Some(header.to_owned()));
            let expected = expected.map(|tags| {
                let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
                tags.into_iter().map(owned).collect::<BTreeMap<_, _>>()
            });
            let parsed = parsed.map_err(|error| error.code().as_str().to_owned());
            assert_eq!(parsed, expected.map_err(str::to_owned), "{header}");
        }
    }
}
