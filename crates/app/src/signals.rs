//! The signals that end the router.

use plugin::Log;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Completes at the first SIGTERM, SIGINT or SIGQUIT, after saying so. SIGHUP is answered: reloading is not built yet.
pub async fn shutdown(log: Log) {
    let listen = |kind| signal(kind).ok();
    let (mut term, mut int) = (
        listen(SignalKind::terminate()),
        listen(SignalKind::interrupt()),
    );
    let (mut quit, mut hup) = (listen(SignalKind::quit()), listen(SignalKind::hangup()));
    loop {
        let name = tokio::select! {
            () = received(&mut term) => "SIGTERM",
            () = received(&mut int) => "SIGINT",
            () = received(&mut quit) => "SIGQUIT",
            () = received(&mut hup) => {
                log.warn(format_args!("SIGHUP: hot reloading is not enabled"));
                continue;
            }
        };
        log.info(format_args!("caught signal ({name})"));
        return;
    }
}

/// Waits for a signal; for ever if it could not be listened for.
async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}
