//! One seed from its beginning to its end: lives of the router, how they end, and what must be true after each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use engine::Pipeline;
use monitor::Pipeline as Counters;
use tokio::runtime::Builder;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep};

use crate::book::Book;
use crate::mutation::Mutation;
use crate::panics;
use crate::router::{self, GRACE};
use crate::scenario::{Ending, When};
use crate::world::World;
use crate::{frames, log_file, sender};

/// A life that does not reach its last step ends after this long.
const LONGEST_LIFE: Duration = Duration::from_secs(30);
/// After everything has healed, all that is owed must be delivered within this long: the longest hang of a request, the
/// wait for an answer, the longest wait between retries and the patience of a sender, twice.
const DRAIN: Duration = Duration::from_secs(300);
/// How often it is looked whether it is.
const LOOK: Duration = Duration::from_millis(250);
/// What was delivered is covered by a durable position after this long.
const COMMIT_LAG: Duration = Duration::from_millis(1_500);

/// What was delivered is noted in the log's cursors after this long.
const CURSOR_LAG: Duration = Duration::from_millis(50);
/// A router that could not start is started again after this long.
const START_AGAIN: Duration = Duration::from_secs(1);

/// What came of a seed.
#[derive(Debug)]
pub struct Outcome {
    /// What was found wrong, if anything.
    pub finding: Option<String>,
    /// What happened, if that was wanted.
    pub trace: Vec<String>,
}

/// Lets the history of `seed` happen, with a fault in the router if there shall be one.
///
/// # Panics
/// When no runtime can be made.
pub fn run(seed: u64, mutation: Option<Mutation>, is_traced: bool) -> Outcome {
    panics::watch();
    fastrand::seed(seed);
    record::trim();
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
    let local = LocalSet::new();
    let world = {
        let _inside = runtime.enter();
        World::enter(seed, mutation, is_traced)
    };
    let history = AssertUnwindSafe(|| local.block_on(&runtime, history(Rc::clone(&world))));
    let ended = catch_unwind(history);
    drop(local);
    World::leave();
    let panic = panics::take();
    let finding = world.violation().or(panic).or_else(|| {
        let nothing = ended.is_err();
        nothing.then(|| "the simulation itself panicked".to_owned())
    });
    Outcome {
        finding,
        trace: world.trace.take(),
    }
}

async fn history(world: Rc<World>) {
    world.say(|| format!("{:#?}", world.scenario));
    for service in &world.services {
        spawn_local(Rc::clone(service).run(Rc::clone(&world)));
    }
    let files =
        (0..world.files.len()).map(|index| spawn_local(log_file::write(Rc::clone(&world), index)));
    let writers: Vec<_> = files.collect();
    for index in 0..world.ports.len() {
        spawn_local(sender::send(Rc::clone(&world), index));
    }
    spawn_local(fill_disk(Rc::clone(&world)));
    for ending in world.scenario.lives.clone() {
        live(&world, ending).await;
        if world.violation().is_some() {
            return;
        }
        let down = world.dice(|dice| dice.time(Duration::from_millis(1)..Duration::from_secs(3)));
        sleep(down).await;
    }
    let written = async {
        for writer in writers {
            let _ = writer.await;
        }
    };
    last_life(&world, written).await;
    if world.violation().is_none() {
        nothing_is_left(&world).await;
    }
}

/// Builds the router on `shard`. Nothing if the disk prevents that.
async fn start(world: &Rc<World>, shard: &LocalSet) -> Option<(Pipeline, Counters)> {
    let built = shard.run_until(async { router::build(world) }).await;
    world.say(|| format!("the disk has {}", world.disk.describe()));
    match built {
        Ok(pipeline) => {
            let counters = pipeline.counters().clone();
            Some((pipeline, counters))
        }
        Err(error) => {
            world.say(|| format!("the router does not start: {error}"));
            if world.is_healed() {
                world.violated(format!("the router does not start: {error}"));
            }
            None
        }
    }
}

/// Fills the disk up and makes room again, as planned.
async fn fill_disk(world: Rc<World>) {
    for (start, end) in world.scenario.disk.full.clone() {
        for (at, is_full) in [(start, true), (end, false)] {
            sleep(at.saturating_sub(world.now())).await;
            world.disk.set_full(is_full && !world.is_healed());
            world.say(|| format!("disk: full is {is_full}"));
        }
    }
}

/// One life of the router.
async fn live(world: &Rc<World>, ending: Ending) {
    let (dies_at, lasts, is_stop) = match ending {
        Ending::Stop(after) => (None, after, true),
        Ending::Kill(When::At(after)) | Ending::PowerLoss(When::At(after)) => (None, after, false),
        Ending::Kill(When::Step(step)) | Ending::PowerLoss(When::Step(step)) => {
            (Some(step), LONGEST_LIFE, false)
        }
    };
    world.begin_life(dies_at);
    let shard = LocalSet::new();
    let Some((pipeline, counters)) = start(world, &shard).await else {
        return after(world, ending, &Counters::default());
    };
    let life = async {
        let shutdown = async {
            sleep(lasts).await;
            if !is_stop {
                world.die();
                std::future::pending::<()>().await;
            }
            world.book.borrow_mut().stops();
        };
        tokio::select! {
            biased;
            () = world.died() => false,
            _ = pipeline.run(shutdown) => true,
        }
    };
    let stopped = shard.run_until(life).await;
    if stopped {
        // What works for the pipeline sees its end.
        shard.run_until(sleep(Duration::from_millis(1))).await;
    }
    drop(shard);
    world.check_panics();
    if stopped {
        world.say(|| "the router has stopped".to_owned());
        stopped_well(world, &counters);
    } else {
        commits_in_time(world);
    }
    after(world, ending, &counters);
}

/// The world after a life.
fn after(world: &World, ending: Ending, counters: &Counters) {
    world.die();
    world.ports.iter().for_each(|port| port.close());
    let now = world.now();
    let mut book = world.book.borrow_mut();
    for (output, counters) in counters.outputs.iter().enumerate() {
        book.given_up(output, counters.dropped.get());
    }
    if let Ending::PowerLoss(_) = ending {
        for file in 0..world.files.len() {
            let lost = world.dice(|dice| dice.count(0..3));
            world.positions.forget(file, lost);
            let durable = world.positions.durable(file);
            book.recover(file, |number| {
                let covers = |position| crate::positions::is_covered(world, file, position, number);
                durable.as_ref().is_some_and(covers)
            });
        }
    }
    let disk_is_well = !world.disk_fails();
    let lag = match ending {
        Ending::Stop(_) if disk_is_well => Some(Duration::ZERO),
        Ending::Kill(_) if disk_is_well => Some(CURSOR_LAG),
        _ => None,
    };
    book.crashed(now, lag, !world.disk.is_unused());
    match ending {
        Ending::PowerLoss(_) => world.disk.lose_power(),
        Ending::Kill(_) | Ending::Stop(_) => {
            let gone = world.disk.kill();
            taken_by_disk(world, &mut book, &gone);
        }
    }
}

/// With `storage.sync normal` records are acknowledged when the system has them. A disk that then fails to write them, and a
/// process that ends before it could write them elsewhere, lose them: nobody can help that. The log may hold a record in
/// several frames, each for other outputs: one that is gone says nothing about the others.
fn taken_by_disk(world: &World, book: &mut Book, gone: &[u8]) {
    if world.scenario.disk.syncs || gone.is_empty() {
        return;
    }
    for id in book.ids() {
        let text = id.text();
        for output in 0..world.scenario.outputs.len() {
            let route = router::route(output);
            let is_there = |bytes: &[u8]| frames::holds(bytes, &route, &text);
            if is_there(gone) && !world.disk.any_file(is_there) {
                world.say(|| {
                    format!("disk: {id:?} is lost for output {output} with what it failed to sync")
                });
                book.taken(output, id);
            }
        }
    }
}

/// After a stop: counts are balanced, no memory is held.
fn stopped_well(world: &World, counters: &Counters) {
    for (output, counters) in counters.outputs.iter().enumerate() {
        let told = world.book.borrow().life(output);
        if counters.records.get() != told.delivered || counters.filtered.get() != told.filtered {
            world.violated(format!(
                "output {output} counts {} delivered and {} filtered, told was {told:?}",
                counters.records.get(),
                counters.filtered.get()
            ));
        }
        let answered = told.delivered + told.filtered + counters.dropped.get();
        let (returned, in_flight) = (counters.returned.get(), counters.in_flight());
        if counters.routed.get() != answered + returned + in_flight {
            world.violated(format!(
                "output {output}: {} routed, {answered} answered, {returned} returned, {in_flight} in flight",
                counters.routed.get()
            ));
        }
    }
    let held: usize = world
        .budgets
        .borrow()
        .iter()
        .map(|budget| budget.used())
        .sum();
    if held > 0 {
        world.violated(format!(
            "{held} bytes are held after the router has stopped"
        ));
    }
    let is_idle = counters
        .outputs
        .iter()
        .all(|output| output.in_flight() == 0);
    // What an output held that panicked, and what was read together with it, goes back to its file; a router that is about
    // to stop does not read it again.
    let lately = world.now().saturating_sub(GRACE + COMMIT_LAG);
    let gave_back = world.meant_panic.get().is_some_and(|at| at >= lately);
    if is_idle && !gave_back && (world.is_healed() || !world.positions_fail()) {
        let unwritten = world.book.borrow().uncovered(None);
        world.check(unwritten.map_or(Ok(()), |id| {
            Err(format!(
                "{id:?} is delivered, and after a stop no position says so"
            ))
        }));
    }
}

/// Before a crash: what was delivered a while ago is covered.
fn commits_in_time(world: &World) {
    if world.positions_fail()
        || world.disk_fails()
        || world.meant_panic.get().is_some()
        || world.life_time() < COMMIT_LAG
    {
        return;
    }
    let before = world.now().saturating_sub(COMMIT_LAG);
    if let Some(id) = world.book.borrow().uncovered(Some(before)) {
        world.violated(format!(
            "{id:?} was delivered a while ago, and no position says so"
        ));
    }
}

/// The life in which everything heals: all that is owed is delivered, and then nothing is under way.
async fn last_life(world: &Rc<World>, written: impl Future<Output = ()>) {
    world.begin_life(None);
    let shard = LocalSet::new();
    let (pipeline, counters) = loop {
        match start(world, &shard).await {
            Some(started) => break started,
            None => sleep(START_AGAIN).await,
        }
        world.heal();
    };
    let drained = async {
        sleep(world.dice(|dice| dice.time(Duration::from_millis(1)..Duration::from_secs(5)))).await;
        world.heal();
        written.await;
        drained(world, &counters).await;
    };
    let life = async {
        tokio::select! {
            biased;
            () = world.died() => {}
            _ = pipeline.run(drained) => {}
        }
    };
    shard.run_until(life).await;
    shard.run_until(sleep(Duration::from_millis(1))).await;
    drop(shard);
    world.check_panics();
    if world.violation().is_some() {
        return;
    }
    stopped_well(world, &counters);
    after(world, Ending::Stop(Duration::ZERO), &counters);
    let lost = world.book.borrow().lost();
    world.check(lost);
}

async fn drained(world: &World, counters: &Counters) {
    let since = Instant::now();
    let senders = || world.ports.iter().all(|port| port.done.get());
    let idle = || {
        counters
            .outputs
            .iter()
            .all(|output| output.in_flight() == 0)
    };
    while !(senders() && idle() && world.book.borrow().owed(&dropped(counters)) == 0) {
        if since.elapsed() > DRAIN {
            let owed = world.book.borrow().owed(&dropped(counters));
            return world.violated(format!(
                "not drained {DRAIN:?} after everything healed: {owed} records are owed, senders are {}; {}",
                if senders() { "done" } else { "not done" },
                world.book.borrow().lost().err().unwrap_or_default()
            ));
        }
        sleep(LOOK).await;
    }
    world.say(|| "everything is delivered".to_owned());
}

fn dropped(counters: &Counters) -> Vec<u64> {
    counters
        .outputs
        .iter()
        .map(|output| output.dropped.get())
        .collect()
}

/// One more life, in which nothing may be sent.
async fn nothing_is_left(world: &Rc<World>) {
    world.begin_life(None);
    let shard = LocalSet::new();
    let Some((pipeline, _)) = start(world, &shard).await else {
        return world.violated("the router does not start on a disk that is well".to_owned());
    };
    let life = async {
        tokio::select! {
            biased;
            () = world.died() => {}
            _ = pipeline.run(sleep(GRACE)) => {}
        }
    };
    shard.run_until(life).await;
    drop(shard);
    world.check_panics();
}
