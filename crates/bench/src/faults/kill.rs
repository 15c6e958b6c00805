//! `flumen bench kill`: a router that is killed again and again while it delivers to a lake.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::acts::lake;
use super::document;
use super::outcome::Played;
use super::program::Program;
use super::stage::{Length, Stage, Stop};

/// What `flumen bench kill` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct KillCommand {
    /// How often the router is killed
    #[arg(long, value_name = "N", default_value_t = 50)]
    rounds: u32,
    /// Record the result in this document
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl KillCommand {
    /// Kills and counts: 0 if nothing is lost and nothing is in the lake twice, 1 if something is, 2 if it cannot be known.
    pub fn run(self) -> ExitCode {
        let start = Instant::now();
        let played = Program::this().map_err(Stop::Failed).and_then(|program| {
            let played = self.play(&program)?;
            self.record(&program, &played, start)?;
            Ok(played)
        });
        match played {
            Ok(played) => {
                match self.json {
                    true => println!(
                        "{}",
                        serde_json::to_string_pretty(&played).unwrap_or_default()
                    ),
                    false => println!("{}", self.sentence(&played, start)),
                }
                ExitCode::from(u8::from(!played.is_good()))
            }
            Err(Stop::Skipped(why) | Stop::Failed(why)) => {
                eprintln!("flumen bench kill: {why}");
                ExitCode::from(2)
            }
        }
    }

    fn play(&self, program: &Program) -> Result<Played, Stop> {
        let length = Length {
            seconds: 1,
            rounds: self.rounds.max(1),
        };
        let stage = Stage::new(program, length)?;
        let bar = self.bar();
        let played = lake::killed_router(&stage, |round| bar.set_position(u64::from(round)));
        bar.finish_and_clear();
        played
    }

    fn bar(&self) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(u64::from(self.rounds));
        match ProgressStyle::with_template(
            "{elapsed_precise} {wide_bar} killed {pos} of {len} times",
        ) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }

    fn sentence(&self, played: &Played, start: Instant) -> String {
        let mut text = format!(
            "{} rounds of kill -9 in {:.0} s, over tail and forward to the lake: {} lines had to arrive, {} did, {} were lost, \
             {} were in the lake's objects twice; at most {:.1} MiB of memory.",
            self.rounds,
            start.elapsed().as_secs_f64(),
            played.must_deliver,
            played.delivered,
            played.lost,
            played.repeated,
            played.peak_memory_kib as f64 / 1024.0,
        );
        if !played.lost_lines.is_empty() {
            text.push_str(&format!(" Lost: {}.", played.lost_lines.join(", ")));
        }
        text
    }

    fn record(&self, program: &Program, played: &Played, start: Instant) -> Result<(), String> {
        let Some(path) = &self.markdown else {
            return Ok(());
        };
        let circumstances = document::circumstances(std::slice::from_ref(program));
        let text = format!(
            "## Kill -9\n\n{}\n\n{circumstances}\n",
            self.sentence(played, start)
        );
        document::put(path, "kills", &text)
    }
}
