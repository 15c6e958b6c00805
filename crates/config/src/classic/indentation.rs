//! Whether a line is indented as its file wants it.

/// The indentation of a file, fixed by its first line that is neither empty, nor a comment in the first column, nor a section
/// nor a command.
#[derive(Debug, Default)]
pub struct Indentation {
    base: Option<String>,
    /// Other indentations that were found and reported: each is reported once.
    reported: Vec<String>,
}

/// What the indentation of a line says.
#[derive(Debug, PartialEq, Eq)]
pub enum Indent {
    /// The base: the line belongs to the section.
    Section,
    /// Twice the base: the line belongs to the open group, if there is one.
    Group,
    /// Wrong, for this reason.
    Wrong(&'static str),
    /// Wrong like a line before, which was reported.
    WrongAgain,
}

/// A line with its indentation understood.
pub struct Indented<'a> {
    pub indent: Indent,
    /// The line without its indentation.
    pub content: &'a str,
    /// The line fixed the indentation and its first character, not a blank, became part of it.
    pub swallowed: bool,
}

impl Indentation {
    /// Takes a line apart.
    pub fn of<'a>(&mut self, line: &'a str) -> Indented<'a> {
        let Some(base) = &self.base else {
            let base = first_and_blanks(line);
            let swallowed = !base.starts_with([' ', '\t']);
            self.base = Some(base.to_owned());
            return Indented {
                indent: Indent::Section,
                content: &line[base.len()..],
                swallowed,
            };
        };
        let indent = compare(line, base);
        let content = match &indent {
            Indent::Section => &line[base.len()..],
            _ => line.trim_start_matches([' ', '\t']),
        };
        let Indent::Wrong(reason) = indent else {
            return Indented {
                indent,
                content,
                swallowed: false,
            };
        };
        let blanks = &line[..line.len() - content.len()];
        if !base.starts_with([' ', '\t']) {
            // A letter is no indentation: once that has come out, the blanks of this line are.
            self.base = Some(blanks.to_owned());
        }
        let indent = match self.reported.iter().any(|reported| reported == blanks) {
            true => Indent::WrongAgain,
            false => {
                self.reported.push(blanks.to_owned());
                Indent::Wrong(reason)
            }
        };
        Indented {
            indent,
            content,
            swallowed: false,
        }
    }
}

/// The first character, whatever it is, and the blanks after it.
fn first_and_blanks(line: &str) -> &str {
    let first = line.chars().next().map_or(0, char::len_utf8);
    let rest = &line[first..];
    let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    &line[..first + blanks]
}

fn compare(line: &str, base: &str) -> Indent {
    let Some(rest) = line.strip_prefix(base) else {
        let same = line
            .bytes()
            .zip(base.bytes())
            .take_while(|(one, other)| one == other)
            .count();
        return match line.as_bytes().get(same) {
            Some(b' ' | b'\t') => Indent::Wrong("tabs and spaces are mixed"),
            _ => Indent::Wrong("the line is indented less than the lines before"),
        };
    };
    let extra = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    match extra {
        0 => Indent::Section,
        extra if extra == base.len() => Indent::Group,
        _ => Indent::Wrong("the line is indented more than the lines before"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], expected: &[Indent]) {
        let mut indentation = Indentation::default();
        let found: Vec<_> = lines
            .iter()
            .map(|line| indentation.of(line).indent)
            .collect();
        assert_eq!(found, expected);
    }

    const LESS: Indent = Indent::Wrong("the line is indented less than the lines before");
    const MORE: Indent = Indent::Wrong("the line is indented more than the lines before");

    #[test]
    fn the_first_line_fixes_the_indentation() {
        check(
            &["  a", "  b", "    c"],
            &[Indent::Section, Indent::Section, Indent::Group],
        );
        check(
            &["\ta", "\tb", "\t\tc"],
            &[Indent::Section, Indent::Section, Indent::Group],
        );
    }

    #[test]
    fn other_indentations_are_reported_once_each() {
        check(
            &["  a", " b", " c", "   d", "  e", "\tf"],
            &[
                Indent::Section,
                LESS,
                Indent::WrongAgain,
                MORE,
                Indent::Section,
                Indent::Wrong("tabs and spaces are mixed"),
            ],
        );
    }

    #[test]
    fn a_letter_in_the_first_column_becomes_the_indentation() {
        let mut indentation = Indentation::default();
        let first = indentation.of("Name dummy");
        assert_eq!((first.content, first.swallowed), ("ame dummy", true));
        assert_eq!(indentation.of("Tag x").indent, LESS);
        let again = indentation.of("Name y");
        assert_eq!((again.indent, again.content), (Indent::Section, "Name y"));
    }
}
