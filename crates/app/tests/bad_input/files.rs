//! Files that are not as they should be, read by `tail`.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::harness::{Router, folder, numbered, skip, text};

/// Follows `logs/*.log` and prints the records. `more` are further options of the input.
fn configuration(more: &str) -> String {
    format!(
        "[SERVICE]\n    Flush 0.2\n    HTTP_Server off\n[INPUT]\n    Name tail\n    Path logs/*.log\n    \
         Read_from_Head on\n    Refresh_Interval 1\n    DB tail.db\n{more}[OUTPUT]\n    Name stdout\n    Match *\n    \
         Format json_lines\n"
    )
}

/// Lays `content` into `logs/NAME` of `folder`.
fn lay(folder: &Path, name: &str, content: &[u8]) {
    fs::create_dir_all(folder.join("logs")).expect("a folder");
    fs::write(folder.join("logs").join(name), content).expect("a file");
}

/// Appends to `logs/NAME` of `folder`.
fn append(folder: &Path, name: &str, content: &[u8]) {
    let file = File::options()
        .append(true)
        .open(folder.join("logs").join(name));
    file.and_then(|mut file| file.write_all(content))
        .expect("a file that can be appended to");
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn what_is_no_readable_file_is_in_nobodys_way() {
    let folder = folder();
    let path = folder.path();
    lay(path, "good.log", text(&numbered("good", 500)).as_bytes());
    lay(path, "empty.log", b"");
    lay(path, "unfinished.log", b"whole\nunfinished");
    fs::create_dir(path.join("logs/folder.log")).expect("a folder");
    symlink("nowhere", path.join("logs/dangling.log")).expect("a link");
    symlink("circle.log", path.join("logs/circle.log")).expect("a link");
    let fifo = Command::new("mkfifo")
        .arg(path.join("logs/fifo.log"))
        .status();
    assert!(fifo.expect("mkfifo(1)").success());
    let mut router = Router::start(path, &configuration(""));
    router.until_printed(501);
    // A line that gets its end later is one record, and the link leads to a file at last.
    append(path, "unfinished.log", b" no more\n");
    lay(path, "../logs/target", b"late\n");
    fs::write(path.join("logs/nowhere"), "late\n").expect("a file");
    append(path, "empty.log", b"no longer empty\n");
    router.until_printed(504);
    let lines = router.lines();
    router.terminate();
    let mut expected = numbered("good", 500);
    expected.extend(["whole", "unfinished no more", "late", "no longer empty"].map(str::to_owned));
    assert_eq!(sorted(lines), sorted(expected));
}

#[test]
fn an_unreadable_file_is_told_and_read_once_it_can_be() {
    let folder = folder();
    let path = folder.path();
    lay(path, "good.log", text(&numbered("good", 100)).as_bytes());
    lay(
        path,
        "secret.log",
        text(&numbered("secret", 100)).as_bytes(),
    );
    let secret = path.join("logs/secret.log");
    let set = |mode| fs::set_permissions(&secret, Permissions::from_mode(mode)).expect("own file");
    set(0o000);
    let Some(command) = unprivileged(path) else {
        return skip("setpriv(1) is needed where tests run as root");
    };
    let mut router = Router::start_by(command, path, &configuration(""));
    router.until_printed(100);
    router.until_logged("logs/secret.log: Permission denied (os error 13)");
    set(0o644);
    router.until_printed(200);
    let lines = router.lines();
    let log = router.terminate();
    let expected = [numbered("good", 100), numbered("secret", 100)].concat();
    assert_eq!(sorted(lines), sorted(expected));
    // It is said, and not said over and over.
    assert!(log.matches("Permission denied").count() <= 3, "{log}");
}

/// The router as somebody who may not read everything, and who may write into `folder`.
fn unprivileged(folder: &Path) -> Option<Command> {
    let id = Command::new("id").arg("-u").output().expect("id(1)");
    if id.stdout != b"0\n" {
        return Some(Command::new(env!("CARGO_BIN_EXE_flumen")));
    }
    let may = Command::new("setpriv").arg("--version").output();
    may.ok().filter(|output| output.status.success())?;
    // The binary may lie where nobody else may look.
    let copy = folder.join("flumen");
    fs::copy(env!("CARGO_BIN_EXE_flumen"), &copy).expect("a copy of the binary");
    fs::set_permissions(folder, Permissions::from_mode(0o777)).expect("own folder");
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(copy);
    Some(command)
}

#[test]
fn a_file_that_vanishes_or_shrinks_while_it_is_read_costs_nothing_that_was_there() {
    let folder = folder();
    let path = folder.path();
    lay(
        path,
        "vanishing.log",
        text(&numbered("vanishing", 200_000)).as_bytes(),
    );
    lay(
        path,
        "shrinking.log",
        text(&numbered("shrinking", 10)).as_bytes(),
    );
    let mut router = Router::start(path, &configuration("    Mem_Buf_Limit 100k\n"));
    router.until_printed(1);
    // It is open by now: what was in it can be read to its end.
    fs::remove_file(path.join("logs/vanishing.log")).expect("a file");
    router.until_printed(200_010);
    lay(path, "shrinking.log", b"anew\n");
    router.until_printed(200_011);
    let lines = router.lines();
    router.terminate();
    let mut expected = numbered("vanishing", 200_000);
    expected.extend(numbered("shrinking", 10));
    expected.push("anew".to_owned());
    assert_eq!(sorted(lines), sorted(expected));
}

#[test]
fn binary_garbage_leaves_the_good_lines_around_it_whole() {
    let folder = folder();
    let mut content = Vec::new();
    let good = numbered("good", 300);
    for (number, line) in good.iter().enumerate() {
        content.extend_from_slice(line.as_bytes());
        content.push(b'\n');
        let byte = u8::try_from(number % 256).expect("below 256");
        if byte != b'\n' {
            content.extend_from_slice(
                b"bad \x00\xff\xfe\xc3\x28\xed\xa0\x80\xf4\x90\x80\x80\x1b[31m\r\x00",
            );
            content.extend([byte; 3]);
            content.push(b'\n');
        }
    }
    lay(folder.path(), "mixed.log", &content);
    let lines = content.iter().filter(|byte| **byte == b'\n').count();
    let mut router = Router::start(folder.path(), &configuration(""));
    router.until_printed(lines);
    // Every line of the output is JSON, which `lines` asserts.
    let printed = router.lines();
    router.terminate();
    assert_eq!(printed.len(), lines);
    let found: Vec<String> = printed
        .iter()
        .filter(|line| line.starts_with("good "))
        .cloned()
        .collect();
    assert_eq!(found, good);
    let bad = printed.iter().filter(|line| line.starts_with("bad \0"));
    assert_eq!(bad.count(), lines - good.len());
}

#[test]
fn a_line_of_ten_megabytes_is_dropped_counted_or_kept_in_parts() {
    const LONG: usize = 10 << 20;
    for skipped in [true, false] {
        let folder = folder();
        let long = vec![b'x'; LONG];
        let content = [
            b"before\n",
            &long[..],
            b"\nbetween\n",
            &long[..],
            b"\nafter\n",
        ]
        .concat();
        lay(folder.path(), "long.log", &content);
        let more = format!(
            "    Skip_Long_Lines {}\n",
            if skipped { "on" } else { "off" }
        );
        let mut router = Router::start(folder.path(), &configuration(&more));
        router.until("the last line", |router| {
            router
                .printed()
                .iter()
                .any(|line| line.contains("\"after\""))
        });
        let lines = router.lines();
        let log = router.terminate();
        let short: Vec<&String> = lines.iter().filter(|line| line.len() < 10).collect();
        assert_eq!(short, ["before", "between", "after"]);
        let long: usize = lines.iter().map(String::len).filter(|len| *len >= 10).sum();
        assert_eq!(long, if skipped { 0 } else { 2 * LONG });
        assert!(log.contains("long.log"), "it is said which file: {log}");
    }
}
