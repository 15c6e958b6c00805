//! `$(…)` in names, as AWS's Go plugin reads it (`cloudwatch/helpers.go`): the tag and its parts, fields of the record,
//! what the task is called in ECS, and a text that no other instance has.

use plugin::OutputContext;
use record::{Batch, Fields, Value};

use super::{ecs, unique};

/// The tag is split into so many parts at most.
const TAG_PARTS: usize = 10;

/// A name with places to be filled in.
pub struct DollarTemplate {
    pieces: Vec<Piece>,
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(Vec<u8>),
    Tag,
    /// A part of the tag between dots; the last one is the whole rest.
    TagPart(usize),
    /// A field, and the way from there to a text.
    Field(Vec<u8>, Vec<Vec<u8>>),
    /// What is not known here.
    Missing,
}

impl DollarTemplate {
    /// Takes a template apart. An error says what is wrong with it.
    pub fn new(text: &str, context: &OutputContext) -> Result<DollarTemplate, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("$(") {
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            let (inside, after) = after
                .split_once(')')
                .ok_or_else(|| "a `$(` has no `)` behind it".to_owned())?;
            pieces.push(piece(inside, context));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Ok(DollarTemplate { pieces })
    }

    /// Whether it comes out the same for all records of a tag.
    pub fn is_static(&self) -> bool {
        !self
            .pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Field(..)))
    }

    /// Appends the name. False, with `out` as it was, when something is missing.
    pub fn render(&self, batch: &Batch, fields: Fields, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let complete = self
            .pieces
            .iter()
            .all(|piece| piece.render(batch, fields, out));
        if !complete {
            out.truncate(start);
        }
        complete
    }
}

impl Piece {
    fn render(&self, batch: &Batch, fields: Fields, out: &mut Vec<u8>) -> bool {
        let tag = batch.tag().as_bytes();
        match self {
            Piece::Text(text) => out.extend_from_slice(text),
            Piece::Tag => out.extend_from_slice(tag),
            Piece::TagPart(index) => {
                let mut parts = tag.splitn(TAG_PARTS, |&byte| byte == b'.');
                match parts.nth(*index) {
                    Some(part) => out.extend_from_slice(part),
                    None => return false,
                }
            }
            Piece::Field(key, steps) => {
                return field(batch, fields, (key.as_slice(), steps.as_slice()), out);
            }
            Piece::Missing => return false,
        }
        true
    }
}

/// Appends the text that a way leads to. Other values than texts count as missing, a map at the end of the way says nothing.
fn field(
    batch: &Batch,
    fields: Fields,
    (key, steps): (&[u8], &[Vec<u8>]),
    out: &mut Vec<u8>,
) -> bool {
    let mut value = batch.get(fields, key);
    for step in steps {
        value = match value {
            Some(Value::Map(inner)) => batch.get(inner, step),
            other => other,
        };
    }
    match value {
        Some(Value::Str(text) | Value::Bin(text)) => out.extend_from_slice(batch.bytes(text)),
        Some(Value::Map(_)) => {}
        _ => return false,
    }
    true
}

/// What stands between `$(` and `)`.
fn piece(inside: &str, context: &OutputContext) -> Piece {
    if inside == "uuid" {
        return Piece::Text(unique::text(&context.name).into_bytes());
    }
    if let Some(item) = ecs::Item::named(inside) {
        return match ecs::metadata(item, &context.log) {
            Some(text) => Piece::Text(text.into_bytes()),
            None => Piece::Missing,
        };
    }
    let (key, steps) = inside
        .find('[')
        .map_or((inside, ""), |at| inside.split_at(at));
    if key == "tag" {
        // One digit at a fixed place; anything else is 0.
        return match steps.as_bytes().get(1) {
            None => Piece::Tag,
            Some(digit) if digit.is_ascii_digit() => Piece::TagPart(usize::from(digit - b'0')),
            Some(_) => Piece::TagPart(0),
        };
    }
    let mut path = Vec::new();
    let mut rest = steps;
    while let Some((_, after)) = rest.split_once("['") {
        let Some((step, after)) = after.split_once("']") else {
            break;
        };
        path.push(step.into());
        rest = after;
    }
    Piece::Field(key.into(), path)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{batch, context};
    use super::*;

    fn rendered(template: &str) -> Option<String> {
        let template = DollarTemplate::new(template, &context()).expect("a template");
        let batch = batch(
            "a.b.c.d.e.f.g.h.i.j.k",
            &[
                r#"{"k":"v","n":1,"ecs_family":"f","kubernetes":{"pod":"p","labels":{"app.io/x":"y"}}}"#,
            ],
        );
        let mut out = b"-".to_vec();
        let complete = template.render(&batch, batch.records()[0].body, &mut out);
        let text = String::from_utf8(out).expect("text");
        assert!(complete || text == "-", "nothing is left behind");
        complete.then(|| text[1..].to_owned())
    }

    #[test]
    fn places_are_filled_in_as_by_the_go_plugin() {
        let cases = [
            ("plain", Some("plain")),
            ("$(tag)", Some("a.b.c.d.e.f.g.h.i.j.k")),
            ("x-$(tag[0])/$(tag[1])-y", Some("x-a/b-y")),
            ("$(tag[9])", Some("j.k")),
            ("$(tag[x])", Some("a")),
            ("$(k)", Some("v")),
            ("$(k['inner'])", Some("v")),
            ("$(kubernetes['pod'])", Some("p")),
            ("$(kubernetes['labels']['app.io/x'])", Some("y")),
            ("$(kubernetes)", Some("")),
            ("$(kubernetes['none'])", None),
            ("$(ecs_family)", Some("f")),
            ("x$(n)", None),
            ("x$(none)", None),
            ("$k ${k} $", Some("$k ${k} $")),
        ];
        for (template, expected) in cases {
            assert_eq!(rendered(template).as_deref(), expected, "{template}");
        }
        assert!(DollarTemplate::new("$(tag", &context()).is_err());
    }

    #[test]
    fn a_part_that_the_tag_does_not_have_is_missing() {
        let template = DollarTemplate::new("$(tag[2])", &context()).expect("a template");
        assert!(template.is_static());
        let batch = batch("a.b", &["{}"]);
        let mut out = Vec::new();
        assert!(!template.render(&batch, batch.records()[0].body, &mut out));
    }

    #[test]
    fn the_unique_text_stays_the_same_for_an_instance() {
        let one = rendered("$(uuid)").expect("a text");
        assert_eq!(Some(one.clone()), rendered("$(uuid)"));
        assert_eq!(one.len(), 27);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
}
