//! The catalog's files: reading without a lock, writing under one, replacing by rename.

use std::fs::{self, File};
use std::io::{ErrorKind as IoKind, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

use super::{DEFAULT_DATABASE, DatabaseDef, Entry, TableDef, name_fault};

/// The form of the files. A reader refuses newer ones instead of misreading them.
const VERSION: u32 = 1;

const DATABASE_FILE: &str = ".database.json";

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    version: u32,
    #[serde(flatten)]
    definition: T,
}

/// What to do when the name is already taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    Refuse,
    Keep,
    /// Replaces a view; a table is never replaced.
    ReplaceView,
}

/// The catalog below one data directory.
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    root: PathBuf,
}

impl Catalog {
    /// The catalog of `data_dir`. Nothing is written until the first change.
    pub(crate) fn new(data_dir: &Path) -> Catalog {
        Catalog {
            root: data_dir.join("catalog"),
        }
    }

    /// All databases, sorted; `default` is always among them.
    pub(crate) fn databases(&self) -> Result<Vec<String>> {
        let mut names: Vec<String> = read_dir(&self.root)?
            .into_iter()
            .filter(|name| name_fault(name).is_none() && self.root.join(name).is_dir())
            .collect();
        if !names.iter().any(|name| name == DEFAULT_DATABASE) {
            names.push(DEFAULT_DATABASE.to_owned());
        }
        names.sort();
        Ok(names)
    }

    pub(crate) fn database_exists(&self, database: &str) -> bool {
        database == DEFAULT_DATABASE
            || (name_fault(database).is_none() && self.root.join(database).is_dir())
    }

    /// Comment, location and properties of a database.
    #[allow(dead_code, reason = "kept for the statements that describe databases")]
    pub(crate) fn database(&self, database: &str) -> Result<DatabaseDef> {
        Ok(read_json(&self.root.join(database).join(DATABASE_FILE))?.unwrap_or_default())
    }

    /// Answers whether the database was made; false if it was already there.
    pub(crate) fn create_database(&self, database: &str, definition: &DatabaseDef) -> Result<bool> {
        let _lock = self.lock()?;
        if self.database_exists(database) {
            return Ok(false);
        }
        let folder = self.root.join(database);
        fs::create_dir_all(&folder)
            .map_err(|error| Error::io(format!("create {}", folder.display()), &error))?;
        write_json(&folder.join(DATABASE_FILE), definition)?;
        Ok(true)
    }

    /// Removes a database with everything in it; objects stay.
    pub(crate) fn drop_database(&self, database: &str) -> Result<()> {
        let _lock = self.lock()?;
        let folder = self.root.join(database);
        fs::remove_dir_all(&folder)
            .map_err(|error| Error::io(format!("remove {}", folder.display()), &error))
    }

    /// The names of a database's tables and views, sorted.
    pub(crate) fn names(&self, database: &str) -> Result<Vec<String>> {
        if name_fault(database).is_some() {
            return Ok(Vec::new());
        }
        let mut names: Vec<String> = read_dir(&self.root.join(database))?
            .into_iter()
            .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
            .filter(|name| name_fault(name).is_none())
            .collect();
        names.sort();
        Ok(names)
    }

    /// All tables and views of a database, sorted by name.
    pub(crate) fn entries(&self, database: &str) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for name in self.names(database)? {
            // Dropped between the listing and here: then it is not there.
            entries.extend(self.find(database, &name)?);
        }
        Ok(entries)
    }

    /// A table or view by its lower-case name.
    pub(crate) fn find(&self, database: &str, name: &str) -> Result<Option<Entry>> {
        if name_fault(database).is_some() || name_fault(name).is_some() {
            return Ok(None);
        }
        read_json(&self.file(database, name))
    }

    /// Adds a table or view. Answers whether it was stored; false if [`Existing::Keep`] kept another.
    pub(crate) fn create(&self, database: &str, entry: &Entry, existing: Existing) -> Result<bool> {
        let _lock = self.lock()?;
        match (self.find(database, entry.name())?, existing) {
            (None, _) | (Some(Entry::View(_)), Existing::ReplaceView) => {}
            (Some(_), Existing::Keep) => return Ok(false),
            (Some(_), _) => return Err(already_exists(entry.name())),
        }
        self.write(database, entry)?;
        Ok(true)
    }

    /// Removes a table or view, if it is there.
    pub(crate) fn remove(&self, database: &str, name: &str) -> Result<()> {
        let _lock = self.lock()?;
        let file = self.file(database, name);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != IoKind::NotFound => {
                Err(Error::io(format!("remove {}", file.display()), &error))
            }
            _ => Ok(()),
        }
    }

    /// Changes a table under the lock; nothing is written if `change` fails or the table is gone.
    pub(crate) fn update_table<T>(
        &self,
        database: &str,
        name: &str,
        change: impl FnOnce(&mut TableDef) -> Result<T>,
    ) -> Result<T> {
        let _lock = self.lock()?;
        let Some(Entry::Table(mut table)) = self.find(database, name)? else {
            let message = format!("[Error 10001]: Table not found {database}.{name}");
            return Err(Error::new(ErrorKind::SemanticException, message));
        };
        let answer = change(&mut table)?;
        self.write(database, &Entry::Table(table))?;
        Ok(answer)
    }

    fn write(&self, database: &str, entry: &Entry) -> Result<()> {
        let folder = self.root.join(database);
        fs::create_dir_all(&folder)
            .map_err(|error| Error::io(format!("create {}", folder.display()), &error))?;
        write_json(&self.file(database, entry.name()), entry)
    }

    fn file(&self, database: &str, name: &str) -> PathBuf {
        self.root.join(database).join(format!("{name}.json"))
    }

    /// Waits for other writers. The lock ends with the returned file.
    fn lock(&self) -> Result<File> {
        let path = self.root.join(".lock");
        let doing = || format!("lock {}", path.display());
        fs::create_dir_all(&self.root).map_err(|error| Error::io(doing(), &error))?;
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| Error::io(doing(), &error))?;
        file.lock().map_err(|error| Error::io(doing(), &error))?;
        Ok(file)
    }
}

fn already_exists(name: &str) -> Error {
    let message = format!(
        "return code 1 from org.apache.hadoop.hive.ql.exec.DDLTask. \
         AlreadyExistsException(message:Table {name} already exists)"
    );
    Error::new(ErrorKind::ExecutionError, message)
}

/// The names in a folder; none if the folder does not exist.
fn read_dir(folder: &Path) -> Result<Vec<String>> {
    let doing = || format!("list {}", folder.display());
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == IoKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(doing(), &error)),
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(|error| Error::io(doing(), &error))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let doing = || format!("read {}", path.display());
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == IoKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(doing(), &error)),
    };
    let unreadable =
        |error: serde_json::Error| Error::new(ErrorKind::Io, format!("{}: {error}", doing()));
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = serde_json::from_slice(&text).map_err(unreadable)?;
    if version > VERSION {
        let message = format!(
            "{}: format {version} is newer than this Flumen knows ({VERSION})",
            doing()
        );
        return Err(Error::new(ErrorKind::Io, message));
    }
    let stored: Stored<T> = serde_json::from_slice(&text).map_err(unreadable)?;
    Ok(Some(stored.definition))
}

/// Replaces `path` as a whole: a reader, also one after a crash, sees the old or the new content.
fn write_json<T: Serialize>(path: &Path, definition: &T) -> Result<()> {
    let doing = || format!("write {}", path.display());
    let stored = Stored {
        version: VERSION,
        definition,
    };
    let mut text = serde_json::to_vec_pretty(&stored)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("{}: {error}", doing())))?;
    text.push(b'\n');
    let file_name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let folder = path.parent().unwrap_or(path);
    // Only the holder of the lock writes, so one name is enough; a leftover of a crash is overwritten.
    let temporary = folder.join(format!(".{}.tmp", file_name.trim_start_matches('.')));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| Error::io(doing(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{CatalogColumn, Partition, SerDeInfo, ViewColumn, ViewDef};
    use crate::types::HiveType;

    fn table(name: &str) -> TableDef {
        TableDef {
            name: name.into(),
            columns: vec![CatalogColumn {
                name: "user".into(),
                hive_type: HiveType::String,
                comment: None,
            }],
            partition_keys: vec![CatalogColumn {
                name: "dt".into(),
                hive_type: HiveType::Date,
                comment: None,
            }],
            location: "s3://b/p/".into(),
            serde: SerDeInfo {
                class: "org.openx.data.jsonserde.JsonSerDe".into(),
                properties: Default::default(),
            },
            input_format: "in".into(),
            output_format: "out".into(),
            comment: Some("c".into()),
            properties: [("k".to_owned(), "v".to_owned())].into(),
            created: 1_574_427_600,
            partitions: vec![Partition {
                values: vec!["2019-11-22".into()],
                location: "s3://b/p/dt=2019-11-22/".into(),
            }],
        }
    }

    fn view(name: &str) -> Entry {
        Entry::View(ViewDef {
            name: name.into(),
            sql: "SELECT 1 AS a".into(),
            database: "default".into(),
            columns: vec![ViewColumn {
                name: "a".into(),
                sql_type: "integer".into(),
            }],
            created: 1_574_427_600,
        })
    }

    #[test]
    fn what_is_created_is_found_by_another_catalog_on_the_same_directory() {
        let dir = tempfile::tempdir().expect("dir");
        let entry = Entry::Table(table("t"));
        assert!(
            Catalog::new(dir.path())
                .create("default", &entry, Existing::Refuse)
                .expect("created")
        );
        let other = Catalog::new(dir.path());
        assert_eq!(other.find("default", "t").expect("read"), Some(entry));
        assert_eq!(other.databases().expect("listed"), ["default"]);
        assert_eq!(other.find("default", "../t").expect("read"), None);
    }

    #[test]
    fn an_existing_name_is_refused_kept_or_replaced() {
        let dir = tempfile::tempdir().expect("dir");
        let catalog = Catalog::new(dir.path());
        let entry = Entry::Table(table("t"));
        catalog
            .create("default", &entry, Existing::Refuse)
            .expect("created");
        let refused = catalog
            .create("default", &entry, Existing::Refuse)
            .expect_err("refused");
        assert!(
            refused.message().contains("Table t already exists"),
            "{refused}"
        );
        assert!(
            !catalog
                .create("default", &entry, Existing::Keep)
                .expect("kept")
        );
        catalog
            .create("default", &view("t"), Existing::ReplaceView)
            .expect_err("a view never replaces a table");
        catalog
            .create("default", &view("v"), Existing::Refuse)
            .expect("created");
        assert!(
            catalog
                .create("default", &view("v"), Existing::ReplaceView)
                .expect("replaced")
        );
    }

    /// The stored form is a promise to later versions: a change here needs a new version number.
    #[test]
    fn the_stored_form_does_not_change_unnoticed() {
        let dir = tempfile::tempdir().expect("dir");
        let catalog = Catalog::new(dir.path());
        catalog
            .create("default", &Entry::Table(table("t")), Existing::Refuse)
            .expect("created");
        catalog
            .create("default", &view("v"), Existing::Refuse)
            .expect("created");
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/catalog/v1/default");
        for file in ["t.json", "v.json"] {
            let written =
                fs::read_to_string(dir.path().join("catalog/default").join(file)).expect("written");
            let expected = fs::read_to_string(golden.join(file)).expect("golden file");
            assert_eq!(written, expected, "{file}");
        }
    }

    #[test]
    fn a_newer_or_broken_file_is_refused_with_its_path() {
        let dir = tempfile::tempdir().expect("dir");
        let folder = dir.path().join("catalog/default");
        fs::create_dir_all(&folder).expect("folder");
        let catalog = Catalog::new(dir.path());
        for (text, expected) in [
            (r#"{"version":9,"kind":"mesh"}"#, "format 9 is newer"),
            ("{", "EOF"),
        ] {
            fs::write(folder.join("t.json"), text).expect("written");
            let error = catalog.find("default", "t").expect_err("refused");
            assert!(
                error.message().contains("t.json") && error.message().contains(expected),
                "{error}"
            );
        }
    }

    #[test]
    fn writers_from_many_threads_do_not_lose_each_others_changes() {
        let dir = tempfile::tempdir().expect("dir");
        Catalog::new(dir.path())
            .create("default", &Entry::Table(table("t")), Existing::Refuse)
            .expect("created");
        std::thread::scope(|scope| {
            for number in 0..8 {
                let catalog = Catalog::new(dir.path());
                scope.spawn(move || {
                    let add = |table: &mut TableDef| {
                        table.properties.insert(format!("n{number}"), String::new());
                        Ok(())
                    };
                    catalog.update_table("default", "t", add).expect("updated");
                });
            }
        });
        let Ok(Some(Entry::Table(table))) = Catalog::new(dir.path()).find("default", "t") else {
            panic!("lost")
        };
        assert_eq!(table.properties.len(), 9);
    }
}
