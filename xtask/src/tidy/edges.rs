//! Rules about what depends on what. The tables are the design: dependencies point one way, stations never know each
//! other, and the program connects them.

use super::{Findings, Tree};
use crate::dependencies::{self, Direct, Features};
use crate::suite::HEAVY;

/// Every crate with those of ours that it may use. What tests use besides is not looked at.
const MAY_USE: &[(&str, &[&str])] = &[
    // The pure part: what a record is, what a configuration says, how patterns match, and the contracts.
    ("record", &[]),
    ("config-derive", &[]),
    ("config", &["config-derive"]),
    ("pattern", &[]),
    ("plugin", &["record", "config"]),
    ("multiline", &["record", "config", "plugin", "pattern"]),
    // What several stations stand on.
    ("buffer", &["record"]),
    ("aws", &[]),
    // The stations.
    ("parsers", &["record", "config", "plugin", "pattern"]),
    (
        "inputs",
        &[
            "record",
            "config",
            "plugin",
            "pattern",
            "multiline",
            "buffer",
        ],
    ),
    (
        "filters",
        &["record", "config", "plugin", "pattern", "multiline"],
    ),
    (
        "outputs",
        &["record", "config", "plugin", "pattern", "buffer", "aws"],
    ),
    ("monitor", &["plugin"]),
    // The pipeline counts what passes in the monitor's counters, which watch every station.
    (
        "engine",
        &["record", "config", "plugin", "pattern", "buffer", "monitor"],
    ),
    ("lake", &["aws"]),
    ("query", &[]),
    // It speaks with both ends of the road from outside, over their protocols.
    ("bench", &["record", "aws"]),
    // Tests use it; it knows nobody.
    ("fuzz", &[]),
    // It runs the real road between sources and services of its own; nothing depends on it.
    (
        "simulation",
        &["record", "config", "plugin", "buffer", "monitor", "engine"],
    ),
    // It runs the hot paths of the stations alone; nothing depends on it.
    (
        "instructions",
        &[
            "record",
            "config",
            "plugin",
            "multiline",
            "parsers",
            "inputs",
            "filters",
            "outputs",
        ],
    ),
    // The chores stand beside the road.
    ("xtask", &[]),
];

/// The program: it alone may know all the others.
const PROGRAM: &str = "flumen";

/// Libraries that only the named crates may use; none where there are none.
const OWNERS: &[(&str, &[&str])] = &[
    ("datafusion", &["query"]),
    // Through DataFusion's re-exports, so that there is never a second version of them.
    ("arrow", &[]),
    ("sqlparser", &[]),
    // The query side has it through DataFusion, whose version this is.
    ("object_store", &["lake"]),
    // The slim program writes Parquet, and the sink looks into it, without DataFusion; the version is DataFusion's.
    ("parquet", &["bench", "outputs"]),
    // Ruby's patterns in the router, Java's in SQL.
    ("fancy-regex", &["pattern", "query"]),
    ("rusqlite", &["buffer"]),
    ("s3s", &["lake"]),
];

/// Crates that do no input or output, and wait for nothing.
const PURE: &[&str] = &["record", "config", "config-derive", "pattern", "multiline"];

/// What a pure crate may not use.
const IMPURE: &[&str] = &["hyper", "libc", "mio", "tokio"];

/// Each crate uses only those of ours that [`MAY_USE`] names.
pub fn direction(tree: &Tree) -> Findings {
    with_direct(tree, wrong_direction)
}

/// Each library is used only by its owners, and nothing impure by a pure crate.
pub fn owners(tree: &Tree) -> Findings {
    with_direct(tree, not_an_owner)
}

/// What the demo builds is built with the same features for the tests of the [`HEAVY`] packages, so that cargo uses it again.
pub fn one_build(tree: &Tree) -> Findings {
    let demo = dependencies::features(&tree.root, &[PROGRAM], false);
    let tests = dependencies::features(&tree.root, HEAVY, true);
    match (demo, tests) {
        (Ok(demo), Ok(tests)) => built_twice(&demo, &tests),
        (Err(error), _) | (_, Err(error)) => vec![error],
    }
}

fn with_direct(tree: &Tree, rule: fn(&Direct) -> Findings) -> Findings {
    match dependencies::direct(&tree.root) {
        Ok(direct) => rule(&direct),
        Err(error) => vec![error],
    }
}

fn wrong_direction(direct: &Direct) -> Findings {
    let mut findings = Findings::new();
    for (name, uses) in direct.iter().filter(|(name, _)| *name != PROGRAM) {
        let Some((_, allowed)) = MAY_USE.iter().find(|(of, _)| of == name) else {
            findings.push(format!(
                "{name}: a new crate: say in xtask/src/tidy/edges.rs which others it may use"
            ));
            continue;
        };
        let ours = uses.iter().filter(|used| direct.contains_key(*used));
        let wrong = ours.filter(|used| !allowed.contains(&used.as_str()));
        findings.extend(
            wrong.map(|used| format!("{name} may not use {used}: allowed are {allowed:?}")),
        );
    }
    findings
}

fn not_an_owner(direct: &Direct) -> Findings {
    let mut findings = Findings::new();
    for (name, uses) in direct {
        for (library, owners) in OWNERS {
            if uses.contains(*library) && !owners.contains(&name.as_str()) {
                findings.push(format!(
                    "{name} may not use {library}: its owners are {owners:?}"
                ));
            }
        }
        let impure = IMPURE
            .iter()
            .filter(|library| PURE.contains(&name.as_str()) && uses.contains(**library));
        findings.extend(impure.map(|library| format!("{name} is pure and may not use {library}")));
    }
    findings
}

fn built_twice(demo: &Features, tests: &Features) -> Findings {
    let mut findings = Findings::new();
    for (package, lists) in demo {
        let built = tests.get(package).cloned().unwrap_or_default();
        for list in lists.difference(&built) {
            let added: Vec<String> = built
                .iter()
                .map(|other| added_features(list, other))
                .collect();
            findings.push(format!(
                "{package} is built twice: for tests with other features ({})",
                added.join("; ")
            ));
        }
    }
    findings
}

fn added_features(without: &str, with: &str) -> String {
    let known: Vec<&str> = without.split(',').collect();
    let added: Vec<&str> = with
        .split(',')
        .filter(|feature| !known.contains(feature))
        .collect();
    added.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn graph(edges: &[(&str, &[&str])]) -> BTreeMap<String, std::collections::BTreeSet<String>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        edges
            .iter()
            .map(|(name, uses)| ((*name).to_owned(), owned(uses)))
            .collect()
    }

    #[test]
    fn stations_may_not_know_each_other() {
        let direct = graph(&[
            ("inputs", &["outputs", "plugin", "tokio"]),
            ("outputs", &[]),
            ("plugin", &[]),
            ("flumen", &["inputs", "outputs"]),
        ]);
        let findings = wrong_direction(&direct);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0].starts_with("inputs may not use outputs: allowed are "),
            "{findings:?}"
        );
    }

    #[test]
    fn a_new_crate_needs_a_line() {
        let findings = wrong_direction(&graph(&[("novel", &[])]));
        assert!(
            findings[0].starts_with("novel: a new crate: "),
            "{findings:?}"
        );
    }

    #[test]
    fn libraries_have_owners() {
        let findings = not_an_owner(&graph(&[
            ("lake", &["datafusion", "s3s"]),
            ("query", &["datafusion", "arrow"]),
            ("record", &["tokio"]),
        ]));
        assert_eq!(
            findings,
            [
                "lake may not use datafusion: its owners are [\"query\"]",
                "query may not use arrow: its owners are []",
                "record is pure and may not use tokio",
            ]
        );
    }

    #[test]
    fn other_features_mean_a_second_build() {
        let demo = graph(&[("tokio v1", &["net,rt"]), ("bytes v1", &["std"])]);
        let tests = graph(&[
            ("tokio v1", &["net,rt,test-util"]),
            ("bytes v1", &["std", ""]),
            ("proptest v1", &[""]),
        ]);
        assert_eq!(
            built_twice(&demo, &tests),
            ["tokio v1 is built twice: for tests with other features (test-util)"]
        );
    }
}
