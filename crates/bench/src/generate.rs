//! `flumen bench gen`: writes lines that can be told apart, at a given pace, to files, sockets or the standard output.

mod files;
mod forward;
mod pace;
mod socket;
mod target;
mod writer;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::line::{Kind, Lines, Wrap};
use crate::quantity;
use crate::report::Sent;
pub use forward::Mode;
pub use pace::Pace;
pub use socket::Address;
use target::Target;
use writer::Writer;

/// What `flumen bench gen` is started with.
#[derive(Clone, Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("destination").args(["path", "forward", "tcp"]))]
pub struct GenerateCommand {
    /// What kind of application writes
    #[arg(long, value_enum, default_value = "plain")]
    pub kind: Kind,
    /// Bytes of a plain line, its newline included
    #[arg(long, value_name = "SIZE", default_value = "1000", value_parser = quantity::bytes)]
    pub size: u64,
    /// How lines are stored
    #[arg(long, value_enum, default_value = "none")]
    pub wrap: Wrap,
    /// Lines a second, of all writers together; without it and --bytes-per-second as many as can be
    #[arg(long, value_name = "LINES", conflicts_with = "bytes_per_second")]
    pub rate: Option<f64>,
    /// Bytes a second, of all writers together
    #[arg(long, value_name = "SIZE", value_parser = quantity::bytes)]
    pub bytes_per_second: Option<u64>,
    /// Stop after so many lines, of all writers together
    #[arg(long, value_name = "LINES")]
    pub count: Option<u64>,
    /// Stop after so long a time; without it and --count at Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = quantity::duration)]
    pub duration: Option<Duration>,
    /// Give each line a write of its own, at its exact time
    #[arg(long)]
    pub each_line: bool,
    /// Write into each line when it was made: the sink then says how long lines took to it
    #[arg(long)]
    pub stamp: bool,
    /// Append to this file; with several writers to NAME-1.EXT, NAME-2.EXT …
    #[arg(long, value_name = "FILE")]
    pub path: Option<PathBuf>,
    /// How many writers there are, each with a file or connection of its own
    #[arg(long, visible_alias = "files", value_name = "N", default_value_t = 1)]
    pub writers: u32,
    /// Rotate files when they are so large (64M), so old (10s), or hold so many lines (1000lines)
    #[arg(long, value_name = "AMOUNT", requires = "path")]
    pub rotate_every: Option<files::Rotation>,
    /// How many rotated files are kept: FILE.1 is the newest
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub keep: u32,
    /// Send over Fluentd's forward protocol: HOST:PORT, or unix:PATH
    #[arg(long, value_name = "ADDR")]
    pub forward: Option<Address>,
    /// How records travel over it
    #[arg(long, value_enum, default_value = "message", requires = "forward")]
    pub mode: Mode,
    /// Wait for acknowledgements, and send again what is not acknowledged
    #[arg(long, requires = "forward")]
    pub acks: bool,
    /// The tag of records sent over it
    #[arg(long, default_value = "bench", requires = "forward")]
    pub tag: String,
    /// Send lines over TCP: HOST:PORT
    #[arg(long, value_name = "ADDR")]
    pub tcp: Option<Address>,
    /// Write what was sent to this file, as JSON for `verify --sent`
    #[arg(long, value_name = "FILE")]
    pub sent: Option<PathBuf>,
}

/// What writers and their observer share.
#[derive(Default)]
pub struct Progress {
    /// Writers end as soon as they see it.
    pub stop: AtomicBool,
    /// Lines written so far.
    pub lines: AtomicU64,
    /// Bytes written so far.
    pub bytes: AtomicU64,
}

impl GenerateCommand {
    /// One writer of plain lines to the standard output, as without any option.
    pub fn plain() -> GenerateCommand {
        GenerateCommand {
            kind: Kind::Plain,
            size: 1000,
            wrap: Wrap::None,
            rate: None,
            bytes_per_second: None,
            count: None,
            duration: None,
            each_line: false,
            stamp: false,
            path: None,
            writers: 1,
            rotate_every: None,
            keep: 5,
            forward: None,
            mode: Mode::Message,
            acks: false,
            tag: "bench".to_owned(),
            tcp: None,
            sent: None,
        }
    }

    /// Writes until the count, the time or a signal ends it.
    pub fn run(self) -> ExitCode {
        let progress = Arc::new(Progress::default());
        let outcome = self.start(Arc::clone(&progress)).and_then(|running| {
            self.watch(&progress, || running.is_finished())?;
            let sent = running.wait()?;
            self.say(&sent)?;
            Ok(())
        });
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("flumen bench gen: {message}");
                ExitCode::FAILURE
            }
        }
    }

    /// Starts the writers on threads of their own.
    pub fn start(&self, progress: Arc<Progress>) -> Result<Running, String> {
        let writers = self.writers.max(1);
        // A run's writers have neighbouring names; two runs hardly ever have the same.
        let first = fastrand::u32(..) & !0xfff;
        let start = Instant::now();
        let mut threads = Vec::new();
        for index in 0..writers {
            let target = Target::open(self, index)?;
            let writer = Writer {
                id: first.wrapping_add(index),
                target,
                pace: Pace::new(self, start),
                count: self.share_of_count(index),
                end: self.duration.map(|duration| start + duration),
                progress: Arc::clone(&progress),
            };
            let lines =
                Lines::new(self.kind, self.wrap, self.size as usize, writer.id).stamped(self.stamp);
            let thread = std::thread::Builder::new()
                .name(format!("writer {index}"))
                .spawn(move || writer.run(lines));
            threads.push(thread.map_err(|error| format!("a thread cannot be started: {error}"))?);
        }
        Ok(Running { threads, start })
    }

    /// How many of all lines the writer `index` writes.
    fn share_of_count(&self, index: u32) -> Option<u64> {
        let (count, writers) = (self.count?, u64::from(self.writers.max(1)));
        Some(count / writers + u64::from(u64::from(index) < count % writers))
    }

    /// Shows progress on a terminal until `is_finished`; a signal stops the writers.
    fn watch(&self, progress: &Progress, is_finished: impl Fn() -> bool) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the runtime cannot be started: {error}"))?;
        runtime.block_on(async {
            let bar = self.bar();
            let mut signal = std::pin::pin!(crate::signal());
            let mut signalled = false;
            while !is_finished() {
                tokio::select! {
                    () = &mut signal, if !signalled => {
                        signalled = true;
                        progress.stop.store(true, Ordering::Relaxed);
                    }
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
                bar.set_position(progress.lines.load(Ordering::Relaxed));
            }
            bar.finish_and_clear();
            Ok(())
        })
    }

    fn bar(&self) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let per_second = self.rate.or_else(|| {
            let bytes = self.bytes_per_second? as f64;
            (self.kind == Kind::Plain).then(|| bytes / self.size.max(1) as f64)
        });
        let total = self
            .count
            .or_else(|| Some((per_second? * self.duration?.as_secs_f64()) as u64));
        let (bar, template) = match total {
            Some(total) => (
                ProgressBar::new(total),
                "{elapsed_precise} {wide_bar} {human_pos} of {human_len} lines, {per_sec}",
            ),
            None => (
                ProgressBar::no_length(),
                "{elapsed_precise} {human_pos} lines, {per_sec}",
            ),
        };
        match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    fn say(&self, sent: &Sent) -> Result<(), String> {
        let seconds = sent.seconds.max(1e-9);
        eprintln!(
            "{} lines, {:.1} MB in {:.1} s: {:.0} lines/s, {:.2} MB/s{}",
            sent.lines,
            sent.bytes as f64 / 1e6,
            sent.seconds,
            sent.lines as f64 / seconds,
            sent.bytes as f64 / 1e6 / seconds,
            match sent.resent {
                0 => String::new(),
                resent => format!("; {resent} lines were sent again"),
            }
        );
        let Some(path) = &self.sent else {
            return Ok(());
        };
        let json = serde_json::to_string(sent).unwrap_or_default();
        std::fs::write(path, json + "\n")
            .map_err(|error| format!("cannot write {}: {error}", path.display()))
    }
}

/// Writers at work.
pub struct Running {
    threads: Vec<std::thread::JoinHandle<Result<Sent, String>>>,
    start: Instant,
}

impl Running {
    /// Whether all writers are done.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(|thread| thread.is_finished())
    }

    /// Waits for all writers: what they wrote, or why the first of them failed.
    pub fn wait(self) -> Result<Sent, String> {
        let mut all = Sent::default();
        let mut outcome = Ok(());
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(sent)) => {
                    all.writers.extend(sent.writers);
                    all.lines += sent.lines;
                    all.bytes += sent.bytes;
                    all.resent += sent.resent;
                }
                Ok(Err(message)) => outcome = outcome.and(Err(message)),
                Err(_) => outcome = outcome.and(Err("a writer has panicked".to_owned())),
            }
        }
        all.seconds = self.start.elapsed().as_secs_f64();
        outcome.map(|()| all)
    }
}
