//! A checked configuration: what will run.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use config::{
    Diagnostic, Diagnostics, Document, Entry, FilterCommon, InputCommon, OptionSpec, Options,
    OutputCommon, Section, ServiceOptions, nearest,
};
use plugin::{
    BuildFilter, BuildInput, BuildOutput, FilterPlugin, InputPlugin, OutputPlugin, Parsers,
};

use crate::instance::TagMatcher;
use crate::storage::{SimulatedDisk, StateDirectory, StateRoot, candidates};

/// The plugins that are compiled in. The application lists them; the engine knows none.
#[derive(Clone, Copy)]
pub struct Registry {
    /// Inputs.
    pub inputs: &'static [&'static InputPlugin],
    /// Filters.
    pub filters: &'static [&'static FilterPlugin],
    /// Outputs.
    pub outputs: &'static [&'static OutputPlugin],
}

/// A configuration that can run: every section is read and checked, nothing is opened yet.
#[derive(Clone)]
pub struct Plan {
    /// `[SERVICE]`.
    pub service: ServiceOptions,
    /// The parser definitions.
    pub parsers: Arc<dyn Parsers>,
    /// The directory of the main configuration file.
    pub config_dir: PathBuf,
    /// What tells this configuration from others in places where each has a folder of its own.
    pub state_name: String,
    /// Set when dead letters are sent once more: where they go that are given up again. Nothing else is kept then.
    pub(crate) replays_into: Option<PathBuf>,
    /// What stands for the machine's disk in a simulation.
    pub(crate) disk: Option<SimulatedDisk>,
    /// Whether the user named a base or a cap of the waits between retries.
    pub(crate) scheduler_is_configured: bool,

    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) filters: Vec<PlannedFilter>,
    pub(crate) outputs: Vec<PlannedOutput>,
}

/// What instances depend on besides their own sections, as fingerprints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Parser definitions, and those keys of `[SERVICE]` that inputs read.
    pub inputs: u64,
    /// Parser definitions and all of `[SERVICE]`.
    pub others: u64,
}

/// What instances of every kind have.
#[derive(Clone)]
pub(crate) struct Identity {
    /// Alias, or `tail.0`.
    pub name: Arc<str>,
    /// `tail.0`: the default tag of an input.
    pub instance: String,
    pub plugin: &'static str,
    /// Of the section and its surroundings: an instance with the same one need not be built anew on a reload.
    pub fingerprint: u64,
}

#[derive(Clone)]
pub(crate) struct PlannedInput {
    pub identity: Identity,
    /// Where it keeps how far it came, if it does.
    pub database: Option<String>,
    pub common: InputCommon,
    /// Whether there is an instance in each shard.
    pub spreads: bool,
    /// Whether its source keeps what is not read yet.
    pub source_keeps: bool,
    /// Whether its sources can wait a moment.
    pub source_waits: bool,
    pub build: Arc<BuildInput>,
}

#[derive(Clone)]
pub(crate) struct PlannedFilter {
    pub identity: Identity,
    pub common: FilterCommon,
    pub matcher: TagMatcher,
    /// Whether one instance must see the records of all shards.
    pub shared: bool,
    pub build: Arc<BuildFilter>,
}

#[derive(Clone)]
pub(crate) struct PlannedOutput {
    pub identity: Identity,
    pub common: OutputCommon,
    pub matcher: TagMatcher,
    /// Whether one instance must get the records of all shards.
    pub shared: bool,
    pub build: Arc<BuildOutput>,
}

/// The part of a plugin that planning needs, of whatever kind.
trait Named {
    fn name(&self) -> &'static str;
    fn options(&self) -> Vec<OptionSpec>;
}

macro_rules! named {
    ($($plugin:ty),*) => {$(
        impl Named for $plugin {
            fn name(&self) -> &'static str {
                self.name
            }
            fn options(&self) -> Vec<OptionSpec> {
                (self.options)()
            }
        }
    )*};
}
named!(InputPlugin, FilterPlugin, OutputPlugin);

impl Plan {
    /// Reads and checks every section of `document`. Every mistake goes to `diagnostics`; there is a plan only if none of
    /// them prevents the start.
    pub fn new(
        document: &Document,
        registry: Registry,
        parsers: Arc<dyn Parsers>,
        config_dir: PathBuf,
        diagnostics: &mut Diagnostics,
    ) -> Option<Plan> {
        let service = ServiceOptions::read(&document.service, diagnostics);
        let surroundings = Surroundings::of(document);
        let inputs = plan_inputs(&document.inputs, registry, surroundings, diagnostics);
        let filters = plan_filters(&document.filters, registry, surroundings, diagnostics);
        let outputs = plan_outputs(document, registry, surroundings, diagnostics);
        if diagnostics.prevents_start() {
            return None;
        }
        let named = |key| document.service.entry(key).is_some();
        let scheduler_is_configured = named("scheduler.base") || named("scheduler.cap");
        Some(Plan {
            service: service?,
            parsers,
            config_dir,
            state_name: "flumen".to_owned(),
            replays_into: None,
            disk: None,
            scheduler_is_configured,

            inputs,
            filters,
            outputs,
        })
    }
}

impl Plan {
    /// The same on a simulated disk: nothing touches the machine's.
    pub fn with_disk(mut self, disk: SimulatedDisk) -> Plan {
        self.disk = Some(disk);
        self
    }

    /// Where this configuration's router keeps what must survive.
    pub fn state_directory(&self) -> Rc<StateDirectory> {
        match &self.disk {
            Some(disk) => StateDirectory::simulated(disk.clone()),
            None => self.state_root().of_shard(0),
        }
    }

    /// The same for all shards.
    pub(crate) fn state_root(&self) -> Arc<StateRoot> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let configured = self.service.storage_path.as_deref();
        StateRoot::new(candidates(configured, &self.state_name, variable))
    }
}

fn plan_inputs(
    sections: &[Section],
    registry: Registry,
    surroundings: Surroundings,
    diagnostics: &mut Diagnostics,
) -> Vec<PlannedInput> {
    let mut planned = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let Some(plugin) = find(registry.inputs, section, diagnostics) else {
            continue;
        };
        let common = InputCommon::read_part(section, diagnostics);
        let build = (plugin.configure)(section, diagnostics);
        if let (Some(common), Some(build)) = (common, build) {
            let fingerprint = fingerprint(section, surroundings.inputs);
            let identity = Identity::new(plugin.name, index, common.alias.as_deref(), fingerprint);
            planned.push(PlannedInput {
                identity,
                database: section.text("db").map(str::to_owned),
                common,
                spreads: plugin.spreads,
                source_keeps: plugin.source_keeps,
                source_waits: plugin.source_waits,
                build: Arc::new(build),
            });
        }
    }
    planned
}

fn plan_filters(
    sections: &[Section],
    registry: Registry,
    surroundings: Surroundings,
    diagnostics: &mut Diagnostics,
) -> Vec<PlannedFilter> {
    let mut planned = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        let Some(plugin) = find(registry.filters, section, diagnostics) else {
            continue;
        };
        let common = FilterCommon::read_part(section, diagnostics);
        let build = (plugin.configure)(section, diagnostics);
        let (Some(common), Some(build)) = (common, build) else {
            continue;
        };
        let matcher = matcher(
            &common.match_tags,
            &common.match_regex,
            section,
            diagnostics,
        );
        if matcher.is_empty() {
            let message = format!(
                "no match rule for {}: it would never see a record",
                section.title()
            );
            diagnostics.push(
                Diagnostic::start_error(&section.position, message)
                    .with_help("add 'Match *', or a pattern of your tags"),
            );
        }
        let fingerprint = fingerprint(section, surroundings.others);
        let identity = Identity::new(plugin.name, index, common.alias.as_deref(), fingerprint);
        planned.push(PlannedFilter {
            identity,
            common,
            matcher,
            shared: plugin.shared,
            build: Arc::new(build),
        });
    }
    planned
}

fn plan_outputs(
    document: &Document,
    registry: Registry,
    surroundings: Surroundings,
    diagnostics: &mut Diagnostics,
) -> Vec<PlannedOutput> {
    let one_to_one = document.inputs.len() == 1 && document.outputs.len() == 1;
    let mut planned = Vec::new();
    for (index, section) in document.outputs.iter().enumerate() {
        let Some(plugin) = find(registry.outputs, section, diagnostics) else {
            continue;
        };
        let common = OutputCommon::read_part(section, diagnostics);
        let build = (plugin.configure)(section, diagnostics);
        let (Some(common), Some(build)) = (common, build) else {
            continue;
        };
        let mut matcher = matcher(
            &common.match_tags,
            &common.match_regex,
            section,
            diagnostics,
        );
        if matcher.is_empty() && one_to_one {
            matcher = TagMatcher::everything();
        } else if matcher.is_empty() {
            let message = format!("no match rule for {}: it receives nothing", section.title());
            let help = "add 'Match *', or a pattern of your tags";
            diagnostics.push(Diagnostic::warning(&section.position, message).with_help(help));
        }
        let fingerprint = fingerprint(section, surroundings.others);
        let identity = Identity::new(plugin.name, index, common.alias.as_deref(), fingerprint);
        planned.push(PlannedOutput {
            identity,
            common,
            matcher,
            shared: plugin.shared,
            build: Arc::new(build),
        });
    }
    planned
}

fn matcher(
    wildcard: &Option<String>,
    regex: &Option<String>,
    section: &Section,
    diagnostics: &mut Diagnostics,
) -> TagMatcher {
    TagMatcher::new(wildcard.as_deref(), regex.as_deref(), section, diagnostics)
}

/// The plugin that a section names; `name://…` selects by the part before.
fn find<P: Named>(
    plugins: &[&'static P],
    section: &Section,
    diagnostics: &mut Diagnostics,
) -> Option<&'static P> {
    let kind = section.kind.word();
    // The check of the document has reported it if there is none.
    let entry = section.entry("name")?;
    let given = entry.value.as_text().unwrap_or_default();
    let name = given.split("://").next().unwrap_or(given);
    let found = plugins
        .iter()
        .copied()
        .find(|plugin| plugin.name().eq_ignore_ascii_case(name));
    if found.is_none() {
        let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name()).collect();
        let message = format!("there is no {kind} '{name}'");
        let mut help = format!("there are: {}", names.join(", "));
        if let Some(near) = nearest(name, names.iter().copied()) {
            help = format!("did you mean '{near}'? {help}");
        }
        diagnostics.push(Diagnostic::error(&entry.value.position, message).with_help(help));
    }
    found
}

impl Identity {
    fn new(plugin: &'static str, index: usize, alias: Option<&str>, fingerprint: u64) -> Identity {
        let instance = format!("{plugin}.{index}");
        Identity {
            name: alias.unwrap_or(&instance).into(),
            instance,
            plugin,
            fingerprint,
        }
    }
}

impl Plan {
    /// `memory_limit` of `[SERVICE]`, in bytes.
    pub fn memory_limit(&self) -> Option<usize> {
        let limit = self.service.memory_limit?;
        Some(usize::try_from(limit.0).unwrap_or(usize::MAX))
    }

    /// The part of shard number `index` of `count`: all inputs for the first one, those that spread for the others, none for
    /// one that is left over.
    pub fn part(&self, index: usize, count: usize) -> Plan {
        let mut part = self.clone();
        if index > 0 {
            part.inputs.retain(|input| input.spreads && index < count);
        }
        part
    }

    /// Whether an input can spread its sources over shards.
    pub fn can_spread(&self) -> bool {
        self.inputs.iter().any(|input| input.spreads)
    }

    /// The instance of which there can be only one for all records, and with it only one shard: its kind and name.
    pub fn undivided(&self) -> Option<String> {
        let filters = self.filters.iter().filter(|filter| filter.shared);
        let filters = filters.map(|filter| format!("filter {}", filter.identity.name));
        let outputs = self.outputs.iter().filter(|output| output.shared);
        let outputs = outputs.map(|output| format!("output {}", output.identity.name));
        filters.chain(outputs).next()
    }

    /// Whether it has no inputs or no outputs: nothing would get anywhere.
    pub fn leads_nowhere(&self) -> bool {
        self.inputs.is_empty() || self.outputs.is_empty()
    }

    /// What the filters are made from, in order.
    pub(crate) fn filter_fingerprints(&self) -> Vec<u64> {
        let filters = self.filters.iter();
        filters
            .map(|planned| {
                let mut hasher = DefaultHasher::new();
                planned.identity.fingerprint.hash(&mut hasher);
                planned.identity.name.hash(&mut hasher);
                hasher.finish()
            })
            .collect()
    }
}

impl Surroundings {
    fn of(document: &Document) -> Surroundings {
        let mut parsers = DefaultHasher::new();
        for section in document.parsers.iter().chain(&document.multiline_parsers) {
            hash_section(section, &mut parsers);
        }
        let (mut inputs, mut others) = (parsers.clone(), parsers);
        for entry in &document.service.entries {
            let key = entry.key.as_str();
            if key == "log_level" || key == "multiline_buffer_limit" || key.starts_with("storage.")
            {
                hash_entry(entry, &mut inputs);
            }
            hash_entry(entry, &mut others);
        }
        Surroundings {
            inputs: inputs.finish(),
            others: others.finish(),
        }
    }
}

fn fingerprint(section: &Section, surroundings: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    surroundings.hash(&mut hasher);
    hash_section(section, &mut hasher);
    hasher.finish()
}

/// What a section says, wherever it stands.
fn hash_section(section: &Section, hasher: &mut DefaultHasher) {
    section.kind.hash(hasher);
    for entry in &section.entries {
        hash_entry(entry, hasher);
    }
    for group in &section.groups {
        format!("{group:?}").hash(hasher);
    }
}

fn hash_entry(entry: &Entry, hasher: &mut DefaultHasher) {
    entry.key.hash(hasher);
    match entry.value.as_text() {
        Some(text) => text.hash(hasher),
        None => format!("{:?}", entry.value.kind).hash(hasher),
    }
}

/// Used by reference generation: the options of every plugin of a registry.
impl Registry {
    /// Kind, name, about and options of every plugin.
    pub fn tables(&self) -> Vec<(&'static str, &'static str, &'static str, Vec<OptionSpec>)> {
        let inputs = self
            .inputs
            .iter()
            .map(|p| ("input", p.name, (p.about)(), p.options()));
        let filters = self
            .filters
            .iter()
            .map(|p| ("filter", p.name, (p.about)(), p.options()));
        let outputs = self
            .outputs
            .iter()
            .map(|p| ("output", p.name, (p.about)(), p.options()));
        inputs.chain(filters).chain(outputs).collect()
    }
}
