//! Conservation, once a second: what does not add up is logged and turns health red, for as long as it does not.

use monitor::{Alarms, imbalances};
use plugin::Log;

use crate::builder::Counts;

/// The name of the check.
const NAME: &str = "conservation";

/// Looks at everything that was ever counted.
#[derive(Debug, Default)]
pub struct Conservation {
    /// The last look found something. Only what is found twice in a row counts: records that the storage's thread gives up
    /// are counted in several steps, and a look may fall between them.
    is_suspected: bool,
}

impl Conservation {
    /// Looks. Called on the shard's thread, between waits.
    pub fn check(&mut self, counts: &Counts, alarms: &Alarms, log: &Log) {
        let found = imbalances(&counts.all());
        if found.is_empty() {
            self.is_suspected = false;
            if alarms.clear(NAME) {
                log.info(format_args!("conservation: everything adds up again"));
            }
            return;
        }
        if std::mem::replace(&mut self.is_suspected, true) && alarms.raise(NAME, found.join("; ")) {
            for imbalance in found {
                log.error(format_args!("{imbalance}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plugin::Level;

    use super::*;

    #[test]
    fn what_is_found_twice_turns_health_red_until_it_adds_up() {
        let (counts, alarms, log) = (Counts::new(), Alarms::default(), Log::new("", Level::Off));
        let mut conservation = Conservation::default();
        conservation.check(&counts, &alarms, &log);
        counts.emitter.records.add(3);
        conservation.check(&counts, &alarms, &log);
        assert!(alarms.is_empty());
        conservation.check(&counts, &alarms, &log);
        assert!(alarms.all()[0].starts_with("conservation: 3 records read"));
        counts.emitter.unrouted.add(3);
        conservation.check(&counts, &alarms, &log);
        assert!(alarms.is_empty());
    }
}
