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
    groups: Vec<Group>,
    /// Where the groups matched in the text at hand; empty if one took no part.
    found: Vec<Span>,
    /// The batch whose arena holds the names.
    named_in: u64,
    skip_empty_values: bool,
    time: Option<TimeReader>,
    time_keep: bool,
    decoders: Decoders,
    log: Log,
    bad_times: Complaint,
}

/// A group that becomes a field.
struct Group {
    name: Vec<u8>,
    /// Its name in the arena of the batch at hand.
    key: Span,
    number: usize,
    kind: FieldType,
    is_time: bool,
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
    let kind = |name: &str| {
        let given = options.types.0.iter().find(|(field, _)| field == name);
        given.map_or(FieldType::String, |(_, kind)| *kind)
    };
    let groups: Vec<Group> = pattern
        .names()
        .map(|(name, number)| Group {
            name: name.as_bytes().to_vec(),
            key: Span::EMPTY,
            number,
            kind: kind(name),
            is_time: time.is_some() && name == options.time_key,
        })
        .collect();
    Ok(Box::new(Regex {
        matcher: pattern.matcher(),
        found: Vec::with_capacity(groups.len()),
        groups,
        named_in: 0,
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
        let mut is_any_found = false;
        self.found.clear();
        self.found.extend(self.groups.iter().map(|group| {
            let found = captures.get(group.number);
            is_any_found |= found.is_some();
            text.slice(found.unwrap_or(0..0))
        }));
        if !is_any_found {
            return None;
        }
        self.name_groups(batch);
        let (mut time, mut has_bad_time) = (None, None);
        let mark = batch.mark();
        for (group, &value) in self.groups.iter().zip(&self.found) {
            if value.is_empty() && self.skip_empty_values {
                continue;
            }
            if group.is_time
                && let Some(reader) = &mut self.time
            {
                match reader.read(batch.bytes(value)) {
                    None => {
                        // As upstream, the field goes even if it is to be kept.
                        has_bad_time = Some(value);
                        continue;
                    }
                    read => time = read,
                }
                if !self.time_keep {
                    continue;
                }
            }
            match group.kind {
                // Pushed apart, so that it is made where it is stored: one that is made elsewhere and moved there is read
                // back in another width than it was written in, which costs 8 ns each.
                FieldType::String => batch.push(Field::new(group.key, Value::Str(value))),
                kind => push_converted(batch, group.key, value, kind),
            }
        }
        let body = batch.close(mark);
        if let Some(text) = has_bad_time {
            let shown = String::from_utf8_lossy(batch.bytes(text)).into_owned();
            self.bad_times.warn(&self.log, || {
                format!("invalid time format for '{shown}': the present time is used")
            });
        }
        let body = self.decoders.decode(batch, body);
        // The first instant of 1970 counts as no time, as upstream.
        let time = time.filter(|time| *time != Time::from_nanos(0));
        Some(Parsed { body, time })
    }
}

#[inline(never)]
fn push_converted(batch: &mut Batch, key: Span, text: Span, kind: FieldType) {
    let value = types::convert(batch, text, kind);
    batch.push(Field::new(key, value));
}

impl Regex {
    /// Writes the names into the arena, once per batch.
    fn name_groups(&mut self, batch: &mut Batch) {
        if self.named_in != batch.id() {
            self.named_in = batch.id();
            for group in &mut self.groups {
                group.key = batch.put(&group.name);
            }
        }
    }
}
