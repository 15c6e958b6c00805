//! The database file: opening, reading and writing it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::row::{delete, nanos, put, read_position};
use super::{Changes, Position, RowKey, schema};

/// How long another writer of the same database is waited for.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many pages the write-ahead file may have before they go to the database: it is small, and so may that file be.
const CHECKPOINT_PAGES: u32 = 256;

/// `DB.Sync`: when SQLite waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// Never.
    Off = 0,
    /// At the moments that keep the database whole.
    Normal = 1,
    /// At every write.
    Full = 2,
    /// At every write, and for the directory.
    Extra = 3,
}

/// `DB.Journal_Mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalMode {
    /// A rollback journal, deleted after each write.
    Delete,
    /// A rollback journal, truncated after each write.
    Truncate,
    /// A rollback journal whose header is overwritten after each write.
    Persist,
    /// A rollback journal in memory.
    Memory,
    /// A write-ahead log.
    Wal,
    /// No journal.
    Off,
}

impl JournalMode {
    fn word(self) -> &'static str {
        match self {
            JournalMode::Delete => "DELETE",
            JournalMode::Truncate => "TRUNCATE",
            JournalMode::Persist => "PERSIST",
            JournalMode::Memory => "MEMORY",
            JournalMode::Wal => "WAL",
            JournalMode::Off => "OFF",
        }
    }
}

/// Where the database is and how it is opened.
#[derive(Clone, Debug)]
pub struct Location {
    /// The file; made when it does not exist. Its directory must exist.
    pub path: PathBuf,
    /// When to wait for the disk.
    pub synchronous: Synchronous,
    /// How writes are made atomic.
    pub journal_mode: JournalMode,
    /// Whether nobody else may open the database at the same time.
    pub exclusive: bool,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be opened or made.
    #[error("cannot open the database {path}: {why}; the file and its directory must be writable")]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite or the system says.
        why: String,
    },
    /// It is not a database, or a broken one.
    #[error(
        "the database {path} is damaged: {why}; move it away to start anew (files are then read as on a first start)"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        why: String,
    },
    /// Somebody else holds it.
    #[error("the database {path} is locked: another process uses it")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("cannot write the database {path}: {why}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What SQLite or the system says.
        why: String,
    },
}

/// An open database.
#[derive(Debug)]
pub struct Store {
    location: Location,
    connection: Connection,
    /// Device and inode of the database file, to notice when it is taken away.
    file: Option<(u64, u64)>,
    /// Whether all tables exist. They cannot be made on a full disk; what is there can still be read.
    complete: bool,
    ids: HashMap<RowKey, i64>,
    next_key: u64,
    last_write: Option<SystemTime>,
    written_by_others: bool,
}

impl Store {
    /// The same as [`Store::open`], but a damaged database is moved aside and a new one made: gives also where the damaged
    /// one went. What is no database by any sign is left where it is.
    ///
    /// # Errors
    /// As [`Store::open`], or when the damaged file cannot be moved.
    pub fn open_or_replace(location: Location) -> Result<(Store, Option<PathBuf>), Error> {
        match Store::open(location.clone()) {
            Err(Error::Damaged { .. }) if may_be_database(&location.path) => {}
            other => return other.map(|store| (store, None)),
        }
        let moved = move_aside(&location.path).map_err(|error| Error::Open {
            path: location.path.clone(),
            why: format!("it is damaged and cannot be moved aside: {error}"),
        })?;
        Ok((Store::open(location)?, Some(moved)))
    }

    /// Opens the database, or makes it.
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, or is held by somebody else. A full disk is no error yet.
    pub fn open(location: Location) -> Result<Store, Error> {
        let last_write = newest_write(&location.path);
        let mut store = Store {
            connection: connect(&location, last_write.is_none())?,
            file: file_id(&location.path),
            location,
            complete: false,
            ids: HashMap::new(),
            next_key: 1,
            last_write: None,
            written_by_others: true,
        };
        if last_write.is_some() {
            store.look_through(last_write)?;
        }
        match store.complete_tables() {
            Ok(()) => {}
            Err(error) if is_disk_full(&error) && store.last_write.is_some() => return Ok(store),
            Err(error) => return Err(store.open_error(&error)),
        }
        if last_write.is_none() {
            store.written_by_others = false;
            return Ok(store);
        }
        store.written_by_others = store
            .connection
            .query_row(schema::WRITTEN_BY_OTHERS, [], |row| row.get(0))
            .map_err(|error| store.open_error(&error))?;
        // Facts about deleted rows do no harm; a disk that is full must not stop the start for them.
        let _ = store.connection.execute_batch(schema::DELETE_ORPHANS);
        Ok(store)
    }

    /// When the database was written last before it was opened; `None` when this is the first time that it is used.
    pub fn last_write(&self) -> Option<SystemTime> {
        self.last_write
    }

    /// Whether somebody else (Fluent Bit) has written rows since we did, as far as that can be told.
    pub fn written_by_others(&self) -> bool {
        self.written_by_others
    }

    /// All rows, the newest first. The keys are good for [`Changes`].
    ///
    /// # Errors
    /// When the table is not the one that Fluent Bit makes, or cannot be read.
    pub fn load(&mut self) -> Result<Vec<(RowKey, Position)>, Error> {
        let sql = if self.complete {
            schema::LOAD
        } else {
            schema::LOAD_PLAIN
        };
        let rows = self.read_rows(sql).map_err(|e| self.open_error(&e))?;
        let keyed = rows.into_iter().map(|(id, position)| {
            let key = RowKey(self.next_key);
            self.next_key += 1;
            self.ids.insert(key, id);
            (key, position)
        });
        Ok(keyed.collect())
    }

    /// When `instance` last looked for files, if it ever wrote so.
    pub fn scanned(&self, instance: &str) -> Option<SystemTime> {
        let nanos: i64 = self
            .connection
            .query_row(schema::GET_SCAN, [instance], |row| row.get(0))
            .optional()
            .ok()??;
        u64::try_from(nanos)
            .ok()
            .map(|n| UNIX_EPOCH + Duration::from_nanos(n))
    }

    /// A key for a row that does not exist yet, for whoever writes without a [`super::Writer`].
    pub fn new_key(&mut self) -> RowKey {
        let key = RowKey(self.next_key);
        self.next_key += 1;
        key
    }

    /// The first key that no row has.
    pub(super) fn next_key(&self) -> u64 {
        self.next_key
    }

    /// Whether the file that was opened is not at its path any more.
    pub(super) fn is_gone(&self) -> bool {
        self.file.is_some() && self.file != file_id(&self.location.path)
    }

    /// Opens the database anew after it was taken away, perhaps with its directory. It knows no rows then.
    pub(super) fn reopen(&mut self) -> Result<(), Error> {
        if let Some(directory) = self.location.path.parent() {
            // If it cannot be made, opening tells.
            let _ = std::fs::create_dir_all(directory);
        }
        let mut fresh = Store::open(self.location.clone())?;
        fresh.next_key = self.next_key;
        *self = fresh;
        Ok(())
    }

    /// Writes `changes` in one transaction.
    ///
    /// # Errors
    /// When they cannot be written; then nothing of them is.
    pub fn apply(&mut self, changes: &Changes) -> Result<(), Error> {
        self.try_apply(changes).map_err(|error| Error::Write {
            path: self.location.path.clone(),
            why: reason(&error),
        })
    }

    fn try_apply(&mut self, changes: &Changes) -> rusqlite::Result<()> {
        if !self.complete {
            self.complete_tables()?;
        }
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let mut ids = Vec::new();
        for (key, row) in &changes.rows {
            let known = self.ids.get(key).copied();
            match row {
                Some(position) => ids.push((*key, Some(put(&transaction, known, position)?))),
                None => {
                    delete(&transaction, known)?;
                    ids.push((*key, None));
                }
            }
        }
        if let Some((instance, scanned)) = &changes.scan {
            transaction
                .prepare_cached(schema::SET_SCAN)?
                .execute(params![instance, nanos(*scanned)])?;
        }
        transaction.commit()?;
        for (key, id) in ids {
            match id {
                Some(id) => self.ids.insert(key, id),
                None => self.ids.remove(&key),
            };
        }
        Ok(())
    }

    /// Looks whether a database that was there is one, and whether it has been used.
    fn look_through(&mut self, last_write: Option<SystemTime>) -> Result<(), Error> {
        let columns = self.known_columns("in_tail_files")?;
        if columns.iter().any(|name| name == "offset") {
            self.last_write = last_write;
        }
        self.check_whole()
    }

    fn check_whole(&self) -> Result<(), Error> {
        let verdict: rusqlite::Result<String> =
            self.connection
                .query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match verdict {
            Ok(text) if text == "ok" => Ok(()),
            Ok(text) => Err(self.damaged(text)),
            Err(error) => Err(self.open_error(&error)),
        }
    }

    fn known_columns(&self, table: &str) -> Result<Vec<String>, Error> {
        let names = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.connection.prepare(schema::COLUMNS)?;
            statement.query_map([table], |row| row.get(0))?.collect()
        };
        names().map_err(|error| self.open_error(&error))
    }

    fn complete_tables(&mut self) -> rusqlite::Result<()> {
        let transaction = self
            .connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.execute_batch(schema::CREATE)?;
        for of_table in schema::LATER_COLUMNS.chunk_by(|one, next| one.0 == next.0) {
            let known: Vec<String> = transaction
                .prepare_cached(schema::COLUMNS)?
                .query_map([of_table[0].0], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let lacking = of_table
                .iter()
                .filter(|(_, column, _)| !known.iter().any(|name| name == column));
            for (_, _, statement) in lacking {
                transaction.execute_batch(statement)?;
            }
        }
        transaction.commit()?;
        self.complete = true;
        Ok(())
    }

    fn read_rows(&self, sql: &str) -> rusqlite::Result<Vec<(i64, Position)>> {
        let mut statement = self.connection.prepare(sql)?;
        statement
            .query_map([], |row| Ok((row.get(0)?, read_position(row)?)))?
            .collect()
    }

    fn open_error(&self, error: &rusqlite::Error) -> Error {
        open_error(&self.location.path, error)
    }

    fn damaged(&self, why: String) -> Error {
        Error::Damaged {
            path: self.location.path.clone(),
            why,
        }
    }
}

fn connect(location: &Location, is_new: bool) -> Result<Connection, Error> {
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(&location.path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "cache_size", -256)?;
        connection.pragma_update(None, "synchronous", location.synchronous as u32)?;
        if location.exclusive {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        }
        if is_new && location.journal_mode == JournalMode::Wal {
            // There is nothing that a journal of the very first page could bring back, and it is waited for twice.
            connection.pragma_update(None, "journal_mode", JournalMode::Memory.word())?;
        }
        connection.pragma_update(None, "journal_mode", location.journal_mode.word())?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        Ok(connection)
    };
    open().map_err(|error| open_error(&location.path, &error))
}

fn open_error(path: &Path, error: &rusqlite::Error) -> Error {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Damaged {
            path,
            why: reason(error),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Locked { path },
        Some(ErrorCode::Unknown) => Error::Damaged {
            // A statement that does not fit: the table is not the one that it should be.
            path,
            why: reason(error),
        },
        _ => Error::Open {
            path,
            why: reason(error),
        },
    }
}

fn reason(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(text)) => match code.code {
            ErrorCode::CannotOpen => "it cannot be opened or made".to_owned(),
            _ => text.clone(),
        },
        other => other.to_string(),
    }
}

fn is_disk_full(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure)
    )
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether a damaged file is what is left of a database: it begins like one or with zeros, or is named like one.
fn may_be_database(path: &Path) -> bool {
    let mut start = [0; 16];
    let begins_like_one = std::fs::File::open(path)
        .and_then(|mut file| std::io::Read::read(&mut file, &mut start))
        .is_ok_and(|read| start == *b"SQLite format 3\0" || start[..read].iter().all(|&b| b == 0));
    let is_named_like_one = path
        .extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| ["db", "sqlite", "sqlite3", "pos"].contains(&extension));
    begins_like_one || is_named_like_one || beside(path, "-wal").exists()
}

/// Renames a database and what belongs to it.
fn move_aside(path: &Path) -> std::io::Result<PathBuf> {
    let stamp = nanos(SystemTime::now()) / 1_000_000_000;
    let moved = beside(path, &format!(".damaged-{stamp}"));
    std::fs::rename(path, &moved)?;
    for ending in ["-wal", "-shm", "-journal"] {
        match std::fs::rename(beside(path, ending), beside(&moved, ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(moved)
}

/// `path` with `ending` put behind it.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn newest_write(path: &Path) -> Option<SystemTime> {
    [path.to_owned(), beside(path, "-wal")]
        .into_iter()
        .filter_map(|path| std::fs::metadata(path).ok()?.modified().ok())
        .max()
}

#[cfg(test)]
pub(super) mod tests;
