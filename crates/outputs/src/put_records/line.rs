//! A record as text: its fields as one line of JSON, or the value of one field.

use config::{CommaList, Options};
use plugin::{BuildError, OutputContext, Reason};
use record::json::write::{self, Writer};
use record::{Batch, Record, Value};

use super::Dialect;
use super::selection::Selection;
use super::time_key::TimeKey;

/// What is sent of a record.
#[derive(Clone, Debug, Options)]
pub struct LineOptions {
    /// Add the time of the event under this key.
    #[option(name = "time_key")]
    pub time_key: Option<String>,
    /// How it is written: strftime in UTC. Fractions of a second: `%3N` for milliseconds and `%9N` or `%L` for nanoseconds;
    /// in the plugins named as AWS's (`firehose`, `kinesis`) `%L` for milliseconds and `%f` for microseconds.
    #[option(name = "time_key_format", default = "%Y-%m-%dT%H:%M:%S")]
    pub time_key_format: String,
    /// Send only the value of this field: text as it is, other values as JSON.
    #[option(name = "log_key")]
    pub log_key: Option<String>,
    /// Send only these fields.
    #[option(name = "data_keys")]
    pub data_keys: Option<CommaList>,
    /// Write this in place of every dot in the names of fields, those of maps inside included.
    #[option(name = "replace_dots")]
    pub replace_dots: Option<String>,
}

/// JSON of two bytes or less says nothing.
const EMPTY: usize = 2;

/// Writes records as the options want them.
pub struct LineWriter {
    writer: Writer,
    dialect: Dialect,
    form: Form,
    time_key: Option<TimeKey>,
}

/// What of a record is written.
enum Form {
    /// All of it.
    Whole,
    /// All but the field of this name, whose place the time takes. Few records have one.
    WholeBut(Vec<u8>, Selection),
    /// Some fields, or under other names.
    Chosen(Selection),
    /// One value; with a selection its name and those in it are replaced.
    Value(Vec<u8>, Option<Selection>),
}

impl LineWriter {
    /// A writer for these options.
    ///
    /// # Errors
    /// What does not go together. Of that, what AWS's plugins take is a warning there.
    pub fn new(
        options: &LineOptions,
        dialect: Dialect,
        context: &OutputContext,
    ) -> Result<LineWriter, BuildError> {
        let writer = Writer::new(write::Options {
            escape_unicode: context.escape_unicode,
            nan_to_null: context.nan_to_null,
        });
        let keys = options.data_keys.clone().unwrap_or_default().0;
        let dot = options
            .replace_dots
            .as_deref()
            .filter(|dot| !dot.is_empty());
        if let Some(key) = &options.log_key {
            log_key_is_sent(key, &keys)?;
            no_time_beside(key, options, dialect, context)?;
            let selection = dot.map(|_| Selection::new(&[], dot));
            return Ok(LineWriter {
                writer,
                dialect,
                form: Form::Value(key.clone().into_bytes(), selection),
                time_key: None,
            });
        }
        let selection = Selection::new(&keys, dot);
        let time_name = time_name(options, &keys, context).map(|name| selection.written(name));
        let time_key = match &time_name {
            None => None,
            Some(name) => {
                let text = name_as_text(name, dialect, &writer);
                Some(TimeKey::new(&text, &options.time_key_format, dialect)?)
            }
        };
        let selects = !keys.is_empty() || dot.is_some();
        let form = match (dialect, time_name) {
            (Dialect::Go, Some(name)) if selects => Form::Chosen(selection.without(&name)),
            (Dialect::Go, Some(name)) => {
                let selection = selection.without(&name);
                Form::WholeBut(name, selection)
            }
            _ if selects => Form::Chosen(selection),
            _ => Form::Whole,
        };
        Ok(LineWriter {
            writer,
            dialect,
            form,
            time_key,
        })
    }

    /// Appends `text` as a JSON string with its quotes.
    pub fn string(&self, text: &[u8], out: &mut Vec<u8>) {
        self.writer.string(text, out);
    }

    /// Makes `out` the text of a record, without a newline. It is empty if the record says nothing: an empty object, or with
    /// `log_key` an empty text.
    ///
    /// # Errors
    /// Why the record cannot be sent.
    pub fn write(
        &mut self,
        batch: &Batch,
        record: &Record,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        out.clear();
        match &mut self.form {
            Form::Whole => self.writer.object(batch, record.body, out),
            Form::WholeBut(name, selection) if batch.get(record.body, name).is_some() => {
                selection.object(&mut self.writer, batch, record.body, out);
            }
            Form::WholeBut(..) => self.writer.object(batch, record.body, out),
            Form::Chosen(selection) => {
                selection.object(&mut self.writer, batch, record.body, out);
            }
            Form::Value(key, selection) => {
                let value = match selection {
                    None => batch.get(record.body, key),
                    Some(selection) => selection.get(batch, record.body, key),
                };
                match (value, selection) {
                    (None, _) => return Err(Reason("log_key_missing")),
                    (Some(Value::Str(text)), _) => out.extend_from_slice(batch.bytes(text)),
                    (Some(value), None) => self.writer.value(batch, value, out),
                    (Some(value), Some(selection)) => {
                        selection.value(&mut self.writer, batch, value, out);
                    }
                }
                return Ok(());
            }
        }
        self.add_time(record, out);
        Ok(())
    }

    /// Adds the time to an object, or empties `out` if there is nothing that it could be the time of.
    fn add_time(&mut self, record: &Record, out: &mut Vec<u8>) {
        let is_empty = out.len() <= EMPTY;
        match &mut self.time_key {
            // Fluent Bit looks at the record alone, AWS's plugins at what is sent.
            Some(time_key) if !is_empty || self.dialect == Dialect::Go => {
                time_key.splice(record.time, out);
            }
            _ if is_empty => out.clear(),
            _ => {}
        }
    }
}

/// The text between the quotes of a key: Fluent Bit does not escape it.
fn name_as_text(name: &[u8], dialect: Dialect, writer: &Writer) -> Vec<u8> {
    match dialect {
        Dialect::Core => name.to_vec(),
        Dialect::Go => {
            let mut text = Vec::new();
            writer.string(name, &mut text);
            text[1..text.len() - 1].to_vec()
        }
    }
}

fn log_key_is_sent(key: &String, keys: &[String]) -> Result<(), BuildError> {
    if keys.is_empty() || keys.contains(key) {
        return Ok(());
    }
    Err(format!("log_key '{key}' is not among the data_keys: no record would be sent").into())
}

fn no_time_beside(
    log_key: &str,
    options: &LineOptions,
    dialect: Dialect,
    context: &OutputContext,
) -> Result<(), BuildError> {
    match (&options.time_key, dialect) {
        (None, _) => Ok(()),
        (Some(_), Dialect::Core) => Err(
            "'time_key' and 'log_key' exclude each other: what is sent is the value alone".into(),
        ),
        (Some(_), Dialect::Go) => {
            context.log.warn(format_args!(
                "time_key has no effect: with log_key the value of '{log_key}' alone is sent"
            ));
            Ok(())
        }
    }
}

/// The name of the field for the time, if it is sent.
fn time_name<'a>(
    options: &'a LineOptions,
    keys: &[String],
    context: &OutputContext,
) -> Option<&'a [u8]> {
    let name = options.time_key.as_ref()?;
    if !keys.is_empty() && !keys.contains(name) {
        context.log.warn(format_args!(
            "time_key has no effect: '{name}' is not among the data_keys"
        ));
        return None;
    }
    Some(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use plugin::{Level, Log, Metrics};
    use record::{Tag, Time, json};

    use super::*;

    fn context() -> OutputContext {
        OutputContext {
            name: "firehose.0".into(),
            log: Log::new("", Level::Off),
            metrics: Metrics::default(),
            escape_unicode: true,
            nan_to_null: false,
            config_dir: ".".into(),
            writers: Default::default(),
            bodies: record::Budget::new(0),
        }
    }

    fn options(options: &[(&str, &str)]) -> LineOptions {
        use config::{Diagnostics, Entry, Position, Section, SectionKind};
        let nowhere = Position::argument(1);
        let mut section = Section::new(SectionKind::Output, "OUTPUT", nowhere.clone());
        for (key, value) in options {
            let entry = Entry::plain(key, nowhere.clone(), *value, nowhere.clone());
            section.entries.push(entry);
        }
        let mut diagnostics = Diagnostics::new();
        LineOptions::read(&section, &mut diagnostics).unwrap_or_else(|| panic!("{diagnostics}"))
    }

    fn line(dialect: Dialect, pairs: &[(&str, &str)], record: &str) -> Result<String, Reason> {
        let mut writer = LineWriter::new(&options(pairs), dialect, &context())
            .unwrap_or_else(|error| panic!("{error}"));
        let mut batch = Batch::new(Tag::from("t"), Bytes::copy_from_slice(record.as_bytes()));
        let text = batch.span(0..record.len());
        let (body, _) = json::read::object(&mut batch, text).expect("JSON");
        let record = Record {
            time: Time::new(1_700_000_000, 123_456_789),
            body,
            ..Record::default()
        };
        let mut out = b"of the one before".to_vec();
        writer.write(&batch, &record, &mut out)?;
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    use Dialect::{Core, Go};

    #[test]
    fn records_become_lines() {
        let time = &[("time_key", "@t"), ("time_key_format", "%S.%L")][..];
        let data = &[("data_keys", "log, a.b")][..];
        let cases: &[(Dialect, &[(&str, &str)], &str, &str)] = &[
            (Core, &[], r#"{"k":"v","n":null}"#, r#"{"k":"v","n":null}"#),
            (Core, &[], "{}", ""),
            (Core, time, r#"{"a":1}"#, r#"{"a":1,"@t":"20.123456789"}"#),
            (Go, time, r#"{"a":1}"#, r#"{"a":1,"@t":"20.123"}"#),
            // Fluent Bit adds to what is there, AWS's plugins replace it.
            (
                Core,
                time,
                r#"{"@t":1,"a":2}"#,
                r#"{"@t":1,"a":2,"@t":"20.123456789"}"#,
            ),
            (Go, time, r#"{"@t":1,"a":2}"#, r#"{"a":2,"@t":"20.123"}"#),
            (Core, time, "{}", ""),
            (Go, time, "{}", r#"{"@t":"20.123"}"#),
            (
                Go,
                data,
                r#"{"x":1,"log":"l","a.b":2}"#,
                r#"{"log":"l","a.b":2}"#,
            ),
            (Go, data, r#"{"x":1}"#, ""),
            (
                Go,
                &[
                    ("data_keys", "log,a.b"),
                    ("replace_dots", "-"),
                    ("time_key", "a.b"),
                    ("time_key_format", "%S"),
                ],
                r#"{"a.b":1,"log":"l","x":2}"#,
                r#"{"log":"l","a-b":"20"}"#,
            ),
            (
                Go,
                &[("data_keys", "log"), ("time_key", "t")],
                r#"{"log":"l"}"#,
                r#"{"log":"l"}"#,
            ),
            (
                Go,
                &[("log_key", "log"), ("time_key", "t")],
                r#"{"log":"l"}"#,
                "l",
            ),
            (
                Core,
                &[("log_key", "log")],
                r#"{"log":"he\"llo"}"#,
                "he\"llo",
            ),
            (
                Core,
                &[("log_key", "log")],
                r#"{"log_k":"x","log":{"a":1}}"#,
                r#"{"a":1}"#,
            ),
            (Core, &[("log_key", "log")], r#"{"log":""}"#, ""),
            (Core, &[("log_key", "log")], r#"{"log":123}"#, "123"),
            (
                Go,
                &[("log_key", "a_b"), ("replace_dots", "_")],
                r#"{"a.b":{"c.d":1}}"#,
                r#"{"c_d":1}"#,
            ),
        ];
        for (dialect, pairs, record, expected) in cases {
            let text = line(*dialect, pairs, record);
            assert_eq!(
                text.as_deref(),
                Ok(*expected),
                "{dialect:?} {pairs:?} {record}"
            );
        }
        let missing = line(Core, &[("log_key", "log")], r#"{"lo":"x"}"#);
        assert_eq!(missing, Err(Reason("log_key_missing")));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let both = options(&[("time_key", "t"), ("log_key", "log")]);
        assert!(LineWriter::new(&both, Core, &context()).is_err());
        assert!(LineWriter::new(&both, Go, &context()).is_ok());
        let none = options(&[("data_keys", "a"), ("log_key", "log")]);
        assert!(LineWriter::new(&none, Go, &context()).is_err());
    }
}
