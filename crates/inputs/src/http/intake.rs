//! A body → batches on the road.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use plugin::Emitter;
use record::json::read;
use record::{Batch, Field, Fields, Permit, Record, Tag, Time, Value};
use tokio::sync::Notify;

use super::elements::{self, Elements, Invalid};
use super::request::{Refusal, UNPROCESSABLE};
use super::{Instance, form};
use crate::gate::Room;
use crate::listening::tags;
use crate::numbered::Numbered;

/// Bodies of more bytes than this are looked through before anything of them is sent on, and go on in pieces.
const LARGE: usize = 256 << 10;
/// How much memory the records of a piece take, besides the body.
const PIECE: usize = 4 << 20;
/// How many tags may alternate in one piece before its batches are sent on.
const GROUPS_MAX: usize = 16;
/// What looking for tags may leave behind.
const SCRATCH_MAX: usize = 1 << 20;

/// What all records of a request have in common.
pub struct Source {
    /// Their tag, unless a field names another.
    pub tag: Tag,
    /// The client's address, if it is to be added.
    pub address: Option<Vec<u8>>,
    pub time: Time,
}

/// Makes batches of one body.
pub struct Intake<'a> {
    pub instance: &'a Rc<Instance>,
    pub emitter: &'a Emitter,
    pub source: Source,
    pub records: Numbered,
    pub changed: &'a Arc<Notify>,
    pub room: &'a mut Room,
    /// Records of the current piece, one batch for each tag.
    pub groups: Vec<Batch>,
}

impl Intake<'_> {
    /// Sends on the records of a JSON body, or nothing of it if it is none.
    pub async fn json(&mut self, body: Bytes) -> Result<(), Refusal> {
        let is_large = body.len() > LARGE;
        if is_large {
            elements::check(&body).map_err(|Invalid| UNPROCESSABLE)?;
        }
        let mut permit = self.instance.gate.part(self.room, body.len(), 0);
        let (mut elements, mut bytes) = (Elements::default(), body);
        let mut scratch = Batch::new(self.source.tag.clone(), bytes.clone());
        while let Some(start) = elements.next(&bytes).map_err(|Invalid| UNPROCESSABLE)? {
            let used = self.element(&bytes, start, &mut scratch)?;
            elements.pass(used);
            if is_large && self.made(bytes.len()) > PIECE {
                self.emit_groups(permit.take());
                permit = Some(self.room_for_piece().await);
                bytes = bytes.slice(elements.rebase()..);
                scratch = Batch::new(self.source.tag.clone(), bytes.clone());
            }
        }
        self.emit_groups(permit);
        Ok(())
    }

    /// Sends on the record of a form.
    pub fn form(&mut self, body: Bytes) -> Result<(), Refusal> {
        let permit = self.instance.gate.part(self.room, body.len(), 0);
        let mut batch = Batch::new(self.source.tag.clone(), Bytes::new());
        let fields = self.form_fields(&mut batch, &body);
        if fields.is_empty() {
            return Err(UNPROCESSABLE);
        }
        let (mut batch, fields) = match self.tag_of(&batch, fields) {
            None => (batch, fields),
            Some(tag) => {
                let mut batch = Batch::new(tag, Bytes::new());
                let fields = self.form_fields(&mut batch, &body);
                (batch, fields)
            }
        };
        self.push(&mut batch, fields);
        self.groups.push(batch);
        self.emit_groups(permit);
        Ok(())
    }

    /// Puts the element at `start` into the batch of its tag. Returns how many bytes it takes.
    fn element(
        &mut self,
        bytes: &Bytes,
        start: usize,
        scratch: &mut Batch,
    ) -> Result<usize, Refusal> {
        let span = scratch.span(start..bytes.len());
        if bytes[start] != b'{' {
            self.instance.counters.not_an_object.add(1);
            self.instance.notices.warn(format_args!(
                "an element of an array is no object and is dropped"
            ));
            return read::skip(&bytes[start..]).map_err(|_| UNPROCESSABLE);
        }
        let tag = match &self.instance.tag_key {
            None => None,
            Some(_) => {
                let mark = scratch.mark();
                let (fields, _) = read::object(scratch, span).map_err(|_| UNPROCESSABLE)?;
                let tag = self.tag_of(scratch, fields);
                scratch.rewind(mark);
                if scratch.footprint() > bytes.len() + SCRATCH_MAX {
                    *scratch = Batch::new(self.source.tag.clone(), bytes.clone());
                }
                tag
            }
        };
        let mut groups = std::mem::take(&mut self.groups);
        let batch = group(&mut groups, tag.as_ref().unwrap_or(&self.source.tag), bytes);
        let (fields, used) = read::object(batch, span).map_err(|_| UNPROCESSABLE)?;
        self.push(batch, fields);
        self.groups = groups;
        Ok(used)
    }

    /// Appends a record of `fields`, and the client's address if it has no such field.
    fn push(&self, batch: &mut Batch, fields: Fields) {
        let body = match &self.source.address {
            None => fields,
            Some(address) => self.with_address(batch, fields, address),
        };
        batch.push_record(Record {
            time: self.source.time,
            body,
            ..Record::default()
        });
    }

    fn with_address(&self, batch: &mut Batch, fields: Fields, address: &[u8]) -> Fields {
        let key = self.instance.options.remote_addr_key.as_bytes();
        if batch.get(fields, key).is_some() {
            self.instance.notices.warn(format_args!(
                "remote_addr_key already present in record, skipping injection"
            ));
            return fields;
        }
        let (key, address) = (batch.put(key), batch.put(address));
        let mark = batch.mark();
        batch.push_copy(fields);
        batch.push(Field::new(key, Value::Str(address)));
        batch.close(mark)
    }

    fn form_fields(&self, batch: &mut Batch, body: &[u8]) -> Fields {
        let mark = batch.mark();
        for pair in form::pairs(body) {
            if pair.is_raw {
                self.instance.notices.warn(format_args!(
                    "invalid percent-encoding for field '{}', keeping raw value",
                    String::from_utf8_lossy(pair.key)
                ));
            }
            let (key, value) = (batch.put(pair.key), batch.put(&pair.value));
            batch.push(Field::new(key, Value::Str(value)));
        }
        batch.close(mark)
    }

    /// The tag that a field of the record names.
    fn tag_of(&self, batch: &Batch, fields: Fields) -> Option<Tag> {
        match self.instance.tag_key.as_ref()?.value(batch, fields)? {
            Value::Str(text) => {
                let text = batch.bytes(text);
                (!text.is_empty()).then(|| self.instance.tag(text))
            }
            _ => None,
        }
    }

    /// How much memory the records of the current piece take, besides the body.
    fn made(&self, body: usize) -> usize {
        let all = self.groups.iter().map(|batch| batch.footprint() - body);
        let made = all.sum();
        match self.groups.len() > GROUPS_MAX {
            // Each batch counts the body as its own.
            true => PIECE + 1,
            false => made,
        }
    }

    fn emit_groups(&mut self, mut permit: Option<Permit>) {
        for batch in self.groups.drain(..) {
            if batch.is_empty() {
                continue;
            }
            let permit = permit
                .take()
                .unwrap_or_else(|| self.instance.gate.nothing());
            let batch = self.records.own(batch).with_awaited(true);
            self.emitter.emit(batch.with_permit(permit));
        }
    }

    /// Waits for memory, but not when there is nothing left to wait for.
    async fn room_for_piece(&self) -> Permit {
        let gate = &self.instance.gate;
        loop {
            tokio::select! {
                biased;
                permit = gate.take(PIECE) => return permit,
                () = self.changed.notified(), if !self.records.is_settled() => {}
                () = std::future::ready(()), if self.records.is_settled() => return gate.nothing(),
            }
        }
    }
}

/// The batch for `tag`, among the groups. In each group records keep their order.
fn group<'a>(groups: &'a mut Vec<Batch>, tag: &Tag, bytes: &Bytes) -> &'a mut Batch {
    let at = groups.iter().rposition(|batch| batch.tag() == tag);
    let at = at.unwrap_or_else(|| {
        groups.push(Batch::new(tag.clone(), bytes.clone()));
        groups.len() - 1
    });
    &mut groups[at]
}

impl Instance {
    /// The tag of a request for `path`, which has no leading slash.
    pub fn tag_of_path(&self, path: &str) -> Tag {
        match path.is_empty() {
            true => self.context.static_tag(),
            false => self.tag(path.as_bytes()),
        }
    }

    /// The tag that `text` of a client becomes.
    fn tag(&self, text: &[u8]) -> Tag {
        let plain = |&byte: &u8| match byte {
            b'_' | b'.' => byte,
            byte if byte.is_ascii_alphanumeric() => byte,
            _ => b'_',
        };
        let plain: Vec<u8> = text.iter().map(plain).collect();
        let safe = tags::safe(&plain);
        if *safe != plain[..] {
            self.counters.unsafe_tags.add(1);
        }
        Tag::new(safe)
    }
}
