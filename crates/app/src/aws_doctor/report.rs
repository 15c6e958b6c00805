//! What was found, as a table for people or as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not looked at, with the reason.
    Skipped,
    /// Delivery may work nevertheless.
    Warning,
    /// Delivery cannot work.
    Problem,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Skipped => "-",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }

    /// The word of the JSON form.
    fn json_word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            _ => self.word(),
        }
    }

    /// The ANSI code of its colour.
    fn color(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Skipped => "2",
            Self::Warning => "33",
            Self::Problem => "31",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The word for what was looked at: `credentials`, `endpoint` …
    pub check: &'static str,
    pub verdict: Verdict,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Finding {
    pub fn new(check: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            text: text.into(),
            advice: None,
        }
    }

    pub fn good(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, text)
    }

    pub fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(check, Verdict::Skipped, why)
    }

    pub fn problem(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Problem, text)
    }

    pub fn warning(check: &'static str, text: impl Into<String>) -> Self {
        Self::new(check, Verdict::Warning, text)
    }

    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }
}

/// Everything about one output.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Alias, or `firehose.0`.
    pub name: String,
    pub plugin: String,
    /// In words: `delivery stream logs`.
    pub destination: String,
    /// Where the section stands.
    pub place: String,
    pub findings: Vec<Finding>,
}

/// Everything about a configuration.
#[derive(Debug, Default)]
pub struct Report {
    pub examinations: Vec<Examination>,
}

/// How the table looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    pub color: bool,
}

impl Report {
    /// Whether delivery can work everywhere. A configuration without AWS outputs is not what the user meant to ask about.
    pub fn is_good(&self) -> bool {
        !self.examinations.is_empty() && self.count(Verdict::Problem) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        let findings = self.examinations.iter().flat_map(|one| &one.findings);
        findings
            .filter(|finding| finding.verdict == verdict)
            .count()
    }

    pub fn json(&self) -> Value {
        let outputs: Vec<Value> = self.examinations.iter().map(output_json).collect();
        json!({
            "outputs": outputs,
            "problems": self.count(Verdict::Problem),
            "warnings": self.count(Verdict::Warning),
        })
    }

    pub fn table(&self, style: Style) -> String {
        let mut text = String::new();
        for examination in &self.examinations {
            let Examination {
                name,
                plugin,
                destination,
                place,
                findings,
            } = examination;
            let kind = match name.starts_with(plugin.as_str()) {
                true => String::new(),
                false => format!(" ({plugin})"),
            };
            let _ = writeln!(text, "{name}{kind}: {destination}  [{place}]");
            for finding in findings {
                push_row(&mut text, finding, style);
            }
            text.push('\n');
        }
        let _ = writeln!(text, "{}", self.summary());
        text
    }

    fn summary(&self) -> String {
        if self.examinations.is_empty() {
            return "There is no AWS output in this configuration.".to_owned();
        }
        let outputs = self.examinations.len();
        let (problems, warnings) = (self.count(Verdict::Problem), self.count(Verdict::Warning));
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        format!(
            "{outputs} AWS output{}: {problems} problem{}, {warnings} warning{}",
            plural(outputs),
            plural(problems),
            plural(warnings)
        )
    }
}

fn push_row(text: &mut String, finding: &Finding, style: Style) {
    let word = format!("{:<7}", finding.verdict.word());
    let word = match style.color {
        true => format!("\x1b[{}m{word}\x1b[0m", finding.verdict.color()),
        false => word,
    };
    let _ = writeln!(
        text,
        "  {:<11}  {word}  {}",
        finding.check,
        printable(&finding.text)
    );
    if let Some(advice) = &finding.advice {
        let _ = writeln!(text, "  {:<11}  {:<7}  → {}", "", "", printable(advice));
    }
}

/// Text from a service or a file, without commands to the terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn output_json(examination: &Examination) -> Value {
    let checks: Vec<Value> = examination
        .findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check,
                "result": finding.verdict.json_word(),
                "text": finding.text,
                "advice": finding.advice,
            })
        })
        .collect();
    json!({
        "name": examination.name,
        "plugin": examination.plugin,
        "destination": examination.destination,
        "place": examination.place,
        "checks": checks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            examinations: vec![Examination {
                name: "firehose.0".to_owned(),
                plugin: "firehose".to_owned(),
                destination: "delivery stream logs".to_owned(),
                place: "a.conf:7".to_owned(),
                findings: vec![
                    Finding::good("region", "us-east-1"),
                    Finding::skipped("put", "not asked for"),
                    Finding::warning("clock", "9 s\u{1b}[2J behind"),
                    Finding::problem("destination", "gone").advise("create it"),
                ],
            }],
        }
    }

    #[test]
    fn the_table_reads_well() {
        let expected = "firehose.0: delivery stream logs  [a.conf:7]\n  \
             region       ok       us-east-1\n  \
             put          -        not asked for\n  \
             clock        warning  9 s [2J behind\n  \
             destination  problem  gone\n                        → create it\n\n\
             1 AWS output: 1 problem, 1 warning\n";
        assert_eq!(report().table(Style::default()), expected);
        let colored = report().table(Style { color: true });
        assert!(
            colored.contains("\x1b[31mproblem\x1b[0m  gone"),
            "{colored}"
        );
    }

    #[test]
    fn json_says_the_same() {
        let json = report().json();
        assert_eq!(
            (&json["problems"], &json["warnings"]),
            (&json!(1), &json!(1))
        );
        let check = &json["outputs"][0]["checks"][3];
        let expected = json!({"check": "destination", "result": "problem", "text": "gone", "advice": "create it"});
        assert_eq!(*check, expected);
    }

    #[test]
    fn only_problems_and_emptiness_are_bad() {
        let mut report = report();
        assert!(!report.is_good());
        report.examinations[0].findings.pop();
        assert!(report.is_good());
        assert!(!Report::default().is_good());
    }
}
