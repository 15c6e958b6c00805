//! Rules about files as such: how long, how large, how named.

use super::{Findings, Tree};

/// The most lines of a Rust file; 500 is what to aim at.
const MOST_LINES: usize = 600;

/// Files that may be longer, each with its own limit and the reason.
const LONGER: &[(&str, usize, &str)] = &[];

/// The largest file, in bytes: what is larger is no source, and is made or recorded when it is needed.
const LARGEST: u64 = 1024 * 1024;

/// Names that say nothing about what is inside.
const VAGUE: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "misc", "shared", "stuff",
];

/// No Rust file is longer than [`MOST_LINES`], or than its own limit in [`LONGER`].
pub fn long(tree: &Tree) -> Findings {
    let mut findings = Findings::new();
    for file in &tree.files {
        let Some(text) = file.rust() else { continue };
        let own = LONGER.iter().find(|(path, ..)| *path == file.path);
        let limit = own.map_or(MOST_LINES, |(_, limit, _)| *limit);
        let lines = text.lines().count();
        if lines > limit {
            findings.push(format!(
                "{}: {lines} lines, allowed are {limit}: divide it by what it is about",
                file.path
            ));
        }
    }
    findings
}

/// No file is larger than [`LARGEST`].
pub fn large(tree: &Tree) -> Findings {
    let large = tree.files.iter().filter(|file| file.length > LARGEST);
    large
        .map(|file| {
            format!(
                "{}: {} bytes, allowed are {LARGEST}",
                file.path, file.length
            )
        })
        .collect()
}

/// No module or crate has a name of [`VAGUE`].
pub fn vague_names(tree: &Tree) -> Findings {
    let vague = tree
        .files
        .iter()
        .filter(|file| file.rust().is_some() && has_vague_name(&file.path));
    vague
        .map(|file| format!("{}: name it after what is inside", file.path))
        .collect()
}

fn has_vague_name(path: &str) -> bool {
    path.trim_end_matches(".rs")
        .split('/')
        .any(|part| VAGUE.contains(&part))
}

/// Every crate's manifest says `lints.workspace = true`.
pub fn lints(tree: &Tree) -> Findings {
    let manifests = tree
        .files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"));
    let without = manifests.filter(|file| {
        !file
            .text
            .as_deref()
            .unwrap_or_default()
            .contains("[lints]\nworkspace = true")
    });
    without
        .map(|file| format!("{}: add `[lints]` with `workspace = true`", file.path))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn long_files_are_found() {
        let tree = tree(&[
            ("short.rs", &"x\n".repeat(MOST_LINES)),
            ("long.rs", &"x\n".repeat(MOST_LINES + 1)),
            ("data.md", &"x\n".repeat(9000)),
        ]);
        assert_eq!(
            long(&tree),
            ["long.rs: 601 lines, allowed are 600: divide it by what it is about"]
        );
    }

    #[test]
    fn large_files_are_found() {
        let large_text = "x".repeat(LARGEST as usize + 1);
        assert_eq!(
            large(&tree(&[("a.json", &large_text), ("b.json", "x")])),
            ["a.json: 1048577 bytes, allowed are 1048576"]
        );
    }

    #[test]
    fn vague_names_are_found() {
        let tree = tree(&[
            ("crates/lake/src/utils.rs", ""),
            ("crates/common/src/lib.rs", ""),
            ("crates/lake/src/prefix.rs", ""),
            ("docs/common.md", ""),
        ]);
        assert_eq!(vague_names(&tree).len(), 2);
    }

    #[test]
    fn manifests_without_lints_are_found() {
        let tree = tree(&[
            ("Cargo.toml", "[workspace]\n"),
            (
                "crates/a/Cargo.toml",
                "[package]\n\n[lints]\nworkspace = true\n",
            ),
            ("crates/b/Cargo.toml", "[package]\n"),
        ]);
        assert_eq!(
            lints(&tree),
            ["crates/b/Cargo.toml: add `[lints]` with `workspace = true`"]
        );
    }
}
