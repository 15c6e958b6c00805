//! What arrives in the bucket when the router is killed: everything that was acknowledged, once.

use std::path::PathBuf;

use proptest::prelude::*;

use super::super::object;
use super::server::Fault;
use super::*;

#[test]
fn what_a_killed_run_left_is_uploaded_by_the_next() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let mut run = bench.run();
        run.send("a", &numbered(0..5)).await;
        run.send("b", &numbered(5..9)).await;
        bench.kill(run).await;
        assert!(bench.server.keys().is_empty());
        // A write was torn by the kill.
        let buffers = buffers(bench.folder.path());
        assert_eq!(buffers.len(), 2);
        let mut torn = std::fs::read(&buffers[0]).expect("readable");
        torn.extend_from_slice(&[200, 1, 0, 0, 1, 2, 3, 4, b'{', b'"']);
        std::fs::write(&buffers[0], torn).expect("written");
        let run = bench.run();
        run.until("uploads_total", 2).await;
        each_once(&bench.server, 0..9);
        drop(run);
    });
}

#[test]
fn a_damaged_file_is_kept_and_its_whole_part_uploaded() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let mut run = bench.run();
        for number in 0..3 {
            run.send("a", &numbered(number..number + 1)).await;
        }
        bench.kill(run).await;
        let path = buffers(bench.folder.path()).remove(0);
        let mut bytes = std::fs::read(&path).expect("readable");
        let at = bytes
            .windows(5)
            .position(|window| window == b"\"n\":1")
            .expect("there");
        bytes[at] = b'X';
        std::fs::write(&path, bytes).expect("written");
        let run = bench.run();
        run.until("uploads_total", 1).await;
        each_once(&bench.server, 0..1);
        assert_eq!(bench.files("damaged"), 1);
        drop(run);
    });
}

#[test]
fn a_crash_between_upload_and_cleanup_makes_no_second_copy() {
    for format in ["/$TAG/$UUID", "/$TAG/x", "/$TAG-$INDEX"] {
        on_a_shard(async move {
            let bench = Bench::new(&[("s3_key_format", format)]).await;
            bench.server.then("PUT ", Fault::CutAfter);
            bench.server.then("PUT ", Fault::Silent);
            let mut run = bench.run();
            run.send("t", &numbered(0..4)).await;
            {
                // The stop gets no further than the upload of which it never hears.
                let close = run.output.deliver.close();
                tokio::pin!(close);
                while bench.server.seen("PUT ") < 2 {
                    let _ = tokio::time::timeout(Duration::from_millis(1), &mut close).await;
                }
            }
            bench.kill(run).await;
            assert_eq!((bench.files("buffer"), bench.server.keys().len()), (1, 1));
            let run = bench.run();
            run.until("uploads_total", 1).await;
            each_once(&bench.server, 0..4);
            assert_eq!(bench.server.keys().len(), 1, "{format}");
            assert_eq!(bench.files("buffer"), 0);
            drop(run);
        });
    }
}

#[test]
fn an_upload_in_parts_goes_on_after_a_restart() {
    on_a_shard(async {
        let bench =
            Bench::new(&[("total_file_size", "11M"), ("s3_key_format", "/$TAG/$UUID")]).await;
        for fault in [Fault::Good, Fault::Good, Fault::Silent] {
            bench.server.then("PUT /t/", fault);
        }
        let mut run = bench.run();
        for number in 0..11 {
            run.send("t", &large(number)).await;
        }
        while bench.server.seen("PUT /t/") < 3 || parts_noted(bench.folder.path()) < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.kill(run).await;
        let run = bench.run();
        run.until("uploads_total", 1).await;
        each_once(&bench.server, 0..11);
        assert_eq!(
            bench.server.seen("POST /t/"),
            2,
            "begun once, completed once"
        );
        assert_eq!(
            bench.server.seen("PUT /t/"),
            4,
            "only the third part was sent again"
        );
        drop(run);
    });
}

#[test]
fn a_completed_upload_whose_answer_was_lost_is_not_repeated() {
    on_a_shard(async {
        let bench =
            Bench::new(&[("total_file_size", "11M"), ("s3_key_format", "/$TAG/$UUID")]).await;
        bench.server.then("POST /t/", Fault::Good);
        bench.server.then("POST /t/", Fault::CutAfter);
        bench.server.then("POST /t/", Fault::Silent);
        let mut run = bench.run();
        for number in 0..11 {
            run.send("t", &large(number)).await;
        }
        while bench.server.seen("POST /t/") < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.kill(run).await;
        bench.server.expire_uploads();
        let run = bench.run();
        run.until("uploads_total", 1).await;
        each_once(&bench.server, 0..11);
        assert_eq!(bench.server.seen("PUT /t/"), 3, "no part was sent twice");
        drop(run);
    });
}

#[test]
fn compressed_objects_survive_too() {
    on_a_shard(async {
        let bench = Bench::new(&[("compression", "zstd"), ("s3_key_format", "/$TAG")]).await;
        bench.server.then("PUT ", Fault::Silent);
        let mut run = bench.run();
        run.send("t", &numbered(0..1_000)).await;
        {
            let close = run.output.deliver.close();
            tokio::pin!(close);
            while bench.server.seen("PUT ") < 1 {
                let _ = tokio::time::timeout(Duration::from_millis(1), &mut close).await;
            }
        }
        bench.kill(run).await;
        assert_eq!(bench.files("body"), 1);
        let run = bench.run();
        run.until("uploads_total", 1).await;
        let objects = bench.server.objects();
        let object = objects.values().next().expect("one");
        let plain = zstd::decode_all(&object.body[..]).expect("zstd");
        assert_eq!(plain.split_inclusive(|byte| *byte == b'\n').count(), 1_000);
        assert_eq!(bench.files("body") + bench.files("buffer"), 0);
        drop(run);
    });
}

pub(super) fn buffers(folder: &Path) -> Vec<PathBuf> {
    paths(folder, "buffer")
}

/// How many parts the uploads below a folder have sent, as far as that is stored.
fn parts_noted(folder: &Path) -> usize {
    let stored = paths(folder, "upload").into_iter();
    let progress = stored.filter_map(|path| object::load::<object::Progress>(&path));
    progress
        .filter_map(|progress| Some(progress.parts?.sent()))
        .sum()
}

/// The files below a folder whose names end so, sorted.
fn paths(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.append(&mut paths(&path, end));
        } else if path.extension().is_some_and(|found| found == end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    /// Records of a tag arrive.
    Send(usize, u32),
    /// Everything is sealed and uploaded, or the time for it ends.
    Close(u64),
    /// The process is killed and started again.
    Kill,
    /// The next request goes wrong.
    Fault(Fault),
    /// A little time passes.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Good),
        Just(Fault::Refused(500, "InternalError")),
        Just(Fault::Refused(503, "SlowDown")),
        Just(Fault::Refused(404, "NoSuchUpload")),
        Just(Fault::Refused(400, "InvalidPart")),
        Just(Fault::Cut),
        Just(Fault::CutAfter),
        Just(Fault::ErrorAfter),
    ];
    prop_oneof![
        4 => (0..3_usize, 1..20_u32).prop_map(|(tag, count)| Step::Send(tag, count)),
        1 => (0..20_u64).prop_map(Step::Close),
        1 => Just(Step::Kill),
        3 => fault.prop_map(Step::Fault),
        1 => Just(Step::Wait),
    ]
}

const TAGS: [&str; 3] = ["a", "b.c", "d e"];

async fn play(steps: &[Step], format: &'static str, encoding: &'static str) {
    let options = [("s3_key_format", format), ("compression", encoding)];
    let mut bench = Bench::new(&options).await;
    bench.small = true;
    let mut run = bench.run();
    let mut sent = 0;
    for step in steps {
        match step {
            Step::Send(tag, count) => {
                run.send(TAGS[*tag], &numbered(sent..sent + count)).await;
                sent += count;
            }
            Step::Close(millis) => {
                let close = run.output.deliver.close();
                let _ = tokio::time::timeout(Duration::from_millis(*millis), close).await;
            }
            Step::Kill => {
                bench.kill(run).await;
                run = bench.run();
            }
            Step::Fault(fault) => bench.server.then("", *fault),
            Step::Wait => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
    bench.kill(run).await;
    bench.run().close().await;
    assert_eq!(bench.files("buffer"), 0, "nothing stays behind");
    let mut objects = bench.server.objects();
    let mut counts = BTreeMap::new();
    for object in objects.values_mut() {
        let plain = match encoding {
            "none" => object.body.clone(),
            _ => zstd::decode_all(&object.body[..]).expect("zstd"),
        };
        for line in plain.split_inclusive(|byte| *byte == b'\n') {
            let line: serde_json::Value = serde_json::from_slice(line).expect("a whole line");
            *counts
                .entry(line["n"].as_u64().expect("a number") as u32)
                .or_insert(0) += 1;
        }
    }
    let expected: BTreeMap<u32, i32> = (0..sent).map(|number| (number, 1)).collect();
    assert_eq!(counts, expected);
    assert_eq!(bench.server.replaced(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn every_record_arrives_once(
        steps in prop::collection::vec(step(), 1..30),
        format in prop_oneof![Just("/$TAG/$UUID"), Just("/$TAG/%S"), Just("/$INDEX"), Just("/x")],
        encoding in prop_oneof![Just("none"), Just("zstd")],
    ) {
        on_a_shard(play(&steps, format, encoding));
    }
}
