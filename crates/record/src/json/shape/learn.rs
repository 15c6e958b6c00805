//! What is expected of objects, learnt from one that was read.

use std::ops::Range;

use super::super::window::WINDOW;
use super::{Expected, FIELDS_MAX, Joint, Key, KeyPlace, Kind, Step};
use crate::{Batch, Fields, Span, Value};

/// Objects with more steps are not remembered: their keys are long, or there are blanks between them.
const STEPS_MAX: usize = 2 * FIELDS_MAX;

/// What is expected of objects like `fields`, which were read from `text`, if anything can be. Of those `before` it other kinds
/// of values may have been learnt in the same places: then both may come.
#[inline(never)]
pub(super) fn expected(
    before: &Expected,
    batch: &Batch,
    text: Span,
    fields: Fields,
) -> Option<Expected> {
    let mut learner = Learner {
        before,
        batch,
        text: batch.bytes(text),
        at: 0,
        joint: 0,
        starts: Vec::new(),
        keys: Vec::new(),
        found: Expected::default(),
    };
    learner.found.own = fields.len() as u32;
    learner.object(fields)?;
    learner.end()?;
    Some(learner.found)
}

/// Passes over an object that was read before.
struct Learner<'a> {
    before: &'a Expected,
    batch: &'a Batch,
    text: &'a [u8],
    at: usize,
    /// Where the joint begins that is passed.
    joint: usize,
    /// Where each step begins.
    starts: Vec<usize>,
    /// Where each key is.
    keys: Vec<Range<usize>>,
    found: Expected,
}

impl Learner<'_> {
    /// Passes over the object with these fields: which of those that are expected they are.
    fn object(&mut self, fields: Fields) -> Option<Fields> {
        let first = self.found.fields.len();
        if first + fields.len() > FIELDS_MAX {
            return None;
        }
        let fields = self.batch.fields(fields);
        self.found.fields.extend_from_slice(fields);
        self.keys.resize(first + fields.len(), 0..0);
        self.pass(b'{')?;
        for (index, field) in fields.iter().enumerate() {
            if index > 0 {
                self.pass(b',')?;
            }
            self.keys[first + index] = self.key(field.key)?;
            self.pass(b':')?;
            self.value(first + index, field.value)?;
        }
        self.pass(b'}')?;
        Some(Fields {
            start: first as u32,
            len: fields.len() as u32,
        })
    }

    /// Passes over a byte and blanks before it.
    fn pass(&mut self, byte: u8) -> Option<()> {
        self.pass_blanks();
        (self.text.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn pass_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_ascii_start().len();
    }

    /// Passes over a key: where it stands. Those with escapes are not remembered.
    fn key(&mut self, key: Key) -> Option<Range<usize>> {
        self.pass(b'"')?;
        let name = self.batch.bytes(key.span());
        if key.is_msgpack() || name.contains(&b'\\') || !self.text[self.at..].starts_with(name) {
            return None;
        }
        let place = self.at..self.at + name.len();
        self.at = place.end;
        self.pass(b'"')?;
        Some(place)
    }

    /// Passes over the value of a field.
    fn value(&mut self, field: usize, value: Value) -> Option<()> {
        self.pass_blanks();
        let kind = match value {
            Value::Map(fields) => {
                let fields = self.object(fields)?;
                self.found.maps.push((field as u32, fields));
                return Some(());
            }
            Value::Array(items) => self.array(items)?,
            Value::Str(_) if self.before.kind(field) != Some(Kind::Single) => Kind::Text,
            _ => Kind::Single,
        };
        // Quotes of a text belong to the joints.
        let quote = usize::from(kind == Kind::Text);
        self.at += quote;
        self.step(kind, field)?;
        match kind {
            Kind::Array => self.pass_array()?,
            Kind::Text => self.pass_text()?,
            _ => self.pass_single()?,
        }
        self.joint = self.at;
        self.at += quote;
        Some(())
    }

    /// The kind of an array of these items.
    fn array(&self, items: Fields) -> Option<Kind> {
        let mut items = self.batch.fields(items).iter();
        let is_flat = items.all(|item| !matches!(item.value, Value::Array(_) | Value::Map(_)));
        is_flat.then_some(Kind::Array)
    }

    /// Adds a step to the value that begins here.
    fn step(&mut self, kind: Kind, field: usize) -> Option<()> {
        let is_own = field < self.found.own as usize;
        let (mut start, mut joint) = (self.joint, &self.text[self.joint..self.at]);
        while joint.len() > WINDOW {
            let (first, rest) = joint.split_at(WINDOW);
            self.push(start, Step::new(first, Kind::Nothing, 0, 0))?;
            (start, joint) = (start + WINDOW, rest);
        }
        let bit = if is_own { 1 << field } else { 0 };
        self.push(start, Step::new(joint, kind, field as u32, bit))
    }

    fn push(&mut self, start: usize, step: Step) -> Option<()> {
        self.starts.push(start);
        self.found.steps.push(step);
        (self.found.steps.len() <= STEPS_MAX).then_some(())
    }

    /// Goes to the quote behind a text.
    fn pass_text(&mut self) -> Option<()> {
        loop {
            match self.text.get(self.at)? {
                b'"' => return Some(()),
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }

    /// Goes behind a value that is neither an array nor a map.
    fn pass_single(&mut self) -> Option<()> {
        if self.text.get(self.at) == Some(&b'"') {
            self.at += 1;
            self.pass_text()?;
            self.at += 1;
            return Some(());
        }
        let rest = &self.text[self.at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().position(is_end)?;
        Some(())
    }

    /// Goes behind an array of such values.
    fn pass_array(&mut self) -> Option<()> {
        loop {
            match self.text.get(self.at)? {
                b'"' => self.pass_single()?,
                b']' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }

    /// Ends behind the object: nothing but blanks may follow.
    fn end(&mut self) -> Option<()> {
        self.pass_blanks();
        if self.at != self.text.len() {
            return None;
        }
        self.step(Kind::Nothing, 0)?;
        for key in &self.keys {
            let step = self.starts.partition_point(|start| *start <= key.start) - 1;
            self.found.keys.push(KeyPlace {
                step: step as u32,
                offset: (key.start - self.starts[step]) as u32,
                len: key.len() as u32,
            });
        }
        self.found.batch = self.batch.id();
        Some(())
    }
}

impl Expected {
    /// The kind of a field's value.
    fn kind(&self, field: usize) -> Option<Kind> {
        let mut steps = self.steps.iter();
        let step = steps.find(|step| step.kind != Kind::Nothing && step.field as usize == field)?;
        Some(step.kind)
    }
}

impl Step {
    fn new(joint: &[u8], kind: Kind, field: u32, bit: u64) -> Step {
        Step {
            joint: Joint::new(joint),
            kind,
            field,
            bit,
        }
    }
}
