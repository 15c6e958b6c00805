//! The files that a configuration consists of.

use std::io;
use std::path::{Path, PathBuf};

use super::{Document, checks, expand_section};
use crate::classic::{ClassicFile, read_classic};
use crate::host::Host;
use crate::{Diagnostic, Diagnostics, Entry, Position, Section, SectionKind, Severity};

/// Whether a path names a file in the YAML format.
fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml"]
            .iter()
            .any(|yaml| extension.eq_ignore_ascii_case(yaml))
    })
}

/// The finding for a file in the YAML format.
fn yaml_finding(path: &Path, position: &Position) -> Diagnostic {
    Diagnostic::error(
        position,
        format!(
            "'{}' is in the YAML format, which cannot be read yet",
            path.display()
        ),
    )
    .with_help("use the classic format, in a file with another ending than .yaml or .yml")
}

/// Reads a file in whichever format its name says.
pub fn read(
    host: &dyn Host,
    path: &Path,
    position: &Position,
    diagnostics: &mut Diagnostics,
) -> ClassicFile {
    if is_yaml(path) {
        diagnostics.push(yaml_finding(path, position));
        return ClassicFile::default();
    }
    read_classic(host, path, diagnostics)
}

/// Reads the parsers, plugins and streams files that the service names.
pub fn add_service_files(document: &mut Document, host: &dyn Host, diagnostics: &mut Diagnostics) {
    let entries = document.service.entries.clone();
    // Parsers that stand in the main file come after those of the parsers files.
    let in_main = std::mem::take(&mut document.parsers);
    let in_main_multiline = std::mem::take(&mut document.multiline_parsers);
    for entry in entries.iter().filter(|entry| entry.key == "parsers_file") {
        if let Some(file) = open(document, entry, Severity::Error, host, diagnostics) {
            add_parsers(document, file, host, diagnostics);
        }
    }
    document.parsers.extend(in_main);
    document.multiline_parsers.extend(in_main_multiline);
    for entry in entries.iter().filter(|entry| entry.key == "plugins_file") {
        if let Some(file) = open(document, entry, Severity::Error, host, diagnostics) {
            document.plugins.extend(
                file.sections
                    .into_iter()
                    .filter(|section| is_named(section, &["plugins"])),
            );
        }
    }
    if let Some(entry) = entries.iter().rfind(|entry| entry.key == "streams_file")
        && let Some(file) = open(document, entry, Severity::StartError, host, diagnostics)
    {
        add_stream_tasks(document, file, diagnostics);
    }
}

fn is_named(section: &Section, names: &[&str]) -> bool {
    names
        .iter()
        .any(|name| section.name.eq_ignore_ascii_case(name))
}

/// Finds and reads the file that an entry of the service names. When there is none, that is as severe as `missing`.
fn open(
    document: &Document,
    entry: &Entry,
    missing: Severity,
    host: &dyn Host,
    diagnostics: &mut Diagnostics,
) -> Option<ClassicFile> {
    let path = Path::new(entry.value.as_text()?);
    let position = &entry.value.position;
    match find(document.folder.as_deref(), path, host) {
        Ok(path) => Some(read(host, &path, position, diagnostics)),
        Err(error) => {
            let message = format!("'{}': cannot read '{}': {error}", entry.key, path.display());
            let finding = Diagnostic::new(missing, position, message);
            diagnostics.push(match &document.folder {
                Some(folder) if path.is_relative() => finding.with_help(format!(
                    "it was looked for in the current directory and in '{}'",
                    folder.display()
                )),
                _ => finding,
            });
            None
        }
    }
}

/// A relative path is looked for in the current directory, then in the folder of the main file.
fn find(folder: Option<&Path>, path: &Path, host: &dyn Host) -> io::Result<PathBuf> {
    match (host.identity(path), folder) {
        (Ok(_), _) => Ok(path.to_path_buf()),
        (Err(error), Some(folder))
            if error.kind() == io::ErrorKind::NotFound && path.is_relative() =>
        {
            let path = folder.join(path);
            host.identity(&path).map(|_| path)
        }
        (Err(error), _) => Err(error),
    }
}

fn add_parsers(
    document: &mut Document,
    file: ClassicFile,
    host: &dyn Host,
    diagnostics: &mut Diagnostics,
) {
    for command in &file.commands {
        let message = format!("'@{}' has no effect in a parsers file", command.word);
        let help = "variables are set in the main file; they hold in parsers files too";
        diagnostics.push(Diagnostic::warning(&command.position, message).with_help(help));
    }
    for mut section in file.sections {
        match section.kind {
            SectionKind::Parser | SectionKind::MultilineParser => {
                checks::check_groups(&section, diagnostics);
                expand_section(&mut section, &document.variables, host, diagnostics);
                document.add(section);
            }
            _ => {
                let message = format!(
                    "the section '{}' is ignored in a parsers file",
                    section.name
                );
                let help = "a parsers file holds [PARSER] and [MULTILINE_PARSER]";
                diagnostics.push(Diagnostic::warning(&section.position, message).with_help(help));
            }
        }
    }
}

fn add_stream_tasks(document: &mut Document, file: ClassicFile, diagnostics: &mut Diagnostics) {
    for mut section in file.sections {
        if !is_named(&section, &["stream_task", "stream_processor"]) {
            let message = format!(
                "the section '{}' is ignored in a streams file",
                section.name
            );
            diagnostics.push(
                Diagnostic::warning(&section.position, message)
                    .with_help("a streams file holds [STREAM_TASK]"),
            );
            continue;
        }
        section.kind = SectionKind::StreamTask;
        for key in ["name", "exec"] {
            if section.entry(key).is_none() {
                let message = format!("{} needs '{key}'", section.title());
                diagnostics.push(Diagnostic::start_error(&section.position, message));
            }
        }
        document.add(section);
    }
}
