//! What can be said about sections without knowing any plugin.

use std::collections::HashMap;

use super::Document;
use crate::{Diagnostic, Diagnostics, Section, SectionKind, Severity, nearest};

/// What Fluent Bit and users call the sections of a main file.
const SECTION_NAMES: [&str; 6] = [
    "SERVICE",
    "INPUT",
    "FILTER",
    "OUTPUT",
    "CUSTOM",
    "UPSTREAM_SERVERS",
];

/// Checks whether a section belongs into a main file.
pub fn check_place(section: &Section, diagnostics: &mut Diagnostics) {
    check_groups(section, diagnostics);
    let name = section.name.as_str();
    let full_name = |kind: SectionKind| name.eq_ignore_ascii_case(kind.word());
    match section.kind {
        // Only when written in full: `[P]` in a main file is a parser and nobody minds.
        SectionKind::Parser | SectionKind::MultilineParser if full_name(section.kind) => {
            let message = format!("a section '{name}' does not belong into the main file");
            let help = "put it into another file and name that as 'parsers_file' in [SERVICE]";
            diagnostics.push(Diagnostic::error(&section.position, message).with_help(help));
        }
        // Fluent Bit takes the keys of such a section for the files to load, and finds no file of the name `path`.
        SectionKind::Plugins if !section.entries.is_empty() => {
            let message = format!("a section '{name}' does not belong into the main file");
            let help = "put it into another file and name that as 'plugins_file' in [SERVICE]";
            diagnostics.push(Diagnostic::error(&section.position, message).with_help(help));
        }
        SectionKind::Other => {
            let message = format!("the section '{name}' is not known and is ignored");
            let help = match nearest(name.trim(), SECTION_NAMES) {
                Some(near) => format!("did you mean [{near}]?"),
                None if name.eq_ignore_ascii_case("stream_task") => {
                    "put it into another file and name that as 'streams_file' in [SERVICE]"
                        .to_owned()
                }
                None => format!(
                    "allowed: {}",
                    SECTION_NAMES.map(|name| format!("[{name}]")).join(", ")
                ),
            };
            diagnostics.push(Diagnostic::warning(&section.position, message).with_help(help));
        }
        _ => {}
    }
}

/// Groups are an affair of the YAML format. In the classic format Fluent Bit ignores them, except that it refuses processors.
pub fn check_groups(section: &Section, diagnostics: &mut Diagnostics) {
    for group in &section.groups {
        let takes_processors = matches!(section.kind, SectionKind::Input | SectionKind::Output);
        let is_signal = |key: &str| ["logs", "metrics", "traces", "profiles"].contains(&key);
        let refused = takes_processors
            && group.name.eq_ignore_ascii_case("processors")
            && group.entries.iter().any(|entry| is_signal(&entry.key));
        let (severity, message) = match refused {
            true => (
                Severity::Error,
                "processors can only be written in the YAML format".to_owned(),
            ),
            false => (
                Severity::Warning,
                format!("the group '{}' is ignored", group.name),
            ),
        };
        diagnostics.push(Diagnostic::new(severity, &group.position, message));
    }
}

/// Checks the document as a whole.
pub fn check(document: &Document, diagnostics: &mut Diagnostics) {
    let instances = [
        &document.customs,
        &document.inputs,
        &document.filters,
        &document.outputs,
    ];
    for section in instances.into_iter().flatten() {
        if section.plugin_name().is_none() {
            let message = format!("{} has no 'name'", section.title());
            let help = "the key 'name' says which plugin the section configures";
            diagnostics.push(Diagnostic::error(&section.position, message).with_help(help));
        }
    }
    report_twins(&document.parsers, Severity::Error, diagnostics);
    report_twins(&document.multiline_parsers, Severity::Warning, diagnostics);
    for plugin in document
        .plugins
        .iter()
        .flat_map(|section| &section.entries)
        .filter(|entry| entry.key == "path")
    {
        let message = format!(
            "'{}' is not loaded",
            plugin.value.as_text().unwrap_or_default()
        );
        let help = "Flumen loads no shared objects; the plugins of AWS's distribution are built in";
        diagnostics.push(Diagnostic::warning(&plugin.position, message).with_help(help));
    }
}

/// Reports parsers of the same name.
fn report_twins(parsers: &[Section], severity: Severity, diagnostics: &mut Diagnostics) {
    let mut seen: HashMap<&str, &Section> = HashMap::new();
    for section in parsers {
        let Some(name) = section.plugin_name() else {
            continue;
        };
        match seen.get(name) {
            None => {
                seen.insert(name, section);
            }
            Some(first) => {
                let message = format!("{} is defined twice", section.title());
                let help = format!("the first definition is at {}", first.position);
                diagnostics
                    .push(Diagnostic::new(severity, &section.position, message).with_help(help));
            }
        }
    }
}
