//! The tag of a file's records, made from its path.

use std::cell::RefCell;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use pattern::{Matcher, Pattern};
use record::Tag;

/// Where the tags of an instance come from.
pub enum TagSource {
    /// All files have the same one.
    Fixed(Tag),
    /// The path takes the place of the first star.
    Path(String),
    /// Groups of a pattern that is searched in the path take the place of their names.
    Groups(RefCell<Groups>),
}

/// A tag such as `<namespace>.<pod>` with the pattern that fills it.
pub struct Groups {
    template: String,
    matcher: Matcher,
}

/// Why a file has no tag; it is not read then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The path does not match.
    #[error("invalid tag_regex pattern for file {0}")]
    NoMatch(String),
    /// The template is wrong.
    #[error("missing closing angle bracket in tag {0} at position {1}")]
    OpenBracket(String, usize),
}

impl TagSource {
    /// A tag with or without a star.
    pub fn new(tag: &str) -> TagSource {
        match tag.contains('*') {
            true => TagSource::Path(tag.to_owned()),
            false => TagSource::Fixed(Tag::from(tag)),
        }
    }

    /// A tag in which `<name>` stands for what the group of that name matches in the path.
    pub fn groups(tag: &str, pattern: &Pattern) -> TagSource {
        TagSource::Groups(RefCell::new(Groups {
            template: tag.to_owned(),
            matcher: pattern.matcher(),
        }))
    }

    /// The tag of the file that was found under `path`.
    ///
    /// # Errors
    /// When the path does not match the pattern, or the tag is malformed.
    pub fn tag(&self, path: &Path) -> Result<Tag, TagError> {
        match self {
            TagSource::Fixed(tag) => Ok(tag.clone()),
            TagSource::Path(tag) => Ok(Tag::new(expand(tag, path.as_os_str().as_bytes()))),
            TagSource::Groups(groups) => groups.borrow_mut().fill(path),
        }
    }
}

/// The first star becomes the path; then, over the whole, separators become single dots without one at the ends, and
/// further stars vanish.
fn expand(tag: &str, path: &[u8]) -> Vec<u8> {
    let (before, after) = tag.split_once('*').unwrap_or((tag, ""));
    let whole = [before.as_bytes(), path, after.as_bytes()];
    let mut out = Vec::with_capacity(tag.len() + path.len());
    for &byte in whole.into_iter().flatten() {
        match byte {
            b'*' => {}
            b'/' | b'\\' | b':' if out.is_empty() => {}
            b'/' | b'\\' | b':' | b'.' if out.last() == Some(&b'.') => {}
            b'/' | b'\\' | b':' => out.push(b'.'),
            other => out.push(other),
        }
    }
    if out.last() == Some(&b'.') {
        out.pop();
    }
    out
}

impl Groups {
    fn fill(&mut self, path: &Path) -> Result<Tag, TagError> {
        let text = path.as_os_str().as_bytes();
        let pattern = self.matcher.pattern().clone();
        let Some(captures) = self.matcher.captures(text) else {
            return Err(TagError::NoMatch(path.display().to_string()));
        };
        // Of groups that share a name the last one that matched counts.
        let value = |wanted: &str| {
            pattern
                .names()
                .filter(|(name, _)| *name == wanted)
                .filter_map(|(_, group)| captures.get(group))
                .filter(|range| !range.is_empty())
                .last()
        };
        let mut out = Vec::with_capacity(self.template.len() + text.len());
        let mut rest = self.template.as_str();
        while let Some((before, inside)) = rest.split_once('<') {
            let position = self.template.len() - inside.len();
            let Some((name, after)) = inside
                .split_once('>')
                .filter(|(name, _)| !name.contains('<'))
            else {
                return Err(TagError::OpenBracket(self.template.clone(), position));
            };
            out.extend_from_slice(before.as_bytes());
            match value(name) {
                Some(range) => out.extend_from_slice(&text[range]),
                None => out.push(b'_'),
            }
            rest = after;
        }
        out.extend_from_slice(rest.as_bytes());
        Ok(Tag::new(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(source: &TagSource, path: &str) -> String {
        match source.tag(Path::new(path)) {
            Ok(tag) => tag.to_string(),
            Err(error) => format!("error: {error}"),
        }
    }

    /// The rows without a mark were observed with Fluent Bit 5.1.1, the others follow from its source.
    #[test]
    fn the_path_takes_the_place_of_the_star() {
        for (template, path, expected) in [
            (
                "kube.*",
                "/var/log/containers/a_b_c-0.log",
                "kube.var.log.containers.a_b_c-0.log",
            ),
            ("*", "lg/sub/b.log", "lg.sub.b.log"),
            ("pre.*.post.*", "lg/sub/b.log", "pre.lg.sub.b.log.post"),
            ("kube.*", "/x/sp ace..log", "kube.x.sp ace.log"),
            // From the source:
            ("*", "/var/log/a.log", "var.log.a.log"),
            ("*", "C:\\logs\\a.log", "C.logs.a.log"),
            ("a*b", "/x*y/", "a.xy.b"),
            (".*", "x", ".x"),
            ("plain", "/x", "plain"),
        ] {
            assert_eq!(
                tag(&TagSource::new(template), path),
                expected,
                "{template} {path}"
            );
        }
    }

    #[test]
    fn groups_take_the_place_of_their_names() {
        let pattern =
            Pattern::new("(?<pod>[a-z]+)_(?<namespace>[^_]*)_(?<rest>x)?").expect("valid");
        for (template, path, expected) in [
            (
                "k.<namespace>.<pod>",
                "/log/app_default_1.log",
                "k.default.app",
            ),
            ("<namespace>.<pod>", "/log/app__1.log", "_.app"),
            ("<rest>-<unknown>*", "/log/app_default_1.log", "_-_*"),
            (
                "<pod>",
                "/log/nothing.log",
                "error: invalid tag_regex pattern for file /log/nothing.log",
            ),
            (
                "a.<pod",
                "/log/app_default_1.log",
                "error: missing closing angle bracket in tag a.<pod at position 3",
            ),
            (
                "<a<pod>",
                "/log/app_default_1.log",
                "error: missing closing angle bracket in tag <a<pod> at position 1",
            ),
        ] {
            let source = TagSource::groups(template, &pattern);
            assert_eq!(tag(&source, path), expected, "{template} {path}");
        }
    }
}
