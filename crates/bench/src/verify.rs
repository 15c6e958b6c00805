//! `flumen bench verify`: reads a destination and says which lines are lost, repeated or out of order.

pub mod call;
mod kinesis;
mod logs;
mod s3;
pub mod sink;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::quantity;
use crate::report::{Report, Sent};
use crate::tally::Tally;

/// Between two looks at a destination.
const PAUSE: Duration = Duration::from_secs(2);
/// The destination could not be read: neither clean nor not.
const UNREADABLE: u8 = 2;

/// What `flumen bench verify` is started with.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyCommand {
    /// Where the lines should be
    #[command(flatten)]
    pub place: Place,
    /// The endpoint to use instead of AWS's, of a lake say
    #[arg(long, value_name = "URL")]
    pub endpoint_url: Option<String>,
    /// The region; by default that of the environment
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// What was sent, as `gen --sent` wrote it; without it lines that are missing at the end do not show
    #[arg(long, value_name = "FILE")]
    pub sent: Option<PathBuf>,
    /// Look again for so long while something is missing
    #[arg(long, value_name = "TIME", value_parser = quantity::duration, requires = "sent")]
    pub wait: Option<Duration>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// Where lines should be.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// Objects: s3://BUCKET/PREFIX
    #[arg(long, value_name = "URL")]
    pub s3: Option<String>,
    /// A log group of CloudWatch Logs
    #[arg(long, value_name = "NAME")]
    pub log_group: Option<String>,
    /// A data stream of Kinesis
    #[arg(long, value_name = "NAME")]
    pub stream: Option<String>,
    /// A running `flumen bench sink`
    #[arg(long, value_name = "URL")]
    pub sink: Option<String>,
}

impl VerifyCommand {
    /// Reads and reports: 0 if nothing is lost or repeated, 1 if something is, 2 if it cannot be known.
    pub fn run(self) -> ExitCode {
        match self.sent().and_then(|sent| self.report(sent.as_ref())) {
            Ok(report) => {
                match self.json {
                    true => println!("{}", report.json()),
                    false => print!("{}", report.table()),
                }
                match report.is_clean() {
                    true => ExitCode::SUCCESS,
                    false => ExitCode::FAILURE,
                }
            }
            Err(message) => {
                eprintln!("flumen bench verify: {message}");
                ExitCode::from(UNREADABLE)
            }
        }
    }

    fn sent(&self) -> Result<Option<Sent>, String> {
        let Some(path) = &self.sent else {
            return Ok(None);
        };
        let text = std::fs::read(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        match serde_json::from_slice(&text) {
            Ok(sent) => Ok(Some(sent)),
            Err(error) => Err(format!(
                "{} is not what gen --sent writes: {error}",
                path.display()
            )),
        }
    }

    /// What has arrived; looks again as long as something is missing and there is time.
    pub fn report(&self, sent: Option<&Sent>) -> Result<Report, String> {
        let end = Instant::now() + self.wait.unwrap_or_default();
        loop {
            let report = self.look(sent)?;
            if report.lost == 0 || Instant::now() >= end {
                return Ok(report);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn look(&self, sent: Option<&Sent>) -> Result<Report, String> {
        if let Some(url) = &self.place.sink {
            return sink::report(url, sent);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("the runtime cannot be started: {error}"))?;
        let tally = tokio::task::LocalSet::new().block_on(&runtime, self.read())?;
        Ok(tally.report(sent))
    }

    async fn read(&self) -> Result<Tally, String> {
        let mut tally = Tally::default();
        let place = &self.place;
        if let Some(url) = &place.s3 {
            s3::read(&self.caller(aws::Service::S3)?, url, &mut tally).await?;
        } else if let Some(group) = &place.log_group {
            let caller = self.caller(aws::Service::CLOUDWATCH_LOGS)?;
            logs::read(&caller, group, &mut tally).await?;
        } else if let Some(stream) = &place.stream {
            let caller = self.caller(aws::Service::KINESIS)?;
            kinesis::read(&caller, stream, &mut tally).await?;
        }
        Ok(tally)
    }

    fn caller(&self, service: aws::Service) -> Result<call::Caller, String> {
        let of_environment = || {
            let names = ["AWS_REGION", "AWS_DEFAULT_REGION"];
            names.iter().find_map(|name| std::env::var(name).ok())
        };
        let region = self.region.clone().or_else(of_environment);
        let region = region.as_deref().unwrap_or("us-east-1");
        call::Caller::new(service, region, self.endpoint_url.as_deref())
    }
}

#[cfg(test)]
pub mod tests;
