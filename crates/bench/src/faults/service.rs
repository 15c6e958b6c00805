//! Where records of a run go: a sink in this process, or a lake in one of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aws::{Client, ClientOptions, CredentialsOptions, CredentialsProvider, Environment, Service};
use serde_json::json;
use tokio::sync::oneshot;

use super::configuration::{NAME, REGION, Target};
use super::router::KEY;
use crate::process::Process;
use crate::report::{Report, Sent};
use crate::sink::{Outage, certificate};
use crate::{Faults, Sink};

/// As long as no row takes.
const AWAY_MAX: Duration = Duration::from_secs(1 << 24);
const START_MAX: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Something that says what has arrived.
pub trait Destination {
    /// What has arrived of what was sent.
    fn report(&self, sent: &Sent) -> Result<Report, String>;
}

/// A sink on a thread of its own; it ends with this value.
pub struct SinkService {
    /// What it counts, and what goes wrong with it.
    pub sink: Sink,
    target: Target,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SinkService {
    /// Starts one; with `ca_file` it speaks TLS, and its certificate is written there.
    pub fn start(faults: Faults, ca_file: Option<PathBuf>) -> Result<SinkService, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let tls = match ca_file.clone() {
            None => None,
            Some(path) => Some(certificate::make(address.ip(), Some(path))?.0),
        };
        let sink = Sink::new(faults, false);
        let (end, ended) = oneshot::channel::<()>();
        let serving = sink.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let thread = std::thread::Builder::new().name("sink".to_owned());
        let thread = thread.spawn(move || {
            runtime.block_on(async move {
                if listener.set_nonblocking(true).is_err() {
                    return;
                }
                if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                    tokio::select! {
                        () = serving.serve(listener, tls) => {}
                        _ = ended => {}
                    }
                }
            });
        });
        Ok(SinkService {
            sink,
            target: Target { address, ca_file },
            end: Some(end),
            thread: Some(thread.map_err(|error| error.to_string())?),
        })
    }

    /// Is out of reach from now on, or back: no request is taken meanwhile, not even half of one.
    pub fn set_away(&self, is_away: bool) {
        let forever = Outage {
            length: AWAY_MAX,
            start: Duration::ZERO,
        };
        self.sink.set_faults(Faults {
            outage: is_away.then_some(forever).into_iter().collect(),
            ..Faults::default()
        });
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The same service behind a proxy.
    pub fn behind(&self, address: SocketAddr) -> Target {
        Target {
            address,
            ..self.target.clone()
        }
    }
}

impl Destination for SinkService {
    fn report(&self, sent: &Sent) -> Result<Report, String> {
        Ok(self.sink.report(Some(sent)))
    }
}

impl Drop for SinkService {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A lake, with a delivery stream that makes an object of each megabyte or second; it is killed with this value.
pub struct LakeService {
    process: Option<Process>,
    folder: PathBuf,
    address: SocketAddr,
}

impl LakeService {
    /// Starts one with its data below `folder`, and makes the stream.
    pub fn start(folder: &Path) -> Result<LakeService, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let mut lake = LakeService {
            process: None,
            folder: folder.to_owned(),
            address: free.map_err(|error| error.to_string())?,
        };
        lake.start_again(&[])?;
        lake.create_stream()?;
        Ok(lake)
    }

    /// Starts the lake on the same data and the same port, by `wrapper`, such as `strace …`.
    pub fn start_again(&mut self, wrapper: &[&str]) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let words = wrapper.iter().map(std::ffi::OsString::from);
        let mut words = words.chain([program.into_os_string()]);
        let mut command = std::process::Command::new(words.next().unwrap_or_default());
        command.args(words).args(["lake", "--listen"]);
        command.arg(self.address.to_string());
        command.arg("--data").arg(self.folder.join("lake"));
        command.stdout(std::process::Stdio::null());
        let mut process = Process::spawn(command, &self.folder.join("lake.log"))?;
        let end = Instant::now() + START_MAX;
        while std::net::TcpStream::connect(self.address).is_err() {
            // One that is killed as it starts is a fault like any other.
            if !wrapper.is_empty() && process.has_ended() {
                break;
            }
            process
                .check()
                .map_err(|error| format!("the lake: {error}"))?;
            if Instant::now() > end {
                return Err("the lake does not listen".to_owned());
            }
            std::thread::sleep(LOOK);
        }
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Whether it has ended by itself, or by what its wrapper did to it.
    pub fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(Process::has_ended)
    }

    /// Where it is.
    pub fn target(&self) -> Target {
        Target {
            address: self.address,
            ca_file: None,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn create_stream(&self) -> Result<(), String> {
        let environment = Environment::fixed([
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEY.to_owned()),
        ]);
        let credentials = CredentialsOptions {
            region: REGION.to_owned(),
            ..CredentialsOptions::default()
        };
        let body = json!({
            "DeliveryStreamName": NAME,
            "DeliveryStreamType": "DirectPut",
            "ExtendedS3DestinationConfiguration": {
                "RoleARN": "arn:aws:iam::123456789012:role/any",
                "BucketARN": format!("arn:aws:s3:::{NAME}"),
                "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 1},
                "CompressionFormat": "UNCOMPRESSED",
            },
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let create = async {
            let provider = CredentialsProvider::new(&credentials, &environment)
                .map_err(|error| error.to_string())?;
            let options = ClientOptions::new(Service::FIREHOSE, REGION);
            let client =
                Client::new(options, provider, &environment).map_err(|error| error.to_string())?;
            client
                .post_json("Firehose_20150804.CreateDeliveryStream", body.to_string())
                .await
                .map_err(|error| format!("the delivery stream: {error}"))
        };
        let created = tokio::task::LocalSet::new().block_on(&runtime, create);
        created.map(|_| ())
    }
}

impl Destination for LakeService {
    /// Reads the lake's objects, as `flumen bench verify` does.
    fn report(&self, sent: &Sent) -> Result<Report, String> {
        let file = self.folder.join("sent.json");
        let text = serde_json::to_string(sent).map_err(|error| error.to_string())?;
        std::fs::write(&file, text).map_err(|error| error.to_string())?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let output = std::process::Command::new(program)
            .args(["bench", "verify", "--json", "--region", REGION])
            .args([
                "--s3",
                &format!("s3://{NAME}/"),
                "--endpoint-url",
                &self.url(),
            ])
            .arg("--sent")
            .arg(&file)
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", KEY)
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .output()
            .map_err(|error| error.to_string())?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            let error = String::from_utf8_lossy(&output.stderr);
            format!("the lake's objects: {}", error.trim())
        })
    }
}
