//! Who AWS takes us for: `GetCallerIdentity` of STS.

use aws::{CallError, Client, Request, xml_text};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::uri::PathAndQuery;
use plugin::BuildError;

use super::examination::Session;
use super::report::Finding;
use super::words;

const CHECK: &str = "identity";

/// Asks STS, or whatever stands in for AWS.
pub async fn ask(session: &Session) -> Finding {
    let (client, of_aws) = match client(session) {
        Ok(client) => client,
        Err(error) => return Finding::problem(CHECK, error.to_string()),
    };
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let body = "Action=GetCallerIdentity&Version=2011-06-15";
    let request = Request::new(
        Method::POST,
        PathAndQuery::from_static("/"),
        body.as_bytes(),
    )
    .with_header(CONTENT_TYPE, form);
    let error = match session.send_with(&client, request).await {
        Ok(answer) => {
            let text = String::from_utf8_lossy(&answer.body);
            match (xml_text(&text, "Account"), xml_text(&text, "Arn")) {
                (Some(account), Some(arn)) => {
                    return Finding::good(CHECK, format!("account {account}, {arn}"));
                }
                _ if of_aws => {
                    return Finding::problem(CHECK, "STS answered something that names no account");
                }
                _ => return unasked(client.endpoint()),
            }
        }
        Err(error) => error,
    };
    match error {
        CallError::Refused(_) if !of_aws => unasked(client.endpoint()),
        // Delivery needs STS for roles only: a network without a way to it is no fault by itself.
        CallError::NoAnswer(_) => Finding::warning(CHECK, error.to_string())
            .advise("delivery itself does not need STS, unless a role is assumed"),
        error => words::failure(CHECK, &error, "sts:GetCallerIdentity"),
    }
}

fn unasked(endpoint: &aws::Endpoint) -> Finding {
    Finding::skipped(
        CHECK,
        format!("{endpoint} is not AWS's own and does not know STS"),
    )
}

/// A client of STS, and whether it is AWS's. Where the output goes to something that stands in for AWS and nothing is
/// said about STS, the same one is asked: its keys are no keys of AWS.
fn client(session: &Session) -> Result<(Client, bool), BuildError> {
    let sts = session.access.sts(None)?;
    if is_of_aws(session.client.endpoint().host()) || !is_of_aws(sts.endpoint().host()) {
        let of_aws = is_of_aws(sts.endpoint().host());
        return Ok((sts, of_aws));
    }
    let same = session.client.endpoint().to_string();
    Ok((session.access.sts(Some(same))?, false))
}

/// Endings of the host names of AWS's partitions.
const OF_AWS: [&str; 13] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
    ".api.amazonwebservices.eu",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
    ".csp.hci.ic.gov",
    ".cloud.adc-e.uk",
    ".api.aws.ic.gov",
    ".api.aws.scloud",
    ".api.cloud-aws.adc-e.uk",
];

fn is_of_aws(host: &str) -> bool {
    OF_AWS.iter().any(|ending| host.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_aws_are_told_from_others() {
        for host in [
            "firehose.us-east-1.amazonaws.com",
            "vpce-1.firehose.eu-west-1.vpce.amazonaws.com",
            "logs.cn-north-1.amazonaws.com.cn",
            "kinesis.eu-west-1.api.aws",
        ] {
            assert!(is_of_aws(host), "{host}");
        }
        for host in ["127.0.0.1", "localhost", "amazonaws.com.example", "minio"] {
            assert!(!is_of_aws(host), "{host}");
        }
    }
}
