//! The router under test: a real plan and a real pipeline over the simulation's plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostics, Document, Entry, LogLevel, Position, Section, SectionKind, SystemHost};
use engine::{Pipeline, Plan};
use plugin::{Parser, Parsers};

use crate::plugins::REGISTRY;
use crate::scenario::Scenario;

/// `Grace`: how long a stop may take.
pub const GRACE: Duration = Duration::from_secs(5);

struct NoParsers;

impl Parsers for NoParsers {
    fn make(&self, _: &str) -> Option<Box<dyn Parser>> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Builds the router of a scenario.
///
/// # Panics
/// When the configuration is refused: it is the simulation's own.
pub fn build(scenario: &Scenario) -> Pipeline {
    let mut diagnostics = Diagnostics::new();
    let sections = sections(scenario);
    let document = Document::load(&SystemHost, None, sections, &mut diagnostics);
    let plan = Plan::new(
        &document,
        REGISTRY,
        Arc::new(NoParsers),
        PathBuf::from("/"),
        &mut diagnostics,
    );
    let plan = plan.unwrap_or_else(|| panic!("{diagnostics}"));
    Pipeline::build(plan, LogLevel::Off).unwrap_or_else(|error| panic!("{error}"))
}

fn sections(scenario: &Scenario) -> Vec<Section> {
    let mut service = vec![
        ("flush", scenario.flush.as_secs_f64().to_string()),
        ("grace", GRACE.as_secs().to_string()),
    ];
    if let Some((base, cap)) = scenario.scheduler {
        service.push(("scheduler.base", base.to_string()));
        service.push(("scheduler.cap", cap.to_string()));
    }
    let mut sections = vec![section(SectionKind::Service, "SERVICE", service)];
    for part in 0..scenario.tails.len() {
        sections.push(input("sim_tail", "t", part, scenario));
    }
    for part in 0..scenario.senders.len() {
        sections.push(input("sim_forward", "f", part, scenario));
    }
    if scenario.filters {
        let keys = vec![("name", "sim_sieve".into()), ("match", "*".into())];
        sections.push(section(SectionKind::Filter, "FILTER", keys));
    }
    for (part, plan) in scenario.outputs.iter().enumerate() {
        let mut keys = vec![
            ("name", "sim_output".into()),
            ("match", plan.matches.to_owned()),
            ("part", part.to_string()),
        ];
        if let Some(limit) = plan.retry_limit {
            keys.push(("retry_limit", limit.to_string()));
        }
        sections.push(section(SectionKind::Output, "OUTPUT", keys));
    }
    sections
}

fn input(name: &str, tag: &str, part: usize, scenario: &Scenario) -> Section {
    let keys = vec![
        ("name", name.to_owned()),
        ("part", part.to_string()),
        ("tag", format!("{tag}.{part}")),
        ("mem_buf_limit", scenario.memory.to_string()),
    ];
    section(SectionKind::Input, "INPUT", keys)
}

fn section(kind: SectionKind, name: &str, keys: Vec<(&str, String)>) -> Section {
    let position = || Position::file(Path::new("simulation"));
    let mut section = Section::new(kind, name, position());
    for (key, value) in keys {
        let entry = Entry::plain(key, position(), value, position());
        section.entries.push(entry);
    }
    section
}
