//! Error answers of AWS services: JSON, XML, or only a status.

use std::fmt;
use std::time::Duration;

use http::header::{DATE, HeaderName, RETRY_AFTER};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::Deserialize;

use crate::error_class::{ErrorClass, is_about_load};
use crate::transport::Answer;
use crate::xml;

/// A message is shown to people; longer ones carry policies or whole requests.
const MESSAGE_CHARACTERS_MAX: usize = 300;
/// Longer pauses are not the service's to order.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A service answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceError {
    /// The HTTP status.
    pub status: u16,
    /// The error code, as `ThrottlingException`; empty if the answer names none.
    pub code: String,
    /// What the service says about it, shortened to one line.
    pub message: String,
    /// The id of the request, for AWS's support.
    pub request_id: Option<String>,
    /// How long the service asks to wait.
    pub retry_after: Option<Duration>,
    /// The service's clock when it answered.
    pub(crate) date: Option<Timestamp>,
}

impl ServiceError {
    /// Reads an answer that is an error: by its status, or, as S3 may do, by its body alone.
    pub fn of(answer: &Answer) -> Self {
        let header = |name: &HeaderName| answer.header(name.as_str());
        let (code, message) = code_and_message(answer);
        Self {
            status: answer.status.as_u16(),
            code,
            message: shortened(&message),
            request_id: request_id(answer),
            retry_after: header(&RETRY_AFTER).and_then(retry_after),
            date: header(&DATE)
                .and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok()),
        }
    }

    /// Whether it is about too much work for the service, rather than about this request.
    pub fn is_throttled(&self) -> bool {
        matches!(self.status, 429 | 503) || is_about_load(&self.code)
    }

    /// What the error calls for.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::of(self.status, &self.code)
    }
}

impl std::error::Error for ServiceError {}

impl fmt::Display for ServiceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = if self.code.is_empty() {
            "error without a code"
        } else {
            &self.code
        };
        write!(formatter, "{code} (HTTP status {})", self.status)?;
        if self.message.is_empty() {
            Ok(())
        } else {
            write!(formatter, ": {}", self.message)
        }
    }
}

/// The id that the service gave the request.
pub(crate) fn request_id(answer: &Answer) -> Option<String> {
    let names = ["x-amzn-requestid", "x-amz-request-id"];
    names
        .iter()
        .find_map(|name| answer.header(name))
        .map(shortened)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonError {
    #[serde(rename = "__type")]
    kind: Option<String>,
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

/// The code stands in the body (`__type` after `#`, XML `Code`) or in the header `x-amzn-errortype` (before `:`).
fn code_and_message(answer: &Answer) -> (String, String) {
    let text = String::from_utf8_lossy(&answer.body);
    let trimmed = text.trim_start();
    let (code, message) = if trimmed.starts_with('{') {
        let error: JsonError = serde_json::from_str(trimmed).unwrap_or_default();
        (error.kind.or(error.code), error.message)
    } else if trimmed.starts_with('<') {
        let element = |name| xml::text_of(trimmed, name).map(|text| text.into_owned());
        (element("Code"), element("Message"))
    } else {
        (None, None)
    };
    let of_header = || answer.header("x-amzn-errortype").map(str::to_owned);
    let code = code.or_else(of_header).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default();
    (shortened(code), message.unwrap_or_default())
}

/// Seconds; the form with a date is not used by AWS.
fn retry_after(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

/// Text from outside, fit for one line of a log.
pub(crate) fn shortened(text: &str) -> String {
    let mut line: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MESSAGE_CHARACTERS_MAX)
        .collect();
    if text.trim().chars().nth(MESSAGE_CHARACTERS_MAX).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> ServiceError {
        ServiceError::of(&Answer::of(status, headers, body))
    }

    #[test]
    fn codes_and_messages_are_found_in_every_form() {
        let type_header = (
            "x-amzn-errortype",
            "AccessDeniedException:http://internal.amazon.com/coral/",
        );
        let cases = [
            (
                error(
                    400,
                    &[],
                    r#"{"__type":"ValidationException","message":"bad"}"#,
                ),
                "ValidationException",
                "bad",
            ),
            (
                error(
                    400,
                    &[],
                    r#"{"__type":"com.amazonaws.firehose#ThrottlingException","Message":"slow"}"#,
                ),
                "ThrottlingException",
                "slow",
            ),
            (
                error(400, &[], r#"{"code":"InvalidKMSResourceException"}"#),
                "InvalidKMSResourceException",
                "",
            ),
            (
                error(400, &[type_header], "{}"),
                "AccessDeniedException",
                "",
            ),
            (error(403, &[type_header], ""), "AccessDeniedException", ""),
            (
                error(
                    403,
                    &[],
                    "<?xml?><Error><Code>NoSuchBucket</Code><Message>a\nb</Message></Error>",
                ),
                "NoSuchBucket",
                "a b",
            ),
            (error(502, &[], "<html>Bad Gateway</html>"), "", ""),
            (error(400, &[], r#"{"__type":7}"#), "", ""),
            (error(400, &[], "\u{0}garbage"), "", ""),
        ];
        for (error, code, message) in cases {
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                (code, message)
            );
        }
    }

    #[test]
    fn headers_tell_request_wait_and_date() {
        let found = error(
            503,
            &[
                ("x-amzn-requestid", "r-1"),
                ("retry-after", "7"),
                ("date", "Sun, 22 Nov 2026 10:00:00 GMT"),
            ],
            "",
        );
        assert_eq!(found.request_id.as_deref(), Some("r-1"));
        assert_eq!(found.retry_after, Some(Duration::from_secs(7)));
        assert_eq!(found.date.unwrap().to_string(), "2026-11-22T10:00:00Z");
        assert_eq!(found.to_string(), "error without a code (HTTP status 503)");
        let found = error(
            503,
            &[
                ("retry-after", "Sun, 22 Nov 2026 10:00:00 GMT"),
                ("date", "x"),
            ],
            "",
        );
        assert_eq!((found.retry_after, found.date), (None, None));
    }

    #[test]
    fn long_messages_are_shortened() {
        let body = format!(
            r#"{{"__type":"ValidationException","message":"{}"}}"#,
            "é".repeat(1000)
        );
        let found = error(400, &[], &body);
        assert_eq!(found.message.chars().count(), MESSAGE_CHARACTERS_MAX + 1);
        assert!(found.message.ends_with('…'));
    }
}
