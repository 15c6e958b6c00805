//! The description of options: what diagnostics, reference pages and `--help` are made from.

use crate::choice::ChoiceSpec;
use crate::text::{FromText, Refusal};

/// How values of a type are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// One word for the type: `size`.
    pub name: &'static str,
    /// What is allowed, as part of a sentence: `a number of bytes with K, M or G (decimal)`. Markdown.
    pub allowed: &'static str,
    /// The words to choose from; empty for types that are not an enumeration.
    pub choices: &'static [ChoiceSpec],
}

impl Form {
    /// The form of a type that is not an enumeration.
    pub const fn new(name: &'static str, allowed: &'static str) -> Self {
        Self {
            name,
            allowed,
            choices: &[],
        }
    }

    /// The form of an enumeration.
    pub const fn choice(choices: &'static [ChoiceSpec]) -> Self {
        Self {
            name: "choice",
            allowed: "one of the words",
            choices,
        }
    }

    /// What is allowed, with the words of an enumeration spelled out.
    pub fn allowed_text(&self) -> String {
        if self.choices.is_empty() {
            return self.allowed.to_owned();
        }
        let words: Vec<_> = self
            .choices
            .iter()
            .map(|choice| format!("`{}`", choice.name))
            .collect();
        words.join(", ")
    }
}

/// Whether an option must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The plugin does not start without it.
    Required,
    /// What holds when it is not given, as a user would write it.
    Default(&'static str),
    /// It may be left out, and there is no default.
    Optional,
}

/// What a repeated key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Refused at load: `set 2 times`. The rule for the options of plugins.
    Refused,
    /// All values count, in order: Fluent Bit's "multiple".
    Every,
    /// The last one counts, with a warning unless a file overrides the command line. The rule for keys of the engine,
    /// such as `tag`.
    Last,
    /// The first one counts, with a warning. The rule in parser definitions.
    First,
}

/// What happens to a value that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadValue {
    /// As the type says: refused, for most when the plugin starts.
    Refused,
    /// Refused at load.
    RefusedAtLoad,
    /// Replaced by the default, with a warning.
    Default,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// The key in lower case. For a prefix option, what the keys begin with, such as `labels.`.
    pub name: &'static str,
    /// Other keys that mean the same.
    pub aliases: &'static [&'static str],
    /// How values are written.
    pub form: Form,
    /// Whether it must be given, or its default.
    pub need: Need,
    /// What a repeated key means.
    pub repeat: Repeat,
    /// What happens to a value that cannot be read.
    pub bad_value: BadValue,
    /// Whether `name` is the beginning of the keys rather than the key.
    pub prefix: bool,
    /// Why it should not be used any more.
    pub deprecated: Option<&'static str>,
    /// The documentation. Markdown.
    pub doc: &'static str,
    /// Tries a value, so that tables can be checked without the struct they come from.
    pub try_text: fn(&str) -> Result<(), Refusal>,
}

impl OptionSpec {
    /// Whether `key` (lower case) sets this option. A prefix alone, without more characters, does not.
    pub fn matches(&self, key: &str) -> bool {
        let names = std::iter::once(&self.name).chain(self.aliases);
        names.into_iter().any(|name| match self.prefix {
            true => key.len() > name.len() && key.starts_with(name),
            false => key == *name,
        })
    }
}

/// Tries `text` as a `T`; what the derive macro puts into [`OptionSpec::try_text`].
///
/// # Errors
///
/// Why a `T` cannot be read from `text`.
pub fn try_text<T: FromText>(text: &str) -> Result<(), Refusal> {
    T::from_text(text).map(|_| ())
}

/// What is wrong with a table itself: a default that its own type refuses or warns about, a key with capitals, a key twice,
/// an option without documentation. Meant for one test per crate that walks all its tables.
pub fn table_faults(table: &[OptionSpec]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for spec in table {
        for name in std::iter::once(&spec.name).chain(spec.aliases) {
            if name.is_empty() || **name != name.to_ascii_lowercase() {
                faults.push(format!("'{name}' is not a key in lower case"));
            }
            if !seen.insert(*name) {
                faults.push(format!("'{name}' is there twice"));
            }
        }
        if spec.doc.is_empty() {
            faults.push(format!("'{}' has no documentation", spec.name));
        }
        if let Need::Default(text) = spec.need
            && let Err(refusal) = (spec.try_text)(text)
        {
            faults.push(format!(
                "the default of '{}' is not allowed: {}",
                spec.name, refusal.why
            ));
        }
    }
    faults
}
