//! Roles and policies as they are stored: a file for each, `iam/roles/NAME.json` and `iam/policies/NAME.json`.
//!
//! Names that differ in case only are the same to IAM, so files are named in lower case.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::log::Logger;

/// The version of the stored form. A reader that meets a later one leaves the file alone.
pub const FORMAT: u32 = 1;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    pub format: u32,
    pub name: String,
    /// `AROA…`.
    pub id: String,
    pub path: String,
    pub created: Timestamp,
    /// Who may assume it, as it was given.
    pub trust_policy: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// In seconds.
    pub max_session_duration: u32,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its inline policies by their names, each as it was given.
    #[serde(default)]
    pub policies: BTreeMap<String, String>,
    /// The ARNs of its managed policies.
    #[serde(default)]
    pub attached: BTreeSet<String>,
}

impl Role {
    /// The role's ARN.
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:role{}{}", self.path, self.name)
    }
}

/// A customer managed policy. It has one version, `v1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    pub format: u32,
    pub name: String,
    /// `ANPA…`.
    pub id: String,
    pub path: String,
    pub created: Timestamp,
    /// What it allows, as it was given.
    pub document: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

impl Policy {
    /// The policy's ARN.
    pub fn arn(&self, account: &str) -> String {
        format!("arn:aws:iam::{account}:policy{}{}", self.path, self.name)
    }
}

/// All roles and policies.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By their names in lower case.
    pub roles: BTreeMap<String, Role>,
    /// By their names in lower case.
    pub policies: BTreeMap<String, Policy>,
}

/// The roles and policies of a lake.
#[derive(Debug)]
pub struct Identities {
    roles: PathBuf,
    policies: PathBuf,
    state: RwLock<State>,
}

impl Identities {
    /// The roles and policies stored in `folder`, which is made if it is missing. Files that cannot be read are left alone
    /// and told of in the log.
    pub fn open(folder: &Path, logger: &Logger) -> io::Result<Self> {
        let (roles, policies) = (folder.join("roles"), folder.join("policies"));
        let state = State {
            roles: load_all(&roles, logger, |role: &Role| {
                (role.format, role.name.clone())
            })?,
            policies: load_all(&policies, logger, |policy: &Policy| {
                (policy.format, policy.name.clone())
            })?,
        };
        Ok(Self {
            roles,
            policies,
            state: RwLock::new(state),
        })
    }

    /// The role of that name.
    pub fn role(&self, name: &str) -> Option<Role> {
        self.read().roles.get(&key(name)).cloned()
    }

    /// All there is.
    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes one role, which is stored before anybody sees it. `change` gets what is there under the name and gives what
    /// is to be there; nothing changes if it fails.
    pub fn change_role<E: From<io::Error>>(
        &self,
        name: &str,
        change: impl FnOnce(&State, Option<Role>) -> Result<Option<Role>, E>,
    ) -> Result<(), E> {
        let mut state = self.write();
        let present = state.roles.get(&key(name)).cloned();
        let changed = change(&state, present)?;
        store(&self.roles, name, changed.as_ref())?;
        put(&mut state.roles, name, changed);
        Ok(())
    }

    /// The same for a policy.
    pub fn change_policy<E: From<io::Error>>(
        &self,
        name: &str,
        change: impl FnOnce(&State, Option<Policy>) -> Result<Option<Policy>, E>,
    ) -> Result<(), E> {
        let mut state = self.write();
        let present = state.policies.get(&key(name)).cloned();
        let changed = change(&state, present)?;
        store(&self.policies, name, changed.as_ref())?;
        put(&mut state.policies, name, changed);
        Ok(())
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What roles and policies are found by.
pub fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

fn put<T>(all: &mut BTreeMap<String, T>, name: &str, changed: Option<T>) {
    match changed {
        Some(entry) => drop(all.insert(key(name), entry)),
        None => drop(all.remove(&key(name))),
    }
}

/// Names have no slashes, and with the extension none is `.` or `..`.
fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{}.json", key(name)))
}

fn store(folder: &Path, name: &str, entry: Option<&impl Serialize>) -> io::Result<()> {
    let place = file(folder, name);
    match entry {
        Some(entry) => {
            // No name has a `~`.
            let temporary = folder.join("~new");
            let mut file = File::create(&temporary)?;
            file.write_all(&serde_json::to_vec_pretty(entry)?)?;
            file.sync_all()?;
            fs::rename(temporary, place)?;
        }
        None => match fs::remove_file(place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    File::open(folder)?.sync_all()
}

fn load_all<T: DeserializeOwned>(
    folder: &Path,
    logger: &Logger,
    about: impl Fn(&T) -> (u32, String),
) -> io::Result<BTreeMap<String, T>> {
    fs::create_dir_all(folder)?;
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let loaded = fs::read(&path).and_then(|json| Ok(serde_json::from_slice::<T>(&json)?));
        let loaded = loaded.and_then(|entry| match about(&entry) {
            (FORMAT, name) if file(folder, &name) == path => Ok((name, entry)),
            (FORMAT, name) => Err(io::Error::other(format!(
                "it is named for another than {name}"
            ))),
            (other, _) => Err(io::Error::other(format!(
                "it has format {other}; this lake reads format {FORMAT}"
            ))),
        });
        match loaded {
            Ok((name, entry)) => drop(all.insert(key(&name), entry)),
            Err(error) => logger.error(format_args!(
                "{} cannot be read and is left alone: {error}",
                path.display()
            )),
        }
    }
    Ok(all)
}
