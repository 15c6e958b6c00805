//! `cargo xtask order`: which functions run while the slim router works, written down as a linker script that puts them
//! next to each other (`crates/app/at_work.ld`, which `crates/app/build.rs` hands to the linker).
//!
//! The kernel maps a program's pages in pieces of 64 KiB, and all of a piece counts as resident: functions that run, spread
//! over the whole program, cost five times their size. They are found by running the router under callgrind, once it has
//! started: what only a start needs is not wanted. Names go without the compiler's hashes, so that the script outlives a
//! change of the compiler or of a library; a name that is gone matches nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::peers;
use crate::run::{COMPILING, captured, watched};
use crate::suite;

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
/// The router's start takes some seconds under callgrind; what it gives back then (`engine/src/idle.rs`) two more.
const START: Duration = Duration::from_secs(14);
/// As slow as callgrind, and long enough for a few writes to the database of positions.
const LINES: [&str; 4] = ["--rate", "500", "--duration", "20s"];
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
    let mut build = suite::cargo(root);
    build.args([
        "build",
        "--release",
        "-p",
        "flumen",
        "--no-default-features",
    ]);
    build.args(["--features", "bench,lake"]);
    watched(&mut build, COMPILING, |_| ())?;
    let program = peers::target(root).join("release/flumen");
    let mut names = BTreeSet::new();
    for output in OUTPUTS {
        let folder = peers::target(root).join("order");
        // What an earlier run has left would be read again.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("logs")).map_err(|error| error.to_string())?;
        names.extend(patterns(&work(&program, &folder, root, output)?));
    }
    let path = root.join(SCRIPT);
    fs::write(&path, script(&names)).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(names.len())
}

/// Lets the router send lines to `output` and gives callgrind's account of it.
fn work(program: &Path, folder: &Path, root: &Path, output: &str) -> Result<String, String> {
    let mut sink = Command::new(program);
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
    std::thread::sleep(START);
    let pid = router.0.id().to_string();
    captured(Command::new("callgrind_control").args(["-i", "on", &pid]))?;
    let mut lines = Command::new(program);
    lines
        .args([
            "bench",
            "gen",
            "--kind",
            "nginx",
            "--wrap",
            "docker",
            "--each-line",
            "--path",
        ])
        .arg(folder.join("logs/app.log"))
        .args(LINES);
    captured(&mut lines)?;
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

/// The names of all functions in a callgrind file, as patterns of a linker script.
fn patterns(account: &str) -> BTreeSet<String> {
    let names = account.lines().filter_map(|line| {
        let rest = line
            .strip_prefix("fn=(")
            .or_else(|| line.strip_prefix("cfn=("))?;
        Some(rest.split_once(") ")?.1.trim())
    });
    names.filter_map(pattern).collect()
}

/// The pattern of a function: of one of Rust's without what the compiler or a version adds (in the older form of names a
/// hash at the end, in the newer one the number of each crate), and without the number of a recursion.
fn pattern(name: &str) -> Option<String> {
    let name = name.split('\'').next().unwrap_or(name);
    if let Some(at) = name.rfind("17h").filter(|_| name.starts_with("_ZN")) {
        return Some(format!("{}*", &name[..at + 3]));
    }
    // Other names are addresses, and names of a library with their version.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$');
    let is_name = !name.starts_with(|first: char| first.is_ascii_digit());
    if !is_name || !name.bytes().all(is_plain) {
        return None;
    }
    match name.starts_with("_R") {
        true => Some(without_crate_numbers(name)),
        false => Some(name.to_owned()),
    }
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

/// What a function is called in the file is the name of its section. Cold ones stand in sections of another prefix; what
/// ring has in assembler has none of its own.
fn script(names: &BTreeSet<String>) -> String {
    let mut script = "/* What runs while the slim router works, next to each other: made by `cargo xtask order`. */\n\
                      SECTIONS {\n  .text.work : {\n"
        .to_owned();
    let for_processors = FOR_PROCESSORS.map(str::to_owned);
    for name in names.iter().chain(&for_processors) {
        script += &format!("    *(.text.{name} .text.unlikely.{name})\n");
    }
    script + "    *libring-*:*(.text)\n  }\n}\nINSERT BEFORE .text;\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_lose_their_hashes() {
        let account = "fn=(1) _ZN6engine4road4Road6travel17h0123456789abcdefE\ncfn=(2) sqlite3Step'2\n\
                       fn=(1)\ncfn=(3) _ZN3std2io5Write17h00E.llvm.17\nfn=(4) 0x0000000000001050\n\
                       fn=(5) pthread_x@@GLIBC_2.34\nfn=(6) sqlite3Step\n\
                       fn=(7) _RNvNtCsjrHSEGnQ3l9_3std2io4read\n";
        let patterns: Vec<String> = patterns(account).into_iter().collect();
        assert_eq!(
            patterns,
            [
                "_RNvNtCs*_3std2io4read",
                "_ZN3std2io5Write17h*",
                "_ZN6engine4road4Road6travel17h*",
                "sqlite3Step"
            ]
        );
    }

    #[test]
    fn the_script_leaves_the_usual_layout_as_it_is() {
        let script = script(&["one".to_owned(), "two17h*".to_owned()].into());
        assert!(script.contains(
            "{\n    *(.text.one .text.unlikely.one)\n    *(.text.two17h* .text.unlikely.two17h*)\n"
        ));
        assert!(script.ends_with(
            "    *(.text.ring_core_*_adx .text.unlikely.ring_core_*_adx)\n    \
             *libring-*:*(.text)\n  }\n}\nINSERT BEFORE .text;\n"
        ));
    }
}
