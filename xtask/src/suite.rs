//! `cargo xtask test`: every step, one after the other, whatever the ones before came to.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::fuzz;
use crate::instructions;
use crate::notes::Notes;
use crate::peers::{self, Peers};
use crate::report::{self, Counts, Step};
use crate::run::{COMPILING, TESTING, captured, watched};
use crate::tidy;

/// What `cargo xtask test` was asked to do.
#[derive(Debug, Default, PartialEq)]
pub struct Options {
    /// Set up no peers: the tests that need one skip themselves and are counted as skipped.
    pub no_peers: bool,
    /// Run only the tests whose name contains this, and none of the other steps.
    pub only: Option<String>,
}

/// The packages that DataFusion is built for. They are tested apart from the others, so that the features which the
/// others' tests ask of shared crates do not have all of it built a second time: the demo and these tests share one build.
pub const HEAVY: &[&str] = &["flumen", "query"];

/// How long each fuzz target runs, unless the environment says otherwise. All of them take less than six minutes on two
/// processors.
const FUZZ_SECONDS: u64 = 20;

/// The release of cargo-deny that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

/// Runs the steps, prints the table and the closing line, and returns true when nothing failed.
pub fn run(root: &Path, options: &Options) -> bool {
    let suite = Suite { root };
    let (peers, first) = suite.peers(options.no_peers);
    let filter = options.only.as_deref();
    let mut steps = vec![first];
    if filter.is_none() {
        steps.extend(suite.checks());
    }
    steps.extend(suite.tests(&peers, filter));
    if filter.is_none() {
        steps.push(suite.fuzz(&peers));
        steps.push(instructions::step(root, peers.path("FLUMEN_PEER_VALGRIND")));
        steps.extend(suite.slow_checks());
    }
    print!("\n{}", report::render(&steps));
    report::is_good(&steps)
}

struct Suite<'a> {
    root: &'a Path,
}

impl Suite<'_> {
    fn peers(&self, none: bool) -> (Peers, Step) {
        let start = begin("peers");
        let peers = if none {
            peers::none("--no-peers was given")
        } else {
            peers::set_up(self.root)
        };
        let step = Step {
            name: "peers",
            took: start.elapsed(),
            counts: Counts::default(),
            notes: peers.missing(),
        };
        (peers, step)
    }

    /// What says at once that something is wrong.
    fn checks(&self) -> Vec<Step> {
        let mut slim = self.cargo();
        // Before the tests: the program that is left in the target folder shall be the whole one.
        slim.args([
            "build",
            "--release",
            "--package",
            "flumen",
            "--no-default-features",
        ]);
        vec![
            self.component("rustfmt", "fmt", &["--all", "--check"]),
            self.tidy(),
            check("slim build", &mut slim),
        ]
    }

    fn tests(&self, peers: &Peers, filter: Option<&str>) -> Vec<Step> {
        vec![
            self.test("tests: stations", &light_packages(), peers, filter),
            self.test("tests: query and program", &heavy(), peers, filter),
        ]
    }

    /// Runs the fuzz targets, of which the tests have run what failed before and the seeds. Apart from the tests, because
    /// they are many binaries with few targets each, which cargo would run one after the other.
    fn fuzz(&self, peers: &Peers) -> Step {
        let start = begin("fuzz");
        let given = std::env::var("FLUMEN_FUZZ_SECONDS").ok();
        let seconds = given.and_then(|given| given.parse().ok());
        let seconds = seconds.unwrap_or(FUZZ_SECONDS);
        let (mut counts, mut notes) = (Counts::default(), Vec::new());
        for packages in [light_packages(), heavy()] {
            let outcomes =
                fuzz::unguided(self.root, self.cargo_test(peers).args(&packages), seconds);
            match outcomes {
                Ok(outcomes) => outcomes.iter().for_each(|outcome| {
                    counts.add(Counts::one(outcome.is_good));
                    let name = (!outcome.is_good).then(|| format!("{} ... FAILED", outcome.name));
                    notes.extend(name);
                }),
                Err(error) => {
                    counts.add(Counts::one(false));
                    notes.push(error);
                }
            }
        }
        Step {
            name: "fuzz",
            took: start.elapsed(),
            counts,
            notes,
        }
    }

    /// Compiles and runs the tests of some packages, and counts what their runner says.
    fn test(
        &self,
        name: &'static str,
        packages: &[&str],
        peers: &Peers,
        filter: Option<&str>,
    ) -> Step {
        let start = begin(name);
        let mut counts = Counts::default();
        let mut notes = Notes::default();
        // Apart, because a compiler may be silent for longer than a test.
        let compiled = watched(
            self.cargo_test(peers).args(packages).arg("--no-run"),
            COMPILING,
            |_| (),
        );
        let result = compiled.and_then(|()| {
            let mut run = self.cargo_test(peers);
            if filter.is_none() {
                // The fuzz targets have a step of their own.
                run.env("FLUMEN_FUZZ_SECONDS", "0");
            }
            watched(run.args(packages).args(filter), TESTING, |line| {
                counts.read_line(line);
                notes.read_line(line);
            })
        });
        let counts = counts.settled(result.is_ok());
        let mut notes = notes.into_lines();
        notes.extend(result.err());
        Step {
            name,
            took: start.elapsed(),
            counts,
            notes,
        }
    }

    fn slow_checks(&self) -> Vec<Step> {
        // In the tests' profile, so that build scripts and what they compile are shared with them.
        let clippy = [
            "--release",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ];
        vec![self.component("clippy", "clippy", &clippy), self.deny()]
    }

    fn tidy(&self) -> Step {
        let start = begin("tidy");
        let outcomes = tidy::check(self.root);
        let counts = tidy::counts(&outcomes);
        let notes = tidy::findings(&outcomes);
        for note in &notes {
            eprintln!("{note}");
        }
        Step {
            name: "tidy",
            took: start.elapsed(),
            counts,
            notes,
        }
    }

    /// A step that a component of the toolchain does as a command of cargo; skipped where it is not installed.
    fn component(&self, name: &'static str, command: &str, arguments: &[&str]) -> Step {
        match captured(self.cargo().args([command, "--version"])) {
            Ok(_) => check(name, self.cargo().arg(command).args(arguments)),
            Err(_) => skipped(name, format!("not installed: rustup component add {name}")),
        }
    }

    fn deny(&self) -> Step {
        const NAME: &str = "cargo deny";
        let program = match self.cargo_deny() {
            Ok(program) => program,
            Err(reason) => {
                return skipped(NAME, format!("cargo-deny cannot be installed: {reason}"));
            }
        };
        let mut command = Command::new(program);
        check(
            NAME,
            command
                .current_dir(self.root)
                .args(["check", "--hide-inclusion-graph"])
                .args(["bans", "licenses", "sources"]),
        )
    }

    /// The path of cargo-deny: the user's own, or one that is built under the target folder.
    fn cargo_deny(&self) -> Result<PathBuf, String> {
        if captured(Command::new("cargo-deny").arg("--version")).is_ok() {
            return Ok("cargo-deny".into());
        }
        tool(self.root, "cargo-deny", CARGO_DENY)
    }

    fn cargo_test(&self, peers: &Peers) -> Command {
        let mut command = self.cargo();
        command.args(["test", "--release", "--no-fail-fast"]);
        command.envs(peers.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn cargo(&self) -> Command {
        cargo(self.root)
    }
}

/// The arguments that select every package but the [`HEAVY`] ones.
pub fn light_packages() -> Vec<&'static str> {
    let excluded = HEAVY.iter().flat_map(|name| ["--exclude", name]);
    ["--workspace"].into_iter().chain(excluded).collect()
}

/// The path of a program of the package `name`, which is built in this version under the target folder unless it is there.
///
/// # Errors
/// Says why it cannot be built.
pub fn tool(root: &Path, name: &str, version: &str) -> Result<PathBuf, String> {
    let tools = peers::target(root).join("tools");
    let program = tools.join("bin").join(name);
    // What cargo has installed there; with another version in the name it would stay beside.
    let installed = std::fs::read_to_string(tools.join(".crates.toml")).unwrap_or_default();
    if !program.exists() || !installed.contains(&format!("\"{name} {version} ")) {
        let mut install = cargo(root);
        // It runs for seconds: optimising it would take longer than it could save.
        install.args(["install", name, "--version", version, "--locked", "--debug"]);
        install.arg("--root").arg(&tools);
        watched(
            install.env("CARGO_PROFILE_DEV_DEBUG", "0"),
            COMPILING,
            |_| (),
        )?;
    }
    Ok(program)
}

/// Cargo, run in the workspace's folder and as from a shell: what this program's own cargo has set for it would make
/// build scripts that look at such variables run again.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

fn heavy() -> Vec<&'static str> {
    HEAVY
        .iter()
        .flat_map(|package| ["--package", package])
        .collect()
}

fn begin(name: &str) -> Instant {
    eprintln!("\n── {name} ──");
    Instant::now()
}

/// Runs a command that either passes or fails.
fn check(name: &'static str, command: &mut Command) -> Step {
    let start = begin(name);
    let result = watched(command, COMPILING, |_| ());
    Step {
        name,
        took: start.elapsed(),
        counts: Counts::one(result.is_ok()),
        notes: result.err().into_iter().collect(),
    }
}

fn skipped(name: &'static str, reason: String) -> Step {
    eprintln!("skipped: {name}: {reason}");
    Step {
        name,
        took: Duration::ZERO,
        counts: Counts::skipped(),
        notes: vec![reason],
    }
}
