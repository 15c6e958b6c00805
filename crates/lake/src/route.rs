//! Which service a request is for: all of them listen on one port.

use http::Method;
use http::request::Parts;

use crate::signature::Claim;

/// The services told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// Firehose, with the operation's name; empty if the request names none.
    Firehose(String),
    /// CloudWatch Logs, with the operation's name; empty if the request names none.
    Logs(String),
    /// Kinesis Data Streams, with the operation's name; empty if the request names none.
    Kinesis(String),
    /// STS.
    Sts,
    /// IAM.
    Iam,
    /// S3.
    S3,
    /// A service of AWS that speaks JSON and is not served here, by the name people know it by.
    OtherJson(&'static str),
    /// A service of AWS that is not served here and does not say how it speaks, by the name in the signature.
    Other(String),
}

/// What `X-Amz-Target` begins with, for the services that a log path may call.
const TARGETS: [(&str, &str); 4] = [
    ("AmazonAthena", "Athena"),
    ("AWSGlue", "Glue"),
    ("DynamoDB_20120810", "DynamoDB"),
    ("secretsmanager", "Secrets Manager"),
];
const FORM: &[u8] = b"application/x-www-form-urlencoded";
const FIREHOSE_TARGET: &str = "Firehose_20150804";
const LOGS_TARGET: &str = "Logs_20140328";
const KINESIS_TARGET: &str = "Kinesis_20131202";

/// The service that a request is for: told by its target, else by what it was signed for, else by the host it names.
/// Everything else is S3's.
pub fn service(parts: &Parts) -> Service {
    if let Some(target) = parts.headers.get("x-amz-target") {
        let target = target.to_str().unwrap_or("");
        let (prefix, operation) = target.split_once('.').unwrap_or((target, ""));
        if prefix == FIREHOSE_TARGET {
            return Service::Firehose(operation.to_owned());
        }
        if prefix == LOGS_TARGET {
            return Service::Logs(operation.to_owned());
        }
        if prefix == KINESIS_TARGET {
            return Service::Kinesis(operation.to_owned());
        }
        let known = TARGETS.iter().find(|(known, _)| *known == prefix);
        return Service::OtherJson(
            known.map_or("the service of this X-Amz-Target", |(_, name)| name),
        );
    }
    match Claim::service_of(parts).as_deref() {
        Some("s3") => Service::S3,
        Some("firehose") => Service::Firehose(String::new()),
        Some("logs") => Service::Logs(String::new()),
        Some("kinesis") => Service::Kinesis(String::new()),
        Some("sts") => Service::Sts,
        Some("iam") => Service::Iam,
        Some(other) => Service::Other(other.to_owned()),
        None if host(parts).starts_with("firehose") => Service::Firehose(String::new()),
        None if host(parts).starts_with("logs.") => Service::Logs(String::new()),
        None if host(parts).starts_with("iam.") => Service::Iam,
        None if host(parts).starts_with("sts.") || is_query(parts) => Service::Sts,
        None => Service::S3,
    }
}

/// Whether this is the query protocol, without saying whose: a form posted to no resource, or an action in the URL. No
/// request of S3's is like that; unsigned ones are STS's.
fn is_query(parts: &Parts) -> bool {
    let content_type = parts.headers.get(http::header::CONTENT_TYPE);
    let of_form = |value: &http::HeaderValue| value.as_bytes().starts_with(FORM);
    let has_form = parts.method == Method::POST && content_type.is_some_and(of_form);
    let mut pairs = parts.uri.query().unwrap_or("").split('&');
    parts.uri.path() == "/" && (has_form || pairs.any(|pair| pair.starts_with("Action=")))
}

fn host(parts: &Parts) -> &str {
    parts
        .headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("")
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn services_are_told_apart() {
        let signed = |service: &str| {
            format!("AWS4-HMAC-SHA256 Credential=a/d/r/{service}/aws4_request, SignedHeaders=host")
        };
        let firehose = |operation: &str| Service::Firehose(operation.to_owned());
        for (uri, name, value, expected) in [
            (
                "/",
                "x-amz-target",
                "Firehose_20150804.PutRecord",
                firehose("PutRecord"),
            ),
            ("/", "x-amz-target", "Firehose_20150804", firehose("")),
            (
                "/",
                "x-amz-target",
                "Logs_20140328.PutLogEvents",
                Service::Logs("PutLogEvents".to_owned()),
            ),
            (
                "/",
                "x-amz-target",
                "x",
                Service::OtherJson("the service of this X-Amz-Target"),
            ),
            (
                "/",
                "x-amz-target",
                "Kinesis_20131202.GetRecords",
                Service::Kinesis("GetRecords".to_owned()),
            ),
            ("/", "authorization", &signed("s3"), Service::S3),
            ("/", "authorization", &signed("firehose"), firehose("")),
            (
                "/",
                "authorization",
                &signed("logs"),
                Service::Logs(String::new()),
            ),
            (
                "/",
                "authorization",
                &signed("sqs"),
                Service::Other("sqs".to_owned()),
            ),
            ("/", "authorization", &signed("sts"), Service::Sts),
            ("/", "authorization", &signed("iam"), Service::Iam),
            (
                "/",
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
                Service::Sts,
            ),
            (
                "/?Version=2011-06-15&Action=AssumeRoleWithWebIdentity",
                "host",
                "127.0.0.1:4566",
                Service::Sts,
            ),
            ("/b?Action=x", "host", "127.0.0.1:4566", Service::S3),
            (
                "/b",
                "content-type",
                "application/x-www-form-urlencoded",
                Service::S3,
            ),
            ("/", "authorization", "nonsense", Service::S3),
            (
                "/b?X-Amz-Credential=a%2Fd%2Fr%2Fs3%2Faws4_request",
                "x",
                "y",
                Service::S3,
            ),
            (
                "/",
                "host",
                "firehose.us-west-2.amazonaws.com",
                firehose(""),
            ),
            (
                "/",
                "host",
                "logs.us-west-2.amazonaws.com",
                Service::Logs(String::new()),
            ),
            ("/bucket", "host", "127.0.0.1:4566", Service::S3),
        ] {
            let (parts, ()) = Request::post(uri)
                .header(name, value)
                .body(())
                .unwrap()
                .into_parts();
            assert_eq!(service(&parts), expected, "{uri} {name}: {value}");
        }
    }
}
