//! The one memory limit of the process, and how it is shared.
//!
//! What is counted: the bytes of records from before they are read until they are answered for, and the bodies of requests
//! from when they are finished until they are done with: three ninths and two. The other four are for what stands beside every
//! record and request (fields, obligations, open requests, what the allocator keeps), and a fixed part is for the program.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use record::Budget;

/// The limit when nothing else sets one.
const USUAL: usize = 64 << 20;
/// What the program takes without any record.
const PROGRAM: usize = 16 << 20;
/// No share is smaller: below, the router would only wait.
const SHARE_MIN: usize = 1 << 20;
/// The least that the limit can be: below, shares no longer shrink with it.
pub const LIMIT_MIN: usize = PROGRAM + 3 * SHARE_MIN;

/// The shares of the limit.
#[derive(Clone, Debug)]
pub struct Memory {
    /// For records between reading and their answers.
    pub records: Arc<Budget>,
    /// For the bodies of finished requests.
    pub bodies: Arc<Budget>,
    /// What the whole process may take, in bytes.
    pub limit: usize,
}

impl Memory {
    /// Shares of `limit` bytes for the whole process; without one, of 64 MiB, or of three quarters of what the process's
    /// control groups allow if that is less.
    pub fn new(limit: Option<usize>) -> Memory {
        let limit = limit.unwrap_or_else(|| {
            let allowed =
                allowed_by_groups(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
            allowed.map_or(USUAL, |allowed| USUAL.min(allowed / 4 * 3))
        });
        let share = (limit.saturating_sub(PROGRAM) / 3).max(SHARE_MIN);
        Memory {
            records: Budget::new(share),
            bodies: Budget::new((share / 3 * 2).max(SHARE_MIN)),
            limit,
        }
    }
}

/// The smallest limit of the control groups that the process is in, of version 1 or 2, up to the root.
fn allowed_by_groups(list: &Path, mount: &Path) -> Option<usize> {
    let list = std::fs::read_to_string(list).ok()?;
    list.lines()
        .filter_map(|line| group_limit(line, mount))
        .min()
}

/// The smallest limit on the way from the group of a line (`ID:CONTROLLERS:PATH`) to the root of its hierarchy.
fn group_limit(line: &str, mount: &Path) -> Option<usize> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (root, file) = match controllers {
        "" => (mount.to_owned(), "memory.max"),
        list if list.split(',').any(|name| name == "memory") => {
            (mount.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let mut folder = Some(PathBuf::from(path.trim_start_matches('/')));
    let mut least = None;
    while let Some(group) = folder {
        // Inside a container the path may be the host's, which does not exist here; the root is the container's own then.
        let text = std::fs::read_to_string(root.join(&group).join(file)).unwrap_or_default();
        if let Ok(limit) = text.trim().parse::<u64>() {
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            least = Some(least.map_or(limit, |least: usize| least.min(limit)));
        }
        folder = group.parent().map(Path::to_owned);
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        std::fs::write(path, text).expect("written");
    }

    #[test]
    fn the_smallest_limit_of_all_groups_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let (list, mount) = (folder.path().join("list"), folder.path().join("mount"));
        assert_eq!(allowed_by_groups(&list, &mount), None);
        write(&list, "0::/kubepods/pod7/router\n");
        write(&mount.join("kubepods/pod7/router/memory.max"), "max\n");
        write(&mount.join("kubepods/pod7/memory.max"), "134217728\n");
        write(&mount.join("kubepods/memory.max"), "8589934592\n");
        assert_eq!(allowed_by_groups(&list, &mount), Some(128 << 20));
        write(&list, "5:cpu,memory:/docker/ab\n3:pids:/docker/ab\n");
        // What version 1 says where there is no limit.
        write(
            &mount.join("memory/docker/ab/memory.limit_in_bytes"),
            "9223372036854771712\n",
        );
        write(&mount.join("memory/memory.limit_in_bytes"), "67108864\n");
        assert_eq!(allowed_by_groups(&list, &mount), Some(64 << 20));
    }

    #[test]
    fn shares_follow_the_limit() {
        let shares = |limit: usize| {
            let memory = Memory::new(Some(limit));
            (memory.records.limit(), memory.bodies.limit())
        };
        assert_eq!(shares(64 << 20), (16 << 20, (16 << 20) / 3 * 2));
        assert_eq!(shares(LIMIT_MIN), (1 << 20, 1 << 20));
        assert_eq!(shares(0), (1 << 20, 1 << 20));
    }
}
