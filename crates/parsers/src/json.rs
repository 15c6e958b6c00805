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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use config::{Diagnostics, Entry, Options, Position, Section, SectionKind};
    use plugin::Level;
    use proptest::prelude::*;
    use record::Tag;

    use super::*;

    fn parser(options: &[(&str, &str)]) -> Json {
        let nowhere = || Position::argument(1);
        let mut section = Section::new(SectionKind::Parser, "PARSER", nowhere());
        let all = [("Name", "docker"), ("Format", "json"), ("Time_Key", "time")];
        section.entries = all
            .iter()
            .chain(options)
            .map(|(key, value)| Entry::plain(key, nowhere(), *value, nowhere()))
            .collect();
        let mut diagnostics = Diagnostics::new();
        let options = ParserOptions::read(&section, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics}"));
        let time = || TimeReader::new(&options).expect("a format");
        Json {
            shape: Shape::default(),
            plan: Plan::default(),
            time: time(),
            time_key: options.time_key.clone().into_bytes(),
            time_keep: options.time_keep,
            decoders: Decoders::new(&options),
            cri: time().map(CriReader::new),
            log: Log::new("", Level::Off),
            bad_times: Complaint::default(),
            cri_lines: Complaint::default(),
        }
    }

    const FORMAT: (&str, &str) = ("Time_Format", "%Y-%m-%dT%H:%M:%S.%L");

    /// Definitions that treat the same fields in different ways.
    fn definitions() -> [Vec<(&'static str, &'static str)>; 6] {
        let keep = ("Time_Keep", "On");
        [
            vec![FORMAT, keep, ("Decode_Field_As", "escaped log")],
            vec![FORMAT, ("Decode_Field_As", "escaped_utf8 log")],
            vec![FORMAT, keep, ("Decode_Field", "json log")],
            vec![
                FORMAT,
                ("Decode_Field_As", "escaped_utf8 log do_next"),
                ("Decode_Field_As", "json log"),
            ],
            vec![
                FORMAT,
                ("Decode_Field_As", "escaped time"),
                ("Decode_Field_As", "escaped stream"),
            ],
            vec![keep],
        ]
    }

    /// Texts of the fields of a line.
    fn texts() -> impl Strategy<Value = [&'static str; 3]> {
        let log = [
            "GET / HTTP/1.1",
            r#"\"GET / HTTP/1.1\" 200 \"-\""#,
            r"C:\\temp \\n",
            r"\u005cn \u00e9",
            r"a\nb\n",
            "",
            r#"{\"level\":\"info\",\"time\":\"never\"}"#,
            r#"{\"a\":\"\\n\"}\n"#,
            r"\ud83d\ude00",
            r"\x",
        ];
        let time = [
            "2026-11-28T19:26:23.803123456Z",
            "2026-11-28T19:26:23.803123457Z",
            "2026-11-28T19:26:24.5Z",
            "2026-11-28T19:26:24Z",
            "1970-01-01T00:00:00.0Z",
            r"2026-11-28T19\u003a26:23.1Z",
            "never",
            "",
        ];
        let log = prop::sample::select(log.to_vec());
        let stream = prop::sample::select(vec!["stdout", "stderr", r"std\\t"]);
        (log, stream, prop::sample::select(time.to_vec())).prop_map(<[&str; 3]>::from)
    }

    /// Lines, most with the same keys.
    fn line() -> impl Strategy<Value = String> {
        (texts(), 0..20_u8).prop_map(|([log, stream, time], form)| match form {
            0 => format!(r#"{{"time":"{time}","log":"{log}","stream":"{stream}"}}"#),
            1 => format!(r#"{{"log":"{log}","time":"{time}","log":"{log}"}}"#),
            2 => format!(r#"{{"log":"{log}","attrs":{{"a":1}},"time":"{time}"}}"#),
            3 => format!("{time} {stream} F {log}"),
            4 => format!(r#"{{"log":"{log}","stream":"{stream}"}} "#),
            5..9 => format!(r#"{{"id":{form},"log":"{log}","a":{{"time":"{stream}","b":[1.5]}},"time":"{time}"}}"#),
            9 => format!(r#"{{"id":null,"log":{form},"a":{{"time":"{stream}","b":[]}},"time":"{time}"}}"#),
            _ => format!(r#"{{"log":"{log}","stream":"{stream}","time":"{time}"}}"#),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_is_expected_changes_nothing(lines in prop::collection::vec(line(), 2..20)) {
            for options in definitions() {
                let (mut one, mut other) = (parser(&options), parser(&options));
                let source = Bytes::from(lines.concat() + &" ".repeat(256));
                let batch = || Batch::new(Tag::from("t"), source.clone());
                let (mut batch, mut expected) = (batch(), batch());
                let mut start = 0;
                for line in &lines {
                    let text = batch.span(start..start + line.len());
                    start += line.len();
                    let parsed = one.parse(&mut batch, text);
                    let as_ever = other.other(&mut expected, text);
                    prop_assert_eq!(shown(&batch, parsed), shown(&expected, as_ever), "{}", line);
                }
            }
        }
    }

    /// Time and fields, with what they hold.
    fn shown(batch: &Batch, parsed: Option<Parsed>) -> String {
        use std::fmt::Write;
        let Some(Parsed { body, time }) = parsed else {
            return "nothing".to_owned();
        };
        let mut out = Vec::new();
        json::write::Writer::default().object(batch, body, &mut out);
        let mut shown = format!("{time:?} {}", String::from_utf8_lossy(&out));
        for field in batch.fields(body) {
            write!(shown, " {:?}", batch.bytes(field.key.span())).expect("text");
        }
        shown
    }
}
