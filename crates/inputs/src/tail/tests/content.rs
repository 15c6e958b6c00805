//! What becomes of the bytes of a file.

use super::bench::{Bench, Seen, append, options};

/// The lines of a file with this content.
fn read(text: &str, content: &str) -> Vec<String> {
    let mut bench = Bench::new(&format!("Read_from_Head on\n{text}"));
    bench.append("a.log", content);
    bench.start();
    bench.lines()
}

#[test]
fn lines_are_split_as_fluent_bit_does() {
    for (content, lines) in [
        ("one\ntwo\n", vec!["one", "two"]),
        ("one\r\n\r\n\r\r\nx\r\n", vec!["one", "\r", "\r", "x"]),
        ("one\n\n\ntwo\n", vec!["one", "", "", "two"]),
        ("no newline yet", vec![]),
        ("one\npart", vec!["one"]),
        ("", vec![]),
        ("\0\0\0one\n\0two\n", vec!["one", "\0two"]),
    ] {
        assert_eq!(read("", content), lines, "{content:?}");
    }
}

#[test]
fn empty_lines_can_be_left_out() {
    let lines = read("Skip_Empty_Lines on", "one\n\n\r\n\r\r\ntwo\n");
    assert_eq!(lines, ["one", "\r", "two"]);
}

#[test]
fn binary_garbage_passes_unchanged() {
    let mut bench = Bench::new("Read_from_Head on");
    let mut bytes: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
    bytes.remove(0);
    append(
        &bench.path("a.log"),
        &[&bytes[..], b"\n\xff\xfe\n"].concat(),
    );
    bench.start();
    let expected = [
        String::from_utf8_lossy(&bytes).into_owned(),
        String::from_utf8_lossy(b"\xff\xfe").into_owned(),
    ];
    assert_eq!(bench.lines(), expected);
}

#[test]
fn a_line_is_handed_over_when_it_is_complete() {
    let mut bench = Bench::new("");
    bench.append("a.log", "").start();
    for part in ["o", "n", "e"] {
        bench.append("a.log", part).run();
        assert_eq!(bench.lines(), [""; 0]);
    }
    bench.append("a.log", "\ntw").run();
    assert_eq!(bench.lines(), ["one"]);
    bench.append("a.log", "o\n").run();
    assert_eq!(bench.lines(), ["two"]);
}

#[test]
fn zeros_that_are_written_over_later_are_not_passed_over() {
    let mut bench = Bench::new("Read_from_Head on");
    append(&bench.path("a.log"), &[0; 100]);
    bench.start();
    assert_eq!(bench.lines(), [""; 0]);
    let file = std::fs::File::options()
        .write(true)
        .open(bench.path("a.log"))
        .expect("it exists");
    std::os::unix::fs::FileExt::write_all_at(&file, b"one\n", 0).expect("room");
    bench.run();
    assert_eq!(bench.lines(), ["one"]);
}

fn fields(text: &str, line: &str) -> Vec<Vec<(String, String)>> {
    let mut bench = Bench::new(&format!("Read_from_Head on\n{text}"));
    bench.append("a.log", line);
    bench.start();
    let seen = bench.road.take();
    let directory = bench.path("").display().to_string();
    let short = |(key, value): (String, String)| (key, value.replace(&directory, ""));
    seen.into_iter()
        .map(|seen| seen.fields.into_iter().map(short).collect())
        .collect()
}

#[test]
fn keys_stand_in_fluent_bits_order() {
    let keys = "Path_Key file\nOffset_Key at";
    for (text, line, expected) in [
        ("", "x\n", vec![("log", "x")]),
        ("Key message", "x\n", vec![("message", "x")]),
        (
            keys,
            "x\n",
            vec![("file", "a.log"), ("at", "0"), ("log", "x")],
        ),
        ("Parser pairs", "a=1 b=2\n", vec![("a", "1"), ("b", "2")]),
        (
            "Parser pairs\nPath_Key file\nOffset_Key at",
            "a=1 b=2\r\n",
            vec![("a", "1"), ("b", "2"), ("file", "a.log"), ("at", "0")],
        ),
        // What the parser rejects keeps its carriage return.
        (
            "Parser pairs\nOffset_Key at",
            "no pairs\r\n",
            vec![("at", "0"), ("log", "no pairs\r")],
        ),
    ] {
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(fields(text, line), [expected], "{text} {line:?}");
    }
}

#[test]
fn offsets_are_those_of_the_lines() {
    let mut bench = Bench::new("Read_from_Head on\nOffset_Key at");
    bench.append("a.log", "one\n\r\nthree\n").start();
    bench.append("a.log", "four\n").run();
    let at = |seen: Seen| (seen.offset, seen.fields[0].1.clone());
    let offsets: Vec<_> = bench.road.take().into_iter().map(at).collect();
    let expected = [0, 4, 6, 12].map(|offset: u64| (offset, offset.to_string()));
    assert_eq!(offsets, expected);
}

#[test]
fn an_unknown_parser_is_reported_and_lines_are_kept_whole() {
    let mut bench = Bench::new("Read_from_Head on\nParser pears\nDB {dir}/flb.db");
    bench.append("a.log", "a=1\n").start();
    assert_eq!(bench.lines(), ["a=1"]);
}

#[test]
fn a_parser_that_panics_costs_no_line() {
    let mut bench = Bench::new("Read_from_Head on\nParser pairs");
    bench.append("a.log", "a=1\npanic\n").start();
    assert_eq!(bench.lines(), ["a=1", "panic"]);
    bench.append("a.log", "b=2\n").run();
    assert_eq!(bench.lines(), ["2"]);
    assert_eq!(bench.logged("the parser panicked"), 1);
}

#[test]
fn the_tag_is_made_from_the_path() {
    let mut bench = Bench::new("Read_from_Head on\nTag_Regex /(?<name>[a-z]+)_[0-9]+\\.log$")
        .with_tag("app.<name>");
    bench.append("web_1.log", "x\n").append("other.log", "y\n");
    bench.start();
    let seen = bench.road.take();
    assert_eq!(seen.len(), 1, "a file that does not match is not read");
    assert_eq!(seen[0].tag, "app.web");
    let complaint = "invalid tag_regex pattern for file";
    assert_eq!(bench.logged(complaint), 1);
}

#[test]
fn excluded_files_are_not_read() {
    let mut bench = Bench::new("Read_from_Head on\nExclude_Path *b.log, /nowhere/*");
    bench.append("a.log", "a\n").append("b.log", "b\n");
    bench.start();
    assert_eq!(bench.lines(), ["a"]);
}

#[test]
fn a_file_that_two_patterns_find_is_read_once() {
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/a*.log, {dir}/*.log, {dir}/link");
    bench.append("a.log", "a\n").append("b.log", "b\n");
    std::os::unix::fs::symlink(bench.path("a.log"), bench.path("link")).expect("a link");
    std::fs::hard_link(bench.path("b.log"), bench.path("c.log")).expect("a link");
    bench.start();
    assert_eq!(bench.lines(), ["a", "b"]);
}

#[test]
fn compressed_files_are_named_and_left_alone() {
    let mut bench = Bench::new("Read_from_Head on\nPath {dir}/*");
    bench.append("a.log", "a\n").append("b.log.gz", "\x1f\n");
    bench.start().run();
    assert_eq!(bench.lines(), ["a"]);
    assert_eq!(bench.logged("is compressed and not read"), 1);
}

#[track_caller]
fn refused(text: &str) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    options(text, directory.path()).expect_err("a mistake")
}

#[test]
fn mistakes_in_options_are_explained() {
    for (text, message) in [
        ("Tag x", "needs 'path'"),
        ("Path ,", "'path' names no file"),
        ("Path /a\nRotate_Wait 0", "'rotate_wait' must not be 0"),
        ("Path /a\nRefresh_Interval 0", "the interval must not be 0"),
        (
            "Path /a\nBuffer_Max_Size 1k",
            "must not be below 'buffer_chunk_size'",
        ),
        (
            "Path /a\nDB.Journal_Mode fast",
            "not one of the allowed words",
        ),
        (
            "Path /a\nUnicode.Encoding auto",
            "'unicode.encoding' is not supported yet",
        ),
    ] {
        let refusal = refused(text);
        assert!(refusal.contains(message), "{text}: {refusal}");
    }
}

#[test]
fn options_of_fluent_bit_are_accepted() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "Path /a/*.log
        Exclude_Path *.gz
        Key log
        Read_from_Head on
        Read_newly_discovered_files_from_head off
        Refresh_Interval 10
        Watcher_Interval 2s
        Progress_Check_Interval 2s
        Progress_Check_Interval_nsec 5
        Rotate_Wait 5
        Docker_Mode off
        Docker_Mode_Flush 4
        Path_Key path
        Offset_Key offset
        Ignore_Older 1d
        Ignore_Active_Older_Files on
        Buffer_Chunk_Size 32k
        Buffer_Max_Size 5M
        Static_Batch_Size 50M
        Event_Batch_Size 50M
        Skip_Long_Lines on
        Truncate_Long_Lines on
        Skip_Empty_Lines on
        Exit_On_Eof off
        File_Cache_Advise on
        Inotify_Watcher off
        Parser docker
        Tag_Regex (?<a>x)
        DB /a/flb.db
        DB.Sync full
        DB.Locking true
        DB.Journal_Mode wal
        DB.Compare_Filename on
        Multiline off
        Multiline_Flush 4";
    options(text, directory.path()).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_table_is_sound() {
    let table = <super::super::Options as config::Options>::table();
    assert_eq!(config::table_faults(&table), [""; 0]);
}
