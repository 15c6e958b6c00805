//! CreateDeliveryStream.

use std::collections::BTreeMap;

use http::Response;
use s3s::Body;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::tags::{self, Tag};
use super::{arn, check_name};
use crate::aws_json::{ApiError, answer, parse};
use crate::lake::Inner;
use crate::streams::{
    CreateError, Definition, Destination, Refusal, S3Configuration, Shape, Violations,
};

const TYPES: [&str; 4] = [
    "DirectPut",
    "KinesisStreamAsSource",
    "MSKAsSource",
    "DatabaseAsSource",
];

/// The members of destinations that are not S3.
const OTHER_DESTINATIONS: [&str; 8] = [
    "RedshiftDestinationConfiguration",
    "ElasticsearchDestinationConfiguration",
    "AmazonopensearchserviceDestinationConfiguration",
    "AmazonOpenSearchServerlessDestinationConfiguration",
    "SplunkDestinationConfiguration",
    "HttpEndpointDestinationConfiguration",
    "SnowflakeDestinationConfiguration",
    "IcebergDestinationConfiguration",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    delivery_stream_name: Option<String>,
    delivery_stream_type: Option<String>,
    delivery_stream_encryption_configuration_input: Option<Value>,
    #[serde(rename = "S3DestinationConfiguration")]
    s3: Option<S3Configuration>,
    #[serde(rename = "ExtendedS3DestinationConfiguration")]
    extended_s3: Option<S3Configuration>,
    tags: Option<Vec<Tag>>,
    /// Whatever else there is, for the destinations that are not supported.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Serialize)]
struct Output {
    #[serde(rename = "DeliveryStreamARN")]
    arn: String,
}

/// `CreateDeliveryStream`.
pub async fn create_delivery_stream(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    check_name(input.delivery_stream_name.as_deref(), &mut violations);
    if let Some(kind) = &input.delivery_stream_type {
        violations.one_of(kind, "deliveryStreamType", &TYPES);
    }
    let tags = input
        .tags
        .as_deref()
        .map(|tags| tags::check(tags, &mut violations))
        .unwrap_or_default();
    violations.into_result()?;
    refuse_unsupported(&input)?;
    let name = input.delivery_stream_name.unwrap_or_default();
    let (shape, configuration) = one_destination(input.s3, input.extended_s3, &input.others)?;
    let destination = Destination::parse(&name, shape, &configuration)?;
    let answer = answer(&Output {
        arn: arn(&lake.options, &name),
    });
    let definition = Definition::new(name.clone(), shape, configuration, tags);
    match lake.streams.create(definition, destination).await {
        Ok(()) => Ok(answer),
        Err(CreateError::Exists) => Err(ApiError::client(
            "ResourceInUseException",
            format!(
                "Firehose {name} under accountId {} already exists",
                lake.options.account_id
            ),
        )),
        Err(error @ CreateError::TooMany) => Err(ApiError::client(
            "LimitExceededException",
            error.to_string(),
        )),
        Err(error @ CreateError::Io(_)) => Err(ApiError::unavailable(error.to_string())),
    }
}

fn refuse_unsupported(input: &Input) -> Result<(), Refusal> {
    if let Some(kind) = input
        .delivery_stream_type
        .as_deref()
        .filter(|kind| *kind != "DirectPut")
    {
        return Err(Refusal::argument(format!(
            "not supported here: DeliveryStreamType {kind}; the lake's delivery streams take DirectPut"
        )));
    }
    if input
        .delivery_stream_encryption_configuration_input
        .is_some()
    {
        return Err(Refusal::argument(
            "not supported here: DeliveryStreamEncryptionConfigurationInput; the lake does not encrypt",
        ));
    }
    Ok(())
}

fn one_destination(
    s3: Option<S3Configuration>,
    extended: Option<S3Configuration>,
    others: &BTreeMap<String, Value>,
) -> Result<(Shape, S3Configuration), Refusal> {
    let mut others = OTHER_DESTINATIONS
        .iter()
        .filter(|name| others.get(**name).is_some_and(|value| !value.is_null()));
    match (s3, extended, others.next(), others.next()) {
        (Some(configuration), None, None, None) => Ok((Shape::S3, configuration)),
        (None, Some(configuration), None, None) => Ok((Shape::ExtendedS3, configuration)),
        (None, None, Some(other), None) => Err(Refusal::argument(format!(
            "not supported here: {other}; the lake delivers to S3, by S3DestinationConfiguration or \
             ExtendedS3DestinationConfiguration"
        ))),
        _ => Err(Refusal::argument(
            "Exactly one destination configuration is supported for a Firehose",
        )),
    }
}
