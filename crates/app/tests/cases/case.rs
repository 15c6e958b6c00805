//! A case: its folder, and what stands in it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::client::Sent;

/// A folder with a configuration and what must come of it.
pub struct Case {
    /// `PLUGIN/NAME`.
    pub name: String,
    /// Where its files are.
    pub folder: PathBuf,
    /// What the sink must know before the case begins.
    pub settings: Settings,
    /// `requests.json`: what is sent to the input `http`.
    pub requests: Vec<Sent>,
    /// Whether the program ends by itself when its input does: the configuration says `exit_on_eof`.
    pub ends_itself: bool,
}

/// `case.json`, which most cases have no need of.
#[derive(Default)]
pub struct Settings {
    /// `missing_groups`: log groups that are not there until they are created.
    pub missing_groups: Vec<String>,
    /// `key_masks`: keys of objects that hold the time of the run or something random, `?` in place of each such character.
    pub key_masks: Vec<String>,
}

/// The names of the folders in `folder`, sorted.
pub fn folders(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("readable"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

impl Case {
    /// The cases of a plugin's folder, by name.
    pub fn all_in(plugin: &Path) -> Vec<Case> {
        let names = folders(plugin);
        assert!(!names.is_empty(), "{} has no case", plugin.display());
        names
            .iter()
            .map(|name| Case::load(&plugin.join(name)))
            .collect()
    }

    fn load(folder: &Path) -> Case {
        let folder = folder.canonicalize().expect("it is there");
        let part = |path: &Path| {
            path.file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned()
        };
        let plugin = folder.parent().expect("a plugin's folder");
        let configuration = fs::read_to_string(folder.join("fluent-bit.conf"))
            .unwrap_or_else(|error| panic!("{}/fluent-bit.conf: {error}", folder.display()));
        Case {
            name: format!("{}/{}", part(plugin), part(&folder)),
            settings: Settings::of(read(&folder.join("case.json"))),
            requests: read(&folder.join("requests.json"))
                .map(|json| {
                    json.as_array()
                        .expect("a list of requests")
                        .iter()
                        .map(Sent::of)
                        .collect()
                })
                .unwrap_or_default(),
            ends_itself: configuration.to_ascii_lowercase().contains("exit_on_eof"),
            folder,
        }
    }

    /// The configuration to run.
    pub fn configuration(&self) -> PathBuf {
        self.folder.join("fluent-bit.conf")
    }

    /// Where it is written what arrives from Fluent Bit.
    pub fn expected_file(&self) -> PathBuf {
        self.folder.join("expected.json")
    }

    /// What arrives from Fluent Bit.
    ///
    /// # Errors
    ///
    /// When that was not written down yet.
    pub fn expected(&self) -> Result<Value, String> {
        read(&self.expected_file()).ok_or_else(|| format!("{}: no expected.json", self.name))
    }

    /// What must arrive from Flumen: the same, or what is written down as a difference.
    ///
    /// # Errors
    ///
    /// When nothing is written down, or a difference without a reason, or one that is none.
    pub fn expected_of_flumen(&self) -> Result<Value, String> {
        let expected = self.expected()?;
        let reason = fs::read_to_string(self.folder.join("differences.md")).unwrap_or_default();
        match (
            read(&self.folder.join("expected.flumen.json")),
            reason.trim(),
        ) {
            (None, "") => Ok(expected),
            (None, _) => Err("differences.md, but no expected.flumen.json".into()),
            (Some(_), "") => Err("expected.flumen.json, but no reason in differences.md".into()),
            (Some(own), _) if own == expected => {
                Err("expected.flumen.json says the same as expected.json".into())
            }
            (Some(own), _) => Ok(own),
        }
    }
}

impl Settings {
    fn of(json: Option<Value>) -> Settings {
        let Some(json) = json else {
            return Settings::default();
        };
        let fields = json.as_object().expect("case.json is an object");
        let list = |name: &str| -> Vec<String> {
            let texts = fields.get(name).and_then(Value::as_array);
            let texts = texts.into_iter().flatten();
            texts
                .map(|text| text.as_str().expect("a list of texts").to_owned())
                .collect()
        };
        for name in fields.keys() {
            let known = ["missing_groups", "key_masks"];
            assert!(known.contains(&name.as_str()), "case.json knows no {name}");
        }
        Settings {
            missing_groups: list("missing_groups"),
            key_masks: list("key_masks"),
        }
    }
}

fn read(file: &Path) -> Option<Value> {
    let text = fs::read_to_string(file).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}
