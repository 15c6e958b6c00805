//! Throws everything away.

use std::ops::Range;
use std::rc::Rc;

use config::Options;
use plugin::{
    Answer, BuildError, Deliver, DeliveryId, Format, LocalFuture, Outbox, Output, OutputContext,
    OutputPlugin, Request, RunOutput,
};
use record::Batch;

use crate::request::OpenRequest;

/// `null`.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<Null>("null");

/// Throws records away, for measurements and tests. The options are accepted and mean nothing.
#[derive(Clone, Debug, Options)]
#[expect(dead_code, reason = "read so that they are known, as upstream")]
pub struct NullOptions {
    /// Means nothing.
    #[option(name = "format")]
    pub format: Option<String>,
    /// Means nothing.
    #[option(name = "json_date_key")]
    pub json_date_key: Option<String>,
    /// Means nothing.
    #[option(name = "json_date_format")]
    pub json_date_format: Option<String>,
}

#[derive(Default)]
struct Null {
    request: OpenRequest,
}

struct Nowhere;

impl Output for Null {
    type Options = NullOptions;

    fn build(_: NullOptions, _: &OutputContext) -> Result<RunOutput, BuildError> {
        Ok(RunOutput {
            format: Box::new(Null::default()),
            deliver: Rc::new(Nowhere),
            concurrency: 1,
        })
    }
}

impl Format for Null {
    fn format(
        &mut self,
        delivery: DeliveryId,
        _: &Batch,
        records: Range<u32>,
        outbox: &mut Outbox,
    ) {
        records.for_each(|record| self.request.add(delivery, record));
        self.request.finish(outbox);
    }

    fn seal(&mut self, _: &mut Outbox) {}
}

impl Deliver for Nowhere {
    fn deliver<'a>(&'a self, _: &'a Request) -> LocalFuture<'a, Answer> {
        Box::pin(std::future::ready(Answer::Done))
    }
}
