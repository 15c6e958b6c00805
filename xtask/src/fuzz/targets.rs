//! Which fuzz targets there are: found in the sources, so that none can be forgotten, and then in what was compiled of them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::captured;

/// How a target begins in the sources.
const BEGINS: &str = "fuzz::Target::new(\"";

/// Which of a package's test binaries it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The unit tests.
    Lib,
    /// The integration tests of this name.
    Test(String),
}

/// A test binary with targets.
#[derive(Clone, Debug)]
pub struct Binary {
    pub kind: Kind,
    pub package: String,
    /// The package's folder.
    pub folder: PathBuf,
    /// The targets' names.
    pub names: Vec<String>,
}

impl Binary {
    /// Whether a target's name contains `part`.
    pub fn has(&self, part: &str) -> bool {
        self.names.iter().any(|name| name.contains(part))
    }
}

/// A target that was compiled.
#[derive(Debug)]
pub struct Target {
    /// The test's path in its binary.
    pub test: String,
    pub executable: PathBuf,
    /// The package's folder.
    pub folder: PathBuf,
}

impl Target {
    /// As it is called in `fuzz::Target::new`: a test `fuzz_NAME` is the target `NAME`.
    pub fn name(&self) -> &str {
        let last = self.test.rsplit("::").next().unwrap_or_default();
        last.strip_prefix("fuzz_").unwrap_or(last)
    }
}

/// Finds the binaries with targets, in the order of their names.
///
/// # Errors
///
/// When a folder or file cannot be read.
pub fn sources(root: &Path) -> Result<Vec<Binary>, String> {
    let mut binaries = Vec::new();
    for folder in entries(&root.join("crates"))? {
        let package = folder.file_name().unwrap_or_default().to_string_lossy();
        // Its own tests make targets that fail.
        if package == "fuzz" || !folder.is_dir() {
            continue;
        }
        add(
            &folder,
            &package,
            Kind::Lib,
            &folder.join("src"),
            &mut binaries,
        )?;
        let tests = folder.join("tests");
        for path in entries(&tests).unwrap_or_default() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let kind = Kind::Test(name.into_owned());
            add(&folder, &package, kind, &path, &mut binaries)?;
        }
    }
    Ok(binaries)
}

fn add(
    folder: &Path,
    package: &str,
    kind: Kind,
    path: &Path,
    found: &mut Vec<Binary>,
) -> Result<(), String> {
    let mut names = Vec::new();
    collect(path, &mut names)?;
    if !names.is_empty() {
        found.push(Binary {
            kind,
            package: package.to_owned(),
            folder: folder.to_owned(),
            names,
        });
    }
    Ok(())
}

fn collect(path: &Path, names: &mut Vec<String>) -> Result<(), String> {
    if path.is_dir() {
        for path in entries(path)? {
            collect(&path, names)?;
        }
    } else if path.extension().is_some_and(|ending| ending == "rs") {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let found = text.split(BEGINS).skip(1);
        names.extend(found.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let read = std::fs::read_dir(folder);
    let entries = read.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut entries: Vec<PathBuf> =
        entries.map_err(|error| format!("{}: {error}", folder.display()))?;
    entries.sort();
    Ok(entries)
}

/// Parts the binaries by kind: those of one kind are compiled at once.
pub fn groups(binaries: &[Binary]) -> Vec<Vec<Binary>> {
    // What is compiled with DataFusion has features that the others do not have.
    let key = |binary: &Binary| {
        let is_heavy = crate::suite::HEAVY.contains(&binary.package.as_str());
        (is_heavy, binary.kind.clone())
    };
    let mut sorted = binaries.to_vec();
    sorted.sort_by_key(key);
    sorted
        .chunk_by(|one, other| key(one) == key(other))
        .map(<[Binary]>::to_vec)
        .collect()
}

/// Compiles with `cargo`, which is a command for tests without `--no-run`, and asks what came out for the targets of
/// `binaries`.
///
/// # Errors
///
/// When it does not compile, or a binary cannot be asked.
pub fn built(cargo: &mut Command, binaries: &[Binary]) -> Result<Vec<Target>, String> {
    cargo.args(["--no-run", "--message-format", "json-render-diagnostics"]);
    let output = cargo
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("compiling the fuzz targets: {}", output.status));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut targets = Vec::new();
    for (manifest, executable) in text.lines().filter_map(artifact) {
        let folder = Path::new(manifest).parent().unwrap_or(Path::new(""));
        if binaries.iter().any(|binary| binary.folder == folder) {
            targets.extend(listed(executable.as_ref(), folder)?);
        }
    }
    Ok(targets)
}

/// The manifest and the executable that one of cargo's messages tells of.
fn artifact(message: &str) -> Option<(&str, &str)> {
    let value = |name: &str| {
        let rest = message.split_once(&format!("\"{name}\":\""))?.1;
        Some(rest.split_once('"')?.0)
    };
    Some((value("manifest_path")?, value("executable")?))
}

fn listed(executable: &Path, folder: &Path) -> Result<Vec<Target>, String> {
    let mut command = Command::new(executable);
    let text = captured(command.args(["fuzz_", "--list", "--format", "terse"]))?;
    let tests = text.lines().filter_map(|line| line.strip_suffix(": test"));
    Ok(tests
        .map(|test| Target {
            test: test.to_owned(),
            executable: executable.to_owned(),
            folder: folder.to_owned(),
        })
        .filter(|target| target.test.ends_with(&format!("fuzz_{}", target.name())))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_s_messages_are_read() {
        let message = r#"{"reason":"compiler-artifact","manifest_path":"/f/crates/aws/Cargo.toml","target":{"name":"aws"},"executable":"/f/target/aws-1","fresh":true}"#;
        let read = artifact(message);
        assert_eq!(read, Some(("/f/crates/aws/Cargo.toml", "/f/target/aws-1")));
        assert_eq!(
            artifact(&message.replace("\"/f/target/aws-1\"", "null")),
            None
        );
    }

    #[test]
    fn a_target_is_called_as_its_test() {
        let target = Target {
            test: "signature::fuzz::fuzz_signatures".to_owned(),
            executable: PathBuf::new(),
            folder: PathBuf::new(),
        };
        assert_eq!(target.name(), "signatures");
    }
}
