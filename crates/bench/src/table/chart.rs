//! The chart, for a README: CPU time and memory of each router in each case.
//!
//! CPU times lie four powers of ten apart, from an idle rate to objects in Parquet, so each case has a scale of its own: its
//! bars are linear from zero, the longest is full, and beside each stands its figure. Memory has one scale for all.
//! Colours follow the reader's light or dark mode.

use std::fmt::Write as _;

use super::case::{Case, Destination, Load, grouped};
use super::measure::Measured;
use super::result::{Results, Row};

const WIDTH: f64 = 900.0;
const MARGIN: f64 = 24.0;
/// Where bars of CPU time begin, and how long the longest is.
const CPU: (f64, f64) = (204.0, 268.0);
/// The same for memory.
const MEMORY: (f64, f64) = (638.0, 170.0);
const BAR: f64 = 12.0;
const GAP: f64 = 10.0;
/// Characters of a line of the caption.
const CAPTION: usize = 138;

/// Light first, then dark. The first contestant is `c0`; those behind the fourth share its colour.
const STYLE: &str = "\
text{font-family:-apple-system,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif;font-size:12px;fill:#1f2328}
.title{font-size:19px;font-weight:600}.head{font-weight:600}.muted{fill:#59636e}.small{font-size:11px}
.best{font-weight:600}.card{fill:#fff;stroke:#d1d9e0}.rule{stroke:#d1d9e0}.track{fill:#f6f8fa}
.c0{fill:#0b7285}.c1{fill:#e8590c}.c2{fill:#7048e8}.c3{fill:#868e96}
@media (prefers-color-scheme:dark){text{fill:#f0f6fc}.muted{fill:#9198a1}
.card{fill:#0d1117;stroke:#3d444d}.rule{stroke:#3d444d}.track{fill:#151b23}
.c0{fill:#3bc9db}.c1{fill:#ff922b}.c2{fill:#9775fa}.c3{fill:#7d8590}}";

/// A group of cases that share a heading and a unit.
struct Group {
    title: String,
    unit: &'static str,
    cases: Vec<Case>,
}

/// The chart as an SVG document.
pub fn svg(results: &Results) -> String {
    let mut drawing = Drawing {
        results,
        text: String::new(),
        y: 0.0,
        memory_max: memory_max(results),
    };
    drawing.head();
    for group in groups(results) {
        drawing.group(&group);
    }
    drawing.caption();
    let height = drawing.y + MARGIN - 6.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" viewBox=\"0 0 {WIDTH} \
         {height:.0}\" role=\"img\">\n<title>{}</title>\n<style>\n{STYLE}\n</style>\n<rect class=\"card\" x=\"0.5\" y=\"0.5\" \
         width=\"{:.0}\" height=\"{:.0}\" rx=\"8\"/>\n{}</svg>\n",
        escape(&title(results)),
        WIDTH - 1.0,
        height - 1.0,
        drawing.text
    )
}

fn title(results: &Results) -> String {
    let names: Vec<&str> = results
        .contestants
        .iter()
        .map(|named| named.name.as_str())
        .collect();
    match &names[..] {
        [] | [_] => "CPU time and memory".to_owned(),
        [first, others @ ..] => format!("{first} beside {} on the same lines", others.join(", ")),
    }
}

fn memory_max(results: &Results) -> f64 {
    let peaks = results.rows.iter();
    let peaks = peaks.filter_map(|row| row.megabytes(|run| run.peak_kib));
    peaks.fold(0.0, f64::max)
}

fn groups(results: &Results) -> Vec<Group> {
    let cases = results.cases();
    let rates = |to: Destination, name: &str| Group {
        title: format!("To {name}, lines at a steady rate"),
        unit: "vCPU",
        cases: cases
            .iter()
            .filter(|case| case.destination == to && case.load != Load::Drain)
            .copied()
            .collect(),
    };
    let drains = Group {
        title: format!("Draining {} lines", grouped(results.settings.lines)),
        unit: "µs of CPU per line",
        cases: cases
            .iter()
            .filter(|case| case.load == Load::Drain)
            .copied()
            .collect(),
    };
    let mut groups = vec![
        rates(Destination::CloudWatch, "CloudWatch Logs"),
        rates(Destination::Firehose, "Firehose"),
        drains,
    ];
    groups.retain(|group| !group.cases.is_empty());
    groups
}

/// What is drawn so far, and where the next goes.
struct Drawing<'a> {
    results: &'a Results,
    text: String,
    y: f64,
    memory_max: f64,
}

impl Drawing<'_> {
    fn head(&mut self) {
        self.y = MARGIN + 16.0;
        self.words(MARGIN, "title", &title(self.results));
        self.y += 22.0;
        let first = self.results.contestants.first();
        let first = first.map_or("the first", |named| named.name.as_str());
        let words = format!(
            "Shorter is better. CPU bars compare within a case; × is the multiple of {first}'s CPU. Memory has one scale."
        );
        self.words(MARGIN, "muted", &words);
        self.y += 24.0;
        let mut x = MARGIN;
        for (index, named) in self.results.contestants.iter().enumerate() {
            let name = named.label();
            self.rect((x, 12.0), BAR, colour(index));
            self.words(x + 18.0, "head", &name);
            x += 44.0 + 7.0 * name.chars().count() as f64;
        }
        self.y += 12.0;
    }

    fn group(&mut self, group: &Group) {
        self.y += 24.0;
        self.words(MARGIN, "head", &group.title);
        self.words(CPU.0 + CPU.1 * 0.55, "muted small", group.unit);
        self.words(MEMORY.0, "muted small", "MB of memory at the peak");
        self.y += 7.0;
        let _ = writeln!(
            self.text,
            "<line class=\"rule\" x1=\"{MARGIN}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
            WIDTH - MARGIN,
            y = self.y
        );
        self.y += GAP;
        for case in &group.cases {
            self.case(case);
        }
    }

    fn case(&mut self, case: &Case) {
        let results = self.results;
        let rows: Vec<&Row> = results
            .rows
            .iter()
            .filter(|row| row.case == *case)
            .collect();
        let (value, digits): (fn(&Measured) -> f64, usize) = match case.load {
            Load::Rate(_) => (Measured::vcpu, 4),
            Load::Drain => (Measured::cpu_per_million, 2),
        };
        let longest = rows.iter().filter_map(|row| row.median(value));
        let longest = longest.fold(0.0, f64::max);
        let middle = (BAR + 2.0) * rows.len() as f64 / 2.0 - 1.0;
        self.at(middle + 4.0, |it| it.words(MARGIN, "", &case.title()));
        for row in rows {
            let index = results
                .contestants
                .iter()
                .position(|named| named.name == row.contestant);
            let index = index.unwrap_or(0);
            match row.median(value) {
                None => {
                    let words = if row.absent.is_some() {
                        "has none"
                    } else {
                        "failed"
                    };
                    self.at(BAR - 2.0, |it| {
                        it.words(
                            CPU.0,
                            "muted small",
                            &format!("{}: {words}", row.contestant),
                        );
                    });
                }
                Some(cpu) => {
                    let times = results.times(row, value).filter(|_| index > 0);
                    let times = times.map_or(String::new(), |times| format!("   {times:.1} ×"));
                    self.bar(CPU, cpu / longest, index, &format!("{cpu:.digits$}{times}"));
                    let peak = row.megabytes(|run| run.peak_kib).unwrap_or(0.0);
                    let share = peak / self.memory_max;
                    self.bar(MEMORY, share, index, &format!("{peak:.0}"));
                }
            }
            self.y += BAR + 2.0;
        }
        self.y += GAP - 2.0;
    }

    fn bar(&mut self, (x, width): (f64, f64), share: f64, index: usize, words: &str) {
        // What is there is seen.
        let length = (width * share).max(1.5);
        self.rect((x, 0.0), length, colour(index));
        let class = if index == 0 { "best small" } else { "small" };
        self.at(BAR - 2.0, |it| it.words(x + length + 6.0, class, words));
    }

    fn caption(&mut self) {
        let results = self.results;
        self.y += 14.0;
        let settings = &results.settings;
        let sentences = format!(
            "{}. {}. {}, the routers in turn. At a rate: {} s, each line a write of its own. Draining: from the \
             router's start to the last line's arrival. Lines are NGINX's in docker's JSON, parsed, if nothing else is said; \
             TLS to a sink on the same machine that counts every line.",
            results.date,
            results.machine,
            results.count(),
            settings.seconds,
        );
        for line in wrap(&sentences) {
            self.words(MARGIN, "muted small", &line);
            self.y += 15.0;
        }
    }

    /// Draws so much further down.
    fn at(&mut self, down: f64, draw: impl FnOnce(&mut Self)) {
        self.y += down;
        draw(self);
        self.y -= down;
    }

    fn words(&mut self, x: f64, class: &str, words: &str) {
        let class = match class {
            "" => String::new(),
            class => format!(" class=\"{class}\""),
        };
        let _ = writeln!(
            self.text,
            "<text{class} x=\"{x:.1}\" y=\"{:.1}\" xml:space=\"preserve\">{}</text>",
            self.y,
            escape(words)
        );
    }

    /// A bar whose upper edge lies `up` above the line.
    fn rect(&mut self, (x, up): (f64, f64), width: f64, class: &str) {
        let _ = writeln!(
            self.text,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            self.y - up + if up > 0.0 { 2.0 } else { 0.0 }
        );
    }
}

fn colour(index: usize) -> &'static str {
    ["c0", "c1", "c2", "c3"][index.min(3)]
}

fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(last) if line == 0 => last.push_str(word),
            Some(last) if line + 1 + word.chars().count() <= CAPTION => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::results;
    use super::*;

    #[test]
    fn every_measurement_has_its_bars_and_figures() {
        let svg = svg(&results());
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        // The card, two in the legend, sixteen cases of two with CPU and memory, of which one is missing.
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 2 * 31);
        for words in [
            ">10,000 lines/s<",
            ">0.0200   10.0 ×<",
            ">200.00   10.0 ×<",
            "Fluent Bit: has none",
        ] {
            assert!(svg.contains(words), "{words}");
        }
    }

    #[test]
    fn it_says_where_when_and_what_was_measured() {
        let results = results();
        let svg = svg(&results);
        for words in [&results.date, "cores of", "Fluent Bit", "Medians of 2 runs"] {
            assert!(svg.contains(words), "{words}");
        }
        assert!(svg.contains("prefers-color-scheme:dark"));
    }

    #[test]
    fn lines_are_wrapped_at_words() {
        let words = "word ".repeat(60);
        let lines = wrap(words.trim_end());
        assert_eq!(lines.join(" "), words.trim_end());
        assert!(lines.len() == 3 && lines.iter().all(|line| line.len() <= CAPTION));
    }
}
