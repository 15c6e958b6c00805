//! The router's configuration for a case: what FireLens and AWS's load tests configure.

use std::path::Path;

use super::case::{Case, Destination, Source};

/// The region of everything.
pub const REGION: &str = "us-west-2";

/// Where the router listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A unix socket for the forward protocol.
    Unix(std::path::PathBuf),
    /// A TCP port.
    Tcp(u16),
}

/// The text of the configuration. `name` is what the stream, group or bucket is called; `folder` is the run's own.
pub fn text(case: &Case, listen: &Listen, name: &str, folder: &Path) -> String {
    let input = match listen {
        Listen::Unix(path) => format!("    Name      forward\n    Unix_Path {}\n", path.display()),
        Listen::Tcp(port) => format!(
            "    Name        tcp\n    Tag         bench\n    Listen      127.0.0.1\n    Port        {port}\n    \
             Format      none\n    Chunk_Size  32\n    Buffer_Size 64\n"
        ),
    };
    let output = match case.destination {
        Destination::CloudWatch => format!(
            "    Name              cloudwatch_logs\n    log_group_name    {name}\n    log_stream_name   bench\n    \
             auto_create_group On\n"
        ),
        Destination::Firehose => {
            format!("    Name            kinesis_firehose\n    delivery_stream {name}\n")
        }
        Destination::Kinesis => format!("    Name   kinesis_streams\n    stream {name}\n"),
        Destination::S3 => format!(
            "    Name            s3\n    bucket          {name}\n    total_file_size 50M\n    upload_timeout  1m\n    \
             store_dir       {}\n",
            folder.join("s3").display()
        ),
    };
    format!(
        "[SERVICE]\n    Flush     1\n    Grace     60\n    Log_Level info\n\n[INPUT]\n{input}\n\
         [OUTPUT]\n    Match  *\n    region {REGION}\n{output}"
    )
}

impl Listen {
    /// A place of its own for a case: a socket in `folder`, or a port that is free now.
    pub fn choose(source: Source, folder: &Path) -> std::io::Result<Listen> {
        match source {
            Source::Forward => Ok(Listen::Unix(folder.join("fluent.sock"))),
            Source::Tcp => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
                Ok(Listen::Tcp(listener.local_addr()?.port()))
            }
        }
    }
}
