//! `--sandbox`: what the configuration does not name cannot be touched, also not by a reload.

use crate::router::{Router, assert_all, delivered, free_port, until};
use crate::senders::Sender;

fn landlock_is_here() -> bool {
    // SAFETY: with these arguments it only asks for the version.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    if version < 4 {
        eprintln!("skipped: this kernel's Landlock knows no ports ({version})");
    }
    version >= 4
}

#[test]
fn what_is_not_named_cannot_be_touched() {
    touch_what_is_not_named(&["--sandbox"]);
}

/// Landlock binds the thread that asks for it and those that it starts: all workers must be among them.
#[test]
fn several_workers_cannot_touch_it_either() {
    touch_what_is_not_named(&["--sandbox", "--workers", "2"]);
}

fn touch_what_is_not_named(arguments: &[&str]) {
    if !landlock_is_here() {
        return;
    }
    // Not below /tmp, which is nobody's to read here.
    let (folder, elsewhere) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    std::fs::write(elsewhere.path().join("secret.log"), "secret 0\n").expect("written");
    std::fs::create_dir(folder.path().join("logs")).expect("made");
    // What a pod with access to its log folder may try.
    std::os::unix::fs::symlink(
        elsewhere.path().join("secret.log"),
        folder.path().join("logs/evil.log"),
    )
    .expect("a link");
    let port = free_port();
    let sections = |path: &str, port: u16| {
        format!(
            "    storage.path {}\n[INPUT]\n    Name tail\n    Path {path}\n    DB state/in.db\n    Read_from_Head on\n\
             [INPUT]\n    Name tcp\n    Listen 127.0.0.1\n    Port {port}\n    Format none\n\
             [OUTPUT]\n    Name file\n    Path out\n    File out\n    Match *\n    Format template\n    Template {{log}}\n",
            folder.path().join("state").display()
        )
    };
    let file = Sender::to_file(folder.path().join("logs/in.log"));
    let mut router = Router::start(folder.path(), &sections("logs/*.log", port), arguments);
    let tcp = Sender::to_port(port);
    // The same again, an upgrade, and what is not allowed.
    assert!(router.ask("POST", "/api/v2/reload", "").contains(" 200 OK"));
    router.signal("USR2");
    router.until_logged("[http_server] listen", 2);
    let elsewhere_too = format!("{}/*.log", elsewhere.path().display());
    router.configure(&sections(&elsewhere_too, port));
    let answer = router.ask("POST", "/api/v2/reload", "");
    assert!(answer.contains(" 400 Bad Request"), "{answer}");
    let reason = format!("does not allow to read {}", elsewhere.path().display());
    assert!(router.log().contains(&reason), "{}", router.log());
    router.configure(&sections("logs/*.log", free_port()));
    let answer = router.ask("POST", "/api/v2/reload", "");
    assert!(answer.contains(" 400 Bad Request"), "{answer}");
    assert!(router.log().contains("listen on port"), "{}", router.log());
    let (lines, connections) = (file.finish(), tcp.finish());
    let out = folder.path().join("out");
    until("everything to be delivered", || {
        (delivered(&out, "out").len() >= lines + connections).then_some(())
    });
    router.signal("TERM");
    assert!(router.wait().success());
    let delivered = delivered(&out, "out");
    assert_all(&delivered, "tail", lines);
    assert_all(&delivered, "tcp", connections);
    assert!(!delivered.iter().any(|line| line.contains("secret")));
    assert!(
        router.log().contains("evil.log"),
        "it says what it cannot read"
    );
}
