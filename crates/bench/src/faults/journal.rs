//! A writer of a log file that keeps account of it: every complete line in it has to arrive.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::line::{Kind, Lines, Wrap};
use crate::report::Sent;

/// Lines that are due together go out in one write.
const TICK: Duration = Duration::from_millis(10);

/// A log file and its writer.
pub struct Journal {
    path: PathBuf,
    file: File,
    lines: Lines,
    writer: u32,
    bytes: u64,
    /// The rest of a line whose beginning is in the file.
    rest: Vec<u8>,
}

/// How lines look.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// What kind of application writes.
    pub kind: Kind,
    /// How lines are stored.
    pub wrap: Wrap,
    /// Bytes of a plain line.
    pub size: usize,
}

impl Style {
    /// NGINX's access log as Docker stores it, which is what the post's configuration reads.
    pub const POST: Style = Style {
        kind: Kind::Nginx,
        wrap: Wrap::Docker,
        size: 0,
    };

    /// Plain lines of `size` bytes, whose ends are alike.
    pub const fn plain(size: usize) -> Style {
        Style {
            kind: Kind::Plain,
            wrap: Wrap::None,
            size,
        }
    }
}

impl Journal {
    /// Opens a file, which is made if it is missing.
    pub fn open(path: PathBuf, style: Style) -> io::Result<Journal> {
        let writer = fastrand::u32(..);
        Ok(Journal {
            file: append_to(&path)?,
            path,
            lines: Lines::new(style.kind, style.wrap, style.size, writer),
            writer,
            bytes: 0,
            rest: Vec::new(),
        })
    }

    /// What has to arrive.
    pub fn sent(&self) -> Sent {
        let lines = self.lines.made() - u64::from(!self.rest.is_empty());
        Sent {
            writers: [(self.writer, lines)].into(),
            lines,
            bytes: self.bytes,
            ..Sent::default()
        }
    }

    /// Appends lines in one write.
    pub fn write(&mut self, count: u64) -> io::Result<()> {
        let mut text = std::mem::take(&mut self.rest);
        for _ in 0..count {
            self.lines.push(&mut text);
        }
        self.bytes += text.len() as u64;
        self.file.write_all(&text)
    }

    /// Appends `rate` lines a second for so long.
    pub fn write_for(&mut self, duration: Duration, rate: u64) -> io::Result<()> {
        let start = Instant::now();
        let mut done = 0;
        loop {
            let elapsed = start.elapsed().min(duration);
            let due = (elapsed.as_secs_f64() * rate as f64) as u64;
            if due > done {
                self.write(due - done)?;
                done = due;
            }
            if elapsed == duration {
                return Ok(());
            }
            std::thread::sleep(TICK.min(duration - elapsed));
        }
    }

    /// Appends the beginning of a line; the next write ends it.
    pub fn write_beginning(&mut self) -> io::Result<()> {
        let mut text = std::mem::take(&mut self.rest);
        let start = text.len();
        self.lines.push(&mut text);
        self.rest = text.split_off(start + (text.len() - start) / 2);
        self.file.write_all(&text)
    }

    /// Appends text that is no line of the account.
    pub fn write_foreign(&mut self, text: &[u8]) -> io::Result<()> {
        self.file.write_all(text)
    }

    /// Waits until the disk has it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Renames it to `FILE.1`, older ones to the next number, and begins a new one; keeps `keep` old ones.
    pub fn rotate(&mut self, keep: u32) -> io::Result<()> {
        for number in (1..keep).rev() {
            for end in ["", ".gz"] {
                let (from, to) = (self.rotated(number, end), self.rotated(number + 1, end));
                match fs::rename(from, to) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        fs::rename(&self.path, self.rotated(1, ""))?;
        self.file = append_to(&self.path)?;
        Ok(())
    }

    /// Copies it to `FILE.1` and empties it.
    pub fn copy_and_truncate(&mut self) -> io::Result<()> {
        fs::copy(&self.path, self.rotated(1, ""))?;
        self.file.set_len(0)
    }

    /// Empties it.
    pub fn truncate(&mut self) -> io::Result<()> {
        self.file.set_len(0)
    }

    /// Removes it and begins a new one.
    pub fn unlink(&mut self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        self.file = append_to(&self.path)?;
        Ok(())
    }

    /// Removes it and begins a new one with the same inode, if the file system gives that number out again.
    pub fn unlink_and_reuse_inode(&mut self) -> io::Result<bool> {
        const ATTEMPTS: u32 = 500;
        let old = inode(&self.file)?;
        // Nobody may hold the old file for its number to become free.
        self.file = File::open("/dev/null")?;
        fs::remove_file(&self.path)?;
        let mut others = Vec::new();
        for attempt in 0..ATTEMPTS {
            let file = append_to(&self.path)?;
            if inode(&file)? == old {
                self.file = file;
                others.iter().try_for_each(fs::remove_file)?;
                return Ok(true);
            }
            // The name moves on with the wrong number, which thereby stays taken.
            let other = self.path.with_extension(format!("other{attempt}"));
            fs::rename(&self.path, &other)?;
            others.push(other);
            // A running router lets go of the old file only after a while.
            std::thread::sleep(TICK);
        }
        others.iter().try_for_each(fs::remove_file)?;
        self.file = append_to(&self.path)?;
        Ok(false)
    }

    /// Packs `FILE.number` as logrotate does, if it is there.
    pub fn compress(&self, number: u32) -> io::Result<()> {
        let (plain, packed) = (self.rotated(number, ""), self.rotated(number, ".gz"));
        let text = match fs::read(&plain) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            text => text?,
        };
        let mut encoder = GzEncoder::new(File::create(packed)?, Compression::fast());
        encoder.write_all(&text)?;
        encoder.finish()?;
        fs::remove_file(plain)
    }

    fn rotated(&self, number: u32, end: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}{end}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn inode(file: &File) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(file.metadata()?.ino())
}

/// What several writers have written.
pub fn all(parts: &[Sent]) -> Sent {
    let mut all = Sent::default();
    for part in parts {
        all.writers.extend(&part.writers);
        all.lines += part.lines;
        all.bytes += part.bytes;
        all.resent += part.resent;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tally;
    use crate::scan;
    use crate::tally::Verdict;

    fn journal(folder: &Path) -> Journal {
        Journal::open(folder.join("app.log"), Style::POST).unwrap()
    }

    /// What is in the files of a folder.
    fn found(folder: &Path) -> Tally {
        let mut tally = Tally::default();
        for entry in fs::read_dir(folder).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            scan::document(&bytes, |mark| tally.add(mark, Verdict::Given)).unwrap();
        }
        tally
    }

    #[test]
    fn rotation_keeps_every_line_that_it_says_it_keeps() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        for _ in 0..4 {
            journal.write(10).unwrap();
            journal.rotate(10).unwrap();
            journal.compress(2).unwrap();
        }
        journal.write(5).unwrap();
        let report = found(folder.path()).report(Some(&journal.sent()));
        assert!(report.is_clean() && report.received == 45, "{report:?}");
        assert!(folder.path().join("app.log.4.gz").exists());
        assert!(folder.path().join("app.log.1").exists());
    }

    #[test]
    fn an_unfinished_line_is_not_owed() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        journal.write(2).unwrap();
        journal.write_beginning().unwrap();
        assert_eq!(journal.sent().lines, 2);
        journal.write(1).unwrap();
        assert_eq!(journal.sent().lines, 4);
        let text = fs::read_to_string(&journal.path).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert!(
            found(folder.path())
                .report(Some(&journal.sent()))
                .is_clean()
        );
    }

    #[test]
    fn truncation_empties_the_file_and_a_copy_keeps_what_was_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = journal(folder.path());
        journal.write(3).unwrap();
        journal.copy_and_truncate().unwrap();
        journal.write(1).unwrap();
        let report = found(folder.path()).report(Some(&journal.sent()));
        assert!(report.is_clean() && report.received == 4, "{report:?}");
        journal.truncate().unwrap();
        assert_eq!(fs::metadata(&journal.path).unwrap().len(), 0);
    }
}
