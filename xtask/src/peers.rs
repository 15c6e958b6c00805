//! The real programs that tests meet: set up here, found by the tests through environment variables.
//!
//! A variable holds an absolute path, or `missing: ` and the reason, which the test prints when it skips itself.
//! Programs come from Debian's packages (as root, where `apt-get` is), Python's from a virtual environment under the
//! target folder, container images from files of this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::run::{captured, captured_within};

/// A program of the system that tests run.
struct Program {
    variable: &'static str,
    /// Debian's package that has it.
    package: &'static str,
    /// Where it may lie. Never looked up by name alone: another one of that name may come first.
    paths: &'static [&'static str],
}

const PROGRAMS: &[Program] = &[
    Program {
        variable: "FLUMEN_PEER_DOCKERD",
        package: "docker.io",
        paths: &["/usr/sbin/dockerd", "/usr/bin/dockerd"],
    },
    // The client of the same package: a much newer one may refuse the daemon.
    Program {
        variable: "FLUMEN_PEER_DOCKER",
        package: "docker.io",
        paths: &["/usr/bin/docker"],
    },
    Program {
        variable: "FLUMEN_PEER_PODMAN",
        package: "podman",
        paths: &["/usr/bin/podman"],
    },
    Program {
        variable: "FLUMEN_PEER_NGINX",
        package: "nginx-light",
        paths: &["/usr/sbin/nginx"],
    },
    Program {
        variable: "FLUMEN_PEER_BUSYBOX",
        package: "busybox-static",
        paths: &["/bin/busybox", "/usr/bin/busybox"],
    },
    Program {
        variable: "FLUMEN_PEER_AWS_V2",
        package: "awscli",
        paths: &["/usr/bin/aws"],
    },
    // Not for tests: it counts the instructions of hot paths.
    Program {
        variable: "FLUMEN_PEER_VALGRIND",
        package: "valgrind",
        paths: &["/usr/bin/valgrind"],
    },
];

/// What the virtual environment brings, as paths inside it.
const PYTHON_PROGRAMS: &[(&str, &str)] = &[
    ("FLUMEN_PEER_PYTHON", "bin/python"),
    ("FLUMEN_PEER_AWS", "bin/aws"),
    ("FLUMEN_PEER_MOTO", "bin/moto_server"),
];

/// Root file systems for containers, each packed by a script of `tests/containers/`.
const IMAGES: &[(&str, &str)] = &[
    ("FLUMEN_PEER_NGINX_IMAGE", "nginx"),
    ("FLUMEN_PEER_SHELL_IMAGE", "busybox"),
];

/// How long unpacking what is downloaded may take.
const INSTALLING: Duration = Duration::from_secs(10 * 60);

/// The value of a variable whose peer is not there starts so.
const MISSING: &str = "missing: ";

/// The peers of this machine, found or not.
#[derive(Default)]
pub struct Peers {
    /// Names and values of the environment variables for the tests.
    pub variables: Vec<(&'static str, String)>,
}

impl Peers {
    /// The peers that are not there, each with the reason.
    pub fn missing(&self) -> Vec<String> {
        let missing = self
            .variables
            .iter()
            .filter(|(_, value)| value.starts_with(MISSING));
        missing
            .map(|(name, value)| format!("{name} {value}"))
            .collect()
    }

    /// The path of one of them, or why it is not there.
    pub fn path(&self, variable: &str) -> Result<PathBuf, String> {
        let found = self.variables.iter().find(|(name, _)| *name == variable);
        let value = found.map_or("it is not known", |(_, value)| value.as_str());
        match value.strip_prefix(MISSING) {
            Some(reason) => Err(format!("no {variable}: {reason}")),
            None => Ok(value.into()),
        }
    }

    fn add(&mut self, variable: &'static str, found: Result<PathBuf, String>) {
        let value = match found {
            Ok(path) => path.display().to_string(),
            Err(reason) => format!("{MISSING}{reason}"),
        };
        self.variables.push((variable, value));
    }
}

/// Every peer's variable set to `reason`, so that the tests skip themselves and say so.
pub fn none(reason: &str) -> Peers {
    let mut peers = Peers::default();
    let programs = PROGRAMS.iter().map(|program| program.variable);
    let others = PYTHON_PROGRAMS
        .iter()
        .chain(IMAGES)
        .map(|(variable, _)| *variable);
    for variable in programs.chain(others) {
        peers.add(variable, Err(reason.to_owned()));
    }
    peers
}

/// Installs what is missing and may be installed, and finds every peer. Takes a minute on a fresh machine, a second later.
pub fn set_up(root: &Path) -> Peers {
    let mut peers = Peers::default();
    let install_error = install_packages().err();
    for program in PROGRAMS {
        let found = existing(program.paths)
            .ok_or_else(|| match &install_error {
                Some(reason) => format!("Debian's {} is not installed: {reason}", program.package),
                None => format!(
                    "Debian's {} has none of {:?}",
                    program.package, program.paths
                ),
            })
            .map(PathBuf::from);
        peers.add(program.variable, found);
    }
    let folder = target(root).join("peers");
    let venv = virtual_environment(root, &folder);
    for (variable, path) in PYTHON_PROGRAMS {
        peers.add(variable, venv.clone().map(|venv| venv.join(path)));
    }
    for (variable, name) in IMAGES {
        peers.add(variable, image(root, &folder, name));
    }
    peers
}

/// Prints the variables as a shell's `export` statements. Always succeeds: what is missing is said in the values.
pub fn print_variables(root: &Path) -> bool {
    for (name, value) in set_up(root).variables {
        println!("export {name}='{}'", value.replace('\'', r"'\''"));
    }
    true
}

/// Where cargo puts what it makes.
pub fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

fn existing(paths: &[&'static str]) -> Option<&'static str> {
    paths.iter().copied().find(|path| Path::new(path).exists())
}

fn install_packages() -> Result<(), String> {
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|program| existing(program.paths).is_none())
        .map(|program| program.package)
        .collect();
    packages.dedup();
    if !python_can_make_environments() {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    may_install()?;
    progress(&format!("apt-get install {}", packages.join(" ")));
    // Stale lists, or one source that fails, may still do.
    let update = captured(&mut apt_get(&["update"]));
    if install(&packages).is_ok() {
        return Ok(());
    }
    // One that cannot be had must not keep the others away.
    let failures = packages
        .iter()
        .filter_map(|package| install(&[package]).err());
    let reasons: Vec<String> = update.err().into_iter().chain(failures).collect();
    if reasons.is_empty() {
        Ok(())
    } else {
        Err(reasons.join("; "))
    }
}

/// Downloads and installs `packages`: one after the other, so that nothing is ended half installed because of a network.
fn install(packages: &[&str]) -> Result<(), String> {
    captured(apt_get(&["install", "--download-only"]).args(packages))?;
    captured_within(apt_get(&["install"]).args(packages), INSTALLING)?;
    Ok(())
}

/// As root, where `apt-get` is.
fn may_install() -> Result<(), String> {
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err("this machine has no apt-get".into());
    }
    match captured(Command::new("id").arg("-u"))?.trim() {
        "0" => Ok(()),
        _ => Err("only root may install it".into()),
    }
}

fn apt_get(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    // The subcommand first: messages name the program by it.
    command
        .args(arguments)
        .args(["--quiet", "--yes", "--no-install-recommends"])
        // Without a network, or beside another one that installs, it shall give up rather than wait.
        .args(["--option", "Acquire::Retries=1"])
        .args(["--option", "Acquire::http::Timeout=15"])
        .args(["--option", "Acquire::https::Timeout=15"])
        .args(["--option", "DPkg::Lock::Timeout=60"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        // The tests start their own daemons: installing a package shall start none.
        .env("SYSTEMD_OFFLINE", "1");
    command
}

fn python_can_make_environments() -> bool {
    captured(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

/// The virtual environment with what `tests/peers/requirements.txt` pins, made anew when that file has changed.
fn virtual_environment(root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let list = root.join("tests/peers/requirements.txt");
    let wanted =
        fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let venv = folder.join("venv");
    // Written last, so that an interrupted installation is begun again.
    let stamp = venv.join("installed.txt");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(venv);
    }
    progress("python3 -m venv, pip install -r tests/peers/requirements.txt");
    captured(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&venv),
    )?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--timeout=15",
        "--retries=1",
        "--requirement",
    ]);
    captured(pip.arg(&list))?;
    fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))?;
    Ok(venv)
}

fn image(root: &Path, folder: &Path, name: &str) -> Result<PathBuf, String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let tar = folder.join(format!("{name}.tar"));
    let script = root.join("tests/containers").join(name).join("image.sh");
    captured(Command::new(script).arg(&tar))?;
    Ok(tar)
}

fn progress(what: &str) {
    eprintln!("peers: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_peers_every_variable_says_why() {
        let peers = none("--no-peers was given");
        assert_eq!(
            peers.variables.len(),
            PROGRAMS.len() + PYTHON_PROGRAMS.len() + IMAGES.len()
        );
        assert_eq!(peers.missing().len(), peers.variables.len());
        assert_eq!(
            peers.missing()[0],
            "FLUMEN_PEER_DOCKERD missing: --no-peers was given"
        );
    }

    #[test]
    fn a_found_peer_is_a_path() {
        let mut peers = Peers::default();
        peers.add("FLUMEN_PEER_X", Ok(PathBuf::from("/bin/sh")));
        assert_eq!(peers.variables, [("FLUMEN_PEER_X", "/bin/sh".to_owned())]);
        assert!(peers.missing().is_empty());
    }
}
