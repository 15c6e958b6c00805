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
    /// Empty for a field without a name.
    name: String,
    condition: Option<Expression<Comparison>>,
}

impl Fields {
    /// Reads `[field, …]`. `[]` stands for any fields, like `[...]`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut scanner = Scanner::new(text);
        scanner.eat("[");
        scanner.skip_blanks();
        let mut fields = Self {
            front: Vec::new(),
            back: None,
        };
        if scanner.eat("]") {
            fields.back = Some(Vec::new());
        } else {
            while fields.parse_one(&mut scanner)? {}
        }
        scanner.skip_blanks();
        match scanner.peek() {
            None => Ok(fields),
            Some(_) => Err(scanner.error("nothing may follow ]")),
        }
    }

    /// Reads one field and what follows it; gives whether there is another one.
    fn parse_one(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, PatternError> {
        scanner.skip_blanks();
        if scanner.eat("...") {
            if self.back.is_some() {
                return Err(duplicate("..."));
            }
            self.back = Some(Vec::new());
        } else {
            let field = Field::parse(scanner)?;
            let mut others = self.front.iter().chain(self.back.iter().flatten());
            if !field.name.is_empty() && others.any(|other| other.name == field.name) {
                return Err(duplicate(&field.name));
            }
            self.back.as_mut().unwrap_or(&mut self.front).push(field);
        }
        scanner.skip_blanks();
        if scanner.eat("]") {
            return Ok(false);
        }
        match scanner.eat(",") {
            true => Ok(true),
            false => Err(scanner.error("expected , or ]")),
        }
    }

    /// Whether `message` has the fields, and they fit.
    pub fn match_message(&self, message: &str) -> bool {
        let values = self.split(message);
        let mut named = self.named(&values);
        self.fits_number(values.len()) && named.all(|(_, field, value)| field.fits(value))
    }

    /// The fields of a message that fits, by name or by number.
    pub fn extract<'a>(&self, message: &'a str) -> Vec<(String, &'a str)> {
        let values = self.split(message);
        let mut extracted: Vec<(String, &'a str)> = values
            .iter()
            .enumerate()
            .map(|(index, value)| (format!("${}", index + 1), *value))
            .collect();
        for (index, field, _) in self.named(&values) {
            if !field.name.is_empty() {
                extracted[index].0 = format!("${}", field.name);
            }
        }
        extracted
    }

    fn split<'a>(&self, message: &'a str) -> Vec<&'a str> {
        let most = match self.back {
            None => Some(self.front.len()),
            Some(_) => None,
        };
        split(message, most)
    }

    /// Whether so many fields fit.
    fn fits_number(&self, count: usize) -> bool {
        match &self.back {
            None => count == self.front.len(),
            Some(back) => count >= self.front.len() + back.len(),
        }
    }

    /// The values that the pattern has a field for: their number from 0, the field, the value.
    fn named<'a>(
        &'a self,
        values: &'a [&'a str],
    ) -> impl Iterator<Item = (usize, &'a Field, &'a str)> {
        let back = self.back.as_deref().unwrap_or_default();
        let start = values.len().saturating_sub(back.len());
        let front = self.front.iter().enumerate();
        let back = back
            .iter()
            .enumerate()
            .map(move |(index, field)| (start + index, field));
        front
            .chain(back)
            .filter_map(|(index, field)| Some((index, field, *values.get(index)?)))
    }
}

fn duplicate(name: &str) -> PatternError {
    PatternError(format!("Duplicate field '{name}'"))
}

impl Field {
    /// Reads a name, nothing, or conditions that all begin with the same name.
    fn parse(scanner: &mut Scanner<'_>) -> Result<Self, PatternError> {
        let start = scanner.rest().trim_start_matches(['(', ' ', '\t']);
        let end = start.find(|one| !is_name(one)).unwrap_or(start.len());
        let name = &start[..end];
        let ends = start[end..].trim_start().starts_with([',', ']']);
        if ends && scanner.rest().starts_with(start) {
            scanner.take_while(is_name);
            return Ok(Self {
                name: name.to_owned(),
                condition: None,
            });
        }
        if name.is_empty() {
            let what = "a field's name is missing; it consists of letters, digits, - and _";
            return Err(scanner.error(what));
        }
        let mut condition = |scanner: &mut Scanner<'_>| {
            let place = scanner.place();
            if scanner.take_while(is_name) != name {
                let what = format!("conditions of one field begin with one name, here {name},");
                return Err(scanner.error_at(place, &what));
            }
            scanner.skip_blanks();
            Comparison::parse(scanner, ",]")
        };
        Ok(Self {
            name: name.to_owned(),
            condition: Some(Expression::parse(scanner, &mut condition)?),
        })
    }

    fn fits(&self, value: &str) -> bool {
        self.condition.as_ref().is_none_or(|condition| {
            condition.holds(&|comparison: &Comparison| comparison.fits_field(value))
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
