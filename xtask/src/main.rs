//! The project's own chores: `cargo xtask test` passes every test on a fresh machine, `cargo xtask tidy` looks after
//! what neither compiler nor linter does.

use std::path::PathBuf;
use std::process::ExitCode;

mod cases;
mod dependencies;
mod fuzz;
mod instructions;
mod notes;
mod order;
mod peers;
mod report;
mod run;
mod suite;
mod tidy;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

Commands:
  test [--no-peers] [--only FILTER]
             installs the real peers of the tests (Docker, Podman, AWS CLI …), runs the formatter's check,
             the linter, every test, the slim build, `tidy` and cargo-deny, and ends with what passed,
             failed and was skipped
               --no-peers     installs nothing: the tests that need a peer are skipped
               --only FILTER  runs only the tests whose name contains FILTER, and none of the other steps
  cases --fluent-bit PATH [--only FILTER]
             runs the cases under tests/cases on a Fluent Bit and prints on which it agrees;
             with UPDATE=1 in the environment, writes down what it delivers
  fuzz [TARGET] [--seconds N] [--jobs N]
             mutates inputs of every target, or of those whose name contains TARGET, for N seconds each (300),
             guided by the branches that they reach. It takes the stable compiler and nothing else; what it keeps
             is in target/fuzz, and an input that fails in fuzz-regressions/TARGET of the crate
               --jobs N       runs so many at once (as many as there are processors)
  instructions
             counts the instructions of the hot paths with valgrind and fails when one has grown by more than 3 %;
             with UPDATE=1 in the environment, writes them down, and NOTE says why some have grown
  order      runs the slim router under valgrind and writes down which functions run while it works, for the linker to
             put them next to each other (crates/app/at_work.ld)
  tidy       checks the tree: documentation, file lengths, which crate may use which, and what must not slip in
  peers      sets up the peers and prints the variables by which tests find them:
               eval \"$(cargo xtask peers)\" && cargo test --release -p flumen --test peers
";

/// What the command line asked for.
#[derive(Debug, PartialEq)]
enum Chore {
    Test(suite::Options),
    Cases(cases::Options),
    Fuzz(fuzz::Options),
    Instructions,
    Order,
    Tidy,
    Peers,
    Help,
}

fn main() -> ExitCode {
    if fuzz::is_compiler() {
        return fuzz::compile();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chore = match parse(&arguments) {
        Ok(chore) => chore,
        Err(message) => {
            eprintln!("xtask: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let root = root();
    let good = match chore {
        Chore::Test(options) => suite::run(&root, &options),
        Chore::Cases(options) => cases::run(&root, &options),
        Chore::Fuzz(options) => fuzz::run(&root, &options),
        Chore::Instructions => instructions::run(&root),
        Chore::Order => order::run(&root),
        Chore::Tidy => tidy::run(&root),
        Chore::Peers => peers::print_variables(&root),
        Chore::Help => {
            print!("{USAGE}");
            true
        }
    };
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The workspace's folder: the parent of this crate's.
fn root() -> PathBuf {
    let crate_dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().map(PathBuf::from).unwrap_or(crate_dir)
}

fn parse(arguments: &[String]) -> Result<Chore, String> {
    let Some((command, rest)) = arguments.split_first() else {
        return Err("no command given".into());
    };
    match command.as_str() {
        "test" => parse_test(rest).map(Chore::Test),
        "cases" => parse_cases(rest).map(Chore::Cases),
        "fuzz" => fuzz::parse(rest).map(Chore::Fuzz),
        "instructions" => no_more(rest).map(|()| Chore::Instructions),
        "order" => no_more(rest).map(|()| Chore::Order),
        "tidy" => no_more(rest).map(|()| Chore::Tidy),
        "peers" => no_more(rest).map(|()| Chore::Peers),
        "help" | "-h" | "--help" => Ok(Chore::Help),
        other => Err(format!("there is no command '{other}'")),
    }
}

fn parse_test(arguments: &[String]) -> Result<suite::Options, String> {
    let mut options = suite::Options::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--no-peers" => options.no_peers = true,
            "--only" => match arguments.next() {
                Some(filter) => options.only = Some(filter.clone()),
                None => return Err("--only needs a part of a test's name".into()),
            },
            other => return Err(format!("test has no option '{other}'")),
        }
    }
    Ok(options)
}

fn parse_cases(arguments: &[String]) -> Result<cases::Options, String> {
    let (mut fluent_bit, mut only) = (None, String::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().cloned();
        match (argument.as_str(), value) {
            ("--fluent-bit", Some(path)) => fluent_bit = Some(PathBuf::from(path)),
            ("--only", Some(filter)) => only = filter,
            ("--fluent-bit", None) => return Err("--fluent-bit needs a path".into()),
            ("--only", None) => return Err("--only needs a part of a case's name".into()),
            (other, _) => return Err(format!("cases has no option '{other}'")),
        }
    }
    let fluent_bit = fluent_bit.ok_or("cases needs --fluent-bit PATH")?;
    Ok(cases::Options { fluent_bit, only })
}

fn no_more(arguments: &[String]) -> Result<(), String> {
    match arguments.first() {
        None => Ok(()),
        Some(argument) => Err(format!("'{argument}' is one argument too many")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Chore, String> {
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        parse(&words)
    }

    #[test]
    fn commands_and_options() {
        let only = suite::Options {
            no_peers: true,
            only: Some("docker".into()),
        };
        assert_eq!(
            parse_line("test --no-peers --only docker"),
            Ok(Chore::Test(only))
        );
        assert_eq!(
            parse_line("test"),
            Ok(Chore::Test(suite::Options::default()))
        );
        let asked = cases::Options {
            fluent_bit: "bin/fluent-bit".into(),
            only: "s3/".into(),
        };
        assert_eq!(
            parse_line("cases --only s3/ --fluent-bit bin/fluent-bit"),
            Ok(Chore::Cases(asked))
        );
        let asked = fuzz::Options {
            target: "json".into(),
            seconds: 900,
            jobs: Some(1),
        };
        assert_eq!(
            parse_line("fuzz json --seconds 900 --jobs 1"),
            Ok(Chore::Fuzz(asked))
        );
        assert_eq!(parse_line("instructions"), Ok(Chore::Instructions));
        assert_eq!(parse_line("order"), Ok(Chore::Order));
        assert_eq!(parse_line("tidy"), Ok(Chore::Tidy));
        assert_eq!(parse_line("--help"), Ok(Chore::Help));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, message) in [
            ("", "no command given"),
            ("tets", "there is no command 'tets'"),
            ("test --only", "--only needs a part of a test's name"),
            ("test --fast", "test has no option '--fast'"),
            ("cases", "cases needs --fluent-bit PATH"),
            ("cases --fluent-bit", "--fluent-bit needs a path"),
            ("cases --all", "cases has no option '--all'"),
            ("fuzz --seconds", "--seconds needs a number of seconds"),
            ("fuzz --jobs 0", "--jobs needs a number from 1 on"),
            ("fuzz a b", "fuzz takes one target, and 'b' is another"),
            ("tidy now", "'now' is one argument too many"),
        ] {
            assert_eq!(parse_line(line), Err(message.into()), "{line}");
        }
    }
}
