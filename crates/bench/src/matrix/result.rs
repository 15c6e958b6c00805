//! The matrix's results: a table for the terminal or for Markdown, or JSON.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::case::Case;
use super::published;
use super::run::{Played, Run};
use crate::report::SinkCounts;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Terminal,
    /// For documents.
    Markdown,
    /// For programs.
    Json,
}

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    case: Case,
    faults: String,
    /// Why it could not be played to its end.
    error: Option<String>,
    #[serde(flatten)]
    figures: Option<Figures>,
    aws_lost: u64,
    aws_lost_percent: u64,
    aws_repeated: u64,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    sent: u64,
    megabytes_per_second: f64,
    lost: u64,
    repeated: u64,
    repeated_without_verdict: u64,
    out_of_order: u64,
    resent_by_generator: u64,
    cpu_seconds: f64,
    peak_memory_kib: u64,
    is_clean: bool,
    sink: Option<SinkCounts>,
}

impl Outcome {
    /// Of a run that was played, or could not be.
    pub fn of(run: &Run, played: Result<Played, String>) -> Outcome {
        let published = published::of(&run.case);
        let (error, figures) = match played {
            Ok(played) => (None, Some(Figures::of(&played))),
            Err(error) => (Some(error), None),
        };
        Outcome {
            case: run.case,
            faults: run.faults.name(),
            error,
            figures,
            aws_lost: published.lost,
            aws_lost_percent: published.lost_percent,
            aws_repeated: published.repeated,
        }
    }

    /// Whether nothing is lost, and nothing repeated but what got no verdict.
    pub fn is_good(&self) -> bool {
        self.figures
            .as_ref()
            .is_some_and(|figures| figures.is_clean)
    }

    /// One line, said when the run has ended.
    pub fn line(&self) -> String {
        let name = format!("{} faults {}", self.case.name(), self.faults);
        match (&self.figures, &self.error) {
            (Some(figures), _) => format!(
                "{name}: {} sent, {} lost, {} repeated",
                figures.sent, figures.lost, figures.repeated
            ),
            (None, error) => format!("{name}: {}", error.as_deref().unwrap_or_default()),
        }
    }

    fn cells(&self) -> Vec<String> {
        let published = published::of(&self.case);
        let aws = [published.lost_text(), published.repeated.to_string()];
        let mut cells = vec![self.case.name(), self.faults.clone()];
        match &self.figures {
            Some(figures) => cells.extend(figures.cells()),
            None => {
                cells.push("not played".to_owned());
                cells.extend(std::iter::repeat_n(String::new(), Figures::CELLS - 1));
            }
        }
        cells.extend(aws);
        cells
    }
}

impl Figures {
    const CELLS: usize = 8;

    fn of(played: &Played) -> Figures {
        let (sent, report) = (&played.sent, &played.report);
        Figures {
            sent: sent.lines,
            megabytes_per_second: sent.bytes as f64 / 1e6 / sent.seconds.max(1e-9),
            lost: report.lost,
            repeated: report.repeated,
            repeated_without_verdict: report.repeated_without_verdict,
            out_of_order: report.out_of_order,
            resent_by_generator: sent.resent,
            cpu_seconds: played.usage.cpu.as_secs_f64(),
            peak_memory_kib: played.usage.memory_kib,
            is_clean: report.is_clean() && sent.lines > 0,
            sink: report.sink.clone(),
        }
    }

    fn cells(&self) -> [String; Self::CELLS] {
        [
            self.sent.to_string(),
            format!("{:.1}", self.megabytes_per_second),
            self.lost.to_string(),
            self.repeated.to_string(),
            self.repeated_without_verdict.to_string(),
            self.out_of_order.to_string(),
            format!("{:.2}", self.cpu_seconds),
            format!("{:.1}", self.peak_memory_kib as f64 / 1024.0),
        ]
    }
}

/// All outcomes.
pub fn render(outcomes: &[Outcome], form: Form) -> String {
    if form == Form::Json {
        return serde_json::to_string_pretty(outcomes).unwrap_or_default();
    }
    let mut table = Table::new();
    table.load_style(match form {
        Form::Markdown => ASCII_MARKDOWN,
        _ => UTF8_FULL_CONDENSED,
    });
    table.set_header([
        "case (MB/s)",
        "faults",
        "sent",
        "MB/s",
        "lost",
        "repeated",
        "no verdict",
        "out of order",
        "CPU s",
        "peak MiB",
        "AWS lost",
        "AWS repeated",
    ]);
    for outcome in outcomes {
        table.add_row(outcome.cells());
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}\n");
    for outcome in outcomes {
        if let Some(error) = &outcome.error {
            text.push_str(&format!("\n{}: {error}", outcome.case.name()));
        }
    }
    text.push_str(&format!(
        "\n\"no verdict\": repeated after an answer that got lost. AWS's figures: {}.",
        published::SOURCE
    ));
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::matrix::case;
    use crate::process::Usage;
    use crate::report::{Report, Sent};

    fn outcomes() -> Vec<Outcome> {
        let run = |case| Run {
            case,
            faults: "none".parse().unwrap(),
            duration: Duration::from_secs(1),
            endpoint: None,
        };
        let played = |lost| Played {
            sent: Sent {
                lines: 2000,
                bytes: 2_000_000,
                seconds: 2.0,
                ..Sent::default()
            },
            report: Report {
                lost,
                ..Report::default()
            },
            usage: Usage {
                cpu: Duration::from_millis(1500),
                memory_kib: 9 * 1024,
            },
        };
        let cases = case::all();
        vec![
            Outcome::of(&run(cases[2]), Ok(played(0))),
            Outcome::of(&run(cases[17]), Ok(played(3))),
            Outcome::of(&run(cases[23]), Err("no such output".into())),
        ]
    }

    #[test]
    fn results_stand_beside_what_aws_published() {
        let outcomes = outcomes();
        let good: Vec<bool> = outcomes.iter().map(Outcome::is_good).collect();
        assert_eq!(good, [true, false, false]);
        let markdown = render(&outcomes, Form::Markdown);
        let rows: Vec<String> = markdown
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert_eq!(
            rows[2],
            "| cloudwatch/forward/3 | none | 2000 | 1.0 | 0 | 0 | 0 | 0 | 1.50 | 9.0 | 16 % (299626) | 0 |"
        );
        assert!(rows[3].starts_with("| kinesis/tcp/30 | none | 2000 | 1.0 | 3 |"));
        assert!(rows[3].ends_with("| 0 | 29274 |"));
        assert!(markdown.contains("s3/tcp/30: no such output"));
        let json: serde_json::Value = serde_json::from_str(&render(&outcomes, Form::Json)).unwrap();
        assert_eq!(json[0]["case"]["destination"], "cloudwatch");
        assert_eq!(
            (&json[1]["lost"], &json[1]["aws_repeated"]),
            (&3.into(), &29_274.into())
        );
        assert_eq!(json[2]["error"], "no such output");
    }
}
