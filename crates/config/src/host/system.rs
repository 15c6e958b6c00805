//! The machine we run on.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{FileIdentity, Host};

/// The file system and the environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemHost;

impl Host for SystemHost {
    fn open(&self, path: &Path) -> io::Result<Box<dyn BufRead>> {
        Ok(Box::new(BufReader::new(File::open(path)?)))
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        let metadata = std::fs::metadata(path)?;
        Ok(FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }

    fn real_folder(&self, path: &Path) -> io::Result<PathBuf> {
        let real = path.canonicalize()?;
        Ok(real
            .parent()
            .map_or_else(|| PathBuf::from("/"), Path::to_path_buf))
    }

    fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let Some(pattern) = pattern.to_str() else {
            return Vec::new();
        };
        // A leading dot has to be written out, as for the shell.
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        glob::glob_with(pattern, options)
            .map(|paths| paths.filter_map(Result::ok).collect())
            .unwrap_or_default()
    }

    fn variable(&self, name: &str) -> Option<String> {
        // The system's own functions reject, or even panic on, names that no variable can have.
        if name.is_empty() || name.contains(['=', '\0']) {
            return None;
        }
        match std::env::var(name) {
            Ok(value) if !value.is_empty() => Some(value),
            Err(std::env::VarError::NotPresent) if name == "HOSTNAME" => rustix::system::uname()
                .nodename()
                .to_str()
                .ok()
                .map(str::to_owned),
            _ => None,
        }
    }
}
