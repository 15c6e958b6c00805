//! Fluent Bit's language, which this program speaks too.
//!
//! For the post's case it is the post's own file but for paths, the endpoint, `Read_from_Head` (so that nothing depends on
//! who is first, the router or the writer) and the name of the output plugin, which is C now. Draining goes without
//! `Mem_Buf_Limit`: with it Fluent Bit pauses most of the time.

use super::{NAME, Place, REGION};
use crate::table::case::{Case, Destination, Load, Source};

/// The post's parsers, and those of the other roads.
pub const PARSERS: &str = r#"[PARSER]
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

/// The configuration.
pub fn text(case: &Case, place: &Place<'_>) -> String {
    let filter = match case.source {
        Source::Docker => {
            "[FILTER]\n    Name parser\n    Match **\n    Parser nginx\n    Key_Name log\n"
        }
        _ => "",
    };
    let ports = place.ports.iter();
    let outputs: String = ports
        .zip(outputs(case.destination, place))
        .map(|(port, output)| {
            let endpoint = match case.destination {
                Destination::S3Gzip | Destination::S3Parquet => format!("    endpoint https://localhost:{port}\n"),
                _ => format!("    endpoint localhost\n    port {port}\n"),
            };
            format!(
                "[OUTPUT]\n    Match **\n    region {REGION}\n{endpoint}    tls.ca_file {}\n{output}",
                place.ca_file.display()
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
        Destination::S3Gzip => vec![s3(place, "    compression     gzip\n")],
        Destination::S3Parquet => vec![s3(
            place,
            "    format          parquet\n    compression     zstd\n",
        )],
    }
}

fn s3(place: &Place<'_>, form: &str) -> String {
    format!(
        "    Name            s3\n    bucket          {NAME}\n    use_put_object  On\n{form}    \
         total_file_size 10M\n    upload_timeout  5s\n    store_dir       {}\n",
        place.folder.join("s3").display()
    )
}
