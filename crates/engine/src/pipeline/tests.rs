//! A pipeline of small instances through reloads, standstills and faults: every number arrives, and arrives once.

mod fakes;

use std::path::Path;
use std::sync::Arc;

use config::{Diagnostics, Document, MemoryHost};
use plugin::{Level, Parser, Parsers};
use tokio::task::LocalSet;

use super::*;
use fakes::{REGISTRY, WORLD};

struct NoParsers;

impl Parsers for NoParsers {
    fn make(&self, _: &str) -> Option<Box<dyn Parser>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

fn plan(sections: &str) -> Plan {
    plan_of(&format!(
        "[SERVICE]\n    Flush 0.1\n    Grace 5\n{sections}"
    ))
}

fn plan_of(text: &str) -> Plan {
    let main = Path::new("/flumen.conf");
    let host = MemoryHost::new().with_file(main, text);
    let mut diagnostics = Diagnostics::new();
    let document = Document::load(&host, Some(main), Vec::new(), &mut diagnostics);
    let parsers = Arc::new(NoParsers);
    let plan = Plan::new(&document, REGISTRY, parsers, "/".into(), &mut diagnostics);
    plan.unwrap_or_else(|| panic!("{diagnostics}"))
}

fn probe(options: &str) -> String {
    format!("[INPUT]\n    Name probe\n{options}\n")
}

fn sink(options: &str) -> String {
    format!("[OUTPUT]\n    Name sink\n    Match *\n{options}\n")
}

/// Runs a test beside a pipeline, which is stopped at its end; then every number up to the last must have arrived once.
async fn with_pipeline<F: Future<Output = ()>>(
    sections: String,
    test: impl FnOnce(Controller, Watched) -> F,
) {
    let local = LocalSet::new();
    local
        .run_until(async {
            WORLD.with(|world| world.reset());
            let pipeline = Pipeline::build(plan(&sections), Level::Off).expect("it can be built");
            let (controller, watched) = (pipeline.controller(), pipeline.watched().clone());
            let running = spawn_local(pipeline.run(std::future::pending()));
            test(controller.clone(), watched.clone()).await;
            controller.stop();
            running.await.expect("it does not panic");
            let (made, mut arrived) = WORLD.with(|world| (world.made(), world.arrived()));
            arrived.sort_unstable();
            assert!(made > 0);
            assert_eq!(arrived, (0..made).collect::<Vec<u64>>());
            let everything = watched.pipeline();
            assert_eq!(monitor::imbalances(&everything), [""; 0]);
        })
        .await;
}

async fn pass(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

fn built() -> Vec<String> {
    WORLD.with(|world| world.built())
}

fn made() -> u64 {
    WORLD.with(|world| world.made())
}

fn answer(answers: bool) {
    WORLD.with(|world| world.answer(answers));
}

#[tokio::test(start_paused = true)]
async fn what_is_the_same_runs_on() {
    let sections = probe("") + &sink("");
    with_pipeline(sections.clone(), async |controller, watched| {
        pass(500).await;
        let before = made();
        let reloaded = controller.reload(plan(&sections), Level::Off).await;
        assert_eq!(reloaded.expect("it can be").kept, 2);
        pass(500).await;
        assert!(made() > before);
        assert_eq!(built(), ["sink sink.0", "probe probe.0 from 0"]);
        assert_eq!(watched.reloads.get(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_input_reads_further_ahead_than_a_single_output_can_use() {
    let limit = async |sections: String| {
        let local = LocalSet::new();
        local
            .run_until(async {
                let pipeline = Pipeline::build(plan(&sections), Level::Off).expect("it can be");
                pipeline.built_inputs[0].seat.context.budget.limit()
            })
            .await
    };
    assert_eq!(limit(probe("") + &sink("")).await, 4 << 20);
    let own = probe("    Mem_Buf_Limit 9000000");
    assert_eq!(limit(own + &sink("")).await, 9_000_000);
    // Each may hold its share of the memory before it falls behind.
    assert_eq!(limit(probe("") + &sink("") + &sink("")).await, 0);
}

#[tokio::test(start_paused = true)]
async fn an_end_without_work_takes_no_time() {
    with_pipeline(probe("    Most 5") + &sink(""), async |controller, _| {
        pass(1_000).await;
        let begin = Instant::now();
        controller.stop();
        let ended = async {
            while controller
                .reload(plan(&(probe("") + &sink(""))), Level::Off)
                .await
                .is_ok()
            {}
        };
        ended.await;
        assert!(
            begin.elapsed() < Duration::from_secs(1),
            "{:?}",
            begin.elapsed()
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_early_is_followed_at_once() {
    with_pipeline(
        probe("    Gives early") + &sink(""),
        async |controller, _| {
            pass(300).await;
            answer(false);
            pass(300).await;
            let new = probe("    Gives early\n    Label b") + &sink("");
            let reloaded = controller.reload(plan(&new), Level::Off).await;
            let reloaded = reloaded.expect("it can be");
            assert_eq!((reloaded.kept, reloaded.changed), (1, 1));
            let before = made();
            pass(300).await;
            assert!(made() > before, "the new one reads while the old one waits");
            assert_eq!(built().len(), 3);
            answer(true);
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_gives_up_last_is_followed_after_its_answers() {
    with_pipeline(probe("") + &sink(""), async |controller, _| {
        pass(300).await;
        answer(false);
        pass(300).await;
        // Two reloads in a row: the second one counts.
        for label in ["b", "c"] {
            let new = probe(&format!("    Label {label}")) + &sink("");
            let reloaded = controller.reload(plan(&new), Level::Off).await;
            assert_eq!(reloaded.expect("it can be").changed, 1);
        }
        let before = made();
        pass(300).await;
        assert_eq!((made(), built().len()), (before, 2));
        answer(true);
        pass(300).await;
        assert!(made() > before);
        assert_eq!(built()[2], format!("probe probe.0 c from {before}"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn who_cannot_follow_leaves_the_former_one_in_place() {
    with_pipeline(probe("") + &sink(""), async |controller, watched| {
        pass(300).await;
        let bad = probe("    Fails yes") + &sink("");
        let reloaded = controller.reload(plan(&bad), Level::Off).await;
        assert_eq!(reloaded.expect("it can be").changed, 1);
        pass(300).await;
        let before = made();
        pass(300).await;
        assert!(made() > before, "the former one goes on");
        let alarms = watched.alarms.all();
        assert!(alarms[0].contains("told to fail"), "{alarms:?}");
        let good = probe("    Label d") + &sink("");
        controller
            .reload(plan(&good), Level::Off)
            .await
            .expect("it can be");
        pass(300).await;
        assert!(watched.alarms.is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_built_changes_nothing() {
    with_pipeline(probe("") + &sink(""), async |controller, watched| {
        pass(300).await;
        let bad = [
            probe("") + &sink("    Fails yes"),
            probe("") + &probe("    Alias other\n    Fails yes") + &sink("    Label x"),
        ];
        for bad in bad {
            let error = controller.reload(plan(&bad), Level::Off).await;
            let error = error.expect_err("something fails").to_string();
            assert!(error.contains("told to fail"), "{error}");
        }
        pass(300).await;
        assert_eq!(
            (watched.reloads.get(), watched.alarms.is_empty()),
            (0, true)
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_output_leaves_what_it_holds_to_the_new_one() {
    with_pipeline(probe("") + &sink(""), async |controller, watched| {
        pass(300).await;
        answer(false);
        pass(300).await;
        let new = probe("") + &sink("    Label b");
        let reloaded = controller.reload(plan(&new), Level::Off).await;
        assert_eq!(reloaded.expect("it can be").changed, 1);
        // What the former one has under way it waits for, and the watchdog ends that.
        let before = WORLD.with(|world| world.arrived().len());
        WORLD.with(|world| world.answer_label("b"));
        pass(1_000).await;
        assert!(WORLD.with(|world| world.arrived().len()) > before);
        pass(62_000).await;
        answer(true);
        pass(1_000).await;
        assert_eq!(
            watched.pipeline().outputs.len(),
            1,
            "the former one is gone"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_output_that_stands_still_is_built_anew() {
    with_pipeline(probe("    Most 50") + &sink(""), async |_, watched| {
        pass(200).await;
        answer(false);
        pass(59_000).await;
        assert!(watched.alarms.is_empty());
        pass(5_000).await;
        let alarms = watched.alarms.all();
        assert!(
            alarms.len() == 1
                && alarms[0].contains("output sink.0 made no progress for 60 seconds"),
            "{alarms:?}"
        );
        assert_eq!(watched.pipeline().outputs[0].rebuilds.get(), 1);
        answer(true);
        pass(130_000).await;
        assert!(watched.alarms.is_empty());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_output_that_panics_is_built_anew_and_its_records_are_read_again() {
    with_pipeline(probe("    Most 50") + &sink(""), async |_, watched| {
        pass(200).await;
        WORLD.with(|world| world.panic_once());
        pass(5_000).await;
        let output = &watched.pipeline().outputs[0];
        assert_eq!(output.rebuilds.get(), 1);
        assert!(output.returned.get() > 0);
        assert!(watched.alarms.is_empty(), "{:?}", watched.alarms.all());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_gone_leaves_and_comes_back() {
    let both = probe("") + &probe("    Alias second\n    Quiet yes") + &sink("");
    with_pipeline(both.clone(), async |controller, watched| {
        pass(200).await;
        let one = probe("") + &sink("");
        let reloaded = controller.reload(plan(&one), Level::Off).await;
        assert_eq!(reloaded.expect("it can be").removed, 1);
        pass(2_000).await;
        let reloaded = controller.reload(plan(&both), Level::Off).await;
        assert_eq!(reloaded.expect("it can be").added, 1);
        assert_eq!(watched.pipeline().inputs.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_an_output_holds_when_the_grace_is_over_comes_after_the_next_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let service = format!(
        "[SERVICE]\n    Flush 0.1\n    Grace 1\n    storage.path {}\n",
        folder.path().display()
    );
    let sinks = sink("    Label a") + &sink("    Label b");
    let run = async |sections: String, test: &dyn Fn() -> bool| {
        let plan = plan_of(&sections);
        let pipeline = Pipeline::build(plan, Level::Off).expect("it can be built");
        let controller = pipeline.controller();
        let running = spawn_local(pipeline.run(std::future::pending()));
        for _ in 0..1_000 {
            if test() {
                break;
            }
            pass(10).await;
        }
        assert!(test(), "{:?}", WORLD.with(|world| world.arrived()));
        controller.stop();
        running.await.expect("it does not panic");
    };
    let arrived = || {
        let mut arrived = WORLD.with(|world| world.arrived());
        arrived.sort_unstable();
        arrived
    };
    let both = async {
        WORLD.with(|world| world.reset());
        answer(false);
        WORLD.with(|world| world.answer_label("a"));
        let first = service.clone() + &probe("    Most 20") + &sinks;
        run(first, &|| arrived().len() >= 20).await;
        let once: Vec<u64> = arrived();
        assert_eq!(once.len(), 20, "one of the outputs is dead");
        answer(true);
        let second = service.clone() + &probe("    Quiet yes") + &sinks;
        run(second, &|| arrived().len() >= 40).await;
        let twice: Vec<u64> = once.iter().flat_map(|number| [*number, *number]).collect();
        assert_eq!(arrived(), twice, "each output got each number once");
    };
    LocalSet::new().run_until(both).await;
}
