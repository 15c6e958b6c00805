//! `[PARSER]` and `[MULTILINE_PARSER]`: what a parsers file defines.

use crate::list::BlankList;
use crate::number::Milliseconds;
use crate::section_reader::SectionReader;
use crate::table::{BadValue, Form, Need, OptionSpec, Repeat};
use crate::text::{FromText, Parsed, Refusal};
use crate::{Choice, Diagnostic, Options, find_choice, try_text, unknown_choice};

/// What kind of text a parser reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Choice)]
pub enum ParserFormat {
    /// A regular expression in Ruby's syntax, whose named groups become fields.
    Regex,
    /// One JSON object.
    Json,
    /// `label:value` between tabs.
    Ltsv,
    /// `key=value` between spaces.
    Logfmt,
}

/// How text becomes fields.
#[derive(Debug, Clone, PartialEq, Options)]
#[options(repeated = "first", bad_value = "default", check = check_parser)]
pub struct ParserOptions {
    /// The name that inputs and filters call the parser by.
    #[option(name = "name", required, bad_value = "refused_at_load")]
    pub name: String,
    /// What kind of text it reads.
    #[option(name = "format", required, bad_value = "refused_at_load")]
    pub format: ParserFormat,
    /// The pattern, bare or as `/pattern/flags`. Needed for the format `regex`.
    #[option(name = "regex")]
    pub regex: Option<String>,
    /// Whether groups that matched nothing are left out. Only for `regex`.
    #[option(name = "skip_empty_values", default = "on")]
    pub skip_empty_values: bool,
    /// The field that holds the time. Used only with `time_format`.
    #[option(name = "time_key", default = "time")]
    pub time_key: String,
    /// The form of the time, as for `strptime`, and `%L` for fractions of a second. Without it the time is not read.
    #[option(name = "time_format")]
    pub time_format: Option<String>,
    /// Whether the time stays in the record as a field.
    #[option(name = "time_keep", default = "off")]
    pub time_keep: bool,
    /// Whether a time that does not match is set aside for the current time.
    #[option(name = "time_strict", default = "on")]
    pub time_strict: bool,
    /// The offset of times that name no zone: `+HHMM`, `-HHMM`, with or without a colon, or `Z`.
    /// Looked at only where it matters: see [`ParserOptions::utc_offset`].
    #[option(name = "time_offset")]
    pub time_offset: Option<String>,
    /// Whether times that name no zone are in the zone of the machine.
    #[option(name = "time_system_timezone", default = "off")]
    pub time_system_timezone: bool,
    /// The zone of times that name none, such as `Europe/Zurich`.
    #[option(name = "time_zone")]
    pub time_zone: Option<String>,
    /// The types of fields, `field:type` between spaces; others are text. Not for `json`.
    #[option(name = "types", default = "")]
    pub types: FieldTypes,
    /// Fields whose text is decoded further.
    #[option(flatten)]
    pub decoders: Decoders,
    /// Whether a key without `=` makes the line fail. Only for `logfmt`.
    #[option(name = "logfmt_no_bare_keys", default = "off")]
    pub logfmt_no_bare_keys: bool,
}

impl ParserOptions {
    /// The offset of times that name no zone: that of `time_offset`, where it is used at all.
    pub fn utc_offset(&self) -> Option<UtcOffset> {
        let text = self.used_offset()?;
        UtcOffset::from_text(text).ok().map(|parsed| parsed.value)
    }

    /// `time_offset`, unless there is no time to apply it to or the zone of the machine comes first.
    fn used_offset(&self) -> Option<&str> {
        if self.time_format.is_none() || self.time_system_timezone {
            return None;
        }
        self.time_offset.as_deref()
    }
}

fn check_parser(options: ParserOptions, reader: &mut SectionReader<'_>) -> Option<ParserOptions> {
    let mut faults = Vec::new();
    if options.format == ParserFormat::Regex && options.regex.is_none() {
        faults.push("needs 'regex', because its format is 'regex'");
    }
    if options.time_zone.is_some() {
        if options.time_format.is_none() {
            faults.push("has a 'time_zone' and no 'time_format'");
        }
        if options.time_system_timezone {
            faults.push("has both 'time_zone' and 'time_system_timezone'");
        }
        if options.time_offset.is_some() {
            faults.push("has both 'time_zone' and 'time_offset'");
        }
    }
    if options.used_offset().is_some() && options.utc_offset().is_none() {
        faults.push("has a 'time_offset' that is neither `+HHMM`, `-HHMM` (colon allowed) nor `Z`");
    }
    let section = reader.section();
    for fault in &faults {
        reader.push(Diagnostic::error(
            &section.position,
            format!("{} {fault}", section.title()),
        ));
    }
    faults.is_empty().then_some(options)
}

/// Seconds east of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UtcOffset(pub i32);

impl FromText for UtcOffset {
    const FORM: Form = Form::new("offset", "`+HHMM`, `-HHMM`, `+HH:MM`, `-HH:MM` or `Z`");

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        if text.starts_with('Z') {
            return Ok(Self(0).into());
        }
        let offset = || {
            let (sign, digits) = match text.split_at_checked(1)? {
                ("+", digits) => (1, digits),
                ("-", digits) => (-1, digits),
                _ => return None,
            };
            let (hours, minutes) = digits.split_at_checked(2)?;
            let minutes = minutes.strip_prefix(':').unwrap_or(minutes);
            let two_digits = |text: &str| match text.len() == 2
                && text.bytes().all(|byte| byte.is_ascii_digit())
            {
                true => text.parse::<i32>().ok().filter(|number| *number <= 59),
                false => None,
            };
            Some(sign * (two_digits(hours)? * 3600 + two_digits(minutes)? * 60))
        };
        match offset() {
            Some(seconds) => Ok(Self(seconds).into()),
            None => Err(format!("'{text}' is not an offset").into()),
        }
    }
}

/// What the text of a field becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Choice)]
pub enum FieldType {
    /// Stays text.
    String,
    /// A whole number; garbage is 0.
    Integer,
    /// A number; garbage is 0.
    Float,
    /// `true` or `false`.
    Bool,
    /// A whole number in hexadecimal digits.
    Hex,
}

/// Fields with their types.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldTypes(pub Vec<(String, FieldType)>);

impl FromText for FieldTypes {
    const FORM: Form = Form::new(
        "types",
        "`field:type` between spaces, where type is `string`, `integer`, `float`, `bool` or `hex`",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let mut types = Vec::new();
        let mut faults = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let Some((field, name)) = word.split_once(':') else {
                faults.push(format!("'{word}' has no type and is ignored"));
                continue;
            };
            let kind = FieldType::from_text(name).map_or(FieldType::String, |parsed| parsed.value);
            if find_choice(FieldType::CHOICES, name).is_none() {
                faults.push(format!(
                    "{}; the field '{field}' stays text",
                    unknown_choice(FieldType::CHOICES, name)
                ));
            }
            types.push((field.to_owned(), kind));
        }
        let warning = (!faults.is_empty()).then(|| faults.join("; "));
        Ok(Parsed {
            value: Self(types),
            warning,
        })
    }
}

/// What turns the text of a field into something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Choice)]
pub enum DecoderKind {
    /// A JSON object becomes fields.
    Json,
    /// Escapes as in C become characters.
    Escaped,
    /// Escapes as in C, and `\uXXXX`, become characters.
    EscapedUtf8,
    /// The quotes and escapes of a MySQL log go.
    MysqlQuoted,
}

/// When the next rule for the same field is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AfterDecoding {
    /// Never.
    Stop,
    /// When this rule failed.
    TryNext,
    /// Always.
    DoNext,
}

/// One `Decode_Field` or `Decode_Field_As`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeRule {
    /// `Decode_Field_As`: the result replaces the field. Otherwise the decoded fields are added to the record.
    pub replaces: bool,
    /// What decodes.
    pub decoder: DecoderKind,
    /// The field.
    pub field: String,
    /// When the next rule is tried.
    pub then: AfterDecoding,
}

/// All rules of a parser in the order of the text. One bad rule makes Fluent Bit forget them all, and so do we.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decoders(pub Vec<DecodeRule>);

const DECODER: Form = Form::new(
    "decoder",
    "`DECODER FIELD [ACTION]`, where DECODER is `json`, `escaped`, `escaped_utf8` or `mysql_quoted` and ACTION is `try_next` \
     or `do_next`",
);

const DECODE_FIELD: OptionSpec = decoder_spec(
    "decode_field",
    "Decodes a field and adds the decoded fields to the record.",
);
const DECODE_FIELD_AS: OptionSpec =
    decoder_spec("decode_field_as", "Decodes a field and replaces its value.");

const fn decoder_spec(name: &'static str, doc: &'static str) -> OptionSpec {
    OptionSpec {
        name,
        aliases: &[],
        form: DECODER,
        need: Need::Optional,
        repeat: Repeat::Every,
        bad_value: BadValue::Default,
        prefix: false,
        deprecated: None,
        doc,
        try_text: try_text::<RuleText>,
    }
}

/// Written by hand because the rules of two keys share one order.
impl Options for Decoders {
    fn about() -> &'static str {
        "Fields whose text is decoded further."
    }

    fn table() -> Vec<OptionSpec> {
        vec![DECODE_FIELD, DECODE_FIELD_AS]
    }

    fn take(reader: &mut SectionReader<'_>) -> Option<Self> {
        let mut rules = Some(Vec::new());
        for entry in reader.entries(&[&DECODE_FIELD, &DECODE_FIELD_AS]) {
            let replaces = entry.key == DECODE_FIELD_AS.name;
            match (reader.value::<RuleText>(&DECODE_FIELD, entry), &mut rules) {
                (
                    Some(RuleText {
                        decoder,
                        field,
                        then,
                    }),
                    Some(rules),
                ) => {
                    rules.push(DecodeRule {
                        replaces,
                        decoder,
                        field,
                        then,
                    });
                }
                (Some(_), None) => {}
                (None, _) => rules = None,
            }
        }
        Some(Self(rules.unwrap_or_default()))
    }
}

/// The value of either key.
struct RuleText {
    decoder: DecoderKind,
    field: String,
    then: AfterDecoding,
}

impl FromText for RuleText {
    const FORM: Form = DECODER;

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (Some(decoder), Some(field)) = (words.next(), words.next()) else {
            return Err(format!(
                "'{text}' does not name a decoder and a field; no field of this parser is decoded"
            )
            .into());
        };
        let decoder = DecoderKind::from_text(decoder)
            .map_err(|refusal| format!("{}; no field of this parser is decoded", refusal.why))?
            .value;
        let (then, warning) = match words.next() {
            None => (AfterDecoding::Stop, None),
            Some(word) if word.eq_ignore_ascii_case("try_next") => (AfterDecoding::TryNext, None),
            Some(word) if word.eq_ignore_ascii_case("do_next") => (AfterDecoding::DoNext, None),
            Some(word) => (
                AfterDecoding::Stop,
                Some(format!("'{word}' is not an action and is ignored")),
            ),
        };
        Ok(Parsed {
            value: Self {
                decoder,
                field: field.to_owned(),
                then,
            },
            warning,
        })
    }
}

/// How lines that belong together are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Choice)]
pub enum MultilineType {
    /// By regular expressions and states.
    Regex,
    /// The last line ends with `match_string`.
    #[choice(name = "endswith")]
    EndsWith,
    /// The last line equals `match_string`.
    #[choice(alias = "eq")]
    Equal,
}

/// Which lines belong together: for the option `multiline.parser` of the input `tail` and the filter `multiline`.
///
/// Built in, and not to be defined again, are `docker` (a line that does not end with a line end goes on), `cri` (lines of
/// containerd and CRI-O that are marked `P` go on), and stack traces of `go`, `java` (.NET's too), `python` and `ruby`.
///
/// With the type `regex`, a line that matches a rule of the state `start_state` begins a record. A line that matches a rule of
/// the state to which the last one led is added; any other line ends the record and stands alone. The joined record has the
/// time and the other fields of its first line.
#[derive(Debug, Clone, PartialEq, Options)]
#[options(repeated = "first", bad_value = "default", check = check_multiline)]
pub struct MultilineParserOptions {
    /// The name that inputs and filters call the parser by.
    #[option(name = "name", required, bad_value = "refused_at_load")]
    pub name: String,
    /// How lines that belong together are found.
    #[option(name = "type", required, bad_value = "refused_at_load")]
    pub kind: MultilineType,
    /// The text that marks the last line. For `endswith` and `equal`.
    #[option(name = "match_string")]
    pub match_string: Option<String>,
    /// Whether the mark is a line that does *not* end with, or equal, that text.
    #[option(name = "negate", default = "off")]
    pub negate: bool,
    /// The field with the text. Lines without fields get one of this name; without it they are called `log` and end with a line
    /// end.
    #[option(name = "key_content")]
    pub key_content: Option<String>,
    /// The field that is looked at for the mark; by default the one with the text. For `endswith` and `equal`.
    #[option(name = "key_pattern")]
    pub key_pattern: Option<String>,
    /// The field that keeps streams apart, such as `stream`.
    #[option(name = "key_group")]
    pub key_group: Option<String>,
    /// A parser that every line goes through first.
    #[option(name = "parser")]
    pub parser: Option<String>,
    /// How many milliseconds a record waits for more lines. `tail` takes no less than 500; of several parsers the longest counts.
    #[option(name = "flush_timeout", default = "4000")]
    pub flush_timeout: Milliseconds,
    /// `"STATE" "/PATTERN/" "NEXT_STATE"`: in this state, a line that matches is added and the next state holds. For `regex`.
    #[option(name = "rule", multiple, bad_value = "refused_at_load")]
    pub rules: Vec<MultilineRule>,
}

fn check_multiline(
    mut options: MultilineParserOptions,
    reader: &mut SectionReader<'_>,
) -> Option<MultilineParserOptions> {
    if options.flush_timeout.0.is_zero() {
        let Ok(default) = Milliseconds::from_text("4000") else {
            return None;
        };
        options.flush_timeout = default.value;
    }
    if options.kind != MultilineType::Regex {
        return Some(options);
    }
    let is_state = |state: &str| {
        options
            .rules
            .iter()
            .any(|rule| rule.from.iter().any(|from| from == state))
    };
    let mut faults = Vec::new();
    if let Some(first) = options.rules.first()
        && !first.starts()
    {
        faults.push("needs 'start_state' among the states of its first rule".to_owned());
    }
    for rule in &options.rules {
        if let Some(next) = &rule.to
            && !is_state(next)
        {
            faults.push(format!(
                "has a rule that leads to the state '{next}', which no rule begins with"
            ));
        }
    }
    let section = reader.section();
    if options.rules.is_empty() {
        let message = format!(
            "{} has no 'rule', so that no lines belong together",
            section.title()
        );
        reader.push(Diagnostic::warning(&section.position, message));
    }
    for fault in &faults {
        reader.push(Diagnostic::error(
            &section.position,
            format!("{} {fault}", section.title()),
        ));
    }
    faults.is_empty().then_some(options)
}

/// One rule of a multiline parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultilineRule {
    /// The states in which it is tried.
    pub from: Vec<String>,
    /// The pattern, bare or as `/pattern/flags`.
    pub pattern: String,
    /// The state after a match.
    pub to: Option<String>,
}

impl MultilineRule {
    /// Whether a match can begin a record.
    pub fn starts(&self) -> bool {
        self.from.iter().any(|state| state == "start_state")
    }
}

impl FromText for MultilineRule {
    const FORM: Form = Form::new(
        "rule",
        "`\"STATE\" \"/PATTERN/\" \"NEXT_STATE\"`, where STATE may be several between commas",
    );

    fn from_text(text: &str) -> Result<Parsed<Self>, Refusal> {
        let mut words = BlankList::<3>::split(text).into_iter();
        let (Some(states), Some(pattern)) = (words.next(), words.next()) else {
            return Err(format!("'{text}' does not name a state and a pattern").into());
        };
        let from: Vec<String> = states
            .split(',')
            .map(|state| state.trim_matches(' ').to_owned())
            .filter(|state| !state.is_empty())
            .collect();
        if from.is_empty() {
            return Err(format!("'{text}' does not name a state").into());
        }
        Ok(Self {
            from,
            pattern,
            to: words.next(),
        }
        .into())
    }
}
