//! Going to Fluent Bit and back with one database. `FLUENT_BIT` is the path of its program; without it the test says that it is
//! skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::bench::Bench;

/// Lets Fluent Bit read until it has delivered `count` lines, then stops it in order; gives the lines.
fn fluent_bit(program: &Path, bench: &Bench, count: usize) -> Vec<String> {
    let out = bench.path("out");
    std::fs::create_dir_all(&out).expect("room");
    let config = bench.path("fluent-bit.conf");
    let text = format!(
        "[SERVICE]\n  Flush 0.2\n  Grace 3\n[INPUT]\n  Name tail\n  Path {0}/*.log\n  DB {0}/flb.db\n  Read_from_Head on\n  \
         Refresh_Interval 1\n[OUTPUT]\n  Name file\n  Match *\n  Path {1}\n  File lines\n  Format template\n  Template {{log}}\n",
        bench.path("").display(),
        out.display()
    );
    std::fs::write(&config, text).expect("room");
    let mut child = Command::new(program)
        .arg("-q")
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("FLUENT_BIT is a program");
    let lines = || -> Vec<String> {
        let text = std::fs::read_to_string(out.join("lines")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    let begin = Instant::now();
    while lines().len() < count && begin.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(20));
    }
    // SAFETY: it is our child, and was not waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    child.wait().expect("it ends");
    let all = lines();
    std::fs::remove_file(out.join("lines")).unwrap_or_default();
    all
}

#[tokio::test]
async fn there_and_back_nothing_is_lost_and_nothing_comes_twice() {
    let Some(program) = std::env::var_os("FLUENT_BIT").map(PathBuf::from) else {
        println!("skipped: FLUENT_BIT is not set");
        return;
    };
    let numbered =
        |from: usize, to: usize| -> String { (from..to).map(|n| format!("line {n}\n")).collect() };
    let mut bench = Bench::new("Read_from_Head on\nDB {dir}/flb.db\nPath {dir}/*.log");
    let mut seen = Vec::new();
    let mut next = 0;
    for round in 0..3 {
        // Flumen reads; the file is rotated while it runs, and once more while nobody does.
        bench.append("a.log", &numbered(next, next + 100));
        bench.start();
        bench.rename_generations();
        bench
            .append("a.log", &numbered(next + 100, next + 150))
            .run();
        bench.stop().await;
        seen.extend(bench.lines());
        bench.append("a.log", &numbered(next + 150, next + 200));
        // Fluent Bit reads on.
        seen.extend(fluent_bit(&program, &bench, 50));
        bench.append("a.log", &numbered(next + 200, next + 250));
        if round > 0 {
            // It forgets files that do not match its pattern; Flumen does not.
            bench.rename_generations();
            bench.append("a.log", &numbered(next + 250, next + 300));
        } else {
            bench.append("a.log", &numbered(next + 250, next + 300));
        }
        next += 300;
        bench.start().stop().await;
        seen.extend(bench.lines());
    }
    let read = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(
        (seen.len(), read),
        (next, next),
        "lines that came, and how often in all"
    );
}
