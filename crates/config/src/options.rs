//! Structs of settings that are read from a section.

use crate::section_reader::SectionReader;
use crate::{Diagnostics, OptionSpec, Section};

/// A group of options: the settings of a plugin, or a part shared by many.
///
/// Made by `#[derive(config::Options)]`. The struct's doc comment is the text on top of the reference page, a field's doc
/// comment the documentation of its option. Attributes of a field, `#[option(…)]`:
///
/// | attribute | meaning |
/// |---|---|
/// | `name = "…"` | the key, lower case |
/// | `alias = "…"` | another key that means the same; repeatable |
/// | `required` | missing is an error at start |
/// | `default = "…"` | what holds when the key is missing, as a user would write it |
/// | (neither, and the type is `Option<T>`) | may be left out |
/// | `multiple` | the key may be repeated; the type is `Vec<T>` |
/// | `prefix` | `name` is the beginning of the keys; the type is `Vec<(String, T)>`, each with the rest of the key |
/// | `repeated = "refused"`, `"last"`, `"first"` | what a repeated key means; refused unless said otherwise |
/// | `bad_value = "refused"`, `"refused_at_load"`, `"default"` | what happens to a value that cannot be read |
/// | `deprecated = "why"` | still read, with a warning |
/// | `flatten` | (alone) the field is a struct of options whose keys stand in the same section |
///
/// `#[options(repeated = "…", bad_value = "…")]` on the struct sets the rule for all its fields. `#[options(check = path)]`
/// names a `fn(Self, &mut SectionReader<'_>) -> Option<Self>` that sees the whole struct and reports what does not go
/// together.
pub trait Options: Sized {
    /// The text on top of the reference page. Markdown.
    fn about() -> &'static str;

    /// The options in the order of the fields, those of flattened groups in their place.
    fn table() -> Vec<OptionSpec>;

    /// Takes this struct's keys from a section. Returns `None`, after saying why, when a value is missing or refused.
    fn take(reader: &mut SectionReader<'_>) -> Option<Self>;

    /// Reads the options of a plugin from its whole section: keys that are neither in the table nor known to the engine for
    /// this kind of section (`tag`, `match`, `net.*` …) are reported.
    fn read(section: &Section, diagnostics: &mut Diagnostics) -> Option<Self> {
        let mut reader = SectionReader::new(section, diagnostics);
        let options = Self::take(&mut reader);
        reader.report_unknown(&Self::table());
        options
    }

    /// Reads only these keys and leaves the others for somebody else: for groups such as the keys that every input shares.
    fn read_part(section: &Section, diagnostics: &mut Diagnostics) -> Option<Self> {
        Self::take(&mut SectionReader::new(section, diagnostics))
    }
}
