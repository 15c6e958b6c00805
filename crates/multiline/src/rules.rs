//! `rule "STATE" "/PATTERN/" "NEXT_STATE"`: which line may follow which.

use config::MultilineRule;
use pattern::{Matcher, Pattern};

/// The compiled rules of a parser, in the order of their definition.
pub(crate) struct Rules(Vec<Rule>);

struct Rule {
    matcher: Matcher,
    /// A match begins a record.
    starts: bool,
    /// The rules that may match the next line, but for those that begin a record.
    next: Vec<usize>,
    /// A record may begin in the state that it leads to: what there is, is complete.
    ends: bool,
}

/// What a line is to the lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It belongs to them, by this rule.
    Continues(usize),
    /// It begins a record, by this rule.
    Starts(usize),
    /// No rule matches.
    Nothing,
}

impl Rules {
    /// Compiles `rules`.
    ///
    /// # Errors
    /// When a pattern is none.
    pub fn new(rules: &[MultilineRule]) -> Result<Rules, pattern::Error> {
        let compile = |rule: &MultilineRule| {
            let reached: Vec<usize> = (0..rules.len())
                .filter(|other| {
                    let from = &rules[*other].from;
                    rule.to.as_ref().is_some_and(|to| from.contains(to))
                })
                .collect();
            Ok(Rule {
                matcher: Pattern::new(&rule.pattern)?.matcher(),
                starts: rule.starts(),
                ends: reached.iter().any(|other| rules[*other].starts()),
                next: reached
                    .into_iter()
                    .filter(|other| !rules[*other].starts())
                    .collect(),
            })
        };
        rules
            .iter()
            .map(compile)
            .collect::<Result<_, _>>()
            .map(Rules)
    }

    /// The rule by which `text` belongs to the lines before it, the last of which `last` has matched, if that can be told from
    /// its beginning and the record may go on.
    #[inline]
    pub fn goes_on(&self, last: Option<usize>, text: &[u8]) -> Option<usize> {
        // It comes before all others.
        let first = *self.0[last?].next.first()?;
        let rule = &self.0[first];
        (rule.matcher.is_like_the_last(text) && !rule.ends).then_some(first)
    }

    /// What `text` is after a line that `last` has matched.
    pub fn step(&mut self, last: Option<usize>, text: &[u8]) -> Step {
        // Looked for once rather than by each rule.
        let is_line = memchr::memchr(b'\n', text).is_none();
        let is_match = |matcher: &mut Matcher| match is_line {
            true => matcher.is_match_in_line(text),
            false => matcher.is_match(text),
        };
        if let Some(last) = last {
            for index in 0..self.0[last].next.len() {
                let rule = self.0[last].next[index];
                if is_match(&mut self.0[rule].matcher) {
                    return Step::Continues(rule);
                }
            }
        }
        let mut rules = self.0.iter_mut();
        match rules.position(|rule| rule.starts && is_match(&mut rule.matcher)) {
            Some(rule) => Step::Starts(rule),
            None => Step::Nothing,
        }
    }

    /// Whether a record is complete with the line that this rule has matched.
    pub fn ends(&self, rule: usize) -> bool {
        self.0[rule].ends
    }
}
