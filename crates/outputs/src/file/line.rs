//! The forms of a line.

use std::io::Write;

use plugin::OutputContext;
use record::json::write::Writer;
use record::{Batch, Record, Value, json, msgpack};

use super::{FileOptions, LineFormat};
use crate::text_form;

/// Writes records as lines.
pub struct LineWriter {
    format: LineFormat,
    delimiter: Vec<u8>,
    label_delimiter: Vec<u8>,
    template: Vec<Piece>,
    column_names: bool,
    writer: Writer,
}

/// A piece of a template.
enum Piece {
    Text(String),
    Field(String),
}

impl LineWriter {
    /// A writer with these options.
    pub fn new(options: &FileOptions, context: &OutputContext) -> LineWriter {
        let json = json::write::Options {
            escape_unicode: context.escape_unicode,
            nan_to_null: context.nan_to_null,
        };
        let default = if options.format == LineFormat::Ltsv {
            "tab"
        } else {
            "comma"
        };
        LineWriter {
            format: options.format,
            delimiter: delimiter(options.delimiter.as_deref().unwrap_or(default)),
            label_delimiter: delimiter(options.label_delimiter.as_deref().unwrap_or(":")),
            template: pieces(&options.template),
            column_names: options.csv_column_names && options.format == LineFormat::Csv,
            writer: Writer::new(json),
        }
    }

    /// What a new file begins with: the names of the columns of `record`, if they are wanted.
    pub fn header(&self, batch: &Batch, record: &Record) -> Vec<u8> {
        let mut header = Vec::new();
        if self.column_names {
            header.extend_from_slice(b"timestamp");
            for field in batch.fields(record.body) {
                header.extend_from_slice(&self.delimiter);
                text_form::value(batch, Value::Str(field.key.span()), &mut header);
            }
            header.push(b'\n');
        }
        header
    }

    /// Appends `record`.
    pub fn write(&mut self, batch: &Batch, record: &Record, out: &mut Vec<u8>) {
        match self.format {
            LineFormat::OutFile => {
                out.extend_from_slice(batch.tag().as_bytes());
                out.extend_from_slice(b": [");
                text_form::time(record, out);
                out.extend_from_slice(b", ");
                self.writer.object(batch, record.body, out);
                out.push(b']');
            }
            LineFormat::Plain => self.writer.object(batch, record.body, out),
            LineFormat::Csv => self.csv(batch, record, out),
            LineFormat::Ltsv => self.ltsv(batch, record, out),
            LineFormat::Template => self.template(batch, record, out),
            LineFormat::Msgpack => {
                msgpack::write::event_v2(batch, record, out);
                return;
            }
        }
        out.push(b'\n');
    }

    fn csv(&self, batch: &Batch, record: &Record, out: &mut Vec<u8>) {
        text_form::time(record, out);
        for field in batch.fields(record.body) {
            out.extend_from_slice(&self.delimiter);
            text_form::value(batch, field.value, out);
        }
    }

    fn ltsv(&self, batch: &Batch, record: &Record, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\"time\"");
        out.extend_from_slice(&self.label_delimiter);
        seconds(record, out);
        for field in batch.fields(record.body) {
            out.extend_from_slice(&self.delimiter);
            text_form::value(batch, Value::Str(field.key.span()), out);
            out.extend_from_slice(&self.label_delimiter);
            text_form::value(batch, field.value, out);
        }
    }

    fn template(&self, batch: &Batch, record: &Record, out: &mut Vec<u8>) {
        for piece in &self.template {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Field(key) => match batch.get(record.body, key.as_bytes()) {
                    Some(Value::Str(span)) => out.extend_from_slice(batch.bytes(span)),
                    Some(value) => text_form::value(batch, value, out),
                    None if key == "time" => seconds(record, out),
                    None => {
                        let _ = write!(out, "{{{key}}}");
                    }
                },
            }
        }
    }
}

/// The time as a float with six digits, as upstream prints it in these forms.
fn seconds(record: &Record, out: &mut Vec<u8>) {
    let _ = write!(out, "{:.6}", record.time.nanos() as f64 / 1e9);
}

fn delimiter(text: &str) -> Vec<u8> {
    match text.to_ascii_lowercase().as_str() {
        "tab" | "\\t" => b"\t".to_vec(),
        "space" => b" ".to_vec(),
        "comma" => b",".to_vec(),
        _ => text.as_bytes().to_vec(),
    }
}

fn pieces(template: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('{') {
        let Some((key, behind)) = after.split_once('}') else {
            break;
        };
        pieces.push(Piece::Text(text.to_owned()));
        pieces.push(Piece::Field(key.to_owned()));
        rest = behind;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    pieces
}
