//! What people ask of the running router, by signals and over the monitoring server: stop, reload, upgrade.

use std::cell::Cell;
use std::rc::Rc;

use config::{CommandLine, Diagnostics, LogLevel, Severity, SystemHost};
use engine::{Controller, Plan};
use plugin::Log;
use tokio::sync::Notify;

use crate::log_file::LogFile;
use crate::router;
use crate::signals::{Asked, Signals};
use crate::upgrade::Program;

/// How the pipeline came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The process leaves.
    Stop,
    /// The process goes on as another binary.
    Upgrade,
}

/// What stays the same from one pipeline to the next.
pub struct Operator {
    command_line: Rc<CommandLine>,
    pub program: Rc<Program>,
    log: Log,
    settings: Rc<Cell<Settings>>,
}

/// What the running configuration says about reloads.
#[derive(Clone, Copy)]
struct Settings {
    may_reload: bool,
}

/// Tells one pipeline what people ask.
pub struct Control {
    command_line: Rc<CommandLine>,
    program: Rc<Program>,
    log: Log,
    settings: Rc<Cell<Settings>>,
    controller: Controller,
    shutdown: Notify,
    ended: Notify,
    leave: Cell<Leave>,
    is_stopping: Cell<bool>,
}

impl Operator {
    /// Loads as `command_line` says, goes on as `program`.
    pub fn new(command_line: Rc<CommandLine>, program: Program, log: Log) -> Operator {
        Operator {
            command_line,
            program: Rc::new(program),
            log,
            settings: Rc::new(Cell::new(Settings { may_reload: false })),
        }
    }

    /// Takes note of what the running configuration allows.
    pub fn note(&self, plan: &Plan) {
        self.settings.set(Settings::of(plan));
    }

    /// Tells the pipeline behind `controller` from now on.
    pub fn take_over(&self, controller: Controller) -> Rc<Control> {
        Rc::new(Control {
            command_line: Rc::clone(&self.command_line),
            program: Rc::clone(&self.program),
            log: self.log.clone(),
            settings: Rc::clone(&self.settings),
            controller,
            shutdown: Notify::new(),
            ended: Notify::new(),
            leave: Cell::new(Leave::Stop),
            is_stopping: Cell::new(false),
        })
    }

    /// Loads the configuration anew.
    pub fn load(&self) -> Result<(Plan, LogLevel), String> {
        load(&self.command_line, &self.log)
    }
}

impl Settings {
    fn of(plan: &Plan) -> Settings {
        Settings {
            may_reload: plan.service.hot_reload.0,
        }
    }
}

impl Control {
    /// Completes when the pipeline should come to its end.
    pub async fn shutdown(&self) {
        self.shutdown.notified().await;
    }

    /// The pipeline has come to its end.
    pub fn ended(&self) {
        self.ended.notify_one();
    }

    /// Does what signals ask until the pipeline has ended. Returns what comes then.
    pub async fn attend(&self, signals: &mut Signals) -> Leave {
        loop {
            tokio::select! {
                () = self.ended.notified() => return self.leave.get(),
                asked = signals.next() => match asked {
                    Asked::Stop => self.stop(),
                    Asked::Reload => {
                        // It was logged.
                        let _ = self.reload().await;
                    }
                    Asked::Upgrade => self.upgrade().await,
                },
            }
        }
    }

    /// In order at first; whoever asks again does not want to wait for writers.
    fn stop(&self) {
        self.leave.set(Leave::Stop);
        if self.is_stopping.replace(true) {
            self.controller.stop();
        } else {
            self.shutdown.notify_one();
        }
    }

    /// Whether the running configuration allows reloads.
    pub fn may_reload(&self) -> bool {
        self.settings.get().may_reload
    }

    /// Loads the configuration anew and puts it in the place of the running one. If it is not allowed or does not work,
    /// everything stays as it was; the log says why, and so does the error.
    pub async fn reload(&self) -> Result<(), String> {
        if !self.may_reload() {
            let why = "hot reloading is not enabled";
            self.log.warn(format_args!("[reload] {why}"));
            return Err(why.to_owned());
        }
        let outcome = self.try_reload().await;
        if let Err(why) = &outcome {
            self.log
                .error(format_args!("[reload] everything stays as it was: {why}"));
        }
        outcome
    }

    async fn try_reload(&self) -> Result<(), String> {
        self.log
            .info(format_args!("[reload] loading the configuration"));
        let (plan, level) = load(&self.command_line, &self.log)?;
        let (settings, service) = (Settings::of(&plan), plan.service.clone());
        let outcome = self.controller.reload(plan, level).await;
        outcome.map_err(|error| error.to_string())?;
        self.settings.set(settings);
        LogFile::install(&service);
        Ok(())
    }

    /// Ends the pipeline to go on as the binary that stands in the place of this one, if that would start.
    async fn upgrade(&self) {
        let program = Program::clone(&self.program);
        let outcome = tokio::task::spawn_blocking(move || program.check())
            .await
            .unwrap_or_else(|error| Err(error.to_string()));
        match outcome {
            Ok(()) => {
                self.log.info(format_args!("[upgrade] handing over"));
                self.leave.set(Leave::Upgrade);
                self.controller.stop();
            }
            Err(why) => self
                .log
                .error(format_args!("[upgrade] everything stays as it was: {why}")),
        }
    }
}

/// Loads the configuration; what is wrong with it goes to the log.
fn load(command_line: &CommandLine, log: &Log) -> Result<(Plan, LogLevel), String> {
    let mut diagnostics = Diagnostics::new();
    let plan = router::load(command_line, &mut diagnostics);
    for finding in diagnostics.iter() {
        match finding.severity {
            Severity::Warning => log.warn(format_args!(
                "[reload] {}: {}",
                finding.position, finding.message
            )),
            _ => log.error(format_args!(
                "[reload] {}: {}",
                finding.position, finding.message
            )),
        }
    }
    match plan {
        Some(plan) if !diagnostics.prevents_start() => {
            let level =
                LogLevel::in_effect(command_line.log_level, plan.service.log_level, &SystemHost);
            Ok((plan, level))
        }
        _ => Err("the configuration has mistakes".to_owned()),
    }
}
