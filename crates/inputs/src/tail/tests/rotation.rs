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

#[tokio::test(start_paused = true)]
async fn a_file_that_was_made_and_rotated_before_anybody_looked_is_found() {
    let mut bench = Bench::new("Refresh_Interval 3600\nPath {dir}/*.log");
    bench.start();
    for generation in 0..5 {
        for older in (1..=generation).rev() {
            let to = format!("new.log.{}", older + 1);
            if bench.path(&format!("new.log.{older}")).exists() {
                bench.rename(&format!("new.log.{older}"), &to);
            }
        }
        bench.append("new.log", &format!("{generation}\n"));
        bench.rename("new.log", "new.log.1");
    }
    bench.append("new.log", "5\n").run();
    assert_eq!(sorted(&bench), ["0", "1", "2", "3", "4", "5"]);
    let tags: Vec<String> = bench.road.take().into_iter().map(|seen| seen.tag).collect();
    assert!(tags.iter().all(|tag| tag.ends_with(".new.log")), "{tags:?}");
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_made_later_is_looked_into() {
    let mut bench = Bench::new("Refresh_Interval 3600\nPath {dir}/*/x.log");
    bench.start();
    tokio::time::advance(Duration::from_secs(5)).await;
    std::fs::create_dir(bench.path("pod")).expect("a directory");
    bench.append("pod/x.log", "1\n").run();
    bench.pass(Duration::from_millis(200)).await;
    assert_eq!(bench.lines(), ["1"]);
    bench
        .rename("pod/x.log", "pod/x.log.1")
        .append("pod/x.log", "2\n");
    bench
        .rename("pod/x.log", "pod/x.log.2")
        .append("pod/x.log", "3\n");
    bench.run();
    assert_eq!(sorted(&bench), ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn generations_that_begin_alike_are_told_apart() {
    let header = "# the same header in each file\n".repeat(100);
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/a.log");
    bench
        .append("a.log", &header)
        .append("a.log", "0\n")
        .start();
    bench.rename("a.log", "a.log.2");
    bench.append("a.log.1", &header).append("a.log.1", "1\n");
    bench.append("a.log", &header).append("a.log", "2\n").run();
    let mut lines = bench.lines();
    assert_eq!(lines.len(), 303);
    lines.retain(|line| !line.starts_with('#'));
    lines.sort();
    assert_eq!(lines, ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn regrown_content_is_noticed_also_when_nothing_follows() {
    let mut bench = Bench::new("Read_from_Head on");
    let beats = "beat\n".repeat(200);
    bench
        .append("a.log", "start 1\n")
        .append("a.log", &beats)
        .start();
    bench.lines();
    // Within the second in which the beginning is not compared again.
    bench.truncate("a.log").append("a.log", "start 2\n");
    bench.append("a.log", &beats).append("a.log", "end\n").run();
    let early = bench.lines();
    bench.pass(Duration::from_secs(3)).await;
    let lines = [early, bench.lines()].concat();
    assert!(lines.contains(&"start 2".to_owned()), "{}", lines.len());
}

#[tokio::test(start_paused = true)]
async fn files_are_read_with_few_descriptors() {
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/flb.db\nRefresh_Interval 3600");
    for file in 0..60 {
        bench.append(&format!("f{file}.log"), &format!("{file} a\n"));
    }
    bench.start();
    bench.hold_descriptors(4);
    let mut lines = bench.lines();
    for round in ["b", "c"] {
        bench.append("new.log", &format!("new {round}\n"));
        bench.run();
        for file in 0..60 {
            bench.append(&format!("f{file}.log"), &format!("{file} {round}\n"));
        }
        bench.road.settle();
        bench.pass(Duration::from_secs(3)).await;
        lines.extend(bench.lines());
    }
    let held = bench.follower.as_ref().map(|f| f.descriptors_held());
    assert!(held < Some(40), "{held:?} of 61 are open");
    // Rotation of files whose descriptor was given up.
    for file in 0..60 {
        let name = format!("f{file}.log");
        bench.append(&name, &format!("{file} d\n"));
        bench.rename(&name, &format!("{name}.1"));
        bench.append(&name, &format!("{file} e\n"));
    }
    bench.road.settle();
    bench.pass(Duration::from_secs(3)).await;
    bench.pass(Duration::from_secs(3)).await;
    lines.extend(bench.lines());
    assert_eq!(lines.len(), 60 * 5 + 2);
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 60 * 5 + 2, "none twice");
    bench.stop().await;
    assert!(
        bench.rows().iter().all(|row| row.1 > 0),
        "{:?}",
        bench.rows()
    );
}

#[tokio::test(start_paused = true)]
async fn a_file_that_becomes_readable_is_read() {
    let mut bench = Bench::new("Read_from_Head on\nRefresh_Interval 3600\nPath {dir}/a*");
    bench.start();
    // Nobody may read a directory as a file; then a file takes its place.
    std::fs::create_dir(bench.path("a")).expect("a directory");
    bench.run();
    std::fs::remove_dir(bench.path("a")).expect("it is empty");
    bench.append("a", "1\n").run();
    assert_eq!(bench.lines(), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn odd_names_and_odd_files_do_no_harm() {
    use std::os::unix::ffi::OsStrExt;
    let mut bench =
        Bench::new("Read_from_Head on\nPath {dir}/*\nExclude_Path *flb.db*\nDB {dir}/flb.db");
    let odd = std::ffi::OsStr::from_bytes(b"\xff\n\x1b[31m.log");
    let long = "x".repeat(250) + ".log";
    append(&bench.path("").join(odd), b"1\n");
    bench.append(&long, "2\n");
    symlink(bench.path("loop"), bench.path("loop")).expect("a link");
    symlink(bench.path("nowhere"), bench.path("dangling")).expect("a link");
    symlink("/dev/zero", bench.path("zero")).expect("a link");
    let fifo = std::ffi::CString::new(bench.path("fifo").as_os_str().as_bytes()).expect("no NUL");
    // SAFETY: the path ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let sparse = std::fs::File::create(bench.path("sparse")).expect("room");
    sparse.set_len(1 << 40).expect("no room needed");
    bench.start();
    assert_eq!(sorted(&bench), ["1", "2"]);
    bench.stop().await;
    bench.start();
    assert_eq!(bench.lines(), [""; 0]);
}

fn gzip(bench: &Bench, from: &str, to: &str) {
    let content = std::fs::read(bench.path(from)).expect("it exists");
    let file = std::fs::File::create(bench.path(to)).expect("room");
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, &content).expect("room");
    encoder.finish().expect("room");
    std::fs::remove_file(bench.path(from)).expect("it exists");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_compressed_while_it_is_read_is_finished() {
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/*").with_budget(20_000);
    let lines: String = (0..5_000).map(|n| format!("{n:05}\n")).collect();
    bench.append("a.log", &lines).start();
    bench
        .rename("a.log", "a.log.1")
        .append("a.log", "new\n")
        .run();
    gzip(&bench, "a.log.1", "a.log.1.gz");
    let mut seen = bench.lines();
    for _ in 0..40 {
        bench.road.settle();
        bench.pass(Duration::from_secs(2)).await;
        seen.extend(bench.lines());
    }
    seen.retain(|line| line != "new");
    let expected: Vec<String> = (0..5_000).map(|n| format!("{n:05}")).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn what_is_left_of_a_compressed_file_is_read_after_a_restart() {
    let text = "Read_from_Head on\nPath {dir}/*.log\nDB {dir}/flb.db";
    let mut bench = Bench::new(text).with_budget(20_000);
    let lines: String = (0..5_000).map(|n| format!("{n:05}\n")).collect();
    bench.append("a.log", &lines).start();
    let mut seen = bench.lines();
    assert!(seen.len() < 5_000);
    bench.stop().await;
    bench.rename("a.log", "a.log.1").append("a.log", "new\n");
    gzip(&bench, "a.log.1", "a.log.1.gz");
    bench.start();
    let begin = std::time::Instant::now();
    while seen.len() < 5_001 {
        assert!(begin.elapsed() < Duration::from_secs(20), "{}", seen.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
        bench.run();
        seen.extend(bench.lines());
        bench.road.settle();
    }
    assert_eq!(bench.logged("goes on in its archive"), 1);
    bench.run().stop().await;
    bench.start();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        bench.run();
        seen.extend(bench.lines());
    }
    seen.retain(|line| line != "new");
    seen.sort();
    let expected: Vec<String> = (0..5_000).map(|n| format!("{n:05}")).collect();
    assert_eq!(seen, expected, "each once");
}
