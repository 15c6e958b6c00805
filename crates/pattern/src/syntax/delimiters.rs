//! How Fluent Bit writes a pattern: bare, `/pattern/` or `/pattern/flags` (upstream `src/flb_regex.c`).

use super::parser::Flags;

/// A pattern without what stands around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Source<'a> {
    /// The pattern itself.
    pub pattern: &'a str,
    /// Where it begins in the text.
    pub offset: usize,
    /// What the letters behind the last slash say.
    pub flags: Flags,
}

impl<'a> Source<'a> {
    /// Takes slashes and flags away. An unknown flag makes the whole text a pattern, slashes included, and so do flags
    /// without any effect.
    pub fn new(text: &'a str) -> Source<'a> {
        let bare = Source {
            pattern: text,
            offset: 0,
            flags: Flags::default(),
        };
        let Some(inner) = text.strip_prefix('/') else {
            return bare;
        };
        let Some((pattern, letters)) = inner.rsplit_once('/') else {
            return bare;
        };
        if letters.is_empty() {
            return Source {
                pattern,
                offset: 1,
                flags: Flags::default(),
            };
        }
        match read_flags(letters) {
            Some(flags) => Source {
                pattern,
                offset: 1,
                flags,
            },
            None => bare,
        }
    }
}

fn read_flags(letters: &str) -> Option<Flags> {
    let mut flags = Flags::default();
    for letter in letters.chars() {
        match letter {
            'i' => flags.ignore_case = true,
            'm' => flags.dot_all = true,
            'x' => flags.extended = true,
            'o' => {}
            _ => return None,
        }
    }
    (flags != Flags::default()).then_some(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> (&str, usize, bool, bool, bool) {
        let Source {
            pattern,
            offset,
            flags,
        } = Source::new(text);
        (
            pattern,
            offset,
            flags.ignore_case,
            flags.dot_all,
            flags.extended,
        )
    }

    #[test]
    fn slashes_and_flags() {
        assert_eq!(split("a/b"), ("a/b", 0, false, false, false));
        assert_eq!(split("/a/b/"), ("a/b", 1, false, false, false));
        assert_eq!(split("/a/i"), ("a", 1, true, false, false));
        assert_eq!(split("/a/xmio"), ("a", 1, true, true, true));
        assert_eq!(split("//"), ("", 1, false, false, false));
    }

    #[test]
    fn an_unknown_flag_makes_the_slashes_literal() {
        for text in ["/a/z", "/a/iz", "/a/o", "/usr/bin", "/", "/a"] {
            assert_eq!(split(text), (text, 0, false, false, false));
        }
    }
}
