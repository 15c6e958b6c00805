//! The "EKS" cluster: container log files as Docker's json-file driver writes them, one per pod.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use record::Time;

use super::traffic::{Traffic, push_rfc3339};

const PODS: usize = 3;
/// Lines gathered before a write.
const GATHERED: usize = 64;

/// Pods that write their access logs.
pub struct Cluster {
    pods: Vec<Pod>,
    written: u64,
}

struct Pod {
    traffic: Traffic,
    file: File,
    /// Whole lines that are not in the file yet.
    gathered: String,
    count: usize,
}

impl Cluster {
    /// Pods with a log file each in `directory`, named as the kubelet names them.
    pub fn start(directory: &Path) -> io::Result<Cluster> {
        let pods = (0..PODS).map(|pod| {
            let container = format!("{:064x}", 0xF1E0_0000_u64 + pod as u64);
            let name = format!("nginx-7854ff8877-{pod}wx9q_default_nginx-{container}.log");
            let file = File::create(directory.join(name))?;
            Ok(Pod {
                traffic: Traffic::new(pod as u64 + 1),
                file,
                gathered: String::new(),
                count: 0,
            })
        });
        Ok(Cluster {
            pods: pods.collect::<io::Result<_>>()?,
            written: 0,
        })
    }

    /// One request is answered, and logged by one of the pods.
    pub fn request(&mut self, now: Time) -> io::Result<()> {
        let pod = self.written as usize % PODS;
        self.written += 1;
        self.pods[pod].log(now)
    }

    /// Nothing is held back any more.
    pub fn flush(&mut self) -> io::Result<()> {
        self.pods.iter_mut().try_for_each(Pod::flush)
    }

    /// Requests so far.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Pod {
    fn log(&mut self, now: Time) -> io::Result<()> {
        let mut line = String::with_capacity(256);
        self.traffic.line(now, &mut line);
        self.gathered.push_str("{\"log\":\"");
        for character in line.chars() {
            if matches!(character, '"' | '\\') {
                self.gathered.push('\\');
            }
            self.gathered.push(character);
        }
        self.gathered
            .push_str("\\n\",\"stream\":\"stdout\",\"time\":\"");
        push_rfc3339(now, &mut self.gathered);
        self.gathered.push_str("\"}\n");
        self.count += 1;
        if self.count >= GATHERED {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(self.gathered.as_bytes())?;
        self.gathered.clear();
        self.count = 0;
        Ok(())
    }
}
