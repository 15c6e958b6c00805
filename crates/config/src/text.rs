//! From the text of one value to a typed setting.

use std::path::PathBuf;

use crate::Severity;
use crate::table::Form;

/// A type that an option can have. Defaults go through the same function as what the user wrote.
pub trait FromText: Sized {
    /// How the reference page and the diagnostics describe the type.
    const FORM: Form;

    /// Reads a value.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] where Fluent Bit would not run with this value. Where it runs with something surprising instead, the
    /// value is what Fluent Bit makes of it, with a warning: [`Parsed::doubtful`].
    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal>;
}

/// A value that was read, and what is odd about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed<T> {
    /// The setting.
    pub value: T,
    /// Why it is probably not what the user meant.
    pub warning: Option<String>,
}

impl<T> Parsed<T> {
    /// A value that Fluent Bit accepts but that probably was not meant; `warning` says what it becomes.
    pub fn doubtful(value: T, warning: impl Into<String>) -> Self {
        Self {
            value,
            warning: Some(warning.into()),
        }
    }

    /// The same for another type.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Parsed<U> {
        Parsed {
            value: change(self.value),
            warning: self.warning,
        }
    }
}

impl<T> From<T> for Parsed<T> {
    fn from(value: T) -> Self {
        Self {
            value,
            warning: None,
        }
    }
}

/// A value that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When Fluent Bit refuses it: when the plugin starts, unless said otherwise.
    pub severity: Severity,
    /// What is wrong, as part of a sentence: `'abc' is not a boolean`.
    pub why: String,
}

impl Refusal {
    /// Refused already when the file is loaded.
    pub fn at_load(why: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            why: why.into(),
        }
    }
}

impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self {
            severity: Severity::StartError,
            why,
        }
    }
}

impl From<&str> for Refusal {
    fn from(why: &str) -> Self {
        Self::from(why.to_owned())
    }
}

impl FromText for String {
    const FORM: Form = Form::new("text", "any text");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        Ok(text.to_owned().into())
    }
}

impl FromText for PathBuf {
    const FORM: Form = Form::new("path", "a path");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        Ok(Self::from(text).into())
    }
}

/// `true`, `on`, `yes` or `false`, `off`, `no` in any letter case.
fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 3]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if is(["true", "on", "yes"]) {
        return Some(true);
    }
    is(["false", "off", "no"]).then_some(false)
}

const BOOLEAN: Form = Form::new("boolean", "`true`, `on`, `yes` or `false`, `off`, `no`");

/// Other words, `1` and `0` among them, are refused when the plugin starts.
impl FromText for bool {
    const FORM: Form = BOOLEAN;

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        match boolean(text) {
            Some(value) => Ok(value.into()),
            None => Err(format!("'{text}' is not a boolean").into()),
        }
    }
}

/// A boolean of the SERVICE section: any word that is not a boolean counts as off there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch(pub bool);

impl FromText for Switch {
    const FORM: Form = BOOLEAN;

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        Ok(match boolean(text) {
            Some(value) => Self(value).into(),
            None => Parsed::doubtful(
                Self(false),
                format!("'{text}' is not a boolean and counts as off"),
            ),
        })
    }
}
