//! Patterns for JSON events: `{ $.level = "ERROR" && ($.status >= 500 || $.tags[*] = %slow%) }`.

use super::PatternError;
use super::expression::Expression;
use super::json_text::Json;
use super::literal::Comparison;
use super::scanner::Scanner;

/// How many wildcards a pattern may have.
const WILDCARDS: usize = 3;

/// A pattern for JSON events.
#[derive(Debug)]
pub struct JsonCondition(Expression<Condition>);

#[derive(Debug)]
struct Condition {
    selector: Vec<Step>,
    test: Test,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Element(usize),
    AnyMember,
    AnyElement,
}

#[derive(Debug)]
enum Test {
    Compare(Comparison),
    IsNull,
    IsTrue,
    IsFalse,
    NotExists,
}

impl JsonCondition {
    /// Reads `{ … }`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut scanner = Scanner::new(text);
        scanner.eat("{");
        let mut wildcards = 0;
        let mut condition = |scanner: &mut Scanner<'_>| Condition::parse(scanner, &mut wildcards);
        let expression = Expression::parse(&mut scanner, &mut condition)?;
        scanner.skip_blanks();
        if !scanner.eat("}") {
            return Err(scanner.error("expected &&, || or }"));
        }
        scanner.skip_blanks();
        match scanner.peek() {
            None => Ok(Self(expression)),
            Some(_) => Err(scanner.error("nothing may follow }")),
        }
    }

    /// Whether `message` is a JSON object and fits.
    pub fn match_message(&self, message: &str) -> bool {
        match Json::parse(message) {
            Some(json @ Json::Object(_)) => self
                .0
                .holds(&|condition: &Condition| condition.holds(&json)),
            _ => false,
        }
    }
}

impl Condition {
    fn parse(scanner: &mut Scanner<'_>, wildcards: &mut usize) -> Result<Self, PatternError> {
        let selector = parse_selector(scanner)?;
        let any = |step: &&Step| matches!(step, Step::AnyMember | Step::AnyElement);
        let count = selector.iter().filter(any).count();
        *wildcards += count;
        if count > 1 {
            return Err(PatternError(
                "Your filter pattern has a JSON path selector that exceeds the maximum of 1 wildcard allowed per json \
                 selector."
                    .to_owned(),
            ));
        }
        if *wildcards > WILDCARDS {
            return Err(PatternError(format!(
                "Your input has exceeded the maximum of {WILDCARDS} JSON wildcard selectors allowed per filter pattern."
            )));
        }
        let test = Self::parse_test(scanner)?;
        Ok(Self { selector, test })
    }

    fn parse_test(scanner: &mut Scanner<'_>) -> Result<Test, PatternError> {
        if scanner.eat_word("IS") {
            for (word, test) in [
                ("NULL", Test::IsNull),
                ("TRUE", Test::IsTrue),
                ("FALSE", Test::IsFalse),
            ] {
                if scanner.eat_word(word) {
                    return Ok(test);
                }
            }
            return Err(scanner.error("IS is followed by NULL, TRUE or FALSE"));
        }
        if scanner.eat_word("NOT") {
            return match scanner.eat_word("EXISTS") {
                true => Ok(Test::NotExists),
                false => Err(scanner.error("NOT is followed by EXISTS")),
            };
        }
        scanner.skip_blanks();
        Comparison::parse(scanner, "}").map(Test::Compare)
    }

    fn holds(&self, json: &Json<'_>) -> bool {
        match &self.test {
            Test::NotExists => !exists(json, &self.selector, &|_| true),
            Test::IsNull => exists(json, &self.selector, &|found| match found {
                Json::Null => true,
                Json::Array(elements) => elements.iter().any(|one| matches!(one, Json::Null)),
                _ => false,
            }),
            Test::IsTrue => exists(json, &self.selector, &|found| {
                matches!(found, Json::Bool(true))
            }),
            Test::IsFalse => exists(json, &self.selector, &|found| {
                matches!(found, Json::Bool(false))
            }),
            Test::Compare(comparison) => exists(json, &self.selector, &|found| match found {
                Json::String(text) => comparison.fits_text(text),
                Json::Number(spelling) => comparison.fits_number(spelling),
                _ => false,
            }),
        }
    }
}

fn parse_selector(scanner: &mut Scanner<'_>) -> Result<Vec<Step>, PatternError> {
    if !scanner.eat("$") {
        return Err(scanner.error("expected a selector, which begins with $."));
    }
    let mut steps = Vec::new();
    loop {
        let dot = scanner.eat(".");
        if scanner.eat("[") {
            steps.push(match scanner.peek() {
                Some(quote @ ('\'' | '"')) => Step::Member(scanner.quoted(quote)?),
                Some('*') => {
                    scanner.bump();
                    Step::AnyElement
                }
                _ => {
                    let digits = scanner.take_while(|one| one.is_ascii_digit());
                    let index = digits.parse().map_err(|_| {
                        scanner.error("expected a number, * or a name in quotes after [")
                    })?;
                    Step::Element(index)
                }
            });
            if !scanner.eat("]") {
                return Err(scanner.error("expected ]"));
            }
        } else if dot && scanner.eat("*") {
            steps.push(Step::AnyMember);
        } else if dot {
            let name = scanner
                .take_while(|one| !one.is_whitespace() && !".[](){}=!<>&|,*%\"'$".contains(one));
            if name.is_empty() {
                return Err(scanner.error("a member's name is missing after the dot"));
            }
            steps.push(Step::Member(name.to_owned()));
        } else if steps.is_empty() {
            return Err(scanner.error("expected . or [ after $"));
        } else {
            return Ok(steps);
        }
    }
}

/// Whether something stands where `steps` lead that `fits`.
fn exists(json: &Json<'_>, steps: &[Step], fits: &impl Fn(&Json<'_>) -> bool) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return fits(json);
    };
    match (step, json) {
        (Step::Member(name), Json::Object(members)) => members
            .iter()
            // Of several members of one name the last one counts.
            .rfind(|(member, _)| member == name)
            .is_some_and(|(_, value)| exists(value, rest, fits)),
        // The service lets both wildcards range over members.
        (Step::AnyMember | Step::AnyElement, Json::Object(members)) => {
            members.iter().any(|(_, value)| exists(value, rest, fits))
        }
        (Step::Element(index), Json::Array(elements)) => elements
            .get(*index)
            .is_some_and(|value| exists(value, rest, fits)),
        (Step::AnyElement, Json::Array(elements)) => {
            elements.iter().any(|value| exists(value, rest, fits))
        }
        _ => false,
    }
}
