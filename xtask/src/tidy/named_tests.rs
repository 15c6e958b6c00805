//! A rule about tests that documents name.

use super::{Findings, Tree};

/// Documents whose tables name tests as `path::name` in backticks.
const DOCUMENTS: [&str; 2] = ["SECURITY.md", "docs/bad-input.md"];

/// Every test that a document names stands in the file that it names, and is a test there.
pub fn exist(tree: &Tree) -> Findings {
    let documents = tree
        .files
        .iter()
        .filter(|file| DOCUMENTS.contains(&&*file.path));
    documents
        .filter_map(|file| Some((&*file.path, file.text.as_deref()?)))
        .flat_map(|(path, text)| missing(tree, path, text))
        .collect()
}

fn missing(tree: &Tree, document: &str, text: &str) -> Findings {
    let lines = text.lines().enumerate();
    lines
        .flat_map(|(index, line)| named(line).map(move |test| (index + 1, test)))
        .filter(|(_, (path, name))| !stands(tree, path, name))
        .map(|(line, (path, name))| {
            format!("{document}:{line}: there is no test `{name}` in `{path}`")
        })
        .collect()
}

/// The tests that a line names: file and function.
fn named(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let quoted = line.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| {
        let (path, name) = text.split_once("::")?;
        path.ends_with(".rs").then_some((path, name))
    })
}

fn stands(tree: &Tree, path: &str, name: &str) -> bool {
    let file = tree.files.iter().find(|file| file.path == path);
    let text = file.and_then(|file| file.rust()).unwrap_or_default();
    let head = format!("fn {name}(");
    text.match_indices(&head)
        .any(|(at, _)| is_test(&text[..at]))
}

/// Whether the item that begins behind `before` has the attribute of a test.
fn is_test(before: &str) -> bool {
    let attributes = before
        .lines()
        .rev()
        .skip(usize::from(!before.ends_with('\n')))
        .take_while(|line| line.trim_start().starts_with('#'));
    let mut attributes = attributes.map(str::trim_start);
    attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::tree;
    use super::*;

    #[test]
    fn tests_that_are_not_there_are_found() {
        let source = "//! A.\n#[test]\nfn a() {}\n    #[tokio::test(start_paused = true)]\n    async fn b() {}\n\nfn no_test() {}\n\
                      #[test]\n#[cfg(unix)]\nfn c() {}\n";
        let document = "| 1 | `src/a.rs::a`, `src/a.rs::b`, `src/a.rs::c` |\n| 2 | `src/a.rs::no_test` |\n\
                        | 3 | `src/a.rs::gone` and `src/b.rs::a` |\n| 4 | `std::env`, `a/b.slt` |\n";
        let findings = exist(&tree(&[
            ("src/a.rs", source),
            ("docs/bad-input.md", document),
            ("docs/other.md", "`src/a.rs::gone`"),
        ]));
        assert_eq!(
            findings,
            [
                "docs/bad-input.md:2: there is no test `no_test` in `src/a.rs`",
                "docs/bad-input.md:3: there is no test `gone` in `src/a.rs`",
                "docs/bad-input.md:3: there is no test `a` in `src/b.rs`",
            ]
        );
    }
}
