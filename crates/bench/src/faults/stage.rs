//! What a row is played on: a folder, a router, and the verdict in the end.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::configuration::{Configuration, Target};
use super::journal::{Journal, Style};
use super::outcome::Played;
use super::program::{Dialect, Program};
use super::proxy::Proxy;
use super::router::{Launch, Router};
use super::service::{Destination, LakeService, SinkService};
use crate::Faults;
use crate::report::Sent;

/// Lines a second, where a row says nothing else.
pub const RATE: u64 = 4000;
/// How long nothing more may arrive before the rest counts as lost. Retries wait for half a minute at most.
const PATIENCE: Duration = Duration::from_secs(45);
const LOOK: Duration = Duration::from_millis(50);
/// Lines that are written after the last restart.
const EPILOGUE: u64 = 100;

/// Why a row has no figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It cannot be played here.
    Skipped(String),
    /// It could not be played to its end.
    Failed(String),
}

impl From<String> for Stop {
    fn from(error: String) -> Stop {
        Stop::Failed(error)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Stop {
        Stop::Failed(error.to_string())
    }
}

/// What comes of playing a row.
pub type Outcome<T = Played> = Result<T, Stop>;

/// How a row is played.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// How long lines are written.
    pub seconds: u64,
    /// How often a router is killed where that is what the row is about.
    pub rounds: u32,
}

/// The place of one run of one row.
pub struct Stage<'a> {
    folder: tempfile::TempDir,
    program: &'a Program,
    length: Length,
    peak: Rc<Cell<u64>>,
    failures: RefCell<Vec<String>>,
    /// What routers that start from now on find in their environment.
    variables: RefCell<Vec<(String, String)>>,
    /// What the last router was started by.
    wrapper: RefCell<Vec<String>>,
}

impl<'a> Stage<'a> {
    /// A new folder for `program`.
    pub fn new(program: &'a Program, length: Length) -> std::io::Result<Stage<'a>> {
        let folder = tempfile::Builder::new()
            .prefix("flumen-faults-")
            .tempdir()?;
        Ok(Stage {
            folder,
            program,
            length,
            peak: Rc::default(),
            failures: RefCell::default(),
            variables: RefCell::default(),
            wrapper: RefCell::default(),
        })
    }

    /// Leaves the folder for whoever looks for the reason of a failure.
    pub fn keep(self) -> PathBuf {
        self.folder.keep()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A place in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How long lines are written.
    pub fn load(&self) -> Duration {
        Duration::from_secs(self.length.seconds)
    }

    /// How often a router is killed.
    pub fn rounds(&self) -> u32 {
        self.length.rounds
    }

    /// Whether the router is this program.
    pub fn is_flumen(&self) -> bool {
        self.program.dialect == Dialect::Flumen
    }

    /// The routers that start from now on have this variable.
    pub fn set_variable(&self, name: &str, value: &Path) {
        let pair = (name.to_owned(), value.display().to_string());
        self.variables.borrow_mut().push(pair);
    }

    /// Notes that something else than loss and repetition went wrong, unless it holds.
    pub fn must(&self, holds: bool, what: &str) {
        if !holds {
            self.failures.borrow_mut().push(what.to_owned());
        }
    }

    /// The same figures with what was noted since they were made.
    pub fn with_failures(&self, mut played: Played) -> Played {
        played.failures.extend(self.failures.take());
        played
    }

    /// A sink that the router can speak with.
    pub fn sink(&self, faults: Faults) -> Outcome<SinkService> {
        // Fluent Bit reaches Firehose over TLS only.
        let ca_file = (!self.is_flumen()).then(|| self.path("ca.pem"));
        Ok(SinkService::start(faults, ca_file)?)
    }

    /// A sink without TLS, whose requests a proxy can read.
    pub fn plain_sink(&self) -> Outcome<SinkService> {
        if !self.is_flumen() {
            return Err(Stop::Skipped("requests over TLS cannot be read".to_owned()));
        }
        self.sink(Faults::default())
    }

    /// A lake.
    pub fn lake(&self) -> Outcome<LakeService> {
        if !self.is_flumen() {
            return Err(Stop::Skipped("the lake speaks no TLS".to_owned()));
        }
        match self.program.has_lake() {
            true => Ok(LakeService::start(self.folder())?),
            false => Err(Stop::Skipped("this build has no lake".to_owned())),
        }
    }

    /// A proxy before a service, and where the router finds it.
    pub fn proxy(&self, sink: &SinkService) -> Outcome<(Proxy, Target)> {
        let proxy = Proxy::start(sink.target().address)?;
        let target = sink.behind(proxy.address());
        Ok((proxy, target))
    }

    /// A writer of the post's lines.
    pub fn journal(&self, name: &str) -> Outcome<Journal> {
        Ok(Journal::open(self.path(name), Style::POST)?)
    }

    /// A writer of plain lines.
    pub fn plain_journal(&self, name: &str, size: usize) -> Outcome<Journal> {
        Ok(Journal::open(self.path(name), Style::plain(size))?)
    }

    /// A configuration without inputs and outputs.
    pub fn configuration(&self) -> Configuration {
        Configuration::new(self.program.dialect, self.folder())
    }

    /// The post's configuration: `app.log` to Firehose.
    pub fn post(&self, target: &Target) -> Configuration {
        let configuration = self.configuration().tail("app.log", &[]).nginx();
        configuration.firehose(target, &[])
    }

    /// Starts the router.
    pub fn router(&self, configuration: &Configuration) -> Outcome<Router> {
        self.router_by(&[], configuration)
    }

    /// Starts the router by another program: `strace …`.
    pub fn router_by(&self, wrapper: &[&str], configuration: &Configuration) -> Outcome<Router> {
        let wrapper = wrapper.iter().map(|word| (*word).to_owned());
        self.wrapper.replace(wrapper.collect());
        Ok(self.launch().start(configuration)?)
    }

    /// Starts the router as the last one, with the configuration that is there.
    fn router_again(&self) -> Outcome<Router> {
        Ok(self.launch().start_again()?)
    }

    fn launch(&self) -> Launch<'_> {
        Launch {
            program: self.program,
            folder: self.folder(),
            wrapper: self.wrapper.borrow().clone(),
            variables: self.variables.borrow().clone(),
            peak: Rc::clone(&self.peak),
        }
    }

    /// Waits until everything that was sent so far has arrived.
    pub fn until_arrived(
        &self,
        destination: &dyn Destination,
        sent: &Sent,
        router: &mut Router,
    ) -> Outcome<()> {
        let (mut received, mut since) = (0, Instant::now());
        loop {
            let report = destination.report(sent)?;
            router.check()?;
            if report.lost == 0 {
                return Ok(());
            }
            if report.received > received {
                (received, since) = (report.received, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits for the rest, stops the router, and says what came of it. `since` is when whatever was wrong had ended.
    pub fn settle(
        &self,
        destination: &dyn Destination,
        sent: &Sent,
        router: Router,
        since: Instant,
    ) -> Outcome {
        let mut router = router;
        self.until_arrived(destination, sent, &mut router)?;
        let drain = since.elapsed();
        router.stop()?;
        self.verdict(destination, sent, drain)
    }

    /// The same for a router that follows `journal`, which then is started once more and gets some more lines: whatever it
    /// should have remembered and did not comes twice or not at all.
    pub fn settle_tail(
        &self,
        destination: &dyn Destination,
        journal: &mut Journal,
        router: Router,
        since: Instant,
    ) -> Outcome {
        self.settle_tails(destination, journal, &[], router, since)
    }

    /// The same with what other writers wrote.
    pub fn settle_tails(
        &self,
        destination: &dyn Destination,
        journal: &mut Journal,
        others: &[Sent],
        router: Router,
        since: Instant,
    ) -> Outcome {
        let mut router = router;
        let sum = |journal: &Journal| {
            let mut parts = others.to_vec();
            parts.push(journal.sent());
            super::journal::all(&parts)
        };
        self.until_arrived(destination, &sum(journal), &mut router)?;
        let drain = since.elapsed();
        router.stop()?;
        journal.write(EPILOGUE)?;
        let mut router = self.router_again()?;
        self.until_arrived(destination, &sum(journal), &mut router)?;
        router.stop()?;
        self.verdict(destination, &sum(journal), drain)
    }

    /// What has arrived in the end.
    pub fn verdict(&self, destination: &dyn Destination, sent: &Sent, drain: Duration) -> Outcome {
        let report = destination.report(sent)?;
        let mut failures = self.failures.take();
        let overwritten = report.sink.as_ref().map_or(0, |sink| sink.overwritten);
        if overwritten > 0 {
            failures.push(format!("{overwritten} objects were overwritten"));
        }
        Ok(Played {
            must_deliver: sent.lines,
            delivered: report.received,
            lost: report.lost,
            repeated: report.repeated,
            repeated_without_verdict: report.repeated_without_verdict,
            may_repeat: 0,
            drain_seconds: drain.as_secs_f64(),
            peak_memory_kib: self.peak.get(),
            lost_lines: lost_lines(&report),
            failures,
        })
    }
}

/// The first lines that are lost, for whoever looks for the reason.
fn lost_lines(report: &crate::Report) -> Vec<String> {
    let writers = report.writers.iter().filter(|writer| writer.lost > 0);
    let stretches = writers.flat_map(|writer| {
        let stretches = writer.lost_lines.iter();
        stretches.map(|[first, last]| format!("{first}–{last} of {:?}", writer.sent.unwrap_or(0)))
    });
    stretches.take(5).collect()
}
