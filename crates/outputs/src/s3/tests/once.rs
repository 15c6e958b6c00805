//! What inputs read again after a kill, because they had not noted that they had read it: it is there once.

use proptest::prelude::*;
use record::{Origin, Position};

use super::restart::buffers;
use super::server::Fault;
use super::*;

/// Records that stand for their numbers.
fn positioned(tag: &str, origin: Origin, first: u32, lines: &[String]) -> Batch {
    let mut batch = batch(tag, lines).with_origin(origin);
    for (number, record) in (first..).zip(batch.records_mut()) {
        record.position = Position {
            offset: number.into(),
            len: 1,
        };
    }
    batch
}

fn small(tag: &str, origin: Origin, numbers: std::ops::Range<u32>) -> Batch {
    positioned(tag, origin, numbers.start, &numbered(numbers))
}

fn file() -> Origin {
    Origin::of(&[b"file"])
}

#[test]
fn what_is_in_the_store_is_not_stored_again() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let mut run = bench.run();
        run.send_batch(&small("a", file(), 0..5)).await;
        run.send_batch(&small("a", file(), 5..9)).await;
        bench.kill(run).await;
        let mut run = bench.run();
        run.send_batch(&small("a", file(), 3..12)).await;
        assert_eq!(run.number("already_stored_total"), 6);
        run.close().await;
        each_once(&bench.server, 0..12);
    });
}

#[test]
fn what_is_in_the_bucket_is_not_stored_again() {
    for kills in 1..4 {
        on_a_shard(async move {
            let bench = Bench::new(&[]).await;
            let mut run = bench.run();
            run.send_batch(&small("a", file(), 0..5)).await;
            run.output.deliver.close().await;
            for _ in 0..kills {
                bench.kill(run).await;
                assert_eq!((bench.files("buffer"), bench.files("done")), (0, 1));
                run = bench.run();
                assert!(run.formatted(&small("a", file(), 0..5)).is_empty());
            }
            run.send_batch(&small("a", file(), 4..7)).await;
            run.close().await;
            each_once(&bench.server, 0..7);
        });
    }
}

/// Three records that were made of one.
fn three_of_one() -> Batch {
    let mut batch = small("a", file(), 3..6);
    let records = batch.records_mut().iter_mut();
    records.for_each(|record| record.position.offset = 3);
    batch
}

#[test]
fn only_the_same_record_is_a_repeat() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let mut run = bench.run();
        run.send_batch(&small("a", file(), 0..3)).await;
        run.send_batch(&three_of_one()).await;
        run.send_batch(&small("a", Origin::NONE, 6..9)).await;
        bench.kill(run).await;
        let mut run = bench.run();
        for (batch, repeats) in [
            (small("a", file(), 0..3), 3),
            (three_of_one(), 3),
            (small("a", Origin::NONE, 6..9), 0),
            (small("b", file(), 0..3), 0),
            (small("a", Origin::of(&[b"copy"]), 0..3), 0),
        ] {
            let before = run.number("already_stored_total");
            run.formatted(&batch);
            assert_eq!(run.number("already_stored_total") - before, repeats);
        }
        drop(run);
    });
}

#[test]
fn each_output_has_its_own() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let mut run = bench.run();
        run.send_batch(&small("a", file(), 0..3)).await;
        bench.kill(run).await;
        let mut other = bench.run_as(OutputContext {
            name: "s3.1".into(),
            ..context()
        });
        assert_eq!(other.formatted(&small("a", file(), 0..3)).len(), 1);
        assert_eq!(other.number("already_stored_total"), 0);
        drop(other);
    });
}

/// The content of a file of the version whose frames did not say what they hold.
fn old_version(buffer: &[u8], chunks: &[&[u8]]) -> Vec<u8> {
    let len: [u8; 4] = buffer[..4].try_into().expect("four");
    let description = &buffer[8..8 + u32::from_le_bytes(len) as usize];
    let mut description: serde_json::Value = serde_json::from_slice(description).expect("JSON");
    let fields = description.as_object_mut().expect("an object");
    assert!(fields.remove("output").is_some());
    let description = serde_json::to_vec(&description).expect("JSON");
    let mut old = Vec::new();
    for content in [&[&description[..]], chunks].concat() {
        let checked = [&(old.len() as u64).to_le_bytes()[..], content].concat();
        old.extend((content.len() as u32).to_le_bytes());
        old.extend(crc32fast::hash(&checked).to_le_bytes());
        old.extend(content);
    }
    old
}

#[test]
fn an_older_store_is_uploaded() {
    on_a_shard(async {
        let bench = Bench::new(&[]).await;
        let mut run = bench.run();
        run.send("a", &numbered(0..5)).await;
        bench.kill(run).await;
        let path = buffers(bench.folder.path()).remove(0);
        let bytes = std::fs::read(&path).expect("readable");
        let chunks: [&[u8]; 2] = [b"{\"n\":0}\n{\"n\":1}\n", b"{\"n\":2}\n"];
        std::fs::write(&path, old_version(&bytes, &chunks)).expect("written");
        let mut run = bench.run();
        run.send_batch(&small("a", file(), 3..6)).await;
        run.close().await;
        each_once(&bench.server, 0..6);
    });
}

#[test]
fn an_upload_in_parts_is_made_once() {
    // Killed before the answer to each of these is heard.
    const REQUESTS: [&str; 5] = ["POST /t/", "PUT /t/", "PUT /t/", "PUT /t/", "POST /t/"];
    for (index, request) in REQUESTS.into_iter().enumerate() {
        on_a_shard(async move {
            let options = [("total_file_size", "11M"), ("s3_key_format", "/$TAG/$UUID")];
            let bench = Bench::new(&options).await;
            let before = REQUESTS[..index].iter().filter(|one| **one == request);
            let before = before.count();
            (0..before).for_each(|_| bench.server.then(request, Fault::Good));
            bench.server.then(request, Fault::Silent);
            let records = |numbers: std::ops::Range<u32>| {
                let lines: Vec<String> = numbers.clone().flat_map(large).collect();
                positioned("t", file(), numbers.start, &lines)
            };
            let mut run = bench.run();
            run.send_batch(&records(0..11)).await;
            while bench.server.seen(request) <= before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            bench.kill(run).await;
            let mut run = bench.run();
            run.send_batch(&records(0..11)).await;
            run.send_batch(&records(11..12)).await;
            run.close().await;
            each_once(&bench.server, 0..12);
            assert_eq!(bench.server.keys().len(), 2);
            assert_eq!(bench.files("done"), 2);
        });
    }
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    /// A source's next records are read.
    Read(usize, u32),
    /// All that was delivered is noted.
    Note,
    /// Everything is uploaded, or the time for it ends.
    Close(u64),
    /// The process is killed while it writes so many records of a source; so much of the frame gets to the disk.
    Kill(usize, u32, u8),
    /// The next request goes wrong.
    Fault(Fault),
}

fn step() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        Just(Fault::Good),
        Just(Fault::Refused(503, "SlowDown")),
        Just(Fault::CutAfter),
        Just(Fault::ErrorAfter),
    ];
    prop_oneof![
        6 => (0..3_usize, 1..20_u32).prop_map(|(source, count)| Step::Read(source, count)),
        1 => Just(Step::Note),
        1 => (0..20_u64).prop_map(Step::Close),
        2 => (0..3_usize, 1..20_u32, any::<u8>())
            .prop_map(|(source, count, torn)| Step::Kill(source, count, torn)),
        1 => fault.prop_map(Step::Fault),
    ]
}

/// How far a source is read, and how far that is noted.
#[derive(Clone, Copy, Default)]
struct Reader {
    read: u32,
    noted: u32,
}

/// Two sources share a tag, and two tags a source.
const SOURCES: [(&str, &[u8]); 3] = [("a", b"one"), ("a", b"two"), ("b", b"one")];
/// The numbers of a source begin so far behind those of the one before.
const APART: u32 = 100_000;

/// The next records of a source.
fn next(readers: &[Reader], source: usize, count: u32) -> Batch {
    let (tag, name) = SOURCES[source];
    let from = source as u32 * APART + readers[source].read;
    small(tag, Origin::of(&[name]), from..from + count)
}

async fn play(steps: &[Step]) {
    let mut bench = Bench::new(&[("s3_key_format", "/$TAG/$UUID")]).await;
    bench.small = true;
    let mut run = bench.run();
    let mut readers = [Reader::default(); SOURCES.len()];
    for step in steps {
        match step {
            Step::Read(source, count) => {
                run.send_batch(&next(&readers, *source, *count)).await;
                readers[*source].read += count;
            }
            Step::Note => readers.iter_mut().for_each(|one| one.noted = one.read),
            Step::Close(millis) => {
                let close = run.output.deliver.close();
                let _ = tokio::time::timeout(Duration::from_millis(*millis), close).await;
            }
            Step::Kill(source, count, torn) => {
                let batch = next(&readers, *source, *count);
                kill_while_writing(&bench, run, &batch, *torn).await;
                run = bench.run();
                readers.iter_mut().for_each(|one| one.read = one.noted);
            }
            Step::Fault(fault) => bench.server.then("", *fault),
        }
    }
    // The inputs read on up to where they had been, and further.
    for source in 0..SOURCES.len() {
        run.send_batch(&next(&readers, source, 200)).await;
        readers[source].read += 200;
    }
    run.close().await;
    let counts = counted(&bench.server);
    let twice: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert!(twice.is_empty(), "repeated: {twice:?}");
    let expected = readers.iter().zip(0..).flat_map(|(reader, source)| {
        let first = source * APART;
        first..first + reader.read
    });
    let missing: Vec<u32> = expected.filter(|one| !counts.contains_key(one)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
}

/// Ends a run while a frame is being written, of which only a part gets to the disk if nobody heard of it.
async fn kill_while_writing(bench: &Bench, mut run: Run, batch: &Batch, torn: u8) {
    let before = lengths(bench);
    let mut unheard = true;
    for request in &run.formatted(batch) {
        let written = run.output.deliver.deliver(request);
        let written = tokio::time::timeout(Duration::from_micros(1), written).await;
        unheard &= written.is_err();
    }
    bench.kill(run).await;
    if !unheard {
        return;
    }
    for (path, len) in lengths(bench) {
        let old = before.get(&path).copied().unwrap_or(0);
        let kept = old + (len - old) * u64::from(torn) / 255;
        let file = File::options().write(true).open(path).expect("there");
        file.set_len(kept).expect("cut");
    }
}

/// The lengths of all buffer files.
fn lengths(bench: &Bench) -> BTreeMap<std::path::PathBuf, u64> {
    let all = buffers(bench.folder.path()).into_iter();
    all.map(|path| {
        let len = std::fs::metadata(&path).map_or(0, |data| data.len());
        (path, len)
    })
    .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_or_there_twice(steps in prop::collection::vec(step(), 1..30)) {
        on_a_shard(play(&steps));
    }
}
