//! A checked configuration: what will run.

use std::path::PathBuf;
use std::sync::Arc;

use config::{
    Diagnostic, Diagnostics, Document, FilterCommon, InputCommon, OptionSpec, Options,
    OutputCommon, Section, ServiceOptions, nearest,
};
use plugin::{
    BuildFilter, BuildInput, BuildOutput, FilterPlugin, InputPlugin, OutputPlugin, Parsers,
};

use crate::instance::TagMatcher;
use crate::storage::SimulatedDisk;

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
pub struct Plan {
    /// `[SERVICE]`.
    pub service: ServiceOptions,
    /// The parser definitions.
    pub parsers: Arc<dyn Parsers>,
    /// The directory of the main configuration file.
    pub config_dir: PathBuf,
    /// What tells this configuration from others in places where each has a folder of its own.
    pub state_name: String,
    /// What stands for the machine's disk in a simulation.
    pub(crate) disk: Option<SimulatedDisk>,
    /// Whether the user named a base or a cap of the waits between retries.
    pub(crate) scheduler_is_configured: bool,
    pub(crate) inputs: Vec<PlannedInput>,
    pub(crate) filters: Vec<PlannedFilter>,
    pub(crate) outputs: Vec<PlannedOutput>,
}

/// What instances of every kind have.
pub(crate) struct Identity {
    /// Alias, or `tail.0`.
    pub name: Arc<str>,
    /// `tail.0`: the default tag of an input.
    pub instance: String,
    pub plugin: &'static str,
}

pub(crate) struct PlannedInput {
    pub identity: Identity,
    pub common: InputCommon,
    pub build: BuildInput,
}

pub(crate) struct PlannedFilter {
    pub identity: Identity,
    pub common: FilterCommon,
    pub matcher: TagMatcher,
    pub build: BuildFilter,
}

pub(crate) struct PlannedOutput {
    pub identity: Identity,
    pub common: OutputCommon,
    pub matcher: TagMatcher,
    pub build: BuildOutput,
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
        let inputs = plan_inputs(&document.inputs, registry, diagnostics);
        let filters = plan_filters(&document.filters, registry, diagnostics);
        let one_to_one = document.inputs.len() == 1 && document.outputs.len() == 1;
        let outputs = plan_outputs(&document.outputs, registry, one_to_one, diagnostics);
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
}

fn plan_inputs(
    sections: &[Section],
    registry: Registry,
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
            let identity = Identity::new(plugin.name, index, common.alias.as_deref());
            planned.push(PlannedInput {
                identity,
                common,
                build,
            });
        }
    }
    planned
}

fn plan_filters(
    sections: &[Section],
    registry: Registry,
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
        let identity = Identity::new(plugin.name, index, common.alias.as_deref());
        planned.push(PlannedFilter {
            identity,
            common,
            matcher,
            build,
        });
    }
    planned
}

fn plan_outputs(
    sections: &[Section],
    registry: Registry,
    one_to_one: bool,
    diagnostics: &mut Diagnostics,
) -> Vec<PlannedOutput> {
    let mut planned = Vec::new();
    for (index, section) in sections.iter().enumerate() {
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
        let identity = Identity::new(plugin.name, index, common.alias.as_deref());
        planned.push(PlannedOutput {
            identity,
            common,
            matcher,
            build,
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
    fn new(plugin: &'static str, index: usize, alias: Option<&str>) -> Identity {
        let instance = format!("{plugin}.{index}");
        Identity {
            name: alias.unwrap_or(&instance).into(),
            instance,
            plugin,
        }
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
