//! The patterns of `SHOW TABLES 'a*|b'`: `*` for any characters, `|` between alternatives, any case.

/// Whether a name matches; without a pattern all do.
pub(super) fn matches(pattern: Option<&str>, name: &str) -> bool {
    let Some(pattern) = pattern else { return true };
    pattern
        .to_lowercase()
        .split('|')
        .any(|alternative| matches_one(alternative.trim(), name))
}

fn matches_one(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    // Without a star the name must be the pattern; else its last piece ends the name.
    let Some(last) = pieces.pop() else {
        return rest.is_empty();
    };
    for piece in pieces {
        match rest.find(piece) {
            Some(offset) => rest = &rest[offset + piece.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_alternatives() {
        let cases = [
            (None, true),
            (Some("*"), true),
            (Some("fluentbit_ecs"), true),
            (Some("FLUENT*"), true),
            (Some("*bit*e*s"), true),
            (Some("x|*_ecs"), true),
            (Some("fluent"), false),
            (Some("*_eks"), false),
            (Some(""), false),
            (Some("fluentbit_ecs*ecs"), false),
        ];
        for (pattern, expected) in cases {
            assert_eq!(matches(pattern, "fluentbit_ecs"), expected, "{pattern:?}");
        }
    }
}
