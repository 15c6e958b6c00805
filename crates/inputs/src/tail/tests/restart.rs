//! Going on after a stop or a crash, whatever happened to the files meanwhile.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::bench::Bench;

const DB: &str = "Read_from_Head on\nDB {dir}/flb.db";

fn sorted(bench: &Bench) -> Vec<String> {
    let mut lines = bench.lines();
    lines.sort();
    lines
}

/// A bench that has read and delivered `one` and `two` of `a.log` and was stopped.
async fn stopped(text: &str) -> Bench {
    let mut bench = Bench::new(text);
    bench.append("a.log", "one\ntwo\n").start();
    assert_eq!(bench.lines(), ["one", "two"]);
    bench.stop().await;
    bench
}

#[tokio::test]
async fn a_second_start_goes_on() {
    let mut bench = stopped(DB).await;
    assert_eq!(bench.rows(), [("a.log".to_owned(), 8, false)]);
    bench.append("a.log", "three\n").start();
    assert_eq!(bench.lines(), ["three"]);
    bench.stop().await.start();
    assert_eq!(bench.lines(), [""; 0]);
    assert_eq!(bench.rows(), [("a.log".to_owned(), 14, false)]);
}

#[tokio::test]
async fn an_unfinished_line_comes_once_and_whole() {
    let mut bench = Bench::new(DB);
    bench.append("a.log", "one\nunfin").start().stop().await;
    bench.append("a.log", "ished\n").start();
    assert_eq!(bench.lines(), ["one", "unfinished"]);
}

#[tokio::test]
async fn after_a_crash_only_what_was_not_delivered_comes_again() {
    let mut bench = Bench::new(DB);
    bench.append("a.log", "one\ntwo\nthree\nfour\n").start();
    bench.append("a.log", "five\n").run();
    bench.road.settle_record(0, 0);
    bench.road.settle_record(0, 2);
    bench.save().await.crash();
    assert_eq!(bench.rows()[0].1, 4, "the contiguous prefix");
    bench.road.take();
    bench.start();
    assert_eq!(
        sorted(&bench),
        ["five", "four", "two"],
        "not `three`, which stands beyond it"
    );
    bench.stop().await.start();
    assert_eq!(bench.lines(), [""; 0]);
}

#[tokio::test]
async fn a_file_rotated_while_nobody_looked_is_finished_and_its_successor_read() {
    let mut bench = stopped(DB).await;
    bench
        .append("a.log", "three\n")
        .rename("a.log", "a.log.1")
        .append("a.log", "four\n");
    bench.start();
    assert_eq!(sorted(&bench), ["four", "three"]);
    let seen = bench.stop().await.rows();
    let expected = [
        ("a.log".to_owned(), 5, false),
        ("a.log.1".to_owned(), 14, true),
    ];
    assert_eq!(seen, expected);
    bench.append("a.log.1", "late\n").start();
    assert_eq!(bench.lines(), ["late"]);
}

#[tokio::test]
async fn the_tag_of_a_rotated_file_is_that_of_its_first_name() {
    let mut bench = stopped("DB {dir}/flb.db\nRead_from_Head on\nPath {dir}/*.log").await;
    bench.append("a.log", "three\n").rename("a.log", "a.log.1");
    bench.start();
    let seen = bench.road.take();
    assert!(seen[0].tag.ends_with(".a.log"), "{}", seen[0].tag);
}

#[tokio::test]
async fn generations_that_came_and_went_meanwhile_are_read() {
    let mut bench = stopped("DB {dir}/flb.db\nRead_from_Head on\nPath {dir}/a.log").await;
    bench.append("a.log", "three\n").rename("a.log", "a.log.2");
    bench.append("a.log.1", "four\n").append("a.log", "five\n");
    bench.start();
    assert_eq!(sorted(&bench), ["five", "four", "three"]);
    bench.stop().await;
    bench
        .rename("a.log.2", "a.log.3")
        .rename("a.log.1", "a.log.2");
    bench.rename("a.log", "a.log.1").append("a.log", "six\n");
    bench.start();
    assert_eq!(bench.lines(), ["six"]);
}

#[tokio::test]
async fn a_link_to_a_rotated_file_is_understood() {
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/flb.db\nPath {dir}/c/*.log");
    for directory in ["c", "pods"] {
        std::fs::create_dir(bench.path(directory)).expect("a directory");
    }
    bench.append("pods/0.log", "one\n");
    symlink(bench.path("pods/0.log"), bench.path("c/x.log")).expect("a link");
    bench.start().stop().await;
    bench.append("pods/0.log", "two\n");
    bench.rename("pods/0.log", "pods/0.log.20261122-130000");
    bench.append("pods/0.log", "three\n").start();
    let seen = bench.road.take();
    let mut lines: Vec<_> = seen.iter().map(|seen| seen.fields[0].1.as_str()).collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "three", "two"]);
    assert!(
        seen.iter().all(|seen| seen.tag.ends_with(".c.x.log")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_file_truncated_meanwhile_is_read_from_its_beginning() {
    let mut bench = stopped(DB).await;
    bench.truncate("a.log").append("a.log", "new\n").start();
    assert_eq!(bench.lines(), ["new"]);
    bench.stop().await;
    bench
        .truncate("a.log")
        .append("a.log", "newer and longer\n")
        .start();
    assert_eq!(bench.lines(), ["newer and longer"]);
    bench.stop().await;
    assert_eq!(bench.rows(), [("a.log".to_owned(), 17, false)]);
}

#[tokio::test]
async fn content_with_the_same_bytes_before_the_position_is_told_apart() {
    let mut bench = Bench::new(DB);
    let beats = "beat\n".repeat(100);
    bench
        .append("a.log", "start 1\n")
        .append("a.log", &beats)
        .start()
        .stop()
        .await;
    bench.road.take();
    bench
        .truncate("a.log")
        .append("a.log", "start 2\n")
        .append("a.log", &beats);
    bench.start();
    assert_eq!(bench.lines().len(), 101);
}

#[tokio::test]
async fn what_was_left_before_a_copytruncate_is_read_from_the_copy() {
    let mut bench = stopped("DB {dir}/flb.db\nRead_from_Head on\nPath {dir}/a.log").await;
    bench.append("a.log", "three\n").copy("a.log", "a.log.1");
    bench.truncate("a.log").append("a.log", "four\n").start();
    assert_eq!(sorted(&bench), ["four", "three"]);
    bench.stop().await.start();
    assert_eq!(bench.lines(), [""; 0]);
}

#[tokio::test]
async fn an_inode_that_is_used_again_is_another_file() {
    let mut bench = stopped(DB).await;
    // A row for the inode of a file that was made later.
    bench.append("b.log", "one\ntwo\nthree\n");
    let inode = |name: &str| {
        use std::os::unix::fs::MetadataExt;
        bench.path(name).metadata().expect("it exists").ino() as i64
    };
    let connection = rusqlite::Connection::open(bench.path("flb.db")).expect("a database");
    for table in ["in_tail_files", "flumen_tail_files"] {
        let sql = format!("UPDATE {table} SET inode = ?1");
        connection
            .execute(&sql, [inode("b.log")])
            .expect("it exists");
    }
    drop(connection);
    bench.remove("a.log").start();
    assert_eq!(bench.lines(), ["one", "two", "three"]);
}

#[tokio::test]
async fn rows_of_deleted_files_are_removed() {
    let mut bench = stopped(DB).await;
    bench.append("b.log", "b\n").start().stop().await;
    assert_eq!(bench.rows().len(), 2);
    bench.remove("a.log").start();
    bench.stop().await;
    assert_eq!(bench.rows(), [("b.log".to_owned(), 2, false)]);
}

#[tokio::test]
async fn rows_of_files_whose_directory_is_away_are_kept() {
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/flb.db\nPath {dir}/sub/*.log");
    std::fs::create_dir(bench.path("sub")).expect("a directory");
    bench.append("sub/a.log", "one\n").start().stop().await;
    // As if the file were on another device that is not mounted now.
    let connection = rusqlite::Connection::open(bench.path("flb.db")).expect("a database");
    let sql = "UPDATE flumen_tail_files SET device = device + 1";
    connection.execute(sql, []).expect("it exists");
    drop(connection);
    bench.rename("sub/a.log", "kept").start().stop().await;
    assert_eq!(
        bench.rows().len(),
        1,
        "the directory says nothing about another device"
    );
    bench
        .rename("kept", "sub/a.log")
        .append("sub/a.log", "two\n")
        .start();
    assert_eq!(bench.lines(), ["one", "two"], "the position is still known");
}

#[tokio::test]
async fn read_from_head_off_governs_the_first_start_only() {
    let mut bench = Bench::new("DB {dir}/flb.db\nPath {dir}/*.log, {dir}/old/*.log");
    bench.append("a.log", "before\n").start();
    assert_eq!(bench.lines(), [""; 0], "from its end");
    bench.append("a.log", "one\n").run();
    bench.stop().await;
    bench
        .append("a.log", "two\n")
        .append("b.log", "unknown, and newer\n");
    bench.start();
    assert_eq!(sorted(&bench), ["one", "two", "unknown, and newer"]);
}

#[tokio::test]
async fn without_a_database_every_start_is_the_first() {
    let mut bench = Bench::new("");
    bench.append("a.log", "one\n").start();
    bench.append("a.log", "two\n").run().stop().await;
    bench.append("a.log", "three\n").start();
    assert_eq!(bench.lines(), ["two"]);
}

/// A database as Fluent Bit leaves it: (name, offset, marker or none).
fn fluent_bits(bench: &Bench, rows: &[(&str, u64, Option<&str>)]) {
    use std::os::unix::fs::MetadataExt;
    let connection = rusqlite::Connection::open(bench.path("flb.db")).expect("a database");
    connection
        .execute_batch(
            "CREATE TABLE in_tail_files (id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER,
             created INTEGER, rotated INTEGER DEFAULT 0, offset_marker INTEGER DEFAULT 0,
             offset_marker_size INTEGER DEFAULT 0)",
        )
        .expect("a new table");
    for (name, offset, marker) in rows {
        let path = bench.path(name);
        let marker = buffer::positions::Fingerprint::of(marker.unwrap_or_default().as_bytes());
        connection
            .execute(
                "INSERT INTO in_tail_files (name, offset, inode, created, offset_marker, offset_marker_size)
                 VALUES (?1, ?2, ?3, 0, ?4, ?5)",
                rusqlite::params![
                    path.display().to_string(),
                    *offset as i64,
                    path.metadata().expect("it exists").ino() as i64,
                    marker.hash as i64,
                    marker.size
                ],
            )
            .expect("a row");
    }
}

#[tokio::test]
async fn fluent_bits_database_is_taken_over() {
    let mut bench = Bench::new("DB {dir}/flb.db");
    bench
        .append("a.log", "one\ntwo\n")
        .append("b.log", "one\ntwo\n")
        .append("c.log", "x\n");
    let rows = [
        ("a.log", 4, Some("one\n")),
        ("b.log", 4, Some("other content\n")),
        ("c.log", 0, None),
    ];
    fluent_bits(&bench, &rows);
    bench
        .rename("a.log", "a.log.1")
        .append("a.log", "three\n")
        .start();
    assert_eq!(sorted(&bench), ["one", "three", "two", "two", "x"]);
    bench.stop().await;
    let marker = "SELECT offset_marker FROM in_tail_files WHERE name LIKE '%/b.log'";
    let connection = rusqlite::Connection::open(bench.path("flb.db")).expect("a database");
    let stored: i64 = connection
        .query_row(marker, [], |row| row.get(0))
        .expect("a row");
    let expected = buffer::positions::Fingerprint::of(b"one\ntwo\n");
    assert_eq!(
        stored, expected.hash as i64,
        "Fluent Bit can go on from here"
    );
}

#[tokio::test]
async fn rows_of_another_instance_are_left_alone() {
    let mut bench = stopped("Read_from_Head on\nDB {dir}/flb.db\nPath {dir}/a.log").await;
    let mut other = Bench::new("Read_from_Head on\nPath {dir}/b.log");
    other.append("b.log", "b\n");
    let text = format!("Path {{dir}}/b.log\nDB {}", bench.path("flb.db").display());
    let mut other = Bench::new(&text);
    other.append("b.log", "").start().stop().await;
    assert_eq!(bench.rows().len(), 2);
    bench.append("a.log", "three\n").start();
    assert_eq!(bench.lines(), ["three"]);
}

#[tokio::test]
async fn the_name_counts_if_that_is_asked_for() {
    let text = "Read_from_Head on\nDB {dir}/flb.db\nDB.Compare_Filename on\nPath {dir}/*";
    let mut bench = Bench::new(&format!("{text}.log"));
    bench.append("a.log", "one\n").start().stop().await;
    bench.rename("a.log", "b.log").start();
    assert_eq!(
        bench.lines(),
        ["one", "one"],
        "another name is another file"
    );
}

#[tokio::test(start_paused = true)]
async fn positions_are_written_about_once_a_second() {
    let mut bench = Bench::new(DB);
    bench.append("a.log", "one\n").start();
    bench.road.settle();
    bench.pass(Duration::from_millis(500)).await;
    bench.pass(Duration::from_millis(600)).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while bench.rows() != [("a.log".to_owned(), 4, false)] {
        assert!(std::time::Instant::now() < deadline, "{:?}", bench.rows());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_that_is_cut_short_keeps_what_was_delivered() {
    let mut bench = Bench::new(DB);
    bench.append("a.log", "one\ntwo\n").start();
    bench.road.settle_record(0, 0);
    bench.follower = None;
    assert_eq!(bench.rows(), [("a.log".to_owned(), 4, false)]);
}

#[tokio::test]
async fn generations_that_the_last_instance_did_not_see_are_read_by_the_next() {
    let mut bench =
        Bench::new("Path {dir}/a.log\nRead_from_Head on\nDB {dir}/flb.db\nInotify_Watcher off");
    bench.append("a.log", "0\n").start();
    bench.remove("a.log").append("a.log", "1\n");
    bench.rename("a.log", "a.log.1").append("a.log", "2\n");
    bench.hand_over().await;
    bench
        .rename("a.log.1", "a.log.2")
        .rename("a.log", "a.log.1");
    bench.append("a.log", "3\n").start();
    assert_eq!(
        sorted(&bench),
        ["0", "0", "0", "1", "2", "3"],
        "`0` was refused twice"
    );
}

#[tokio::test]
async fn a_deleted_file_goes_on_after_a_handover() {
    for database in ["", "\nDB {dir}/flb.db"] {
        let text = format!("Read_from_Head on\nPath {{dir}}/a.log{database}");
        let mut bench = Bench::new(&text).with_budget(20_000);
        let lines: String = (0..5_000).map(|n| format!("{n:05}\n")).collect();
        bench.append("a.log", &lines).start();
        assert!(bench.lines().len() < 5_000);
        bench.road.settle_record(0, 0);
        bench.hand_over().await;
        bench.remove("a.log").append("a.log", "new\n");
        bench.road.take();
        bench.start();
        let mut seen = bench.lines();
        for _ in 0..100 {
            bench.road.settle();
            bench.run();
            seen.extend(bench.lines());
        }
        seen.sort();
        let mut expected: Vec<String> = (1..5_000).map(|n| format!("{n:05}")).collect();
        expected.push("new".to_owned());
        assert_eq!(seen, expected, "{database}");
    }
}

#[tokio::test]
async fn a_damaged_database_means_twice_rather_than_never() {
    let mut bench = Bench::new("DB {dir}/flb.db\nPath {dir}/a.log");
    bench.append("a.log", "").start();
    bench.append("a.log", "one\n").run().stop().await;
    bench.lines();
    std::fs::write(bench.path("flb.db"), vec![0; 4096]).expect("room");
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(bench.path(&format!("flb.db{ending}")));
    }
    bench.append("a.log", "two\n").start();
    assert_eq!(bench.lines(), ["one", "two"]);
    assert_eq!(bench.logged("was damaged and is now"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_whose_directory_was_removed_is_made_again() {
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/state/flb.db\nPath {dir}/*.log");
    std::fs::create_dir(bench.path("state")).expect("a directory");
    bench
        .append("a.log", "one\n")
        .append("b.log", "two\n")
        .start();
    bench.road.settle();
    bench.save().await;
    std::fs::remove_dir_all(bench.path("state")).expect("it exists");
    bench.append("a.log", "three\n").run();
    bench.road.settle();
    bench.save().await;
    bench.pass(Duration::from_secs(2)).await;
    bench.save().await;
    assert_eq!(bench.lines(), ["one", "two", "three"]);
    bench.crash();
    bench.append("a.log", "four\n").start();
    assert_eq!(bench.lines(), ["four"], "both rows are there again");
}

#[tokio::test]
async fn old_but_unread_bytes_of_a_known_file_are_read() {
    let mut bench = Bench::new("Read_from_Head on\nIgnore_Older 1h\nDB {dir}/flb.db");
    bench.append("a.log", "one\n").start().stop().await;
    bench.append("a.log", "two\n");
    for hours in [-2_i64, 9_000] {
        let now = std::time::SystemTime::now();
        let shift = Duration::from_secs(hours.unsigned_abs() * 3_600);
        let time = if hours < 0 { now - shift } else { now + shift };
        let file = std::fs::File::options()
            .write(true)
            .open(bench.path("a.log"));
        let file = file.expect("it exists");
        file.set_modified(time).expect("its time can be set");
        bench.start().stop().await;
        bench.append("a.log", "three\n");
    }
    assert_eq!(bench.lines(), ["one", "two", "three"]);
}

#[tokio::test]
async fn a_content_has_the_same_name_after_a_restart_and_in_a_copy() {
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/flb.db\nPath {dir}/a.log");
    bench.append("a.log", "one\n").start();
    let first = bench.road.origins();
    bench.save().await.crash();
    bench.start();
    assert_eq!(bench.road.origins(), first, "read again after a crash");
    bench.stop().await;
    bench.append("a.log", "two\n").copy("a.log", "a.log.1");
    bench.truncate("a.log").append("a.log", "uno\n").start();
    let mut origins = bench.road.origins();
    assert_eq!(origins.len(), 2);
    origins.retain(|origin| !first.contains(origin));
    assert_eq!(origins.len(), 1, "the new content is another one");
}
