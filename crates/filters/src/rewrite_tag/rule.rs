//! `rule KEY PATTERN NEW_TAG KEEP`.

use std::ops::Range;

use config::{BlankList, Form, FromText, Parsed, Refusal};
use pattern::{Matcher, Pattern};
use record::accessor::{Accessor, Subject};
use record::{Batch, Record, Value};
use smallvec::SmallVec;

/// A rule as the user wrote it, checked.
#[derive(Clone, Debug)]
pub struct RuleOptions {
    key: Accessor,
    pattern: Pattern,
    tag: Accessor,
    keep: bool,
}

impl FromText for RuleOptions {
    const FORM: Form = Form::new("rule", "`KEY PATTERN NEW_TAG KEEP`");

    fn from_text(text: &str) -> Result<Parsed<RuleOptions>, Refusal> {
        let words = BlankList::<4>::from_text(text)?.value.0;
        let [key, pattern, tag, keep, ..] = words.as_slice() else {
            return Err(format!("'{text}' is not `KEY PATTERN NEW_TAG KEEP`").into());
        };
        let (keep, warning) = match bool::from_text(keep) {
            Ok(keep) => (keep.value, None),
            Err(_) => (
                false,
                Some(format!("'{keep}' is not a boolean and counts as off")),
            ),
        };
        let accessor = |text: &str| Accessor::new(text).map_err(|error| error.to_string());
        Ok(Parsed {
            value: RuleOptions {
                key: accessor(key)?,
                pattern: Pattern::new(pattern)
                    .map_err(|error| format!("the pattern '{pattern}': {error}"))?,
                tag: accessor(tag)?,
                keep,
            },
            warning,
        })
    }
}

/// So many captures can be named: `$0` to `$9`.
const CAPTURES: usize = 10;

/// A rule with what matching needs.
pub struct Rule {
    key: Accessor,
    matcher: Matcher,
    tag: Accessor,
    keep: bool,
    /// How many captures there are to be named. Without groups upstream has none, not even the whole match.
    captures: usize,
}

impl Rule {
    pub fn new(options: &RuleOptions) -> Rule {
        let groups = options.pattern.group_count();
        Rule {
            key: options.key.clone(),
            matcher: options.pattern.matcher(),
            tag: options.tag.clone(),
            keep: options.keep,
            captures: match groups {
                0 => 0,
                _ => (groups + 1).min(CAPTURES),
            },
        }
    }

    /// Whether the record matches.
    pub fn matches(&mut self, batch: &Batch, record: &Record) -> bool {
        text(&self.key, batch, record).is_some_and(|text| self.matcher.is_match(text))
    }

    /// Appends the new tag, if the record matches. Tells whether it keeps the old one too.
    pub fn new_tag(&mut self, batch: &Batch, record: &Record, out: &mut Vec<u8>) -> Option<bool> {
        let text = text(&self.key, batch, record)?;
        if self.captures == 0 {
            if !self.matcher.is_match(text) {
                return None;
            }
        }
        let captures = match self.captures {
            0 => None,
            _ => Some(self.matcher.captures(text)?),
        };
        let captured = (0..self.captures).map(|group| {
            let range = captures.as_ref().and_then(|captures| captures.get(group));
            &text[range.unwrap_or(Range::default())]
        });
        let captured: SmallVec<[&[u8]; CAPTURES]> = captured.collect();
        let subject = Subject {
            batch,
            fields: record.body,
            captures: &captured,
        };
        self.tag.render(&subject, out);
        Some(self.keep)
    }
}

/// The text that a rule looks at.
fn text<'a>(key: &Accessor, batch: &'a Batch, record: &Record) -> Option<&'a [u8]> {
    match key.value(batch, record.body)? {
        Value::Str(span) => Some(batch.bytes(span)),
        _ => None,
    }
}
