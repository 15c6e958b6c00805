//! `*`, `+`, `?`, `{n,m}` and what may follow them.

use super::ast::{Greed, Node};
use super::parser::Parser;
use crate::Error;

/// Onigmo's limit.
const REPEAT_MAX: u32 = 100_000;
/// The most quantifiers of one atom, one applied to the other. Each may double what the engines have to build, and two say
/// all that several of them can say.
const STACKED_MAX: usize = 8;

struct Count {
    min: u32,
    max: Option<u32>,
    /// Written with braces: `+` behind it repeats it once more instead of making it possessive.
    is_interval: bool,
}

impl Parser<'_> {
    /// Reads the quantifiers behind `atom`; several nest.
    pub fn quantified(&mut self, mut atom: Node) -> Result<Node, Error> {
        for stacked in 0.. {
            self.skip_extended();
            let start = self.at;
            let Some(count) = self.count()? else {
                break;
            };
            if stacked == STACKED_MAX {
                let reason = format!("an atom has more than {STACKED_MAX} quantifiers");
                return Err(self.error(start, reason));
            }
            let greed = self.greed(&count);
            atom = match atom {
                // An option like `(?i)` or a comment stands for nothing: repeating it is repeating nothing.
                Node::Empty => Node::Empty,
                node => Node::Repeat {
                    node: Box::new(node),
                    min: count.min,
                    max: count.max,
                    greed,
                },
            };
        }
        Ok(atom)
    }

    fn count(&mut self) -> Result<Option<Count>, Error> {
        let (min, max) = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') => return self.interval(),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(Count {
            min,
            max,
            is_interval: false,
        }))
    }

    /// `{n}`, `{n,}`, `{,m}`, `{n,m}`; anything else behind a brace makes it a plain character.
    fn interval(&mut self) -> Result<Option<Count>, Error> {
        let start = self.at;
        self.at += 1;
        let low = self.take_digits(10, usize::MAX);
        let comma = self.take(',');
        let high = if comma {
            self.take_digits(10, usize::MAX)
        } else {
            low
        };
        if !self.take('}') || (low.is_empty() && high.is_empty()) {
            self.at = start;
            return Ok(None);
        }
        let min = if low.is_empty() {
            0
        } else {
            self.repeat_number(start, low)?
        };
        let max = if high.is_empty() {
            None
        } else {
            Some(self.repeat_number(start, high)?)
        };
        if max.is_some_and(|max| max < min) {
            return Err(self.error(
                start,
                "the upper limit of this repetition is below the lower",
            ));
        }
        Ok(Some(Count {
            min,
            max,
            is_interval: true,
        }))
    }

    fn repeat_number(&self, at: usize, digits: &str) -> Result<u32, Error> {
        match digits.parse() {
            Ok(number) if number <= REPEAT_MAX => Ok(number),
            _ => Err(self.error(
                at,
                format!("a part can be repeated at most {REPEAT_MAX} times"),
            )),
        }
    }

    fn greed(&mut self, count: &Count) -> Greed {
        let is_fixed = count.is_interval && count.max == Some(count.min);
        if !is_fixed && self.take('?') {
            Greed::Lazy
        } else if !count.is_interval && self.take('+') {
            Greed::Possessive
        } else {
            Greed::Greedy
        }
    }
}
