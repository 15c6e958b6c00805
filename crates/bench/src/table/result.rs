//! The medians, as tables and as JSON.

use std::process::Command;

use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::case::{Case, Load};
use super::contestant::Contestant;
use super::measure::{Measured, Settings};
use super::published;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table for a terminal.
    Terminal,
    /// A table for a document.
    Markdown,
    /// Everything, every run included.
    Json,
}

/// All measurements of one call.
#[derive(Debug, Serialize)]
pub struct Results {
    machine: String,
    settings: Settings,
    runs: u32,
    contestants: Vec<(String, String)>,
    rows: Vec<Row>,
}

/// The runs of one contestant on one case.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub case: Case,
    /// Who.
    pub contestant: String,
    /// The runs that ended.
    pub runs: Vec<Measured>,
    /// Why others did not.
    pub failures: Vec<String>,
}

impl Row {
    /// The median of `value` over the runs; `None` without any.
    pub fn median(&self, value: impl Fn(&Measured) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => None,
            count if count % 2 == 1 => Some(values[count / 2]),
            count => Some((values[count / 2 - 1] + values[count / 2]) / 2.0),
        }
    }

    fn worst(&self, value: impl Fn(&Measured) -> u64) -> u64 {
        self.runs.iter().map(value).max().unwrap_or(0)
    }
}

impl Results {
    /// No measurement yet.
    pub fn new(contestants: &[Contestant], settings: &Settings, runs: u32) -> Results {
        let named = |contestant: &Contestant| (contestant.name().to_owned(), version(contestant));
        Results {
            machine: machine(),
            settings: settings.clone(),
            runs,
            contestants: contestants.iter().map(named).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a run.
    pub fn add(
        &mut self,
        case: &Case,
        contestant: &Contestant,
        measured: Result<Measured, String>,
    ) {
        let name = contestant.name();
        let known = |row: &Row| row.case == *case && row.contestant == name;
        let index = self.rows.iter().position(known).unwrap_or_else(|| {
            self.rows.push(Row {
                case: *case,
                contestant: name.to_owned(),
                runs: Vec::new(),
                failures: Vec::new(),
            });
            self.rows.len() - 1
        });
        match measured {
            Ok(measured) => self.rows[index].runs.push(measured),
            Err(message) => self.rows[index].failures.push(message),
        }
    }

    /// Every row, by case.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The machine, and who was measured in which version.
    pub fn caption(&self) -> String {
        let versions: Vec<&str> = self
            .contestants
            .iter()
            .map(|(_, version)| version.as_str())
            .collect();
        format!("{}; {}", self.machine, versions.join("; "))
    }

    /// Whether this program brought every line once in every run.
    pub fn are_good(&self) -> bool {
        let own = self.contestants.first().map(|(name, _)| name.as_str());
        let mut own = self
            .rows
            .iter()
            .filter(|row| Some(row.contestant.as_str()) == own);
        own.all(|row| {
            row.failures.is_empty() && row.runs.iter().all(|run| run.lost + run.repeated == 0)
        })
    }

    /// All of it as text.
    pub fn render(&self, form: Form) -> String {
        if form == Form::Json {
            return serde_json::to_string_pretty(self).unwrap_or_default();
        }
        let (rates, drains): (Vec<&Row>, Vec<&Row>) = self
            .rows
            .iter()
            .partition(|row| matches!(row.case.load, Load::Rate(_)));
        let mut text = String::new();
        if !rates.is_empty() {
            let published = rates.iter().flat_map(|row| self.published_after(row));
            let mut cells: Vec<(Case, [String; 8])> = rates
                .iter()
                .map(|row| (row.case, self.rate_cells(row)))
                .collect();
            cells.extend(published);
            // Stable: each case keeps its contestants in order, the published figures last.
            cells.sort_by_key(|(case, _)| *case);
            let header = [
                "lines/s", "router", "vCPU", "of ours", "MB idle", "MB", "lost", "repeated",
            ];
            text.push_str(&table(
                form,
                header,
                cells.into_iter().map(|(_, cells)| cells),
            ));
            text.push_str("\n\n");
        }
        if !drains.is_empty() {
            let header = [
                "drain",
                "router",
                "CPU s per million",
                "of ours",
                "lines/s",
                "MB at the peak",
                "lost",
                "repeated",
            ];
            let cells = drains.iter().map(|row| self.drain_cells(row));
            text.push_str(&table(form, header, cells));
            text.push_str("\n\n");
        }
        text.push_str(&self.footer());
        text
    }

    fn rate_cells(&self, row: &Row) -> [String; 8] {
        let megabytes = |kib: f64| kib * 1024.0 / 1e6;
        [
            row.case.name(),
            row.contestant.clone(),
            number(row.median(Measured::vcpu), 4),
            self.ratio(row, Measured::vcpu),
            number(
                row.median(|run| megabytes(run.idle_kib.unwrap_or(0) as f64)),
                1,
            ),
            number(row.median(|run| megabytes(run.peak_kib as f64)), 1),
            row.worst(|run| run.lost).to_string(),
            row.worst(|run| run.repeated).to_string(),
        ]
    }

    fn drain_cells(&self, row: &Row) -> [String; 8] {
        [
            row.case.name(),
            row.contestant.clone(),
            number(row.median(Measured::cpu_per_million), 2),
            self.ratio(row, Measured::cpu_per_million),
            number(row.median(Measured::lines_per_second), 0),
            number(row.median(|run| run.peak_kib as f64 * 1024.0 / 1e6), 1),
            row.worst(|run| run.lost).to_string(),
            row.worst(|run| run.repeated).to_string(),
        ]
    }

    /// How many times as much as this program's own.
    fn ratio(&self, row: &Row, value: impl Fn(&Measured) -> f64 + Copy) -> String {
        let own = self
            .rows
            .iter()
            .find(|own| own.case == row.case)
            .and_then(|own| own.median(value));
        match (row.median(value), own) {
            (Some(value), Some(own)) if own > 0.0 => format!("{:.1} ×", value / own),
            _ => "–".to_owned(),
        }
    }

    /// What the post measured in the same case, once a case.
    fn published_after(&self, row: &Row) -> Vec<(Case, [String; 8])> {
        let is_first = self
            .rows
            .iter()
            .find(|first| first.case == row.case)
            .is_some_and(|first| std::ptr::eq(first, row));
        let Some((fluentd, fluent_bit)) = published::of(&row.case).filter(|_| is_first) else {
            return Vec::new();
        };
        let cells = |name: &str, figures: published::Figures| {
            let cells = [
                row.case.name(),
                name.to_owned(),
                figures.vcpu.to_string(),
                String::new(),
                String::new(),
                figures.megabytes.to_string(),
                String::new(),
                String::new(),
            ];
            (row.case, cells)
        };
        vec![
            cells("Fluent Bit, post", fluent_bit),
            cells("Fluentd, post", fluentd),
        ]
    }

    fn footer(&self) -> String {
        let failures = self.rows.iter().flat_map(|row| {
            row.failures
                .iter()
                .map(|failure| format!("{} {}: {failure}\n", row.contestant, row.case.name()))
        });
        let failures: String = failures.collect();
        format!(
            "{failures}Medians of {} runs, interleaved; the worst run's lines lost and repeated. {} s at each rate, each \
             line a write of its own;\ndraining {} lines: of NGINX behind docker's JSON, unless the name of the drain says otherwise. TLS to a sink on the same machine. \
             {}.\n\"post\": {}.",
            self.runs,
            self.settings.duration.as_secs(),
            self.settings.lines,
            self.caption(),
            published::SOURCE,
        )
    }
}

fn table(form: Form, header: [&str; 8], rows: impl Iterator<Item = [String; 8]>) -> String {
    let mut table = Table::new();
    table.load_style(match form {
        Form::Markdown => ASCII_MARKDOWN,
        _ => UTF8_FULL_CONDENSED,
    });
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or("–".to_owned(), |value| format!("{value:.digits$}"))
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("an unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!("{cores} cores of {model}, Linux {kernel}")
}

/// What the program says of itself.
fn version(contestant: &Contestant) -> String {
    let output = Command::new(&contestant.program).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    match text.lines().next() {
        Some(line) if !line.is_empty() => line.to_owned(),
        _ => contestant.name().to_owned(),
    }
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use super::super::case;
    use super::*;

    /// Two runs of two contestants in every case, and one that failed.
    pub fn results() -> Results {
        let settings = Settings {
            duration: Duration::from_secs(10),
            lines: 1000,
            short_ids: false,
        };
        let rival: Contestant = "fluent-bit=/bin/true".parse().unwrap();
        let own = Contestant::another_build("/bin/true".into());
        let mut results = Results::new(&[own.clone(), rival.clone()], &settings, 2);
        let measured = |cpu_seconds| Measured {
            cpu_seconds,
            seconds: 10.0,
            lines: 1000,
            idle_kib: Some(5000),
            peak_kib: 10_000,
            lost: 0,
            repeated: 0,
        };
        for case in &case::all() {
            for (contestant, factor) in [(&own, 1.0), (&rival, 10.0)] {
                results.add(case, contestant, Ok(measured(0.01 * factor)));
                results.add(case, contestant, Ok(measured(0.03 * factor)));
            }
        }
        results
    }

    fn words(text: &str, start: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    #[test]
    fn medians_stand_beside_rivals_and_the_post() {
        let results = results();
        let text = results.render(Form::Markdown);
        assert_eq!(
            words(&text, "| firehose/1000 "),
            [
                "| firehose/1000 | Flumen (/bin/true) | 0.0020 | 1.0 × | 5.1 | 10.2 | 0 | 0 |",
                "| firehose/1000 | Fluent Bit | 0.0200 | 10.0 × | 5.1 | 10.2 | 0 | 0 |",
                "| firehose/1000 | Fluent Bit, post | 0.033 | | | 37 | | |",
                "| firehose/1000 | Fluentd, post | 0.073 | | | 102 | | |",
            ]
        );
        assert_eq!(
            words(&text, "| cloudwatch/drain "),
            [
                "| cloudwatch/drain | Flumen (/bin/true) | 20.00 | 1.0 × | 100 | 10.2 | 0 | 0 |",
                "| cloudwatch/drain | Fluent Bit | 200.00 | 10.0 × | 100 | 10.2 | 0 | 0 |",
            ]
        );
        assert!(text.contains("cores of"), "{text}");
        assert!(results.are_good());
    }

    #[test]
    fn a_run_that_failed_is_named_and_is_not_good() {
        let mut results = results();
        let own = Contestant::another_build("/bin/true".into());
        let case = case::all()[3];
        results.add(&case, &own, Err("it ended with 1".to_owned()));
        assert!(!results.are_good());
        let text = results.render(Form::Terminal);
        assert!(
            text.contains("Flumen (/bin/true) cloudwatch/drain: it ended with 1"),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&results.render(Form::Json)).unwrap();
        assert_eq!(json["rows"][0]["runs"].as_array().unwrap().len(), 2);
    }
}
