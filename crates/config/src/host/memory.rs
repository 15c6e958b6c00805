//! A machine that exists only in a test.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Cursor};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::{FileIdentity, Host};

/// `ENOENT`, so that messages read as on a real machine.
const NO_SUCH_FILE: i32 = 2;

/// Files and variables in memory. The current directory is `/`.
#[derive(Debug, Clone, Default)]
pub struct MemoryHost {
    files: BTreeMap<PathBuf, Stored>,
    variables: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct Stored {
    inode: u64,
    content: Arc<[u8]>,
}

impl MemoryHost {
    /// No file and no variable.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with a file.
    #[must_use]
    pub fn with_file(mut self, path: impl AsRef<Path>, content: impl AsRef<[u8]>) -> Self {
        let inode = self.files.len() as u64 + 1;
        self.files.insert(
            absolute(path.as_ref()),
            Stored {
                inode,
                content: content.as_ref().into(),
            },
        );
        self
    }

    /// The same with a second name for a file that is there already.
    #[must_use]
    pub fn with_link(mut self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> Self {
        if let Some(stored) = self.files.get(&absolute(target.as_ref())).cloned() {
            self.files.insert(absolute(path.as_ref()), stored);
        }
        self
    }

    /// The same with an environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    fn stored(&self, path: &Path) -> io::Result<&Stored> {
        self.files
            .get(&absolute(path))
            .ok_or_else(|| io::Error::from_raw_os_error(NO_SUCH_FILE))
    }
}

/// The path from the root, without `.` and `..`.
fn absolute(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    result
}

impl Host for MemoryHost {
    fn open(&self, path: &Path) -> io::Result<Box<dyn BufRead>> {
        Ok(Box::new(Cursor::new(Arc::clone(
            &self.stored(path)?.content,
        ))))
    }

    fn identity(&self, path: &Path) -> io::Result<FileIdentity> {
        Ok(FileIdentity {
            device: 0,
            inode: self.stored(path)?.inode,
        })
    }

    fn real_folder(&self, path: &Path) -> io::Result<PathBuf> {
        self.stored(path)?;
        Ok(absolute(path)
            .parent()
            .map_or_else(|| PathBuf::from("/"), Path::to_path_buf))
    }

    fn glob(&self, pattern: &Path) -> Vec<PathBuf> {
        let Some(Ok(matcher)) = absolute(pattern).to_str().map(glob::Pattern::new) else {
            return Vec::new();
        };
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        self.files
            .keys()
            .filter(|path| matcher.matches_path_with(path, options))
            .cloned()
            .collect()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables
            .get(name)
            .filter(|value| !value.is_empty())
            .cloned()
    }
}
