//! Reload and upgrade under load: no connection is refused, nothing is lost, nothing comes twice.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::router::{Router, assert_all, delivered, free_port, until};
use crate::senders::Sender;

fn sections([tcp, forward]: [u16; 2], tag: &str, file: &str) -> String {
    format!(
        "[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {tcp}\n    Format none\n    Tag {tag}\n\
         [INPUT]\n    Name forward\n    Listen 127.0.0.1\n    Port {forward}\n    Tag {tag}\n\
         [INPUT]\n    Name tail\n    Path in.log\n    DB in.db\n    Tag {tag}\n    Read_from_Head on\n\
         [OUTPUT]\n    Name file\n    Path .\n    File {file}\n    Match *\n    Format template\n    Template {{log}}\n"
    )
}

/// One of each kind.
struct Senders([(&'static str, Sender); 4]);

impl Senders {
    fn start(folder: &Path, [tcp, forward]: [u16; 2]) -> Senders {
        Senders([
            ("tail", Sender::to_file(folder.join("in.log"))),
            ("tcp", Sender::to_port(tcp)),
            ("line", Sender::over_one_connection(tcp, line)),
            ("frame", Sender::over_one_connection(forward, frame)),
        ])
    }

    /// How much each has sent.
    fn finish(self) -> [(&'static str, usize); 4] {
        self.0.map(|(name, sender)| (name, sender.finish()))
    }
}

fn line(number: usize) -> Vec<u8> {
    format!("line {number}\n").into_bytes()
}

/// A message of the forward protocol that nobody acknowledges.
fn frame(number: usize) -> Vec<u8> {
    let text = format!("frame {number}");
    let head = [&b"\x93\xa1t\x05\x81\xa3log"[..], &[0xa0 | text.len() as u8]];
    [&head.concat(), text.as_bytes()].concat()
}

fn settle(router: &Router, count: usize) {
    until("everything to be delivered", || {
        (delivered(&router.folder, "out").len() >= count).then_some(())
    });
}

#[test]
fn reloads_lose_and_repeat_nothing() {
    reload_often(&[]);
}

#[test]
fn reloads_of_several_workers_lose_and_repeat_nothing() {
    reload_often(&["--workers", "3"]);
}

fn reload_often(arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = [free_port(), free_port()];
    let mut router = Router::start(folder.path(), &sections(ports, "a", "out0"), arguments);
    let senders = Senders::start(folder.path(), ports);
    let mut done = 0;
    for round in 0..30 {
        let tag = ["a", "b"][round / 2 % 2];
        router.configure(&sections(ports, tag, &format!("out{}", round % 3)));
        match round % 10 {
            // Mistakes of every kind leave everything as it is.
            4 => router.configure("[INPUT]\n    Name no_such_input\n"),
            8 => router.configure(&format!(
                "{}[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {}\n",
                sections(ports, tag, "out1"),
                router.http
            )),
            _ => done += 1,
        }
        if round % 2 == 0 {
            let refused = "400 Bad Request";
            let answer = router.ask("POST", "/api/v2/reload", "");
            let expected = if matches!(round % 10, 4 | 8) {
                refused
            } else {
                "200 OK"
            };
            assert!(answer.contains(expected), "{round}: {answer}");
        } else {
            router.signal("HUP");
            router.until_logged("[reload] done", done);
        }
        assert!(
            router
                .ask("GET", "/api/v1/health", "")
                .ends_with("\r\n\r\nok\n")
        );
    }
    let answer = router.ask("GET", "/api/v2/reload", "");
    assert!(
        answer.ends_with(&format!("{{\"hot_reload_count\":{done}}}")),
        "{answer}"
    );
    let sent = senders.finish();
    settle(&router, sent.iter().map(|(_, count)| count).sum());
    router.signal("TERM");
    assert!(router.wait().success());
    let log = router.log();
    assert!(log.contains("there is no input 'no_such_input'"), "{log}");
    assert!(log.contains("Address already in use"), "{log}");
    assert!(!log.contains("conservation"), "{log}");
    let delivered = delivered(folder.path(), "out");
    for (name, count) in sent {
        assert_all(&delivered, name, count);
    }
}

#[test]
fn a_configuration_that_is_being_written_ends_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = [free_port(), free_port()];
    let mut router = Router::start(folder.path(), &sections(ports, "a", "out"), &[]);
    let file = folder.path().join("flumen.conf");
    let whole = std::fs::read_to_string(&file).expect("there");
    let sender = Sender::over_one_connection(ports[1], frame);
    // Emptied, and cut off before the outputs.
    for (round, end) in [0, whole.find("[OUTPUT]").expect("there")]
        .into_iter()
        .enumerate()
    {
        std::fs::write(&file, &whole[..end]).expect("written");
        router.signal("HUP");
        router.until_logged("has no inputs or no outputs", round + 1);
    }
    std::fs::write(&file, &whole).expect("written");
    router.signal("HUP");
    router.until_logged("[reload] done: 4 instances run on", 1);
    let sent = sender.finish();
    settle(&router, sent);
    router.signal("TERM");
    assert!(router.wait().success());
    assert_all(&delivered(folder.path(), "out"), "frame", sent);
}

#[test]
fn upgrades_lose_and_repeat_nothing() {
    upgrade_often(&[]);
}

#[test]
fn upgrades_of_several_workers_lose_and_repeat_nothing() {
    upgrade_often(&["--workers", "2"]);
}

fn upgrade_often(arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = [free_port(), free_port()];
    // The program is called by a link, which is turned to another copy in between.
    let program = folder.path().join("flumen");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_flumen"), &program).expect("a link");
    let mut router = Router::start_by(
        Command::new(&program),
        folder.path(),
        &sections(ports, "a", "out0"),
        arguments,
    );
    let senders = Senders::start(folder.path(), ports);
    for round in 1..=4 {
        router.signal("USR2");
        router.until_logged("[http_server] listen", round + 1);
    }
    // One that would not start changes nothing.
    std::fs::remove_file(&program).expect("removed");
    std::os::unix::fs::symlink("/bin/false", &program).expect("a link");
    router.signal("USR2");
    router.until_logged("[upgrade] everything stays as it was", 1);
    assert!(router.ask("GET", "/api/v1/health", "").contains(" 200 OK"));
    let sent = senders.finish();
    settle(&router, sent.iter().map(|(_, count)| count).sum());
    router.signal("TERM");
    assert!(router.wait().success());
    let delivered = delivered(folder.path(), "out");
    for (name, count) in sent {
        assert_all(&delivered, name, count);
    }
}

#[test]
fn a_second_router_on_the_same_files_and_database_does_not_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let tail = |path: &str| {
        format!(
            "[INPUT]\n    Name tail\n    Path {path}\n    DB in.db\n[OUTPUT]\n    Name null\n    Match *\n"
        )
    };
    let mut router = Router::start(folder.path(), &tail("in.log"), &[]);
    let start = |path: &str| {
        let file = folder.path().join("second.conf");
        std::fs::write(&file, tail(path)).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
        command.args(["-c", "second.conf"]);
        command.env("STATE_DIRECTORY", folder.path().join("second"));
        command.current_dir(folder.path());
        command.stderr(std::process::Stdio::piped());
        command.spawn().expect("it starts")
    };
    let output = start("in.log").wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("another router notes positions"), "{text}");
    // The first one did not notice; and other files may be noted in the same database.
    assert!(router.ask("GET", "/api/v1/health", "").contains(" 200 OK"));
    let mut other = start("other.log");
    let log = std::io::BufReader::new(other.stderr.take().expect("piped"));
    let is_started = std::io::BufRead::lines(log)
        .map_while(Result::ok)
        .any(|line| line.contains("memory limit"));
    other.kill().expect("it runs");
    other.wait().expect("it ended");
    assert!(is_started);
    router.signal("TERM");
    assert!(router.wait().success());
}

#[test]
fn sockets_of_systemd_are_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let port = socket.local_addr().expect("bound").port();
    let ports = [port, free_port()];
    let number = socket.as_raw_fd();
    let mut command = Command::new("sh");
    // The shell keeps its process id when it becomes the router.
    command.args([
        "-c",
        "export LISTEN_PID=$$; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_flumen"),
    ]);
    command.envs([("LISTEN_FDS", "1"), ("LISTEN_FDNAMES", "tcp.0.socket")]);
    // SAFETY: dup2 may be called between fork and exec; descriptor 3 is nobody's in the child.
    unsafe {
        command.pre_exec(move || match libc::dup2(number, 3) {
            3 if number != 3 => Ok(()),
            3 => match libc::fcntl(3, libc::F_SETFD, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    // Sent before anybody serves the socket.
    let early = std::thread::spawn(move || Sender::to_port(port));
    let mut router = Router::start_by(command, folder.path(), &sections(ports, "a", "out"), &[]);
    drop(socket);
    let sent = early.join().expect("no panic").finish();
    settle(&router, sent);
    router.signal("TERM");
    assert!(router.wait().success());
    assert!(!router.log().contains("cannot listen"), "{}", router.log());
    assert_all(&delivered(folder.path(), "out"), "tcp", sent);
}
