//! `cargo xtask order`: which functions run while the slim router works, written down as a linker script that puts them
//! next to each other, the busiest first (`crates/app/at_work.ld`, which `crates/app/build.rs` hands to the linker).
//!
//! The kernel maps a program's pages in pieces of 64 KiB, and all of a piece counts as resident: functions that run, spread
//! over the whole program, cost five times their size. They are found by running the router under callgrind, once it has
//! started: what only a start needs is not wanted. The usual build is asked and the one that is shipped, in which other
//! functions are inlined, and that also with what measures it: hashes differ with what else is in a build. Names go without
//! the compiler's hashes, so that the script outlives a change of the compiler or of a library; a name that is gone matches
//! nothing. Where several functions share a name without its hash and only some of them run, those are named with it; a
//! change of the compiler makes the others join them, which costs memory and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::peers;
use crate::run::{COMPILING, captured, watched};
use crate::suite;

/// What is asked, and how it is built. The first one also is the sink of all and writes their lines.
const BUILDS: [&[&str]; 3] = [
    &["--release", "--features", "bench"],
    &["--profile", "dist"],
    &["--profile", "dist", "--features", "bench"],
];
/// The script, from the root of the workspace.
const SCRIPT: &str = "crates/app/at_work.ld";
/// The outputs that are run, one after the other.
const OUTPUTS: [&str; 2] = [
    "    Name            kinesis_firehose\n    delivery_stream order\n",
    "    Name              cloudwatch_logs\n    log_group_name    order\n    log_stream_name   order\n    \
     auto_create_group On\n",
];
/// What takes the place of functions that callgrind has seen, on a processor with instructions that its own lacks.
const FOR_PROCESSORS: [&str; 3] = [
    "_ZN4sha26sha2567x86_sha*",
    "_ZN6memchr4arch6x86_64*",
    "ring_core_*_adx",
];
/// What ring has in assembler is in no section of its own: the files that encrypt, and all others.
const ENCRYPTING: [&str; 2] = ["*aes*-x86_64*", "*ghash*"];
/// As slow as callgrind, and long enough for a few writes to the database of positions.
const LINES: [&str; 4] = ["--rate", "500", "--duration", "20s"];
/// A file that is drained, in addition.
const BACKLOG: [&str; 2] = ["--count", "20000"];
/// The router has started, and given back what only that needed (`engine/src/idle.rs`), when it has done next to nothing
/// for so long:
const QUIET: Duration = Duration::from_secs(4);
/// less than this, in the scheduler's nanoseconds: a tenth of what a busy thread does, and more than looking now and then costs
/// under callgrind on a slow machine.
const QUIET_WORK: u64 = 400_000_000;
const STARTING: Duration = Duration::from_secs(180);
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// Writes the script. True if that succeeded.
pub fn run(root: &Path) -> bool {
    let outcome = write(root);
    match &outcome {
        Ok(count) => println!("{SCRIPT}: {count} functions"),
        Err(why) => println!("{why}"),
    }
    outcome.is_ok()
}

fn write(root: &Path) -> Result<usize, String> {
    let target = peers::target(root);
    let peer = target.join("release/flumen");
    let mut seen = Vec::new();
    for how in BUILDS {
        let program = target.join(build(root, how)?).join("flumen");
        let mut counts = BTreeMap::new();
        for output in OUTPUTS {
            let folder = target.join("order");
            // What an earlier run has left would be read again.
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("logs")).map_err(|error| error.to_string())?;
            let place = Place {
                root,
                folder: &folder,
                peer: &peer,
            };
            for (name, count) in counted(&work(&program, &place, output)?) {
                *counts.entry(name).or_default() += count;
            }
        }
        let symbols = captured(
            Command::new("nm")
                .args(["-P", "--defined-only"])
                .arg(&program),
        )?;
        seen.push(Seen {
            counts,
            instances: instances(&symbols),
        });
    }
    let order = order(&seen);
    let path = root.join(SCRIPT);
    fs::write(&path, script(&order)).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(order.at_work.len())
}

/// Builds the slim program; gives the folder in which it then lies. Names are what is looked for, so that they stay.
fn build(root: &Path, how: &[&str]) -> Result<&'static str, String> {
    let mut build = suite::cargo(root);
    build.args([
        "rustc",
        "-p",
        "flumen",
        "--no-default-features",
        "--bin",
        "flumen",
    ]);
    build.args(how).args(["--", "-C", "strip=none"]);
    watched(&mut build, COMPILING, |_| ())?;
    Ok(if how.contains(&"--release") {
        "release"
    } else {
        "dist"
    })
}

/// Where the router works.
struct Place<'a> {
    root: &'a Path,
    folder: &'a Path,
    /// The program that is the sink, and that writes lines.
    peer: &'a Path,
}

/// Lets the router send lines to `output` and gives callgrind's account of it.
fn work(program: &Path, place: &Place<'_>, output: &str) -> Result<String, String> {
    let Place { root, folder, peer } = *place;
    let mut sink = Command::new(peer);
    sink.args([
        "bench",
        "sink",
        "--listen",
        "127.0.0.1:0",
        "--tls",
        "--ca-file",
    ])
    .arg(folder.join("ca.pem"))
    .stdout(Stdio::piped())
    .stderr(Stdio::null());
    let mut sink = Ending::start(&mut sink)?;
    let port = port(&mut sink.0)?;
    let configuration = folder.join("fluent-bit.conf");
    let seed = fs::read_to_string(root.join("tests/seed/parsers.conf"));
    fs::write(
        folder.join("parsers.conf"),
        seed.map_err(|error| error.to_string())?,
    )
    .and_then(|()| fs::write(&configuration, text(folder, output, &port)))
    .map_err(|error| error.to_string())?;
    let account = folder.join("callgrind.out");
    let mut router = Command::new("valgrind");
    router
        .args(["--tool=callgrind", "--demangle=no", "--instr-atstart=no"])
        .arg(format!("--callgrind-out-file={}", account.display()))
        .arg(program)
        .arg("-c")
        .arg(&configuration)
        .env("AWS_ACCESS_KEY_ID", "flumen")
        .env("AWS_SECRET_ACCESS_KEY", "flumen")
        .env("STATE_DIRECTORY", folder.join("state"))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut router = Ending::start(&mut router)?;
    let pid = router.0.id();
    wait_until_quiet(pid)?;
    let pid = pid.to_string();
    captured(Command::new("callgrind_control").args(["-i", "on", &pid]))?;
    let log = folder.join("logs/app.log");
    append(peer, &log, &[&LINES[..], &["--each-line"]].concat())?;
    append(peer, &log, &BACKLOG)?;
    wait_until_quiet(router.0.id())?;
    captured(Command::new("kill").args(["-TERM", &pid]))?;
    let end = Instant::now() + PATIENCE;
    while router
        .0
        .try_wait()
        .map_err(|error| error.to_string())?
        .is_none()
    {
        if Instant::now() > end {
            return Err("the router under callgrind does not end".to_owned());
        }
        std::thread::sleep(LOOK);
    }
    fs::read_to_string(&account).map_err(|error| format!("{}: {error}", account.display()))
}

/// Writes lines as `how` says.
fn append(peer: &Path, log: &Path, how: &[&str]) -> Result<(), String> {
    let mut lines = Command::new(peer);
    lines.args(["bench", "gen", "--kind", "nginx", "--wrap", "docker"]);
    captured(lines.args(how).arg("--path").arg(log)).map(drop)
}

/// Waits until the process does nothing but look now and then.
fn wait_until_quiet(pid: u32) -> Result<(), String> {
    let end = Instant::now() + STARTING;
    let (mut since, mut work) = (Instant::now(), worked(pid)?);
    while since.elapsed() < QUIET {
        if Instant::now() > end {
            return Err(format!("the router is still busy after {STARTING:?}"));
        }
        std::thread::sleep(LOOK);
        let now = worked(pid)?;
        // A thread that has ended does not count any more.
        if now.saturating_sub(work) > QUIET_WORK {
            (since, work) = (Instant::now(), now);
        }
    }
    Ok(())
}

/// For how many nanoseconds the threads of a process have run.
fn worked(pid: u32) -> Result<u64, String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.map_err(|error| format!("the router has ended: {error}"))?;
    let time = |thread: fs::DirEntry| {
        // A thread that has just ended has no account any more.
        let account = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let first = account.split_ascii_whitespace().next();
        first.and_then(|time| time.parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(threads.flatten().map(time).sum())
}

/// A process that ends with the value that stands for it.
struct Ending(Child);

impl Ending {
    fn start(command: &mut Command) -> Result<Ending, String> {
        let child = command.stdin(Stdio::null()).spawn();
        let program = PathBuf::from(command.get_program());
        child
            .map(Ending)
            .map_err(|error| format!("{} cannot be started: {error}", program.display()))
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The port that the sink says it listens on.
fn port(sink: &mut Child) -> Result<String, String> {
    let said = sink.stdout.take().ok_or("the sink says nothing")?;
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        if let Some((_, behind)) = line.split_once("127.0.0.1:") {
            return Ok(behind.chars().take_while(char::is_ascii_digit).collect());
        }
    }
    Err("the sink does not listen".to_owned())
}

fn text(folder: &Path, output: &str, port: &str) -> String {
    format!(
        "[SERVICE]\n    Parsers_File parsers.conf\n[INPUT]\n    Name tail\n    Tag kube.*\n    Path {folder}/logs/*.log\n    \
         Parser docker\n    DB {folder}/flb_kube.db\n    Mem_Buf_Limit 5MB\n    Refresh_Interval 1\n    \
         Read_from_Head On\n[FILTER]\n    Name parser\n    Match **\n    Parser nginx\n    Key_Name log\n[OUTPUT]\n    \
         Match **\n    region us-west-2\n    endpoint localhost\n    port {port}\n    tls.ca_file {folder}/ca.pem\n{output}",
        folder = folder.display()
    )
}

/// What was seen of one program.
struct Seen {
    /// How many instructions ran in each function.
    counts: BTreeMap<String, u64>,
    /// How many functions the program has of each pattern.
    instances: BTreeMap<String, usize>,
}

/// Patterns for the script.
#[derive(Debug, Default, PartialEq)]
struct Order {
    /// Of functions that run, the busiest first.
    at_work: Vec<String>,
    /// Of functions of which some run that were named with their hashes.
    others: Vec<String>,
}

/// The functions in a callgrind file, and how many instructions ran in each. A name stands where its number first does; a
/// line with numbers that follows `calls=` counts what ran in the function that was called.
fn counted(account: &str) -> BTreeMap<String, u64> {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut counts = BTreeMap::new();
    let (mut current, mut is_call) = (None, false);
    for line in account.lines() {
        let called = line.strip_prefix("cfn=(");
        if let Some(rest) = called.or_else(|| line.strip_prefix("fn=(")) {
            let (number, name) = rest.split_once(')').unwrap_or((rest, ""));
            if !name.is_empty() {
                names.insert(number, without_recursion(name.trim()));
            }
            if called.is_none() {
                current = names.get(number).copied();
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let count: Option<u64> = line.rsplit(' ').next().and_then(|count| count.parse().ok());
            if let (Some(name), Some(count), false) = (current, count, is_call) {
                *counts.entry(name.to_owned()).or_default() += count;
            }
            is_call = false;
        }
    }
    counts
}

/// How many functions there are of each pattern, from what `nm -P` says: a name, a letter, and numbers in each line.
fn instances(symbols: &str) -> BTreeMap<String, usize> {
    let mut instances = BTreeMap::new();
    for line in symbols.lines() {
        let mut words = line.split_ascii_whitespace();
        let (name, kind) = (words.next(), words.next());
        if let (Some(name), Some("t" | "T" | "w" | "W")) = (name, kind)
            && let Some(pattern) = pattern(name)
        {
            *instances.entry(pattern).or_default() += 1;
        }
    }
    instances
}

/// The order of what runs in any of the programs.
fn order(seen: &[Seen]) -> Order {
    let mut busy: BTreeMap<String, u64> = BTreeMap::new();
    let mut others = BTreeSet::new();
    for program in seen {
        let mut running: BTreeMap<String, usize> = BTreeMap::new();
        for name in program.counts.keys().filter_map(|name| pattern(name)) {
            *running.entry(name).or_default() += 1;
        }
        let is_shared = |(pattern, running): (&String, &usize)| {
            let all = program.instances.get(pattern).copied().unwrap_or(0);
            (all > *running).then(|| pattern.clone())
        };
        others.extend(running.iter().filter_map(is_shared));
    }
    for (name, count) in seen.iter().flat_map(|program| &program.counts) {
        if let Some(pattern) = pattern(name) {
            let name = match others.contains(&pattern) {
                true => with_hash(name),
                false => pattern,
            };
            *busy.entry(name).or_default() += count;
        }
    }
    let mut at_work: Vec<(u64, String)> = busy
        .into_iter()
        .map(|(name, count)| (count, name))
        .collect();
    at_work.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
    at_work.iter().for_each(|(_, name)| {
        others.remove(name);
    });
    Order {
        at_work: at_work.into_iter().map(|(_, name)| name).collect(),
        others: others.into_iter().collect(),
    }
}

/// Callgrind numbers the calls of a function inside itself.
fn without_recursion(name: &str) -> &str {
    name.split('\'').next().unwrap_or(name)
}

/// A name with its hash, without what may follow.
fn with_hash(name: &str) -> String {
    match name.rfind("17h").filter(|_| name.starts_with("_ZN")) {
        Some(at) => format!("{}*", &name[..name.len().min(at + "17h".len() + 16)]),
        None => pattern(name).unwrap_or_else(|| name.to_owned()),
    }
}

/// The pattern of a function: of one of Rust's without what the compiler or a version adds (in the older form of names a
/// hash at the end, in the newer one the number of each crate).
fn pattern(name: &str) -> Option<String> {
    if let Some(at) = name.rfind("17h").filter(|_| name.starts_with("_ZN")) {
        return Some(format!("{}*", &name[..at + 3]));
    }
    // Other names are addresses, and names of a library with their version.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    let is_name = !name.starts_with(|first: char| first.is_ascii_digit());
    if !is_name || !name.bytes().all(is_plain) {
        return None;
    }
    // What LLVM adds where a function is taken into another piece of the program.
    let (plain, is_added) = name
        .split_once(".llvm.")
        .map_or((name, false), |(plain, _)| (plain, true));
    let mut pattern = match plain.starts_with("_R") {
        true => without_crate_numbers(plain),
        false => plain.to_owned(),
    };
    if is_added {
        pattern.push('*');
    }
    Some(pattern)
}

/// `Cs` and a number in base 62 up to `_` becomes `Cs*_`.
fn without_crate_numbers(name: &str) -> String {
    let mut parts = name.split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('_') {
            Some((number, rest)) if number.len() >= 10 => pattern += &format!("Cs*_{rest}"),
            _ => pattern += &format!("Cs{part}"),
        }
    }
    pattern
}

/// What a function is called in the file is the name of its section. Cold ones stand in sections of another prefix.
fn script(order: &Order) -> String {
    let mut script = "/* What runs while the slim router works, next to each other: made by `cargo xtask order`. */\n\
                      SECTIONS {\n  .text.work : {\n"
        .to_owned();
    for files in ENCRYPTING {
        script += &format!("    *libring-*:{files}(.text)\n");
    }
    let for_processors = FOR_PROCESSORS.iter().map(|name| (*name).to_owned());
    let names = for_processors.chain(order.at_work.iter().cloned());
    for name in names.chain(order.others.iter().cloned()) {
        script += &format!("    *(.text.{name} .text.unlikely.{name})\n");
    }
    script + "    *libring-*:*(.text)\n  }\n}\nINSERT BEFORE .text;\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_lose_their_hashes() {
        let names = [
            "_ZN6engine4road4Road6travel17h0123456789abcdefE",
            "_ZN3std2io5Write17h0123456789abcdefE.llvm.17",
            "0x0000000000001050",
            "pthread_x@@GLIBC_2.34",
            "sqlite3Step",
            "_RNvNtCsjrHSEGnQ3l9_3std2io4read",
            "_RNvNtCsjrHSEGnQ3l9_3std2io5write.llvm.17",
        ];
        let patterns: Vec<String> = names.into_iter().filter_map(pattern).collect();
        assert_eq!(
            patterns,
            [
                "_ZN6engine4road4Road6travel17h*",
                "_ZN3std2io5Write17h*",
                "sqlite3Step",
                "_RNvNtCs*_3std2io4read",
                "_RNvNtCs*_3std2io5write*"
            ]
        );
        assert_eq!(
            with_hash("_ZN3std2io5Write17h0123456789abcdefE.llvm.17"),
            "_ZN3std2io5Write17h0123456789abcdef*"
        );
        assert_eq!(with_hash("sqlite3Step"), "sqlite3Step");
    }

    #[test]
    fn what_ran_in_a_function_is_counted_without_what_it_called() {
        let account = "events: Ir\nfn=(1) one\n0 5\n+3 2\ncfn=(2) two'2\ncalls=1 0\n* 100\n+1 1\n\
                       fn=(2)\n0 30\nfn=(1)\n0 4\n";
        let expected = [("one".to_owned(), 12), ("two".to_owned(), 30)];
        assert_eq!(counted(account), expected.into());
    }

    #[test]
    fn of_functions_that_share_a_name_those_that_run_have_their_hashes() {
        let (one, other) = (
            "_ZN3vec3Vec4push17h1111111111111111E",
            "_ZN3vec3Vec4push17h2222222222222222E",
        );
        let symbols = format!("{one} t 0 1\n{other} t 1 1\nalone T 2 1\ndata D 3 1\n");
        let instances = instances(&symbols);
        assert_eq!(instances.len(), 2);
        let seen = |counts: &[(&str, u64)]| Seen {
            counts: counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            instances: instances.clone(),
        };
        let some = order(&[seen(&[(one, 5), ("alone", 2)]), seen(&[("alone", 4)])]);
        assert_eq!(
            some,
            Order {
                at_work: vec![
                    "alone".to_owned(),
                    "_ZN3vec3Vec4push17h1111111111111111*".to_owned()
                ],
                others: vec!["_ZN3vec3Vec4push17h*".to_owned()],
            }
        );
        let all = order(&[seen(&[(one, 5), (other, 6), ("alone", 2)])]);
        assert_eq!(all.at_work, ["_ZN3vec3Vec4push17h*", "alone"]);
        assert!(all.others.is_empty());
    }

    #[test]
    fn the_script_leaves_the_usual_layout_as_it_is() {
        let script = script(&Order {
            at_work: vec!["one".to_owned(), "two17h*".to_owned()],
            others: vec!["three17h*".to_owned()],
        });
        assert!(script.contains(
            "    *(.text.one .text.unlikely.one)\n    *(.text.two17h* .text.unlikely.two17h*)\n    \
             *(.text.three17h* .text.unlikely.three17h*)\n    *libring-*:*(.text)\n"
        ));
        assert!(script.contains("{\n    *libring-*:*aes*-x86_64*(.text)\n"));
        assert!(script.ends_with("  }\n}\nINSERT BEFORE .text;\n"));
    }

    /// Another process than this one: of a thread that ends, the account goes, and here other tests' threads do.
    #[test]
    fn what_a_process_works_is_counted_while_it_works() {
        let busy = Ending::start(Command::new("sh").args(["-c", "while :; do :; done"]));
        let busy = busy.expect("a shell");
        let before = worked(busy.0.id()).expect("an account");
        let begin = Instant::now();
        while worked(busy.0.id()).expect("an account") <= before {
            assert!(
                begin.elapsed() < Duration::from_mins(1),
                "nothing is counted"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(worked(u32::MAX).is_err());
    }
}
