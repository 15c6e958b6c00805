//! All `[PARSER]` and `[MULTILINE_PARSER]` sections of a configuration.

use config::{
    Diagnostic, Diagnostics, LogLevel, MultilineParserOptions, MultilineType, Options,
    ParserFormat, ParserOptions, Section,
};
use pattern::Pattern;
use plugin::{Log, Parser, ParserContext, ParserPlugin, Parsers};

use crate::{ALL, builtin};

/// Parser definitions by name.
#[derive(Debug)]
pub struct Definitions {
    parsers: Vec<Definition>,
    multiline: Vec<MultilineParserOptions>,
    /// How many bytes a record that is made of several lines may have.
    multiline_limit: usize,
}

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
        // Most are not used, and they have no mistakes that could be reported.
        let built_in = builtin::parsers().filter_map(|section| {
            Definition::unchecked(ParserOptions::read(&section, diagnostics)?, level)
        });
        definitions.extend(built_in);
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
        Definitions {
            parsers: definitions,
            multiline: built_in_multiline(diagnostics),
            multiline_limit: 2 << 20,
        }
    }

    /// Adds the multiline parsers that `sections` define; `limit` is `multiline_buffer_limit`, in bytes. Built-in ones cannot be
    /// replaced, as upstream.
    pub fn with_multiline(
        mut self,
        sections: &[Section],
        limit: usize,
        diagnostics: &mut Diagnostics,
    ) -> Definitions {
        self.multiline_limit = limit;
        for section in sections {
            let Some(options) = MultilineParserOptions::read(section, diagnostics) else {
                continue;
            };
            if self.multiline(&options.name).is_some() {
                let message = format!(
                    "multiline parser named '{}' already exists: this one is skipped",
                    options.name
                );
                let help = format!("built in are: {}", built_in_names().join(", "));
                diagnostics.push(Diagnostic::warning(&section.position, message).with_help(help));
            } else if self.multiline_works(&options, section, diagnostics) {
                self.multiline.push(options);
            }
        }
        self
    }

    /// Whether the patterns of a multiline parser are patterns and its parser exists.
    fn multiline_works(
        &self,
        options: &MultilineParserOptions,
        section: &Section,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        let mut works = true;
        let mut fault = |key: &str, message: String| {
            let position = section
                .entry(key)
                .map_or(&section.position, |entry| &entry.value.position);
            let message = format!("multiline parser '{}': {message}", options.name);
            diagnostics.push(Diagnostic::start_error(position, message));
            works = false;
        };
        if options.kind == MultilineType::Regex {
            for rule in &options.rules {
                if let Err(error) = Pattern::new(&rule.pattern) {
                    fault("rule", format!("the pattern '{}': {error}", rule.pattern));
                }
            }
        }
        if let Some(parser) = &options.parser
            && !self
                .parsers
                .iter()
                .any(|known| known.options.name == *parser)
        {
            fault("parser", self.missing(parser));
        }
        works
    }
}

fn built_in_multiline(diagnostics: &mut Diagnostics) -> Vec<MultilineParserOptions> {
    builtin::multiline()
        .filter_map(|section| MultilineParserOptions::read(&section, diagnostics))
        .collect()
}

fn built_in_names() -> Vec<String> {
    builtin::multiline()
        .filter_map(|section| section.plugin_name().map(str::to_owned))
        .collect()
}

/// What the format of a parser is called.
fn word(format: ParserFormat) -> &'static str {
    match format {
        ParserFormat::Regex => "regex",
        ParserFormat::Json => "json",
        ParserFormat::Ltsv => "ltsv",
        ParserFormat::Logfmt => "logfmt",
    }
}

impl Definition {
    fn new(
        options: ParserOptions,
        level: LogLevel,
        section: &Section,
        diagnostics: &mut Diagnostics,
    ) -> Option<Definition> {
        let (name, format) = (options.name.clone(), word(options.format));
        let Some(definition) = Definition::unchecked(options, level) else {
            let known: Vec<&str> = ALL.iter().map(|plugin| plugin.format).collect();
            let message = format!("parser '{name}': the format '{format}' is not built yet");
            let help = format!("there are: {}", known.join(", "));
            diagnostics.push(Diagnostic::start_error(&section.position, message).with_help(help));
            return None;
        };
        let Definition {
            options,
            context,
            plugin,
        } = &definition;
        if let Err(error) = (plugin.build)(options, context) {
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
        Some(definition)
    }

    /// Without looking whether such a parser can be built. `None` if there is none of this format.
    fn unchecked(options: ParserOptions, level: LogLevel) -> Option<Definition> {
        let format = word(options.format);
        let plugin = ALL.iter().copied().find(|plugin| plugin.format == format)?;
        let name = options.name.clone();
        let context = ParserContext {
            log: Log::new(&format!("parser:{name}"), level),
            name,
        };
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
            .parsers
            .iter()
            .find(|definition| definition.options.name == name)?;
        // It was built before from the same options.
        (definition.plugin.build)(&definition.options, &definition.context).ok()
    }

    fn names(&self) -> Vec<String> {
        let names = self.parsers.iter().map(|known| &known.options.name);
        names
            .filter(|name| !name.starts_with(builtin::PREFIX))
            .cloned()
            .collect()
    }

    fn multiline(&self, name: &str) -> Option<&MultilineParserOptions> {
        let mut known = self.multiline.iter();
        known.find(|known| known.name.eq_ignore_ascii_case(name))
    }

    fn multiline_names(&self) -> Vec<String> {
        self.multiline
            .iter()
            .map(|known| known.name.clone())
            .collect()
    }

    fn multiline_limit(&self) -> usize {
        self.multiline_limit
    }
}

#[cfg(test)]
mod tests;
