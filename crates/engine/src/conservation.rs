//! Conservation, once a second: what does not add up is logged and turns health red, for as long as it does not.

use monitor::{Alarms, imbalances};
use plugin::Log;

use crate::builder::Counts;

/// The name of the check.
const NAME: &str = "conservation";

/// Looks at everything that was ever counted. Called on the shard's thread, between waits.
pub fn check(counts: &Counts, alarms: &Alarms, log: &Log) {
    let found = imbalances(&counts.all());
    if found.is_empty() {
        if alarms.clear(NAME) {
            log.info(format_args!("conservation: everything adds up again"));
        }
        return;
    }
    if alarms.raise(NAME, found.join("; ")) {
        for imbalance in found {
            log.error(format_args!("{imbalance}"));
        }
    }
}
