//! The JSON paths of `json_extract`: `$`, `.name`, `["name"]`, `[0]`.

use crate::formats::json::{Scanner, Value};

use super::json::document;

/// A path from the root of a document to one of its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// A member of an object; of an array the element of that number.
    Name(String),
    Index(usize),
}

impl JsonPath {
    /// Reads a path. Wildcards, filters and negative numbers are not known, as in Trino's own engine.
    pub(super) fn parse(text: &str) -> Option<JsonPath> {
        let mut rest = text.trim().strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(bracketed) = rest.strip_prefix('[') {
                let (step, after) = bracketed_step(bracketed)?;
                steps.push(step);
                rest = after;
                continue;
            }
            let named = rest.strip_prefix('.')?;
            let end = named.find(['.', '[']).unwrap_or(named.len());
            let (name, after) = named.split_at(end);
            let plain = |c: char| {
                c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ':' | '@' | '/' | ' ')
            };
            if name.is_empty() || !name.chars().all(plain) {
                return None;
            }
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        }
        Some(JsonPath(steps))
    }

    /// The value at the path; nothing if the text is not JSON, has no such value, or the value is null
    /// inside of a document.
    pub(super) fn find<'a>(&self, text: &'a str) -> Option<Value<'a>> {
        let mut value = document(text)?;
        for step in &self.0 {
            value = step.of(value)?;
        }
        Some(value)
    }
}

fn bracketed_step(text: &str) -> Option<(Step, &str)> {
    let text = text.trim_start();
    if let Some(quote @ ('"' | '\'')) = text.chars().next() {
        let mut name = String::new();
        let mut characters = text[1..].char_indices();
        while let Some((offset, character)) = characters.next() {
            match character {
                '\\' => name.push(characters.next()?.1),
                end if end == quote => {
                    let after = text[offset + 2..].trim_start().strip_prefix(']')?;
                    return Some((Step::Name(name), after));
                }
                other => name.push(other),
            }
        }
        return None;
    }
    let (index, after) = text.split_once(']')?;
    Some((Step::Index(index.trim().parse().ok()?), after))
}

impl Step {
    fn of<'a>(&self, value: Value<'a>) -> Option<Value<'a>> {
        let mut found = None;
        match (value, self) {
            (Value::Object(text), Step::Name(wanted)) => Scanner::open(text)
                .object(|name, value| {
                    if name.text().is_some_and(|name| name == *wanted) {
                        found = Some(value);
                    }
                })
                .ok()?,
            (Value::Array(text), step) => {
                let wanted = match step {
                    Step::Index(index) => *index,
                    Step::Name(name) => name.parse().ok()?,
                };
                let mut index = 0;
                Scanner::open(text)
                    .array(|element| {
                        if index == wanted {
                            found = Some(element);
                        }
                        index += 1;
                    })
                    .ok()?;
            }
            _ => return None,
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let text =
            r#"{"store":{"book":[{"price":8.95,"isbn-10":"x"},{"price":12}],"a.b":1,"null":null}}"#;
        let cases = [
            ("$.store.book[0].price", Some("8.95")),
            ("$.store.book[1]['price']", Some("12")),
            ("$[\"store\"][\"a.b\"]", Some("1")),
            ("$.store.book[0].isbn-10", Some("x")),
            ("$.store.book[2]", None),
            ("$.nothing.here", None),
        ];
        for (path, expected) in cases {
            let found = JsonPath::parse(path).expect(path).find(text);
            assert_eq!(
                found.and_then(|value| value.text()).as_deref(),
                expected,
                "{path}"
            );
        }
        assert_eq!(
            JsonPath::parse("$.store.null").expect("path").find(text),
            Some(Value::Null)
        );
        for path in [
            "", "store", "$.", "$[", "$[-1]", "$['a'", "$..a", "$.*", "$[*]",
        ] {
            assert_eq!(JsonPath::parse(path), None, "{path}");
        }
    }
}
