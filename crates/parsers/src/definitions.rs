//! All `[PARSER]` sections of a configuration.

use config::{Diagnostic, Diagnostics, LogLevel, Options, ParserFormat, ParserOptions, Section};
use plugin::{Log, Parser, ParserContext, ParserPlugin, Parsers};

use crate::ALL;

/// Parser definitions by name.
#[derive(Debug, Default)]
pub struct Definitions(Vec<Definition>);

#[derive(Debug)]
struct Definition {
    options: ParserOptions,
    context: ParserContext,
    plugin: &'static ParserPlugin,
}

impl Definitions {
    /// Reads the sections and builds each parser once, so that every mistake is reported at its place.
    pub fn new(
        sections: &[Section],
        level: LogLevel,
        diagnostics: &mut Diagnostics,
    ) -> Definitions {
        let mut definitions: Vec<Definition> = Vec::new();
        for section in sections {
            let Some(options) = ParserOptions::read(section, diagnostics) else {
                continue;
            };
            if definitions
                .iter()
                .any(|known| known.options.name == options.name)
            {
                let message = format!(
                    "parser named '{}' already exists: this one is skipped",
                    options.name
                );
                diagnostics.push(Diagnostic::warning(&section.position, message));
                continue;
            }
            definitions.extend(Definition::new(options, level, section, diagnostics));
        }
        Definitions(definitions)
    }
}

impl Definition {
    fn new(
        options: ParserOptions,
        level: LogLevel,
        section: &Section,
        diagnostics: &mut Diagnostics,
    ) -> Option<Definition> {
        let format = match options.format {
            ParserFormat::Regex => "regex",
            ParserFormat::Json => "json",
            ParserFormat::Ltsv => "ltsv",
            ParserFormat::Logfmt => "logfmt",
        };
        let name = options.name.clone();
        let Some(plugin) = ALL.iter().copied().find(|plugin| plugin.format == format) else {
            let known: Vec<&str> = ALL.iter().map(|plugin| plugin.format).collect();
            let message = format!("parser '{name}': the format '{format}' is not built yet");
            let help = format!("there are: {}", known.join(", "));
            diagnostics.push(Diagnostic::start_error(&section.position, message).with_help(help));
            return None;
        };
        let context = ParserContext {
            log: Log::new(&format!("parser:{name}"), level),
            name,
        };
        if let Err(error) = (plugin.build)(&options, &context) {
            let key = if error.0.starts_with("Time_") {
                "time_format"
            } else {
                "regex"
            };
            let position = section
                .entry(key)
                .map_or(&section.position, |entry| &entry.value.position);
            diagnostics.push(Diagnostic::error(
                position,
                format!("parser '{}': {error}", context.name),
            ));
            return None;
        }
        Some(Definition {
            options,
            context,
            plugin,
        })
    }
}

impl Parsers for Definitions {
    fn make(&self, name: &str) -> Option<Box<dyn Parser>> {
        let definition = self
            .0
            .iter()
            .find(|definition| definition.options.name == name)?;
        // It was built before from the same options.
        (definition.plugin.build)(&definition.options, &definition.context).ok()
    }

    fn names(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|definition| definition.options.name.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
