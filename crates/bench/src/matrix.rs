//! `flumen bench matrix`: the load matrix that AWS runs on each release of its Fluent Bit distribution, against this
//! program as the router. Each case is a router, a sink and a generator on this machine's loopback.

mod case;
mod configuration;
mod endpoint;
mod fault_set;
mod published;
mod result;
mod router;
mod run;

use std::process::ExitCode;
use std::time::Duration;

use case::Case;
use fault_set::FaultSet;
use result::{Form, Outcome};
use run::Run;

/// What `flumen bench matrix` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct MatrixCommand {
    /// How long each case writes
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    seconds: u64,
    /// Only cases whose name, such as firehose/tcp/20, contains this. Several, between commas, add up
    #[arg(long, value_name = "FILTER", value_delimiter = ',')]
    only: Vec<String>,
    /// Play every case once for each of these: none, partial, throttle, outage, cut, expired; `partial+cut` has both
    #[arg(
        long,
        value_name = "FAULTS",
        value_delimiter = ',',
        default_value = "none"
    )]
    faults: Vec<FaultSet>,
    /// Send to a lake instead of to sinks, with the credentials of the environment
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Print a table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl MatrixCommand {
    /// Plays the cases: 0 if nothing is lost and nothing repeated but what got no verdict, else 1.
    pub fn run(self) -> ExitCode {
        let cases: Vec<Case> = case::all()
            .into_iter()
            .filter(|case| case.is_among(&self.only))
            .collect();
        if cases.is_empty() {
            let names: Vec<String> = case::all().iter().map(Case::name).collect();
            eprintln!(
                "flumen bench matrix: no case matches; there are: {}",
                names.join(", ")
            );
            return ExitCode::FAILURE;
        }
        if self.endpoint_url.is_some() && self.faults.iter().any(|faults| !faults.is_none()) {
            eprintln!(
                "flumen bench matrix: a lake injects no faults: leave out --faults or --endpoint-url"
            );
            return ExitCode::FAILURE;
        }
        let mut outcomes = Vec::new();
        for faults in &self.faults {
            for case in &cases {
                let run = Run {
                    case: *case,
                    faults: faults.clone(),
                    duration: Duration::from_secs(self.seconds),
                    endpoint: self.endpoint_url.clone(),
                };
                let outcome = Outcome::of(&run, run.play());
                eprintln!("{}", outcome.line());
                outcomes.push(outcome);
            }
        }
        let form = match (self.json, self.markdown) {
            (true, _) => Form::Json,
            (_, true) => Form::Markdown,
            _ => Form::Terminal,
        };
        println!("{}", result::render(&outcomes, form));
        match outcomes.iter().all(Outcome::is_good) {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}
