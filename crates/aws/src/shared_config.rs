//! The AWS shared files: `~/.aws/config` and `~/.aws/credentials`.
//!
//! Sections in brackets, `key = value` lines, comments with `#` or `;`, and indented lines that belong to the key
//! above them (`services` sections use those). A line that fits none of these is passed over, as in the SDKs: the
//! files belong to many programs.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// No sane file is larger; what lies beyond is not read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where the two files lie: `AWS_CONFIG_FILE` and `AWS_SHARED_CREDENTIALS_FILE`, else below the home directory.
#[derive(Debug)]
pub(crate) struct SharedFiles {
    pub config: Option<PathBuf>,
    pub credentials: Option<PathBuf>,
}

impl SharedFiles {
    pub fn locate(environment: &Environment) -> Self {
        let locate = |variable, name: &str| {
            let named = environment.variable(variable).map(PathBuf::from);
            named.or_else(|| environment.home().map(|home| home.join(".aws").join(name)))
        };
        Self {
            config: locate("AWS_CONFIG_FILE", "config"),
            credentials: locate("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        }
    }
}

/// The profile to read: the option, `AWS_PROFILE`, `AWS_DEFAULT_PROFILE`, `default`.
pub(crate) fn profile_name(option: Option<&str>, environment: &Environment) -> String {
    option
        .map(str::to_owned)
        .or_else(|| environment.variable("AWS_PROFILE"))
        .or_else(|| environment.variable("AWS_DEFAULT_PROFILE"))
        .unwrap_or_else(|| "default".to_owned())
}

/// Both files as they were found.
#[derive(Debug, Default)]
pub(crate) struct Profiles {
    credentials: Option<(PathBuf, Sections)>,
    config: Option<(PathBuf, Sections)>,
    /// Where was looked.
    sought: Vec<PathBuf>,
}

impl Profiles {
    /// Reads both files; a missing one is no error.
    pub fn read(environment: &Environment) -> Result<Self, String> {
        let paths = SharedFiles::locate(environment);
        let read = |path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            match Sections::read(path) {
                Ok(sections) => Ok(sections.map(|sections| (path.clone(), sections))),
                Err(error) => Err(format!("read {}: {error}", path.display())),
            }
        };
        Ok(Self {
            credentials: read(&paths.credentials)?,
            config: read(&paths.config)?,
            sought: [paths.credentials, paths.config]
                .into_iter()
                .flatten()
                .collect(),
        })
    }

    /// A key of a profile: the credentials file comes first.
    pub fn value(&self, profile: &str, key: &str) -> Option<&str> {
        let first = self
            .credentials
            .as_ref()
            .and_then(|(_, file)| file.in_credentials(profile, key));
        first.or_else(|| self.config.as_ref()?.1.in_config(profile, key))
    }

    /// A key of `[sso-session NAME]` in the config file.
    pub fn sso_session(&self, name: &str, key: &str) -> Option<&str> {
        self.config
            .as_ref()?
            .1
            .value(&format!("sso-session {name}"), key)
    }

    /// Whether either file has this profile.
    pub fn has(&self, profile: &str) -> bool {
        let in_credentials = self
            .credentials
            .as_ref()
            .is_some_and(|(_, file)| file.has(profile));
        let in_config = self.config.as_ref().is_some_and(|(_, file)| {
            file.has(&format!("profile {profile}")) || (profile == "default" && file.has("default"))
        });
        in_credentials || in_config
    }

    /// The files that are there, in words: `A or B`. An error says where was looked in vain.
    pub fn places(&self) -> Result<String, String> {
        let shown = |paths: Vec<&PathBuf>, between: &str| {
            let paths: Vec<_> = paths
                .into_iter()
                .map(|path| path.display().to_string())
                .collect();
            paths.join(between)
        };
        let there: Vec<_> = [&self.credentials, &self.config]
            .into_iter()
            .flatten()
            .map(|(path, _)| path)
            .collect();
        match (there.is_empty(), self.sought.is_empty()) {
            (false, _) => Ok(shown(there, " or ")),
            (true, true) => Err("HOME is not set".to_owned()),
            (true, false) => Err(format!(
                "there is no {}",
                shown(self.sought.iter().collect(), " and no ")
            )),
        }
    }
}

/// The sections of one file. Where a section or a key stands twice, the later value holds.
#[derive(Debug, Default)]
pub(crate) struct Sections(BTreeMap<String, BTreeMap<String, String>>);

impl Sections {
    /// Reads a file; `Ok(None)` when there is none.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        match std::fs::File::open(path) {
            Ok(file) => file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(Some(Self::parse(&String::from_utf8_lossy(&bytes))))
    }

    fn parse(text: &str) -> Self {
        let mut sections = Self::default();
        let mut section: Option<&mut BTreeMap<String, String>> = None;
        let mut parent = String::new();
        for line in text.lines() {
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = section_name(content) {
                section = Some(sections.0.entry(name).or_default());
                parent.clear();
                continue;
            }
            let (Some(section), Some((key, value))) = (section.as_mut(), content.split_once('='))
            else {
                continue;
            };
            let key = key.trim().to_ascii_lowercase();
            if line.starts_with([' ', '\t']) && !parent.is_empty() {
                section.insert(format!("{parent}.{key}"), value_of(value));
            } else {
                section.insert(key.clone(), value_of(value));
                parent = key;
            }
        }
        sections
    }

    /// A value of a profile in the credentials file, whose sections bear the profile's bare name.
    pub fn in_credentials(&self, profile: &str, key: &str) -> Option<&str> {
        self.value(profile, key)
    }

    /// A value of a profile in the config file: section `[profile NAME]`, or `[default]`.
    pub fn in_config(&self, profile: &str, key: &str) -> Option<&str> {
        let prefixed = self.value(&format!("profile {profile}"), key);
        if profile == "default" {
            prefixed.or_else(|| self.value(profile, key))
        } else {
            prefixed
        }
    }

    /// Whether there is a section of this full name, even an empty one.
    pub fn has(&self, section: &str) -> bool {
        self.0.contains_key(section)
    }

    /// A value in a section named in full. Keys of indented lines are written `parent.key`.
    pub fn value(&self, section: &str, key: &str) -> Option<&str> {
        self.0
            .get(section)?
            .get(key)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

/// `[ profile  a b ] # text` gives `profile a b`.
fn section_name(line: &str) -> Option<String> {
    let (name, _) = line.strip_prefix('[')?.split_once(']')?;
    Some(name.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A comment after a value starts with white space and `#` or `;`.
fn value_of(text: &str) -> String {
    let mut end = text.len();
    for (at, _) in text.match_indices(['#', ';']) {
        if text[..at].ends_with([' ', '\t']) {
            end = at;
            break;
        }
    }
    text[..end].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "\
; made by hand
stray = line
[default]
region = eu-west-1
[profile  dev ]   # the other one
Region=us-east-1
endpoint_url = http://localhost:4566 # local
services = local
secret = a#b;c
not a line
[services local]
firehose =
  endpoint_url = http://localhost:1
s3 =
\tendpoint_url = http://localhost:2
[profile dev]
region = us-west-2
empty =
";

    #[test]
    fn sections_keys_and_indented_lines_are_found() {
        let sections = Sections::parse(CONFIG);
        let cases = [
            (sections.in_config("default", "region"), Some("eu-west-1")),
            (sections.in_config("dev", "region"), Some("us-west-2")),
            (
                sections.in_config("dev", "endpoint_url"),
                Some("http://localhost:4566"),
            ),
            (sections.in_config("dev", "secret"), Some("a#b;c")),
            (sections.in_config("dev", "empty"), None),
            (sections.in_config("other", "region"), None),
            (sections.in_credentials("dev", "region"), None),
            (
                sections.value("services local", "firehose.endpoint_url"),
                Some("http://localhost:1"),
            ),
            (
                sections.value("services local", "s3.endpoint_url"),
                Some("http://localhost:2"),
            ),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn the_profile_comes_from_option_then_variables_then_default() {
        let both = Environment::fixed([("AWS_PROFILE", "a"), ("AWS_DEFAULT_PROFILE", "b")]);
        let second = Environment::fixed([("AWS_DEFAULT_PROFILE", "b")]);
        let none = Environment::fixed::<&str, &str>([]);
        assert_eq!(profile_name(Some("o"), &both), "o");
        assert_eq!(profile_name(None, &both), "a");
        assert_eq!(profile_name(None, &second), "b");
        assert_eq!(profile_name(None, &none), "default");
    }

    #[test]
    fn a_missing_file_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(
            Sections::read(&folder.path().join("config"))
                .unwrap()
                .is_none()
        );
    }
}
