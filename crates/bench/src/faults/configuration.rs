//! The configuration of a router that faults are done to: the post's, with this run's paths and ports.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::program::Dialect;

/// The region of everything.
pub const REGION: &str = "us-west-2";
/// What streams and buckets are called.
pub const NAME: &str = "faults";
/// The parsers `docker` and `nginx`.
pub const PARSERS: &str = include_str!("../../../../tests/seed/parsers.conf");

/// Where records go.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address of the service, or of a proxy before it.
    pub address: SocketAddr,
    /// The certificate to trust, if TLS is spoken.
    pub ca_file: Option<PathBuf>,
}

/// A configuration in the making.
#[derive(Clone, Debug)]
pub struct Configuration {
    dialect: Dialect,
    folder: PathBuf,
    service: String,
    sections: String,
}

impl Configuration {
    /// Without inputs and outputs, for a run in `folder`.
    pub fn new(dialect: Dialect, folder: &Path) -> Configuration {
        Configuration {
            dialect,
            folder: folder.to_owned(),
            service:
                "    Flush 1\n    Grace 20\n    Parsers_File parsers.conf\n    Log_Level info\n"
                    .to_owned(),
            sections: String::new(),
        }
    }

    /// The same with lines in `[SERVICE]`.
    pub fn service(mut self, lines: &[&str]) -> Configuration {
        push_lines(&mut self.service, lines);
        self
    }

    /// The post's tail input, which reads from the head: what was written before the router was up counts, too.
    pub fn tail(self, path: &str, lines: &[&str]) -> Configuration {
        let mut all = vec![
            "Tag kube.*",
            "Parser docker",
            "Mem_Buf_Limit 5MB",
            "Skip_Long_Lines On",
            "Refresh_Interval 10",
            "Read_from_Head On",
        ];
        all.extend(lines);
        self.tail_of(path, &all)
    }

    fn tail_of(self, path: &str, lines: &[&str]) -> Configuration {
        let path = format!("Path {}", self.at(path));
        let db = format!("DB {}", self.at("tail.db"));
        let mut all = lines.to_vec();
        all.push(&path);
        if !all.iter().any(|line| line.starts_with("DB ")) {
            all.push(&db);
        }
        self.section("INPUT", "tail", &all)
    }

    /// A tail input of plain lines without a filter behind it, for rows that are not about the post's lines.
    pub fn plain_tail(self, path: &str, lines: &[&str]) -> Configuration {
        let mut all = vec!["Tag plain.*", "Refresh_Interval 2", "Read_from_Head On"];
        all.extend(lines);
        self.tail_of(path, &all)
    }

    /// The post's filter.
    pub fn nginx(self) -> Configuration {
        self.section(
            "FILTER",
            "parser",
            &["Match **", "Parser nginx", "Key_Name log"],
        )
    }

    /// The post's output.
    pub fn firehose(self, target: &Target, lines: &[&str]) -> Configuration {
        let stream = format!("delivery_stream {NAME}");
        let mut all = vec!["Match **", &stream];
        all.extend(lines);
        self.output("kinesis_firehose", target, &all)
    }

    /// Objects of a megabyte or a second, put at once.
    pub fn s3(self, target: &Target, lines: &[&str]) -> Configuration {
        let (bucket, store) = (
            format!("bucket {NAME}"),
            format!("store_dir {}", self.at("s3")),
        );
        let mut all = vec!["Match **", bucket.as_str()];
        if !lines.iter().any(|line| line.starts_with("store_dir")) {
            all.push(&store);
        }
        if !lines.iter().any(|line| line.starts_with("total_file_size")) {
            all.extend([
                "total_file_size 1M",
                "upload_timeout 1s",
                "use_put_object on",
            ]);
        }
        all.push("s3_key_format /$TAG/%Y/%m/%d/%H/%M/%S/$UUID");
        all.extend(lines);
        self.output("s3", target, &all)
    }

    /// Log events.
    pub fn cloudwatch(self, target: &Target) -> Configuration {
        let group = format!("log_group_name {NAME}");
        let all = [
            "Match **",
            &group,
            "log_stream_name faults",
            "auto_create_group On",
        ];
        self.output("cloudwatch_logs", target, &all)
    }

    /// A section of any kind.
    pub fn section(mut self, kind: &str, name: &str, lines: &[&str]) -> Configuration {
        self.sections
            .push_str(&format!("[{kind}]\n    Name {name}\n"));
        push_lines(&mut self.sections, lines);
        self
    }

    fn output(self, name: &str, target: &Target, lines: &[&str]) -> Configuration {
        let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        all.push(format!("region {REGION}"));
        let address = target.address;
        match (self.dialect, &target.ca_file) {
            (Dialect::FluentBit, Some(ca_file)) => {
                all.push(format!("endpoint {}", address.ip()));
                all.push(format!("port {}", address.port()));
                all.push(format!("tls.ca_file {}", ca_file.display()));
            }
            (_, Some(ca_file)) => {
                all.push(format!("endpoint https://{address}"));
                all.push(format!("tls.ca_file {}", ca_file.display()));
            }
            (_, None) => all.push(format!("endpoint http://{address}")),
        }
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        self.section("OUTPUT", name, &all)
    }

    fn at(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// As it is written to a file.
    pub fn text(&self) -> String {
        format!("[SERVICE]\n{}{}", self.service, self.sections)
    }
}

fn push_lines(text: &mut String, lines: &[&str]) {
    for line in lines {
        text.push_str(&format!("    {line}\n"));
    }
}
