//! `flumen bench sink`: Firehose, Kinesis, CloudWatch Logs and S3 as far as a router needs them, which count every line
//! and fail as they are told. It keeps no record, only a bit for each line.

pub mod certificate;
mod faults;
mod firehose;
mod kinesis;
mod latencies;
mod logs;
mod logs_listing;
mod record_id;
mod reply;
mod s3;
mod server;
mod state;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::report::{Report, Sent};
pub use faults::{Faults, Outage};
use state::State;

/// What `flumen bench sink` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct SinkCommand {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4567")]
    pub listen: String,
    /// Answer with short record ids instead of ids as long as AWS's
    #[arg(long)]
    pub short_ids: bool,
    /// Speak TLS, with a certificate made for this run
    #[arg(long)]
    pub tls: bool,
    /// Where the certificate is written, for the senders' tls.ca_file
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub ca_file: Option<PathBuf>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
    /// What goes wrong
    #[command(flatten)]
    pub faults: Faults,
}

/// The services and what they have counted.
#[derive(Clone)]
pub struct Sink(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    faults: RwLock<Arc<Faults>>,
}

impl Sink {
    /// A sink that has received nothing.
    pub fn new(faults: Faults, short_ids: bool) -> Sink {
        Sink(Arc::new(Inner {
            state: Mutex::new(State::new(&faults, short_ids)),
            faults: RwLock::new(Arc::new(faults)),
        }))
    }

    /// Has other things go wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        *self
            .0
            .faults
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(faults);
    }

    /// What has arrived; see [`crate::Tally::report`].
    pub fn report(&self, sent: Option<&Sent>) -> Report {
        self.state().report(sent)
    }

    /// Serves requests until the future is dropped.
    pub async fn serve(&self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        server::serve(self, listener, tls).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> Arc<Faults> {
        let faults = self.0.faults.read();
        Arc::clone(&faults.unwrap_or_else(PoisonError::into_inner))
    }
}

impl SinkCommand {
    /// Serves until a signal, then reports.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(self.serve()),
            Err(error) => Err(format!("the runtime cannot be started: {error}")),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("flumen bench sink: {message}");
                ExitCode::FAILURE
            }
        }
    }

    async fn serve(self) -> Result<(), String> {
        let listener = TcpListener::bind(&self.listen).await;
        let listener =
            listener.map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (tls, scheme) = match self.tls {
            false => (None, "http"),
            true => {
                let (acceptor, path) = certificate::make(address.ip(), self.ca_file.clone())?;
                eprintln!("tls.ca_file {}", path.display());
                (Some(acceptor), "https")
            }
        };
        // The first line is what scripts and the matrix read.
        println!("listening on {scheme}://{address}");
        let sink = Sink::new(self.faults.clone(), self.short_ids);
        tokio::select! {
            () = sink.serve(listener, tls) => {}
            () = crate::signal() => {}
        }
        let report = sink.report(None);
        match self.json {
            true => println!("{}", report.json()),
            false => print!("{}", report.table()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
