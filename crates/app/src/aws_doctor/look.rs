//! Whether the destination exists and takes records.

use aws::{CallError, Request};
use http::Method;
use http::uri::PathAndQuery;
use serde_json::{Value, json};

use super::destination::{Bucket, Destination, LogGroup};
use super::examination::Session;
use super::put::encoded;
use super::report::Finding;
use super::words::{failure, is_denied};

const CHECK: &str = "destination";

/// What a test record can expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The destination is there, or we may not look.
    Usable,
    /// It is not there.
    Missing,
    /// The service does not answer us.
    OutOfReach,
}

/// Asks the service about the destination.
pub async fn look(session: &Session) -> (Finding, Standing) {
    match &session.destination {
        Destination::DeliveryStream(name) => delivery_stream(session, name).await,
        Destination::Stream(name) => stream(session, name).await,
        Destination::LogGroup(group) => log_group(session, group).await,
        Destination::Bucket(bucket) => look_at_bucket(session, bucket).await,
    }
}

async fn delivery_stream(session: &Session, name: &str) -> (Finding, Standing) {
    let body = json!({"DeliveryStreamName": name, "Limit": 1});
    let found = match session
        .call("Firehose_20150804.DescribeDeliveryStream", body)
        .await
    {
        Ok(found) => found,
        Err(error) => {
            let create =
                format!("aws firehose create-delivery-stream --delivery-stream-name {name}");
            return refused(&error, "firehose:DescribeDeliveryStream", &create);
        }
    };
    let found = &found["DeliveryStreamDescription"];
    if found["DeliveryStreamType"] == "KinesisStreamAsSource" {
        let finding = Finding::problem(
            CHECK,
            "it reads from a Kinesis stream and takes no records from others",
        );
        return (
            finding
                .advise("use an output kinesis_streams to its source, or another delivery stream"),
            Standing::Usable,
        );
    }
    let target = found["Destinations"][0]["ExtendedS3DestinationDescription"]["BucketARN"].as_str();
    let more = target.map_or_else(String::new, |arn| format!(", delivers to {arn}"));
    status(&found["DeliveryStreamStatus"], &["ACTIVE"], &more)
}

async fn stream(session: &Session, name: &str) -> (Finding, Standing) {
    let body = json!({"StreamName": name});
    let found = match session
        .call("Kinesis_20131202.DescribeStreamSummary", body)
        .await
    {
        Ok(found) => found,
        Err(error) => {
            let create = format!("aws kinesis create-stream --stream-name {name}");
            return refused(&error, "kinesis:DescribeStreamSummary", &create);
        }
    };
    let found = &found["StreamDescriptionSummary"];
    let shards = found["OpenShardCount"].as_u64().unwrap_or_default();
    let more = format!(", {shards} open shards");
    status(&found["StreamStatus"], &["ACTIVE", "UPDATING"], &more)
}

/// The status of something that is there.
fn status(status: &Value, usable: &[&str], more: &str) -> (Finding, Standing) {
    let Some(word) = status.as_str() else {
        let finding = Finding::warning(CHECK, "the answer does not tell its status");
        return (
            finding.advise("is the endpoint the right one?"),
            Standing::Usable,
        );
    };
    let text = format!("{word}{more}");
    let finding = match usable.contains(&word) {
        true => Finding::good(CHECK, text),
        false => Finding::problem(CHECK, text)
            .advise("wait until it is ACTIVE; records wait meanwhile, nothing is lost"),
    };
    (finding, Standing::Usable)
}

async fn log_group(session: &Session, group: &LogGroup) -> (Finding, Standing) {
    let LogGroup { name, .. } = group;
    if name.contains('$') {
        let finding = Finding::skipped(CHECK, "its name depends on the records");
        return (finding, Standing::Missing);
    }
    let body = json!({"logGroupNamePrefix": name, "limit": 50});
    let found = match session.call("Logs_20140328.DescribeLogGroups", body).await {
        Ok(found) => found,
        Err(error) => {
            let create = format!("aws logs create-log-group --log-group-name {name}");
            return refused(&error, "logs:DescribeLogGroups", &create);
        }
    };
    let groups = found["logGroups"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(found) = groups.iter().find(|found| found["logGroupName"] == **name) {
        let kept = match found["retentionInDays"].as_u64() {
            Some(days) => format!("kept for {days} days"),
            None => "kept for ever".to_owned(),
        };
        let class = found["logGroupClass"].as_str().unwrap_or("STANDARD");
        let finding = Finding::good(CHECK, format!("exists, class {class}, {kept}"));
        return (finding, Standing::Usable);
    }
    let finding = match (group.created_when_missing, group.depends_on_records) {
        (true, _) => Finding::good(
            CHECK,
            "does not exist yet: the output creates it (auto_create_group)",
        ),
        (false, true) => Finding::warning(
            CHECK,
            "does not exist, and takes the records that name no other group",
        ),
        (false, false) => Finding::problem(CHECK, "does not exist").advise(format!(
            "aws logs create-log-group --log-group-name {name}, or set auto_create_group on"
        )),
    };
    (finding, Standing::Missing)
}

async fn look_at_bucket(session: &Session, bucket: &Bucket) -> (Finding, Standing) {
    let name = &bucket.name;
    let target = match PathAndQuery::try_from(format!("/{}", encoded(name))) {
        Ok(target) => target,
        Err(error) => {
            return (
                Finding::problem(CHECK, error.to_string()),
                Standing::Missing,
            );
        }
    };
    let error = match session.send(Request::new(Method::HEAD, target, b"")).await {
        Ok(_) => return (Finding::good(CHECK, "exists"), Standing::Usable),
        Err(error) => error,
    };
    let CallError::Refused(refusal) = &error else {
        return refused(&error, "s3:ListBucket", "");
    };
    match (&refusal.region, refusal.status) {
        (Some(region), _) if *region != session.region => {
            let finding = Finding::problem(CHECK, format!("it is in the region {region}"));
            (
                finding.advise(format!("set the option region to {region}")),
                Standing::Missing,
            )
        }
        (_, 404) => {
            let finding = Finding::problem(CHECK, "does not exist");
            (
                finding.advise(format!("aws s3 mb s3://{name} --region {}", session.region)),
                Standing::Missing,
            )
        }
        _ => refused(&error, "s3:ListBucket", ""),
    }
}

/// A failure to look. `create` is the command that would make what is missing.
fn refused(error: &CallError, action: &str, create: &str) -> (Finding, Standing) {
    if is_denied(error) {
        let finding = Finding::warning(CHECK, format!("we may not look: {error}"));
        let advice = format!("delivery does not need {action}; --put shows whether records arrive");
        return (finding.advise(advice), Standing::Usable);
    }
    let finding = failure(CHECK, error, action);
    match error {
        CallError::Refused(refusal) if refusal.code == "ResourceNotFoundException" => (
            finding.advise(format!(
                "create it ({create} …), or correct its name, the region or the account"
            )),
            Standing::Missing,
        ),
        CallError::Refused(_) => (finding, Standing::Usable),
        CallError::NoAnswer(_) | CallError::Credentials(_) => (finding, Standing::OutOfReach),
    }
}
