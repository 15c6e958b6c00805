//! Files that are renamed, replaced, truncated, copied, deleted while they are followed.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::bench::{Bench, append};

fn sorted(bench: &Bench) -> Vec<String> {
    let mut lines = bench.lines();
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn a_renamed_file_is_read_to_its_end_and_its_successor_from_its_beginning() {
    let mut bench = Bench::new("");
    bench.append("a.log", "old\n").start();
    bench
        .append("a.log", "1\n")
        .rename("a.log", "a.log.1")
        .append("a.log.1", "2\n");
    bench.append("a.log", "3\n").run();
    assert_eq!(sorted(&bench), ["1", "2", "3"]);
    bench.append("a.log.1", "4\n").append("a.log", "5\n").run();
    assert_eq!(sorted(&bench), ["4", "5"]);
    assert_eq!(bench.logged("handle rotation(): "), 1);
    assert_eq!(bench.count("files_closed_total"), 0);
    bench.road.settle();
    bench.pass_rotation().await;
    assert_eq!(bench.count("files_closed_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn records_of_a_renamed_file_keep_tag_and_path() {
    let mut bench = Bench::new("Path_Key file\nPath {dir}/a.log");
    bench.append("a.log", "").start();
    bench.rename("a.log", "a.log.1").append("a.log.1", "1\n");
    bench.run();
    let seen = bench.road.take();
    assert!(seen[0].tag.ends_with(".a.log"), "{}", seen[0].tag);
    assert!(seen[0].fields[0].1.ends_with("/a.log"));
}

#[tokio::test(start_paused = true)]
async fn a_late_successor_is_found_without_waiting_for_the_next_scan() {
    let mut bench = Bench::new("Inotify_Watcher off");
    bench.append("a.log", "").start();
    bench.rename("a.log", "a.log.1");
    bench.pass(Duration::from_millis(300)).await;
    bench.append("a.log", "new\n");
    bench.pass(Duration::from_millis(300)).await;
    assert_eq!(bench.lines(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_successor_is_read_from_its_beginning_whatever_the_options_say() {
    let mut bench = Bench::new("Read_newly_discovered_files_from_head off");
    bench.append("a.log", "").start();
    bench.rename("a.log", "a.log.1").append("a.log", "first\n");
    bench.append("b.log", "b\n");
    bench.run().pass(Duration::from_secs(61)).await;
    assert_eq!(bench.lines(), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn generations_that_nobody_saw_are_found() {
    for inotify in ["on", "off"] {
        let mut bench = Bench::new(&format!("Inotify_Watcher {inotify}"));
        bench.append("a.log", "zero\n").start();
        bench.append("a.log", "0\n");
        for generation in 1..=4 {
            for older in (1..generation).rev() {
                bench.rename(&format!("a.log.{older}"), &format!("a.log.{}", older + 1));
            }
            bench.rename("a.log", "a.log.1");
            bench.append("a.log", &format!("{generation}\n"));
        }
        bench.pass(Duration::from_millis(300)).await;
        bench.pass(Duration::from_millis(300)).await;
        assert_eq!(
            sorted(&bench),
            ["0", "1", "2", "3", "4"],
            "inotify {inotify}"
        );
        bench
            .append("a.log", "5\n")
            .run()
            .pass(Duration::from_millis(300))
            .await;
        assert_eq!(bench.lines(), ["5"]);
    }
}

#[tokio::test(start_paused = true)]
async fn files_that_only_look_like_a_neighbour_are_left_alone() {
    let mut bench = Bench::new("Path {dir}/a.log");
    bench.append("a.log", "").append("a.log.9", "older\n");
    let made = bench
        .path("a.log.9")
        .metadata()
        .and_then(|m| m.created().or(m.modified()));
    let made = made.expect("files have times");
    while crate::tail::identity::file_time() <= made {
        std::thread::yield_now();
    }
    bench.start();
    bench
        .append("a.log.audit", "other\n")
        .append("a.log.swp", "other\n");
    bench.rename("a.log", "a.log.1").append("a.log", "new\n");
    bench.run();
    assert_eq!(bench.lines(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_renamed_file_that_still_matches_is_not_read_twice() {
    let mut bench = Bench::new("Path {dir}/a*\nRead_from_Head on");
    bench.append("a.log", "1\n").start();
    bench
        .rename("a.log", "a.log.1")
        .append("a.log", "2\n")
        .run();
    assert_eq!(sorted(&bench), ["1", "2"]);
    bench.road.settle();
    bench.pass_rotation().await;
    bench.pass(Duration::from_secs(61)).await;
    bench.pass(Duration::from_secs(61)).await;
    assert_eq!(bench.lines(), [""; 0]);
    bench
        .append("a.log.1", "3\n")
        .pass(Duration::from_secs(61))
        .await;
    assert_eq!(
        bench.lines(),
        ["3"],
        "what is appended late comes all the same"
    );
}

#[tokio::test(start_paused = true)]
async fn a_rotated_file_stays_open_until_it_is_delivered() {
    let mut bench = Bench::new("");
    bench.append("a.log", "").start();
    bench.append("a.log", "1\n2\n").run();
    bench.rename("a.log", "a.log.1").run();
    bench.remove("a.log.1").run();
    assert_eq!(bench.lines(), ["1", "2"]);
    bench.pass_rotation().await;
    assert_eq!(bench.count("files_closed_total"), 0);
    bench.road.refuse_batch(0);
    bench.run();
    assert_eq!(bench.lines(), ["1", "2"], "read again from the descriptor");
    bench.road.settle();
    bench.pass_rotation().await;
    assert_eq!(bench.count("files_closed_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_file_is_read_to_its_end() {
    let mut bench = Bench::new("").with_budget(20_000);
    bench.append("a.log", "").start();
    let lines: String = (0..5_000).map(|n| format!("{n}\n")).collect();
    bench
        .append("a.log", &lines)
        .append("a.log", "no newline")
        .remove("a.log");
    let mut seen = Vec::new();
    for _ in 0..40 {
        bench.pass(Duration::from_secs(1)).await;
        seen.extend(bench.lines());
        bench.road.settle();
    }
    let mut expected: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    expected.push("no newline".to_owned());
    assert_eq!(
        seen, expected,
        "even the line that nobody can finish any more"
    );
    assert_eq!(bench.count("files_closed_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_truncated_file_is_read_from_its_beginning() {
    let mut bench = Bench::new("Read_from_Head on");
    bench.append("a.log", "one\ntwo\npart").start();
    assert_eq!(bench.lines(), ["one", "two"]);
    bench.truncate("a.log").append("a.log", "new\n").run();
    assert_eq!(bench.lines(), ["new"]);
    assert_eq!(bench.logged("were not read yet"), 1, "the unfinished line");
    bench
        .truncate("a.log")
        .append("a.log", "n2\nlonger than before\n")
        .run();
    assert_eq!(bench.lines(), ["n2", "longer than before"]);
    bench.road.settle();
    assert!(
        bench
            .run()
            .follower
            .as_ref()
            .is_some_and(|f| f.is_settled())
    );
}

#[tokio::test(start_paused = true)]
async fn regrown_content_is_noticed_even_if_it_looks_alike() {
    let mut bench = Bench::new("Read_from_Head on");
    let beats = "beat\n".repeat(200);
    bench
        .append("a.log", "start 1\n")
        .append("a.log", &beats)
        .start();
    assert_eq!(bench.lines().len(), 201);
    bench
        .truncate("a.log")
        .append("a.log", "start 2\n")
        .append("a.log", &beats);
    bench
        .append("a.log", "end\n")
        .pass(Duration::from_secs(2))
        .await;
    let lines = bench.lines();
    assert_eq!((lines.len(), lines[0].as_str()), (202, "start 2"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_loses_only_unread_bytes_is_not_read_again() {
    let mut bench = Bench::new("Read_from_Head on");
    bench.append("a.log", "one\ntwo\nunfinis").start();
    let file = std::fs::File::options()
        .write(true)
        .open(bench.path("a.log"))
        .expect("it exists");
    file.set_len(8).expect("it can be cut");
    bench.append("a.log", "three\n").run();
    assert_eq!(bench.lines(), ["one", "two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_read_before_a_copytruncate_is_read_from_the_copy() {
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/a.log").with_budget(20_000);
    let lines: String = (0..5_000).map(|n| format!("line {n}\n")).collect();
    bench.append("a.log", &lines).start();
    let mut seen = bench.lines();
    assert!(seen.len() < 5_000);
    bench
        .copy("a.log", "a.log.1")
        .truncate("a.log")
        .append("a.log", "new\n");
    bench.road.refuse_batch(0);
    let refused = seen.len();
    for _ in 0..40 {
        bench.pass(Duration::from_secs(1)).await;
        seen.extend(bench.lines());
        bench.road.settle();
    }
    let mut expected: Vec<String> = (0..5_000).map(|n| format!("line {n}")).collect();
    expected.push("new".to_owned());
    expected.sort();
    // The refused lines come a second time.
    let mut again = seen.split_off(refused);
    seen.retain(|line| !again.contains(line));
    again.extend(seen);
    again.sort();
    assert_eq!(again, expected);
    assert_eq!(bench.logged("goes on in its copy"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_copy_of_what_was_read_is_not_read_again() {
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/a.log*\nRefresh_Interval 10");
    bench.append("a.log", "one\ntwo\n").start();
    bench
        .copy("a.log", "a.log.1")
        .truncate("a.log")
        .append("a.log", "three\n");
    bench.run();
    for _ in 0..5 {
        bench.road.settle();
        bench.pass(Duration::from_secs(11)).await;
    }
    assert_eq!(sorted(&bench), ["one", "three", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_symbolic_link_is_followed_to_its_new_target() {
    let mut bench = Bench::new("Path {dir}/link.log\nRead_from_Head on");
    bench.append("one", "1\n").append("two", "2\n");
    symlink(bench.path("one"), bench.path("link.log")).expect("a link");
    bench.start();
    symlink(bench.path("two"), bench.path("new")).expect("a link");
    bench.rename("new", "link.log").append("one", "1b\n");
    bench.pass(Duration::from_secs(3)).await;
    assert_eq!(sorted(&bench), ["1", "1b", "2"]);
    bench.append("two", "2b\n").append("one", "1c\n").run();
    let seen = bench.road.take();
    assert!(
        seen.iter().all(|seen| seen.tag.ends_with(".link.log")),
        "{seen:?}"
    );
    assert_eq!(seen.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_removed_and_set_again_goes_on() {
    let mut bench = Bench::new("Path {dir}/link.log\nRead_from_Head on");
    bench.append("one", "1\n");
    symlink(bench.path("one"), bench.path("link.log")).expect("a link");
    bench.start();
    bench.remove("link.log").pass(Duration::from_secs(3)).await;
    bench.road.settle();
    bench.pass_rotation().await;
    assert_eq!(bench.count("files_closed_total"), 1);
    bench.append("one", "2\n");
    symlink(bench.path("one"), bench.path("link.log")).expect("a link");
    bench.pass(Duration::from_secs(61)).await;
    assert_eq!(bench.lines(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_file_whose_directory_is_renamed_goes_on() {
    let mut bench = Bench::new("Path {dir}/sub/*.log\nRead_from_Head on");
    std::fs::create_dir(bench.path("sub")).expect("a directory");
    bench.append("sub/a.log", "1\n").start();
    bench.rename("sub", "moved").append("moved/a.log", "2\n");
    bench.pass(Duration::from_secs(3)).await;
    bench.append("moved/a.log", "3\n").run();
    assert_eq!(bench.lines(), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn new_files_are_found_at_once() {
    let mut bench = Bench::new("Refresh_Interval 3600");
    bench.start();
    tokio::time::advance(Duration::from_secs(5)).await;
    bench.append("new.log", "1\n").run();
    bench.pass(Duration::from_millis(100)).await;
    assert_eq!(bench.lines(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn old_files_are_read_from_where_they_ended_when_they_change() {
    let mut bench = Bench::new("Read_from_Head on\nIgnore_Older 1h");
    bench.append("a.log", "old\n");
    let path = bench.path("a.log");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    let file = std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("it exists");
    file.set_modified(long_ago).expect("its time can be set");
    bench.start();
    assert_eq!(bench.lines(), [""; 0]);
    append(&path, b"new\n");
    bench.pass(Duration::from_secs(61)).await;
    assert_eq!(bench.lines(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_followed_file_that_becomes_old_is_left_if_that_is_asked_for() {
    let mut bench = Bench::new("Read_from_Head on\nIgnore_Older 1h\nIgnore_Active_Older_Files on");
    bench.append("a.log", "1\n").start();
    bench.road.settle();
    let path = bench.path("a.log");
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(7200);
    let file = std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("it exists");
    file.set_modified(long_ago).expect("its time can be set");
    bench.pass(Duration::from_secs(3)).await;
    assert_eq!(bench.count("files_closed_total"), 1);
    append(&path, b"2\n");
    bench.pass(Duration::from_secs(61)).await;
    assert_eq!(bench.lines(), ["1", "2"]);
}
