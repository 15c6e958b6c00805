//! Where a run's records go: a sink of its own, or a lake.

use std::path::Path;
use std::time::{Duration, Instant};

use aws::Service;
use http::Method;
use http::uri::PathAndQuery;
use serde_json::json;

use super::case::{Case, Destination};
use super::configuration::REGION;
use super::fault_set::FaultSet;
use crate::process::Process;
use crate::report::{Report, Sent};
use crate::verify::call::Caller;
use crate::verify::{Place, VerifyCommand, sink};

/// How long a lake may take to deliver what it buffers.
const LAKE_PATIENCE: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(250);

/// A destination.
pub enum Endpoint {
    /// A sink, and where it is.
    Sink(Process, String),
    /// A lake, and where the records of this run will be.
    Lake(String, Place),
}

impl Endpoint {
    /// Starts a sink with these faults.
    pub fn sink(faults: &FaultSet, duration: Duration, folder: &Path) -> Result<Endpoint, String> {
        let mut arguments: Vec<String> = ["bench", "sink", "--json", "--listen", "127.0.0.1:0"]
            .map(str::to_owned)
            .into();
        arguments.extend(faults.arguments(duration));
        let mut process = Process::start(&arguments, &[], &folder.join("sink.log"))?;
        let line = process.first_line()?;
        match line.strip_prefix("listening on ") {
            Some(url) => Ok(Endpoint::Sink(process, url.to_owned())),
            None => Err(format!("it said: {line}")),
        }
    }

    /// Makes what the records of `case` need in a lake.
    pub fn lake(url: &str, case: &Case, name: &str) -> Result<Endpoint, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let prepare = prepare(url, case, name);
        tokio::task::LocalSet::new().block_on(&runtime, prepare)?;
        let mut place = Place::default();
        match case.destination {
            Destination::CloudWatch => place.log_group = Some(name.to_owned()),
            Destination::Kinesis => place.stream = Some(name.to_owned()),
            Destination::Firehose | Destination::S3 => place.s3 = Some(format!("s3://{name}/")),
        }
        Ok(Endpoint::Lake(url.to_owned(), place))
    }

    /// Where the router sends.
    pub fn url(&self) -> &str {
        match self {
            Endpoint::Sink(_, url) | Endpoint::Lake(url, _) => url,
        }
    }

    /// Waits until everything that was sent has arrived, or nothing more arrives for a while; calls `look` now and then.
    pub fn settle(
        &self,
        sent: &Sent,
        patience: Duration,
        mut look: impl FnMut(u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let Endpoint::Sink(_, url) = self else {
            return Ok(());
        };
        let (mut received, mut since) = (0, Instant::now());
        loop {
            let report = sink::report(url, Some(sent))?;
            look(report.received)?;
            if report.lost == 0 {
                return Ok(());
            }
            if report.received > received {
                (received, since) = (report.received, Instant::now());
            }
            if since.elapsed() > patience {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What has arrived in the end.
    pub fn report(self, sent: &Sent) -> Result<Report, String> {
        match self {
            Endpoint::Sink(process, url) => {
                let report = sink::report(&url, Some(sent))?;
                process
                    .stop()
                    .map_err(|error| format!("the sink: {error}"))?;
                Ok(report)
            }
            Endpoint::Lake(url, place) => {
                let verify = VerifyCommand {
                    place,
                    endpoint_url: Some(url),
                    region: Some(REGION.to_owned()),
                    sent: None,
                    wait: Some(LAKE_PATIENCE),
                    json: false,
                };
                verify.report(Some(sent))
            }
        }
    }
}

async fn prepare(url: &str, case: &Case, name: &str) -> Result<(), String> {
    let caller = |service| Caller::new(service, REGION, Some(url));
    match case.destination {
        // The router creates the group.
        Destination::CloudWatch => Ok(()),
        Destination::Firehose => {
            let input = json!({
                "DeliveryStreamName": name,
                "DeliveryStreamType": "DirectPut",
                "ExtendedS3DestinationConfiguration": {
                    "RoleARN": "arn:aws:iam::123456789012:role/any",
                    "BucketARN": format!("arn:aws:s3:::{name}"),
                    "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 0},
                    "CompressionFormat": "UNCOMPRESSED",
                },
            });
            let operation = "Firehose_20150804.CreateDeliveryStream";
            caller(Service::FIREHOSE)?
                .json::<serde_json::Value>(operation, &input)
                .await
                .map(|_| ())
        }
        Destination::Kinesis => {
            let input = json!({"StreamName": name, "ShardCount": 1}).to_string();
            let request = aws::Request::json("Kinesis_20131202.CreateStream", input.as_bytes());
            let created = caller(Service::KINESIS)?.send(request).await;
            created.map(|_| ()).map_err(|error| error.to_string())
        }
        Destination::S3 => {
            let target =
                PathAndQuery::try_from(format!("/{name}")).map_err(|error| error.to_string())?;
            let request = aws::Request::new(Method::PUT, target, b"");
            let created = caller(Service::S3)?.send(request).await;
            created.map(|_| ()).map_err(|error| error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::case::Source;
    use crate::verify::tests::{line, sent, serve, with_credentials};

    #[test]
    fn a_lake_gets_what_a_case_needs_and_is_read_in_the_end() {
        with_credentials();
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        let url = serve(move |listener| async move {
            let lake = lake::Lake::open(lake::Options::new(data)).await.unwrap();
            lake.serve(listener, std::future::pending()).await;
        });
        let case = |destination| Case {
            destination,
            source: Source::Tcp,
            megabytes: 20,
        };
        Endpoint::lake(&url, &case(Destination::S3), "bucket-of-its-own").unwrap();
        let endpoint =
            Endpoint::lake(&url, &case(Destination::Firehose), "stream-of-its-own").unwrap();
        assert_eq!(endpoint.url(), url);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let records: Vec<_> = (0..10)
                .map(|seq| json!({"Data": base64_simd::STANDARD.encode_to_string(line(seq))}))
                .collect();
            let input = json!({"DeliveryStreamName": "stream-of-its-own", "Records": records});
            let caller = Caller::new(Service::FIREHOSE, REGION, Some(&url)).unwrap();
            let operation = "Firehose_20150804.PutRecordBatch";
            caller
                .json::<serde_json::Value>(operation, &input)
                .await
                .unwrap();
        });
        let report = endpoint.report(&sent(10)).unwrap();
        assert!(report.is_clean() && report.received == 10, "{report:?}");
    }
}
