//! A lake of the test's own, used as anybody would: through AWS's own client.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::process::{Process, output_of};
use super::wait::{until, until_some};
use super::{BUCKET, free_port};

/// The services that routers deliver to and objects are read from: `flumen lake`, or a server that speaks as it does.
pub struct Lake {
    process: Process,
    folder: PathBuf,
    /// The AWS command line, version 1.
    aws: PathBuf,
    port: u16,
}

impl Lake {
    /// Starts `flumen lake` with its data in `folder`, and makes the post's bucket.
    pub fn start(folder: &Path, aws: &Path) -> Lake {
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
        command.arg("lake").arg("--data").arg(folder.join("lake"));
        command.arg("--listen").arg(format!("127.0.0.1:{port}"));
        Lake::with_server(&mut command, port, folder, aws)
    }

    /// Starts moto's server, which keeps everything in memory, and makes the post's bucket.
    pub fn moto(program: &Path, folder: &Path, aws: &Path) -> Lake {
        let port = free_port();
        let mut server = Command::new(program);
        server.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
        Lake::with_server(&mut server, port, folder, aws)
    }

    /// Starts `server`, which will listen on `port`, and makes the post's bucket.
    fn with_server(server: &mut Command, port: u16, folder: &Path, aws: &Path) -> Lake {
        let mut process = Process::start("lake", server, folder);
        until("the lake to listen", || {
            assert!(
                process.ended().is_none(),
                "the lake ended: {}",
                process.log()
            );
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let lake = Lake {
            process,
            folder: folder.to_owned(),
            aws: aws.to_owned(),
            port,
        };
        lake.aws(&["s3", "mb", &format!("s3://{BUCKET}")]);
        lake
    }

    /// Points AWS clients, and routers, to this lake, and away from whatever the machine is set up for.
    pub fn point<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        command
            .env("AWS_ENDPOINT_URL", self.endpoint())
            .env("AWS_ACCESS_KEY_ID", "flumen")
            .env("AWS_SECRET_ACCESS_KEY", "flumen")
            .env("AWS_REGION", "us-west-2")
            .env("AWS_DEFAULT_REGION", "us-west-2")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // An error is to be seen, not tried away.
            .env("AWS_MAX_ATTEMPTS", "1")
    }

    /// Where the lake listens, as an URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The AWS command line `program`, told by its option where the lake is: older ones know no variable for that.
    pub fn client(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        self.point(&mut command)
            .args(["--endpoint-url", &self.endpoint()])
            .args(arguments);
        command
    }

    /// Runs the AWS command line against this lake and returns what it printed.
    pub fn aws(&self, arguments: &[&str]) -> String {
        output_of(&mut self.client(&self.aws, arguments))
    }

    /// Makes a delivery stream as the post does, but one that delivers every second.
    pub fn create_stream(&self, name: &str, prefix: &str) {
        let destination = format!(
            "RoleARN=arn:aws:iam::123456789012:role/example_firehose_delivery_role,BucketARN=arn:aws:s3:::{BUCKET},\
             Prefix={prefix},BufferingHints={{SizeInMBs=1,IntervalInSeconds=1}}"
        );
        let kind = [
            "firehose",
            "create-delivery-stream",
            "--delivery-stream-type",
            "DirectPut",
        ];
        let named = [
            "--delivery-stream-name",
            name,
            "--s3-destination-configuration",
            &destination,
        ];
        self.aws(&[kind, named].concat());
        until("the delivery stream to be active", || {
            self.stream_status(name) == "ACTIVE"
        });
    }

    fn stream_status(&self, name: &str) -> String {
        let query = [
            "--query",
            "DeliveryStreamDescription.DeliveryStreamStatus",
            "--output",
            "text",
        ];
        let describe = [
            "firehose",
            "describe-delivery-stream",
            "--delivery-stream-name",
            name,
        ];
        self.aws(&[describe, query].concat()).trim().to_owned()
    }

    /// Every record in the objects whose names start with `prefix`: one JSON value a line.
    pub fn records(&self, prefix: &str) -> Vec<Value> {
        let copy = self.folder.join("objects");
        let include = format!("{prefix}*");
        let target = copy.to_string_lossy();
        let filters = ["--exclude", "*", "--include", &include, "--no-progress"];
        self.aws(
            &[
                &["s3", "sync", &format!("s3://{BUCKET}"), &target][..],
                &filters,
            ]
            .concat(),
        );
        let mut texts = Vec::new();
        read_files(&copy, &mut texts);
        let lines = texts.iter().flat_map(|text| text.lines());
        lines
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// Waits until the objects hold at least `count` records, and returns all of them.
    pub fn delivered(&self, prefix: &str, count: usize) -> Vec<Value> {
        self.delivered_when(prefix, &format!("{count} records"), |records| {
            records.len() >= count
        })
    }

    /// Waits until `enough` says so of the records, and returns them.
    pub fn delivered_when(
        &self,
        prefix: &str,
        what: &str,
        enough: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        until_some(&format!("{what} under {prefix}"), || {
            let records = self.records(prefix);
            enough(&records).then_some(records)
        })
    }

    /// Ends the lake, which must go well.
    pub fn terminate(self) {
        let status = self.process.terminate();
        assert!(status.success(), "the lake: {status}");
    }
}

fn read_files(folder: &Path, texts: &mut Vec<String>) {
    // Before the first object there is no folder.
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry of the copied objects").path();
        if path.is_dir() {
            read_files(&path, texts);
        } else {
            texts.push(
                fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            );
        }
    }
}
