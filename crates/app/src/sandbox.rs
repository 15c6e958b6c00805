//! `--sandbox`: the process gives up the right to touch anything that its configuration does not name (Landlock).
//!
//! * It reads where inputs read, its configuration, and what the system's libraries need (certificates, time zones, DNS).
//! * It writes where positions, logs, buffers and file outputs are.
//! * It listens on the configured ports, and connects to the ports of destinations (80, 443, 53 and those that are named).
//!
//! This holds for the process and what it starts, for ever: a reload that needs more is refused and says what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::{Document, Section};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, path_beneath_rules,
};

/// The newest rules that are asked for; an older kernel enforces those that it knows.
const RULES: ABI = ABI::V5;
/// What the system's libraries read, and the links that container runtimes put into `/var/log/containers` lead to.
const SYSTEM: [&str; 14] = [
    "/etc",
    "/usr/share",
    "/usr/local/share",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/proc",
    "/sys/fs/cgroup",
    "/run",
    "/var/run/secrets",
    "/dev/null",
    "/dev/urandom",
    "/var/lib/dbus/machine-id",
];
const CONTAINERS: &str = "/var/log/containers";
const BEHIND_CONTAINERS: [&str; 3] = [
    "/var/log/pods",
    "/var/lib/docker/containers",
    "/var/lib/containerd",
];
/// Environment variables that name files with credentials or certificates.
const NAMING_FILES: [&str; 6] = [
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
];
/// Environment variables that name addresses.
const NAMING_ADDRESSES: [&str; 5] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "http_proxy",
    "https_proxy",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];
/// HTTP, HTTPS and DNS.
const USUAL_PORTS: [u16; 3] = [80, 443, 53];
/// Where `s3` keeps objects if nothing is configured.
const S3_STORE: &str = "/tmp/fluent-bit/s3";

/// What a configuration needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    read: BTreeSet<PathBuf>,
    write: BTreeSet<PathBuf>,
    listen: BTreeSet<u16>,
    connect: BTreeSet<u16>,
}

impl Needs {
    /// What `document`, read from `main`, names; `state` are the places for what must survive.
    pub fn of(document: &Document, main: Option<&Path>, state: &[PathBuf]) -> Needs {
        let mut needs = Needs::default();
        needs.read.extend(SYSTEM.map(PathBuf::from));
        needs.connect.extend(USUAL_PORTS);
        needs.add_environment();
        needs.read.extend(main.map(folder_of));
        // What stands there later is another file, which an upgrade goes on as.
        let program = std::env::current_exe().ok();
        let called_as = std::env::args_os().next().map(PathBuf::from);
        let programs = program.iter().chain(&called_as);
        needs.read.extend(programs.map(|path| folder_of(path)));
        // One of them is enough; where the first cannot be made, the next is taken.
        let place = state
            .iter()
            .find(|path| std::fs::create_dir_all(path).is_ok());
        needs.write.extend(place.cloned());
        needs.add_service(&document.service);
        document
            .inputs
            .iter()
            .for_each(|section| needs.add_input(section));
        document
            .outputs
            .iter()
            .for_each(|section| needs.add_output(section));
        for section in document
            .inputs
            .iter()
            .chain(&document.outputs)
            .chain(&document.filters)
        {
            needs.add_files_of_any(section);
        }
        needs
    }

    fn add_environment(&mut self) {
        for name in NAMING_FILES {
            self.read.extend(std::env::var_os(name).map(PathBuf::from));
        }
        if let Some(home) = std::env::var_os("HOME") {
            self.read.insert(Path::new(&home).join(".aws"));
        }
        // Others may have variables that are no text.
        let texts = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let endpoints = texts.filter(|(name, _)| {
            name.starts_with("AWS_ENDPOINT_URL") || NAMING_ADDRESSES.contains(&&**name)
        });
        self.connect
            .extend(endpoints.filter_map(|(_, value)| port_of(&value)));
    }

    fn add_service(&mut self, service: &Section) {
        for entry in &service.entries {
            let Some(text) = entry.value.as_text() else {
                continue;
            };
            match entry.key.as_str() {
                "parsers_file" | "streams_file" => {
                    self.read.insert(folder_of(Path::new(text)));
                }
                "admin_token_file" => {
                    self.read.insert(text.into());
                }
                "log_file" => {
                    self.write.insert(folder_of(Path::new(text)));
                }
                "storage.path" => {
                    self.write.insert(text.into());
                }
                _ => {}
            }
        }
        let port = service.text("http_port").and_then(|port| port.parse().ok());
        self.listen.insert(port.unwrap_or(2020));
    }

    fn add_input(&mut self, section: &Section) {
        let (path, plugin) = (
            section.text("path"),
            section.text("name").unwrap_or_default(),
        );
        for pattern in path.into_iter().flat_map(|paths| paths.split(',')) {
            let folder = literal_folder(pattern.trim());
            if folder.starts_with(CONTAINERS) {
                self.read.extend(BEHIND_CONTAINERS.map(PathBuf::from));
            }
            self.read.insert(folder);
        }
        for key in ["db", "unix_path"] {
            let path = section.text(key);
            self.write
                .extend(path.map(|path| folder_of(Path::new(path))));
        }
        let usual = match plugin.to_ascii_lowercase().as_str() {
            "forward" => Some(24224),
            "tcp" => Some(5170),
            "http" => Some(9880),
            _ => None,
        };
        let port = section.text("port").and_then(|port| port.parse().ok());
        self.listen.extend(port.or(usual));
    }

    fn add_output(&mut self, section: &Section) {
        let plugin = section.text("name").unwrap_or_default();
        let plugin = plugin.split("://").next().unwrap_or_default();
        if plugin.eq_ignore_ascii_case("file") {
            let path = section.text("path").unwrap_or(".");
            self.write.insert(path.into());
        }
        if plugin.eq_ignore_ascii_case("s3") {
            let store = section.text("store_dir").unwrap_or(S3_STORE);
            self.write.insert(store.into());
        }
        let port: Option<u16> = section.text("port").and_then(|port| port.parse().ok());
        self.connect.extend(port);
        for (key, value) in texts(section) {
            if key.ends_with("endpoint") || key == "proxy" || key == "http_proxy" {
                self.connect.extend(port_of(value));
            }
        }
    }

    /// Files with keys and certificates, wherever they are named.
    fn add_files_of_any(&mut self, section: &Section) {
        for (key, value) in texts(section) {
            if key.ends_with("_file") || key.ends_with("_path") || key.starts_with("tls.") {
                let path = Path::new(value);
                self.read
                    .extend(path.is_absolute().then(|| path.to_owned()));
            }
        }
    }

    /// Gives up everything else. Must be called while there is one thread; where the system cannot do it, that is an error.
    pub fn enforce(&self) -> Result<(), String> {
        for folder in &self.write {
            // What does not exist cannot be allowed. Where it cannot be made, whoever needs it will say so.
            let _ = std::fs::create_dir_all(folder);
        }
        let status = self
            .rules()
            .map_err(|error| format!("--sandbox: {error}"))?;
        match status {
            RulesetStatus::NotEnforced => Err(
                "--sandbox: this kernel has no Landlock, and without it nothing would be protected"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }

    fn rules(&self) -> Result<RulesetStatus, landlock::RulesetError> {
        let read = AccessFs::from_read(RULES);
        let mut rules = Ruleset::default()
            .handle_access(AccessFs::from_all(RULES))?
            .handle_access(AccessNet::from_all(RULES))?
            .create()?
            .add_rules(path_beneath_rules(&self.read, read))?
            .add_rules(path_beneath_rules(
                &self.write,
                AccessFs::from_all(RULES) & !AccessFs::Execute,
            ))?;
        for port in &self.listen {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
        }
        for port in &self.connect {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        Ok(rules.restrict_self()?.ruleset)
    }

    /// What `more` needs that is not here, in words.
    pub fn missing(&self, more: &Needs) -> Vec<String> {
        let is_below = |path: &Path, roots: &BTreeSet<PathBuf>| {
            roots
                .iter()
                .any(|root| absolute(path).starts_with(absolute(root)))
        };
        let read = more
            .read
            .iter()
            .filter(|path| !is_below(path, &self.read) && !is_below(path, &self.write));
        let write = more
            .write
            .iter()
            .filter(|path| !is_below(path, &self.write));
        let listen = more.listen.difference(&self.listen);
        let connect = more.connect.difference(&self.connect);
        read.map(|path| format!("read {}", path.display()))
            .chain(write.map(|path| format!("write {}", path.display())))
            .chain(listen.map(|port| format!("listen on port {port}")))
            .chain(connect.map(|port| format!("connect to port {port}")))
            .collect()
    }
}

fn texts(section: &Section) -> impl Iterator<Item = (&str, &str)> {
    let entries = section.entries.iter();
    entries.filter_map(|entry| Some((entry.key.as_str(), entry.value.as_text()?)))
}

/// The path without links where it exists, or as it would be.
fn absolute(path: &Path) -> PathBuf {
    std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_owned())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The folder of a pattern before its first component with a wildcard.
fn literal_folder(pattern: &str) -> PathBuf {
    let literal: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    match literal == Path::new(pattern) {
        true => folder_of(&literal),
        false if literal.as_os_str().is_empty() => PathBuf::from("."),
        false => literal,
    }
}

/// The port of an address, of a URL also the usual one.
fn port_of(address: &str) -> Option<u16> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let authority = rest.split(['/', '?']).next()?;
    let authority = authority.rsplit('@').next()?;
    let named = authority
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok());
    named.or(match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_end_before_their_wildcards() {
        for (pattern, folder) in [
            ("/var/log/containers/*.log", "/var/log/containers"),
            ("/var/log/app.log", "/var/log"),
            ("/data/*/logs/a.log", "/data"),
            ("in.log", "."),
            ("*.log", "."),
            ("logs/[ab].log", "logs"),
        ] {
            assert_eq!(literal_folder(pattern), Path::new(folder), "{pattern}");
        }
    }

    #[test]
    fn ports_of_addresses() {
        for (address, port) in [
            ("http://127.0.0.1:4566", Some(4566)),
            ("https://user:secret@proxy.example:3128/x", Some(3128)),
            ("https://firehose.us-east-1.amazonaws.com", Some(443)),
            ("firehose.us-east-1.amazonaws.com", None),
            ("localhost:9000", Some(9000)),
        ] {
            assert_eq!(port_of(address), port, "{address}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let needs = |read: &[&str], write: &[&str], listen: &[u16]| Needs {
            read: read.iter().map(PathBuf::from).collect(),
            write: write.iter().map(PathBuf::from).collect(),
            listen: listen.iter().copied().collect(),
            connect: BTreeSet::new(),
        };
        let now = needs(&["/no/logs"], &["/no/state"], &[2020]);
        let same = needs(&["/no/logs/app", "/no/state/x"], &["/no/state"], &[]);
        assert_eq!(now.missing(&same), [""; 0]);
        let more = needs(&["/no/other"], &["/no/logs"], &[2020, 5170]);
        assert_eq!(
            now.missing(&more),
            ["read /no/other", "write /no/logs", "listen on port 5170"]
        );
    }
}
