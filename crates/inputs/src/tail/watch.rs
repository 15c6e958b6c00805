//! The kernel's notices that files changed. They only say where to look: nothing depends on one of them arriving.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Names a watched file or directory.
pub type WatchId = i32;

/// A notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The content of a file changed.
    Changed(WatchId),
    /// A file was renamed or deleted, or its links or rights changed.
    Moved(WatchId),
    /// Something appeared in a directory.
    Appeared(WatchId),
    /// Notices were lost: anything may have changed.
    Overflow,
}

/// A set of watched files and directories.
pub struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    /// A watch without files.
    ///
    /// # Errors
    /// When the kernel has no inotify instance left.
    pub fn new() -> io::Result<Watch> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Watch { inotify })
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
        Ok(inotify::add_watch(&self.inotify, path, flags)?)
    }

    /// Watches what appears in a directory.
    ///
    /// # Errors
    /// As [`Watch::add`], or when the directory is gone.
    pub fn add_directory(&self, path: &Path) -> io::Result<WatchId> {
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        Ok(inotify::add_watch(&self.inotify, path, flags)?)
    }

    /// Watches no longer. A watch ends by itself when its file is gone.
    pub fn remove(&self, id: WatchId) {
        let _ = inotify::remove_watch(&self.inotify, id);
    }

    /// Hands every notice that has arrived to `take`.
    pub fn drain(&self, mut take: impl FnMut(Notice)) {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut space);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                take(Notice::Overflow);
            } else if flags.intersects(ReadFlags::CREATE | ReadFlags::MOVED_TO) {
                take(Notice::Appeared(event.wd()));
            } else if flags.contains(ReadFlags::MODIFY) {
                take(Notice::Changed(event.wd()));
            } else if !flags.contains(ReadFlags::IGNORED) {
                take(Notice::Moved(event.wd()));
            }
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
