//! Where records go: one file per plugin, listed in [`ALL`].
//!
//! `firehose.rs` is the template: options by derive, a pure formatting half with its golden tests, a sending half.

mod aws_client;
mod file;
mod firehose;
mod null;
mod request;
mod stdout;
mod text_form;

use plugin::OutputPlugin;

pub use aws_client::{Access, AwsOptions, ConnectionOptions};

/// Every output.
pub static ALL: &[&OutputPlugin] = &[
    &file::PLUGIN,
    &firehose::PLUGIN,
    &firehose::KINESIS_FIREHOSE,
    &null::PLUGIN,
    &stdout::PLUGIN,
];
