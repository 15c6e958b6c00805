//! The end of the log: a disk that fails may recover while there is time.

use std::time::Duration;

use buffer::wal::{Failure, Writer};
use plugin::Log;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Open;

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Waits until everything is safe that was given to `writer`: tried once, and again until `deadline`. Returns whether it is.
pub async fn make_safe(writer: &Writer, deadline: Option<Instant>) -> bool {
    loop {
        let retry_at = Instant::now() + RETRY;
        let attempt = writer.flush();
        let is_safe = match deadline {
            // An attempt that is under way is waited for: what follows needs the disk, too.
            Some(deadline) => timeout_at(deadline.max(retry_at), attempt).await,
            None => Ok(attempt.await),
        };
        match is_safe {
            Ok(true) => return true,
            Ok(false) if deadline.is_none_or(|deadline| retry_at <= deadline) => {
                sleep_until(retry_at).await;
            }
            _ => return false,
        }
    }
}

/// Says what is where of what is not safe.
pub fn say_unsafe(log: &Log, open: &Open) {
    let folder = open.directory.path.display();
    let Some(failure) = open.writer.failure() else {
        return log.error(format_args!(
            "{folder}: the disk does not answer; what is not safe stays with its sources"
        ));
    };
    let Failure {
        why,
        unsynced,
        unsettled,
    } = failure;
    if unsynced > 0 {
        log.error(format_args!(
            "{folder} cannot be written: {why}; the disk may not have the last {unsynced} records that were acknowledged, \
             and the next start sends what it finds of them"
        ));
    }
    if unsettled > 0 || unsynced == 0 {
        log.error(format_args!(
            "{folder} cannot be written: {why}; {unsettled} records stay with their sources, which have no answer"
        ));
    }
}
