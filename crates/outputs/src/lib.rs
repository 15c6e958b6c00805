//! Where records go: one file per plugin, listed in [`ALL`].
//!
//! `firehose.rs` is the template: options by derive, a pure formatting half with its golden tests, a sending half.

mod aws_client;
mod cloudwatch_logs;
mod compression;
mod file;
mod firehose;
mod kinesis_streams;
mod null;
mod put_records;
mod request;
mod s3;
mod stdout;
mod text_form;
mod varint;

use plugin::OutputPlugin;

pub use aws_client::{Access, AwsOptions, ConnectionOptions};
// For whoever counts what it costs.
#[doc(hidden)]
pub use s3::encoding::gzip as write_gzip;
pub use s3::parquet::write as write_parquet;

/// Every output.
pub static ALL: &[&OutputPlugin] = &[
    &cloudwatch_logs::CLOUDWATCH,
    &cloudwatch_logs::PLUGIN,
    &file::PLUGIN,
    &firehose::PLUGIN,
    &firehose::KINESIS_FIREHOSE,
    &kinesis_streams::KINESIS,
    &kinesis_streams::PLUGIN,
    &null::PLUGIN,
    &s3::PLUGIN,
    &stdout::PLUGIN,
];
