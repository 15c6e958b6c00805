//! DescribeDeliveryStream and ListDeliveryStreams.

use http::Response;
use s3s::Body;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{arn, find, require_name};
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::limits;
use crate::options::Options;
use crate::streams::{Definition, Destination, S3Configuration, Violations};

const DESTINATION_ID: &str = "destinationId-000000000001";

/// `DescribeDeliveryStream`.
pub fn describe_delivery_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        delivery_stream_name: Option<String>,
        limit: Option<i64>,
        exclusive_start_destination_id: Option<String>,
    }
    let input: Input = parse(body)?;
    let name = require_name(input.delivery_stream_name.as_deref())?;
    check_limit(input.limit)?;
    let stream = find(lake, name)?;
    // There is one destination, and nothing behind it.
    let past_it = input
        .exclusive_start_destination_id
        .is_some_and(|start| start.as_str() >= DESTINATION_ID);
    let description = describe(
        &lake.options,
        &stream.definition(),
        &stream.destination,
        !past_it,
    );
    Ok(answer(&json!({ "DeliveryStreamDescription": description })))
}

/// `ListDeliveryStreams`.
pub fn list_delivery_streams(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Input {
        limit: Option<i64>,
        delivery_stream_type: Option<String>,
        exclusive_start_delivery_stream_name: Option<String>,
    }
    let input: Input = parse(body)?;
    let limit = check_limit(input.limit)?;
    let (names, more) = match input.delivery_stream_type.as_deref() {
        None | Some("DirectPut") => lake
            .streams
            .names(input.exclusive_start_delivery_stream_name.as_deref(), limit),
        Some(_) => (Vec::new(), false),
    };
    Ok(answer(
        &json!({ "DeliveryStreamNames": names, "HasMoreDeliveryStreams": more }),
    ))
}

fn check_limit(limit: Option<i64>) -> Result<usize, ApiError> {
    let Some(limit) = limit else {
        return Ok(limits::LISTED_STREAMS_DEFAULT);
    };
    let mut violations = Violations::default();
    violations.range(limit, "limit", (1, limits::LISTED_STREAMS));
    violations.into_result()?;
    // Within bounds, so it fits.
    Ok(limit as usize)
}

fn describe(
    options: &Options,
    definition: &Definition,
    destination: &Destination,
    with_destination: bool,
) -> Value {
    let extended = describe_destination(&definition.destination, destination);
    let mut plain = extended.clone();
    for member in [
        "ProcessingConfiguration",
        "S3BackupMode",
        "FileExtension",
        "CustomTimeZone",
    ] {
        plain.remove(member);
    }
    // AWS shows either shape whichever the stream was created with.
    let destination = json!({
        "DestinationId": DESTINATION_ID,
        "S3DestinationDescription": plain,
        "ExtendedS3DestinationDescription": extended,
    });
    json!({
        "DeliveryStreamName": definition.name,
        "DeliveryStreamARN": arn(options, &definition.name),
        "DeliveryStreamStatus": "ACTIVE",
        "DeliveryStreamEncryptionConfiguration": { "Status": "DISABLED" },
        "DeliveryStreamType": "DirectPut",
        "VersionId": crate::streams::VERSION_ID,
        "CreateTimestamp": definition.created.as_millisecond() as f64 / 1000.0,
        "Destinations": if with_destination { vec![destination] } else { Vec::new() },
        "HasMoreDestinations": false,
    })
}

/// The destination as it was given, with what stands for members that were not.
fn describe_destination(given: &S3Configuration, destination: &Destination) -> Map<String, Value> {
    let mut members = match serde_json::to_value(given) {
        Ok(Value::Object(members)) => members,
        // A structure always becomes an object.
        _ => Map::new(),
    };
    // Switches that can only be off here are not shown.
    members.remove("DataFormatConversionConfiguration");
    members.remove("DynamicPartitioningConfiguration");
    let mut default = |member: &str, value: Value| {
        members.entry(member).or_insert(value);
    };
    default(
        "BufferingHints",
        json!({ "SizeInMBs": destination.size / 1024 / 1024, "IntervalInSeconds": destination.interval_secs }),
    );
    default("CompressionFormat", destination.compression.name().into());
    default(
        "EncryptionConfiguration",
        json!({ "NoEncryptionConfig": "NoEncryption" }),
    );
    default("CloudWatchLoggingOptions", json!({ "Enabled": false }));
    default("S3BackupMode", "Disabled".into());
    members
}
