//! `flumen lake`: the AWS services of the log path in the foreground.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use ::lake::{Lake, Level, Logger, Options, SyncMode};
use plugin::Log;
use tokio::net::TcpListener;

use crate::signals::{Asked, Signals};

/// What `flumen lake` is started with.
#[derive(Debug, clap::Args)]
pub struct LakeCommand {
    /// Folder of the lake's data; made if it is missing
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:4566")]
    listen: String,
    /// The access key id that requests have to be signed with
    #[arg(long, value_name = "ID", default_value = "flumen")]
    access_key_id: String,
    /// The secret that belongs to it
    #[arg(long, value_name = "SECRET", default_value = DEFAULT_SECRET, hide_default_value = true)]
    secret_access_key: Secret,
    /// The region that ARNs and answers name; requests may be signed for any
    #[arg(long, value_name = "REGION", default_value = "us-west-2")]
    region: String,
    /// The account that ARNs and answers name
    #[arg(long, value_name = "DIGITS", default_value = "123456789012", value_parser = account_id)]
    account_id: String,
    /// What an acknowledgement promises: full is on disk, normal is that the system has it, which a loss of power may undo
    #[arg(long, value_name = "full|normal", default_value = "full", value_parser = sync_mode)]
    sync: SyncMode,
}

/// No secret: everybody may know it, as the lake listens on this machine only.
const DEFAULT_SECRET: &str = "flumen";

/// A secret, which shows in no output.
#[derive(Clone)]
struct Secret(String);

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl LakeCommand {
    /// Serves until a signal ends it; fails if the folder or the address cannot be had.
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(self.serve()),
            Err(error) => Err(format!("the runtime cannot be started: {error}")),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(message) => {
                eprintln!("flumen lake: {message}");
                ExitCode::FAILURE
            }
        }
    }

    async fn serve(self) -> Result<(), String> {
        let log = Log::new("lake", plugin::Level::Info);
        let listener = TcpListener::bind(&self.listen).await;
        let listener =
            listener.map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let lake = Lake::open(self.options(log.clone()))
            .await
            .map_err(|error| error.to_string())?;
        let buffered = lake.counters().total().buffered_records;
        print!("{}", self.introduction(address));
        if buffered > 0 {
            log.info(format_args!(
                "{buffered} records of the last run are still buffered"
            ));
        }
        if !address.ip().is_loopback() && self.secret_access_key.0 == DEFAULT_SECRET {
            log.warn(format_args!(
                "listening on {address} with a secret that everybody knows: see --secret-access-key"
            ));
        }
        let mut signals = Signals::listen(log.clone());
        let stop = async move { while signals.next().await != Asked::Stop {} };
        lake.serve(listener, stop).await;
        lake.close().await;
        let buffered = lake.counters().total().buffered_records;
        log.info(format_args!(
            "stopped; {buffered} records stay buffered for the next start"
        ));
        Ok(())
    }

    fn options(&self, log: Log) -> Options {
        Options {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.0.clone(),
            region: self.region.clone(),
            account_id: self.account_id.clone(),
            sync: self.sync,
            logger: Logger::to(move |level, message| match level {
                Level::Error => log.error(message),
                Level::Warn => log.warn(message),
                Level::Info => log.info(message),
            }),
            ..Options::new(&self.data)
        }
    }

    /// What to type next.
    fn introduction(&self, address: SocketAddr) -> String {
        let (data, region, id, account) = (
            self.data.display(),
            &self.region,
            &self.access_key_id,
            &self.account_id,
        );
        let secret = match self.secret_access_key.0.as_str() {
            DEFAULT_SECRET => DEFAULT_SECRET,
            _ => "…",
        };
        format!(
            "Firehose, Kinesis, CloudWatch Logs, S3, STS and IAM are on http://{address}, their data in {data}. In another terminal:

  export AWS_ENDPOINT_URL=http://{reachable} AWS_REGION={region} AWS_DEFAULT_REGION={region}
  export AWS_ACCESS_KEY_ID={id} AWS_SECRET_ACCESS_KEY={secret}

  aws firehose create-delivery-stream --delivery-stream-name ecs-stream \\
      --s3-destination-configuration RoleARN=arn:aws:iam::{account}:role/any,BucketARN=arn:aws:s3:::logs,Prefix=ecs
  flumen -i dummy -o firehose -p delivery_stream=ecs-stream -p region={region}
  aws s3 ls --recursive s3://logs
  flumen query --data {data}

",
            reachable = reachable(address),
        )
    }
}

fn sync_mode(text: &str) -> Result<SyncMode, String> {
    match text {
        "full" => Ok(SyncMode::Full),
        "normal" => Ok(SyncMode::Normal),
        _ => Err("it is full or normal".to_owned()),
    }
}

/// The address as clients on this machine reach it.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

fn account_id(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an account has 12 digits".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        lake: LakeCommand,
    }

    fn parse(arguments: &[&str]) -> Result<LakeCommand, clap::Error> {
        Line::try_parse_from(["lake"].iter().chain(arguments)).map(|line| line.lake)
    }

    #[test]
    fn the_folder_is_all_that_has_to_be_given() {
        let command = parse(&["--data", "/tmp/lake"]).unwrap();
        assert_eq!(command.listen, "127.0.0.1:4566");
        let introduction = command.introduction("0.0.0.0:4566".parse().unwrap());
        assert!(
            introduction.contains("AWS_ENDPOINT_URL=http://127.0.0.1:4566 AWS_REGION=us-west-2"),
            "{introduction}"
        );
        assert!(
            introduction.contains("AWS_SECRET_ACCESS_KEY=flumen"),
            "{introduction}"
        );
        assert!(parse(&[]).is_err());
        assert!(
            parse(&["--data", "x", "--account-id", "12"])
                .unwrap_err()
                .to_string()
                .contains("12 digits")
        );
    }

    #[test]
    fn a_given_secret_is_not_shown() {
        let command = parse(&["--data", "x", "--secret-access-key", "canary"]).unwrap();
        let introduction = command.introduction("127.0.0.1:1".parse().unwrap());
        assert!(!introduction.contains("canary") && !format!("{command:?}").contains("canary"));
    }
}
