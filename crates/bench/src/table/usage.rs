//! What a process and its children have used.

use std::time::Duration;

/// The CPU time, user and system, of the process `pid` and of its living children, to the nanosecond: a router that does
/// little uses less than the hundredth of a second that `/proc/PID/stat` counts in.
pub fn cpu(pid: u32) -> Duration {
    let children: Duration = children(pid).into_iter().map(cpu).sum();
    own_cpu(pid) + children
}

fn own_cpu(pid: u32) -> Duration {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both calls write only into the values that they are given.
    let read = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) == 0
            && libc::clock_gettime(clock, &mut time) == 0
    };
    match read {
        true => Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        false => Duration::ZERO,
    }
}

/// The resident memory of the process `pid` and of its living children, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What is resident now (VmRSS).
    pub now: u64,
    /// The most that ever was, as the kernel kept it (VmHWM), which no look in between can miss. Of several processes the
    /// sum, which may be more than there was at once.
    pub peak: u64,
}

/// Reads it.
pub fn memory(pid: u32) -> Memory {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| {
        let text = status.lines().find_map(|line| line.strip_prefix(name));
        let number = text.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        number.unwrap_or(0)
    };
    let own = Memory {
        now: field("VmRSS:"),
        peak: field("VmHWM:"),
    };
    children(pid)
        .into_iter()
        .map(memory)
        .fold(own, |all, child| Memory {
            now: all.now + child.now,
            peak: all.peak + child.peak,
        })
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let of_task = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("children")).unwrap_or_default()
    };
    let texts: String = tasks.flatten().map(of_task).collect();
    let pids = texts.split_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_use_is_seen() {
        let pid = std::process::id();
        let before = cpu(pid);
        let mut sum = 0_u64;
        while cpu(pid) < before + Duration::from_millis(2) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
        let memory = memory(pid);
        assert!(memory.now > 1000 && memory.peak >= memory.now, "{memory:?}");
        assert_eq!(cpu(1 << 23), Duration::ZERO, "nobody has this number");
    }

    #[test]
    fn a_child_counts_whichever_thread_started_it() {
        let pid = std::process::id();
        let started = std::thread::scope(|scope| {
            let start = || std::process::Command::new("sleep").arg("60").spawn();
            // The thread has to live on: its children are its own.
            let thread = scope.spawn(move || {
                let child = start().unwrap();
                let found = children(pid).contains(&child.id());
                (child, found)
            });
            thread.join().unwrap()
        });
        let (mut child, found) = started;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}
