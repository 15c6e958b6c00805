//! The post's EKS configuration in each router's language: tail docker's files, parse the JSON and NGINX's line, send. And
//! the other common roads, in Fluent Bit's language alone.
//!
//! Fluent Bit's file is the post's own but for paths, the endpoint, `Read_from_Head` (so that nothing depends on who is
//! first, the router or the writer) and the name of the output plugin, which is C now. Draining goes without
//! `Mem_Buf_Limit`: with it Fluent Bit pauses most of the time.

use std::path::{Path, PathBuf};

use super::case::{Case, Destination, Load, Source};
use super::contestant::{Contestant, Kind};

/// The region of everything.
pub const REGION: &str = "us-west-2";
/// The stream or group that everybody sends to.
const NAME: &str = "flumen-bench";

const PARSERS: &str = r#"[PARSER]
    Name   nginx
    Format regex
    Regex ^(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^\"]*?)(?: +\S*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^\"]*)" "(?<agent>[^\"]*)")? \"-\"$
    Time_Key time
    Time_Format %d/%b/%Y:%H:%M:%S %z
[PARSER]
    Name        docker
    Format      json
    Time_Key    time
    Time_Format %Y-%m-%dT%H:%M:%S.%L
    Time_Keep   On
    Decode_Field_As   escaped    log
[PARSER]
    Name        cri
    Format      regex
    Regex       ^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$
    Time_Key    time
    Time_Format %Y-%m-%dT%H:%M:%S.%L%z
[PARSER]
    Name        json
    Format      json
    Time_Key    time
    Time_Format %Y-%m-%dT%H:%M:%S.%L
"#;

/// NGINX's pattern with the group names of Rust's and Ruby's regular expressions.
const NGINX: &str = r#"^(?P<remote>[^ ]*) (?P<host>[^ ]*) (?P<user>[^ ]*) \[(?P<time>[^\]]*)\] "(?P<method>\S+)(?: +(?P<path>[^"]*?)(?: +\S*)?)?" (?P<code>[^ ]*) (?P<size>[^ ]*)(?: "(?P<referer>[^"]*)" "(?P<agent>[^"]*)")? "-"$"#;

/// What a configuration needs to know.
pub struct Place<'a> {
    /// The run's own folder.
    pub folder: &'a Path,
    /// The folder of the log files.
    pub logs: &'a Path,
    /// The socket of the forward protocol.
    pub socket: &'a Path,
    /// Port and certificate of each sink.
    pub sinks: &'a [(u16, PathBuf)],
}

/// Writes the configuration, and returns the arguments that the program takes.
pub fn write(
    contestant: &Contestant,
    case: &Case,
    place: &Place<'_>,
) -> Result<Vec<String>, String> {
    let is_post = case.source == Source::Docker
        && matches!(
            case.destination,
            Destination::CloudWatch | Destination::Firehose
        );
    if !is_post && matches!(contestant.kind, Kind::Vector | Kind::Fluentd) {
        return Err("this road is written in Fluent Bit's language alone".to_owned());
    }
    let destination = case.destination;
    match contestant.kind {
        Kind::Flumen | Kind::FluentBit => {
            put(place, "parsers.conf", PARSERS)?;
            let file = put(place, "fluent-bit.conf", &fluent_bit(case, place))?;
            Ok(vec!["-c".into(), file.display().to_string()])
        }
        Kind::Vector => {
            let file = put(place, "vector.toml", &vector(destination, place))?;
            Ok(vec!["--config".into(), file.display().to_string()])
        }
        Kind::Fluentd => {
            let file = put(place, "fluentd.conf", &fluentd(destination, place))?;
            Ok(vec!["-c".into(), file.display().to_string()])
        }
    }
}

fn put(place: &Place<'_>, name: &str, text: &str) -> Result<PathBuf, String> {
    let path = place.folder.join(name);
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

fn fluent_bit(case: &Case, place: &Place<'_>) -> String {
    let filter = match case.source {
        Source::Docker => {
            "[FILTER]\n    Name parser\n    Match **\n    Parser nginx\n    Key_Name log\n"
        }
        _ => "",
    };
    let sinks = place.sinks.iter();
    let outputs: String = sinks
        .zip(outputs(case.destination, place))
        .map(|((port, ca_file), output)| {
            let endpoint = match case.destination {
                Destination::S3Gzip => format!("    endpoint https://localhost:{port}\n"),
                _ => format!("    endpoint localhost\n    port {port}\n"),
            };
            format!(
                "[OUTPUT]\n    Match **\n    region {REGION}\n{endpoint}    tls.ca_file {}\n{output}",
                ca_file.display()
            )
        })
        .collect();
    let input = input(case, place);
    format!("[SERVICE]\n    Parsers_File parsers.conf\n[INPUT]\n{input}{filter}{outputs}")
}

fn input(case: &Case, place: &Place<'_>) -> String {
    if case.source.forward().is_some() {
        let socket = place.socket.display();
        return format!("    Name      forward\n    Unix_Path {socket}\n");
    }
    let parser = match case.source {
        Source::Cri => "Parser            cri",
        Source::Json => "Parser            json",
        Source::Java => "multiline.parser  java",
        _ => "Parser            docker",
    };
    let limit = match case.load {
        Load::Rate(_) => "    Mem_Buf_Limit     5MB\n",
        Load::Drain => "",
    };
    format!(
        "    Name              tail\n    Tag               kube.*\n    Path              {logs}/*.log\n    {parser}\n    \
         DB                {folder}/flb_kube.db\n{limit}    Skip_Long_Lines   On\n    Refresh_Interval  10\n    \
         Read_from_Head    On\n",
        logs = place.logs.display(),
        folder = place.folder.display(),
    )
}

/// What is particular to each output, one for each sink.
fn outputs(destination: Destination, place: &Place<'_>) -> Vec<String> {
    let firehose = || format!("    Name            kinesis_firehose\n    delivery_stream {NAME}\n");
    let cloudwatch = || {
        format!(
            "    Name              cloudwatch_logs\n    log_group_name    {NAME}\n    log_stream_name   bench\n    \
             auto_create_group On\n"
        )
    };
    match destination {
        Destination::Firehose => vec![firehose()],
        Destination::CloudWatch => vec![cloudwatch()],
        Destination::FanOut => {
            let kinesis = format!("    Name   kinesis_streams\n    stream {NAME}\n");
            vec![firehose(), cloudwatch(), kinesis]
        }
        Destination::S3Gzip => {
            let folder = place.folder.join("s3");
            vec![format!(
                "    Name            s3\n    bucket          {NAME}\n    use_put_object  On\n    compression     gzip\n    \
                 total_file_size 10M\n    upload_timeout  5s\n    store_dir       {}\n",
                folder.display()
            )]
        }
    }
}

fn vector(destination: Destination, place: &Place<'_>) -> String {
    let sink = match destination {
        Destination::Firehose => {
            format!("type = \"aws_kinesis_firehose\"\nstream_name = \"{NAME}\"\n")
        }
        _ => format!(
            "type = \"aws_cloudwatch_logs\"\ngroup_name = \"{NAME}\"\nstream_name = \"bench\"\n"
        ),
    };
    format!(
        "data_dir = \"{folder}\"\n\n[sources.files]\ntype = \"file\"\ninclude = [\"{logs}/*.log\"]\n\
         read_from = \"beginning\"\n\n[transforms.parse]\ntype = \"remap\"\ninputs = [\"files\"]\nsource = '''\n\
         . = object!(parse_json!(.message))\nfields, error = parse_regex(.log, r'{NGINX}')\n\
         if error == null {{ . = fields }}\n'''\n\n[sinks.out]\n{sink}inputs = [\"parse\"]\nregion = \"{REGION}\"\n\
         endpoint = \"https://localhost:{port}\"\ntls.ca_file = \"{ca}\"\nencoding.codec = \"json\"\n\
         acknowledgements.enabled = true\n",
        folder = place.folder.display(),
        logs = place.logs.display(),
        port = place.sinks[0].0,
        ca = place.sinks[0].1.display(),
    )
}

fn fluentd(destination: Destination, place: &Place<'_>) -> String {
    let output = match destination {
        Destination::Firehose => {
            format!("  @type kinesis_firehose\n  delivery_stream_name {NAME}\n")
        }
        _ => format!(
            "  @type cloudwatch_logs\n  log_group_name {NAME}\n  log_stream_name bench\n  auto_create_stream true\n"
        ),
    };
    let pattern = NGINX.replace("?P<", "?<");
    format!(
        "<source>\n  @type tail\n  tag kube.*\n  path {logs}/*.log\n  pos_file {folder}/fluentd.pos\n  \
         read_from_head true\n  <parse>\n    @type json\n    time_key time\n    keep_time_key true\n    \
         time_format %Y-%m-%dT%H:%M:%S.%N%z\n  </parse>\n</source>\n<filter **>\n  @type parser\n  key_name log\n  \
         <parse>\n    @type regexp\n    expression /{pattern}/\n    time_key time\n    \
         time_format %d/%b/%Y:%H:%M:%S %z\n  </parse>\n</filter>\n<match **>\n{output}  region {REGION}\n  \
         endpoint https://localhost:{port}\n  <buffer>\n    flush_interval 1s\n  </buffer>\n</match>\n",
        logs = place.logs.display(),
        folder = place.folder.display(),
        port = place.sinks[0].0,
    )
}
