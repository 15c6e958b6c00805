//! Fluentd's language, with the plugins `fluent-plugin-kinesis`, `fluent-plugin-cloudwatch-logs` and `fluent-plugin-s3`.

use super::{CRI, NAME, NGINX, NGINX_TIME, Place, REGION};
use crate::table::case::{Case, Destination, Source};

/// Waits for room instead of failing, so that draining loses nothing; sends within a second.
const BUFFER: &str = "  <buffer>\n    flush_interval 1s\n    overflow_action block\n  </buffer>\n";
/// Tags of files and of the socket. Everything would take in what Fluentd says of itself.
const TAGS: &str = "kube.** bench";
/// The times of docker, CRI and JSON.
const TIME: &str = "    time_key time\n    time_format %Y-%m-%dT%H:%M:%S.%N%z\n";

/// The configuration.
pub fn text(case: &Case, place: &Place<'_>) -> String {
    let outputs: Vec<String> = outputs(case.destination)
        .iter()
        .zip(place.ports)
        .map(|(output, port)| output.replace("PORT", &port.to_string()))
        .collect();
    let outputs = match &outputs[..] {
        [output] => format!("<match {TAGS}>\n{output}</match>\n"),
        several => {
            let stores: String = several
                .iter()
                .map(|output| format!("<store>\n{output}</store>\n"))
                .collect();
            format!("<match {TAGS}>\n  @type copy\n{stores}</match>\n")
        }
    };
    let filter = match case.source {
        Source::Docker => format!(
            "<filter {TAGS}>\n  @type parser\n  key_name log\n  <parse>\n    @type regexp\n    expression /{}/\n    \
             time_key time\n    time_format {NGINX_TIME}\n  </parse>\n</filter>\n",
            ruby(NGINX)
        ),
        _ => String::new(),
    };
    format!("{}{filter}{outputs}", source(case.source, place))
}

fn source(source: Source, place: &Place<'_>) -> String {
    if source.forward().is_some() {
        return format!(
            "<source>\n  @type unix\n  path {}\n</source>\n",
            place.socket.display()
        );
    }
    let (flush, parse) = match source {
        Source::Cri => (
            "",
            format!("    @type regexp\n    expression /{}/\n{TIME}", ruby(CRI)),
        ),
        Source::Java => (
            "  multiline_flush_interval 1s\n",
            "    @type multiline\n    format_firstline /^\\S/\n    format1 /^(?<log>.*)$/\n"
                .to_owned(),
        ),
        Source::Json => ("", format!("    @type json\n{TIME}")),
        _ => (
            "",
            format!("    @type json\n{TIME}    keep_time_key true\n"),
        ),
    };
    format!(
        "<source>\n  @type tail\n  tag kube.*\n  path {logs}/*.log\n  pos_file {folder}/fluentd.pos\n  \
         read_from_head true\n{flush}  <parse>\n{parse}  </parse>\n</source>\n",
        logs = place.logs.display(),
        folder = place.folder.display(),
    )
}

/// What is particular to each output; `PORT` stands for the sink's.
fn outputs(destination: Destination) -> Vec<String> {
    let endpoint = format!("  region {REGION}\n  endpoint https://localhost:PORT\n");
    let firehose =
        || format!("  @type kinesis_firehose\n  delivery_stream_name {NAME}\n{endpoint}{BUFFER}");
    let cloudwatch = || {
        format!(
            "  @type cloudwatch_logs\n  log_group_name {NAME}\n  log_stream_name bench\n  auto_create_stream \
             true\n{endpoint}{BUFFER}"
        )
    };
    let s3 = |form: &str| {
        format!(
            "  @type s3\n  s3_bucket {NAME}\n  s3_region {REGION}\n  s3_endpoint https://localhost:PORT\n  \
             force_path_style true\n  check_apikey_on_start false\n  store_as {form}\n  <format>\n    @type json\n  </format>\n  <buffer time>\n    \
             @type file\n    path s3\n    timekey 1h\n    chunk_limit_size 10m\n    flush_mode interval\n    \
             flush_interval 5s\n    overflow_action block\n  </buffer>\n"
        )
    };
    match destination {
        Destination::Firehose => vec![firehose()],
        Destination::CloudWatch => vec![cloudwatch()],
        Destination::FanOut => {
            let kinesis =
                format!("  @type kinesis_streams\n  stream_name {NAME}\n{endpoint}{BUFFER}");
            vec![firehose(), cloudwatch(), kinesis]
        }
        Destination::S3Gzip => vec![s3("gzip")],
        Destination::S3Parquet => vec![s3("parquet")],
    }
}

/// A pattern with Ruby's group names.
fn ruby(pattern: &str) -> String {
    pattern.replace("?P<", "?<")
}
