//! Amazon Data Firehose: `PutRecordBatch`.
//!
//! Payload and limits as in Fluent Bit's `plugins/out_kinesis_firehose`; beyond it, exactly the records that the service
//! refused are sent again, and a record that can never be accepted is dropped alone, counted by reason.

mod payload;

use std::rc::Rc;

use ::aws::{Client, Request as Call, Service};
use config::Options;
use plugin::{
    Answer, BuildError, Deliver, LocalFuture, Output, OutputContext, OutputPlugin, Request,
    RunOutput,
};

use crate::aws_client::{AwsOptions, Peer};
use crate::compression::Compression;
use crate::put_records::answer::{self, Operation};
use crate::put_records::line::LineOptions;
use crate::put_records::{ConcurrencyOptions, Dialect};
use payload::Payload;

/// `firehose`: the name of AWS's Go plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<GoFirehose>("firehose");
/// `kinesis_firehose`: the name of Fluent Bit's own plugin.
pub static KINESIS_FIREHOSE: OutputPlugin = OutputPlugin::new::<CoreFirehose>("kinesis_firehose");

const PUT_RECORD_BATCH: &str = "Firehose_20150804.PutRecordBatch";

/// Sends records to a delivery stream of Amazon Data Firehose. `firehose`, the name of AWS's plugin, and `kinesis_firehose`,
/// that of Fluent Bit's, take the same options; they differ in `time_key` and `time_key_format`.
#[derive(Clone, Debug, Options)]
pub struct FirehoseOptions {
    /// The name of the delivery stream.
    #[option(name = "delivery_stream", required)]
    pub delivery_stream: String,
    /// What is sent of a record.
    #[option(flatten)]
    pub line: LineOptions,
    /// Whether a newline follows each record.
    #[option(name = "append_newline", default = "true")]
    pub append_newline: bool,
    /// Whether lines share records of the delivery stream, each as long as the service allows. It bills every record as if
    /// it had 5 KiB at least.
    #[option(name = "simple_aggregation", default = "false")]
    pub simple_aggregation: bool,
    /// How each record of the delivery stream is compressed.
    #[option(name = "compression", default = "none")]
    pub compression: Compression,
    /// How many requests are under way.
    #[option(flatten)]
    pub concurrency: ConcurrencyOptions,
    /// The service.
    #[option(flatten)]
    pub aws: AwsOptions,
}

impl FirehoseOptions {
    fn build(&self, dialect: Dialect, context: &OutputContext) -> Result<RunOutput, BuildError> {
        let payload = Payload::new(self, dialect, context)?;
        let concurrency = self.concurrency.limit(context)?;
        let client = self.aws.client(Service::FIREHOSE, context)?;
        let peer = Peer::new(&client, context);
        Ok(RunOutput {
            format: Box::new(payload),
            deliver: Rc::new(Firehose { client, peer }),
            concurrency,
        })
    }
}

struct CoreFirehose;

impl Output for CoreFirehose {
    type Options = FirehoseOptions;

    fn build(options: FirehoseOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        options.build(Dialect::Core, context)
    }
}

struct GoFirehose;

impl Output for GoFirehose {
    type Options = FirehoseOptions;

    fn build(options: FirehoseOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        options.build(Dialect::Go, context)
    }
}

struct Firehose {
    client: Client,
    peer: Peer,
}

impl Firehose {
    async fn put(&self, request: &Request) -> Answer {
        let call = Call::json(PUT_RECORD_BATCH, &request.body)
            .with_enough(Operation::PutRecordBatch.enough());
        let call = match self.peer.introduce(&self.client, call, request).await {
            Ok(call) => call,
            Err(answer) => return answer,
        };
        match self.client.send(call).await {
            Ok(response) => answer::read(Operation::PutRecordBatch, &response.body, request),
            Err(error) => self.peer.failed(&error),
        }
    }
}

impl Deliver for Firehose {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(self.put(request))
    }

    fn wants_provenance(&self) -> bool {
        self.peer.wants_provenance(&self.client)
    }
}
