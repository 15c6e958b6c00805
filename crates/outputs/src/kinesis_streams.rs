//! Kinesis Data Streams: `PutRecords`.
//!
//! Payload as in Fluent Bit's `plugins/out_kinesis_streams` and AWS's Go plugin `kinesis`. Records with partition keys of
//! their own travel in lanes by the hash of the key, as the service assigns them to shards: what a shard refuses is sent
//! again before what follows it in its lane, and no other lane waits for that.

mod kpl;
mod lane;
mod partition;
mod payload;

use std::rc::Rc;
use std::time::Duration;

use ::aws::{Client, Request as Call, Service};
use config::{Choice, Options, Seconds};
use plugin::{
    Answer, BuildError, Deliver, LocalFuture, Output, OutputContext, OutputPlugin, Request,
    RunOutput,
};

use crate::aws_client::{AwsOptions, Peer};
use crate::compression::{Compression, Compressor};
use crate::put_records::answer::{self, Operation};
use crate::put_records::line::LineOptions;
use crate::put_records::{ConcurrencyOptions, Dialect};
use payload::Payload;

/// `kinesis`: the name of AWS's Go plugin.
pub static KINESIS: OutputPlugin = OutputPlugin::new::<GoKinesis>("kinesis");
/// `kinesis_streams`: the name of Fluent Bit's own plugin.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<CoreKinesis>("kinesis_streams");

const PUT_RECORDS: &str = "Kinesis_20131202.PutRecords";

/// How each record is compressed. Words in any letter case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum RecordCompression {
    /// As it is.
    None,
    /// A gzip member.
    Gzip,
    /// A zstd frame.
    Zstd,
    /// A raw block of Snappy.
    Snappy,
    /// A zlib stream.
    Zlib,
}

impl RecordCompression {
    fn compressor(self) -> Option<Compressor> {
        match self {
            RecordCompression::None => None,
            RecordCompression::Gzip => Some(Compressor::new(Compression::Gzip)),
            RecordCompression::Zstd => Some(Compressor::new(Compression::Zstd)),
            RecordCompression::Snappy => Some(Compressor::new(Compression::Snappy)),
            RecordCompression::Zlib => Some(Compressor::zlib()),
        }
    }
}

/// Sends records to a stream of Kinesis Data Streams. `kinesis`, the name of AWS's plugin, and `kinesis_streams`, that of
/// Fluent Bit's, take the same options; they differ in `append_newline`, `time_key` and `time_key_format`.
#[derive(Clone, Debug, Options)]
pub struct KinesisOptions {
    /// The name of the stream.
    #[option(name = "stream", required)]
    pub stream: String,
    /// The field whose text is the partition key, which decides about the shard. `kubernetes->pod_name` is a field inside of
    /// another. Longer values are cut to 256 bytes. Records without the field, and all if the option is not set, have random
    /// keys. Requests with records of one key are sent one after the other, repetitions included. Kinesis may refuse single
    /// records of a request, which then arrive after the others of it; with `aggregation`, records of a key share one.
    #[option(name = "partition_key")]
    pub partition_key: Option<String>,
    /// Whether the MD5 hash of the field's text is the key, as 32 hexadecimal digits: for texts that are longer than 256
    /// bytes or that consumers should not see.
    #[option(name = "partition_key_hash", default = "false")]
    pub partition_key_hash: bool,
    /// What is sent of a record.
    #[option(flatten)]
    pub line: LineOptions,
    /// Whether a newline follows each record. By default it does in `kinesis_streams` and does not in `kinesis`.
    #[option(name = "append_newline")]
    pub append_newline: Option<bool>,
    /// Whether records share records of the stream, in the format of the Kinesis Producer Library. Consumers take them apart
    /// with the Kinesis Client Library or one like it; Firehose does.
    #[option(name = "aggregation", default = "false")]
    pub aggregation: bool,
    /// Whether lines share records of the stream, one after the other.
    #[option(name = "simple_aggregation", default = "false")]
    pub simple_aggregation: bool,
    /// How each record is compressed: before `aggregation`, after `simple_aggregation`.
    #[option(name = "compression", default = "none")]
    pub compression: RecordCompression,
    /// How many requests are under way.
    #[option(flatten)]
    pub concurrency: ConcurrencyOptions,
    /// How many seconds the service may stay silent; 0 is no limit. The same as `net.io_timeout`.
    #[option(name = "http_request_timeout")]
    pub http_request_timeout: Option<u32>,
    /// The service.
    #[option(flatten)]
    pub aws: AwsOptions,
}

impl KinesisOptions {
    fn build(&self, dialect: Dialect, context: &OutputContext) -> Result<RunOutput, BuildError> {
        let payload = Payload::new(self, dialect, context)?;
        let concurrency = self.concurrency.limit(context)?;
        let mut aws = self.aws.clone();
        if let Some(seconds) = self.http_request_timeout {
            aws.connection.net.io_timeout = Seconds(Duration::from_secs(seconds.into()));
        }
        let client = aws.client(Service::KINESIS, context)?;
        let peer = Peer::new(&client, context);
        Ok(RunOutput {
            format: Box::new(payload),
            deliver: Rc::new(Kinesis { client, peer }),
            concurrency,
        })
    }
}

struct CoreKinesis;

impl Output for CoreKinesis {
    type Options = KinesisOptions;

    fn build(options: KinesisOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        options.build(Dialect::Core, context)
    }
}

struct GoKinesis;

impl Output for GoKinesis {
    type Options = KinesisOptions;

    fn build(options: KinesisOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        options.build(Dialect::Go, context)
    }
}

struct Kinesis {
    client: Client,
    peer: Peer,
}

impl Kinesis {
    async fn put(&self, request: &Request) -> Answer {
        let call =
            Call::json(PUT_RECORDS, &request.body).with_enough(Operation::PutRecords.enough());
        let call = match self.peer.introduce(&self.client, call, request).await {
            Ok(call) => call,
            Err(answer) => return answer,
        };
        match self.client.send(call).await {
            Ok(response) => answer::read(Operation::PutRecords, &response.body, request),
            Err(error) => self.peer.failed(&error),
        }
    }
}

impl Deliver for Kinesis {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(self.put(request))
    }

    fn wants_provenance(&self) -> bool {
        self.peer.wants_provenance(&self.client)
    }
}
