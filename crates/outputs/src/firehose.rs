//! Amazon Data Firehose: `PutRecordBatch`.
//!
//! Payload and limits as in Fluent Bit's `plugins/out_kinesis_firehose`; beyond it, exactly the records that the service
//! refused are sent again, and a record that can never be accepted is dropped alone, counted by reason.

mod answer;
mod payload;
mod time_key;

use std::rc::Rc;

use ::aws::{Client, Service};
use config::Options;
use plugin::{
    Answer, BuildError, Deliver, LocalFuture, Output, OutputContext, OutputPlugin, Request,
    RunOutput,
};

use crate::aws_client::{AwsOptions, failed};
use payload::Payload;

/// `firehose`: the name of AWS's Go plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<Firehose>("firehose");
/// `kinesis_firehose`: the name of Fluent Bit's own plugin.
pub static KINESIS_FIREHOSE: OutputPlugin = OutputPlugin::new::<Firehose>("kinesis_firehose");

const PUT_RECORD_BATCH: &str = "Firehose_20150804.PutRecordBatch";
/// Requests under way at once: enough for 100,000 lines a second where an answer takes 50 ms.
const CONCURRENCY: usize = 10;

/// Sends records to a delivery stream of Amazon Data Firehose. `firehose` and `kinesis_firehose` are the same.
#[derive(Clone, Debug, Options)]
pub struct FirehoseOptions {
    /// The name of the delivery stream.
    #[option(name = "delivery_stream", required)]
    pub delivery_stream: String,
    /// Add the time of the event under this key.
    #[option(name = "time_key")]
    pub time_key: Option<String>,
    /// How it is written: strftime in UTC, with `%3N` for milliseconds and `%9N` or `%L` for nanoseconds.
    #[option(name = "time_key_format", default = "%Y-%m-%dT%H:%M:%S")]
    pub time_key_format: String,
    /// Send only the value of this field: text as it is, other values as JSON.
    #[option(name = "log_key")]
    pub log_key: Option<String>,
    /// The service.
    #[option(flatten)]
    pub aws: AwsOptions,
}

struct Firehose {
    client: Client,
}

impl Output for Firehose {
    type Options = FirehoseOptions;

    fn build(options: FirehoseOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        let payload = Payload::new(&options, context)?;
        let client = options.aws.client(Service::FIREHOSE, context)?;
        Ok(RunOutput {
            format: Box::new(payload),
            deliver: Rc::new(Firehose { client }),
            concurrency: CONCURRENCY,
        })
    }
}

impl Deliver for Firehose {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(async move {
            match self.client.post_json(PUT_RECORD_BATCH, &request.body).await {
                Ok(response) => answer::read(&response.body, request.parts.len()),
                Err(error) => failed(&error),
            }
        })
    }
}
