//! What is wrong with a configuration, and how bad it is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::Position;

/// How bad a finding is. The order is meant: the later, the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Fluent Bit would run with this, and so do we; it is probably not what was meant.
    Warning,
    /// Fluent Bit accepts this in `--dry-run` and refuses it when the plugin starts (exit status 255).
    StartError,
    /// Fluent Bit refuses this when it loads the file, also in `--dry-run` (exit status 1).
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::StartError => "error at start",
            Self::Error => "error",
        })
    }
}

/// One finding: what is wrong, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub position: Position,
    /// What is wrong, in one sentence without a final stop.
    pub message: String,
    /// What is allowed, the nearest name, or what happens instead.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding without help.
    pub fn new(severity: Severity, position: &Position, message: impl Into<String>) -> Self {
        Self {
            severity,
            position: position.clone(),
            message: message.into(),
            help: None,
        }
    }

    /// Fluent Bit refuses this at load.
    pub fn error(position: &Position, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, position, message)
    }

    /// Fluent Bit refuses this when the plugin starts.
    pub fn start_error(position: &Position, message: impl Into<String>) -> Self {
        Self::new(Severity::StartError, position, message)
    }

    /// The router starts all the same.
    pub fn warning(position: &Position, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, position, message)
    }

    /// The same with a help line.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity, self.message)?;
        write!(f, "  --> {}", self.position)?;
        if let Some(help) = &self.help {
            write!(f, "\n   = help: {help}")?;
        }
        Ok(())
    }
}

/// The most findings that are kept. A file that is no configuration at all has one in each line.
const FINDINGS_MAX: usize = 1000;

/// All findings of one run, in the order in which they were made. Beyond the first thousand they are only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    findings: Vec<Diagnostic>,
    /// The number of findings that were not kept.
    left_out: usize,
    /// The worst severity of those that were not kept.
    worst_left_out: Option<Severity>,
}

impl Diagnostics {
    /// Nothing found yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a finding.
    pub fn push(&mut self, finding: Diagnostic) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.left_out += 1;
            self.worst_left_out = self.worst_left_out.max(Some(finding.severity));
        }
    }

    /// Moves all findings of `other` to the end of this list.
    pub fn append(&mut self, other: Diagnostics) {
        self.left_out += other.left_out;
        self.worst_left_out = self.worst_left_out.max(other.worst_left_out);
        self.extend(other.findings);
    }

    /// Puts the findings of one file together in the order of its lines. Files stay in the order in which they came up first.
    pub fn sort_by_position(&mut self) {
        let mut files = HashMap::new();
        for finding in &self.findings {
            let next = files.len();
            files
                .entry(Arc::clone(&finding.position.file))
                .or_insert(next);
        }
        self.findings.sort_by_key(|Diagnostic { position, .. }| {
            (files[&position.file], position.line, position.column)
        });
    }

    /// The findings in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.findings.iter()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// The number of findings, those that were only counted included.
    pub fn len(&self) -> usize {
        self.findings.len() + self.left_out
    }

    /// Whether Fluent Bit would refuse to load this: `--dry-run` exits with 1.
    pub fn has_errors(&self) -> bool {
        self.worst() == Some(Severity::Error)
    }

    /// Whether the router must not start, because of an error of either kind.
    pub fn prevents_start(&self) -> bool {
        self.worst() >= Some(Severity::StartError)
    }

    /// The worst severity among the findings.
    pub fn worst(&self) -> Option<Severity> {
        let worst = self.findings.iter().map(|finding| finding.severity).max();
        worst.max(self.worst_left_out)
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, findings: I) {
        for finding in findings {
            self.push(finding);
        }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One block per finding, with an empty line between blocks.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.findings.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{finding}")?;
        }
        match self.left_out {
            0 => Ok(()),
            more => write!(f, "\n\n… and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_beyond_the_limit_are_counted() {
        let position = Position::argument(1);
        let mut diagnostics = Diagnostics::new();
        diagnostics.extend((0..FINDINGS_MAX).map(|_| Diagnostic::warning(&position, "odd")));
        assert!(!diagnostics.has_errors());
        diagnostics.push(Diagnostic::error(&position, "wrong"));
        let mut all = Diagnostics::new();
        all.push(Diagnostic::start_error(&position, "late"));
        all.append(diagnostics);
        assert_eq!(all.len(), FINDINGS_MAX + 2);
        assert!(all.has_errors());
        assert!(
            all.to_string()
                .ends_with("odd\n  --> <command line>, argument 1\n\n… and 2 more")
        );
    }
}
