//! Parses a field of a record with a parser of the parsers file (upstream `plugins/filter_parser`).

use config::Options;
use plugin::{BuildError, Filter, FilterCall, FilterContext, FilterPlugin, Parsed};
use record::accessor::Accessor;
use record::{Batch, Field, Fields, Record, Span, Value};

/// `parser`.
pub static PLUGIN: FilterPlugin = FilterPlugin::new::<ParserFilter>("parser");

/// Parses a field of a record: what the parser makes of it becomes the record. A record whose field is missing, is not
/// text or does not match stays as it is.
///
/// Parsed fields stand first and reserved ones behind them: where both have the same name, JSON shows the reserved one,
/// as with Fluent Bit.
#[derive(Clone, Debug, Options)]
pub struct ParserFilterOptions {
    /// The field to parse; a record accessor if it begins with `$`.
    #[option(name = "key_name", required)]
    pub key_name: String,
    /// A parser by its name. May be repeated: they are tried in order, and the first that matches counts.
    #[option(name = "parser", required, multiple)]
    pub parser: Vec<String>,
    /// Keep the field that was parsed.
    #[option(name = "preserve_key", default = "false")]
    pub preserve_key: bool,
    /// Keep all other fields.
    #[option(name = "reserve_data", default = "false")]
    pub reserve_data: bool,
    /// Means nothing any more.
    #[expect(dead_code, reason = "read so that it is known, as upstream")]
    #[option(
        name = "unescape_key",
        deprecated = "it is ignored: use a decoder in the parser"
    )]
    pub unescape_key: Option<bool>,
}

/// Which field is parsed.
enum Key {
    /// A field of the record, by name. Of several with this name each is tried, and the last that matches counts.
    Name(Vec<u8>),
    /// Whatever the accessor reaches.
    Accessor(Accessor),
}

struct ParserFilter {
    key: Key,
    parsers: Vec<Box<dyn plugin::Parser>>,
    preserve_key: bool,
    reserve_data: bool,
}

impl Filter for ParserFilter {
    type Options = ParserFilterOptions;

    fn build(
        options: ParserFilterOptions,
        context: &FilterContext,
    ) -> Result<ParserFilter, BuildError> {
        let mut parsers = Vec::new();
        for name in &options.parser {
            match context.parsers.make(name) {
                Some(parser) => parsers.push(parser),
                None => context
                    .log
                    .error(format_args!("{}", context.parsers.missing(name))),
            }
        }
        if parsers.is_empty() {
            return Err(BuildError("none of the named parsers exists".to_owned()));
        }
        let key = if options.key_name.starts_with('$') {
            let accessor = Accessor::new(&options.key_name);
            Key::Accessor(
                accessor.map_err(|error| format!("key_name '{}': {error}", options.key_name))?,
            )
        } else {
            Key::Name(options.key_name.into_bytes())
        };
        Ok(ParserFilter {
            key,
            parsers,
            preserve_key: options.preserve_key,
            reserve_data: options.reserve_data,
        })
    }

    fn filter(&mut self, batch: &mut Batch, _: &FilterCall<'_>) {
        for index in 0..batch.len() {
            let record = batch.records()[index];
            if let Some(next) = batch.records().get(index + 1) {
                batch.expect(next.body);
            }
            let Some(parsed) = self.parse(batch, &record) else {
                continue;
            };
            let body = self.body(batch, record.body, parsed.body);
            let record = &mut batch.records_mut()[index];
            record.body = body;
            record.time = parsed.time.unwrap_or(record.time);
        }
    }
}

impl ParserFilter {
    fn parse(&mut self, batch: &mut Batch, record: &Record) -> Option<Parsed> {
        match &self.key {
            Key::Accessor(accessor) => {
                let text = text_of(accessor.value(batch, record.body)?)?;
                first_match(&mut self.parsers, batch, text)
            }
            Key::Name(name) => {
                let mut last = None;
                for index in 0..record.body.len() {
                    let field = batch.fields(record.body)[index];
                    if batch.key_is(field.key, name)
                        && let Some(text) = text_of(field.value)
                    {
                        last = first_match(&mut self.parsers, batch, text).or(last);
                    }
                }
                last
            }
        }
    }

    /// The fields that become the record's.
    fn body(&self, batch: &mut Batch, original: Fields, parsed: Fields) -> Fields {
        let keeps_key = self.preserve_key && matches!(self.key, Key::Name(_));
        if !self.reserve_data && !keeps_key {
            return parsed;
        }
        let mark = batch.mark();
        batch.push_copy(parsed);
        for index in 0..original.len() {
            let field = batch.fields(original)[index];
            if self.is_kept(batch, field) {
                batch.push(field);
            }
        }
        batch.close(mark)
    }

    fn is_kept(&self, batch: &Batch, field: Field) -> bool {
        match &self.key {
            // What an accessor reaches into is always kept.
            Key::Accessor(_) => true,
            Key::Name(name) if batch.key_is(field.key, name) && text_of(field.value).is_some() => {
                self.preserve_key
            }
            Key::Name(_) => self.reserve_data,
        }
    }
}

fn text_of(value: Value) -> Option<Span> {
    match value {
        Value::Str(text) | Value::Bin(text) => Some(text),
        _ => None,
    }
}

fn first_match(
    parsers: &mut [Box<dyn plugin::Parser>],
    batch: &mut Batch,
    text: Span,
) -> Option<Parsed> {
    parsers
        .iter_mut()
        .find_map(|parser| parser.parse(batch, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Instant;

    use bytes::Bytes;
    use config::{Diagnostics, Entry, Position, Section, SectionKind};
    use plugin::{Emit, Level, Log, Metrics, Parser, Parsers};
    use record::json::{read, write};
    use record::{Tag, Time};

    /// Understands `name=value`, and the time `T`.
    struct Pair;

    impl Parser for Pair {
        fn parse(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
            let at = batch.bytes(text).iter().position(|&byte| byte == b'=')?;
            let (name, value) = (text.slice(0..at), text.slice(at + 1..text.len()));
            let mark = batch.mark();
            batch.push(Field::new(name, Value::Str(value)));
            let time = (batch.bytes(value) == b"T").then(|| Time::new(42, 0));
            Some(Parsed {
                body: batch.close(mark),
                time,
            })
        }
    }

    struct OnlyPair;

    impl Parsers for OnlyPair {
        fn make(&self, name: &str) -> Option<Box<dyn Parser>> {
            (name == "pair").then(|| Box::new(Pair) as _)
        }

        fn names(&self) -> Vec<String> {
            vec!["pair".into()]
        }
    }

    struct Nowhere;

    impl Emit for Nowhere {
        fn emit(&self, _: Batch) {}
    }

    fn build(options: &[(&str, &str)]) -> Result<Box<dyn plugin::RunFilter>, BuildError> {
        let nowhere = Position::argument(1);
        let mut section = Section::new(SectionKind::Filter, "FILTER", nowhere.clone());
        for (key, value) in options {
            section
                .entries
                .push(Entry::plain(key, nowhere.clone(), *value, nowhere.clone()));
        }
        let mut diagnostics = Diagnostics::new();
        let build = (PLUGIN.configure)(&section, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics}"));
        build(&FilterContext {
            name: "parser.0".into(),
            log: Log::new("", Level::Off),
            metrics: Metrics::default(),
            parsers: Arc::new(OnlyPair),
        })
    }

    /// What becomes of one record, and its time.
    fn filtered(options: &[(&str, &str)], record: &str) -> (String, i64) {
        let mut filter = build(options).unwrap_or_else(|error| panic!("{error}"));
        let mut batch = Batch::new(Tag::from("t"), Bytes::copy_from_slice(record.as_bytes()));
        let text = batch.span(0..record.len());
        let (body, _) = read::object(&mut batch, text).expect("JSON");
        batch.push_record(Record {
            time: Time::new(7, 0),
            body,
            ..Record::default()
        });
        filter.filter(
            &mut batch,
            &FilterCall {
                emit: &Nowhere,
                now: Instant::now(),
            },
        );
        let mut out = Vec::new();
        let record = batch.records()[0];
        write::Writer::default().object(&batch, record.body, &mut out);
        (String::from_utf8(out).expect("text"), record.time.seconds())
    }

    #[test]
    fn records_change_as_upstream() {
        let key = ("key_name", "log");
        let parser = ("parser", "pair");
        let (preserve, reserve) = (("preserve_key", "on"), ("reserve_data", "on"));
        let nested = ("key_name", "$m['log']");
        let input = r#"{"a":1,"log":"k=v","b":2}"#;
        let cases: &[(&[(&str, &str)], &str, &str, i64)] = &[
            (&[key, parser], input, r#"{"k":"v"}"#, 7),
            (
                &[key, parser, preserve],
                input,
                r#"{"k":"v","log":"k=v"}"#,
                7,
            ),
            (
                &[key, parser, reserve],
                input,
                r#"{"k":"v","a":1,"b":2}"#,
                7,
            ),
            (
                &[key, parser, preserve, reserve],
                input,
                r#"{"k":"v","a":1,"log":"k=v","b":2}"#,
                7,
            ),
            (&[key, parser], r#"{"log":"k=T"}"#, r#"{"k":"T"}"#, 42),
            (
                &[key, parser],
                r#"{"log":"nothing"}"#,
                r#"{"log":"nothing"}"#,
                7,
            ),
            (&[key, parser], r#"{"log":5}"#, r#"{"log":5}"#, 7),
            (
                &[key, parser],
                r#"{"other":"k=v"}"#,
                r#"{"other":"k=v"}"#,
                7,
            ),
            // Of duplicates the last result counts, and the reserved field of the same name is the one that JSON shows.
            (
                &[key, parser],
                r#"{"log":"a=1","log":"b=2"}"#,
                r#"{"b":"2"}"#,
                7,
            ),
            (
                &[key, parser, reserve],
                r#"{"k":"old","log":"k=new"}"#,
                r#"{"k":"old"}"#,
                7,
            ),
            (
                &[key, ("parser", "nope"), parser],
                r#"{"log":"k=v"}"#,
                r#"{"k":"v"}"#,
                7,
            ),
            (
                &[nested, parser],
                r#"{"m":{"log":"k=v"}}"#,
                r#"{"k":"v"}"#,
                7,
            ),
            (
                &[nested, parser, preserve],
                r#"{"m":{"log":"k=v"}}"#,
                r#"{"k":"v"}"#,
                7,
            ),
            (
                &[nested, parser, reserve],
                r#"{"m":{"log":"k=v"}}"#,
                r#"{"k":"v","m":{"log":"k=v"}}"#,
                7,
            ),
        ];
        for (options, input, expected, time) in cases {
            assert_eq!(
                filtered(options, input),
                ((*expected).to_owned(), *time),
                "{options:?} {input}"
            );
        }
    }

    #[test]
    fn a_filter_without_any_parser_does_not_start() {
        assert!(build(&[("key_name", "log"), ("parser", "nope")]).is_err());
    }
}
