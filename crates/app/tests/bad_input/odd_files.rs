//! Files with names and kinds that no log should have, and a router that reads what it writes.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::harness::{Router, folder, numbered, text};

fn configuration(path: &str, more: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n{more}[INPUT]\n    Name tail\n    Path {path}\n    Read_from_Head on\n    \
         Refresh_Interval 1\n[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n"
    )
}

#[test]
fn sockets_devices_and_links_to_them_are_left_alone() {
    let folder = folder();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("a folder");
    let _socket = UnixListener::bind(logs.join("socket.log")).expect("a socket");
    for (target, name) in [
        ("/dev/zero", "zero.log"),
        ("/dev/tty", "tty.log"),
        ("/dev/random", "random.log"),
        ("/proc/kmsg", "kmsg.log"),
        ("socket.log", "link.log"),
        ("..", "up.log"),
    ] {
        symlink(target, logs.join(name)).expect("a link");
    }
    fs::write(logs.join("good.log"), text(&numbered("good", 100))).expect("a file");
    let mut router = Router::start(folder.path(), &configuration("logs/*.log", ""));
    router.until_printed(100);
    // What comes after another look at the folder is read, and still nothing else.
    fs::write(logs.join("later.log"), text(&numbered("later", 100))).expect("a file");
    router.until_printed(200);
    let mut lines = router.lines();
    router.terminate();
    lines.sort();
    let mut expected = [numbered("good", 100), numbered("later", 100)].concat();
    expected.sort();
    assert_eq!(lines, expected);
}

#[test]
fn names_with_control_characters_and_no_text_are_read_and_escaped() {
    let folder = folder();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("a folder");
    let longest = [vec![b'n'; 251], b".log".to_vec()].concat();
    let names: [&[u8]; 5] = [
        b"line\n[error] forged.log",
        b"\x1b[31mred\x1b[0m.log",
        b"\xff\xfe\x80.log",
        b"%n%s ${HOME} \".log",
        &longest,
    ];
    for (number, name) in names.into_iter().enumerate() {
        let lines = text(&numbered(&format!("file {number}:"), 10));
        // A line that is too long is told with the name of its file.
        let content = format!("{lines}{}\n", "x".repeat(5 << 20));
        fs::write(logs.join(OsStr::from_bytes(name)), content).expect("a file");
    }
    let more = "    Log_Level debug\n";
    let text = configuration("logs/*.log", more).replace(
        "    Refresh",
        "    Path_Key file\n    Skip_Long_Lines on\n    Refresh",
    );
    let mut router = Router::start(folder.path(), &text);
    router.until_printed(10 * names.len());
    router.until_logged("forged");
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines.len(), 10 * names.len());
    assert!(!log.contains('\x1b'), "{}", log.escape_debug());
    let forged = log.lines().filter(|line| line.starts_with("[error]"));
    assert_eq!(forged.count(), 0, "{log}");
}

#[test]
fn a_sparse_terabyte_holds_up_nobody_and_takes_no_memory() {
    let folder = folder();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("a folder");
    let sparse = File::create(logs.join("a-sparse.log")).expect("a file");
    if sparse.set_len(1 << 40).is_err() {
        return crate::harness::skip("this file system has no files of a terabyte");
    }
    fs::write(logs.join("good.log"), text(&numbered("good", 10_000))).expect("a file");
    let mut router = Router::start(folder.path(), &configuration("logs/*.log", ""));
    router.until_printed(10_000);
    let lines = router.lines();
    let start = Instant::now();
    router.terminate();
    assert!(start.elapsed() < Duration::from_secs(60), "it ends at once");
    assert_eq!(lines, numbered("good", 10_000));
}

#[test]
fn a_router_that_reads_its_own_log_does_not_feed_itself() {
    let folder = folder();
    let log_file = folder.path().join("own.log");
    let more = "    Log_File own.log\n    Log_Level info\n";
    let mut router = Router::start(folder.path(), &configuration("own.log", more));
    router.until_printed(1);
    let size = |path: &std::path::Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    // Until a second has passed in which it had nothing to say.
    let (mut last, mut since) = (0, Instant::now());
    router.until("silence", |_| {
        let now = size(&log_file);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > Duration::from_secs(1)
    });
    router.terminate();
    assert!(size(&log_file) < 64 << 10, "{} bytes", size(&log_file));
}
