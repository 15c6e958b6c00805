//! Fuzzing on stable Rust: a target is a test that gives a closure mutated samples until its time is over.
//!
//! ```no_run
//! # fn parse(_: &[u8]) {}
//! fuzz::Target::new("lines")
//!     .seeds([b"a=1 b=2".as_slice()])
//!     .words(["=", "\""])
//!     .run(|bytes| parse(bytes));
//! ```
//!
//! A target fails when the closure panics, takes longer than [`SLOW`] for one input, or has more than [`MEMORY_MAX`] bytes
//! of memory at once. The input is then made smaller and written to `fuzz-regressions/TARGET/` of the crate that is
//! tested, from where every later run takes it up first: that file belongs into the repository, beside the fix.
//!
//! `FLUMEN_FUZZ_SECONDS` says how long each target runs, 2 unless given. `cargo xtask fuzz` compiles the code under test
//! with counters on its branches; inputs that reach new ones are then kept and mutated further (see [`mod@coverage`]), also
//! across runs, in the folder that `FLUMEN_FUZZ_CORPUS` names.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod coverage;
mod failure;
mod memory;
mod mutate;
mod watch;

use coverage::Coverage;
use failure::Failure;
use mutate::Mutator;
use watch::Watch;

/// How long one input may take: far more than any that is as short as these should.
pub const SLOW: Duration = Duration::from_secs(10);
/// How much memory may be taken for one input, in bytes.
pub const MEMORY_MAX: usize = 64 << 20;
/// How long a target runs unless `FLUMEN_FUZZ_SECONDS` says otherwise.
const SECONDS: f64 = 2.0;
/// How long inputs get unless [`Target::longest`] says otherwise, in bytes.
const LONGEST: usize = 4096;

/// A target: its name, and what inputs are made of.
pub struct Target {
    name: &'static str,
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    longest: usize,
}

impl Target {
    /// A target without seeds. `name` is that of the folders of its inputs.
    pub fn new(name: &'static str) -> Target {
        Target {
            name,
            seeds: Vec::new(),
            words: Vec::new(),
            longest: LONGEST,
        }
    }

    /// Adds inputs as they really occur.
    pub fn seeds<S: AsRef<[u8]>>(mut self, seeds: impl IntoIterator<Item = S>) -> Target {
        let seeds = seeds.into_iter().map(|seed| seed.as_ref().to_vec());
        self.seeds.extend(seeds);
        self
    }

    /// Adds the files under `folder` whose name ends in one of `endings`, none of which may be missing. The folder is
    /// relative to that of the crate that is tested.
    pub fn files(mut self, folder: &str, endings: &[&str]) -> Target {
        let folder = crate_dir().join(folder);
        let before = self.seeds.len();
        add_files(&folder, endings, &mut self.seeds);
        assert!(
            self.seeds.len() > before,
            "no seeds in {}",
            folder.display()
        );
        self
    }

    /// Adds one file. Its path is relative to the folder of the crate that is tested.
    pub fn file(mut self, path: &str) -> Target {
        let path = crate_dir().join(path);
        let read = std::fs::read(&path);
        let seed = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.seeds.push(seed);
        self
    }

    /// Adds the lines of all seeds so far as seeds of their own.
    pub fn lines(mut self) -> Target {
        let lines: Vec<Vec<u8>> = self
            .seeds
            .iter()
            .flat_map(|seed| seed.split(|byte| *byte == b'\n'))
            .filter(|line| !line.is_empty())
            .map(<[u8]>::to_vec)
            .collect();
        self.seeds.extend(lines);
        self
    }

    /// Adds words of the language that the inputs are written in.
    pub fn words<W: AsRef<[u8]>>(mut self, words: impl IntoIterator<Item = W>) -> Target {
        let words = words.into_iter().map(|word| word.as_ref().to_vec());
        self.words.extend(words);
        self
    }

    /// Sets how long inputs get, in bytes.
    pub fn longest(mut self, bytes: usize) -> Target {
        self.longest = bytes;
        self
    }

    /// Runs `test` on what failed before, on the seeds, and on what becomes of them until the time is over.
    ///
    /// # Panics
    ///
    /// When an input fails.
    pub fn run(self, test: impl FnMut(&[u8])) {
        self.run_for(seconds(), test);
    }

    fn run_for(self, time: Duration, test: impl FnMut(&[u8])) {
        failure::keep_quiet();
        let regressions = crate_dir().join("fuzz-regressions").join(self.name);
        let mut runner = Runner {
            watch: Watch::start(self.name, regressions.clone()),
            coverage: Coverage::new(),
            test,
        };
        let stored = std::env::var_os("FLUMEN_FUZZ_CORPUS");
        let stored = stored.map(|folder| Path::new(&folder).join(self.name));
        let mut known = Vec::new();
        add_files(&regressions, &[""], &mut known);
        let mut corpus = self.seeds;
        corpus.extend(known);
        stored
            .iter()
            .for_each(|folder| add_files(folder, &[""], &mut corpus));
        for input in &corpus {
            if let Some(failure) = runner.fails(input) {
                failure.report(self.name, &regressions, input);
            }
            runner.coverage.has_new();
        }
        // A test takes the same way each time, so that it fails for what was changed and not by chance; whoever looks for
        // faults for longer takes another one each time.
        let seed = match stored {
            Some(_) => fastrand::u64(..),
            None => self
                .name
                .bytes()
                .fold(0, |seed: u64, byte| seed.rotate_left(7) ^ u64::from(byte)),
        };
        let mut mutator = Mutator::new(self.words, self.longest, seed);
        let (start, mut runs) = (Instant::now(), 0_u64);
        let mut input = Vec::new();
        while start.elapsed() < time {
            mutator.mutate(&corpus, &mut input);
            runs += 1;
            if let Some(failure) = runner.fails(&input) {
                let smaller = runner.smaller(&input);
                failure.report(self.name, &regressions, &smaller);
            }
            if runner.coverage.has_new() {
                stored
                    .iter()
                    .for_each(|folder| drop(failure::store(folder, &input)));
                corpus.push(input.clone());
            }
        }
        // For whoever asks for the output, to see that the time was used.
        println!(
            "{}: {runs} inputs, {} kept, {} branches",
            self.name,
            corpus.len(),
            runner.coverage.branches()
        );
    }
}

struct Runner<T> {
    watch: Watch,
    coverage: Coverage,
    test: T,
}

impl<T: FnMut(&[u8])> Runner<T> {
    fn fails(&mut self, input: &[u8]) -> Option<Failure> {
        self.watch.begins(input);
        self.coverage.reset();
        memory::reset();
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.test)(input)));
        let (took, taken) = (start.elapsed(), memory::most());
        self.watch.ends();
        // Also a panic that somebody has caught, as runtimes do.
        let panicked = failure::last_message();
        match outcome {
            _ if !panicked.is_empty() => Some(Failure::Panic(panicked)),
            Err(_) => Some(Failure::Panic("it panics without a word".to_owned())),
            Ok(()) if took > SLOW => Some(Failure::Slow(took)),
            Ok(()) if taken > MEMORY_MAX => Some(Failure::Memory(taken)),
            Ok(()) => None,
        }
    }

    /// Leaves out whatever may be left out without `input` ceasing to fail.
    fn smaller(&mut self, input: &[u8]) -> Vec<u8> {
        let (start, mut input) = (Instant::now(), input.to_vec());
        let mut chunk = input.len().div_ceil(2);
        while chunk > 0 {
            let mut at = 0;
            while at < input.len() && start.elapsed() < SLOW {
                let mut less = input.clone();
                less.drain(at..input.len().min(at + chunk));
                match self.fails(&less) {
                    Some(_) => input = less,
                    None => at += chunk,
                }
            }
            chunk /= 2;
        }
        input
    }
}

fn seconds() -> Duration {
    let given = std::env::var("FLUMEN_FUZZ_SECONDS").ok();
    let seconds = given.map_or(Ok(SECONDS), |given| given.parse());
    let duration = seconds.ok().map(Duration::try_from_secs_f64);
    match duration {
        Some(Ok(duration)) => duration,
        _ => panic!("FLUMEN_FUZZ_SECONDS is a number of seconds"),
    }
}

/// The folder of the crate that is tested, as cargo tells its tests.
fn crate_dir() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from)
}

fn add_files(folder: &Path, endings: &[&str], found: &mut Vec<Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            add_files(&path, endings, found);
        } else if endings
            .iter()
            .any(|ending| path.to_string_lossy().ends_with(ending))
        {
            found.extend(std::fs::read(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(name: &'static str, test: impl FnMut(&[u8])) -> String {
        let target = Target::new(name)
            .seeds([b"key=value other=12".as_slice()])
            .words(["magic"]);
        let run = AssertUnwindSafe(|| target.run_for(Duration::from_secs(60), test));
        let payload = catch_unwind(run).expect_err("it is found");
        let message = payload.downcast_ref::<String>().expect("a message").clone();
        let folder = crate_dir().join("fuzz-regressions").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        let _ = std::fs::remove_dir(crate_dir().join("fuzz-regressions"));
        message
    }

    #[test]
    fn a_panic_is_found_and_made_small() {
        let message = failing("own_panic", |bytes| {
            let found = bytes.windows(5).any(|window| window == b"magic");
            assert!(!found || bytes.len() < 5, "found it");
        });
        assert!(message.contains("found it"), "{message}");
        assert!(message.contains("b\"magic\""), "{message}");
    }

    #[test]
    fn too_much_memory_is_found() {
        let message = failing("own_memory", |bytes| {
            let size = if bytes.first() == Some(&b'k') {
                0
            } else {
                MEMORY_MAX + 1
            };
            drop(std::hint::black_box(vec![1_u8; size]));
        });
        assert!(message.contains("bytes of memory"), "{message}");
    }

    #[test]
    #[should_panic(expected = "no seeds in")]
    fn missing_seeds_are_a_mistake() {
        let _ = Target::new("none").files("no/such/folder", &[""]);
    }
}
