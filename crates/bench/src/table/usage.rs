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
pub fn resident_kib(pid: u32) -> u64 {
    let children: u64 = children(pid).into_iter().map(resident_kib).sum();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let own = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    children + own.unwrap_or(0)
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let text = text.unwrap_or_default();
    text.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
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
        assert!(resident_kib(pid) > 1000);
        assert_eq!(cpu(1 << 23), Duration::ZERO, "nobody has this number");
    }
}
