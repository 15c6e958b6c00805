//! Option tables for readers: Markdown for the reference pages, plain text for `--help`.

use std::fmt::Write as _;

use crate::{Need, OptionSpec, Repeat};

/// The width of plain text in characters.
const PLAIN_WIDTH: usize = 100;

/// A reference page: a heading, the text about the whole, and the options.
pub fn reference_page(title: &str, about: &str, table: &[OptionSpec]) -> String {
    let mut page = format!("# {title}\n\n");
    if !about.is_empty() {
        page.push_str(about);
        page.push_str("\n\n");
    }
    page.push_str(&options_markdown(table));
    page
}

/// The options as a Markdown table, in the order in which they are declared.
pub fn options_markdown(table: &[OptionSpec]) -> String {
    if table.is_empty() {
        return "It has no options.\n".to_owned();
    }
    let mut text = String::from("| option | type | default | |\n|---|---|---|---|\n");
    for spec in table {
        let doc = cell(&description(spec));
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {doc} |",
            key(spec),
            spec.form.name,
            cell(&default(spec))
        );
    }
    text
}

/// The options as plain text: each with what it does, and then its type and default.
pub fn options_text(table: &[OptionSpec]) -> String {
    let mut text = String::new();
    for spec in table {
        let name = if spec.prefix {
            format!("{}*", spec.name)
        } else {
            spec.name.to_owned()
        };
        let _ = writeln!(text, "  {name}");
        for line in wrap(&description(spec).replace('`', "'"), PLAIN_WIDTH - 6) {
            let _ = writeln!(text, "      {line}");
        }
        let _ = writeln!(
            text,
            "      > {}, {}",
            spec.form.name,
            default(spec).replace('`', "'")
        );
    }
    text
}

/// The key with its other names.
fn key(spec: &OptionSpec) -> String {
    let star = if spec.prefix { "*" } else { "" };
    let names: Vec<_> = std::iter::once(&spec.name)
        .chain(spec.aliases)
        .map(|name| format!("`{name}{star}`"))
        .collect();
    names.join(", ")
}

/// What holds without the option.
fn default(spec: &OptionSpec) -> String {
    match spec.need {
        Need::Required => "required".to_owned(),
        Need::Default("") | Need::Optional => "none".to_owned(),
        Need::Default(text) => format!("`{text}`"),
    }
}

/// What the option does, with the words it takes and its rules.
fn description(spec: &OptionSpec) -> String {
    let mut text = spec.doc.to_owned();
    if !spec.form.choices.is_empty() {
        let words: Vec<_> = spec.form.choices.iter().map(choice).collect();
        let _ = write!(text, " One of {}.", words.join("; "));
    }
    if spec.repeat == Repeat::Every {
        text.push_str(" May be repeated.");
    }
    if let Some(why) = spec.deprecated {
        let _ = write!(text, " Deprecated: {why}.");
    }
    text
}

/// A word with what it does.
fn choice(choice: &crate::ChoiceSpec) -> String {
    let names: Vec<_> = std::iter::once(&choice.name)
        .chain(choice.aliases)
        .map(|name| format!("`{name}`"))
        .collect();
    let names = names.join(" or ");
    match choice.doc.trim_end_matches('.') {
        "" => names,
        doc => format!("{names}: {}", lower_first(doc)),
    }
}

/// A sentence as part of another: its first letter small, unless the first word is written in capitals.
fn lower_first(sentence: &str) -> String {
    let mut characters = sentence.chars();
    match (characters.next(), characters.clone().next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => sentence.to_owned(),
    }
}

/// Text that fits into a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "\\|")
}

/// Breaks text into lines of at most `width` characters, where it has blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = lines.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Choice, CommaList, Options};

    /// Reads things.
    ///
    /// Second paragraph.
    #[derive(Options)]
    #[expect(dead_code, reason = "only the table is used")]
    struct Things {
        /// Which things, with `a|b`
        /// on two lines.
        #[option(name = "path", alias = "old_path", required)]
        path: CommaList,
        /// How.
        #[option(name = "mode", default = "fast", deprecated = "it is always fast")]
        mode: Mode,
        /// Names.
        #[option(name = "labels.", prefix)]
        labels: Vec<(String, String)>,
        /// Fields.
        #[option(name = "record", multiple)]
        records: Vec<String>,
    }

    #[derive(Choice)]
    enum Mode {
        /// Quick.
        Fast,
        /// JSON all the way.
        #[choice(alias = "safe")]
        Slow,
    }

    #[test]
    fn pages_have_a_row_for_each_option() {
        let expected = "\
# things

Reads things.

Second paragraph.

| option | type | default | |
|---|---|---|---|
| `path`, `old_path` | list | required | Which things, with `a\\|b` on two lines. |
| `mode` | choice | `fast` | How. One of `fast`: quick; `slow` or `safe`: JSON all the way. Deprecated: it is always fast. |
| `labels.*` | text | none | Names. |
| `record` | text | none | Fields. May be repeated. |
";
        assert_eq!(
            reference_page("things", Things::about(), &Things::table()),
            expected
        );
        assert_eq!(options_markdown(&[]), "It has no options.\n");
    }

    #[test]
    fn help_is_plain_text() {
        let expected = "  \
  path
      Which things, with 'a|b' on two lines.
      > list, required
  mode
      How. One of 'fast': quick; 'slow' or 'safe': JSON all the way. Deprecated: it is always fast.
      > choice, 'fast'
  labels.*
      Names.
      > text, none
  record
      Fields. May be repeated.
      > text, none
";
        assert_eq!(options_text(&Things::table()), expected);
        assert_eq!(wrap("aa bb cc", 5), ["aa bb", "cc"]);
    }
}
