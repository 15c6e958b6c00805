//! Full file systems: what cannot be written waits, and once there is room everything arrives, once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{Bucket, Router, folder, free_port, numbered, skip, text, until_some};

const SIZE: usize = 4 << 20;

/// A file system of four megabytes, in a mount namespace of its own; what goes on in it is seen through `/proc`.
struct Small {
    /// A process that keeps the namespace.
    keeper: Child,
    /// The file system as this process sees it.
    root: PathBuf,
    mount: PathBuf,
}

impl Small {
    /// Makes one at `folder/small`, or says why not.
    fn mount(folder: &Path) -> Option<Small> {
        let mount = folder.join("small");
        fs::create_dir(&mount).expect("a folder");
        let script =
            "mount -t tmpfs -o size=4m none \"$0\" && touch \"$0/.ready\" && exec sleep 600";
        let mut keeper = Command::new("unshare")
            .args(["-m", "sh", "-c", script])
            .arg(&mount)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let root = PathBuf::from(format!("/proc/{}/root{}", keeper.id(), mount.display()));
        let is_there = until_some("a mounted file system", || {
            if root.join(".ready").exists() {
                return Some(true);
            }
            keeper
                .try_wait()
                .expect("a child has a state")
                .map(|_| false)
        });
        if !is_there {
            skip("a file system cannot be mounted here");
            return None;
        }
        Some(Small {
            keeper,
            root,
            mount,
        })
    }

    /// A router that sees the file system.
    fn router(&self, folder: &Path, configuration: &str) -> Router {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id()))
            .arg(format!("--wd={}", folder.display()))
            .arg(env!("CARGO_BIN_EXE_flumen"));
        Router::start_by(command, folder, configuration)
    }

    /// Takes all room but `left` bytes.
    fn fill(&self, left: usize) {
        fs::write(self.root.join("filling"), vec![0; SIZE - left]).expect("room");
    }

    fn make_room(&self) {
        fs::remove_file(self.root.join("filling")).expect("a file");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

const INPUT: &str =
    "[SERVICE]\n    Flush 0.2\n[INPUT]\n    Name tail\n    Path app.log\n    Read_from_Head on\n";

fn append(log: &Path, lines: &[String]) {
    let file = File::options().append(true).open(log);
    file.and_then(|mut file| file.write_all(text(lines).as_bytes()))
        .expect("a file that can be appended to");
}

fn logs_of(text: &str) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let log = record["log"].as_str().expect("a field 'log'").to_owned();
        *all.entry(log).or_default() += 1;
    }
    all
}

fn once(lines: &[String]) -> BTreeMap<String, usize> {
    lines.iter().map(|line| (line.clone(), 1)).collect()
}

#[test]
fn the_output_file_waits_for_room() {
    let folder = folder();
    let Some(small) = Small::mount(folder.path()) else {
        return;
    };
    small.fill(100 << 10);
    let lines = numbered("line", 20_000);
    fs::write(folder.path().join("app.log"), text(&lines)).expect("a file");
    let configuration = format!(
        "{INPUT}    DB tail.db\n[OUTPUT]\n    Name file\n    Match *\n    Path {}\n    File out\n    Format plain\n",
        small.mount.display()
    );
    let mut router = small.router(folder.path(), &configuration);
    router.until_logged("No space left on device (os error 28)");
    small.make_room();
    let out = small.root.join("out");
    router.until("all records", |_| {
        fs::read_to_string(&out).is_ok_and(|text| text.lines().count() >= lines.len())
    });
    router.terminate();
    assert_eq!(
        logs_of(&fs::read_to_string(&out).expect("text")),
        once(&lines)
    );
}

#[test]
fn the_store_of_s3_waits_for_room() {
    let folder = folder();
    let Some(small) = Small::mount(folder.path()) else {
        return;
    };
    // The bucket does not answer, so that objects stay in the store.
    let port = free_port();
    let lines = numbered("line", 20_000);
    fs::write(folder.path().join("app.log"), text(&lines)).expect("a file");
    let configuration = format!(
        "{INPUT}    DB tail.db\n[OUTPUT]\n    Name s3\n    Match *\n    Bucket b\n    Region us-west-2\n    \
         Endpoint http://127.0.0.1:{port}\n    Store_Dir {}/s3\n    Total_File_Size 1M\n    Upload_Timeout 1s\n    \
         Use_Put_Object on\n    S3_Key_Format /o/$UUID\n",
        small.mount.display()
    );
    small.fill(100 << 10);
    let mut router = small.router(folder.path(), &configuration);
    router.until_logged("No space left on device (os error 28)");
    small.make_room();
    let bucket = Bucket::start(port);
    router.until("all records", |_| bucket.records() >= lines.len());
    router.terminate();
    assert_eq!(logs_of(&bucket.text()), once(&lines));
}

#[test]
fn the_database_of_tail_waits_for_room_and_the_records_do_not() {
    let folder = folder();
    let Some(small) = Small::mount(folder.path()) else {
        return;
    };
    let log = folder.path().join("app.log");
    let first = numbered("first", 100);
    fs::write(&log, text(&first)).expect("a file");
    let configuration = format!(
        "{INPUT}    DB {}/tail.db\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n",
        small.mount.display()
    );
    let mut router = small.router(folder.path(), &configuration);
    router.until_printed(100);
    // The database may have taken room ahead: it is taken away, too.
    let mut all = first;
    let mut filled = SIZE;
    while filled > 0 && fs::write(small.root.join("filling"), vec![0; filled]).is_err() {
        filled -= 4096;
    }
    let mut round = 0;
    while !router.log().contains("disk is full") {
        let more = numbered(&format!("round {round}:"), 200);
        append(&log, &more);
        all.extend(more);
        router.until_printed(all.len());
        round += 1;
        assert!(round < 2000, "the database never fills: {}", router.log());
    }
    small.make_room();
    router.until_logged("positions are written again");
    let again = small.router_after(router, folder.path(), &configuration, &mut all, &log);
    assert_eq!(again, once(&all));
}

impl Small {
    /// Ends `router` and starts the next, which goes on where that one ended: all that both have printed.
    fn router_after(
        &self,
        router: Router,
        folder: &Path,
        configuration: &str,
        all: &mut Vec<String>,
        log: &Path,
    ) -> BTreeMap<String, usize> {
        router.terminate();
        let last = numbered("last", 10);
        append(log, &last);
        all.extend(last);
        let mut next = self.router(folder, configuration);
        next.until_printed(all.len());
        let mut printed = BTreeMap::new();
        for line in next.lines() {
            *printed.entry(line).or_default() += 1;
        }
        next.terminate();
        printed
    }
}
