//! The real file system and environment behind the door.

use std::fs;
use std::path::Path;

use config::{Diagnostics, Document, Host, SystemHost};

#[test]
fn includes_work_on_the_real_file_system() {
    let folder = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, content: &str| fs::write(folder.path().join(name), content).expect("writable");
    fs::create_dir(folder.path().join("parts")).expect("writable");
    write(
        "main.conf",
        "@INCLUDE parts/*.conf\n@INCLUDE one.conf\n[SERVICE]\n    Parsers_File parsers.conf\n",
    );
    write("one.conf", "[OUTPUT]\n    Name null\n    Match *\n");
    write("parts/a.conf", "[INPUT]\n    Name dummy\n");
    write("parts/.hidden.conf", "[INPUT]\n    Name hidden\n");
    write("parsers.conf", "[PARSER]\n    Name json\n    Format json\n");

    let mut diagnostics = Diagnostics::new();
    let main = folder.path().join("main.conf");
    let document = Document::load(&SystemHost, Some(&main), Vec::new(), &mut diagnostics);
    assert_eq!(diagnostics.to_string(), "");
    assert_eq!(document.inputs.len(), 1);
    assert_eq!((document.outputs.len(), document.parsers.len()), (1, 1));
    assert_eq!(
        document.folder,
        Some(fs::canonicalize(folder.path()).expect("there"))
    );
}

#[test]
fn links_to_a_file_are_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("main.conf");
    fs::write(&main, "@INCLUDE again.conf\n").expect("writable");
    std::os::unix::fs::symlink(&main, folder.path().join("again.conf")).expect("writable");
    let mut diagnostics = Diagnostics::new();
    Document::load(&SystemHost, Some(&main), Vec::new(), &mut diagnostics);
    assert!(
        diagnostics.to_string().contains("is read a second time"),
        "{diagnostics}"
    );
}

#[test]
fn a_folder_is_no_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut diagnostics = Diagnostics::new();
    Document::load(
        &SystemHost,
        Some(folder.path()),
        Vec::new(),
        &mut diagnostics,
    );
    assert!(diagnostics.has_errors());
}

#[test]
fn hostname_is_always_a_variable() {
    assert!(
        SystemHost
            .variable("HOSTNAME")
            .is_some_and(|name| !name.is_empty())
    );
    for name in ["", "A=B", "\0", "SURELY_NOT_SET_BY_ANYONE"] {
        assert_eq!(SystemHost.variable(name), None, "{name}");
    }
    assert!(SystemHost.glob(Path::new("/[")).is_empty());
}
