//! Rules about what stands in files.

use super::{Findings, Tree};

/// Words that say a piece of code is not finished, or a test not real. In two parts, so that this file does not hold them.
const UNFINISHED: &[(&str, &str)] = &[
    ("#[ign", "ore"),
    ("tod", "o!("),
    ("unimple", "mented!("),
    ("db", "g!("),
    ("assert!(tr", "ue"),
];

/// Paths that exist on one machine only, and hosts of package registries, which cargo and pip know without us.
const PLACES: &[(&str, &str)] = &[
    ("/wo", "rk/main"),
    ("/wo", "rk/lab"),
    ("/wo", "rk/shared"),
    ("/ro", "ot/"),
    ("static.cra", "tes.io"),
    ("index.cra", "tes.io"),
    ("files.python", "hosted.org"),
    ("registry.npm", "js.org"),
    ("deb.deb", "ian.org"),
];

/// Every Rust file begins with `//!`, but for the unit tests of a module in a file of their own, whose name says it.
pub fn module_documentation(tree: &Tree) -> Findings {
    let modules = tree
        .files
        .iter()
        .filter(|file| !file.path.ends_with("/tests.rs"));
    let undocumented = modules.filter(|file| {
        file.rust()
            .is_some_and(|text| !begins_with_documentation(text))
    });
    undocumented
        .map(|file| {
            format!(
                "{}:1: begin with `//!` and what the module is for",
                file.path
            )
        })
        .collect()
}

fn begins_with_documentation(text: &str) -> bool {
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    first.is_some_and(|line| line.starts_with("//! "))
}

/// No Rust file holds a word of [`UNFINISHED`].
pub fn unfinished(tree: &Tree) -> Findings {
    let rust = tree
        .files
        .iter()
        .filter_map(|file| Some((file.path.as_str(), file.rust()?)));
    rust.flat_map(|(path, text)| occurrences(path, text, UNFINISHED))
        .collect()
}

/// No file holds a word of [`PLACES`]. Cargo.lock is cargo's own.
pub fn places(tree: &Tree) -> Findings {
    let texts = tree.files.iter().filter(|file| file.path != "Cargo.lock");
    let texts = texts.filter_map(|file| Some((file.path.as_str(), file.text.as_deref()?)));
    texts
        .flat_map(|(path, text)| occurrences(path, text, PLACES))
        .collect()
}

fn occurrences(path: &str, text: &str, words: &[(&str, &str)]) -> Findings {
    let mut findings = Findings::new();
    for (number, line) in (1..).zip(text.lines()) {
        for (left, right) in words {
            if line.contains(&format!("{left}{right}")) {
                findings.push(format!(
                    "{path}:{number}: `{left}{right}` may not stand here"
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn modules_without_documentation_are_found() {
        let tree = tree(&[
            ("good.rs", "//! Good.\nfn a() {}\n"),
            ("script.rs", "#!/usr/bin/env run\n\n//! Good.\n"),
            ("bad.rs", "fn a() {}\n"),
            ("item.rs", "/// Of an item.\nfn a() {}\n"),
            ("src/cursor/tests.rs", "use super::*;\n"),
            ("no-rust.md", "nothing\n"),
        ]);
        let findings = module_documentation(&tree);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("bad.rs:1: "), "{findings:?}");
    }

    #[test]
    fn words_are_found_with_their_place() {
        for (left, right) in UNFINISHED {
            let text = format!("//! Fine.\n    {left}{right})\n");
            assert_eq!(
                unfinished(&tree(&[("a.rs", &text)])),
                [format!("a.rs:2: `{left}{right}` may not stand here")]
            );
            assert!(unfinished(&tree(&[("a.md", &text)])).is_empty());
        }
        for (left, right) in PLACES {
            let text = format!("see {left}{right}\n");
            assert_eq!(
                places(&tree(&[("a.md", &text), ("Cargo.lock", &text)])).len(),
                1,
                "{text}"
            );
        }
    }
}
