//! A whole configuration as it was written: the command line, the main file, and the files that the service names.

mod address;
mod checks;
mod files;

use std::path::{Path, PathBuf};

use crate::classic::ClassicFile;
use crate::host::Host;
use crate::variables::Variables;
use crate::{Diagnostics, Entry, Position, Section, SectionKind, Value, ValueKind};

/// A configuration: sections with their values, variables replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// All `[SERVICE]` sections in one: first the command line's keys, then the file's.
    pub service: Section,
    /// The sources, those of the command line first.
    pub inputs: Vec<Section>,
    /// The filters in the order in which records pass them.
    pub filters: Vec<Section>,
    /// The destinations.
    pub outputs: Vec<Section>,
    /// Plugins that configure others.
    pub customs: Vec<Section>,
    /// The parsers of all parsers files.
    pub parsers: Vec<Section>,
    /// The multiline parsers of all parsers files.
    pub multiline_parsers: Vec<Section>,
    /// The tasks of the stream processor.
    pub stream_tasks: Vec<Section>,
    /// Groups of hosts.
    pub upstreams: Vec<Section>,
    /// What the plugins files name.
    pub plugins: Vec<Section>,
    /// Sections with other names.
    pub ignored: Vec<Section>,
    /// What `@SET` defined; records can be asked for it later.
    pub variables: Variables,
    /// The folder of the main file, which relative paths are also looked for in.
    pub folder: Option<PathBuf>,
}

impl Document {
    /// Reads a configuration.
    ///
    /// `command_line` are the sections that the command line describes; they come before those of `main`, the file behind
    /// `-c`. Everything that is wrong is reported; the document holds what could be understood, and may be used unless
    /// [`Diagnostics::prevents_start`].
    pub fn load(
        host: &dyn Host,
        main: Option<&Path>,
        command_line: Vec<Section>,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut document = Self::empty(main);
        for section in command_line {
            document.add(section);
        }
        if let Some(main) = main {
            document.folder = host.real_folder(main).ok();
            let file = files::read(host, main, &Position::file(main), diagnostics);
            document.add_main(file, host, diagnostics);
        }
        document.expand_all(host, diagnostics);
        for list in [
            &mut document.inputs,
            &mut document.filters,
            &mut document.outputs,
            &mut document.customs,
        ] {
            for section in list {
                address::split_address(section, diagnostics);
            }
        }
        files::add_service_files(&mut document, host, diagnostics);
        checks::check(&document, diagnostics);
        document
    }

    fn empty(main: Option<&Path>) -> Self {
        let position = Position::file(main.unwrap_or(Path::new("<command line>")));
        Self {
            service: Section::new(SectionKind::Service, "SERVICE", position),
            inputs: Vec::new(),
            filters: Vec::new(),
            outputs: Vec::new(),
            customs: Vec::new(),
            parsers: Vec::new(),
            multiline_parsers: Vec::new(),
            stream_tasks: Vec::new(),
            upstreams: Vec::new(),
            plugins: Vec::new(),
            ignored: Vec::new(),
            variables: Variables::default(),
            folder: None,
        }
    }

    /// Adds what stands in the main file and its includes.
    fn add_main(&mut self, file: ClassicFile, host: &dyn Host, diagnostics: &mut Diagnostics) {
        self.variables = Variables::from_commands(&file.commands, host, diagnostics);
        for section in file.sections {
            checks::check_place(&section, diagnostics);
            self.add(section);
        }
    }

    /// Puts a section where its kind belongs.
    fn add(&mut self, section: Section) {
        let list = match section.kind {
            SectionKind::Service => {
                if self.service.entries.is_empty() {
                    self.service.position = section.position;
                }
                self.service.entries.extend(section.entries);
                self.service.groups.extend(section.groups);
                return;
            }
            SectionKind::Input => &mut self.inputs,
            SectionKind::Filter => &mut self.filters,
            SectionKind::Output => &mut self.outputs,
            SectionKind::Custom => &mut self.customs,
            SectionKind::Parser => &mut self.parsers,
            SectionKind::MultilineParser => &mut self.multiline_parsers,
            SectionKind::StreamTask => &mut self.stream_tasks,
            SectionKind::Upstream => &mut self.upstreams,
            SectionKind::Plugins => &mut self.plugins,
            SectionKind::Other => &mut self.ignored,
        };
        list.push(section);
    }

    /// Replaces the variables in everything that was read so far.
    fn expand_all(&mut self, host: &dyn Host, diagnostics: &mut Diagnostics) {
        let variables = std::mem::take(&mut self.variables);
        let Self {
            service,
            inputs,
            filters,
            outputs,
            customs,
            parsers,
            multiline_parsers,
            ..
        } = self;
        let instances = [
            customs,
            inputs,
            filters,
            outputs,
            parsers,
            multiline_parsers,
        ];
        let sections = std::iter::once(service).chain(instances.into_iter().flatten());
        for section in sections {
            expand_section(section, &variables, host, diagnostics);
        }
        self.variables = variables;
    }
}

/// Replaces the variables in the values of a section.
fn expand_section(
    section: &mut Section,
    variables: &Variables,
    host: &dyn Host,
    diagnostics: &mut Diagnostics,
) {
    // A value that becomes empty leaves most keys unset. The service and filters see the empty text.
    let keeps_empty = matches!(section.kind, SectionKind::Service | SectionKind::Filter);
    let is_parser = matches!(
        section.kind,
        SectionKind::Parser | SectionKind::MultilineParser
    );
    section.entries.retain_mut(
        |Entry {
             key,
             value: Value { kind, position },
             ..
         }| {
            let ValueKind::Text { text, .. } = kind else {
                return true;
            };
            // Fluent Bit takes these as they are written.
            if !text.contains("${")
                || (is_parser
                    && ["rule", "decode_field", "decode_field_as"].contains(&key.as_str()))
            {
                return true;
            }
            *text = variables.expand_at(host, text, position, diagnostics);
            keeps_empty || !text.is_empty()
        },
    );
}
