//! Copying records from one batch to another.

use crate::{Batch, Field, Fields, Key, Record, Span, Value};

impl Batch {
    /// Copies a record of `from` into this batch, without appending it. Text of a source that both share is not copied. The
    /// copy keeps position, time and marker; what it answers for besides is the caller's.
    pub fn copy_record(&mut self, from: &Batch, record: &Record) -> Record {
        let shares = std::ptr::eq(&raw const **self.source(), &raw const **from.source());
        let mut copier = Copier {
            from,
            into: self,
            shares,
        };
        Record {
            metadata: copier.fields(record.metadata),
            body: copier.fields(record.body),
            extra: 0,
            ..*record
        }
    }
}

struct Copier<'a> {
    from: &'a Batch,
    into: &'a mut Batch,
    /// Whether both have the same source.
    shares: bool,
}

impl Copier<'_> {
    fn fields(&mut self, fields: Fields) -> Fields {
        if fields.is_empty() {
            return Fields::EMPTY;
        }
        let level = self.into.nest();
        for field in self.from.fields(fields) {
            let value = self.value(field.value);
            let span = self.span(field.key.span());
            let key = match field.key.is_msgpack() {
                true => Key::msgpack(span),
                false => Key::text(span),
            };
            self.into.nest_push(Field { key, value });
        }
        self.into.nest_close(level)
    }

    fn value(&mut self, value: Value) -> Value {
        match value {
            Value::Str(span) => Value::Str(self.span(span)),
            Value::Bin(span) => Value::Bin(self.span(span)),
            Value::Ext(kind, span) => Value::Ext(kind, self.span(span)),
            Value::Array(items) => Value::Array(self.fields(items)),
            Value::Map(fields) => Value::Map(self.fields(fields)),
            scalar => scalar,
        }
    }

    fn span(&mut self, span: Span) -> Span {
        if span.is_empty() {
            Span::EMPTY
        } else if self.shares && !span.is_in_arena() {
            span
        } else {
            self.into.put(self.from.bytes(span))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Tag;
    use crate::tree::{Tree, any_map, batch, put_map};

    proptest! {
        #[test]
        fn a_copy_says_the_same(body in any_map(), metadata in any_map(), shares in any::<bool>()) {
            let mut from = batch("something that was read");
            let text = from.span(0..9);
            let mut own = put_map(&body, &mut from);
            let mark = from.mark();
            from.push_copy(own);
            from.push(Field::new(text, Value::Str(text)));
            own = from.close(mark);
            let metadata = put_map(&metadata, &mut from);
            let original = Record { body: own, metadata, extra: 7, ..Record::default() };
            let mut into = match shares {
                true => from.sibling(Tag::from("t")),
                false => batch("something else that was read"),
            };
            let copy = into.copy_record(&from, &original);
            prop_assert_eq!(Tree::of(&into, Value::Map(copy.body)), Tree::of(&from, Value::Map(own)));
            prop_assert_eq!(Tree::of(&into, Value::Map(copy.metadata)), Tree::of(&from, Value::Map(metadata)));
            prop_assert_eq!(copy.extra, 0);
        }
    }
}
