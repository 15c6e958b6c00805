//! What people ask of the running router, by signals and over the monitoring server: stop, reload, upgrade.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use config::{CommandLine, Diagnostics, LogLevel, Severity, SystemHost};
use engine::{Plan, Shards};
use plugin::Log;
use tokio::sync::Notify;

use crate::log_file::LogFile;
use crate::router;
use crate::sandbox::Needs;
use crate::signals::{Asked, Signals};
use crate::upgrade::Program;
use crate::workers;

/// A configuration file that has not changed for so long is whole,
const CALM: Duration = Duration::from_millis(10);
/// and one that keeps changing is read after so long all the same.
const WRITTEN_MAX: Duration = Duration::from_millis(250);

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
    pub command_line: Rc<CommandLine>,
    pub program: Rc<Program>,
    /// What the process was started to touch; in a sandbox it never can touch more.
    pub needs: Rc<Needs>,
}

/// Tells the shards of one router what people ask.
pub struct Control {
    command_line: Rc<CommandLine>,
    program: Rc<Program>,
    needs: Rc<Needs>,
    log: Log,
    shards: Arc<Shards>,
    /// What runs.
    plan: RefCell<Plan>,
    ended: Notify,
    leave: Cell<Leave>,
    is_stopping: Cell<bool>,
}

impl Operator {
    /// Loads as `command_line` says, goes on as `program`, touches what `needs` says.
    pub fn new(command_line: Rc<CommandLine>, program: Program, needs: Needs) -> Operator {
        Operator {
            command_line,
            program: Rc::new(program),
            needs: Rc::new(needs),
        }
    }

    /// Tells `shards`, which run `plan`, from now on.
    pub fn take_over(&self, shards: Arc<Shards>, plan: Plan, log: Log) -> Rc<Control> {
        Rc::new(Control {
            command_line: Rc::clone(&self.command_line),
            program: Rc::clone(&self.program),
            needs: Rc::clone(&self.needs),
            log,
            shards,
            plan: RefCell::new(plan),
            ended: Notify::new(),
            leave: Cell::new(Leave::Stop),
            is_stopping: Cell::new(false),
        })
    }

    /// Loads the configuration anew.
    pub fn load(&self, log: &Log) -> Result<(Plan, LogLevel), String> {
        load(&self.command_line, &self.needs, log)
    }
}

impl Control {
    /// All shards have come to their end.
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
            self.shards.stop();
        } else {
            self.shards.shut_down();
        }
    }

    /// Whether the running configuration allows reloads.
    pub fn may_reload(&self) -> bool {
        self.plan.borrow().service.hot_reload.0
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
        if let Some(file) = &self.command_line.config_file {
            until_written(file).await;
        }
        let (plan, level) = load(&self.command_line, &self.needs, &self.log)?;
        if plan.leads_nowhere() {
            // A file that somebody has just emptied to write it anew looks like this.
            return Err("the configuration has no inputs or no outputs".to_owned());
        }
        workers::check_reload(&plan, self.shards.count(), &self.log)?;
        let former = self.plan.borrow().clone();
        let outcome = self.shards.reload(&plan, &former, level).await;
        outcome.map_err(|error| error.to_string())?;
        LogFile::install(&plan.service);
        *self.plan.borrow_mut() = plan;
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
                self.shards.hand_over();
            }
            Err(why) => self
                .log
                .error(format_args!("[upgrade] everything stays as it was: {why}")),
        }
    }
}

/// Waits until nobody writes to `file` any more, as far as its times tell: the first half of a configuration may be one, too.
/// Somebody who goes on and on is not waited for.
async fn until_written(file: &Path) {
    let changed = || std::fs::metadata(file).and_then(|metadata| metadata.modified());
    let mut waited = Duration::ZERO;
    while waited < WRITTEN_MAX
        && let Ok(changed) = changed()
        // A time to come says nothing.
        && SystemTime::now().duration_since(changed).is_ok_and(|age| age < CALM)
    {
        tokio::time::sleep(CALM).await;
        waited += CALM;
    }
}

/// Loads the configuration; what is wrong with it goes to the log.
fn load(command_line: &CommandLine, needs: &Needs, log: &Log) -> Result<(Plan, LogLevel), String> {
    let mut diagnostics = Diagnostics::new();
    let plan = router::load_with_needs(command_line, &mut diagnostics);
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
        Some((plan, more)) if !diagnostics.prevents_start() => {
            let missing = needs.missing(&more);
            if command_line.sandbox && !missing.is_empty() {
                return Err(format!(
                    "the sandbox that the router was started in does not allow to {}: it must be started anew",
                    missing.join(", to ")
                ));
            }
            let level =
                LogLevel::in_effect(command_line.log_level, plan.service.log_level, &SystemHost);
            Ok((plan, level))
        }
        _ => Err("the configuration has mistakes".to_owned()),
    }
}
