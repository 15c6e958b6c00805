//! Filters: change batches in place.

use std::sync::Arc;
use std::time::Instant;

use config::{Diagnostics, OptionSpec, Options, Section};
use record::Batch;

use crate::{BuildError, Emit, Log, Metrics, Parsers};

/// What a filter is built with.
#[derive(Clone)]
pub struct FilterContext {
    /// Alias, or `parser.0`.
    pub name: Arc<str>,
    /// For messages.
    pub log: Log,
    /// For counters beyond the common ones.
    pub metrics: Metrics,
    /// The parser definitions.
    pub parsers: Arc<dyn Parsers>,
}

/// What surrounds one call of a filter.
pub struct FilterCall<'a> {
    /// Takes batches that enter the road anew, under another tag, or later than they came (`rewrite_tag`, `multiline`).
    pub emit: &'a dyn Emit,
    /// The time of the call, for anything that expires.
    pub now: Instant,
}

/// The author's side of a filter.
pub trait Filter: Sized + 'static {
    /// What follows its name in a section.
    type Options: Options + Clone + Send + Sync + 'static;

    /// Whether one instance must see the records of all shards (`throttle`, `log_to_metrics`).
    const SHARED: bool = false;

    /// Builds an instance; one per shard unless [`Filter::SHARED`].
    fn build(options: Self::Options, context: &FilterContext) -> Result<Self, BuildError>;

    /// Changes `batch`. Records are dropped with [`Batch::retain`]; those that move elsewhere take their obligation along
    /// ([`Batch::carve`]). A panic refuses the whole batch: its source hands it over again.
    fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>);

    /// When [`Filter::expire`] should be called even if no batch comes.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Emits what was held long enough; everything when `all` is set (a stop).
    fn expire(&mut self, _call: &FilterCall<'_>, _all: bool) {}
}

/// The engine's side of a filter.
pub trait RunFilter {
    /// See [`Filter::filter`].
    fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>);
    /// See [`Filter::deadline`].
    fn deadline(&self) -> Option<Instant>;
    /// See [`Filter::expire`].
    fn expire(&mut self, call: &FilterCall<'_>, all: bool);
}

impl<F: Filter> RunFilter for F {
    fn filter(&mut self, batch: &mut Batch, call: &FilterCall<'_>) {
        Filter::filter(self, batch, call);
    }

    fn deadline(&self) -> Option<Instant> {
        Filter::deadline(self)
    }

    fn expire(&mut self, call: &FilterCall<'_>, all: bool) {
        Filter::expire(self, call, all);
    }
}

/// A configured filter, ready to be built (once per shard).
pub type BuildFilter =
    Box<dyn Fn(&FilterContext) -> Result<Box<dyn RunFilter>, BuildError> + Send + Sync>;

/// A filter as the registry knows it.
pub struct FilterPlugin {
    /// The word behind `Name`.
    pub name: &'static str,
    /// Whether one instance serves all shards.
    pub shared: bool,
    /// Its options, without those of every filter.
    pub options: fn() -> Vec<OptionSpec>,
    /// The text on top of its reference page.
    pub about: fn() -> &'static str,
    /// Reads a section; every mistake goes to the diagnostics.
    pub configure: fn(&Section, &mut Diagnostics) -> Option<BuildFilter>,
}

impl FilterPlugin {
    /// The registry's view of `F`.
    pub const fn new<F: Filter>(name: &'static str) -> FilterPlugin {
        FilterPlugin {
            name,
            shared: F::SHARED,
            options: F::Options::table,
            about: F::Options::about,
            configure: |section, diagnostics| {
                let options = F::Options::read(section, diagnostics)?;
                Some(Box::new(move |context| {
                    Ok(Box::new(F::build(options.clone(), context)?))
                }))
            },
        }
    }
}
