//! Reload and upgrade under load: no connection is refused, nothing is lost, nothing comes twice.

use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::router::{Router, assert_all, delivered, free_port, until};
use crate::senders::Sender;

fn sections(port: u16, tag: &str, file: &str) -> String {
    format!(
        "[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n    Tag {tag}\n\
         [INPUT]\n    Name tail\n    Path in.log\n    DB in.db\n    Tag {tag}\n    Read_from_Head on\n\
         [OUTPUT]\n    Name file\n    Path .\n    File {file}\n    Match *\n    Format template\n    Template {{log}}\n"
    )
}

fn settle(router: &Router, count: usize) {
    until("everything to be delivered", || {
        (delivered(&router.folder, "out").len() >= count).then_some(())
    });
}

#[test]
fn reloads_lose_and_repeat_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let mut router = Router::start(folder.path(), &sections(port, "a", "out0"), &[]);
    let (file, tcp) = (
        Sender::to_file(folder.path().join("in.log")),
        Sender::to_port(port),
    );
    let mut done = 0;
    for round in 0..30 {
        let tag = ["a", "b"][round / 2 % 2];
        router.configure(&sections(port, tag, &format!("out{}", round % 3)));
        match round % 10 {
            // Mistakes of every kind leave everything as it is.
            4 => router.configure("[INPUT]\n    Name no_such_input\n"),
            8 => router.configure(&format!(
                "{}[INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {}\n",
                sections(port, tag, "out1"),
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
    let (lines, connections) = (file.finish(), tcp.finish());
    settle(&router, lines + connections);
    router.signal("TERM");
    assert!(router.wait().success());
    let log = router.log();
    assert!(log.contains("there is no input 'no_such_input'"), "{log}");
    assert!(log.contains("Address already in use"), "{log}");
    assert!(!log.contains("conservation"), "{log}");
    let delivered = delivered(folder.path(), "out");
    assert_all(&delivered, "tail", lines);
    assert_all(&delivered, "tcp", connections);
}

#[test]
fn upgrades_lose_and_repeat_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    // The program is called by a link, which is turned to another copy in between.
    let program = folder.path().join("flumen");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_flumen"), &program).expect("a link");
    let mut router = Router::start_by(
        Command::new(&program),
        folder.path(),
        &sections(port, "a", "out0"),
        &[],
    );
    let (file, tcp) = (
        Sender::to_file(folder.path().join("in.log")),
        Sender::to_port(port),
    );
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
    let (lines, connections) = (file.finish(), tcp.finish());
    settle(&router, lines + connections);
    router.signal("TERM");
    assert!(router.wait().success());
    let delivered = delivered(folder.path(), "out");
    assert_all(&delivered, "tail", lines);
    assert_all(&delivered, "tcp", connections);
}

#[test]
fn sockets_of_systemd_are_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a socket");
    let port = socket.local_addr().expect("bound").port();
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
    let mut router = Router::start_by(command, folder.path(), &sections(port, "a", "out"), &[]);
    drop(socket);
    let sent = early.join().expect("no panic").finish();
    settle(&router, sent);
    router.signal("TERM");
    assert!(router.wait().success());
    assert!(!router.log().contains("cannot listen"), "{}", router.log());
    assert_all(&delivered(folder.path(), "out"), "tcp", sent);
}
