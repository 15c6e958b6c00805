//! `Format json`: one JSON object (upstream `src/flb_parser_json.c`).

use config::ParserOptions;
use plugin::{BuildError, Log, Parsed, Parser, ParserContext, ParserPlugin};
use record::json::shape::{Found, Shape};
use record::{Batch, Fields, Span, Time, Value, json};

use crate::complaint::Complaint;
use crate::cri::CriReader;
use crate::decoder::{Decoders, Decoding};
use crate::time::TimeReader;

/// `json`.
pub static PLUGIN: ParserPlugin = ParserPlugin {
    format: "json",
    build,
};

/// The definition that is also given lines of containerd.
const DOCKER: &str = "docker";

struct Json {
    shape: Shape,
    /// What to do with objects of that shape.
    plan: Plan,
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
        shape: Shape::default(),
        plan: Plan::default(),
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

/// What is known of all objects with the same keys.
#[derive(Default)]
struct Plan {
    /// The field of the time.
    time: Option<usize>,
    decoding: Decoding,
}

impl Parser for Json {
    #[inline]
    fn parse(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        match self.shape.read(batch, text) {
            Some(found) => Some(self.expected(batch, found)),
            None => self.other(batch, text),
        }
    }
}

impl Json {
    /// An object like the one before.
    #[inline]
    fn expected(&mut self, batch: &mut Batch, found: Found) -> Parsed {
        let body = match self.plan.decoding.may_change(found.backslashes) {
            true => self.decoders.decode(batch, found.fields),
            false => found.fields,
        };
        // Decoding adds fields at the end only.
        self.timed(batch, body, self.plan.time)
    }

    /// Any other text.
    #[inline(never)]
    fn other(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        let Some(object) = one_object(batch, text) else {
            return self.cri_line(batch, text);
        };
        if self.shape.learn(batch, text, object) {
            self.plan = Plan {
                time: self.time_field(batch, object),
                decoding: self.decoders.decoding(batch, object),
            };
        }
        let body = self.decoders.decode(batch, object);
        let time_field = self.time_field(batch, body);
        Some(self.timed(batch, body, time_field))
    }

    /// The field of the time, if it is read.
    fn time_field(&self, batch: &Batch, body: Fields) -> Option<usize> {
        self.time.as_ref()?;
        let is_time = |field: &record::Field| batch.key_is(field.key, &self.time_key);
        batch.fields(body).iter().position(is_time)
    }

    #[inline(always)]
    fn timed(&mut self, batch: &mut Batch, body: Fields, time_field: Option<usize>) -> Parsed {
        let (body, time) = match time_field {
            Some(field) => self.take_time(batch, body, field),
            None => (body, None),
        };
        // The first instant of 1970 counts as no time, as upstream.
        let time = time.filter(|time| *time != Time::from_nanos(0));
        Parsed { body, time }
    }

    /// Reads the time, and takes its field out of the body unless it is kept. A time that cannot be read is kept too.
    #[inline(always)]
    fn take_time(
        &mut self,
        batch: &mut Batch,
        body: Fields,
        field: usize,
    ) -> (Fields, Option<Time>) {
        let Some(reader) = &mut self.time else {
            return (body, None);
        };
        // A number is no time.
        let Value::Str(text) = batch.fields(body)[field].value else {
            return (body, None);
        };
        let Some(time) = reader.read(batch.bytes(text)) else {
            return (self.untimed(batch, body, text), None);
        };
        let body = if self.time_keep {
            body
        } else {
            without(batch, body, field)
        };
        (body, Some(time))
    }

    #[cold]
    #[inline(never)]
    fn untimed(&mut self, batch: &Batch, body: Fields, text: Span) -> Fields {
        let shown = String::from_utf8_lossy(batch.bytes(text)).into_owned();
        self.bad_times.warn(&self.log, || {
            format!("invalid time format for '{shown}': the present time is used")
        });
        body
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
    // Mostly it is the first or the last of them.
    if index == 0 {
        return body.part(1..body.len());
    }
    if index + 1 == body.len() {
        return body.part(0..index);
    }
    let mark = batch.mark();
    batch.push_copy(body.part(0..index));
    batch.push_copy(body.part(index + 1..body.len()));
    batch.close(mark)
}
