//! The SQL of the tables. The first one is Fluent Bit's (`plugins/in_tail/tail_sql.h`) and must stay what it creates.

/// Creates what is missing.
pub const CREATE: &str = "
CREATE TABLE IF NOT EXISTS in_tail_files (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  offset INTEGER,
  inode INTEGER,
  created INTEGER,
  rotated INTEGER DEFAULT 0,
  offset_marker INTEGER DEFAULT 0,
  offset_marker_size INTEGER DEFAULT 0
);
CREATE TABLE IF NOT EXISTS flumen_tail_files (
  id INTEGER PRIMARY KEY,
  inode INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  offset_marker INTEGER NOT NULL,
  origin TEXT NOT NULL,
  path TEXT NOT NULL,
  device INTEGER NOT NULL,
  birth INTEGER,
  head INTEGER NOT NULL,
  head_size INTEGER NOT NULL,
  delivered TEXT NOT NULL,
  tail INTEGER NOT NULL DEFAULT 0,
  tail_size INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL DEFAULT 0,
  source BLOB
);
CREATE TABLE IF NOT EXISTS flumen_tail_scans (
  instance TEXT PRIMARY KEY,
  scanned INTEGER NOT NULL
) WITHOUT ROWID;
";

/// What databases of older versions lack: table, column, and the statement that adds it.
pub const LATER_COLUMNS: &[(&str, &str, &str)] = &[
    (
        "in_tail_files",
        "offset_marker",
        "ALTER TABLE in_tail_files ADD COLUMN offset_marker INTEGER DEFAULT 0",
    ),
    (
        "in_tail_files",
        "offset_marker_size",
        "ALTER TABLE in_tail_files ADD COLUMN offset_marker_size INTEGER DEFAULT 0",
    ),
    (
        "flumen_tail_files",
        "tail",
        "ALTER TABLE flumen_tail_files ADD COLUMN tail INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "flumen_tail_files",
        "tail_size",
        "ALTER TABLE flumen_tail_files ADD COLUMN tail_size INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "flumen_tail_files",
        "generation",
        "ALTER TABLE flumen_tail_files ADD COLUMN generation INTEGER NOT NULL DEFAULT 0",
    ),
    (
        "flumen_tail_files",
        "source",
        "ALTER TABLE flumen_tail_files ADD COLUMN source BLOB",
    ),
];

/// The columns of a table.
pub const COLUMNS: &str = "SELECT name FROM pragma_table_info(?1)";

/// All rows, the newest first, each with our facts if they are about the same state.
pub const LOAD: &str = "
SELECT f.id, f.name, f.offset, f.inode, f.rotated, f.offset_marker, f.offset_marker_size,
       s.origin, s.path, s.device, s.birth, s.head, s.head_size, s.delivered, s.tail, s.tail_size,
       s.generation, s.source
FROM in_tail_files f
LEFT JOIN flumen_tail_files s
  ON s.id = f.id AND s.inode = f.inode AND s.offset = f.offset AND s.offset_marker = f.offset_marker
ORDER BY f.id DESC";

/// The same from a database that has neither our tables nor the later columns.
pub const LOAD_PLAIN: &str = "
SELECT id, name, offset, inode, rotated, 0, 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM in_tail_files ORDER BY id DESC";

/// Whether somebody else has written since: a row that our facts do not fit, or facts whose row is gone.
pub const WRITTEN_BY_OTHERS: &str = "
SELECT EXISTS (
  SELECT 1 FROM in_tail_files f
  LEFT JOIN flumen_tail_files s
    ON s.id = f.id AND s.inode = f.inode AND s.offset = f.offset AND s.offset_marker = f.offset_marker
  WHERE s.id IS NULL
) OR EXISTS (SELECT 1 FROM flumen_tail_files WHERE id NOT IN (SELECT id FROM in_tail_files))";

/// Facts whose row Fluent Bit has deleted.
pub const DELETE_ORPHANS: &str =
    "DELETE FROM flumen_tail_files WHERE id NOT IN (SELECT id FROM in_tail_files)";

pub const UPDATE: &str = "
UPDATE in_tail_files SET name = ?2, offset = ?3, inode = ?4, rotated = ?5, offset_marker = ?6, offset_marker_size = ?7
WHERE id = ?1";

pub const INSERT: &str = "
INSERT INTO in_tail_files (name, offset, inode, rotated, offset_marker, offset_marker_size, created)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

pub const SET_FACTS: &str = "
INSERT OR REPLACE INTO flumen_tail_files
  (id, inode, offset, offset_marker, origin, path, device, birth, head, head_size, delivered, tail, tail_size,
   generation, source)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

pub const DELETE: &str = "DELETE FROM in_tail_files WHERE id = ?1";

pub const DELETE_FACTS: &str = "DELETE FROM flumen_tail_files WHERE id = ?1";

pub const SET_SCAN: &str =
    "INSERT OR REPLACE INTO flumen_tail_scans (instance, scanned) VALUES (?1, ?2)";

pub const GET_SCAN: &str = "SELECT scanned FROM flumen_tail_scans WHERE instance = ?1";
