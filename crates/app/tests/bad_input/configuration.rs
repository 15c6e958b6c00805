//! Configurations with mistakes: what Fluent Bit refuses is refused, with the place and what would be right; what it takes
//! with a shrug starts, with a warning.

use std::fs;

use crate::harness::{Router, folder};

/// A configuration that is refused.
struct Refused {
    text: &'static str,
    /// 1: it cannot be loaded. 255: it cannot start.
    code: i32,
    /// What the message must hold, in this order.
    says: &'static [&'static str],
}

const REFUSED: &[Refused] = &[
    Refused {
        text: "[INPUT]\n    Name dummy\n    Dumy {}\n",
        code: 1,
        says: &[
            "error: input 'dummy' has no option 'dumy'\n",
            "  --> flumen.conf:3:5\n",
            "did you mean 'dummy'?\n",
        ],
    },
    Refused {
        text: "[INPUT]\n    Name tial\n",
        code: 1,
        says: &[
            "error: there is no input 'tial'\n",
            "  --> flumen.conf:2:10\n",
            "did you mean 'tail'? there are: dummy, forward,",
        ],
    },
    Refused {
        text: "[INPUT]\n    Tag x\n",
        code: 1,
        says: &[
            "error: input has no 'name'\n",
            "  --> flumen.conf:1:1\n",
            "the key 'name' says which plugin",
        ],
    },
    Refused {
        text: "[INPUT]\n    Name tail\n    Tag x\n",
        code: 255,
        says: &[
            "error at start: input 'tail' needs 'path'\n",
            "  --> flumen.conf:1:1\n",
        ],
    },
    Refused {
        text: "[INPUT]\n    Name tcp\n    Port 70000\n",
        code: 255,
        says: &[
            "error at start: 'port': 70000 is out of range\n",
            "  --> flumen.conf:3:10\n",
            "a whole number from 0 to 65535\n",
        ],
    },
    Refused {
        text: "[SERVICE]\n    Parsers_File nope.conf\n[INPUT]\n    Name dummy\n",
        code: 1,
        says: &[
            "error: 'parsers_file': cannot read 'nope.conf': No such file or directory",
            "  --> flumen.conf:2:18\n",
            "it was looked for in the current directory and in",
        ],
    },
    Refused {
        text: "[SERVICE]\n    Parsers_File parsers.conf\n[INPUT]\n    Name dummy\n[FILTER]\n    Name parser\n    \
               Match *\n    Key_Name log\n    Parser ngnix\n",
        code: 255,
        says: &[
            "there is no parser 'ngnix'; did you mean 'nginx'? there are: nginx\n",
            "none of the named parsers exists\n",
        ],
    },
    Refused {
        text: "[INPUT]\n    Name dummy\n[FILTER]\n    Name parser\n    Match *\n    Key_Name log\n    Parser nginx\n",
        code: 255,
        says: &[
            "there is no parser 'nginx': no parser is defined; does 'Parsers_File' in [SERVICE] name a file?\n",
        ],
    },
    Refused {
        text: "@INCLUDE nope.conf\n[INPUT]\n    Name dummy\n",
        code: 1,
        says: &[
            "error: cannot read 'nope.conf': No such file or directory",
            "  --> flumen.conf:1:10\n",
        ],
    },
    Refused {
        text: "@INCLUDE nope/*.conf\n[INPUT]\n    Name dummy\n",
        code: 1,
        says: &[
            "error: no file matches '",
            "nope/*.conf'\n",
            "  --> flumen.conf:1:10\n",
        ],
    },
    Refused {
        text: "@INCLUDE flumen.conf\n[INPUT]\n    Name dummy\n",
        code: 1,
        says: &[
            "error: 'flumen.conf' is read a second time\n",
            "  --> flumen.conf:1:10\n",
        ],
    },
    Refused {
        text: "    Name dummy\n[INPUT]\n    Name dummy\n",
        code: 1,
        says: &[
            "error: 'name' stands before any section\n",
            "  --> flumen.conf:1:5\n",
            "a section begins with its [NAME]\n",
        ],
    },
    Refused {
        text: "[INPUT\n    Name dummy\n",
        code: 1,
        says: &[
            "error: the name of the section does not end: there is no ']'\n",
            "  --> flumen.conf:1:1\n",
        ],
    },
    Refused {
        text: "[INPUT]\n    Name dummy\n[FILTER]\n    Name parser\n    Key_Name log\n    Parser nginx\n",
        code: 255,
        says: &[
            "error at start: filter 'parser' needs 'match' or 'match_regex'\n",
            "  --> flumen.conf:3:1\n",
        ],
    },
];

/// A configuration that starts, with a warning.
const ACCEPTED: &[(&str, &[&str])] = &[
    (
        "[SERVICE]\n    Flsh 1\n",
        &[
            "warning: service has no option 'flsh'\n",
            "  --> flumen.conf:2:5\n",
            "did you mean 'flush'?\n",
        ],
    ),
    (
        "[INPUT]\n    Name dummy\n    Rate fast\n",
        &[
            "warning: 'rate': 'fast' is not a whole number and is read as 0\n",
            "  --> flumen.conf:3:10\n",
        ],
    ),
    (
        "[INPT]\n    Name dummy\n",
        &[
            "warning: the section 'INPT' is not known and is ignored\n",
            "  --> flumen.conf:1:1\n",
            "did you mean [INPUT]?\n",
        ],
    ),
    (
        "[INPUT]\n    Name tail\n    Path none/*.log\n    Parser nginx\n",
        &["there is no parser 'nginx'", "lines are kept whole\n"],
    ),
];

/// By whose record a router shows that it runs.
const READY: &str = "[INPUT]\n    Name dummy\n    Samples 1\n";

const OUTPUT: &str = "[OUTPUT]\n    Name stdout\n    Match *\n";

/// What a `log` holds of `parts`, which must come in this order.
fn assert_says(log: &str, parts: &[&str], of: &str) {
    let mut rest = log;
    for part in parts {
        let found = rest.find(part);
        let found = found.unwrap_or_else(|| panic!("{part:?} is not said of\n{of}\nbut\n{log}"));
        rest = &rest[found + part.len()..];
    }
}

#[test]
fn what_is_wrong_is_refused_with_its_place_and_what_would_be_right() {
    for Refused { text, code, says } in REFUSED {
        let folder = folder();
        let parsers = "[PARSER]\n    Name nginx\n    Format json\n";
        fs::write(folder.path().join("parsers.conf"), parsers).expect("parsers");
        let (ended, log) = Router::refused(folder.path(), &format!("{text}{OUTPUT}"));
        assert_says(&log, says, text);
        assert_eq!(ended, *code, "{text}\n{log}");
    }
}

#[test]
fn what_is_merely_odd_starts_with_a_warning() {
    for (text, says) in ACCEPTED {
        let folder = folder();
        let mut router = Router::start(folder.path(), &format!("{text}{READY}{OUTPUT}"));
        router.until_printed(1);
        let log = router.log();
        // A message of the log begins on a line of its own.
        assert!(
            log.lines()
                .any(|line| line.starts_with('[') && line.contains("version=")),
            "{log}"
        );
        let log = router.terminate();
        assert_says(&log, says, text);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let folder = folder();
    let text = "[SERVICE]\n    Flsh 1\n    Parsers_File nope.conf\n[INPUT]\n    Name tial\n[INPUT]\n    Name dummy\n    \
                Dumy {}\n[FILTER]\n    Match *\n[OUTPUT]\n    Name firehose\n    Match *\n";
    let (code, log) = Router::refused(folder.path(), text);
    assert_eq!(code, 1, "{log}");
    for said in [
        "'flsh'",
        "'nope.conf'",
        "no input 'tial'",
        "no option 'dumy'",
        "filter has no 'name'",
        "'firehose' needs 'delivery_stream'",
        "'firehose' needs 'region'",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
    assert_eq!(log.matches("  --> flumen.conf:").count(), 7, "{log}");
}

#[test]
fn a_mistake_in_an_included_file_is_told_with_that_file() {
    let folder = folder();
    fs::write(
        folder.path().join("more.conf"),
        "\n[INPUT]\n    Name dummy\n    Rat 1\n",
    )
    .expect("a file");
    let (code, log) = Router::refused(folder.path(), &format!("@INCLUDE more.conf\n{OUTPUT}"));
    assert_eq!(code, 1);
    assert_says(
        &log,
        &[
            "no option 'rat'\n",
            "more.conf:4:5\n",
            "did you mean 'rate'?",
        ],
        "more.conf",
    );
}

#[test]
fn what_is_no_configuration_at_all_is_refused_in_little_memory() {
    let mut noise = 1_u64;
    let garbage: Vec<u8> = std::iter::repeat_with(|| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    })
    .take(3 << 20)
    .collect();
    for bytes in [garbage, vec![b'x'; 40 << 20], vec![0; 40 << 20]] {
        let folder = folder();
        let included = folder.path().join("more.conf");
        fs::write(&included, &bytes).expect("a file");
        let (code, log) = Router::refused(folder.path(), &format!("@INCLUDE more.conf\n{OUTPUT}"));
        assert_eq!(code, 1);
        assert!(
            log.contains("more.conf:1:1\n"),
            "{}",
            &log[..log.len().min(400)]
        );
        assert!(log.len() < 1 << 20, "{} bytes of messages", log.len());
    }
}
