//! Options as a configuration gives them.

use config::{Entry, Position, Section, SectionKind};

/// A section of a configuration.
pub fn section(kind: SectionKind, entries: &[(&str, &str)]) -> Section {
    let nowhere = || Position::argument(1);
    let mut section = Section::new(kind, kind.word().to_uppercase(), nowhere());
    let entries = entries.iter();
    section.entries = entries
        .map(|(key, value)| Entry::plain(key, nowhere(), *value, nowhere()))
        .collect();
    section
}
