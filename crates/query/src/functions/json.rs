//! JSON out of text: `json_extract_scalar`, `json_extract` and what goes with them.
//!
//! The type JSON is text here: `json_parse` checks it and takes the blanks out, `json_format` gives it back.

use std::borrow::Cow;

use crate::error::Error;
use crate::formats::json::{Scanner, Value};

use super::json_path::JsonPath;
use super::scalar::{Definition, Overload, Param, Returns, invalid};

use Param::{Any, Bigint, Varchar};

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "json_extract",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                let mut paths = Paths::default();
                call.map_text(|row| {
                    let path = paths.get(call.text(1).value(row))?;
                    Ok(path.find(call.text(0).value(row)).map(compact))
                })
            },
        }],
    },
    Definition {
        name: "json_extract_scalar",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                let mut paths = Paths::default();
                call.map_text(|row| {
                    let path = paths.get(call.text(1).value(row))?;
                    Ok(path
                        .find(call.text(0).value(row))
                        .and_then(|value| value.text().map(Cow::into_owned)))
                })
            },
        }],
    },
    Definition {
        name: "json_parse",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                call.map_text(|row| {
                    let text = call.text(0).value(row);
                    let value = document(text).ok_or_else(|| {
                        invalid(format!("Cannot convert value to JSON: '{text}'"))
                    })?;
                    Ok(Some(compact(value)))
                })
            },
        }],
    },
    Definition {
        name: "json_format",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| call.map_text(|row| Ok(Some(call.text(0).value(row).to_owned()))),
        }],
    },
    Definition {
        name: "is_json_scalar",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Boolean,
            body: |call| {
                call.map_boolean(|row| {
                    let value = document(call.text(0).value(row))
                        .ok_or_else(|| invalid("Invalid JSON value"))?;
                    Ok(Some(!matches!(value, Value::Object(_) | Value::Array(_))))
                })
            },
        }],
    },
    Definition {
        name: "json_array_length",
        overloads: &[Overload {
            params: &[Varchar],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                call.map_bigint(|row| {
                    Ok(elements(call.text(0).value(row)).map(|elements| elements.len() as i64))
                })
            },
        }],
    },
    Definition {
        name: "json_array_get",
        overloads: &[Overload {
            params: &[Varchar, Bigint],
            variadic: false,
            returns: Returns::Varchar,
            body: |call| {
                call.map_text(|row| {
                    let Some(elements) = elements(call.text(0).value(row)) else {
                        return Ok(None);
                    };
                    let index = call.bigint(1).value(row);
                    let index = if index < 0 {
                        elements.len() as i64 + index
                    } else {
                        index
                    };
                    let element = usize::try_from(index)
                        .ok()
                        .and_then(|index| elements.get(index));
                    Ok(element
                        .filter(|element| **element != Value::Null)
                        .map(|element| compact(*element)))
                })
            },
        }],
    },
    Definition {
        name: "json_array_contains",
        overloads: &[Overload {
            params: &[Varchar, Any],
            variadic: false,
            returns: Returns::Boolean,
            body: |call| {
                call.map_boolean(|row| {
                    let Some(elements) = elements(call.text(0).value(row)) else {
                        return Ok(None);
                    };
                    let wanted = crate::text::value_text(&call.args[1], row);
                    Ok(Some(
                        elements
                            .iter()
                            .any(|element| same(*element, wanted.as_deref())),
                    ))
                })
            },
        }],
    },
    Definition {
        name: "json_size",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                let mut paths = Paths::default();
                call.map_bigint(|row| {
                    let path = paths.get(call.text(1).value(row))?;
                    Ok(path.find(call.text(0).value(row)).map(size))
                })
            },
        }],
    },
];

/// The path used last: it is nearly always the same literal in every row.
#[derive(Default)]
struct Paths {
    last: Option<(String, JsonPath)>,
}

impl Paths {
    fn get(&mut self, text: &str) -> Result<&JsonPath, Error> {
        let path = match self.last.take() {
            Some((last, path)) if last == text => path,
            _ => JsonPath::parse(text)
                .ok_or_else(|| invalid(format!("Invalid JSON path: '{text}'")))?,
        };
        Ok(&self.last.insert((text.to_owned(), path)).1)
    }
}

/// The one value of a strict JSON document.
pub(super) fn document(text: &str) -> Option<Value<'_>> {
    // The scanner is as lenient as the SerDe; strictness comes from serde_json.
    serde_json::from_str::<serde::de::IgnoredAny>(text).ok()?;
    Scanner::new(text.as_bytes()).value().ok()
}

fn elements(text: &str) -> Option<Vec<Value<'_>>> {
    let Some(Value::Array(array)) = document(text) else {
        return None;
    };
    let mut elements = Vec::new();
    Scanner::open(array)
        .array(|element| elements.push(element))
        .ok()?;
    Some(elements)
}

fn same(element: Value<'_>, wanted: Option<&str>) -> bool {
    match (element, wanted) {
        (Value::Null, _) | (_, None) => false,
        (element, Some(wanted)) => element.text().is_some_and(|text| {
            // 1 and 1.0 are one number.
            text == wanted
                || matches!(element, Value::Literal(_))
                    && text
                        .parse::<f64>()
                        .is_ok_and(|number| Ok(number) == wanted.parse())
        }),
    }
}

fn size(value: Value<'_>) -> i64 {
    let mut count = 0;
    let counted = match value {
        Value::Object(text) => Scanner::open(text).object(|_, _| count += 1),
        Value::Array(text) => Scanner::open(text).array(|_| count += 1),
        _ => Ok(()),
    };
    if counted.is_ok() { count } else { 0 }
}

/// The JSON text of a value without blanks between its parts.
fn compact(value: Value<'_>) -> String {
    let text = match value {
        Value::Null => return "null".into(),
        Value::Quoted { inner, .. } => return format!("\"{}\"", String::from_utf8_lossy(inner)),
        Value::Literal(text) | Value::Object(text) | Value::Array(text) => {
            String::from_utf8_lossy(text)
        }
    };
    let mut compact = String::with_capacity(text.len());
    let mut in_string = false;
    let mut escaped = false;
    for character in text.chars() {
        match character {
            '"' if !escaped => in_string = !in_string,
            ' ' | '\t' | '\n' | '\r' if !in_string => continue,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
        compact.push(character);
    }
    compact
}
