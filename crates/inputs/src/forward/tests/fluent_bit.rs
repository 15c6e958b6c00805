//! A sender that others wrote: Fluent Bit's output `forward`. `FLUENT_BIT` names the program.

use std::process::{Child, Command, Stdio};

use super::rig::on_shard;
use super::security::on_tcp;
use crate::test_tls::{Authority, pairs};

/// A Fluent Bit that sends, killed on drop.
struct Sender {
    child: Child,
    folder: tempfile::TempDir,
}

impl Sender {
    /// Sends ten records with a time of their own to `port`; `options` are of its output.
    fn start(program: &str, port: u16, options: &str) -> Sender {
        let folder = tempfile::tempdir().expect("a folder");
        let configuration = format!(
            "[SERVICE]\n    flush 0.2\n[INPUT]\n    name dummy\n    dummy {{\"log\":\"x\"}}\n    rate 100\n    samples 10\n\
             [OUTPUT]\n    name forward\n    match *\n    host 127.0.0.1\n    port {port}\n    require_ack_response on\n{options}"
        );
        std::fs::write(folder.path().join("sender.conf"), configuration).expect("written");
        let child = Command::new(program)
            .args(["-c", "sender.conf"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("it can be started");
        Sender { child, folder }
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = std::fs::read_to_string(self.folder.path().join("log"));
        println!("{}", log.unwrap_or_default());
    }
}

#[test]
fn fluent_bit_shows_its_secret_and_is_acknowledged() {
    let Ok(program) = std::env::var("FLUENT_BIT") else {
        eprintln!("skipped: FLUENT_BIT: not set (fluent_bit_shows_its_secret_and_is_acknowledged)");
        return;
    };
    let program = &program;
    on_shard(async {
        let authority = Authority::new();
        let secret = [
            ("shared_key", "secret"),
            ("security.users", "ann pass"),
            ("self_hostname", "router"),
        ];
        let tls = authority.options();
        let encrypted = [&secret[..], &pairs(&tls)[..]].concat();
        let ca = authority.path("ca.pem");
        let shown = "    shared_key secret\n    self_hostname sender\n    username ann\n    password pass\n";
        let with_tls = format!(
            "{shown}    tls on\n    tls.vhost localhost\n    tls.ca_file {}\n",
            ca.display()
        );
        let compressed = format!("{shown}    compress gzip\n");
        for (listener, sender) in [
            (&secret[..], shown),
            (&secret[..], &compressed),
            (&encrypted[..], &with_tls),
            (&[], "    time_as_integer on\n"),
        ] {
            on_tcp(listener, |address, road| async move {
                let _sender = Sender::start(program, address.port(), sender);
                road.holds(10).await;
                let batches = road.batches();
                assert!(batches.iter().all(|batch| batch.is_awaited()));
                assert!(
                    road.lines()
                        .iter()
                        .all(|(_, line)| line == "dummy.0 {\"log\":\"x\"}")
                );
            })
            .await;
        }
    });
}

#[test]
fn a_fluent_bit_that_does_not_know_the_secret_is_kept_out() {
    let Ok(program) = std::env::var("FLUENT_BIT") else {
        eprintln!(
            "skipped: FLUENT_BIT: not set (a_fluent_bit_that_does_not_know_the_secret_is_kept_out)"
        );
        return;
    };
    on_shard(async {
        on_tcp(&[("shared_key", "secret")], |address, road| async move {
            let _wrong = Sender::start(&program, address.port(), "    shared_key guess\n");
            let _right = Sender::start(&program, address.port(), "    shared_key secret\n");
            road.holds(10).await;
        })
        .await;
    });
}
