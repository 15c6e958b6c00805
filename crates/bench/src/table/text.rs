//! The tables, for terminals and documents.

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table};

use super::case::{Case, Destination, Load, grouped};
use super::measure::Measured;
use super::published;
use super::result::{Results, Row};

/// How tables are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a terminal.
    Terminal,
    /// For a document.
    Markdown,
}

const RATE: [&str; 10] = [
    "lines/s",
    "KB/s",
    "router",
    "vCPU",
    "× Flumen",
    "MB idle",
    "MB steady",
    "MB peak",
    "lost",
    "repeated",
];
const DRAIN: [&str; 9] = [
    "drained",
    "router",
    "µs CPU/line",
    "× Flumen",
    "lines/s",
    "MB steady",
    "MB peak",
    "lost",
    "repeated",
];
/// For what there is not.
const NONE: &str = "–";

/// All tables and what has to be known of them.
pub fn render(results: &Results, form: Form) -> String {
    let at_rate = |to: Destination| {
        move |case: &Case| case.destination == to && matches!(case.load, Load::Rate(_))
    };
    let is_parquet = |case: &Case| case.destination == Destination::S3Parquet;
    let drained = |case: &Case| case.load == Load::Drain && !is_parquet(case);
    let sections: [(&str, &dyn Fn(&Case) -> bool); 4] = [
        (
            "To CloudWatch Logs at a steady rate",
            &at_rate(Destination::CloudWatch),
        ),
        (
            "To Firehose at a steady rate",
            &at_rate(Destination::Firehose),
        ),
        ("Draining", &drained),
        ("Parquet, apart", &is_parquet),
    ];
    let mut text = String::new();
    for (title, belongs) in sections {
        let mut cases = results.cases();
        cases.retain(belongs);
        if cases.is_empty() {
            continue;
        }
        let heading = if form == Form::Markdown { "### " } else { "" };
        let table = match cases[0].load {
            Load::Rate(_) => table(form, &RATE, 3, cases.iter().flat_map(|c| rates(results, c))),
            Load::Drain => table(
                form,
                &DRAIN,
                2,
                cases.iter().flat_map(|c| drains(results, c)),
            ),
        };
        text.push_str(&format!("{heading}{title}\n\n{table}\n\n"));
    }
    text + &notes(results, form)
}

fn rows<'a>(results: &'a Results, case: &'a Case) -> impl Iterator<Item = &'a Row> {
    results.rows.iter().filter(move |row| row.case == *case)
}

fn rates(results: &Results, case: &Case) -> Vec<Vec<String>> {
    let Load::Rate(rate) = case.load else {
        return Vec::new();
    };
    let measured = |row: &Row| {
        vec![
            grouped(rate),
            row.median(Measured::bytes_per_second)
                .map_or(NONE.to_owned(), |rate| grouped((rate / 1e3).round() as u64)),
            row.contestant.clone(),
            number(row.median(Measured::vcpu), 4),
            times(results.times(row, Measured::vcpu)),
            number(row.megabytes(|run| run.idle_kib.unwrap_or(0)), 1),
            number(row.megabytes(|run| run.steady_kib), 1),
            number(row.megabytes(|run| run.peak_kib), 1),
            count(row.worst(|run| run.lost)),
            count(row.worst(|run| run.repeated)),
        ]
    };
    let mut cells: Vec<Vec<String>> = rows(results, case).map(measured).collect();
    let published = |name: &str, figures: published::Figures| {
        let mut cells = vec![String::new(); RATE.len()];
        cells[0] = grouped(rate);
        cells[1] = grouped(rate / 4);
        cells[2] = format!("{name}, post");
        cells[3] = figures.vcpu.to_string();
        cells[6] = figures.megabytes.to_string();
        cells
    };
    if let Some((fluentd, fluent_bit)) = published::of(case) {
        cells.push(published("Fluent Bit", fluent_bit));
        cells.push(published("Fluentd", fluentd));
    }
    cells
}

fn drains(results: &Results, case: &Case) -> Vec<Vec<String>> {
    let measured = |row: &Row| {
        let rate = row.median(Measured::lines_per_second);
        vec![
            case.title(),
            row.contestant.clone(),
            number(row.median(Measured::cpu_per_million), 2),
            times(results.times(row, Measured::cpu_per_million)),
            rate.map_or(NONE.to_owned(), |rate| grouped(rate as u64)),
            number(row.megabytes(|run| run.steady_kib), 1),
            number(row.megabytes(|run| run.peak_kib), 1),
            count(row.worst(|run| run.lost)),
            count(row.worst(|run| run.repeated)),
        ]
    };
    rows(results, case).map(measured).collect()
}

/// `names` is how many columns are text: the others are numbers.
fn table(
    form: Form,
    header: &[&str],
    names: usize,
    rows: impl Iterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(match form {
        Form::Markdown => ASCII_MARKDOWN,
        Form::Terminal => UTF8_FULL_CONDENSED,
    });
    table.set_header(header);
    let mut last = String::new();
    for mut row in rows {
        // In a terminal a case is named once.
        let name = row[0].clone();
        if form == Form::Terminal && name == last {
            row[0].clear();
        }
        last = name;
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index >= names || names == 3 && index < 2 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn notes(results: &Results, form: Form) -> String {
    let (item, gap) = match form {
        Form::Markdown => ("- ", "\n"),
        Form::Terminal => ("", ""),
    };
    let mut text = String::new();
    for row in &results.rows {
        let (who, case) = (&row.contestant, row.case.name());
        if let Some(what) = &row.absent {
            text.push_str(&format!("{item}{who} has no {case}: {what}\n"));
        }
        for why in &row.failures {
            text.push_str(&format!("{item}{who} failed at {case}: {why}\n"));
        }
        if let Load::Rate(rate) = row.case.load {
            let slowest = row.runs.iter().map(Measured::lines_per_second);
            let slowest = slowest.fold(f64::INFINITY, f64::min);
            if slowest < 0.95 * rate as f64 {
                text.push_str(&format!(
                    "{item}{who} at {case}: only {slowest:.0} lines/s were written in one run; the machine was too busy\n"
                ));
            }
        }
    }
    for sentence in results.method() {
        text.push_str(&format!("{item}{sentence}\n"));
    }
    text.push_str(&format!(
        "{item}{}, {}. {}.{gap}",
        results.date,
        results.machine,
        results.versions()
    ));
    text
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.digits$}"))
}

fn times(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |value| format!("{value:.1} ×"))
}

fn count(value: Option<u64>) -> String {
    value.map_or(NONE.to_owned(), grouped)
}

#[cfg(test)]
mod tests {
    use super::super::case;
    use super::super::contestant::Contestant;
    use super::super::measure::Failure;
    use super::super::result::tests::results;
    use super::*;

    fn words(text: &str, start: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn medians_stand_beside_rivals_and_the_post() {
        let text = render(&results(), Form::Markdown);
        let firehose = text.split("### To Firehose").nth(1).unwrap();
        assert_eq!(
            words(firehose, "|   1,000 "),
            [
                "| 1,000 | 25 | Flumen (/bin/true) | 0.0020 | 1.0 × | 5.1 | 8.2 | 10.2 | 0 | 0 |",
                "| 1,000 | 25 | Fluent Bit | 0.0200 | 10.0 × | 5.1 | 8.2 | 10.2 | 0 | 0 |",
                "| 1,000 | 250 | Fluent Bit, post | 0.033 | | | 37 | | | |",
                "| 1,000 | 250 | Fluentd, post | 0.073 | | | 102 | | | |",
            ]
        );
        assert_eq!(
            words(&text, "| to CloudWatch Logs "),
            [
                "| to CloudWatch Logs | Flumen (/bin/true) | 20.00 | 1.0 × | 100 | 8.2 | 10.2 | 0 | 0 |",
                "| to CloudWatch Logs | Fluent Bit | 200.00 | 10.0 × | 100 | 8.2 | 10.2 | 0 | 0 |",
            ]
        );
        let apart = text.split("### Parquet, apart").nth(1).unwrap();
        assert!(apart.contains("| Fluent Bit "), "{apart}");
        assert!(
            apart.contains("- Fluent Bit has no s3-parquet/drain: this build has none"),
            "{apart}"
        );
        assert!(text.contains("cores of"), "{text}");
    }

    #[test]
    fn a_run_that_failed_and_a_rate_that_was_not_reached_are_named() {
        let mut results = results();
        let own = Contestant::another_build("/bin/true".into());
        let broken = Failure::Broken("it ended with 1".to_owned());
        results.add(&case::all()[3], &own, &Err(broken));
        let text = render(&results, Form::Terminal);
        assert!(
            text.contains("Flumen (/bin/true) failed at cloudwatch/drain: it ended with 1"),
            "{text}"
        );
        assert!(
            text.contains("at firehose/1000: only 100 lines/s were written"),
            "{text}"
        );
        assert!(!text.contains("at firehose/100:"), "{text}");
    }

    #[test]
    fn every_figure_says_how_it_was_measured() {
        let text = render(&results(), Form::Terminal);
        for word in [
            "Medians of 2 runs",
            "10 s after",
            "1,000 lines",
            "VmHWM",
            "post",
        ] {
            assert!(text.contains(word), "{word}: {text}");
        }
    }
}
