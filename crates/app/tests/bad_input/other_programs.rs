//! Configurations of other programs and of other people: what would run code is not there, and no value of the environment
//! becomes more than a value.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::harness::{Router, folder};

const OUTPUT: &str = "[OUTPUT]\n    Name stdout\n    Match *\n    Format json_lines\n";

#[test]
fn plugins_that_run_code_are_not_there() {
    let sections = [
        "[INPUT]\n    Name exec\n    Command touch ran\n",
        "[INPUT]\n    Name exec_wasi\n    WASI_Path ran.wasm\n",
        "[INPUT]\n    Name dummy\n[FILTER]\n    Name lua\n    Match *\n    Call f\n    Code os.execute('touch ran')\n",
        "[INPUT]\n    Name dummy\n[FILTER]\n    Name wasm\n    Match *\n    WASM_Path ran.wasm\n",
    ];
    for section in sections {
        let folder = folder();
        let (code, log) = Router::refused(folder.path(), &format!("{section}{OUTPUT}"));
        assert_eq!(code, 1, "{section}{log}");
        assert!(log.contains("error: there is no "), "{section}{log}");
        assert!(!folder.path().join("ran").exists(), "{section}");
    }
}

#[test]
fn an_input_that_is_not_there_is_not_replaced_by_another() {
    for section in [
        "[INPUT]\n    Name syslog\n    Mode tcp\n    Listen 127.0.0.1\n    Port 0\n",
        "[INPUT]\n    Name syslog\n    Mode unix_udp\n    Path ./socket\n",
    ] {
        let folder = folder();
        let (code, log) = Router::refused(folder.path(), &format!("{section}{OUTPUT}"));
        assert_eq!(code, 1, "{section}{log}");
        assert!(log.contains("there is no input 'syslog'"), "{section}{log}");
        assert!(!folder.path().join("socket").exists(), "{section}");
    }
}

#[test]
fn a_variable_cannot_add_a_section_or_a_key() {
    let folder = folder();
    let text = format!(
        "[INPUT]\n    Name dummy\n    Samples 1\n    Dummy {{\"log\":\"x\"}}\n    Tag ${{EVIL}}\n{OUTPUT}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.env(
        "EVIL",
        "tag\n    Samples 50\n[OUTPUT]\n    Name file\n    Match *\n    Path .\n    File written\n",
    );
    let mut router = Router::start_by(command, folder.path(), &text);
    router.until_printed(1);
    let lines = router.lines();
    let log = router.terminate();
    assert_eq!(lines, ["x"], "{log}");
    assert!(!folder.path().join("written").exists(), "{log}");
}

#[test]
fn a_variable_that_is_no_text_is_no_panic() {
    let folder = folder();
    let text = format!(
        "[INPUT]\n    Name dummy\n    Samples 1\n    Dummy {{\"log\":\"x\"}}\n    Tag a${{BYTES}}b\n{OUTPUT}"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_flumen"));
    command.env("BYTES", OsStr::from_bytes(b"\xff\xfe\x1b"));
    let mut router = Router::start_by(command, folder.path(), &text);
    router.until_printed(1);
    let log = router.terminate();
    assert!(!log.contains('\x1b'), "{}", log.escape_debug());
}
