//! What `PutRecordBatch` of Firehose and `PutRecords` of Kinesis have in common: the text of a record, several records in
//! one entry, and the answer with its verdict for each entry.

pub mod answer;
pub mod entry;
pub mod group;
pub mod line;
mod selection;
mod time_key;

use config::Options;
use plugin::{BuildError, Outbox, OutputContext, Reason};

use entry::Origin;

/// Which plugin the user's configuration was written for: they differ in details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Fluent Bit's own: `kinesis_firehose`, `kinesis_streams`.
    Core,
    /// AWS's plugins in Go: `firehose`, `kinesis`.
    Go,
}

/// A record that no request can carry.
pub const TOO_LARGE: Reason = Reason("record_too_large");

/// The record of this origin is given up.
pub fn reject((delivery, record): Origin, reason: Reason, outbox: &mut Outbox) {
    outbox.rejected.push((delivery, record, reason));
}

/// Requests under way at once: enough for 100,000 lines a second where an answer takes 50 ms.
const CONCURRENCY: usize = 10;

/// How many requests are under way at once.
#[derive(Clone, Debug, Options)]
pub struct ConcurrencyOptions {
    /// How many requests may be under way at once, up to 10; 0 leaves it to Flumen, which starts with 10 and takes fewer
    /// while the service throttles.
    #[option(name = "experimental_concurrency", default = "0")]
    pub concurrency: usize,
    /// Read for the sake of existing configurations, without effect: `Retry_Limit` counts retries.
    #[option(name = "experimental_concurrency_retries")]
    pub retries: Option<u32>,
}

impl ConcurrencyOptions {
    /// The number of requests, between 1 and 10.
    pub fn limit(&self, context: &OutputContext) -> Result<usize, BuildError> {
        if self.retries.is_some() {
            context.log.warn(format_args!(
                "experimental_concurrency_retries has no effect: records are retried as Retry_Limit says"
            ));
        }
        match self.concurrency {
            0 => Ok(CONCURRENCY),
            1..=CONCURRENCY => Ok(self.concurrency),
            more => Err(format!(
                "experimental_concurrency {more}: at most {CONCURRENCY} is allowed"
            )
            .into()),
        }
    }
}
