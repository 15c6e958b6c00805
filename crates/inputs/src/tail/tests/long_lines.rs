//! Lines that are longer than memory should be taken for.

use super::bench::Bench;

fn bench(text: &str) -> Bench {
    Bench::new(&format!("Read_from_Head on\n{text}"))
}

/// A line of `len` bytes, its newline not counted.
fn long(len: usize) -> String {
    let mut line: String = (0..len)
        .map(|i| char::from(b'a' + (i / 7 % 26) as u8))
        .collect();
    line.push('\n');
    line
}

fn lengths(bench: &Bench) -> Vec<usize> {
    bench.lines().iter().map(String::len).collect()
}

#[test]
fn the_limit_is_fluent_bits() {
    for (text, len, kept) in [
        ("Skip_Long_Lines on", 32_766, Some(32_766)),
        ("Skip_Long_Lines on", 32_767, None),
        ("Truncate_Long_Lines on", 32_766, Some(32_766)),
        ("Truncate_Long_Lines on", 32_767, Some(32_767)),
        ("Truncate_Long_Lines on", 40_000, Some(32_767)),
        (
            "Truncate_Long_Lines on\nSkip_Long_Lines on",
            40_000,
            Some(32_767),
        ),
        ("", 40_000, Some(40_000)),
        ("", 1_000_000, Some(1_000_000)),
    ] {
        let mut bench = bench(text);
        bench
            .append("a.log", "before\n")
            .append("a.log", &long(len))
            .append("a.log", "after\n");
        bench.start();
        let expected: Vec<usize> = [Some(6), kept, Some(5)].into_iter().flatten().collect();
        assert_eq!(lengths(&bench), expected, "{text} {len}");
        bench.road.settle();
        assert!(
            bench
                .run()
                .follower
                .as_ref()
                .is_some_and(|f| f.is_settled())
        );
    }
}

#[test]
fn dropped_lines_are_counted_once_however_slowly_they_come() {
    let mut bench = bench("Skip_Long_Lines on");
    bench.append("a.log", "before\n").start();
    let line = long(100_000);
    for part in line.as_bytes().chunks(9_000) {
        bench
            .append("a.log", std::str::from_utf8(part).expect("ASCII"))
            .run();
    }
    bench.append("a.log", "after\n").run();
    bench.append("a.log", &line).append("a.log", "end\n").run();
    assert_eq!(bench.lines(), ["before", "after", "end"]);
    assert_eq!(bench.count("long_line_skipped_total"), 2);
    assert_eq!(bench.dropped("long_line"), 2);
    assert_eq!(bench.logged("have long lines. Skipping long lines."), 1);
}

#[test]
fn the_beginning_of_a_long_line_does_not_wait_for_its_end() {
    let mut bench = bench("Truncate_Long_Lines on");
    bench.append("a.log", &"é".repeat(20_000)).start();
    assert_eq!(lengths(&bench), [32_766], "cut between characters");
    bench.append("a.log", &"é".repeat(50_000)).run();
    assert_eq!(lengths(&bench), [0; 0]);
    bench.append("a.log", "\nafter\n").run();
    assert_eq!(bench.lines(), ["after"]);
    assert_eq!(bench.count("long_line_truncated_total"), 1);
}

#[tokio::test]
async fn the_rest_of_a_cut_line_is_dropped_after_a_restart_too() {
    let mut bench = bench("Truncate_Long_Lines on\nDB {dir}/flb.db");
    bench.append("a.log", &"x".repeat(50_000)).start();
    assert_eq!(lengths(&bench), [32_767]);
    bench.stop().await;
    bench.append("a.log", "rest\nafter\n");
    bench.start();
    assert_eq!(bench.lines(), ["after"]);
}

#[test]
fn an_endless_line_is_handed_over_in_parts() {
    let mut bench = bench("");
    bench.append("a.log", "before\n").start();
    let line = long(10 << 20);
    bench.append("a.log", &line[..line.len() - 1]).run();
    let mut lines = bench.lines();
    assert_eq!(lines.len(), 11, "all but what may still become a line");
    bench.append("a.log", "\nafter\n").run();
    lines.extend(bench.lines());
    assert_eq!((lines[0].as_str(), lines[12].as_str()), ("before", "after"));
    assert!(lines[1..11].iter().all(|part| part.len() == 1_000_000));
    assert!(
        lines[1..12].concat() == line[..line.len() - 1],
        "nothing is missing"
    );
    assert_eq!(bench.count("long_line_split_total"), 10);
    bench.road.settle();
    assert!(
        bench
            .run()
            .follower
            .as_ref()
            .is_some_and(|f| f.is_settled())
    );
}

#[test]
fn an_endless_line_holds_no_memory() {
    let mut bench = bench("").with_budget(2_000_000);
    bench.append("a.log", &"x".repeat(900_000)).start();
    assert_eq!(bench.budget.used(), 0);
    bench.append("a.log", "\n").run();
    assert_eq!(lengths(&bench), [900_000]);
    assert!(bench.budget.used() >= 900_000);
    bench.road.settle();
    assert_eq!(bench.budget.used(), 0);
}
