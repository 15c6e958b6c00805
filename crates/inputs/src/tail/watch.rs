//! The kernel's notices that files changed. They only say where to look: nothing depends on one of them arriving.

use std::cell::OnceCell;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Names a watched file or directory.
pub type WatchId = i32;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The content of a file changed.
    Changed(WatchId),
    /// A file was renamed or deleted, or its links or rights changed.
    Moved(WatchId),
    /// Something happened to a name in a directory.
    Entry(WatchId, OsString, Entry),
    /// A directory appeared in a directory.
    Directory(WatchId),
    /// A watch has ended: its file or directory is gone.
    Ended(WatchId),
    /// Notices were lost: anything may have changed.
    Overflow,
}

/// What happened to a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file was made under it.
    Made,
    /// The rights of its file changed.
    Changed,
    /// Its file goes by another name; the number stands in the other half of the move as well.
    MovedFrom(u32),
    /// A file that had another name has this one now.
    MovedTo(u32),
    /// It is gone.
    Removed,
}

/// A set of watched files, and one of watched directories: apart, so that names can be waited for while every line that is
/// appended meanwhile wakes nobody up.
pub struct Watch {
    pub files: Notices,
    pub names: Notices,
}

/// Notices of one kind.
pub struct Notices {
    inotify: Arc<OwnedFd>,
    /// Looked at by the runtime all the time, once somebody has waited for any notice.
    registered: OnceCell<AsyncFd<Arc<OwnedFd>>>,
}

impl Watch {
    /// A watch without files.
    ///
    /// # Errors
    /// When the kernel has no two inotify instances left.
    pub fn new() -> io::Result<Watch> {
        Ok(Watch {
            files: Notices::new()?,
            names: Notices::new()?,
        })
    }

    /// Watches an open file, whatever name it has.
    ///
    /// # Errors
    /// When the user's limit of watches is reached, for instance.
    pub fn add(&self, file: &File) -> io::Result<WatchId> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = WatchFlags::MODIFY
            | WatchFlags::MOVE_SELF
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF;
        Ok(inotify::add_watch(&self.files.inotify, path, flags)?)
    }

    /// Watches the names in a directory.
    ///
    /// # Errors
    /// As [`Watch::add`], or when the directory is gone.
    pub fn add_directory(&self, path: &Path) -> io::Result<WatchId> {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::ATTRIB
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        Ok(inotify::add_watch(&self.names.inotify, path, flags)?)
    }

    /// Watches a file no longer. A watch ends by itself when its file is gone.
    pub fn remove(&self, id: WatchId) {
        let _ = inotify::remove_watch(&self.files.inotify, id);
    }
}

impl Notices {
    fn new() -> io::Result<Notices> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Notices {
            inotify: Arc::new(inotify),
            registered: OnceCell::new(),
        })
    }

    /// Hands every notice that has arrived to `take`.
    pub fn drain(&self, mut take: impl FnMut(Notice)) {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut space);
        while let Ok(event) = reader.next() {
            take(notice(event));
        }
    }

    /// Waits until there is a notice, be it one that came and was taken since this was called last.
    ///
    /// The runtime looks at the descriptor from then on: for notices that are few.
    pub async fn any_notice(&self) {
        let registered = match self.registered.get() {
            Some(registered) => registered,
            None => {
                let inotify = Arc::clone(&self.inotify);
                // SAFETY: the descriptor is open and stays the same one as long as somebody holds it.
                match unsafe { AsyncFd::register_with_interest(inotify, Interest::READABLE) } {
                    Ok(new) => self.registered.get_or_init(|| new),
                    // Without it, files are looked at when their time comes.
                    Err(_) => return std::future::pending().await,
                }
            }
        };
        if let Ok(mut ready) = registered.readable().await {
            // Whoever waited takes all that there are.
            ready.clear_ready();
        }
    }

    /// Waits until there is a notice.
    ///
    /// The runtime looks at the descriptor only meanwhile: else every appended line would wake it up.
    pub async fn notice(&self) {
        let descriptor = self.inotify.as_fd();
        // SAFETY: the descriptor is borrowed from `self`, which outlives this future and keeps it open.
        let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        match watched {
            Ok(watched) => drop(watched.readable().await),
            // Without it, files are looked at when their time comes.
            Err(_) => std::future::pending().await,
        }
    }
}

fn notice(event: inotify::Event<'_>) -> Notice {
    let (id, flags, cookie) = (event.wd(), event.events(), event.cookie());
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Notice::Overflow;
    }
    if flags.contains(ReadFlags::IGNORED) {
        return Notice::Ended(id);
    }
    let Some(name) = event.file_name() else {
        return match flags.contains(ReadFlags::MODIFY) {
            true => Notice::Changed(id),
            false => Notice::Moved(id),
        };
    };
    let appears = flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO);
    if flags.contains(ReadFlags::ISDIR) && appears {
        return Notice::Directory(id);
    }
    let entry = if flags.contains(ReadFlags::CREATE) {
        Entry::Made
    } else if flags.contains(ReadFlags::MOVED_TO) {
        Entry::MovedTo(cookie)
    } else if flags.contains(ReadFlags::MOVED_FROM) {
        Entry::MovedFrom(cookie)
    } else if flags.contains(ReadFlags::DELETE) {
        Entry::Removed
    } else {
        Entry::Changed
    };
    Notice::Entry(id, OsString::from_vec(name.to_bytes().to_vec()), entry)
}
