//! What was measured, and the medians.

use serde::{Deserialize, Serialize};

use super::case::Case;
use super::contestant::Contestant;
use super::machine;
use super::measure::{Failure, Measured, Settings};
use super::published;

/// After so many failures, and no run that ended, a contestant is not tried again on a case.
const FAILURES_MAX: usize = 2;

/// All measurements of one call. As JSON it has the medians besides, and is read back.
#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    /// When it was measured.
    pub date: String,
    /// Processor, cores, kernel, and what else ran.
    pub machine: String,
    /// What is the same for all measurements.
    pub settings: Settings,
    /// How many runs there were to be.
    pub runs: u32,
    /// Who was measured; the first is what the others are compared with.
    pub contestants: Vec<Named>,
    /// Why there are fewer.
    pub interrupted: bool,
    /// By case.
    pub rows: Vec<Row>,
}

/// A contestant and its version.
#[derive(Debug, Serialize, Deserialize)]
pub struct Named {
    /// How it is called in the tables.
    pub name: String,
    /// What it says of itself.
    pub version: String,
}

impl Named {
    /// Both, unless the one has the other in it.
    pub fn label(&self) -> String {
        // What stands in parentheses tells of builds.
        let version = self.version.split(" (").next().unwrap_or_default();
        match version.to_lowercase().contains(&self.name.to_lowercase()) {
            true => version.to_owned(),
            false => format!("{}: {version}", self.name),
        }
    }
}

/// The runs of one contestant on one case.
#[derive(Debug, Serialize, Deserialize)]
pub struct Row {
    /// What was measured.
    pub case: Case,
    /// Who.
    pub contestant: String,
    /// The runs that ended.
    pub runs: Vec<Measured>,
    /// Why others did not.
    pub failures: Vec<String>,
    /// What the contestant lacks for this case.
    pub absent: Option<String>,
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

    /// The median of `kib` in megabytes.
    pub fn megabytes(&self, kib: impl Fn(&Measured) -> u64) -> Option<f64> {
        self.median(|run| kib(run) as f64 * 1024.0 / 1e6)
    }

    /// The worst of all runs.
    pub fn worst(&self, value: impl Fn(&Measured) -> u64) -> Option<u64> {
        self.runs.iter().map(value).max()
    }

    /// Whether there is no use in trying again.
    pub fn is_hopeless(&self) -> bool {
        self.absent.is_some() || self.runs.is_empty() && self.failures.len() >= FAILURES_MAX
    }
}

/// The medians of a row, for programs that read the JSON.
#[derive(Serialize)]
struct Medians {
    vcpu: Option<f64>,
    cpu_seconds_per_million_lines: Option<f64>,
    /// The same divided by that of the first contestant.
    times_the_cpu_of_the_first: Option<f64>,
    lines_per_second: Option<f64>,
    idle_megabytes: Option<f64>,
    steady_megabytes: Option<f64>,
    peak_megabytes: Option<f64>,
}

impl Results {
    /// No measurement yet.
    pub fn new(contestants: &[Contestant], settings: &Settings, runs: u32) -> Result<Self, String> {
        let named = |contestant: &Contestant| {
            Ok(Named {
                name: contestant.name().to_owned(),
                version: machine::version(contestant)?,
            })
        };
        Ok(Results {
            date: machine::date(),
            machine: machine::describe(),
            settings: settings.clone(),
            runs,
            contestants: contestants
                .iter()
                .map(named)
                .collect::<Result<_, String>>()?,
            interrupted: false,
            rows: Vec::new(),
        })
    }

    /// What [`json`](Results::json) has written.
    pub fn read(text: &str) -> Result<Results, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// Adds a run, and returns the row that it stands in.
    pub fn add(
        &mut self,
        case: &Case,
        contestant: &Contestant,
        measured: &Result<Measured, Failure>,
    ) -> &Row {
        let name = contestant.name();
        let known = |row: &Row| row.case == *case && row.contestant == name;
        let index = self.rows.iter().position(known).unwrap_or_else(|| {
            self.rows.push(Row {
                case: *case,
                contestant: name.to_owned(),
                runs: Vec::new(),
                failures: Vec::new(),
                absent: None,
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        match measured {
            Ok(measured) => row.runs.push(measured.clone()),
            Err(Failure::Absent(what)) => row.absent = Some(what.clone()),
            Err(Failure::Broken(why)) => row.failures.push(why.clone()),
            // No fault of its own; who measures notes it.
            Err(Failure::Interrupted) => {}
        }
        &self.rows[index]
    }

    /// The row of a contestant on a case.
    pub fn row(&self, case: &Case, contestant: &str) -> Option<&Row> {
        let is_it = |row: &&Row| row.case == *case && row.contestant == contestant;
        self.rows.iter().find(is_it)
    }

    /// The cases of all rows, in their order.
    pub fn cases(&self) -> Vec<Case> {
        let mut cases: Vec<Case> = Vec::new();
        for row in &self.rows {
            if !cases.contains(&row.case) {
                cases.push(row.case);
            }
        }
        cases
    }

    /// The row that `row` is compared with: that of the first contestant.
    fn first_of(&self, row: &Row) -> Option<&Row> {
        self.row(&row.case, &self.contestants.first()?.name)
    }

    /// How many times as much as the first contestant's.
    pub fn times(&self, row: &Row, value: impl Fn(&Measured) -> f64 + Copy) -> Option<f64> {
        let own = self.first_of(row)?.median(value)?;
        Some(row.median(value)? / own).filter(|times| times.is_finite())
    }

    /// Names and versions.
    pub fn versions(&self) -> String {
        let versions: Vec<String> = self.contestants.iter().map(Named::label).collect();
        versions.join(", ")
    }

    /// Whether the first contestant, this program, brought every line once in every run.
    pub fn are_good(&self) -> bool {
        let own = self.contestants.first().map(|named| named.name.as_str());
        let mut own = self
            .rows
            .iter()
            .filter(|row| Some(row.contestant.as_str()) == own);
        own.all(|row| {
            row.failures.is_empty() && row.runs.iter().all(|run| run.lost + run.repeated == 0)
        })
    }

    /// `Medians of 5 runs`.
    pub fn count(&self) -> String {
        match (self.interrupted, self.runs) {
            (true, runs) => format!("Interrupted: medians of up to {runs} runs"),
            (_, 1) => "One run".to_owned(),
            (_, runs) => format!("Medians of {runs} runs"),
        }
    }

    /// How each figure came about, in sentences.
    pub fn method(&self) -> [String; 5] {
        let Settings {
            seconds,
            lines,
            short_ids,
        } = self.settings;
        [
            format!(
                "{} of each case, the contestants in turn; of lines lost and repeated the worst run.",
                self.count()
            ),
            format!(
                "CPU: user and system time of the process and its children. At a rate, in {seconds} s after one to warm up, \
                 each line a write of its own to the file. Draining {} lines, from start to the arrival of the last, start \
                 included.",
                super::case::grouped(lines)
            ),
            "Memory: resident. Idle after a second without lines; steady is the median of looks 10 ms apart while lines come; \
             peak is the kernel's own record since the start (VmHWM)."
                .to_owned(),
            format!(
                "Lines: NGINX's access logs behind docker's JSON, parsed, if the case does not say otherwise. They go over \
                 TLS to a sink on the same machine that counts each line{}.",
                if short_ids { " and answers with short record ids" } else { "" }
            ),
            format!("\"post\": {}.", published::SOURCE),
        ]
    }

    /// All of it, every run included.
    pub fn json(&self) -> String {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        json["method"] = self.method().to_vec().into();
        for (row, shown) in self
            .rows
            .iter()
            .zip(json["rows"].as_array_mut().into_iter().flatten())
        {
            shown["name"] = row.case.name().into();
            shown["median"] = serde_json::to_value(self.medians(row)).unwrap_or_default();
        }
        serde_json::to_string_pretty(&json).unwrap_or_default()
    }

    fn medians(&self, row: &Row) -> Medians {
        let has_idle = row.runs.iter().any(|run| run.idle_kib.is_some());
        Medians {
            vcpu: row.median(Measured::vcpu),
            cpu_seconds_per_million_lines: row.median(Measured::cpu_per_million),
            times_the_cpu_of_the_first: self.times(row, Measured::cpu_per_million),
            lines_per_second: row.median(Measured::lines_per_second),
            idle_megabytes: row
                .megabytes(|run| run.idle_kib.unwrap_or(0))
                .filter(|_| has_idle),
            steady_megabytes: row.megabytes(|run| run.steady_kib),
            peak_megabytes: row.megabytes(|run| run.peak_kib),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::case;
    use super::*;

    /// Two runs of two contestants in every case; the rival has no Parquet.
    pub fn results() -> Results {
        let settings = Settings {
            seconds: 10,
            lines: 1000,
            short_ids: false,
        };
        let rival: Contestant = "fluent-bit=/bin/true".parse().unwrap();
        let own = Contestant::another_build("/bin/true".into());
        let mut results = Results::new(&[own.clone(), rival.clone()], &settings, 2).unwrap();
        let measured = |cpu_seconds| Measured {
            cpu_seconds,
            seconds: 10.0,
            lines: 1000,
            bytes: 250_000,
            idle_kib: Some(5000),
            steady_kib: 8000,
            peak_kib: 10_000,
            lost: 0,
            repeated: 0,
        };
        for case in &case::all() {
            for (contestant, factor) in [(&own, 1.0), (&rival, 10.0)] {
                if contestant.kind != own.kind && case.name().contains("parquet") {
                    let absent = Failure::Absent("this build has none".to_owned());
                    results.add(case, contestant, &Err(absent));
                    continue;
                }
                results.add(case, contestant, &Ok(measured(0.01 * factor)));
                results.add(case, contestant, &Ok(measured(0.03 * factor)));
            }
        }
        results
    }

    #[test]
    fn json_has_the_medians_and_is_read_back() {
        let results = results();
        assert!(results.are_good());
        let text = results.json();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rows = json["rows"].as_array().unwrap();
        let rival = rows
            .iter()
            .find(|row| row["name"] == "firehose/1000" && row["contestant"] == "Fluent Bit")
            .unwrap();
        assert_eq!(rival["runs"].as_array().unwrap().len(), 2);
        assert_eq!(rival["median"]["vcpu"], 0.02);
        let times = rival["median"]["times_the_cpu_of_the_first"]
            .as_f64()
            .unwrap();
        assert!((times - 10.0).abs() < 1e-9, "{times}");
        assert_eq!(Results::read(&text).unwrap().json(), text);
        assert!(Results::read("{}").unwrap_err().contains("date"));
    }

    #[test]
    fn a_run_that_failed_is_not_good_and_is_not_tried_for_ever() {
        let mut results = results();
        let own = Contestant::another_build("/bin/true".into());
        let case = case::all()[3];
        let broken = &Err(Failure::Broken("it ended with 1".to_owned()));
        assert!(!results.add(&case, &own, broken).is_hopeless());
        assert!(
            !results.add(&case, &own, broken).is_hopeless(),
            "other runs ended"
        );
        assert!(!results.are_good());
        let rival: Contestant = "vector=/bin/true".parse().unwrap();
        assert!(!results.add(&case, &rival, broken).is_hopeless());
        assert!(results.add(&case, &rival, broken).is_hopeless());
    }
}
