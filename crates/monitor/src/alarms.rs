//! What is wrong now, in words: shown by the health checks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The checks that fail, by name. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Alarms(Arc<Mutex<BTreeMap<String, String>>>);

impl Alarms {
    /// The check `name` fails: `words` say why. Returns whether that is news.
    pub fn raise(&self, name: &str, words: String) -> bool {
        self.lock().insert(name.to_owned(), words).is_none()
    }

    /// The check `name` passes. Returns whether that is news.
    pub fn clear(&self, name: &str) -> bool {
        self.lock().remove(name).is_some()
    }

    /// The words of all checks that fail.
    pub fn all(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    /// Whether no check fails.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_fails_once_and_passes_once() {
        let alarms = Alarms::default();
        let same = alarms.clone();
        assert!(alarms.raise("output a", "stuck".into()));
        assert!(!alarms.raise("output a", "still stuck".into()));
        assert_eq!(same.all(), ["still stuck"]);
        assert!(same.clear("output a") && !alarms.clear("output a"));
        assert!(alarms.is_empty());
    }
}
