//! `Log_File`: the router's messages in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use config::ServiceOptions;
use plugin::{Level, Log, LogSink};

/// Appends messages to a file, never rotating it.
pub struct LogFile(Mutex<File>);

impl LogFile {
    /// Sends all messages to the configured file from now on. One that was moved away is made anew.
    pub fn install(service: &ServiceOptions) {
        let Some(path) = &service.log_file else {
            return;
        };
        match LogFile::open(path) {
            Ok(file) => Log::install(file),
            Err(error) => eprintln!(
                "flumen: cannot write the log file {}: {error}",
                path.display()
            ),
        }
    }

    /// Opens `path`, or says why it cannot be written.
    pub fn open(path: &Path) -> io::Result<LogFile> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(LogFile(Mutex::new(file)))
    }
}

impl LogSink for LogFile {
    fn write(&self, _: Level, line: &str) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if writeln!(file, "{line}").is_err() {
            // A full disk must not silence the router.
            eprintln!("{line}");
        }
    }
}
