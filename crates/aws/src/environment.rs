//! What a client sees of the process around it: environment variables, the home directory, the wall clock.
//!
//! Everything in this crate reads them through [`Environment`], so that tests (and several configurations in one
//! process) can bring their own.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;

/// The variables and the clock that clients and credential sources read.
///
/// Cheap to clone. An empty variable counts as unset, as in the AWS SDKs.
#[derive(Clone)]
pub struct Environment {
    variables: Variables,
    clock: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

#[derive(Clone)]
enum Variables {
    Process,
    Fixed(Arc<BTreeMap<String, String>>),
}

impl Environment {
    /// The environment of this process, read anew at each look, and the system's clock.
    pub fn process() -> Self {
        Self {
            variables: Variables::Process,
            clock: Arc::new(SystemTime::now),
        }
    }

    /// Exactly these variables, and the system's clock.
    pub fn fixed<K: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        Self {
            variables: Variables::Fixed(Arc::new(variables)),
            clock: Arc::new(SystemTime::now),
        }
    }

    /// The same variables with another clock.
    pub fn with_clock(self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self {
            clock: Arc::new(clock),
            ..self
        }
    }

    /// The value of a variable; `None` when it is unset, empty or not UTF-8.
    pub fn variable(&self, name: &str) -> Option<String> {
        let value = match &self.variables {
            Variables::Process => std::env::var(name).ok()?,
            Variables::Fixed(variables) => variables.get(name)?.clone(),
        };
        (!value.is_empty()).then_some(value)
    }

    /// Whether a variable says `true` (in any case), the only word for it that the AWS SDKs share.
    pub(crate) fn says_true(&self, name: &str) -> bool {
        self.variable(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The home directory as `HOME` gives it.
    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").map(PathBuf::from)
    }

    /// The wall clock, uncorrected. A clock set outside the years that a timestamp can hold counts as the epoch.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::try_from((self.clock)()).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.variables {
            Variables::Process => formatter.write_str("Environment(process)"),
            Variables::Fixed(variables) => formatter.debug_set().entries(variables.keys()).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_unset_and_values_stay_out_of_debug() {
        let environment = Environment::fixed([("AWS_SECRET_ACCESS_KEY", "hush"), ("HOME", "")]);
        assert_eq!(
            environment.variable("AWS_SECRET_ACCESS_KEY").as_deref(),
            Some("hush")
        );
        assert_eq!(environment.variable("ABSENT"), None);
        assert_eq!(environment.home(), None);
        assert!(!format!("{environment:?}").contains("hush"));
    }
}
