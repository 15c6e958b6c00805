//! The sink that everybody sends to, over TLS, on a thread of this program: its CPU is nobody's that is measured.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::report::{Report, Sent};
use crate::sink::{Faults, Sink, certificate};

/// The certificate of all sinks of a measurement; what its senders have to trust is written to `ca_file`.
pub fn certificate(ca_file: &Path) -> Result<TlsAcceptor, String> {
    let address = std::net::Ipv4Addr::LOCALHOST.into();
    let (acceptor, _) = certificate::make(address, Some(ca_file.to_owned()))?;
    Ok(acceptor)
}

/// A running sink.
pub struct Destination {
    sink: Sink,
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Destination {
    /// Listens on a free port of the loopback interface.
    pub fn start(acceptor: TlsAcceptor, short_ids: bool) -> Result<Destination, String> {
        let listener =
            std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        listener
            .set_nonblocking(true)
            .map_err(|error| error.to_string())?;
        let sink = Sink::new(Faults::default(), short_ids);
        let (stop, stopped) = oneshot::channel();
        let (started, starts) = mpsc::channel();
        let serving = sink.clone();
        let thread = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let outcome = runtime.map_err(|error| error.to_string()).map(|runtime| {
                    runtime.block_on(async {
                        let listener =
                            TcpListener::from_std(listener).map_err(|error| error.to_string())?;
                        let _ = started.send(Ok(()));
                        tokio::select! {
                            () = serving.serve(listener, Some(acceptor)) => {}
                            _ = stopped => {}
                        }
                        Ok::<(), String>(())
                    })
                });
                if let Ok(Err(message)) | Err(message) = outcome {
                    let _ = started.send(Err(message));
                }
            })
            .map_err(|error| error.to_string())?;
        starts
            .recv()
            .map_err(|_| "the sink did not start".to_owned())??;
        Ok(Destination {
            sink,
            port: address.port(),
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What has arrived of what was sent.
    pub fn report(&self, sent: &Sent) -> Report {
        self.sink.report(Some(sent))
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        // It is over either way.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
