//! The results: a table for the terminal or for Markdown, or JSON.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table};

use super::outcome::Outcome;
use super::scenario::NOT_PLAYED;

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

const HEADER: [&str; 11] = [
    "row",
    "what goes wrong",
    "name",
    "router",
    "must deliver",
    "lost",
    "repeated",
    "no verdict",
    "drained s",
    "peak MiB",
    "verdict",
];

/// All outcomes, in order.
pub fn render(outcomes: &[Outcome], form: Form) -> String {
    if form == Form::Json {
        return serde_json::to_string_pretty(outcomes).unwrap_or_default();
    }
    let mut table = Table::new();
    table.load_style(match form {
        Form::Markdown => ASCII_MARKDOWN,
        _ => UTF8_FULL_CONDENSED,
    });
    table.set_header(HEADER);
    for outcome in outcomes {
        table.add_row(cells(outcome));
    }
    for column in table.column_iter_mut().skip(4).take(6) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}\n");
    text.push_str(&reasons(outcomes));
    text.push_str("\nNot played:\n\n");
    for (id, why) in NOT_PLAYED {
        text.push_str(&format!("- {id}: {why}\n"));
    }
    text
}

fn cells(outcome: &Outcome) -> Vec<String> {
    let mut cells = vec![
        outcome.id.to_owned(),
        outcome.fault.to_owned(),
        outcome.name.to_owned(),
        outcome.program.clone(),
    ];
    match &outcome.figures {
        None => cells.extend(std::iter::repeat_n(String::new(), 6)),
        Some(played) => {
            let share = |lines: u64| match lines {
                0 => "0".to_owned(),
                _ => format!("{lines} ({})", percent(lines, played.must_deliver)),
            };
            let repeated = match (played.repeated, played.may_repeat) {
                (0, _) | (_, 0) => share(played.repeated),
                (repeated, may) => format!("{repeated} of {may}"),
            };
            cells.extend([
                played.must_deliver.to_string(),
                share(played.lost),
                repeated,
                played.repeated_without_verdict.to_string(),
                format!("{:.1}", played.drain_seconds),
                format!("{:.1}", played.peak_memory_kib as f64 / 1024.0),
            ]);
        }
    }
    cells.push(outcome.verdict.to_owned());
    cells
}

fn percent(part: u64, whole: u64) -> String {
    let percent = part as f64 * 100.0 / whole.max(1) as f64;
    match percent < 1.0 {
        true => format!("{percent:.2} %"),
        false => format!("{percent:.0} %"),
    }
}

/// Why rows did not hold.
fn reasons(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for outcome in outcomes {
        if let Some(reason) = &outcome.reason {
            let (name, program, verdict) = (outcome.name, &outcome.program, outcome.verdict);
            text.push_str(&format!("\n- {name}, {program}: {verdict}: {reason}"));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::outcome::Played;
    use crate::faults::scenario::ALL;
    use crate::faults::stage::Stop;

    #[test]
    fn rows_say_what_came_of_them() {
        let played = Played {
            must_deliver: 1000,
            delivered: 900,
            lost: 100,
            repeated: 7,
            peak_memory_kib: 10 << 10,
            lost_lines: vec!["0–99 of 1000".to_owned()],
            ..Played::default()
        };
        let outcomes = [
            Outcome::of(&ALL[0], "Flumen", Ok(played.clone().may_repeat(9)), 1.0),
            Outcome::of(
                &ALL[1],
                "Flumen",
                Err(Stop::Skipped("needs root".into())),
                0.0,
            ),
        ];
        let text = render(&outcomes, Form::Markdown);
        let row = text.lines().find(|line| line.contains("partial-failures"));
        let words: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
        let row = words.join(" ");
        assert!(
            row.contains("| 1000 | 100 (10 %) | 7 of 9 | 0 | 0.0 | 10.0 | failed |"),
            "{row}"
        );
        assert!(
            text.contains("- throttled, Flumen: skipped: needs root"),
            "{text}"
        );
        assert!(text.contains("100 lost: 0–99 of 1000"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&render(&outcomes, Form::Json)).expect("JSON");
        assert_eq!(
            (&json[0]["lost"], &json[1]["verdict"]),
            (&100.into(), &"skipped".into())
        );
    }
}
