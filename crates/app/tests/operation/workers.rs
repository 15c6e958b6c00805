//! Several workers: as one, whatever their number was at the last start.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::router::{Router, assert_all, delivered, free_port, until};

const FILES: usize = 10;
/// So many lines are in a generation of a file, one fewer in the first.
const GENERATION: usize = 300;
const OUTPUT: &str = "[OUTPUT]\n    Name file\n    Path .\n    File out\n    Match *\n    Format template\n    Template {log}\n";

/// What follows the lines of `[SERVICE]`.
fn sections(workers: usize, inputs: &str) -> String {
    format!("    Workers {workers}\n{inputs}{OUTPUT}")
}

fn tail(more: &str) -> String {
    format!(
        "[INPUT]\n    Name tail\n    Path logs/*.log*\n    DB in.db\n    Read_from_Head on\n    Refresh_Interval 1\n\
         {more}"
    )
}

/// Writes numbered lines to several files and rotates them, until it is told to stop.
struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<usize>>,
}

impl Writers {
    fn start(folder: &Path) -> Writers {
        let logs = folder.join("logs");
        fs::create_dir_all(&logs).expect("a folder");
        let stop = Arc::new(AtomicBool::new(false));
        let write = |file: usize| {
            let (logs, stop) = (logs.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                let path = logs.join(format!("f{file}.log"));
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    if number % GENERATION == GENERATION - 1 {
                        rotate(&path);
                    }
                    let open = File::options().create(true).append(true).open(&path);
                    writeln!(open.expect("a file"), "f{file} {number}").expect("written");
                    number += 1;
                    thread::sleep(Duration::from_millis(3));
                }
                number
            })
        };
        let threads = (0..FILES).map(write).collect();
        Writers { stop, threads }
    }

    /// How many lines each has written.
    fn finish(self) -> Vec<usize> {
        self.stop.store(true, Ordering::Relaxed);
        let written = self.threads.into_iter();
        written
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    }
}

/// `f.log.1` becomes `f.log.2` and so on: all of these are found by the pattern, too.
fn rotate(path: &Path) {
    let generation = |number: usize| format!("{}.{number}", path.display());
    for number in (1..9).rev() {
        let _ = fs::rename(generation(number), generation(number + 1));
    }
    fs::rename(path, generation(1)).expect("it is there");
}

fn settle(router: &Router, counts: &[usize]) {
    let all: usize = counts.iter().sum();
    until(&format!("{all} lines, {}", router.log()), || {
        let mut lines = delivered(&router.folder, "out");
        lines.sort_unstable();
        lines.dedup();
        (lines.len() >= all).then_some(())
    });
}

/// Asserts that no line comes before an earlier one of its generation has. Of a file and what it was rotated to, both are
/// read after a start, each in order.
fn assert_order(lines: &[String]) {
    let mut next: HashMap<(&str, usize), usize> = HashMap::new();
    for line in lines {
        let (file, number) = line.split_once(' ').expect("two words");
        let number: usize = number.parse().expect("a number");
        let generation = (number + 1) / GENERATION;
        let first = (generation * GENERATION).saturating_sub(1);
        let next = next.entry((file, generation)).or_insert(first);
        assert!(number <= *next, "{file}: {number} before {next}");
        *next = (*next).max(number + 1);
    }
}

#[test]
fn another_number_at_each_start_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let writers = Writers::start(folder.path());
    for workers in [2, 5, 1, 3] {
        let mut router = Router::start(folder.path(), &sections(workers, &tail("")), &[]);
        let before = delivered(folder.path(), "out").len();
        until("some lines", || {
            (delivered(folder.path(), "out").len() > before + 1500).then_some(())
        });
        router.signal("TERM");
        assert!(router.wait().success());
    }
    let counts = writers.finish();
    let mut router = Router::start(folder.path(), &sections(2, &tail("")), &[]);
    settle(&router, &counts);
    // The monitor shows sums.
    let last = router.metric("fluentbit_output_proc_records_total{name=\"file.0\"} ");
    assert!(last > 0 && router.ask("GET", "/api/v1/health", "").contains(" 200 OK"));
    router.signal("TERM");
    assert!(router.wait().success());
    let lines = delivered(folder.path(), "out");
    assert_order(&lines);
    for (file, count) in counts.into_iter().enumerate() {
        assert_all(&lines, &format!("f{file}"), count);
    }
    assert!(!router.log().contains("conservation"), "{}", router.log());
}

#[test]
fn a_kill_loses_nothing_and_repeats_no_line_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let writers = Writers::start(folder.path());
    let kills = [2, 3, 1];
    for workers in kills {
        let mut router = Router::start(folder.path(), &sections(workers, &tail("")), &[]);
        let before = delivered(folder.path(), "out").len();
        until("some lines", || {
            (delivered(folder.path(), "out").len() > before + 1500).then_some(())
        });
        router.signal("KILL");
        router.wait();
    }
    let counts = writers.finish();
    let mut router = Router::start(folder.path(), &sections(2, &tail("")), &[]);
    settle(&router, &counts);
    router.signal("TERM");
    assert!(router.wait().success());
    let lines = delivered(folder.path(), "out");
    assert_order(&lines);
    let mut times: HashMap<&String, usize> = HashMap::new();
    lines
        .iter()
        .for_each(|line| *times.entry(line).or_default() += 1);
    assert_eq!(times.len(), counts.iter().sum::<usize>());
    // Positions are written at least once a second: less than that comes again after each.
    let repeated = lines.len() - times.len();
    assert!(
        repeated < kills.len() * FILES * 500,
        "{repeated} of {}",
        lines.len()
    );
    assert!(times.values().all(|times| *times <= 1 + kills.len()));
}

#[test]
fn a_number_that_changes_with_an_upgrade_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let inputs = format!(
        "{}[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n",
        tail("")
    );
    let writers = Writers::start(folder.path());
    let mut router = Router::start(folder.path(), &sections(2, &inputs), &[]);
    let line: fn(usize) -> Vec<u8> = |number| format!("line {number}\n").into_bytes();
    // All of them number their lines from 0 on.
    let senders: Vec<_> = (0..4)
        .map(|_| crate::senders::Sender::over_one_connection(port, line))
        .collect();
    for (round, workers) in [3, 3, 1, 2].into_iter().enumerate() {
        until("some lines", || {
            let lines = delivered(folder.path(), "out");
            (lines.len() > 1000 * (round + 1)).then_some(())
        });
        router.configure(&sections(workers, &inputs));
        router.signal("USR2");
        router.until_logged("[http_server] listen", round + 2);
    }
    let mut sent: Vec<usize> = senders.into_iter().map(|sender| sender.finish()).collect();
    let mut counts = writers.finish();
    let all: usize = counts.iter().chain(&sent).sum();
    until(&format!("{all} lines, {}", router.log()), || {
        (delivered(folder.path(), "out").len() >= all).then_some(())
    });
    router.signal("TERM");
    assert!(router.wait().success());
    let (tcp, tail): (Vec<String>, Vec<String>) = delivered(folder.path(), "out")
        .into_iter()
        .partition(|text| text.starts_with("line "));
    assert_order(&tail);
    for (file, count) in counts.drain(..).enumerate() {
        assert_all(&tail, &format!("f{file}"), count);
    }
    let mut times: HashMap<&str, usize> = HashMap::new();
    tcp.iter()
        .for_each(|line| *times.entry(line).or_default() += 1);
    sent.sort_unstable();
    for number in 0..sent[3] {
        let expected = sent.iter().filter(|sent| number < **sent).count();
        let found = times.get(&*format!("line {number}")).copied().unwrap_or(0);
        assert_eq!(found, expected, "line {number} of {sent:?}");
    }
}

/// How often the thread `name` of the router was put to sleep by itself: at least once for each time that it was woken.
fn sleeps(router: &Router, name: &str) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", router.pid())).expect("it lives");
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let folder = tasks
        .map(|task| task.expect("a thread").path())
        .find(|task| read(task.join("comm")).trim() == name);
    let text = read(folder.expect("such a thread").join("status"));
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.expect("a count").trim().parse().expect("a number")
}

#[test]
fn connections_are_spread_and_each_stays_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("socket");
    let input = format!(
        "[INPUT]\n    Name forward\n    Unix_Path {}\n",
        path.display()
    );
    let mut router = Router::start(folder.path(), &sections(3, &input), &[]);
    let names = ["shard-1", "shard-2"];
    let send = |sender: usize| {
        let mut stream = UnixStream::connect(&path).expect("it listens");
        thread::spawn(move || {
            for number in 0..300 {
                let text = format!("f{sender} {number}");
                let head = [&b"\x93\xa1t\x05\x81\xa3log"[..], &[0xa0 | text.len() as u8]];
                let frame = [&head.concat(), text.as_bytes()].concat();
                stream.write_all(&frame).expect("it reads");
                thread::sleep(Duration::from_millis(2));
            }
        })
    };
    // A shard that does not accept yet has no connections: the next ones come when it does.
    let mut sent = 0;
    loop {
        let before = names.map(|name| sleeps(&router, name));
        let senders: Vec<_> = (sent..sent + 6).map(send).collect();
        senders
            .into_iter()
            .for_each(|s| s.join().expect("it sends"));
        sent += 6;
        settle(&router, &vec![300; sent]);
        let times = names.map(|name| sleeps(&router, name));
        let times: Vec<u64> = times.iter().zip(before).map(|(t, b)| t - b).collect();
        if times.iter().all(|times| *times > 60) {
            break;
        }
        assert!(sent < 30, "{names:?} were woken {times:?} times");
    }
    router.signal("TERM");
    assert!(router.wait().success());
    let lines = delivered(folder.path(), "out");
    for sender in 0..sent {
        let name = format!("f{sender}");
        assert_all(&lines, &name, 300);
        let own = lines
            .iter()
            .filter(|line| line.split(' ').next() == Some(&name));
        let expected: Vec<String> = (0..300).map(|n| format!("{name} {n}")).collect();
        assert!(own.eq(expected.iter()), "{name} is out of order");
    }
}

#[test]
fn what_more_workers_kept_on_the_disk_is_delivered_by_fewer() {
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).expect("a folder");
    for file in 0..FILES {
        let text: String = (0..300).map(|n| format!("f{file} {n}\n")).collect();
        fs::write(logs.join(format!("f{file}.log")), text).expect("written");
    }
    // A folder that is a file: every write fails.
    fs::write(folder.path().join("dead"), "").expect("written");
    let stored = tail("    storage.type filesystem\n");
    let to = |path: &str| {
        format!(
            "{stored}{}",
            OUTPUT.replace("Path .", &format!("Path {path}"))
        )
    };
    let dead = format!("    Workers 4\n{}", to("dead"));
    let mut router = Router::start(folder.path(), &dead, &[]);
    until("all to be kept", || {
        (router.metric("fluentbit_output_held_records{name=\"file.0\"} ") == 3000).then_some(())
    });
    router.signal("TERM");
    assert!(router.wait().success());
    let state = folder.path().join("state-directory");
    assert!(state.join("shard-1/wal").is_dir(), "{}", router.log());
    let mut router = Router::start(folder.path(), &format!("    Workers 1\n{}", to(".")), &[]);
    until(&format!("everything, {}", router.log()), || {
        (delivered(folder.path(), "out").len() >= 3000).then_some(())
    });
    // The folders go with what was in them.
    until("the folders to go", || {
        let left = (1..4).filter(|number| state.join(format!("shard-{number}")).exists());
        (left.count() == 0).then_some(())
    });
    // They are not missed by a reload.
    router.signal("HUP");
    router.until_logged("[reload] done", 1);
    router.signal("TERM");
    assert!(router.wait().success());
    let lines = delivered(folder.path(), "out");
    assert_order(&lines);
    for file in 0..FILES {
        assert_all(&lines, &format!("f{file}"), 300);
    }
}

#[test]
fn the_end_of_all_files_ends_all_workers() {
    for files in [1, 2, FILES] {
        let folder = tempfile::tempdir().expect("a folder");
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).expect("a folder");
        for file in 0..files {
            let text: String = (0..50).map(|n| format!("f{file} {n}\n")).collect();
            fs::write(logs.join(format!("f{file}.log")), text).expect("written");
        }
        let inputs = tail("    Exit_on_Eof on\n");
        let config = format!("[SERVICE]\n    Flush 0.2\n{}", sections(3, &inputs));
        fs::write(folder.path().join("all.conf"), config).expect("written");
        // It may have ended before anybody could ask it anything.
        let ended = Command::new(env!("CARGO_BIN_EXE_flumen"))
            .args(["-c", "all.conf"])
            .current_dir(folder.path())
            .output()
            .expect("it ends");
        assert!(ended.status.success(), "{ended:?}");
        let lines = delivered(folder.path(), "out");
        (0..files).for_each(|file| assert_all(&lines, &format!("f{file}"), 50));
    }
}
