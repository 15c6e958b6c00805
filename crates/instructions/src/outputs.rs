//! From records to the bodies of requests.

use bytes::Bytes;
use config::{Diagnostics, SectionKind};
use plugin::{DeliveryId, Level, Log, Metrics, Outbox, OutputContext, RunOutput};

use crate::section::section;
use crate::{Path, RECORDS, lines};

/// The body of a `PutRecordBatch` of 500 records.
pub fn firehose() -> Path {
    formatting("kinesis_firehose", &[("delivery_stream", "orders")])
}

/// The body of a `PutLogEvents`.
pub fn cloudwatch() -> Path {
    let options = [("log_group_name", "g"), ("log_stream_prefix", "from-")];
    formatting("cloudwatch_logs", &options)
}

/// The body of a `PutRecords` of 500 records.
pub fn kinesis() -> Path {
    formatting("kinesis_streams", &[("stream", "orders")])
}

/// The same with records that are aggregated as the KPL does it.
pub fn kinesis_aggregated() -> Path {
    formatting("kinesis", &[("stream", "orders"), ("aggregation", "true")])
}

/// The lines of an object of S3.
pub fn s3() -> Path {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().to_str().expect("text").to_owned();
    let options = [("bucket", "logs"), ("store_dir", &store)];
    let mut path = formatting("s3", &options);
    // The folder lives as long as the path.
    Path::new(RECORDS, move || {
        let _ = &folder;
        path.run()
    })
}

/// The lines of an object in gzip. There is little more to it than zlib-rs, with the instructions that the processor has.
pub fn s3_gzip() -> Path {
    let text = lines::text(lines::json, RECORDS);
    let mut out = Vec::new();
    Path::new(RECORDS, move || {
        out.clear();
        outputs::write_gzip(&mut text.as_bytes(), &mut out).expect("written");
        assert!(out.starts_with(&[0x1f, 0x8b]) && out.len() < text.len() / 4);
        RECORDS
    })
}

/// The lines of an object as Parquet, a column for each field.
pub fn parquet() -> Path {
    let text = Bytes::from(lines::text(lines::json, RECORDS));
    let mut out = Vec::new();
    Path::new(RECORDS, move || {
        out.clear();
        let open = || Ok(&text[..]);
        outputs::write_parquet(&open, Some("time"), &mut out).expect("written");
        assert!(out.starts_with(b"PAR1") && out.ends_with(b"PAR1"));
        RECORDS
    })
}

fn build(name: &str, options: &[(&str, &str)]) -> RunOutput {
    let plugin = outputs::ALL.iter().find(|plugin| plugin.name == name);
    let plugin = plugin.expect("an output");
    let mut diagnostics = Diagnostics::new();
    let options: Vec<_> = [("region", "us-west-2")]
        .iter()
        .chain(options)
        .copied()
        .collect();
    let section = section(SectionKind::Output, &options);
    let build = (plugin.configure)(&section, &mut diagnostics);
    let build = build.unwrap_or_else(|| panic!("{diagnostics}"));
    let built = build(&OutputContext {
        name: "output.0".into(),
        log: Log::new("", Level::Off),
        metrics: Metrics::default(),
        escape_unicode: true,
        nan_to_null: false,
        config_dir: ".".into(),
        writers: Default::default(),
        bodies: record::Budget::new(0),
    });
    built.unwrap_or_else(|error| panic!("{error}"))
}

fn formatting(name: &str, options: &[(&str, &str)]) -> Path {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let local = tokio::task::LocalSet::new();
    let options = options.to_vec();
    // Some outputs start tasks when they are built; none of them has anything to do.
    let output = runtime.block_on(local.run_until(async { build(name, &options) }));
    let RunOutput {
        mut format,
        deliver,
        ..
    } = output;
    let batch = lines::records();
    let mut outbox = Outbox::default();
    Path::new(RECORDS, move || {
        let _ = (&runtime, &local, &deliver);
        format.format(DeliveryId(1), &batch, 0..RECORDS as u32, &mut outbox);
        format.seal(&mut outbox);
        assert!(outbox.filtered.is_empty() && outbox.rejected.is_empty());
        let requests = outbox.requests.drain(..);
        requests
            .map(|request| {
                let records = request.parts.len() as usize;
                format.recycle(request);
                records
            })
            .sum()
    })
}
