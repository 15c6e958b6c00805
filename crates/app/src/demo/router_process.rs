//! A router as a process of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Error;

/// What a router used.
#[derive(Clone, Debug)]
pub struct Usage {
    /// `EKS` or `ECS`.
    pub cluster: &'static str,
    /// Lines it carried.
    pub lines: u64,
    /// CPU time, user and system.
    pub cpu: Duration,
    /// The most memory it ever had, in KiB.
    pub memory_kib: u64,
}

/// A running router.
pub struct RouterProcess {
    cluster: &'static str,
    child: Child,
    log: PathBuf,
}

impl RouterProcess {
    /// Starts this very program as a router with `config`, towards the lake at `endpoint`.
    pub fn start(
        cluster: &'static str,
        config: &Path,
        endpoint: &str,
    ) -> Result<RouterProcess, Error> {
        let log = config.with_extension("log");
        let child = Command::new(std::env::current_exe()?)
            .arg("-c")
            .arg(config)
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ACCESS_KEY_ID", super::scene::KEY)
            .env("AWS_SECRET_ACCESS_KEY", super::scene::KEY)
            .env("STATE_DIRECTORY", config.with_extension("state"))
            .env_remove("AWS_SESSION_TOKEN")
            .env_remove("AWS_PROFILE")
            .env_remove("AWS_ENDPOINT_URL_FIREHOSE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(RouterProcess {
            cluster,
            child,
            log,
        })
    }

    /// Fails, with the end of its log, if the router has ended.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(5).collect();
                let last: Vec<&str> = last.into_iter().rev().collect();
                Err(format!(
                    "the {} router ended with {status}:\n{}",
                    self.cluster,
                    last.join("\n")
                )
                .into())
            }
        }
    }

    /// How many files it says that it follows.
    pub fn followed_files(&self) -> usize {
        std::fs::read_to_string(&self.log)
            .unwrap_or_default()
            .matches("inotify_fs_add()")
            .count()
    }

    /// What it has used so far.
    pub fn usage(&self, lines: u64) -> Result<Usage, Error> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name in parentheses, which may hold anything; user and system time are fields 14 and 15 of all.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks = |index: usize| {
            fields
                .get(index)
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        };
        // SAFETY: sysconf only reads.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
        let cpu = Duration::from_millis((ticks(11) + ticks(12)) * 1000 / per_second);
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let memory_kib = peak
            .and_then(|peak| peak.trim().trim_end_matches(" kB").parse().ok())
            .unwrap_or(0);
        Ok(Usage {
            cluster: self.cluster,
            lines,
            cpu,
            memory_kib,
        })
    }

    /// Ends it as an operator would, and tells what it used in all.
    pub fn stop(self, lines: u64) -> Result<Usage, Error> {
        let pid = self.child.id() as libc::pid_t;
        // SAFETY: plain data for which zero is valid; wait4 writes only into it, and the child is ours and not waited for.
        let (waited, usage) = unsafe {
            libc::kill(pid, libc::SIGTERM);
            let (mut status, mut usage): (libc::c_int, libc::rusage) = (0, std::mem::zeroed());
            (libc::wait4(pid, &mut status, 0, &mut usage), usage)
        };
        if waited != pid {
            return Err(std::io::Error::last_os_error().into());
        }
        let time =
            |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        Ok(Usage {
            cluster: self.cluster,
            lines,
            cpu: time(usage.ru_utime) + time(usage.ru_stime),
            memory_kib: usage.ru_maxrss as u64,
        })
    }
}
