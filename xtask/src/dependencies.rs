//! What depends on what, as `cargo tree` tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::run::captured;

/// The direct dependencies of each package of the workspace, by name, without those of its tests.
pub type Direct = BTreeMap<String, BTreeSet<String>>;

/// Packages with their version, each with the feature lists that it is built with.
pub type Features = BTreeMap<String, BTreeSet<String>>;

/// Asks cargo for the direct dependencies of every package of the workspace.
///
/// # Errors
///
/// What cargo says when it cannot resolve them.
pub fn direct(root: &Path) -> Result<Direct, String> {
    let tree = tree(
        root,
        &[
            "--workspace",
            // Or a package that was printed as the dependency of another has none.
            "--no-dedupe",
            "--depth",
            "1",
            "--prefix",
            "depth",
            "--edges",
            "normal,build",
        ],
        " {p}",
    )?;
    Ok(read_direct(&tree))
}

/// Asks cargo which features each package is built with when `packages` are, with or without their tests.
///
/// # Errors
///
/// What cargo says when it cannot resolve them.
pub fn features(root: &Path, packages: &[&str], tests: bool) -> Result<Features, String> {
    let edges = if tests {
        "normal,build,dev"
    } else {
        "normal,build"
    };
    let mut arguments = vec!["--prefix", "none", "--edges", edges];
    for package in packages {
        arguments.extend(["--package", package]);
    }
    Ok(read_features(&tree(root, &arguments, "{p} [{f}]")?))
}

fn tree(root: &Path, arguments: &[&str], format: &str) -> Result<String, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root)
        .args(["tree", "--color", "never", "--format", format])
        .args(arguments);
    captured(&mut command)
}

/// Reads lines as `0 aws v0.1.0 (…)` and, for what it depends on, `1 bytes v1.12.2`.
fn read_direct(tree: &str) -> Direct {
    let mut direct = Direct::new();
    let mut package = String::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("0"), Some(name)) => {
                package = name.to_owned();
                direct.entry(package.clone()).or_default();
            }
            (Some("1"), Some(name)) => {
                direct
                    .entry(package.clone())
                    .or_default()
                    .insert(name.to_owned());
            }
            _ => {}
        }
    }
    direct
}

/// Reads lines as `tokio v1.54.1 [net,rt] (*)`.
fn read_features(tree: &str) -> Features {
    let mut features = Features::new();
    for line in tree.lines() {
        let Some((package, rest)) = line.split_once(" [") else {
            continue;
        };
        let Some((list, _)) = rest.split_once(']') else {
            continue;
        };
        features
            .entry(package.to_owned())
            .or_default()
            .insert(list.to_owned());
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn direct_dependencies_are_read_by_package() {
        let direct = read_direct(
            "0 aws v0.1.0 (/x/aws)\n1 bytes v1.12.2\n1 tokio v1.54.1 (*)\n\n0 record v0.1.0 (/x/record)\n",
        );
        assert_eq!(direct["aws"], ["bytes", "tokio"].map(String::from).into());
        assert!(direct["record"].is_empty());
    }

    #[test]
    fn features_are_read_by_package() {
        let features = read_features(
            "tokio v1.54.1 [net,rt]\n  \nfoldhash v0.2.0 []\ntokio v1.54.1 [net,rt] (*)\ntokio v1.54.1 [rt]\n",
        );
        assert_eq!(
            features["tokio v1.54.1"],
            ["net,rt", "rt"].map(String::from).into()
        );
        assert_eq!(features["foldhash v0.2.0"], [String::new()].into());
    }
}
