//! The recorded counts: a line of what they were made with, then a line for each path: name, instructions, note.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::report::Counts;

/// A path that takes so many hundredths more than recorded has grown.
const TOLERANCE: f64 = 3.0;
const MADE_WITH: &str = "made with: ";
const HEADER: &str = "\
# What one run of each hot path costs, in instructions. `cargo xtask test` fails when one has grown by more than 3 %.
# `UPDATE=1 NOTE=\"why\" cargo xtask instructions` writes this file; what has grown by less keeps its count, so that small
# growth adds up until somebody says why.
";

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// Compiler, valgrind, processor.
    pub made_with: String,
    /// By name.
    paths: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    instructions: u64,
    /// Why it has grown, if it has; may be empty.
    note: String,
}

impl FromStr for Recorded {
    type Err = String;

    fn from_str(text: &str) -> Result<Recorded, String> {
        let mut recorded = Recorded::default();
        let is_content = |line: &&str| !line.is_empty() && !line.starts_with('#');
        for line in text.lines().filter(is_content) {
            if let Some(tools) = line.strip_prefix(MADE_WITH) {
                recorded.made_with = tools.to_owned();
                continue;
            }
            let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim_start();
            let (number, note) = rest.split_once(' ').unwrap_or((rest, ""));
            let instructions = number
                .parse()
                .map_err(|_| format!("'{line}' is no name with a number of instructions"))?;
            let note = note.trim().to_owned();
            let entry = Entry { instructions, note };
            if recorded.paths.insert(name.to_owned(), entry).is_some() {
                return Err(format!("'{name}' stands there twice"));
            }
        }
        Ok(recorded)
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEADER}\n{MADE_WITH}{}\n", self.made_with)?;
        for (name, entry) in &self.paths {
            let line = format!("{name:<20} {:>12}  {}", entry.instructions, entry.note);
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl Recorded {
    /// The same notes without counts to compare with, for other tools.
    pub fn with_other_tools(mut self, made_with: String) -> Recorded {
        self.made_with = made_with;
        self.paths
            .values_mut()
            .for_each(|entry| entry.instructions = 0);
        self
    }

    /// How many paths are as they were, and what there is to say about the others.
    pub fn compare(&self, measured: &BTreeMap<String, u64>) -> (Counts, Vec<String>) {
        let (mut counts, mut notes) = (Counts::default(), Vec::new());
        for (name, &count) in measured {
            let Some(entry) = self.paths.get(name) else {
                counts.failed += 1;
                notes.push(format!(
                    "{name}: {count} instructions and none recorded: UPDATE=1 cargo xtask instructions records them"
                ));
                continue;
            };
            let growth = growth(entry.instructions, count);
            if growth > TOLERANCE {
                counts.failed += 1;
                notes.push(format!(
                    "{name}: {count} instructions, {growth:+.1} %: make it cheaper, or say why with \
                     UPDATE=1 NOTE=\"why\" cargo xtask instructions"
                ));
                continue;
            }
            counts.passed += 1;
            if growth < -TOLERANCE {
                notes.push(format!(
                    "{name}: {count} instructions, {growth:+.1} %: UPDATE=1 cargo xtask instructions keeps it there"
                ));
            }
        }
        for name in self
            .paths
            .keys()
            .filter(|name| !measured.contains_key(*name))
        {
            counts.failed += 1;
            notes.push(format!(
                "{name}: recorded, and there is no such path: UPDATE=1 cargo xtask instructions takes it out"
            ));
        }
        (counts, notes)
    }

    /// What to write down now, and what has changed. `note` says why paths have grown.
    ///
    /// # Errors
    /// The paths that have grown while there is no note.
    pub fn update(
        &self,
        measured: &BTreeMap<String, u64>,
        note: Option<&str>,
    ) -> Result<(Recorded, Vec<String>), Vec<String>> {
        let (mut next, mut changes, mut unexplained) =
            (Recorded::default(), Vec::new(), Vec::new());
        next.made_with.clone_from(&self.made_with);
        for (name, &count) in measured {
            let known = self.paths.get(name);
            let entry = match known.filter(|entry| entry.instructions > 0) {
                None => Entry {
                    instructions: count,
                    note: known.map(|entry| entry.note.clone()).unwrap_or_default(),
                },
                Some(old) => {
                    let growth = growth(old.instructions, count);
                    if growth > TOLERANCE && note.is_none() {
                        unexplained.push(format!(
                            "{name}: {count} instructions, {growth:+.1} %: NOTE=\"why\" must say why"
                        ));
                    }
                    old.grown_to(count, growth, note)
                }
            };
            if known != Some(&entry) {
                changes.push(format!("{name}: {} {}", entry.instructions, entry.note));
            }
            next.paths.insert(name.clone(), entry);
        }
        match unexplained.is_empty() {
            true => Ok((next, changes)),
            false => Err(unexplained),
        }
    }
}

impl Entry {
    fn grown_to(&self, count: u64, growth: f64, note: Option<&str>) -> Entry {
        let note = match note {
            Some(note) if growth > TOLERANCE => format!("{growth:+.1} %: {note}"),
            _ => self.note.clone(),
        };
        let keeps = growth > 0.0 && growth <= TOLERANCE;
        Entry {
            instructions: if keeps { self.instructions } else { count },
            note,
        }
    }
}

/// In hundredths.
fn growth(before: u64, now: u64) -> f64 {
    (now as f64 - before as f64) * 100.0 / before as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# A comment.

made with: rustc 1, valgrind 2
firehose 2000  +5.0 %: two bytes more
tail 1000
";

    fn recorded() -> Recorded {
        TEXT.parse().unwrap()
    }

    fn measured(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        let counts = counts.iter();
        counts
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn the_file_is_read_back() {
        let recorded = recorded();
        assert_eq!(recorded.made_with, "rustc 1, valgrind 2");
        assert_eq!(recorded.to_string().parse(), Ok(recorded.clone()));
        assert!(
            recorded
                .to_string()
                .contains("\nfirehose                     2000  +5.0 %: two bytes more\n"),
            "{recorded}"
        );
        assert!("tail many".parse::<Recorded>().is_err());
        assert!("tail 1\ntail 2".parse::<Recorded>().is_err());
    }

    #[test]
    fn three_hundredths_may_be_added_and_no_more() {
        let (counts, notes) = recorded().compare(&measured(&[("firehose", 2060), ("tail", 1000)]));
        assert_eq!((counts.passed, counts.failed), (2, 0));
        assert!(notes.is_empty());
        let (counts, notes) = recorded().compare(&measured(&[("firehose", 2061), ("tail", 900)]));
        assert_eq!((counts.passed, counts.failed), (1, 1));
        assert!(notes[0].starts_with("firehose: 2061 instructions, +3.0 %: make it cheaper"));
        assert!(notes[1].contains("-10.0 %"), "{notes:?}");
    }

    #[test]
    fn paths_come_and_go_by_an_update() {
        let (counts, notes) = recorded().compare(&measured(&[("tail", 1000), ("s3", 5)]));
        assert_eq!((counts.passed, counts.failed), (1, 2));
        assert!(notes[0].starts_with("s3: 5 instructions and none recorded"));
        assert!(notes[1].starts_with("firehose: recorded, and there is no such path"));
        let (next, changes) = recorded()
            .update(&measured(&[("tail", 1000), ("s3", 5)]), None)
            .unwrap();
        assert_eq!(changes, ["s3: 5 "]);
        assert!(next.to_string().contains("s3") && !next.to_string().contains("firehose"));
    }

    #[test]
    fn growth_needs_a_note_and_little_of_it_adds_up() {
        let grown = measured(&[("firehose", 2020), ("tail", 1100)]);
        let unexplained = recorded().update(&grown, None).unwrap_err();
        assert_eq!(unexplained.len(), 1);
        assert!(unexplained[0].starts_with("tail: 1100 instructions, +10.0 %"));
        let (next, _) = recorded()
            .update(&grown, Some("names are checked"))
            .unwrap();
        assert_eq!(
            next.paths["tail"],
            Entry {
                instructions: 1100,
                note: "+10.0 %: names are checked".to_owned()
            }
        );
        assert_eq!(next.paths["firehose"].instructions, 2000);
        let (less, _) = next.update(&measured(&[("tail", 1090)]), None).unwrap();
        assert_eq!(less.paths["tail"].instructions, 1090);
    }

    #[test]
    fn other_tools_begin_anew_and_keep_the_notes() {
        let anew = recorded().with_other_tools("rustc 2".to_owned());
        let (next, _) = anew
            .update(&measured(&[("firehose", 9000), ("tail", 1)]), None)
            .unwrap();
        assert_eq!(next.made_with, "rustc 2");
        assert_eq!(next.paths["firehose"].note, "+5.0 %: two bytes more");
        assert_eq!(next.paths["firehose"].instructions, 9000);
    }
}
