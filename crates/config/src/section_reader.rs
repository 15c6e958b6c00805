//! Takes typed values out of a section and reports what does not fit.

use crate::engine_keys::engine_keys;
use crate::table::{BadValue, Need, OptionSpec, Repeat};
use crate::text::{FromText, Refusal};
use crate::{Diagnostic, Diagnostics, Entry, Section, Severity, nearest};

/// Keys that Fluent Bit accepts in every section without a word.
const ALWAYS_ALLOWED: [&str; 4] = ["name", "active", "condition", "routes"];

/// A section on its way to settings. It remembers which keys were asked for, so that the rest can be reported.
#[derive(Debug)]
pub struct SectionReader<'a> {
    section: &'a Section,
    diagnostics: &'a mut Diagnostics,
    /// Per entry of the section: somebody asked for it.
    taken: Vec<bool>,
}

impl<'a> SectionReader<'a> {
    /// Starts with nothing taken.
    pub fn new(section: &'a Section, diagnostics: &'a mut Diagnostics) -> Self {
        Self {
            section,
            diagnostics,
            taken: vec![false; section.entries.len()],
        }
    }

    /// The section being read.
    pub fn section(&self) -> &'a Section {
        self.section
    }

    /// A finding of the caller.
    pub fn push(&mut self, finding: Diagnostic) {
        self.diagnostics.push(finding);
    }

    /// An option that must be there.
    pub fn required<T: FromText>(&mut self, spec: &OptionSpec) -> Option<T> {
        match self.single(spec) {
            Some(entry) => self.value(spec, entry),
            None => {
                self.report_missing(spec);
                None
            }
        }
    }

    /// An option with a default.
    pub fn defaulted<T: FromText>(&mut self, spec: &OptionSpec) -> Option<T> {
        match self.single(spec) {
            Some(entry) => self.value(spec, entry),
            None => self.default_value(spec),
        }
    }

    /// An option that may be left out. The outer `None` means that the value was refused.
    #[allow(clippy::option_option, reason = "refused and absent are different")]
    pub fn optional<T: FromText>(&mut self, spec: &OptionSpec) -> Option<Option<T>> {
        match self.single(spec) {
            // A value that is set aside in favour of the default has none here: it counts as absent.
            Some(entry) if spec.bad_value == BadValue::Default => Some(self.value(spec, entry)),
            Some(entry) => self.value(spec, entry).map(Some),
            None => Some(None),
        }
    }

    /// All values of a repeatable option, or its default when there are none.
    pub fn multiple<T: FromText>(&mut self, spec: &OptionSpec) -> Option<Vec<T>> {
        let entries = self.entries(&[spec]);
        if entries.is_empty() {
            return match spec.need {
                Need::Optional => Some(Vec::new()),
                Need::Default(_) => self.default_value(spec).map(|value| vec![value]),
                Need::Required => {
                    self.report_missing(spec);
                    None
                }
            };
        }
        // All are read before giving up, so that every bad one is reported.
        let values: Vec<_> = entries
            .into_iter()
            .map(|entry| self.value(spec, entry))
            .collect();
        values.into_iter().collect()
    }

    /// All keys that begin with the option's name: the rest of the key with the value.
    pub fn prefixed<T: FromText>(&mut self, spec: &OptionSpec) -> Option<Vec<(String, T)>> {
        let entries = self.entries(&[spec]);
        let values: Vec<_> = entries
            .into_iter()
            .map(|entry| {
                let prefix = std::iter::once(&spec.name)
                    .chain(spec.aliases)
                    .find(|name| entry.key.starts_with(**name));
                let rest = prefix.map_or(entry.key.as_str(), |prefix| &entry.key[prefix.len()..]);
                self.value(spec, entry)
                    .map(|value| (rest.to_owned(), value))
            })
            .collect();
        values.into_iter().collect()
    }

    /// Reports every key that nobody took and that the engine does not know either for this kind of section. `table` are
    /// the section's own options.
    pub fn report_unknown(&mut self, table: &[OptionSpec]) {
        let engine = engine_keys(self.section.kind);
        let unknown: Vec<_> = self
            .section
            .entries
            .iter()
            .zip(&self.taken)
            .filter(|(entry, taken)| {
                let known = || engine.iter().any(|spec| spec.matches(&entry.key));
                !**taken
                    && !entry.implied
                    && !ALWAYS_ALLOWED.contains(&entry.key.as_str())
                    && !known()
            })
            .map(|(entry, _)| unknown_key(self.section, entry, table, &engine))
            .collect();
        self.diagnostics.extend(unknown);
    }

    /// All entries of some options in the order of the text; they count as taken.
    pub fn entries(&mut self, specs: &[&OptionSpec]) -> Vec<&'a Entry> {
        let mut entries = Vec::new();
        for (entry, taken) in self.section.entries.iter().zip(&mut self.taken) {
            if specs.iter().any(|spec| spec.matches(&entry.key)) {
                *taken = true;
                entries.push(entry);
            }
        }
        for spec in specs {
            let entry = entries.iter().find(|entry| spec.matches(&entry.key));
            if let (Some(why), Some(entry)) = (spec.deprecated, entry) {
                let message = format!("'{}' is deprecated: {why}", entry.key);
                self.diagnostics
                    .push(Diagnostic::warning(&entry.position, message));
            }
        }
        entries
    }

    /// The one entry that counts, after saying so when there are several.
    fn single(&mut self, spec: &OptionSpec) -> Option<&'a Entry> {
        let entries = self.entries(&[spec]);
        let (first, last) = (*entries.first()?, *entries.last()?);
        if entries.len() == 1 {
            return Some(first);
        }
        let title = self.section.title();
        let finding = match spec.repeat {
            Repeat::Every => return Some(last),
            // What the file says overrides the command line, which is read before it.
            Repeat::Last if first.position.is_argument() && !last.position.is_argument() => {
                return Some(last);
            }
            Repeat::Refused => {
                let message = format!("'{}' is set {} times in {title}", last.key, entries.len());
                Diagnostic::error(&last.position, message).with_help("it may be set once")
            }
            Repeat::Last => Diagnostic::warning(
                &last.position,
                format!("'{}' is set again in {title}", last.key),
            )
            .with_help(format!(
                "the last one counts; the one before stands at {}",
                first.position
            )),
            Repeat::First => Diagnostic::warning(
                &last.position,
                format!("'{}' is set again in {title}", last.key),
            )
            .with_help(format!("the first one counts, at {}", first.position)),
        };
        self.diagnostics.push(finding);
        Some(if spec.repeat == Repeat::First {
            first
        } else {
            last
        })
    }

    /// Reads the text of an entry and reports what is wrong with it.
    pub fn value<T: FromText>(&mut self, spec: &OptionSpec, entry: &Entry) -> Option<T> {
        let allowed = || format!("allowed: {}", spec.form.allowed_text());
        let Some(text) = entry.value.as_text() else {
            let message = format!("'{}' takes text, not {}", entry.key, entry.value.kind);
            self.diagnostics
                .push(Diagnostic::error(&entry.value.position, message).with_help(allowed()));
            return None;
        };
        match T::from_text(text) {
            Ok(parsed) => {
                if let Some(warning) = parsed.warning {
                    let message = format!("'{}': {warning}", entry.key);
                    self.diagnostics.push(
                        Diagnostic::warning(&entry.value.position, message).with_help(allowed()),
                    );
                }
                Some(parsed.value)
            }
            Err(refusal) => self.refused(spec, entry, refusal),
        }
    }

    /// Reports a refused value; the value to go on with, where there is one.
    fn refused<T: FromText>(
        &mut self,
        spec: &OptionSpec,
        entry: &Entry,
        refusal: Refusal,
    ) -> Option<T> {
        let severity = match spec.bad_value {
            BadValue::Refused => refusal.severity,
            BadValue::RefusedAtLoad => Severity::Error,
            BadValue::Default => Severity::Warning,
        };
        let mut help = format!("allowed: {}", spec.form.allowed_text());
        if spec.bad_value == BadValue::Default {
            help.push_str(match spec.need {
                Need::Default(_) => "; the default is used",
                Need::Required | Need::Optional => "; the option is left unset",
            });
        }
        let message = format!("'{}': {}", entry.key, refusal.why);
        self.diagnostics
            .push(Diagnostic::new(severity, &entry.value.position, message).with_help(help));
        match spec.bad_value {
            BadValue::Default => self.default_value(spec),
            BadValue::Refused | BadValue::RefusedAtLoad => None,
        }
    }

    /// Reads the default as if the user had written it.
    fn default_value<T: FromText>(&mut self, spec: &OptionSpec) -> Option<T> {
        let Need::Default(text) = spec.need else {
            return None;
        };
        match T::from_text(text) {
            Ok(parsed) => Some(parsed.value),
            Err(refusal) => {
                // A mistake in the table rather than in the configuration; `table_faults` finds it in tests.
                let message = format!(
                    "the default '{text}' of '{}' is not allowed: {}",
                    spec.name, refusal.why
                );
                self.diagnostics
                    .push(Diagnostic::error(&self.section.position, message));
                None
            }
        }
    }

    fn report_missing(&mut self, spec: &OptionSpec) {
        let message = format!("{} needs '{}'", self.section.title(), spec.name);
        let help = format!("allowed: {}", spec.form.allowed_text());
        let severity = match spec.bad_value {
            BadValue::RefusedAtLoad => Severity::Error,
            BadValue::Refused | BadValue::Default => Severity::StartError,
        };
        self.diagnostics
            .push(Diagnostic::new(severity, &self.section.position, message).with_help(help));
    }
}

/// The finding for a key that is in no table.
fn unknown_key(
    section: &Section,
    entry: &Entry,
    table: &[OptionSpec],
    engine: &[OptionSpec],
) -> Diagnostic {
    let key = entry.key.as_str();
    let severity = match section.kind.refuses_unknown_keys() {
        true => Severity::Error,
        false => Severity::Warning,
    };
    let shown = |spec: &OptionSpec| match spec.prefix {
        true => format!("{}*", spec.name),
        false => spec.name.to_owned(),
    };
    let all = || table.iter().chain(engine);
    let help = if all().any(|spec| spec.prefix && spec.name == key) {
        format!("'{key}' needs more characters after it")
    } else if let Some(name) = nearest(key, all().map(|spec| spec.name)) {
        format!("did you mean '{name}'?")
    } else {
        format!(
            "allowed: {}",
            table.iter().map(shown).collect::<Vec<_>>().join(", ")
        )
    };
    let message = format!("{} has no option '{key}'", section.title());
    Diagnostic::new(severity, &entry.position, message).with_help(help)
}
