//! The format `none`: what stands between separators is a record.

use bytes::{Buf, BytesMut};
use memchr::memmem::{Finder, FinderRev};
use plugin::Parser;
use record::{Batch, Field, Record, Time, Value};

use super::Instance;
use super::connection::Source;

/// Cuts the bytes of one connection at separators.
pub struct Lines {
    next: Finder<'static>,
    last: FinderRev<'static>,
    separator: usize,
    parser: Option<Box<dyn Parser>>,
    /// So many bytes of the buffer hold no separator.
    searched: usize,
    /// The line that is arriving is too long; its rest is passed over.
    is_passing_over: bool,
}

impl Lines {
    /// Nothing has come yet.
    pub fn new(separator: &[u8], parser: Option<Box<dyn Parser>>) -> Lines {
        Lines {
            next: Finder::new(separator).into_owned(),
            last: FinderRev::new(separator).into_owned(),
            separator: separator.len(),
            parser,
            searched: 0,
            is_passing_over: false,
        }
    }

    /// Whether nothing is passed over.
    pub fn is_plain(&self) -> bool {
        !self.is_passing_over
    }

    /// Takes complete lines out of `buffer`, and with `is_end` also the last one, which nothing ended.
    pub fn take(
        &mut self,
        buffer: &mut BytesMut,
        is_end: bool,
        instance: &Instance,
        source: &Source,
    ) -> Option<Batch> {
        self.pass_over(buffer, is_end);
        let end = match self.last.rfind(&buffer[self.searched..]) {
            _ if is_end => buffer.len(),
            Some(at) => self.searched + at + self.separator,
            None => 0,
        };
        let batch = (end > 0).then(|| {
            let mut batch =
                Batch::new(instance.context.static_tag(), buffer.split_to(end).freeze());
            self.records(&mut batch, instance, source);
            batch
        });
        if buffer.len() > instance.record_max {
            note_too_large(instance);
            self.is_passing_over = true;
            self.pass_over(buffer, is_end);
        }
        self.searched = buffer.len().saturating_sub(self.separator - 1);
        batch
    }

    /// Drops what belongs to a line that is too long.
    fn pass_over(&mut self, buffer: &mut BytesMut, is_end: bool) {
        if !self.is_passing_over {
            return;
        }
        match self.next.find(buffer) {
            Some(at) => {
                buffer.advance(at + self.separator);
                self.is_passing_over = false;
            }
            None if is_end => buffer.clear(),
            // Its last bytes may be the first ones of a separator.
            None => buffer.advance(buffer.len().saturating_sub(self.separator - 1)),
        }
        self.searched = 0;
    }

    fn records(&mut self, batch: &mut Batch, instance: &Instance, source: &Source) {
        let now = Time::now();
        let bytes = batch.source().clone();
        let key = batch.put(b"log");
        let origin = source.put(batch);
        let mut start = 0;
        while start < bytes.len() {
            let end = self
                .next
                .find(&bytes[start..])
                .map_or(bytes.len(), |at| start + at);
            match end - start {
                0 => {}
                len if len > instance.record_max => note_too_large(instance),
                _ => {
                    let text = batch.span(start..end);
                    let parsed = self.parser.as_mut().map(|parser| parser.parse(batch, text));
                    let record = match parsed.flatten() {
                        Some(parsed) => Record {
                            time: parsed.time.unwrap_or(now),
                            body: super::values::with_origin(batch, parsed.body, origin),
                            ..Record::default()
                        },
                        None => {
                            instance
                                .counters
                                .unparsed
                                .add(u64::from(self.parser.is_some()));
                            let mark = batch.mark();
                            batch.push(Field::new(key, Value::Str(text)));
                            origin.into_iter().for_each(|field| batch.push(field));
                            Record {
                                time: now,
                                body: batch.close(mark),
                                ..Record::default()
                            }
                        }
                    };
                    batch.push_record(record);
                }
            }
            start = end + self.separator;
        }
    }
}

fn note_too_large(instance: &Instance) {
    if instance.counters.too_large.get() == 0 {
        instance.context.log.warn(format_args!(
            "a line is longer than 'Buffer_Size' ({} KB) and is dropped; more of them are only counted",
            instance.record_max / 1024
        ));
    }
    instance.counters.too_large.add(1);
}
