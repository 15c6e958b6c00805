//! What is sent of a record.

use plugin::{Counter, Log, OutputContext, Reason};
use record::json::write::{NestedWriter, Options, Writer};
use record::{Batch, Record, Value};

use super::emf::Emf;
use super::{entity, text};

/// The longest message in bytes of UTF-8. The service takes 1 MB; upstream cuts here.
pub const MESSAGE_BYTES_MAX: usize = 1_000_000;

/// JSON of two bytes or less says nothing.
const EMPTY: usize = 2;

/// What the options say about messages.
pub struct MessageOptions {
    /// `log_key`.
    pub log_key: Option<String>,
    /// Whether the blanks around a text are left out, as by the Go plugin.
    pub trims: bool,
    /// `add_entity`.
    pub has_entity: bool,
    /// `metric_namespace` and `metric_dimensions`.
    pub emf: Option<Emf>,
}

/// Makes messages of records.
pub struct Message {
    options: MessageOptions,
    /// For records that are sent as they are.
    nested: Option<NestedWriter>,
    writer: Writer,
    /// For names: characters stay as they are.
    names: Writer,
    /// The record as JSON.
    line: Vec<u8>,
    /// The beginning of a message that was too long.
    short: Vec<u8>,
    entity: Vec<u8>,
    truncated: Counter,
    log: Log,
}

/// The message of one record.
pub struct Said<'a> {
    /// What it says.
    pub text: &'a [u8],
    /// How many bytes of UTF-8 the service counts.
    pub bytes: usize,
    /// `"entity":{…},` or nothing.
    pub entity: &'a [u8],
}

impl Message {
    /// Messages as the options want them.
    pub fn new(options: MessageOptions, context: &OutputContext) -> Message {
        let is_whole = options.log_key.is_none() && options.emf.is_none() && !options.has_entity;
        Message {
            options,
            nested: is_whole.then(|| NestedWriter::new(json_options(context))),
            writer: writer(context),
            names: names_writer(),
            line: Vec::new(),
            short: Vec::new(),
            entity: Vec::new(),
            truncated: context.metrics.counter(
                "truncated_total",
                "Records that were longer than the service takes, sent with their end replaced by a mark.",
            ),
            log: context.log.clone(),
        }
    }

    /// Whether records are sent as they are, so that [`Message::append`] makes most messages.
    pub fn is_whole(&self) -> bool {
        self.nested.is_some()
    }

    /// Appends the message of a record that is sent as it is, as the inside of a JSON string, and returns its length. `None`,
    /// with any end of `out`, if it says nothing or is too long: [`Message::of`] knows more about it.
    pub fn append(&mut self, batch: &Batch, record: &Record, out: &mut Vec<u8>) -> Option<usize> {
        // The JSON of a record holds nothing but characters.
        let bytes = self.nested.as_mut()?.object(batch, record.body, out);
        (EMPTY < bytes && bytes <= MESSAGE_BYTES_MAX).then_some(bytes)
    }

    /// The message of a record; `None` when it says nothing. An error names why it cannot be sent.
    pub fn of<'a>(
        &'a mut self,
        batch: &'a Batch,
        record: &Record,
    ) -> Result<Option<Said<'a>>, Reason> {
        self.line.clear();
        if self.options.has_entity {
            entity::write(batch, record.body, &self.names, &mut self.entity);
        }
        let raw = match &self.options.log_key {
            None => {
                self.write_record(batch, record);
                None
            }
            Some(key) => match batch.get(record.body, key.as_bytes()) {
                Some(Value::Str(span)) => Some(batch.bytes(span)),
                Some(value) => {
                    self.writer.value(batch, value, &mut self.line);
                    None
                }
                None => return Err(Reason("log_key_missing")),
            },
        };
        let mut said = raw.unwrap_or(&self.line);
        if self.options.trims {
            said = said.trim_ascii();
        }
        let floor = if self.options.log_key.is_some() {
            0
        } else {
            EMPTY
        };
        if said.len() <= floor {
            return Ok(None);
        }
        let mut bytes = text::service_length(said);
        if bytes > MESSAGE_BYTES_MAX {
            if self.truncated.get() == 0 {
                self.log.warn(format_args!(
                    "a record of {bytes} bytes is longer than CloudWatch Logs takes: its end is replaced by a mark, here and \
                     in all others like it"
                ));
            }
            self.truncated.add(1);
            text::cut(said, MESSAGE_BYTES_MAX, &mut self.short);
            said = &self.short;
            bytes = text::service_length(said);
        }
        Ok(Some(Said {
            text: said,
            bytes,
            entity: &self.entity,
        }))
    }

    fn write_record(&mut self, batch: &Batch, record: &Record) {
        let emf = self.options.emf.as_ref();
        if emf.is_some_and(|emf| emf.write(batch, record, &mut self.writer, &mut self.line)) {
            return;
        }
        if self.options.has_entity {
            entity::write_rest(batch, record.body, &mut self.writer, &mut self.line);
        } else {
            self.writer.object(batch, record.body, &mut self.line);
        }
    }

    /// Gives back what is not in use.
    pub fn trim(&mut self) {
        self.line = Vec::new();
        self.short = Vec::new();
        self.entity = Vec::new();
        if let Some(nested) = &mut self.nested {
            nested.trim();
        }
    }
}

/// A writer with the settings of the service section.
pub fn writer(context: &OutputContext) -> Writer {
    Writer::new(json_options(context))
}

fn json_options(context: &OutputContext) -> Options {
    Options {
        escape_unicode: context.escape_unicode,
        nan_to_null: context.nan_to_null,
    }
}

/// A writer for the names of groups and streams, which upstream writes as they are.
pub fn names_writer() -> Writer {
    Writer::new(Options {
        escape_unicode: false,
        nan_to_null: false,
    })
}
