//! "Did you mean …".

/// The candidate that `word` was most likely meant to be, letter case aside, if one is near enough to be worth saying.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    // One slip in three letters, and never fewer than one slip: `pth` finds `path`, `abc` does not find `db`.
    let length = word.chars().count();
    let slips_max = (length / 3).max(1);
    candidates
        .into_iter()
        // Comparing takes time and memory by the product of the lengths, and a word may be a line of 32 MiB.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= slips_max)
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&word, &candidate.to_ascii_lowercase()),
                candidate,
            )
        })
        .filter(|(slips, _)| *slips <= slips_max)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["path", "path_key", "refresh_interval", "db"];

    #[test]
    fn finds_a_slip_and_a_swap() {
        assert_eq!(nearest("Pth", NAMES), Some("path"));
        assert_eq!(nearest("refersh_interval", NAMES), Some("refresh_interval"));
        assert_eq!(nearest("path-key", NAMES), Some("path_key"));
    }

    #[test]
    fn a_word_of_any_length_is_answered_at_once() {
        assert_eq!(nearest(&"path".repeat(1 << 20), NAMES), None);
    }

    #[test]
    fn stays_silent_when_nothing_is_near() {
        assert_eq!(nearest("delivery_stream", NAMES), None);
        assert_eq!(nearest("", NAMES), None);
    }
}
