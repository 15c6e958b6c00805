//! How many shards the router spreads its work over.

use engine::Plan;
use plugin::Log;

/// Up to so many cores one shard is enough, and more would only make smaller requests.
const FEW_CORES: usize = 4;
/// On more cores: one shard for so many.
const CORES_PER_SHARD: usize = 4;
/// The most, unless the configuration says more.
const USUAL_MAX: usize = 8;
/// More are not started, whatever the configuration says.
const MOST: usize = 64;

/// The shards for `plan`; says so when they are fewer than it asks for.
pub fn count(plan: &Plan, log: &Log) -> usize {
    let asked = plan.service.workers;
    let count = asked.unwrap_or_else(|| usual(cores())).min(MOST);
    if count < 2 {
        return 1;
    }
    let why_one = match plan.undivided() {
        Some(instance) => format!("{instance} must get all records in one place"),
        None if !plan.can_spread() => {
            "no input spreads its sources (tail, forward, tcp and http do)".to_owned()
        }
        None => {
            log.info(format_args!("{count} workers"));
            return count;
        }
    };
    let words = format_args!("one worker in place of {count}: {why_one}");
    match asked {
        Some(_) => log.warn(words),
        None => log.debug(words),
    }
    1
}

/// Whether `plan` can take the place of what runs on `count` shards.
///
/// # Errors
/// When it needs a single one.
pub fn check_reload(plan: &Plan, count: usize, log: &Log) -> Result<(), String> {
    if count < 2 {
        if plan.service.workers.is_some_and(|asked| asked > 1)
            && plan.undivided().is_none()
            && plan.can_spread()
        {
            log.warn(format_args!(
                "[reload] there is one worker until the next start"
            ));
        }
        return Ok(());
    }
    if let Some(instance) = plan.undivided() {
        return Err(format!(
            "{instance} must get all records in one place, and there are {count} workers until the next start"
        ));
    }
    if plan.service.workers.is_some_and(|asked| asked != count) {
        log.warn(format_args!(
            "[reload] there are {count} workers until the next start"
        ));
    }
    Ok(())
}

/// The cores that the process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The shards on so many cores if nothing is configured.
fn usual(cores: usize) -> usize {
    match cores <= FEW_CORES {
        true => 1,
        false => (cores / CORES_PER_SHARD).min(USUAL_MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use config::{CommandLine, Diagnostics};
    use plugin::{Level, Log};

    use super::*;

    fn plan(output: &[&str], workers: &str) -> Plan {
        let input = ["-i", "tail", "-p", "path=/none/*.log", "-o"];
        let more = ["-m", "*", "--workers", workers];
        let arguments = [&input[..], output, &more[..]].concat();
        let mut diagnostics = Diagnostics::new();
        let arguments = arguments.into_iter().map(OsString::from);
        let command_line = CommandLine::parse(arguments, &mut diagnostics);
        crate::router::load(&command_line, &mut diagnostics)
            .unwrap_or_else(|| panic!("{diagnostics}"))
    }

    #[test]
    fn an_output_for_all_records_makes_it_one() {
        let log = Log::new("", Level::Off);
        let s3 = ["s3", "-p", "bucket=b", "-p", "region=us-east-1"];
        let (null, s3) = (plan(&["null"], "3"), plan(&s3, "3"));
        assert_eq!((count(&null, &log), count(&s3, &log)), (3, 1));
        assert_eq!(count(&plan(&["null"], "1000"), &log), MOST);
        assert_eq!(count(&plan(&["null"], "0"), &log), 1);
        let why = check_reload(&s3, 3, &log).expect_err("there are more");
        assert!(why.contains("output s3.0"), "{why}");
        assert!(check_reload(&s3, 1, &log).is_ok() && check_reload(&null, 3, &log).is_ok());
    }

    #[test]
    fn few_cores_have_one_worker_and_many_have_a_few() {
        let usual: Vec<usize> = [1, 2, 4, 5, 8, 15, 16, 32, 192].map(usual).to_vec();
        assert_eq!(usual, [1, 1, 1, 1, 2, 3, 4, 8, 8]);
    }
}
