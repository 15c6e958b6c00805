//! `If-Match` and its relatives, for requests that read.

use std::time::SystemTime;

use s3s::dto::{ETagCondition, Timestamp};
use s3s::{S3ErrorCode, S3Result};

use crate::objects::ObjectInfo;

/// The conditions of a request.
#[derive(Debug, Default)]
pub struct Conditions {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    /// Checks the conditions in the order of RFC 9110, 13.2.2: an entity tag outweighs a date.
    pub fn check(&self, info: &ObjectInfo) -> S3Result<()> {
        let not_since = |time: &Timestamp| is_not_since(info.modified, time);
        let holds = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => matches(condition, info),
            (None, Some(time)) => not_since(time),
            (None, None) => true,
        };
        if !holds {
            return Err(S3ErrorCode::PreconditionFailed.into());
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition, info),
            (None, Some(time)) => not_since(time),
            (None, None) => false,
        };
        if unchanged {
            Err(S3ErrorCode::NotModified.into())
        } else {
            Ok(())
        }
    }
}

fn matches(condition: &ETagCondition, info: &ObjectInfo) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(tag) => tag.value() == info.e_tag,
    }
}

/// Whether `modified` is not behind `time`, to the second, as HTTP has no more.
fn is_not_since(modified: SystemTime, time: &Timestamp) -> bool {
    let whole_seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    };
    Timestamp::from(
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(whole_seconds(modified)),
    ) <= *time
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use s3s::dto::ETag;

    use super::*;

    #[test]
    fn conditions_are_weighed_as_http_says() {
        let at = |seconds: f64| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds);
        let info = ObjectInfo {
            size: 1,
            modified: at(100.5),
            e_tag: "a".to_owned(),
            storage_class: None,
        };
        let tag = |value: &str| Some(ETagCondition::ETag(ETag::Strong(value.to_owned())));
        let date = |seconds: f64| Some(Timestamp::from(at(seconds)));
        let none = Conditions::default;
        for (conditions, expected) in [
            (none(), None),
            (
                Conditions {
                    if_match: tag("a"),
                    ..none()
                },
                None,
            ),
            (
                Conditions {
                    if_match: Some(ETagCondition::Any),
                    ..none()
                },
                None,
            ),
            (
                Conditions {
                    if_match: tag("b"),
                    ..none()
                },
                Some("PreconditionFailed"),
            ),
            (
                Conditions {
                    if_match: tag("a"),
                    if_unmodified_since: date(1.0),
                    ..none()
                },
                None,
            ),
            (
                Conditions {
                    if_unmodified_since: date(99.0),
                    ..none()
                },
                Some("PreconditionFailed"),
            ),
            (
                Conditions {
                    if_unmodified_since: date(100.0),
                    ..none()
                },
                None,
            ),
            (
                Conditions {
                    if_none_match: tag("a"),
                    ..none()
                },
                Some("NotModified"),
            ),
            (
                Conditions {
                    if_none_match: tag("b"),
                    if_modified_since: date(200.0),
                    ..none()
                },
                None,
            ),
            (
                Conditions {
                    if_modified_since: date(100.0),
                    ..none()
                },
                Some("NotModified"),
            ),
            (
                Conditions {
                    if_modified_since: date(99.0),
                    ..none()
                },
                None,
            ),
        ] {
            let outcome = conditions
                .check(&info)
                .err()
                .map(|error| error.code().as_str().to_owned());
            assert_eq!(outcome.as_deref(), expected, "{conditions:?}");
        }
    }
}
