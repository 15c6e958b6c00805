//! `Format json`: one JSON object (upstream `src/flb_parser_json.c`).

use config::ParserOptions;
use plugin::{BuildError, Log, Parsed, Parser, ParserContext, ParserPlugin};
use record::{Batch, Fields, Span, Time, Value, json};

use crate::complaint::Complaint;
use crate::cri::CriReader;
use crate::decoder::Decoders;
use crate::time::TimeReader;

/// `json`.
pub static PLUGIN: ParserPlugin = ParserPlugin {
    format: "json",
    build,
};

/// The definition that is also given lines of containerd.
const DOCKER: &str = "docker";

struct Json {
    time: Option<TimeReader>,
    time_key: Vec<u8>,
    time_keep: bool,
    decoders: Decoders,
    /// For lines that are no JSON.
    cri: Option<CriReader>,
    log: Log,
    bad_times: Complaint,
    cri_lines: Complaint,
}

fn build(options: &ParserOptions, context: &ParserContext) -> Result<Box<dyn Parser>, BuildError> {
    let cri = match options.name == DOCKER {
        true => TimeReader::new(options)?.map(CriReader::new),
        false => None,
    };
    Ok(Box::new(Json {
        time: TimeReader::new(options)?,
        time_key: options.time_key.clone().into_bytes(),
        time_keep: options.time_keep,
        decoders: Decoders::new(options),
        cri,
        log: context.log.clone(),
        bad_times: Complaint::default(),
        cri_lines: Complaint::default(),
    }))
}

impl Parser for Json {
    fn parse(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        match one_object(batch, text) {
            Some(body) => {
                let body = self.decoders.decode(batch, body);
                let (body, time) = self.take_time(batch, body);
                // The first instant of 1970 counts as no time, as upstream.
                let time = time.filter(|time| *time != Time::from_nanos(0));
                Some(Parsed { body, time })
            }
            None => self.cri_line(batch, text),
        }
    }
}

impl Json {
    /// Reads the time, and takes its field out of the body unless it is kept. A time that cannot be read is kept too.
    fn take_time(&mut self, batch: &mut Batch, body: Fields) -> (Fields, Option<Time>) {
        let Some(reader) = &mut self.time else {
            return (body, None);
        };
        let is_time = |field: &record::Field| batch.key_is(field.key, &self.time_key);
        let Some(index) = batch.fields(body).iter().position(is_time) else {
            return (body, None);
        };
        // A number is no time.
        let Value::Str(text) = batch.fields(body)[index].value else {
            return (body, None);
        };
        let Some(time) = reader.read(batch.bytes(text)) else {
            let shown = String::from_utf8_lossy(batch.bytes(text)).into_owned();
            self.bad_times.warn(&self.log, || {
                format!("invalid time format for '{shown}': the present time is used")
            });
            return (body, None);
        };
        let body = if self.time_keep {
            body
        } else {
            without(batch, body, index)
        };
        (body, Some(time))
    }

    fn cri_line(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        let parsed = self.cri.as_mut()?.read(batch, text)?;
        self.cri_lines.warn(&self.log, || {
            "lines are in the CRI format, not Docker's: read as such. On containerd use a CRI parser".to_owned()
        });
        let body = self.decoders.decode(batch, parsed.body);
        Some(Parsed { body, ..parsed })
    }
}

/// One object; text behind it is ignored unless it is a second JSON value.
pub fn one_object(batch: &mut Batch, text: Span) -> Option<Fields> {
    let mark = batch.mark();
    let (body, used) = json::read::object(batch, text).ok()?;
    let rest = batch.bytes(text)[used..].trim_ascii();
    if !rest.is_empty() && json::read::skip(rest).is_ok() {
        batch.rewind(mark);
        return None;
    }
    Some(body)
}

/// The fields but for one.
pub fn without(batch: &mut Batch, body: Fields, index: usize) -> Fields {
    let mark = batch.mark();
    batch.push_copy(body.part(0..index));
    batch.push_copy(body.part(index + 1..body.len()));
    batch.close(mark)
}
