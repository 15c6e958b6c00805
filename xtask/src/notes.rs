//! What of a test runner's output is repeated below the table, where somebody who reads only the end of it finds it.

use std::collections::VecDeque;

/// So many of the last lines that a failed test printed.
const WORDS: usize = 20;

/// Collects lines of libtest's output: which tests were skipped and which failed, and what these said.
#[derive(Default)]
pub struct Notes {
    lines: Vec<String>,
    /// The end of what a failed test printed, while its section lasts.
    words: Option<VecDeque<String>>,
}

impl Notes {
    /// Looks at the next line. A failed test's section begins with `---- NAME stdout ----` and ends with the next one's or
    /// with the list of all that failed.
    pub fn read_line(&mut self, line: &str) {
        if line.starts_with("---- ") && line.ends_with(" stdout ----") {
            self.end_section();
            self.words = Some(VecDeque::from([line.to_owned()]));
        } else if line == "failures:" {
            self.end_section();
        } else if let Some(words) = &mut self.words {
            if line.is_empty() {
                return;
            }
            if words.len() > WORDS {
                // The first is the name.
                words.remove(1);
            }
            words.push_back(line.to_owned());
        } else if line.starts_with("skipped: ") || line.ends_with("... FAILED") {
            self.lines.push(line.to_owned());
        }
    }

    /// All of it, in the order of the output.
    pub fn into_lines(mut self) -> Vec<String> {
        self.end_section();
        self.lines
    }

    fn end_section(&mut self) {
        self.lines.extend(self.words.take().into_iter().flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(output: &str) -> Vec<String> {
        let mut notes = Notes::default();
        output.lines().for_each(|line| notes.read_line(line));
        notes.into_lines()
    }

    #[test]
    fn failed_tests_are_named_and_quoted() {
        let output = "test a ... ok\nskipped: docker: not root\ntest b ... FAILED\ntest c ... FAILED\n\nfailures:\n\n\
                      ---- b stdout ----\nfirst\n\nthread 'b' panicked at b.rs:1:\nleft: 1\n\n---- c stdout ----\n\
                      test x ... FAILED\n\nfailures:\n    b\n    c\n\ntest result: FAILED.\ntest d ... FAILED\n";
        assert_eq!(
            notes(output),
            [
                "skipped: docker: not root",
                "test b ... FAILED",
                "test c ... FAILED",
                "---- b stdout ----",
                "first",
                "thread 'b' panicked at b.rs:1:",
                "left: 1",
                "---- c stdout ----",
                "test x ... FAILED",
                "test d ... FAILED",
            ]
        );
    }

    #[test]
    fn of_much_the_end_is_quoted() {
        let words: Vec<String> = (0..100).map(|number| format!("word {number}")).collect();
        let found = notes(&format!("---- b stdout ----\n{}\n", words.join("\n")));
        assert_eq!(found[0], "---- b stdout ----");
        assert_eq!(found[1..], words[100 - WORDS..]);
    }
}
