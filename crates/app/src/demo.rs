//! `flumen demo`: the post's story on one machine.
//!
//! "EKS" writes container log files that a router tails with the post's EKS configuration; "ECS" sends through the
//! forward protocol on a unix socket, as Docker's `fluentd` driver does, to a router with the post's ECS configuration.
//! The routers are child processes, so that their CPU and memory are their own; the lake runs in this process. Records go
//! through Firehose's protocol, signed, over TCP, become objects and are asked about with the post's statements.

mod cluster;
mod ecs;
mod eks;
mod report;
mod router_process;
mod scene;
mod statements;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use record::Time;

use cluster::Clusters;
use report::Report;
use router_process::Usage;
use scene::Scene;
use statements::Findings;

/// What went wrong, in a sentence for people.
type Error = Box<dyn std::error::Error>;

/// After the last line is written, the routers must have sent everything within this time.
const ARRIVAL_MAX: Duration = Duration::from_secs(120);
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(25);

/// Plays the whole story on this machine: two clusters, routers, delivery streams, table, view, top ten.
#[derive(Debug, clap::Args)]
pub struct DemoCommand {
    /// How many lines the two clusters write together.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(2..))]
    lines: u64,
    /// Lines per second; as fast as possible if not given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Leave lake and routers running at the end, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Print the result as JSON and nothing else.
    #[arg(long)]
    json: bool,
    /// Where everything is put; a demo that lies there is replaced.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl DemoCommand {
    /// Plays the story. Fails when a line is missing or there twice.
    pub fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error.into()),
        };
        match runtime.block_on(self.play()) {
            Ok(report) if report.is_complete() => ExitCode::SUCCESS,
            Ok(report) => {
                let (written, found) = (report.written, report.found);
                eprintln!("flumen demo: {written} lines were written and {found} found");
                ExitCode::FAILURE
            }
            Err(error) => failed(&error),
        }
    }

    async fn play(&self) -> Result<Report, Error> {
        let steps = Steps::new(self.json);
        let folder = self
            .data
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join("flumen-demo"));
        steps.say("the lake: Firehose and S3 on this machine");
        let mut scene = Scene::set(&folder).await?;
        steps.say("two routers, with the post's configurations");
        let eks = eks::Cluster::start(&scene.containers())?;
        scene.start_routers().await?;
        let mut clusters = Clusters::new(eks, ecs::Cluster::start(&scene.socket())?);
        let started = Instant::now();
        let written = self.write(&scene, &mut clusters, &steps).await?;
        let elapsed = started.elapsed();
        let stopped = self.stop_routers(&mut scene, &clusters)?;
        steps.say("objects: what the streams still hold is delivered");
        scene.lake.flush_streams().await?;
        steps.say("SQL: the post's tables, its view and its top ten");
        let findings = Findings::ask(&scene.data()).await?;
        let report = Report::new(&scene, written, elapsed, stopped, findings);
        if self.json {
            println!("{}", report.json());
        } else {
            print!("{}", report.text());
        }
        if self.keep {
            self.stay(&mut scene, &report).await?;
        }
        scene.end().await;
        Ok(report)
    }

    /// Writes the lines and waits until Firehose has acknowledged them all.
    async fn write(
        &self,
        scene: &Scene,
        clusters: &mut Clusters,
        steps: &Steps,
    ) -> Result<u64, Error> {
        let bar = steps.bar(self.lines);
        let started = Instant::now();
        let mut written = 0;
        while written < self.lines {
            let due = match self.rate {
                None => self.lines,
                Some(rate) => {
                    ((started.elapsed().as_secs_f64() * rate as f64) as u64 + 1).min(self.lines)
                }
            };
            let now = Time::now();
            for _ in 0..(due - written).min(1_000) {
                clusters.request(now)?;
                written += 1;
            }
            if self.rate.is_some() {
                clusters.flush()?;
                tokio::time::sleep(LOOK).await;
            }
            bar.set_message(format!("{written} written"));
            bar.set_position(scene.acknowledged());
            tokio::task::yield_now().await;
        }
        clusters.flush()?;
        scene
            .wait_for(written, ARRIVAL_MAX, |arrived| bar.set_position(arrived))
            .await?;
        bar.finish_and_clear();
        Ok(written)
    }

    /// The routers end, and tell what they used; with `--keep` they go on, and tell so far.
    fn stop_routers(&self, scene: &mut Scene, clusters: &Clusters) -> Result<Vec<Usage>, Error> {
        let lines = clusters.lines();
        if self.keep {
            scene.usage(&lines)
        } else {
            scene.stop_routers(&lines)
        }
    }

    async fn stay(&self, scene: &mut Scene, report: &Report) -> Result<(), Error> {
        eprintln!("{}\nCtrl-C ends it.", report.running(scene));
        tokio::signal::ctrl_c().await?;
        let nothing = [0, 0];
        scene.stop_routers(&nothing)?;
        Ok(())
    }
}

fn failed(error: &Error) -> ExitCode {
    eprintln!("flumen demo: {error}");
    ExitCode::FAILURE
}

/// Says what happens, unless only JSON is wanted.
struct Steps {
    quiet: bool,
}

impl Steps {
    fn new(quiet: bool) -> Steps {
        Steps { quiet }
    }

    fn say(&self, what: &str) {
        if !self.quiet {
            eprintln!("• {what}");
        }
    }

    fn bar(&self, lines: u64) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        self.say("lines: written by the clusters, acknowledged by Firehose");
        let style = ProgressStyle::with_template("  {bar:40} {pos}/{len} {per_sec}  {msg}");
        ProgressBar::new(lines).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }
}
