//! `Format regex`: the named groups of a pattern (upstream `src/flb_parser_regex.c`).

use config::{FieldType, ParserOptions};
use pattern::{Matcher, Pattern};
use plugin::{BuildError, Log, Parsed, Parser, ParserContext, ParserPlugin};
use record::{Batch, Field, Span, Time, Value};

use crate::complaint::Complaint;
use crate::decoder::Decoders;
use crate::time::TimeReader;
use crate::types;

/// `regex`.
pub static PLUGIN: ParserPlugin = ParserPlugin {
    format: "regex",
    build,
};

struct Regex {
    matcher: Matcher,
    groups: Groups,
    skip_empty_values: bool,
    time: Option<TimeReader>,
    time_keep: bool,
    decoders: Decoders,
    log: Log,
    bad_times: Complaint,
}

/// The groups that become fields.
struct Groups {
    groups: Vec<Group>,
    /// The name of each.
    names: Vec<Vec<u8>>,
    /// The batch whose arena holds the names.
    named_in: u64,
}

struct Group {
    /// Its name in the arena of the batch at hand.
    key: Span,
    number: usize,
    becomes: Becomes,
}

/// What becomes of a group.
#[derive(Clone, Copy)]
enum Becomes {
    Text,
    Converted(FieldType),
    /// The time of the record, and this if it is kept.
    Time(FieldType),
}

fn build(options: &ParserOptions, context: &ParserContext) -> Result<Box<dyn Parser>, BuildError> {
    let text = options.regex.as_deref().unwrap_or_default();
    let pattern = Pattern::new(text).map_err(|error| format!("Regex: {error}"))?;
    // Ruby takes any name; upstream's build of its engine does not.
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    if let Some((name, _)) = pattern.names().find(|(name, _)| !name.chars().all(is_word)) {
        return Err(format!(
            "Regex: `{name}` is no name of a group: letters, digits and underscores are"
        )
        .into());
    }
    let time = TimeReader::new(options)?;
    let becomes = |name: &str| {
        let given = options.types.0.iter().find(|(field, _)| field == name);
        let kind = given.map_or(FieldType::String, |(_, kind)| *kind);
        match kind {
            _ if time.is_some() && name == options.time_key => Becomes::Time(kind),
            FieldType::String => Becomes::Text,
            kind => Becomes::Converted(kind),
        }
    };
    let groups = Groups {
        names: pattern.names().map(|(name, _)| name.into()).collect(),
        groups: pattern
            .names()
            .map(|(name, number)| Group {
                key: Span::EMPTY,
                number,
                becomes: becomes(name),
            })
            .collect(),
        named_in: 0,
    };
    Ok(Box::new(Regex {
        matcher: pattern.matcher(),
        groups,
        skip_empty_values: options.skip_empty_values,
        time,
        time_keep: options.time_keep,
        decoders: Decoders::new(options),
        log: context.log.clone(),
        bad_times: Complaint::default(),
    }))
}

impl Parser for Regex {
    fn parse(&mut self, batch: &mut Batch, text: Span) -> Option<Parsed> {
        let captures = self.matcher.captures(batch.bytes(text))?;
        let groups = self.groups.named(batch);
        let mark = batch.mark();
        let mut is_any_found = false;
        let mut time = Timed::default();
        for group in groups {
            let found = captures.get(group.number);
            is_any_found |= found.is_some();
            // Empty if the group took no part.
            let value = text.slice(found.unwrap_or(0..0));
            if value.is_empty() && self.skip_empty_values {
                continue;
            }
            match group.becomes {
                // Pushed apart, so that it is made where it is stored: one that is made elsewhere and moved there is read
                // back in another width than it was written in, which costs 8 ns each.
                Becomes::Text => batch.push(Field::new(group.key, Value::Str(value))),
                Becomes::Converted(kind) => push_converted(batch, group.key, value, kind),
                Becomes::Time(kind) => {
                    let is_read = time.read(self.time.as_mut(), batch, value);
                    if is_read && self.time_keep {
                        push_converted(batch, group.key, value, kind);
                    }
                }
            }
        }
        if !is_any_found {
            batch.rewind(mark);
            return None;
        }
        let body = batch.close(mark);
        if let Some(text) = time.unreadable {
            self.warn(batch, text);
        }
        let body = self.decoders.decode(batch, body);
        // The first instant of 1970 counts as no time, as upstream.
        let time = time.time.filter(|time| *time != Time::from_nanos(0));
        Some(Parsed { body, time })
    }
}

/// What the groups for the time said.
#[derive(Default)]
struct Timed {
    time: Option<Time>,
    /// What is not a time. As upstream, that field goes even if it is to be kept.
    unreadable: Option<Span>,
}

impl Timed {
    /// Whether `text` is a time.
    #[inline(always)]
    fn read(&mut self, reader: Option<&mut TimeReader>, batch: &Batch, text: Span) -> bool {
        match reader.and_then(|reader| reader.read(batch.bytes(text))) {
            None => {
                self.unreadable = Some(text);
                false
            }
            time => {
                self.time = time;
                true
            }
        }
    }
}

#[inline(never)]
fn push_converted(batch: &mut Batch, key: Span, text: Span, kind: FieldType) {
    let value = types::convert(batch, text, kind);
    batch.push(Field::new(key, value));
}

impl Regex {
    #[cold]
    fn warn(&mut self, batch: &Batch, text: Span) {
        let shown = String::from_utf8_lossy(batch.bytes(text)).into_owned();
        self.bad_times.warn(&self.log, || {
            format!("invalid time format for '{shown}': the present time is used")
        });
    }
}

impl Groups {
    /// The groups with their names in the arena of `batch`, where they are written once.
    #[inline]
    fn named(&mut self, batch: &mut Batch) -> &[Group] {
        if self.named_in != batch.id() {
            self.named_in = batch.id();
            for (group, name) in self.groups.iter_mut().zip(&self.names) {
                group.key = batch.put(name);
            }
        }
        &self.groups
    }
}
