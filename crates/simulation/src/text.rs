//! The text of a record: made from its identity alone, so that whoever finds it can tell whether it is whole.

use crate::dice::mix;

/// Names a record of the history: its source (files first, then senders) and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// The source.
    pub source: u8,
    /// The number, from 0.
    pub number: u32,
}

/// What an output or a service makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// It can be delivered.
    Ordinary,
    /// The output rejects it (too large, say).
    Rejected,
    /// It leaves nothing to send.
    Empty,
    /// The service will never take it.
    Poison,
}

/// What the filter does with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It passes.
    Pass,
    /// It is dropped.
    Drop,
    /// It starts anew under another tag.
    Retag,
}

impl Id {
    fn hash(self) -> u64 {
        mix(u64::from(self.source) << 32 | u64::from(self.number))
    }

    /// Its text, without a newline.
    pub fn text(self) -> String {
        let hash = self.hash();
        let Id { source, number } = self;
        let padding = "x".repeat((hash >> 8) as usize % 60);
        format!("{source}:{number}:{hash:016x}:{padding}")
    }

    /// The record that `text` is the text of; nothing if it is not whole.
    pub fn read(text: &[u8]) -> Option<Id> {
        let text = std::str::from_utf8(text).ok()?;
        let (source, rest) = text.split_once(':')?;
        let (number, _) = rest.split_once(':')?;
        let id = Id {
            source: source.parse().ok()?,
            number: number.parse().ok()?,
        };
        (id.text() == text).then_some(id)
    }

    /// What outputs and services make of it.
    pub fn nature(self) -> Nature {
        match self.hash() % 41 {
            0 => Nature::Rejected,
            1 => Nature::Empty,
            2 => Nature::Poison,
            _ => Nature::Ordinary,
        }
    }

    /// What the filter does with it.
    pub fn way(self) -> Way {
        match (self.hash() >> 20) % 10 {
            0 => Way::Drop,
            1 | 2 => Way::Retag,
            _ => Way::Pass,
        }
    }
}
