//! The signals that tell the router something.

use plugin::Log;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGTERM, SIGINT, SIGQUIT: leave in order.
    Stop,
    /// SIGHUP: load the configuration anew.
    Reload,
    /// SIGUSR2: go on as the binary that stands in the place of this one.
    Upgrade,
}

/// Listens for signals.
pub struct Signals {
    listening: Vec<(Signal, &'static str, Asked)>,
    log: Log,
}

impl Signals {
    /// Listens from now on. Signals that cannot be listened for keep their usual effect.
    pub fn listen(log: Log) -> Signals {
        let kinds = [
            (SignalKind::terminate(), "SIGTERM", Asked::Stop),
            (SignalKind::interrupt(), "SIGINT", Asked::Stop),
            (SignalKind::quit(), "SIGQUIT", Asked::Stop),
            (SignalKind::hangup(), "SIGHUP", Asked::Reload),
            (SignalKind::user_defined2(), "SIGUSR2", Asked::Upgrade),
        ];
        let listening = kinds.into_iter().filter_map(|(kind, name, asked)| {
            let listening = signal(kind);
            if let Err(error) = &listening {
                log.warn(format_args!("cannot listen for {name}: {error}"));
            }
            Some((listening.ok()?, name, asked))
        });
        Signals {
            listening: listening.collect(),
            log,
        }
    }

    /// The next signal, after saying so.
    pub async fn next(&mut self) -> Asked {
        let (name, asked) = std::future::poll_fn(|context| {
            for (signal, name, asked) in &mut self.listening {
                if signal.poll_recv(context).is_ready() {
                    return std::task::Poll::Ready((*name, *asked));
                }
            }
            std::task::Poll::Pending
        })
        .await;
        self.log.info(format_args!("caught signal ({name})"));
        asked
    }
}
