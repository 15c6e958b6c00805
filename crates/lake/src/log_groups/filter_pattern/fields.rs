//! Patterns of fields between blanks: `[ip, user, ..., request = "*html*", status = 4*, bytes > 1000]`.

use super::PatternError;
use super::expression::Expression;
use super::literal::Comparison;
use super::scanner::Scanner;

/// Fields in front of an ellipsis, and behind it.
#[derive(Debug)]
pub struct Fields {
    front: Vec<Field>,
    /// What follows `...`; none if there is no `...`.
    back: Option<Vec<Field>>,
}

#[derive(Debug)]
struct Field {
    name: String,
    condition: Option<Expression<Comparison>>,
}

impl Fields {
    /// Reads `[field, …]`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut scanner = Scanner::new(text);
        scanner.eat("[");
        let mut fields = Self {
            front: Vec::new(),
            back: None,
        };
        loop {
            scanner.skip_blanks();
            if scanner.eat("...") {
                if fields.back.is_some() {
                    return Err(scanner.error("there may be one ... only"));
                }
                fields.back = Some(Vec::new());
            } else {
                let field = Field::parse(&mut scanner)?;
                if fields.all().any(|other| other.name == field.name) {
                    let name = &field.name;
                    return Err(scanner.error(&format!("there are two fields named {name}")));
                }
                fields
                    .back
                    .as_mut()
                    .unwrap_or(&mut fields.front)
                    .push(field);
            }
            scanner.skip_blanks();
            if scanner.eat("]") {
                break;
            }
            if !scanner.eat(",") {
                return Err(scanner.error("expected , or ]"));
            }
        }
        scanner.skip_blanks();
        match scanner.peek() {
            None => Ok(fields),
            Some(_) => Err(scanner.error("nothing may follow ]")),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Field> {
        self.front.iter().chain(self.back.iter().flatten())
    }

    /// Whether `message` has the fields, and they fit.
    pub fn match_message(&self, message: &str) -> bool {
        match &self.back {
            None => {
                let values = split(message, Some(self.front.len()));
                values.len() == self.front.len() && fit(&self.front, &values)
            }
            Some(back) => {
                let values = split(message, None);
                values.len() >= self.front.len() + back.len()
                    && fit(&self.front, &values)
                    && fit(back, &values[values.len() - back.len()..])
            }
        }
    }
}

fn fit(fields: &[Field], values: &[&str]) -> bool {
    fields.iter().zip(values).all(|(field, value)| {
        field.condition.as_ref().is_none_or(|condition| {
            condition.holds(&|comparison: &Comparison| comparison.fits_field(value))
        })
    })
}

impl Field {
    /// Reads a name, or conditions that all begin with the same name.
    fn parse(scanner: &mut Scanner<'_>) -> Result<Self, PatternError> {
        let start = scanner.rest().trim_start_matches(['(', ' ', '\t']);
        let end = start.find(|one| !is_name(one)).unwrap_or(start.len());
        let name = &start[..end];
        if name.is_empty() {
            return Err(
                scanner.error("a field's name is missing; it consists of letters, digits, - and _")
            );
        }
        if start[end..].trim_start().starts_with([',', ']']) && scanner.rest().starts_with(name) {
            scanner.take_while(is_name);
            return Ok(Self {
                name: name.to_owned(),
                condition: None,
            });
        }
        let mut condition = |scanner: &mut Scanner<'_>| {
            let error = scanner.error(&format!(
                "conditions of one field begin with one name, here {name}"
            ));
            if scanner.take_while(is_name) != name {
                return Err(error);
            }
            scanner.skip_blanks();
            Comparison::parse(scanner, ",]")
        };
        Ok(Self {
            name: name.to_owned(),
            condition: Some(Expression::parse(scanner, &mut condition)?),
        })
    }
}

fn is_name(one: char) -> bool {
    one.is_alphanumeric() || matches!(one, '-' | '_')
}

/// The fields of a message. What stands between brackets or double quotes is one field. With `most`, the last one takes
/// what is left over.
fn split(message: &str, most: Option<usize>) -> Vec<&str> {
    let mut fields = Vec::new();
    let mut rest = message.trim_start();
    while !rest.is_empty() {
        let (field, after) = first_field(rest);
        let after = after.trim_start();
        if most == Some(fields.len() + 1) && !after.is_empty() {
            fields.push(rest.trim_end());
            break;
        }
        fields.push(field);
        rest = after;
    }
    fields
}

/// The first field and what follows it.
fn first_field(text: &str) -> (&str, &str) {
    for (open, close) in [('[', ']'), ('"', '"')] {
        if let Some(inner) = text.strip_prefix(open)
            && let Some((field, after)) = inner.split_once(close)
            && (after.is_empty() || after.starts_with(char::is_whitespace))
        {
            return (field, after);
        }
    }
    match text.find(char::is_whitespace) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    }
}
