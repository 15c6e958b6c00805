//! The router under test: a real plan and a real pipeline over the simulation's plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostics, Document, Entry, LogLevel, Position, Section, SectionKind, SystemHost};
use engine::{Pipeline, PipelineError, Plan, SimulatedDisk};
use plugin::{Parser, Parsers};

use crate::plugins::REGISTRY;
use crate::scenario::Scenario;
use crate::world::World;

/// What the log calls an output.
pub fn route(output: usize) -> String {
    format!("sim_output.{output}")
}

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

/// Builds the router of a scenario, inside of its shard.
///
/// # Errors
/// When the disk does not let it start.
///
/// # Panics
/// When the configuration is refused: it is the simulation's own.
pub fn build(world: &World) -> Result<Pipeline, PipelineError> {
    let scenario = &world.scenario;
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
    let plan = plan.with_disk(SimulatedDisk {
        fs: world.disk.mount(),
        new_uuid: || fastrand::u128(..).to_le_bytes(),
        segment_bytes: scenario.disk.segment_bytes,
    });
    Pipeline::build(plan, LogLevel::Off)
}

fn sections(scenario: &Scenario) -> Vec<Section> {
    let sync = if scenario.disk.syncs {
        "full"
    } else {
        "normal"
    };
    let mut service = vec![
        ("flush", scenario.flush.as_secs_f64().to_string()),
        ("grace", GRACE.as_secs().to_string()),
        ("storage.sync", sync.to_owned()),
        // The store of what is given up has a thread of its own, and the machine's disk.
        ("storage.keep.rejected", "off".to_owned()),
    ];
    if let Some((base, cap)) = scenario.scheduler {
        service.push(("scheduler.base", base.to_string()));
        service.push(("scheduler.cap", cap.to_string()));
    }
    let mut sections = vec![section(SectionKind::Service, "SERVICE", service)];
    for part in 0..scenario.tails.len() {
        sections.push(input("sim_tail", "t", part, "memory", scenario));
    }
    for (part, plan) in scenario.senders.iter().enumerate() {
        let storage = if plan.logged { "filesystem" } else { "memory" };
        sections.push(input("sim_forward", "f", part, storage, scenario));
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

fn input(name: &str, tag: &str, part: usize, storage: &str, scenario: &Scenario) -> Section {
    let keys = vec![
        ("name", name.to_owned()),
        ("part", part.to_string()),
        ("tag", format!("{tag}.{part}")),
        ("mem_buf_limit", scenario.memory.to_string()),
        ("storage.type", storage.to_owned()),
        (
            "storage.pause_on_chunks_overlimit",
            scenario.pauses.to_string(),
        ),
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
