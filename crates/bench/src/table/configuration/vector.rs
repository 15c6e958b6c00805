//! Vector's language: sources, a program in its remap language, sinks.

use super::{CRI, NAME, NGINX, NGINX_TIME, Place, REGION};
use crate::table::case::{Case, Destination, Source};

/// The configuration.
pub fn text(case: &Case, place: &Place<'_>) -> String {
    let (transform, input) = match program(case.source) {
        None => (String::new(), "in"),
        Some(program) => (
            format!(
                "[transforms.parse]\ntype = \"remap\"\ninputs = [\"in\"]\nsource = '''\n{program}'''\n\n"
            ),
            "parse",
        ),
    };
    let sinks: String = sinks(case.destination)
        .iter()
        .zip(place.ports)
        .enumerate()
        .map(|(index, (sink, port))| {
            format!(
                "[sinks.out_{index}]\ninputs = [\"{input}\"]\n{sink}region = \"{REGION}\"\nendpoint = \
                 \"https://localhost:{port}\"\ntls.ca_file = \"{}\"\nencoding.codec = \"json\"\n\
                 acknowledgements.enabled = true\n\n",
                place.ca_file.display()
            )
        })
        .collect();
    format!(
        "data_dir = \"{folder}\"\n\n[healthchecks]\nenabled = false\n\n{source}{transform}{sinks}",
        folder = place.folder.display(),
        source = source(case.source, place),
    )
}

fn source(source: Source, place: &Place<'_>) -> String {
    if source.forward().is_some() {
        return format!(
            "[sources.in]\ntype = \"fluent\"\nmode = \"unix\"\npath = \"{}\"\n\n",
            place.socket.display()
        );
    }
    let multiline = match source {
        Source::Java => {
            "multiline.start_pattern = '^\\S'\nmultiline.mode = \"continue_through\"\n\
             multiline.condition_pattern = '^\\s'\nmultiline.timeout_ms = 1000\n"
        }
        _ => "",
    };
    format!(
        "[sources.in]\ntype = \"file\"\ninclude = [\"{}/*.log\"]\nread_from = \"beginning\"\n{multiline}\n",
        place.logs.display()
    )
}

/// What is made of a line; `None` if it is a record already.
fn program(source: Source) -> Option<String> {
    match source {
        Source::Docker => Some(format!(
            ". = object!(parse_json!(.message))\nfields, error = parse_regex(.log, r'{NGINX}')\n\
             if error == null {{\n  . = fields\n  \
             .timestamp = parse_timestamp!(del(.time), \"{NGINX_TIME}\")\n}}\n"
        )),
        Source::Cri => Some(format!(
            ". = parse_regex!(.message, r'{CRI}')\n.timestamp = parse_timestamp!(del(.time), \"%+\")\n"
        )),
        Source::Json => Some(
            ". = object!(parse_json!(.message))\n.timestamp = parse_timestamp!(del(.time), \"%+\")\n"
                .to_owned(),
        ),
        Source::Java | Source::ForwardPacked | Source::ForwardMessage => None,
    }
}

/// What is particular to each sink.
fn sinks(destination: Destination) -> Vec<String> {
    let firehose = || format!("type = \"aws_kinesis_firehose\"\nstream_name = \"{NAME}\"\n");
    let cloudwatch = || {
        format!(
            "type = \"aws_cloudwatch_logs\"\ngroup_name = \"{NAME}\"\nstream_name = \"bench\"\n"
        )
    };
    // As large and as old as an object of Fluent Bit.
    let s3 = |form: &str| {
        format!(
            "type = \"aws_s3\"\nbucket = \"{NAME}\"\nbatch.max_bytes = 10000000\nbatch.timeout_secs = 5\n{form}"
        )
    };
    match destination {
        Destination::Firehose => vec![firehose()],
        Destination::CloudWatch => vec![cloudwatch()],
        Destination::FanOut => {
            let kinesis = format!("type = \"aws_kinesis_streams\"\nstream_name = \"{NAME}\"\n");
            vec![firehose(), cloudwatch(), kinesis]
        }
        Destination::S3Gzip => vec![s3(
            "compression = \"gzip\"\nframing.method = \"newline_delimited\"\n",
        )],
        Destination::S3Parquet => vec![s3(
            "batch_encoding.codec = \"parquet\"\nbatch_encoding.schema_mode = \"auto_infer\"\n\
             batch_encoding.compression.algorithm = \"zstd\"\nbatch_encoding.compression.level = 3\n",
        )],
    }
}
