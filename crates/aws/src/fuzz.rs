//! What services answer, changed anywhere.

use crate::service_error::ServiceError;
use crate::transport::Answer;

/// A status, a zero, a header, a zero, and the body.
#[test]
fn fuzz_service_errors() {
    let json = "400\0x-amzn-errortype: ThrottlingException:http://x/\0{\"__type\":\"com.amazonaws#ThrottlingException\",\"message\":\"Rate\"}";
    let xml = "503\0retry-after: 120\0<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Reduce &amp; wait &#x41;</Message></Error>";
    let skewed = "403\0date: Sun, 22 Nov 2026 13:05:09 GMT\0<ErrorResponse><Error><Code>RequestTimeTooSkewed</Code></Error></ErrorResponse>";
    ::fuzz::Target::new("service_errors")
        .seeds([json, xml, skewed, "301\0x-amz-bucket-region: eu-west-1\0"])
        .words([
            "<Code>",
            "</Code>",
            "&#",
            ";",
            "&",
            "__type",
            "#",
            ":",
            "null",
            "Retry-After: 1",
            "99999999999",
        ])
        .run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            let mut parts = text.splitn(3, '\0');
            let status = parts
                .next()
                .and_then(|status| status.parse().ok())
                .filter(|status| (200..600).contains(status));
            let (name, value) = parts
                .next()
                .and_then(|line| line.split_once(": "))
                .unwrap_or(("x", "y"));
            let body = parts.next().unwrap_or_default();
            let answer = Answer::of(status.unwrap_or(500), &[(name, value)], body);
            let error = ServiceError::of(&answer);
            let shown = error.to_string();
            assert!(
                shown.len() < 4096 && !shown.contains('\n'),
                "one line: {shown}"
            );
            assert!(
                error.message.chars().count() <= 301,
                "shortened: {}",
                error.message
            );
            error.class();
            let _ = (error.advice(), error.is_throttled(), error.date());
            for element in ["Code", "Message"] {
                let _ = crate::xml_text(body, element);
            }
        });
}
