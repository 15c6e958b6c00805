//! Named sets of characters.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// Which characters the shorthands stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Charset {
    /// `\w`, `\d`, `\s` are ASCII; POSIX brackets and word boundaries know Unicode.
    #[default]
    Default,
    /// `(?a)`: all are ASCII.
    Ascii,
    /// `(?u)`: all know Unicode.
    Unicode,
}

/// The set of one range.
pub(super) fn range(start: char, end: char) -> ClassUnicode {
    ClassUnicode::new([ClassUnicodeRange::new(start, end)])
}

/// The set of one range with the other cases of its characters.
pub(super) fn folded(start: char, end: char) -> ClassUnicode {
    let mut class = range(start, end);
    class.case_fold_simple();
    class
}

/// A dot.
pub(super) fn any(dot_all: bool) -> ClassUnicode {
    let mut class = if dot_all {
        ClassUnicode::empty()
    } else {
        range('\n', '\n')
    };
    class.negate();
    class
}

/// The set of `\w`, `\d`, `\s`, `\h` or, as capitals, their opposites.
pub(super) fn shorthand(letter: char, charset: Charset) -> Option<ClassUnicode> {
    let name = match letter.to_ascii_lowercase() {
        'w' => "word",
        'd' => "digit",
        's' => "space",
        'h' => "xdigit",
        _ => return None,
    };
    let mut class = match charset {
        Charset::Unicode => unicode(name)?,
        Charset::Default | Charset::Ascii => ascii(name)?,
    };
    if letter.is_ascii_uppercase() {
        class.negate();
    }
    Some(class)
}

/// The set of `[:name:]`.
pub(super) fn posix(name: &str, charset: Charset) -> Option<ClassUnicode> {
    match charset {
        Charset::Ascii => ascii(name),
        Charset::Default | Charset::Unicode => unicode(name),
    }
}

/// The set of `\p{name}`: a POSIX name, a general category, a script, a binary property or an age. Case, blanks, `-` and
/// `_` do not count.
pub(super) fn property(name: &str) -> Option<ClassUnicode> {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if plain.is_empty()
        || !plain
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '=' | '.'))
    {
        return None;
    }
    unicode(&plain).or_else(|| parsed(&format!(r"\p{{{plain}}}")))
}

/// Onigmo's definitions for Unicode.
fn unicode(name: &str) -> Option<ClassUnicode> {
    let pattern = match name {
        "alnum" => r"[\p{Alphabetic}\p{Nd}]",
        "alpha" => r"\p{Alphabetic}",
        "ascii" => r"[\x00-\x7F]",
        "blank" => r"[\t\p{Zs}]",
        "cntrl" => r"\p{Cc}",
        "digit" => r"\p{Nd}",
        "graph" => r"[^\p{White_Space}\p{Cc}\p{Cn}]",
        "lower" => r"\p{Lowercase}",
        "print" => r"[[^\p{White_Space}\p{Cc}\p{Cn}]\p{Zs}]",
        "punct" => r"[\p{P}$+<=>^`|~]",
        "space" => r"\p{White_Space}",
        "upper" => r"\p{Uppercase}",
        "xdigit" => r"[0-9A-Fa-f]",
        "word" => r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]",
        _ => return None,
    };
    parsed(pattern)
}

fn ascii(name: &str) -> Option<ClassUnicode> {
    let pattern = match name {
        "space" => r"[\t\n\x0B\f\r ]",
        "alnum" | "alpha" | "ascii" | "blank" | "cntrl" | "digit" | "graph" | "lower" | "print"
        | "punct" | "upper" | "xdigit" | "word" => &format!("[[:{name}:]]"),
        _ => return None,
    };
    parsed(pattern)
}

fn parsed(pattern: &str) -> Option<ClassUnicode> {
    let hir = regex_syntax::parse(pattern).ok()?;
    match hir.into_kind() {
        HirKind::Class(Class::Unicode(class)) => Some(class),
        // A set of one character becomes a literal.
        HirKind::Literal(literal) => {
            let c = std::str::from_utf8(&literal.0).ok()?.chars().next()?;
            Some(range(c, c))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POSIX: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
        "space", "upper", "xdigit", "word",
    ];

    #[test]
    fn every_posix_name_has_a_set_in_each_charset() {
        for name in POSIX {
            let ascii = posix(name, Charset::Ascii).expect(name);
            assert!(ascii.is_ascii(), "{name}");
            let unicode = posix(name, Charset::Default).expect(name);
            let mut both = unicode.clone();
            both.intersect(&ascii);
            assert_eq!(both, ascii, "{name}: Unicode includes ASCII");
        }
        assert_eq!(posix("foo", Charset::Default), None);
    }

    #[test]
    fn properties_are_found_by_any_spelling() {
        for name in [
            "Alpha",
            "L",
            "lu",
            "Greek",
            "greek",
            "White_Space",
            "whitespace",
            "Age=6.0",
        ] {
            assert!(property(name).is_some(), "{name}");
        }
        for name in ["Foo", "", "}", "^L"] {
            assert!(property(name).is_none(), "{name}");
        }
    }

    #[test]
    fn shorthands_are_ascii_unless_asked() {
        let contains = |class: &ClassUnicode, c: char| {
            class
                .iter()
                .any(|range| range.start() <= c && c <= range.end())
        };
        let word = shorthand('w', Charset::Default).expect("known");
        assert!(contains(&word, '_') && !contains(&word, 'é'));
        let word = shorthand('w', Charset::Unicode).expect("known");
        assert!(contains(&word, 'é'));
        let space = shorthand('s', Charset::Default).expect("known");
        assert!(contains(&space, '\u{B}') && !contains(&space, '\u{A0}'));
        let space = shorthand('S', Charset::Default).expect("known");
        assert!(!contains(&space, '\u{B}') && contains(&space, '\u{A0}'));
    }
}
