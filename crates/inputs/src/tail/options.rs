//! What a `tail` section can say.

use std::path::PathBuf;
use std::time::Duration;

use buffer::positions::{JournalMode, Location, Synchronous};
use config::{
    CommaList, Diagnostic, Form, FromText, Parsed, Refusal, Seconds, SectionReader, Size,
};

/// Follows log files: reads what they hold, then what is appended to them, over rotation and restarts.
///
/// Each line becomes a record; a line that is not finished yet waits. With a `db`, positions survive the process: they
/// are the delivered part of each file, so that nothing is lost and, after an orderly stop, nothing comes twice.
#[derive(Clone, Debug, config::Options)]
#[options(check = check)]
#[allow(dead_code, reason = "some options are read so that they are known")]
pub struct Options {
    /// Patterns of the files to follow, as shells write them (`*`, `?`, `[abc]`; `~` for a home directory). `*` does not
    /// stand for `/`. Only regular files are read; symbolic links are followed.
    #[option(name = "path", required)]
    pub path: CommaList,
    /// Patterns of files to leave out. They are compared with the whole path as `path` found it, and `*` does stand for
    /// `/` here: `*.gz` leaves out every compressed file.
    #[option(name = "exclude_path")]
    pub exclude_path: Option<CommaList>,
    /// The field that holds a line that no parser took apart.
    #[option(name = "key", default = "log")]
    pub key: String,
    /// Whether files that are there on the first start are read from their beginning rather than from their end. With a
    /// `db` that knows earlier runs, a file that it does not know is read from its beginning if it was made or changed since.
    #[option(name = "read_from_head", default = "false")]
    pub read_from_head: bool,
    /// The same for files that appear while the router runs. What takes the place of a rotated file is always read from
    /// its beginning.
    #[option(name = "read_newly_discovered_files_from_head", default = "true")]
    pub read_newly_discovered_files_from_head: bool,
    /// How often the patterns are looked up again.
    #[option(name = "refresh_interval", default = "60")]
    pub refresh_interval: Interval,
    /// How often it is checked whether a path still leads to the file that is followed, besides the kernel's notices.
    #[option(name = "watcher_interval", default = "2s")]
    pub watcher_interval: Seconds,
    /// How often every file is looked at, whether or not the kernel gave notice of a change.
    #[option(name = "progress_check_interval", default = "2s")]
    pub progress_check_interval: Seconds,
    /// Nanoseconds to be added to `progress_check_interval`.
    #[option(name = "progress_check_interval_nsec", default = "0")]
    pub progress_check_interval_nsec: i64,
    /// For how long nothing must have come from a rotated or deleted file before it is closed. It is never closed before
    /// everything in it is read and delivered.
    #[option(name = "rotate_wait", default = "5")]
    pub rotate_wait: Seconds,
    /// Adds a field of this name with the path of the file.
    #[option(name = "path_key")]
    pub path_key: Option<String>,
    /// Adds a field of this name with the position of the line in the file, in bytes.
    #[option(name = "offset_key")]
    pub offset_key: Option<String>,
    /// Leaves out files that were not changed for so long. When they are, they are read from where they ended. 0 is never.
    #[option(name = "ignore_older", default = "0")]
    pub ignore_older: Seconds,
    /// Whether a file that is followed is left, too, when it was not changed for `ignore_older`.
    #[option(name = "ignore_active_older_files", default = "false")]
    pub ignore_active_older_files: bool,
    /// Accepted; how much is read at once is decided by what the file holds and what the memory limit allows.
    #[option(name = "buffer_chunk_size", default = "32768")]
    pub buffer_chunk_size: Size,
    /// A line of this many bytes less one, or more, is a long line: see `skip_long_lines` and `truncate_long_lines`.
    #[option(name = "buffer_max_size", default = "32768")]
    pub buffer_max_size: Size,
    /// Accepted; files take turns after each piece that is read.
    #[option(name = "static_batch_size", default = "50M")]
    pub static_batch_size: Size,
    /// Accepted; files take turns after each piece that is read.
    #[option(name = "event_batch_size", default = "50M")]
    pub event_batch_size: Size,
    /// Drops long lines, and counts them. Without it and without `truncate_long_lines` a long line is kept: whole up to a
    /// million bytes (or `buffer_max_size`, if that is more), beyond that in several records.
    #[option(name = "skip_long_lines", default = "false")]
    pub skip_long_lines: bool,
    /// Keeps the first `buffer_max_size` bytes less one of a long line, cut between characters, and drops the rest of it.
    /// Wins over `skip_long_lines`.
    #[option(name = "truncate_long_lines", default = "false")]
    pub truncate_long_lines: bool,
    /// Leaves out lines without a character.
    #[option(name = "skip_empty_lines", default = "false")]
    pub skip_empty_lines: bool,
    /// Ends the process when the files that were there at the start are read to their end and delivered.
    #[option(name = "exit_on_eof", default = "false")]
    pub exit_on_eof: bool,
    /// Tells the kernel not to keep what was read in its page cache.
    #[option(name = "file_cache_advise", default = "true")]
    pub file_cache_advise: bool,
    /// Uses the kernel's notices of changes; without it files are looked at several times a second.
    #[option(name = "inotify_watcher", default = "true")]
    pub inotify_watcher: bool,
    /// The parser that takes lines apart. A line that it rejects is kept whole.
    #[option(name = "parser")]
    pub parser: Option<String>,
    /// A pattern with named groups, searched in the path; in the tag, `<name>` stands for what a group matched. A file whose
    /// path does not match is not read.
    #[option(name = "tag_regex")]
    pub tag_regex: Option<String>,
    #[option(flatten)]
    pub database: Database,
    #[option(flatten)]
    pub multiline: super::multiline::Options,
    #[option(flatten)]
    pub unsupported: Unsupported,
}

/// Where positions are kept.
#[derive(Clone, Debug, config::Options)]
pub struct Database {
    /// The SQLite database of positions. Fluent Bit's can be taken over, and it can take over ours.
    #[option(name = "db")]
    pub path: Option<PathBuf>,
    /// When the database waits for the disk.
    #[option(name = "db.sync", default = "normal", bad_value = "default")]
    pub sync: Sync,
    /// Whether nobody else may open the database while the router runs.
    #[option(name = "db.locking", default = "false")]
    pub locking: bool,
    /// How the database makes a write whole.
    #[option(name = "db.journal_mode", default = "WAL")]
    pub journal_mode: Journal,
    /// Whether a position counts only if the file still has the name under which it was written.
    #[option(name = "db.compare_filename", default = "false")]
    pub compare_filename: bool,
}

/// Options of Fluent Bit that are known and not supported yet: each refuses to start rather than to read lines wrongly.
#[derive(Clone, Debug, config::Options)]
#[allow(dead_code, reason = "some options are read so that they are known")]
pub struct Unsupported {
    /// Not supported yet. `auto`, `UTF-16LE` or `UTF-16BE`.
    #[option(name = "unicode.encoding")]
    unicode_encoding: Option<String>,
    /// Not supported yet. An encoding such as `ShiftJIS`.
    #[option(name = "generic.encoding")]
    generic_encoding: Option<String>,
}

/// `db.sync`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, config::Choice)]
pub enum Sync {
    /// At every write, and for the directory.
    Extra,
    /// At every write.
    Full,
    /// At the moments that keep the database whole.
    Normal,
    /// Never.
    Off,
}

/// `db.journal_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, config::Choice)]
pub enum Journal {
    /// A journal that is deleted after each write.
    Delete,
    /// A journal that is truncated after each write.
    Truncate,
    /// A journal whose header is overwritten after each write.
    Persist,
    /// A journal in memory.
    Memory,
    /// A write-ahead log.
    Wal,
    /// No journal.
    Off,
}

/// A time in seconds, with nanoseconds as a whole number behind a dot: `0.5` is five nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Duration);

/// The smallest interval that is kept to. Anything below would only burn the processor.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

impl FromText for Interval {
    const FORM: Form = Form::new(
        "interval",
        "whole seconds, or `seconds.nanoseconds` with the nanoseconds as a whole number; not 0",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let (seconds, nanos) = match text.split_once('.') {
            Some((seconds, nanos)) => (leading_number(seconds), leading_number(nanos)),
            None => (leading_number(text), Some(0)),
        };
        let (Some(seconds), Some(nanos)) = (seconds, nanos) else {
            return Err(format!("'{text}' is not an interval").into());
        };
        let interval = Duration::from_secs(seconds) + Duration::from_nanos(nanos);
        if interval.is_zero() {
            return Err("the interval must not be 0".into());
        }
        if interval <= Duration::from_millis(1) {
            let why = format!("'{text}' is {interval:?}; {INTERVAL_MIN:?} is used");
            return Ok(Parsed::doubtful(Interval(INTERVAL_MIN), why));
        }
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let interval = Interval(interval.max(INTERVAL_MIN));
        match unit {
            "" | "s" | "S" => Ok(interval.into()),
            _ => Ok(Parsed::doubtful(
                interval,
                format!("'{text}' is read as {seconds} seconds"),
            )),
        }
    }
}

fn leading_number(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text[..digits].parse().ok()
}

/// What does not go together, or does not work yet.
fn check(options: Options, reader: &mut SectionReader<'_>) -> Option<Options> {
    let mut refuse = |key: &str, message: &str, help: &str| {
        let section = reader.section();
        let position = section
            .entry(key)
            .map_or(&section.position, |entry| &entry.value.position);
        reader.push(Diagnostic::start_error(position, message).with_help(help));
    };
    let mut good = true;
    if options.path.0.is_empty() {
        refuse(
            "path",
            "'path' names no file",
            "a pattern such as /var/log/*.log",
        );
        good = false;
    }
    if options.rotate_wait.0.is_zero() {
        refuse(
            "rotate_wait",
            "'rotate_wait' must not be 0",
            "seconds; 5 unless set",
        );
        good = false;
    }
    if options.buffer_max_size < options.buffer_chunk_size {
        refuse(
            "buffer_max_size",
            "'buffer_max_size' must not be below 'buffer_chunk_size'",
            "both are 32768 bytes unless set; K, M, G are powers of 1000",
        );
        good = false;
    }
    for key in options.unsupported.used() {
        let message = format!("'{key}' is not supported yet");
        refuse(
            key,
            &message,
            "without it, every line is a record of its own",
        );
        good = false;
    }
    good.then_some(options)
}

impl Unsupported {
    /// The keys that change what is read.
    fn used(&self) -> Vec<&'static str> {
        [
            ("unicode.encoding", self.unicode_encoding.is_some()),
            ("generic.encoding", self.generic_encoding.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, used)| used.then_some(key))
        .collect()
    }
}

impl Database {
    /// Where the database is, if there is one.
    pub fn location(&self) -> Option<Location> {
        let path = self.path.clone()?;
        Some(Location {
            path,
            synchronous: match self.sync {
                Sync::Extra => Synchronous::Extra,
                Sync::Full => Synchronous::Full,
                Sync::Normal => Synchronous::Normal,
                Sync::Off => Synchronous::Off,
            },
            journal_mode: match self.journal_mode {
                Journal::Delete => JournalMode::Delete,
                Journal::Truncate => JournalMode::Truncate,
                Journal::Persist => JournalMode::Persist,
                Journal::Memory => JournalMode::Memory,
                Journal::Wal => JournalMode::Wal,
                Journal::Off => JournalMode::Off,
            },
            exclusive: self.locking,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_count_nanoseconds_behind_the_dot() {
        let ms = Duration::from_millis;
        for (text, interval, warns) in [
            ("60", ms(60_000), false),
            ("10s", ms(10_000), false),
            ("0.500000000", ms(500), false),
            ("1.5", Duration::new(1, 5), false),
            ("0.5", INTERVAL_MIN, true),
            ("10m", ms(10_000), true),
        ] {
            let parsed = Interval::from_text(text).expect(text);
            assert_eq!(parsed.value, Interval(interval), "{text}");
            assert_eq!(
                parsed.warning.is_some(),
                warns,
                "{text}: {:?}",
                parsed.warning
            );
        }
        for text in ["0", "0.0", "", "abc", "-1", "1."] {
            assert!(Interval::from_text(text).is_err(), "{text}");
        }
    }
}
