//! `flumen -c FILE`: the router.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use config::{
    Action, CommandLine, Diagnostics, Document, HelpTopic, LogLevel, Options, SectionKind,
    ServiceOptions, Severity, SystemHost,
};
use engine::{Handovers, Pipeline, PipelineError, Plan, Shards};
use parsers::Definitions;
use plugin::Log;

use crate::crew::{self, Crew};
use crate::help;
use crate::log_file::LogFile;
use crate::monitoring::{self, MonitorSettings};
use crate::operator::{Leave, Operator};
use crate::registry::REGISTRY;
use crate::sandbox::Needs;
use crate::signals::Signals;
use crate::upgrade::{self, Program};
use crate::workers;

/// The exit status of a configuration that cannot be loaded, as upstream's.
const CANNOT_LOAD: u8 = 1;
/// The exit status of a pipeline that cannot start, as upstream's.
const CANNOT_START: u8 = 255;

/// Runs the router until a signal or an input ends it.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let mut diagnostics = Diagnostics::new();
    let command_line = CommandLine::parse(arguments, &mut diagnostics);
    let command_line = Rc::new(command_line);
    match &command_line.action {
        Action::Version => {
            println!(
                "Flumen v{} (speaks Fluent Bit v5.1.1)",
                env!("CARGO_PKG_VERSION")
            );
            return ExitCode::SUCCESS;
        }
        Action::Help(topic) => return print_help(topic),
        Action::Run => {}
    }
    // Both look at the process as it was started.
    let (program, handovers) = match (Program::this(), upgrade::take()) {
        (Ok(program), Ok(handovers)) => (program, handovers),
        (Err(error), _) => return fail(&format!("cannot find this program: {error}")),
        (_, Err(why)) => return fail(&why),
    };
    if let Some(folder) = &command_line.working_directory
        && let Err(error) = std::env::set_current_dir(folder)
    {
        eprintln!("flumen: cannot change to {}: {error}", folder.display());
        return ExitCode::from(CANNOT_LOAD);
    }
    let loaded = load_with_needs(&command_line, &mut diagnostics);
    if !diagnostics.is_empty() && (!command_line.is_quiet() || diagnostics.has_errors()) {
        eprintln!("{diagnostics}");
    }
    if command_line.dry_run {
        return dry_run(&diagnostics);
    }
    match loaded {
        Some((plan, needs)) if !diagnostics.prevents_start() => {
            let operator = Operator::new(command_line, program, needs);
            start(plan, operator, handovers)
        }
        _ if diagnostics.has_errors() => ExitCode::from(CANNOT_LOAD),
        _ => ExitCode::from(CANNOT_START),
    }
}

fn fail(why: &str) -> ExitCode {
    eprintln!("flumen: {why}");
    ExitCode::from(CANNOT_START)
}

/// `flumen check`: every finding, and an exit status that says whether the router would start.
pub fn check(arguments: Vec<OsString>) -> ExitCode {
    let mut diagnostics = Diagnostics::new();
    let command_line = CommandLine::parse(arguments, &mut diagnostics);
    if command_line.config_file.is_none() && command_line.sections.is_empty() {
        eprintln!("Usage: flumen check -c FILE");
        return ExitCode::FAILURE;
    }
    load(&command_line, &mut diagnostics);
    if !diagnostics.is_empty() {
        println!("{diagnostics}");
    }
    let (errors, all) = (
        diagnostics
            .iter()
            .filter(|finding| finding.severity != Severity::Warning)
            .count(),
        diagnostics.len(),
    );
    println!("{errors} errors, {} warnings", all - errors);
    if errors == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Fluent Bit's `--dry-run`: the load alone decides; what only the start would refuse is shown and passes.
fn dry_run(diagnostics: &Diagnostics) -> ExitCode {
    if diagnostics.has_errors() {
        return ExitCode::from(CANNOT_LOAD);
    }
    eprintln!("configuration test is successful");
    ExitCode::SUCCESS
}

/// Loads the configuration that the command line names.
pub fn load(command_line: &CommandLine, diagnostics: &mut Diagnostics) -> Option<Plan> {
    load_with_needs(command_line, diagnostics).map(|(plan, _)| plan)
}

/// The same, with what it must be able to touch.
pub fn load_with_needs(
    command_line: &CommandLine,
    diagnostics: &mut Diagnostics,
) -> Option<(Plan, Needs)> {
    let main = command_line.config_file.as_deref();
    let document = Document::load(
        &SystemHost,
        main,
        command_line.sections.clone(),
        diagnostics,
    );
    // Its mistakes are reported when the plan is made.
    let service = ServiceOptions::read(&document.service, &mut Diagnostics::new());
    let limit = service.map_or(0, |service| service.multiline_buffer_limit.0 as usize);
    let parsers = Definitions::new(&document.parsers, command_line.log_level, diagnostics)
        .with_multiline(&document.multiline_parsers, limit, diagnostics);
    let folder = document
        .folder
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    let mut plan = Plan::new(&document, REGISTRY, Arc::new(parsers), folder, diagnostics)?;
    plan.state_name = engine::state_name(main);
    let state = plan.state_directory();
    Some((plan, Needs::of(&document, main, state.candidates())))
}

fn start(plan: Plan, operator: Operator, handovers: Handovers) -> ExitCode {
    let command_line = &operator.command_line;
    let level = LogLevel::in_effect(command_line.log_level, plan.service.log_level, &SystemHost);
    LogFile::install(&plan.service);
    let log = Log::new("flumen", level);
    log.info(format_args!(
        "version={}, pid={}",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    ));
    if plan.service.daemon.0 {
        log.warn(format_args!(
            "'daemon on' is not supported: the router stays in the foreground"
        ));
    }
    // Before there are other threads, so that it holds for all of them.
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        log.warn(format_args!("cannot set no_new_privs: {error}"));
    }
    if command_line.sandbox
        && let Err(why) = operator.needs.enforce()
    {
        log.error(format_args!("{why}"));
        return ExitCode::from(CANNOT_START);
    }
    let runtime = match crew::runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            log.error(format_args!("cannot start: {error}"));
            return ExitCode::from(CANNOT_START);
        }
    };
    runtime.block_on(run(plan, operator, handovers, level))
}

/// Runs one pipeline after the other: another one only if the process could not go on as another binary.
async fn run(
    mut plan: Plan,
    operator: Operator,
    mut handovers: Handovers,
    level: LogLevel,
) -> ExitCode {
    let log = Log::new("engine", level);
    let mut signals = Signals::listen(log.clone());
    loop {
        let monitor = MonitorSettings::new(&plan.service);
        let inherited = handovers.remove(monitoring::NAME);
        let shards = Shards::new(&plan, workers::count(&plan, &log));
        let (pipeline, mut crew) =
            match build(&plan, level, &shards, std::mem::take(&mut handovers)) {
                Ok(built) => built,
                Err(error) => return cannot_start(&error, &log),
            };
        let (limit, records) = pipeline.memory();
        log.info(format_args!(
            "memory limit {limit} bytes, of which {records} for records between reading and delivery"
        ));
        let control = operator.take_over(shards, plan, log.clone());
        let serving = match monitor {
            None => None,
            Some(monitor) => {
                let watched = pipeline.watched().clone();
                match monitor
                    .serve(watched, inherited, Rc::clone(&control), level)
                    .await
                {
                    Ok(serving) => Some(serving),
                    Err(why) => {
                        log.error(format_args!("[http_server] {why}"));
                        return ExitCode::from(CANNOT_START);
                    }
                }
            }
        };
        crew.go(pipeline.watched());
        let (given_up, asked) = tokio::join!(
            async {
                let mut given_up = pipeline.run(std::future::pending()).await;
                given_up.extend(crew.ended().await);
                control.ended();
                given_up
            },
            control.attend(&mut signals),
        );
        if asked != Leave::Upgrade {
            return ExitCode::SUCCESS;
        }
        handovers = given_up;
        if let Some(serving) = serving {
            handovers.extend(serving.give_up());
        }
        let (error, kept) = operator.program.become_successor(handovers);
        log.error(format_args!(
            "[upgrade] cannot go on as another binary, this one goes on: {error}"
        ));
        handovers = kept;
        plan = match operator.load(&log) {
            Ok((plan, _)) => plan,
            Err(why) => {
                log.error(format_args!("[upgrade] {why}"));
                return ExitCode::from(CANNOT_LOAD);
            }
        };
    }
}

/// Builds all shards: the first one to run here, the others on threads of their own.
fn build(
    plan: &Plan,
    level: LogLevel,
    shards: &Arc<Shards>,
    handovers: Handovers,
) -> Result<(Pipeline, Crew), PipelineError> {
    let mut handovers = engine::deal(handovers, shards.count()).into_iter();
    let own = handovers.next().unwrap_or_default();
    let part = plan.part(0, shards.count());
    let pipeline = Pipeline::of_shard(part, level, own, shards.member(0))?;
    let crew = Crew::build(plan, level, shards, handovers.collect())?;
    Ok((pipeline, crew))
}

fn cannot_start(error: &PipelineError, log: &Log) -> ExitCode {
    for failure in &error.0 {
        log.error(format_args!("{failure}"));
    }
    ExitCode::from(CANNOT_START)
}

/// The help of everything, or of the plugin that was named before the flag.
fn print_help(topic: &HelpTopic) -> ExitCode {
    let Some((kind, name)) = &topic.plugin else {
        print!("{}\n{}", help::overview(), help::router());
        return ExitCode::SUCCESS;
    };
    let word = match kind {
        SectionKind::Input => "input",
        SectionKind::Filter => "filter",
        _ => "output",
    };
    let tables = REGISTRY.tables();
    let found = tables
        .iter()
        .find(|(of, plugin, ..)| *of == word && plugin.eq_ignore_ascii_case(name));
    match found {
        Some((_, plugin, about, options)) => {
            println!(
                "{word} {plugin}\n\n{about}\n\n{}",
                config::options_text(options)
            );
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("flumen: there is no {word} '{name}'");
            ExitCode::FAILURE
        }
    }
}
