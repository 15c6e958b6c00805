//! The watchdog, once a second: an output whose requests stay without any answer for twice its deadline is torn down and
//! built anew; what it held goes into the new one. Health is red until it gets an answer again.

use std::rc::Rc;

use monitor::{Alarms, OutputCounters};
use plugin::Log;
use tokio::time::Instant;

use crate::output_task::{RetiringOutput, RunningOutput};
use crate::oversight::{Order, Oversight};

/// Looks at every output.
pub fn look(outputs: &[RunningOutput], retiring: &[RetiringOutput], alarms: &Alarms) {
    for output in outputs {
        look_at(&output.oversight, &output.counters, &output.log, alarms);
    }
    for output in retiring {
        look_at(&output.oversight, &output.counters, &output.log, alarms);
    }
}

fn look_at(oversight: &Rc<Oversight>, counters: &OutputCounters, log: &Log, alarms: &Alarms) {
    let name = format!("output {}", counters.name);
    match oversight.is_stuck(Instant::now()) {
        Some((requests, silent)) => {
            let words = format!(
                "output {} made no progress for {} seconds with {requests} requests under way and {} records waiting; it \
                 is built anew",
                counters.name,
                silent.as_secs(),
                counters.held.get(),
            );
            log.error(format_args!("{words}"));
            alarms.raise(&name, words);
            oversight.give_up();
            if !matches!(oversight.current_order(), Some(Order::Retire(_))) {
                oversight.order(Order::TearDown);
            } else {
                oversight.cut_off();
            }
        }
        None if oversight.has_answered() => {
            alarms.clear(&name);
        }
        None => {}
    }
}
