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
use engine::{Pipeline, Plan};
use monitor::{HealthLimits, Monitor};
use parsers::Definitions;
use plugin::Log;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

use crate::log_file::LogFile;
use crate::registry::{self, REGISTRY};
use crate::{help, signals};

/// The exit status of a configuration that cannot be loaded, as upstream's.
const CANNOT_LOAD: u8 = 1;
/// The exit status of a pipeline that cannot start, as upstream's.
const CANNOT_START: u8 = 255;

/// Runs the router until a signal or an input ends it.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let mut diagnostics = Diagnostics::new();
    let command_line = CommandLine::parse(arguments, &mut diagnostics);
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
    if let Some(folder) = &command_line.working_directory
        && let Err(error) = std::env::set_current_dir(folder)
    {
        eprintln!("flumen: cannot change to {}: {error}", folder.display());
        return ExitCode::from(CANNOT_LOAD);
    }
    let loaded = load(&command_line, &mut diagnostics);
    if !diagnostics.is_empty() && (!command_line.is_quiet() || diagnostics.has_errors()) {
        eprintln!("{diagnostics}");
    }
    if command_line.dry_run {
        return dry_run(&diagnostics);
    }
    match loaded {
        Some(plan) if !diagnostics.prevents_start() => start(plan, &command_line),
        _ if diagnostics.has_errors() => ExitCode::from(CANNOT_LOAD),
        _ => ExitCode::from(CANNOT_START),
    }
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

pub(crate) fn load(command_line: &CommandLine, diagnostics: &mut Diagnostics) -> Option<Plan> {
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
    Some(plan)
}

fn start(plan: Plan, command_line: &CommandLine) -> ExitCode {
    let level = LogLevel::in_effect(command_line.log_level, plan.service.log_level, &SystemHost);
    if let Some(path) = &plan.service.log_file {
        match LogFile::open(path) {
            Ok(file) => Log::install(file),
            Err(error) => eprintln!(
                "flumen: cannot write the log file {}: {error}",
                path.display()
            ),
        }
    }
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            log.error(format_args!("cannot start: {error}"));
            return ExitCode::from(CANNOT_START);
        }
    };
    runtime.block_on(LocalSet::new().run_until(run(plan, level, log)))
}

async fn run(plan: Plan, level: LogLevel, log: Log) -> ExitCode {
    let monitor = MonitorSettings::new(&plan.service);
    let pipeline = match Pipeline::build(plan, level) {
        Ok(pipeline) => pipeline,
        Err(error) => {
            error
                .0
                .iter()
                .for_each(|failure| log.error(format_args!("{failure}")));
            return ExitCode::from(CANNOT_START);
        }
    };
    if let Some(monitor) = monitor {
        match TcpListener::bind(&monitor.address).await {
            Ok(listener) => monitor.serve(listener, pipeline.counters().clone(), level),
            Err(error) => {
                log.error(format_args!(
                    "[http_server] cannot listen on {}: {error}",
                    monitor.address
                ));
                return ExitCode::from(CANNOT_START);
            }
        }
    }
    pipeline
        .run(signals::shutdown(Log::new("engine", level)))
        .await;
    ExitCode::SUCCESS
}

/// What the monitoring server needs of `[SERVICE]`.
struct MonitorSettings {
    address: String,
    limits: HealthLimits,
    health_check: bool,
}

impl MonitorSettings {
    fn new(service: &ServiceOptions) -> Option<MonitorSettings> {
        let count = |value: i64| u64::try_from(value).unwrap_or(0);
        service.http_server.0.then(|| MonitorSettings {
            address: format!("{}:{}", service.http_listen, service.http_port),
            limits: HealthLimits {
                errors: count(service.health_errors),
                retries_failed: count(service.health_retry_failures),
                period_seconds: service.health_period.0.as_secs() as usize,
            },
            health_check: service.health_check.0,
        })
    }

    fn serve(self, listener: TcpListener, counters: monitor::Pipeline, level: LogLevel) {
        let log = Log::new("http_server", level);
        log.info(format_args!("listen iface={}", self.address));
        let monitor = Monitor::new(counters, self.limits, self.health_check, registry::names());
        spawn_local(monitor::serve(listener, Rc::new(monitor), log));
    }
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
