//! The life of an input that listens: it lets connections in until a stop, gives up what its successor goes on with, and
//! ends when everything is answered for.

use plugin::{Log, Stop};
use tokio::task::{JoinError, JoinSet};

use super::door::{Arrival, Door};
use super::passed_on::PassedOn;

/// Serves every connection that comes through `door`, each in a task of its own, until `stop` is requested. Then the socket
/// is given up, together with what `passed_on` has of connections if somebody takes over. Returns when every connection has
/// ended, which waits until what it received is answered for.
pub async fn receive<S: Future<Output = ()> + 'static>(
    door: Door,
    passed_on: Option<&PassedOn>,
    (log, stop): (&Log, &Stop),
    serve: impl Fn(Arrival) -> S,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            arrival = door.accept() => {
                connections.spawn_local(serve(arrival));
            }
            Some(ended) = connections.join_next() => note_end(&ended, log),
            () = stop.requested() => break,
        }
    }
    // Who takes over accepts from now on; what is here only waits.
    let mut handover = door.into_handover();
    if let Some(passed_on) = passed_on
        && stop.has_successor()
    {
        passed_on.hand_over(&mut handover).await;
    }
    stop.hand_over(handover);
    while let Some(ended) = connections.join_next().await {
        note_end(&ended, log);
    }
}

fn note_end(ended: &Result<(), JoinError>, log: &Log) {
    if ended.is_err() {
        log.error(format_args!(
            "a connection is closed after a fault in the router"
        ));
    }
}

/// Says that `workers` threads do not come to be.
pub fn warn_of_workers(workers: i64, log: &Log) {
    if workers > 1 {
        log.warn(format_args!(
            "workers {workers} has no effect: 'workers' of [SERVICE] says how many threads serve all inputs"
        ));
    }
}
