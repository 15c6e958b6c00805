//! Random writes, rotations, truncations, copies, deletions, answers, stops and crashes against a model.
//!
//! The model knows for each line whether it must be delivered, and whether it may come twice: after a crash what was
//! delivered since positions were written last; nothing else ever.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::bench::{Bench, Seen};

/// So many seeds are run; `FLUMEN_SEEDS=FROM-TO` runs others.
const SEEDS: std::ops::Range<u64> = 0..250;
const STEPS: usize = 40;
/// How many generations rotation keeps.
const KEPT: usize = 6;

/// The first half of a line.
const HALF: &str = "lin";

type Id = u64;

/// A file of the model.
#[derive(Clone, Debug, Default)]
struct Phys {
    name: Option<String>,
    /// The whole lines that are in it.
    lines: Vec<Id>,
    /// The line whose first half is in it.
    half: Option<Id>,
    /// The router has it.
    open: bool,
    was_open: bool,
    is_copy: bool,
}

struct Model {
    bench: Bench,
    random: u64,
    /// Rotation copies and truncates rather than renames.
    copies: bool,
    /// The kernel's notices are used.
    notices: bool,
    files: Vec<Phys>,
    next: Id,
    must: BTreeSet<Id>,
    /// How often each line was delivered.
    delivered: BTreeMap<Id, usize>,
    /// How often each may have been.
    allowed: BTreeMap<Id, usize>,
    /// Delivered, as far as the router knows.
    known: BTreeSet<Id>,
    /// Delivered and written down.
    recorded: BTreeSet<Id>,
    trace: Vec<String>,
}

fn text(id: Id) -> String {
    let filling = "x".repeat((id * 7 % 90) as usize);
    format!("line {id} {filling}")
}

impl Model {
    fn new(seed: u64) -> Model {
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let pattern = ["a.log", "a.log*", "*.log", "*"][below(&mut random, 4)];
        let inotify = ["on", "off"][below(&mut random, 2)];
        let options = format!(
            "Path {{dir}}/{pattern}\nExclude_Path *flb.db*\nRead_from_Head on\nDB {{dir}}/flb.db\nDB.Sync off\n\
             Inotify_Watcher {inotify}"
        );
        let limit = [0, 3_000, 30_000][below(&mut random, 3)];
        Model {
            bench: Bench::new(&options).with_budget(limit),
            copies: below(&mut random, 3) == 0,
            random,
            notices: inotify == "on",
            files: Vec::new(),
            next: 0,
            must: BTreeSet::new(),
            delivered: BTreeMap::new(),
            allowed: BTreeMap::new(),
            known: BTreeSet::new(),
            recorded: BTreeSet::new(),
            trace: vec![format!("{pattern} inotify {inotify} budget {limit}")],
        }
    }

    fn below(&mut self, limit: usize) -> usize {
        below(&mut self.random, limit)
    }

    fn is_running(&self) -> bool {
        self.bench.follower.is_some()
    }

    fn named(&mut self, name: &str) -> Option<usize> {
        self.files
            .iter()
            .position(|file| file.name.as_deref() == Some(name))
    }

    fn note(&mut self, what: String) {
        if self.trace.last() != Some(&what) {
            self.trace.push(what);
        }
    }

    /// Appends lines to a file, sometimes half a line.
    fn write(&mut self, name: &str) {
        let index = self.named(name).unwrap_or_else(|| {
            self.files.push(Phys {
                name: Some(name.to_owned()),
                ..Phys::default()
            });
            self.files.len() - 1
        });
        let mut out = String::new();
        if let Some(id) = self.files[index].half.take() {
            out.push_str(&text(id)[HALF.len()..]);
            out.push('\n');
            self.files[index].lines.push(id);
            self.must.insert(id);
        }
        let count = self.below(40);
        for _ in 0..count {
            let id = self.next;
            self.next += 1;
            out.push_str(&text(id));
            out.push('\n');
            self.files[index].lines.push(id);
            self.must.insert(id);
        }
        if self.below(4) == 0 {
            let id = self.next;
            self.next += 1;
            out.push_str(HALF);
            self.files[index].half = Some(id);
        }
        self.note(format!("write {count} to {name}"));
        self.bench.append(name, &out);
    }

    /// Lines that nobody can deliver any more, unless another file has them.
    fn give_up(&mut self, lines: &[Id]) {
        for id in lines {
            let is_elsewhere =
                |file: &Phys| (file.open || file.name.is_some()) && file.lines.contains(id);
            if !self.files.iter().any(is_elsewhere) {
                self.must.remove(id);
            }
        }
    }

    fn shift(&mut self) {
        for n in (1..=KEPT).rev() {
            let name = format!("a.log.{n}");
            let Some(index) = self.named(&name) else {
                continue;
            };
            if n == KEPT {
                self.unlink(index);
            } else {
                let to = format!("a.log.{}", n + 1);
                self.bench.rename(&name, &to);
                self.files[index].name = Some(to);
            }
        }
    }

    fn unlink(&mut self, index: usize) {
        let Some(name) = self.files[index].name.take() else {
            return;
        };
        self.note(format!("unlink {name}"));
        self.bench.remove(&name);
        // Nobody finishes its last line.
        if !self.files[index].open {
            let file = self.files.remove(index);
            self.give_up(&file.lines);
        }
    }

    fn rotate(&mut self) {
        let Some(_) = self.named("a.log") else {
            return;
        };
        self.shift();
        self.note("rotate".to_owned());
        self.bench.rename("a.log", "a.log.1");
        let index = self.named("a.log").expect("it was there");
        self.files[index].name = Some("a.log.1".to_owned());
        if self.below(3) > 0 {
            self.write("a.log");
        }
    }

    fn truncate(&mut self, index: usize) {
        self.bench.truncate("a.log");
        let file = &mut self.files[index];
        file.half = None;
        let lines = std::mem::take(&mut file.lines);
        self.give_up(&lines);
        if self.below(2) == 0 {
            self.write("a.log");
        }
    }

    fn copy_and_truncate(&mut self) {
        let Some(index) = self.named("a.log") else {
            return;
        };
        if self.files[index].lines.is_empty() {
            return;
        }
        self.shift();
        let index = self.named("a.log").unwrap_or(index);
        self.note("copytruncate".to_owned());
        self.bench.copy("a.log", "a.log.1");
        let copy = Phys {
            name: Some("a.log.1".to_owned()),
            is_copy: true,
            lines: self.files[index].lines.clone(),
            ..Phys::default()
        };
        self.files.push(copy);
        match self.below(3) {
            0 => self.look(),
            1 => {
                // These lines are in no copy.
                self.write("a.log");
                self.look();
            }
            _ => {}
        }
        self.note("… and truncate".to_owned());
        self.truncate(index);
    }

    fn look(&mut self) {
        if self.is_running() {
            self.note("look".to_owned());
            self.bench.run();
            for file in &mut self.files {
                let Some(name) = &file.name else {
                    continue;
                };
                // With the kernel's notices, every new file is found at once.
                let is_found = self.notices && !file.is_copy && !file.was_open;
                file.open = is_found || self.bench.follows(name);
                file.was_open |= file.open;
            }
        }
    }

    async fn pass(&mut self, millis: u64) {
        if self.is_running() {
            self.note(format!("pass {millis}"));
            self.bench.pass(Duration::from_millis(millis)).await;
            self.look();
        }
    }

    /// Answers for what the road holds.
    fn deliver(&mut self) {
        self.note("deliver".to_owned());
        for seen in self.bench.road.settle_seen() {
            self.count(&seen);
        }
    }

    fn deliver_one(&mut self) {
        let held = self.bench.road.held();
        if held > 0 {
            let index = self.below(held);
            self.note("deliver a record".to_owned());
            if let Some(seen) = self.bench.road.settle_last_record(index) {
                self.count(&seen);
            }
        }
    }

    fn count(&mut self, seen: &Seen) {
        let line = &seen.fields[0].1;
        if line == HALF {
            // The end of a file that was deleted before the line was finished.
            return;
        }
        let id: Id = line
            .split(' ')
            .nth(1)
            .and_then(|id| id.parse().ok())
            .unwrap_or_else(|| panic!("torn: {line:?}"));
        assert_eq!(*line, text(id), "torn");
        let times = self.delivered.entry(id).or_default();
        *times += 1;
        self.known.insert(id);
        let times = *times;
        let allowed = self.allowed.get(&id).copied().unwrap_or(1);
        assert!(
            times <= allowed,
            "{id} was delivered {times} times; {allowed} allowed"
        );
    }

    async fn save(&mut self) {
        if self.is_running() {
            self.note("save".to_owned());
            self.bench.save().await;
            self.look();
            self.recorded = self.known.clone();
        }
    }

    async fn crash(&mut self) {
        if !self.is_running() {
            return;
        }
        self.note("crash".to_owned());
        self.bench.crash();
        self.forget_nameless();
        for id in self.known.difference(&self.recorded) {
            self.allowed.insert(*id, self.delivered[id] + 1);
        }
        self.known = self.recorded.clone();
    }

    async fn stop(&mut self) {
        if !self.is_running() {
            return;
        }
        self.note("stop".to_owned());
        self.bench.stop_reading();
        for round in 0.. {
            self.deliver();
            if self.bench.drain() {
                break;
            }
            assert!(round < 1_000, "it never ends");
            tokio::time::advance(Duration::from_millis(300)).await;
        }
        self.bench.stop().await;
        self.recorded = self.known.clone();
        self.forget_nameless();
    }

    /// Without a router nobody has what has no name.
    fn forget_nameless(&mut self) {
        self.files.iter_mut().for_each(|file| file.open = false);
        let (kept, gone) = std::mem::take(&mut self.files)
            .into_iter()
            .partition(|file| file.name.is_some());
        self.files = kept;
        let gone: Vec<Phys> = gone;
        gone.iter().for_each(|file| self.give_up(&file.lines));
    }

    async fn hand_over(&mut self) {
        if self.is_running() {
            self.note("hand over".to_owned());
            self.bench.hand_over().await;
            self.recorded = self.known.clone();
            if self.below(2) == 0 && !self.copies {
                self.rotate();
            }
            self.bench.start();
            self.look();
        }
    }

    fn start(&mut self) {
        if !self.is_running() {
            self.note("start".to_owned());
            self.bench.start();
            self.look();
        }
    }

    async fn step(&mut self) {
        match self.below(26) {
            0..=6 => self.write("a.log"),
            // A program rotates in one way or the other.
            7..=10 if self.copies => self.copy_and_truncate(),
            7..=10 => self.rotate(),
            11 => {
                if let Some(index) = self.named("a.log") {
                    self.note("truncate".to_owned());
                    self.truncate(index);
                }
            }
            12 => {
                // Whoever copies and truncates does not delete the file.
                let live = self.below(2) == 0 && !self.copies;
                if let Some(index) = self.named(if live { "a.log" } else { "a.log.2" }) {
                    self.unlink(index);
                }
            }
            13 => {
                // A writer that still has the file.
                if let Some(index) = self.named("a.log.1")
                    && !self.files[index].is_copy
                {
                    self.write("a.log.1");
                }
            }
            14..=15 => self.deliver(),
            16..=17 => self.deliver_one(),
            18 => {
                let held = self.bench.road.held();
                if held > 0 {
                    let index = self.below(held);
                    self.note("refuse".to_owned());
                    self.bench.road.refuse_batch(index);
                }
            }
            19 => self.save().await,
            20 => self.crash().await,
            21 => self.stop().await,
            22 => self.hand_over().await,
            23 => self.pass(300).await,
            24 => self.pass(7_000).await,
            _ => self.start(),
        }
        if self.below(3) > 0 {
            self.look();
        }
    }

    /// Everything is delivered in the end.
    async fn finish(&mut self) {
        self.start();
        for round in 0..200 {
            self.deliver();
            self.pass(if round % 10 == 9 { 61_000 } else { 500 }).await;
            let is_settled = self.bench.follower.as_ref().is_some_and(|f| f.is_settled());
            let all = self.must.iter().all(|id| self.delivered.contains_key(id));
            if round > 20 && is_settled && all {
                break;
            }
        }
        let missing: Vec<&Id> = self
            .must
            .iter()
            .filter(|id| !self.delivered.contains_key(id))
            .collect();
        let files: Vec<_> = self
            .files
            .iter()
            .map(|f| (&f.name, f.lines.first(), f.lines.last()))
            .collect();
        assert!(
            missing.is_empty(),
            "never delivered: {missing:?} of {files:?}"
        );
    }

    async fn run(&mut self) {
        self.write("a.log");
        self.start();
        for _ in 0..STEPS {
            self.step().await;
        }
        self.finish().await;
    }
}

/// Of a generator that is good enough for this (xorshift*).
fn below(random: &mut u64, limit: usize) -> usize {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
}

fn seeds() -> std::ops::Range<u64> {
    let given = std::env::var("FLUMEN_SEEDS").ok();
    let range = given.and_then(|text| {
        let (from, to) = text.split_once('-')?;
        Some(from.parse().ok()?..to.parse().ok()?)
    });
    range.unwrap_or(SEEDS)
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_comes_twice() {
    for seed in seeds() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let mut model = Model::new(seed);
        let run = std::panic::AssertUnwindSafe(|| runtime.block_on(model.run()));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("seed {seed}: {}", model.trace.join("\n  "));
            eprintln!("the log: {}", model.bench.log().join("\n  "));
            std::panic::resume_unwind(panic);
        }
    }
}
