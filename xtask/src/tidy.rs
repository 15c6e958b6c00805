//! `cargo xtask tidy`: rules about the tree that neither the compiler nor the linter knows.
//!
//! A rule is a function from the tree to what is wrong with it. Each counts as one test.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::report::Counts;
use crate::run::captured;

mod edges;
mod files;
mod named_tests;
mod text;

/// A file of the tree.
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its length in bytes.
    pub length: u64,
    /// What it holds, if that is text.
    pub text: Option<String>,
}

impl File {
    fn read(root: &Path, path: &str) -> Option<File> {
        let bytes = std::fs::read(root.join(path)).ok()?;
        let length = bytes.len() as u64;
        Some(File {
            path: path.to_owned(),
            length,
            text: String::from_utf8(bytes).ok(),
        })
    }

    /// Its text, if it is Rust.
    fn rust(&self) -> Option<&str> {
        if self.path.ends_with(".rs") {
            self.text.as_deref()
        } else {
            None
        }
    }
}

/// The files that git knows, or would with the next `git add`.
pub struct Tree {
    pub root: PathBuf,
    pub files: Vec<File>,
}

impl Tree {
    fn read(root: &Path) -> Result<Tree, String> {
        let mut git = Command::new("git");
        git.current_dir(root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let list = captured(&mut git)?;
        let paths = list.split('\0').filter(|path| !path.is_empty());
        Ok(Tree {
            root: root.to_owned(),
            files: paths.filter_map(|path| File::read(root, path)).collect(),
        })
    }
}

/// What is wrong, one line each: `path:line: what, and what to do about it`.
type Findings = Vec<String>;

/// A rule: its name as a sentence that should be true, and its check.
type Rule = (&'static str, fn(&Tree) -> Findings);

const RULES: &[Rule] = &[
    (
        "every module says what it is for",
        text::module_documentation,
    ),
    ("nothing is left to do", text::unfinished),
    ("no machine's paths, no registry's hosts", text::places),
    ("files are short", files::long),
    ("files are small", files::large),
    ("modules have names from the field", files::vague_names),
    ("crates inherit the workspace's lints", files::lints),
    ("dependencies point one way", edges::direction),
    ("only its owner knows a library", edges::owners),
    (
        "tests build heavy crates as the demo does",
        edges::one_build,
    ),
    ("tests that documents name exist", named_tests::exist),
];

/// A rule's name, and what it found.
pub type Outcome = (&'static str, Findings);

/// Checks the tree against every rule.
pub fn check(root: &Path) -> Vec<Outcome> {
    match Tree::read(root) {
        Ok(tree) => RULES
            .iter()
            .map(|(name, rule)| (*name, rule(&tree)))
            .collect(),
        Err(error) => vec![("the tree can be listed", vec![error])],
    }
}

/// How many rules hold, and how many do not.
pub fn counts(outcomes: &[Outcome]) -> Counts {
    let failed = outcomes
        .iter()
        .filter(|(_, findings)| !findings.is_empty())
        .count();
    Counts {
        passed: outcomes.len() - failed,
        failed,
        skipped: 0,
    }
}

/// Everything that is wrong, each under the rule that it breaks.
pub fn findings(outcomes: &[Outcome]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, findings) in outcomes.iter().filter(|(_, findings)| !findings.is_empty()) {
        lines.push(format!("not true: {name}"));
        lines.extend(findings.iter().map(|finding| format!("  {finding}")));
    }
    lines
}

/// Checks, prints what is wrong, and returns true when nothing is.
pub fn run(root: &Path) -> bool {
    let outcomes = check(root);
    for line in findings(&outcomes) {
        println!("{line}");
    }
    let counts = counts(&outcomes);
    println!(
        "{} passed, {} failed, 0 skipped",
        counts.passed, counts.failed
    );
    counts.failed == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of the given paths and texts, for the rules' own tests.
    pub fn tree(files: &[(&str, &str)]) -> Tree {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            length: text.len() as u64,
            text: Some((*text).to_owned()),
        };
        Tree {
            root: PathBuf::new(),
            files: files.iter().map(file).collect(),
        }
    }

    #[test]
    fn a_rule_counts_once_however_much_it_finds() {
        let outcomes = [
            ("a", vec!["x:1: wrong".to_owned(), "y:2: wrong".to_owned()]),
            ("b", vec![]),
        ];
        assert_eq!(
            counts(&outcomes),
            Counts {
                passed: 1,
                failed: 1,
                skipped: 0
            }
        );
        assert_eq!(
            findings(&outcomes),
            ["not true: a", "  x:1: wrong", "  y:2: wrong"]
        );
    }
}
