//! One run of one case: generator, router and destination, from their start to the verdict.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::case::{Case, Source};
use super::endpoint::Endpoint;
use super::fault_set::FaultSet;
use super::router;
use crate::generate::{Address, GenerateCommand, Progress};
use crate::process::Usage;
use crate::report::{Report, Sent};

/// Bytes of a line, as in AWS's matrix.
const LINE: u64 = 1000;
const MEGABYTE: u64 = 1_000_000;
const LOOK: Duration = Duration::from_millis(100);
/// How much longer than its time a generator may be kept waiting by a router that takes nothing.
const STUCK_MAX: Duration = Duration::from_secs(180);

/// A run.
pub struct Run {
    /// What is played.
    pub case: Case,
    /// What goes wrong.
    pub faults: FaultSet,
    /// How long lines are written.
    pub duration: Duration,
    /// A lake instead of a sink.
    pub endpoint: Option<String>,
}

/// How a run ended.
pub struct Played {
    /// What was sent.
    pub sent: Sent,
    /// What arrived.
    pub report: Report,
    /// What the router used.
    pub usage: Usage,
}

impl Run {
    /// Plays it.
    pub fn play(&self) -> Result<Played, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let name = format!("flumen-bench-{:08x}", fastrand::u32(..));
        let endpoint = match &self.endpoint {
            None => Endpoint::sink(&self.faults, self.duration, folder.path()),
            Some(url) => Endpoint::lake(url, &self.case, &name),
        };
        let endpoint = endpoint.map_err(|error| format!("the destination: {error}"))?;
        let target = (endpoint.url(), self.endpoint.is_some());
        let (mut router, address) = router::start(&self.case, &name, folder.path(), target)
            .map_err(|error| format!("the router: {error}"))?;
        let bar = self.bar();
        let mut check = || {
            router
                .check()
                .map_err(|error| format!("the router: {error}"))
        };
        let sent = self.generate(address, &bar, &mut check)?;
        endpoint.settle(&sent, self.faults.patience(), |received| {
            bar.set_message(format!("{received} of {} lines arrived", sent.lines));
            check()
        })?;
        let usage = router
            .stop()
            .map_err(|error| format!("the router: {error}"))?;
        let report = endpoint.report(&sent)?;
        bar.finish_and_clear();
        Ok(Played {
            sent,
            report,
            usage,
        })
    }

    fn generate(
        &self,
        address: Address,
        bar: &ProgressBar,
        check: &mut impl FnMut() -> Result<(), String>,
    ) -> Result<Sent, String> {
        let progress = Arc::new(Progress::default());
        let running = self.generator(address).start(Arc::clone(&progress))?;
        let stuck = Instant::now() + self.duration + STUCK_MAX;
        while !running.is_finished() {
            let lines = progress.lines.load(Ordering::Relaxed);
            bar.set_message(format!("{lines} lines written"));
            bar.tick();
            check()?;
            if Instant::now() > stuck {
                return Err("the router takes no more lines".to_owned());
            }
            std::thread::sleep(LOOK);
        }
        running
            .wait()
            .map_err(|error| format!("the generator: {error}"))
    }

    fn generator(&self, address: Address) -> GenerateCommand {
        let (forward, tcp) = match self.case.source {
            Source::Forward => (Some(address), None),
            Source::Tcp => (None, Some(address)),
        };
        GenerateCommand {
            size: LINE,
            bytes_per_second: Some(self.case.megabytes * MEGABYTE),
            duration: Some(self.duration),
            forward,
            tcp,
            ..GenerateCommand::plain()
        }
    }

    fn bar(&self) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner().with_prefix(self.case.name());
        match ProgressStyle::with_template("{spinner} {prefix} {elapsed} {msg}") {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}
