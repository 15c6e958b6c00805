//! Prints records to the standard output.

use std::io::Write;
use std::ops::Range;
use std::rc::Rc;

use config::{Choice, Options};
use plugin::{
    Answer, BuildError, Deliver, DeliveryId, Format, LocalFuture, Outbox, Output, OutputContext,
    OutputPlugin, Request, RunOutput,
};
use record::json::write::{Date, DateFormat, Writer};
use record::{Batch, Marker, Record, Tag, json};

use crate::request::OpenRequest;
use crate::text_form;

/// `stdout`.
pub static PLUGIN: OutputPlugin = OutputPlugin::new::<Stdout>("stdout");

/// Text is handed over when it has grown to this, so that a slow terminal does not fill memory.
const FULL: usize = 64 << 10;

/// Prints records to the standard output, for development.
#[derive(Clone, Debug, Options)]
pub struct StdoutOptions {
    /// How records are printed. A word that is none of these is warned of and counts as `msgpack`.
    #[option(name = "format", default = "msgpack", bad_value = "default")]
    pub format: PrintFormat,
    /// The key under which the time is written in the JSON formats; `false` leaves it out.
    #[option(name = "json_date_key", default = "date")]
    pub json_date_key: String,
    /// How the time is written in the JSON formats: `double`, `iso8601`, `epoch`, `epoch_ms`, `java_sql_timestamp`.
    #[option(name = "json_date_format", default = "double")]
    pub json_date_format: String,
}

/// The forms in which records are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Choice)]
pub enum PrintFormat {
    /// A line of text for people.
    Msgpack,
    /// One JSON array.
    Json,
    /// One JSON object per line.
    JsonLines,
    /// JSON objects one behind the other.
    JsonStream,
}

struct Stdout {
    format: PrintFormat,
    date: Option<Date>,
    writer: Writer,
    request: OpenRequest,
    /// Whose records are being printed, and how many were.
    tag: Option<Tag>,
    index: usize,
}

struct Terminal;

impl Output for Stdout {
    type Options = StdoutOptions;

    fn build(options: StdoutOptions, context: &OutputContext) -> Result<RunOutput, BuildError> {
        let format = DateFormat::from_name(&options.json_date_format).unwrap_or_else(|| {
            // As upstream, no reason not to start.
            context.log.warn(format_args!(
                "json_date_format '{}' is unknown, double is used: allowed are double, iso8601, epoch, epoch_ms and \
                 java_sql_timestamp",
                options.json_date_format
            ));
            DateFormat::Double
        });
        let key = options.json_date_key;
        let off = ["false", "off", "no"]
            .iter()
            .any(|word| key.eq_ignore_ascii_case(word));
        let date = (!off).then(|| Date {
            key: key.into_bytes().into(),
            format,
        });
        let json = json::write::Options {
            escape_unicode: context.escape_unicode,
            nan_to_null: context.nan_to_null,
        };
        let stdout = Stdout {
            format: options.format,
            date,
            writer: Writer::new(json),
            request: OpenRequest::default(),
            tag: None,
            index: 0,
        };
        Ok(RunOutput {
            format: Box::new(stdout),
            deliver: Rc::new(Terminal),
            concurrency: 1,
        })
    }
}

impl Stdout {
    fn print(&mut self, batch: &Batch, record: &Record) {
        let out = &mut self.request.body;
        match self.format {
            PrintFormat::Msgpack => {
                let _ = write!(out, "[{}] ", self.index);
                out.extend_from_slice(batch.tag().as_bytes());
                out.extend_from_slice(b": ");
                text_form::event(batch, record, out);
                out.push(b'\n');
            }
            format => {
                if format == PrintFormat::Json {
                    out.push(if self.index == 0 { b'[' } else { b',' });
                }
                self.writer
                    .event(batch, record, None, self.date.as_ref(), out);
                if format == PrintFormat::JsonLines {
                    out.push(b'\n');
                }
            }
        }
        self.index += 1;
    }

    /// Ends the text of one tag.
    fn end_text(&mut self) {
        if self.index > 0 {
            match self.format {
                PrintFormat::Json => self.request.body.extend_from_slice(b"]\n"),
                PrintFormat::JsonStream => self.request.body.push(b'\n'),
                PrintFormat::Msgpack | PrintFormat::JsonLines => {}
            }
        }
        self.index = 0;
        self.tag = None;
    }
}

impl Format for Stdout {
    fn format(
        &mut self,
        delivery: DeliveryId,
        batch: &Batch,
        records: Range<u32>,
        outbox: &mut Outbox,
    ) {
        if self.tag.as_ref() != Some(batch.tag()) {
            self.end_text();
            self.tag = Some(batch.tag().clone());
        }
        for index in records {
            let record = &batch.records()[index as usize];
            // Markers around groups are no records: nothing is printed, and they are answered for with their request.
            if record.marker == Marker::None {
                self.print(batch, record);
            }
            self.request.add(delivery, index);
            if self.request.body.len() >= FULL && self.format != PrintFormat::Json {
                self.request.finish(outbox);
            }
        }
    }

    fn seal(&mut self, outbox: &mut Outbox) {
        self.end_text();
        self.request.finish(outbox);
    }

    fn recycle(&mut self, request: Request) {
        self.request.recycle(request);
    }

    fn trim(&mut self) {
        self.request.trim();
    }
}

impl Deliver for Terminal {
    fn deliver<'a>(&'a self, request: &'a Request) -> LocalFuture<'a, Answer> {
        let body = request.body.clone();
        Box::pin(async move {
            // A pipe that nobody reads from must not stop the shard: the write waits on another thread.
            let written = tokio::task::spawn_blocking(move || {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&body).and_then(|()| stdout.flush())
            });
            match written.await {
                Ok(Ok(())) => Answer::Done,
                Ok(Err(error)) => Answer::again(format!("the standard output: {error}")),
                Err(error) => Answer::again(error.to_string()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use plugin::{Level, Log, Metrics};
    use record::Time;

    fn batch(tag: &str, lines: &[&str]) -> Batch {
        let source = Bytes::from(lines.concat());
        let mut batch = Batch::new(Tag::from(tag), source);
        let mut at = 0;
        for line in lines {
            let text = batch.span(at..at + line.len());
            at += line.len();
            let (body, _) = json::read::object(&mut batch, text).expect("JSON");
            batch.push_record(Record {
                time: Time::new(1_700_000_000, 123_456_789),
                body,
                ..Record::default()
            });
        }
        batch
    }

    fn printed(format: PrintFormat, date_key: &str, batches: &[Batch]) -> String {
        let context = OutputContext {
            name: "stdout.0".into(),
            log: Log::new("", Level::Off),
            metrics: Metrics::default(),
            escape_unicode: true,
            nan_to_null: false,
            config_dir: ".".into(),
            writers: Default::default(),
            bodies: record::Budget::new(0),
        };
        let options = StdoutOptions {
            format,
            json_date_key: date_key.into(),
            json_date_format: "double".into(),
        };
        let mut output = Stdout::build(options, &context).expect("built");
        let mut outbox = Outbox::default();
        for (index, batch) in batches.iter().enumerate() {
            output.format.format(
                DeliveryId(index as u32),
                batch,
                0..batch.len() as u32,
                &mut outbox,
            );
        }
        output.format.seal(&mut outbox);
        let bodies: Vec<u8> = outbox
            .requests
            .iter()
            .flat_map(|request| request.body.to_vec())
            .collect();
        String::from_utf8(bodies).expect("text")
    }

    #[test]
    fn every_format_reads_as_upstream() {
        let batches = || {
            [
                batch("a.b", &[r#"{"k":"v"}"#, r#"{"n":null,"f":1.5}"#]),
                batch("c", &["{}"]),
            ]
        };
        let text = printed(PrintFormat::Msgpack, "date", &batches());
        let expected = "[0] a.b: [[1700000000.123456789, {}], {\"k\"=>\"v\"}]\n\
                        [1] a.b: [[1700000000.123456789, {}], {\"n\"=>nil, \"f\"=>1.500000}]\n\
                        [0] c: [[1700000000.123456789, {}], {}]\n";
        assert_eq!(text, expected);
        let text = printed(PrintFormat::JsonLines, "false", &batches());
        assert_eq!(text, "{\"k\":\"v\"}\n{\"n\":null,\"f\":1.5}\n{}\n");
        let text = printed(PrintFormat::Json, "@t", &batches());
        let expected = "[{\"@t\":1700000000.123457,\"k\":\"v\"},{\"@t\":1700000000.123457,\"n\":null,\"f\":1.5}]\n\
                        [{\"@t\":1700000000.123457}]\n";
        assert_eq!(text, expected);
        assert_eq!(
            printed(PrintFormat::JsonStream, "off", &batches()),
            "{\"k\":\"v\"}{\"n\":null,\"f\":1.5}\n{}\n"
        );
    }
}
