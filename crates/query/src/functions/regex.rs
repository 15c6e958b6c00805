//! Regular expressions: `regexp_like`, `regexp_extract`, `regexp_replace` and their family.
//!
//! Patterns are Java's as far as fancy-regex has them (look-around and back-references included). They
//! match anywhere in the text, and `regexp_replace` replaces every match, with groups as `$1` or `${name}`.

use fancy_regex::{Captures, Regex, RegexBuilder};

use crate::error::Error;

use super::scalar::{Call, Definition, Overload, Param, Returns, invalid};

use Param::{Bigint, Varchar};

/// How often a pattern may go back and try again at one text before that counts as a fault.
const BACKTRACK_LIMIT: usize = 1_000_000;

pub(super) static FUNCTIONS: &[Definition] = &[
    Definition {
        name: "regexp_like",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Boolean,
            body: |call| {
                let mut patterns = Patterns::default();
                call.map_boolean(|row| {
                    let pattern = patterns.get(call.text(1).value(row))?;
                    pattern
                        .is_match(call.text(0).value(row))
                        .map(Some)
                        .map_err(too_hard)
                })
            },
        }],
    },
    Definition {
        name: "regexp_extract",
        overloads: &[
            Overload {
                params: &[Varchar, Varchar],
                variadic: false,
                returns: Returns::Varchar,
                body: extract,
            },
            Overload {
                params: &[Varchar, Varchar, Bigint],
                variadic: false,
                returns: Returns::Varchar,
                body: extract,
            },
        ],
    },
    Definition {
        name: "regexp_extract_all",
        overloads: &[
            Overload {
                params: &[Varchar, Varchar],
                variadic: false,
                returns: Returns::VarcharArray,
                body: extract_all,
            },
            Overload {
                params: &[Varchar, Varchar, Bigint],
                variadic: false,
                returns: Returns::VarcharArray,
                body: extract_all,
            },
        ],
    },
    Definition {
        name: "regexp_replace",
        overloads: &[
            Overload {
                params: &[Varchar, Varchar],
                variadic: false,
                returns: Returns::Varchar,
                body: replace,
            },
            Overload {
                params: &[Varchar, Varchar, Varchar],
                variadic: false,
                returns: Returns::Varchar,
                body: replace,
            },
        ],
    },
    Definition {
        name: "regexp_split",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::VarcharArray,
            body: |call| {
                let mut patterns = Patterns::default();
                call.map_texts(|row| {
                    let pattern = patterns.get(call.text(1).value(row))?;
                    let pieces = pattern.split(call.text(0).value(row));
                    pieces
                        .map(|piece| Ok(Some(piece.map_err(too_hard)?.to_owned())))
                        .collect::<Result<_, _>>()
                        .map(Some)
                })
            },
        }],
    },
    Definition {
        name: "regexp_count",
        overloads: &[Overload {
            params: &[Varchar, Varchar],
            variadic: false,
            returns: Returns::Bigint,
            body: |call| {
                let mut patterns = Patterns::default();
                call.map_bigint(|row| {
                    let pattern = patterns.get(call.text(1).value(row))?;
                    let mut count = 0;
                    for found in pattern.find_iter(call.text(0).value(row)) {
                        found.map_err(too_hard)?;
                        count += 1;
                    }
                    Ok(Some(count))
                })
            },
        }],
    },
    Definition {
        name: "regexp_position",
        overloads: &[
            Overload {
                params: &[Varchar, Varchar],
                variadic: false,
                returns: Returns::Bigint,
                body: position,
            },
            Overload {
                params: &[Varchar, Varchar, Bigint],
                variadic: false,
                returns: Returns::Bigint,
                body: position,
            },
            Overload {
                params: &[Varchar, Varchar, Bigint, Bigint],
                variadic: false,
                returns: Returns::Bigint,
                body: position,
            },
        ],
    },
];

/// The pattern used last, compiled: it is nearly always the same literal in every row.
#[derive(Default)]
struct Patterns {
    last: Option<(String, Regex)>,
}

impl Patterns {
    fn get(&mut self, text: &str) -> Result<&Regex, Error> {
        if self.last.as_ref().is_none_or(|(last, _)| last != text) {
            let compiled = RegexBuilder::new(text)
                .backtrack_limit(BACKTRACK_LIMIT)
                .build()
                .map_err(|fault| {
                    invalid(format!("Invalid regular expression '{text}': {fault}"))
                })?;
            self.last = Some((text.to_owned(), compiled));
        }
        match &self.last {
            Some((_, compiled)) => Ok(compiled),
            None => Err(invalid("no pattern")),
        }
    }
}

fn too_hard(fault: fancy_regex::Error) -> Error {
    invalid(format!("regular expression cannot be applied: {fault}"))
}

/// The number of a group that the pattern has.
fn group(call: &Call, row: usize, pattern: &Regex) -> Result<usize, Error> {
    if call.args.len() < 3 {
        return Ok(0);
    }
    let group = call.bigint(2).value(row);
    let count = pattern.captures_len() - 1;
    match usize::try_from(group) {
        Ok(group) if group <= count => Ok(group),
        Ok(_) => Err(invalid(format!(
            "Pattern has {count} groups. Cannot access group {group}"
        ))),
        Err(_) => Err(invalid("Group cannot be negative")),
    }
}

fn extract(call: &Call) -> Result<datafusion::arrow::array::ArrayRef, Error> {
    let mut patterns = Patterns::default();
    call.map_text(|row| {
        let pattern = patterns.get(call.text(1).value(row))?;
        let group = group(call, row, pattern)?;
        let captures = pattern
            .captures(call.text(0).value(row))
            .map_err(too_hard)?;
        Ok(
            captures
                .and_then(|captures| captures.get(group).map(|found| found.as_str().to_owned())),
        )
    })
}

fn extract_all(call: &Call) -> Result<datafusion::arrow::array::ArrayRef, Error> {
    let mut patterns = Patterns::default();
    call.map_texts(|row| {
        let pattern = patterns.get(call.text(1).value(row))?;
        let group = group(call, row, pattern)?;
        let mut texts = Vec::new();
        for captures in pattern.captures_iter(call.text(0).value(row)) {
            let captures = captures.map_err(too_hard)?;
            texts.push(captures.get(group).map(|found| found.as_str().to_owned()));
        }
        Ok(Some(texts))
    })
}

fn replace(call: &Call) -> Result<datafusion::arrow::array::ArrayRef, Error> {
    let mut patterns = Patterns::default();
    call.map_text(|row| {
        let pattern = patterns.get(call.text(1).value(row))?;
        let text = call.text(0).value(row);
        let replacement = if call.args.len() > 2 {
            call.text(2).value(row)
        } else {
            ""
        };
        let mut replaced = String::with_capacity(text.len());
        let mut end = 0;
        for captures in pattern.captures_iter(text) {
            let captures = captures.map_err(too_hard)?;
            let Some(whole) = captures.get(0) else {
                continue;
            };
            replaced.push_str(&text[end..whole.start()]);
            expand(replacement, &captures, &mut replaced)?;
            end = whole.end();
        }
        replaced.push_str(&text[end..]);
        Ok(Some(replaced))
    })
}

/// Appends a replacement: `$1`, `${name}`, and a back-slash before any character stands for it.
fn expand(replacement: &str, captures: &Captures<'_, str>, out: &mut String) -> Result<(), Error> {
    let mut rest = replacement;
    while let Some(special) = rest.find(['$', '\\']) {
        out.push_str(&rest[..special]);
        let after = &rest[special + 1..];
        if rest[special..].starts_with('\\') {
            let escaped = after
                .chars()
                .next()
                .ok_or_else(|| invalid("Illegal replacement sequence: \\"))?;
            out.push(escaped);
            rest = &after[escaped.len_utf8()..];
            continue;
        }
        let (found, length) = referenced(after, captures)?;
        out.push_str(found);
        rest = &after[length..];
    }
    out.push_str(rest);
    Ok(())
}

/// The text of the group that `reference` begins with, and how long the reference is.
fn referenced<'t>(
    reference: &str,
    captures: &Captures<'t, str>,
) -> Result<(&'t str, usize), Error> {
    let illegal = || invalid(format!("Illegal replacement sequence: ${reference}"));
    if let Some(name) = reference.strip_prefix('{') {
        let name = &name[..name.find('}').ok_or_else(illegal)?];
        let found = captures.name(name).map_or("", |found| found.as_str());
        return Ok((found, name.len() + 2));
    }
    // As many digits as still name a group of the pattern.
    let digits = reference.bytes().take_while(u8::is_ascii_digit).count();
    for length in (1..=digits).rev() {
        if let Ok(group) = reference[..length].parse::<usize>()
            && group < captures.len()
        {
            return Ok((
                captures.get(group).map_or("", |found| found.as_str()),
                length,
            ));
        }
    }
    Err(illegal())
}

/// Where the n-th match from a start begins, counted from 1; -1 if there is none.
fn position(call: &Call) -> Result<datafusion::arrow::array::ArrayRef, Error> {
    let mut patterns = Patterns::default();
    call.map_bigint(|row| {
        let pattern = patterns.get(call.text(1).value(row))?;
        let text = call.text(0).value(row);
        let start = if call.args.len() > 2 {
            call.bigint(2).value(row)
        } else {
            1
        };
        let nth = if call.args.len() > 3 {
            call.bigint(3).value(row)
        } else {
            1
        };
        if start < 1 {
            return Err(invalid("start position cannot be smaller than 1"));
        }
        if nth < 1 {
            return Err(invalid("occurrence cannot be smaller than 1"));
        }
        let Some((offset, _)) = text.char_indices().nth(start as usize - 1) else {
            return Ok(Some(-1));
        };
        match pattern.find_iter(&text[offset..]).nth(nth as usize - 1) {
            Some(found) => {
                let found = found.map_err(too_hard)?;
                Ok(Some(
                    start + text[offset..offset + found.start()].chars().count() as i64,
                ))
            }
            None => Ok(Some(-1)),
        }
    })
}
