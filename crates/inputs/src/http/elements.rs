//! Where the records of a JSON body lie: values that follow each other, and the elements of arrays among them. As
//! upstream, commas between elements count as blanks.

use record::json::read;

/// Finds the values of a body one after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Elements {
    at: usize,
    is_in_array: bool,
    /// Something was there.
    is_begun: bool,
}

/// A body that is no JSON, or a value where there must be none.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid;

impl Elements {
    /// Where the next value begins; nothing at the end.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<usize>, Invalid> {
        loop {
            let Some(&byte) = bytes.get(self.at) else {
                return match self.is_begun && !self.is_in_array {
                    true => Ok(None),
                    false => Err(Invalid),
                };
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                b',' if self.is_in_array => self.at += 1,
                b']' if self.is_in_array => {
                    self.is_in_array = false;
                    self.at += 1;
                }
                b'[' if !self.is_in_array => {
                    (self.is_in_array, self.is_begun) = (true, true);
                    self.at += 1;
                }
                b'{' => {
                    self.is_begun = true;
                    return Ok(Some(self.at));
                }
                _ if self.is_in_array => return Ok(Some(self.at)),
                _ => return Err(Invalid),
            }
        }
    }

    /// The value that was found takes so many bytes.
    pub fn pass(&mut self, used: usize) {
        self.at += used;
    }

    /// Cuts off what was passed: positions count from there now.
    pub fn rebase(&mut self) -> usize {
        std::mem::take(&mut self.at)
    }
}

/// Looks through all of `bytes`, so that a body can be refused before anything of it is sent on.
pub fn check(bytes: &[u8]) -> Result<(), Invalid> {
    let mut elements = Elements::default();
    while let Some(start) = elements.next(bytes)? {
        elements.pass(read::skip(&bytes[start..]).map_err(|_| Invalid)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Vec<&str>> {
        check(text.as_bytes()).ok()?;
        let (mut elements, mut found) = (Elements::default(), Vec::new());
        while let Ok(Some(start)) = elements.next(text.as_bytes()) {
            let used = read::skip(&text.as_bytes()[start..]).ok()?;
            found.push(&text[start..start + used]);
            elements.pass(used);
        }
        Some(found)
    }

    #[test]
    fn values_and_elements_are_found() {
        assert_eq!(found(r#"{"a":1}"#), Some(vec![r#"{"a":1}"#]));
        assert_eq!(found("{}\n{}\r\n"), Some(vec!["{}", "{}"]));
        assert_eq!(found("[]"), Some(vec![]));
        assert_eq!(found("[{} {},{},]"), Some(vec!["{}"; 3]));
        assert_eq!(found("[{}][{}]{}"), Some(vec!["{}"; 3]));
        assert_eq!(
            found(r#"[1,"x,]",[2,{}],null,{}]"#),
            Some(vec!["1", r#""x,]""#, "[2,{}]", "null", "{}"])
        );
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "  ",
            "5",
            "\"x\"",
            "null",
            "{",
            "[",
            "[{}",
            "{}]",
            "{} 5",
            "{} garbage",
            "{},{}",
            "[{]",
            "[{}}",
            "\u{feff}{}",
            "[tru]",
            "{\"a\":1,}",
            "{'a':1}",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
