//! Options that take one word of a fixed set.

/// One allowed word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChoiceSpec {
    /// The word in lower case, as the reference page shows it.
    pub name: &'static str,
    /// Other spellings that mean the same.
    pub aliases: &'static [&'static str],
    /// What the word does. Markdown.
    pub doc: &'static str,
}

/// An enumeration that the user chooses from by word. Made by `#[derive(config::Choice)]`, which also implements
/// [`FromText`](crate::FromText): words compare without letter case, and an unknown word is refused at start unless one
/// variant is marked `#[choice(fallback)]`, which then takes all unknown words, with a warning.
///
/// Attributes of a variant: `name = "…"` (by default the variant's name in snake case), `alias = "…"` (repeatable),
/// `fallback`. The variant's doc comment is the documentation of the word.
pub trait Choice: Sized {
    /// All words in the order of the enumeration.
    const CHOICES: &'static [ChoiceSpec];

    /// The word for this value.
    fn name(&self) -> &'static str;
}

/// The index of the choice that `text` names, letter case aside.
pub fn find_choice(choices: &[ChoiceSpec], text: &str) -> Option<usize> {
    choices.iter().position(|choice| {
        choice.name.eq_ignore_ascii_case(text)
            || choice
                .aliases
                .iter()
                .any(|alias| alias.eq_ignore_ascii_case(text))
    })
}

/// The sentence for a word that is not among `choices`.
pub fn unknown_choice(choices: &[ChoiceSpec], text: &str) -> String {
    let suggestion = match crate::nearest(text, choices.iter().map(|choice| choice.name)) {
        Some(name) => format!("; did you mean '{name}'?"),
        None => String::new(),
    };
    format!("'{text}' is not one of the allowed words{suggestion}")
}
