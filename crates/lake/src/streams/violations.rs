//! Why AWS refuses the members of a request.
//!
//! AWS checks in two steps, with an error code for each. First the shape of every member; all that is wrong with it is
//! told at once, in one wording for all services. Then the meaning.

use std::fmt::Write;

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Members of a wrong shape: `ValidationException`.
    #[error("{0}")]
    Shape(String),
    /// Well-formed, but not possible: `InvalidArgumentException`.
    #[error("{0}")]
    Argument(String),
}

impl Refusal {
    /// A refusal of something well-formed.
    pub fn argument(message: impl Into<String>) -> Self {
        Self::Argument(message.into())
    }
}

/// Collects what is wrong with the shape of a request's members.
#[derive(Debug, Default)]
pub struct Violations(Vec<String>);

impl Violations {
    /// The value at `path` (as AWS writes it: `records.1.member.data`) breaks `constraint`.
    pub fn add(&mut self, value: &str, path: &str, constraint: &str) {
        self.0.push(format!(
            "Value '{}' at '{path}' failed to satisfy constraint: {constraint}",
            shown(value)
        ));
    }

    /// The value at `path` is missing.
    pub fn add_missing(&mut self, path: &str) {
        self.0.push(format!(
            "Value null at '{path}' failed to satisfy constraint: Member must not be null"
        ));
    }

    /// The value at `path`, too long to be shown, breaks `constraint`.
    pub fn add_unshown(&mut self, path: &str, constraint: &str) {
        self.0.push(format!(
            "Value at '{path}' failed to satisfy constraint: {constraint}"
        ));
    }

    /// Checks the length of a text.
    pub fn length(&mut self, value: &str, path: &str, (least, most): (usize, usize)) {
        let length = value.chars().count();
        if length < least {
            self.add(
                value,
                path,
                &format!("Member must have length greater than or equal to {least}"),
            );
        }
        if length > most {
            self.add(
                value,
                path,
                &format!("Member must have length less than or equal to {most}"),
            );
        }
    }

    /// Checks the characters of a text; `pattern` is what the message shows.
    pub fn pattern(
        &mut self,
        value: &str,
        path: &str,
        pattern: &str,
        fits: impl FnOnce(&str) -> bool,
    ) {
        if !fits(value) {
            self.add(
                value,
                path,
                &format!("Member must satisfy regular expression pattern: {pattern}"),
            );
        }
    }

    /// Checks a number.
    pub fn range(&mut self, value: i64, path: &str, (least, most): (i64, i64)) {
        if value < least {
            self.add(
                &value.to_string(),
                path,
                &format!("Member must have value greater than or equal to {least}"),
            );
        }
        if value > most {
            self.add(
                &value.to_string(),
                path,
                &format!("Member must have value less than or equal to {most}"),
            );
        }
    }

    /// Checks that a text is one of a list.
    pub fn one_of(&mut self, value: &str, path: &str, allowed: &[&str]) {
        if !allowed.contains(&value) {
            self.add(
                value,
                path,
                &format!(
                    "Member must satisfy enum value set: [{}]",
                    allowed.join(", ")
                ),
            );
        }
    }

    /// Nothing, or everything that was collected.
    pub fn into_result(self) -> Result<(), Refusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let plural = if self.0.len() == 1 { "" } else { "s" };
        let mut message = format!("{} validation error{plural} detected: ", self.0.len());
        for (index, violation) in self.0.iter().enumerate() {
            // Writing to a string does not fail.
            let _ = write!(message, "{}{violation}", if index == 0 { "" } else { "; " });
        }
        Err(Refusal::Shape(message))
    }
}

/// A value as a message shows it: all of it if it is short.
fn shown(value: &str) -> String {
    const MOST: usize = 128;
    match value.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_worded_as_aws_does() {
        let mut violations = Violations::default();
        violations.range(129, "bufferingHints.sizeInMBs", (1, 128));
        violations.add_missing("roleARN");
        assert_eq!(
            violations.into_result(),
            Err(Refusal::Shape(
                "2 validation errors detected: Value '129' at 'bufferingHints.sizeInMBs' failed to satisfy constraint: \
                 Member must have value less than or equal to 128; Value null at 'roleARN' failed to satisfy \
                 constraint: Member must not be null"
                    .to_owned()
            ))
        );
        assert_eq!(Violations::default().into_result(), Ok(()));
    }
}
