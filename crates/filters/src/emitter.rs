//! What filters that put records on the road anew have in common.

use config::{Choice, Options, Size};
use plugin::{Counter, FilterContext, Log};
use record::{Batch, Emission, Emitter};

/// Records that a filter puts on the road anew.
#[derive(Clone, Debug, Options)]
pub struct EmitterOptions {
    /// What messages call it; `emitter_for_` and the filter's name unless set.
    #[option(name = "emitter_name")]
    pub name: Option<String>,
    /// Accepted: records that were not delivered stay with their source, whatever is said here.
    #[expect(dead_code, reason = "read so that it is known and checked")]
    #[option(name = "emitter_storage.type", default = "memory")]
    storage: Storage,
    /// Accepted: the memory limit of the input counts, for these records too.
    #[expect(dead_code, reason = "read so that it is known and checked")]
    #[option(name = "emitter_mem_buf_limit", default = "10M")]
    limit: Size,
}

/// `emitter_storage.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum Storage {
    /// In memory.
    Memory,
    /// In files.
    Filesystem,
}

/// Counts what a filter puts on the road, and keeps it from going round.
pub struct Emissions {
    name: String,
    own: Emitter,
    emitted: Counter,
    log: Log,
    cycle_told: bool,
}

impl Emissions {
    /// Of the filter that is built.
    pub fn new(options: &EmitterOptions, context: &FilterContext) -> Emissions {
        let name = options.name.clone();
        Emissions {
            name: name.unwrap_or_else(|| format!("emitter_for_{}", context.name)),
            own: Emission::new_emitter(),
            emitted: context.metrics.counter(
                "emit_records_total",
                "Records that were put on the road anew.",
            ),
            log: context.log.clone(),
            cycle_told: false,
        }
    }

    /// Whether `batch` comes from this filter.
    pub fn made(&self, batch: &Batch) -> bool {
        batch.emission().is_by(self.own)
    }

    /// What `batch` has when it is put on the road again; none, with a message, when it goes round.
    pub fn again(&mut self, batch: &Batch) -> Option<Emission> {
        let again = batch.emission().again(self.own);
        if again.is_none() {
            self.tell_cycle(batch, "records go round between filters");
        }
        again
    }

    /// Says, once, that records would go round.
    pub fn tell_cycle(&mut self, batch: &Batch, what: &str) {
        if !self.cycle_told {
            self.cycle_told = true;
            self.log.error(format_args!(
                "emitter cycle detected ({}): {what} (tag={}); they keep this tag and go on. Adjust 'Match' of this filter, \
                 or its rules, so that it does not see what it has emitted",
                self.name,
                batch.tag()
            ));
        }
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts records that were emitted.
    pub fn count(&self, records: usize) {
        self.emitted.add(records as u64);
    }
}
