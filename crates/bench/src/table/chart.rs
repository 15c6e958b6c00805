//! The chart: CPU time per line of each router in each case, on a logarithmic scale.

use std::fmt::Write as _;

use super::measure::Measured;
use super::result::{Results, Row};

const LEFT: f64 = 150.0;
const WIDTH: f64 = 560.0;
const BAR: f64 = 14.0;
const GAP: f64 = 12.0;
const TOP: f64 = 56.0;
/// The colours of the contestants in order; the last is for all that follow.
const COLOURS: [&str; 4] = ["#0b7285", "#e8590c", "#868e96", "#adb5bd"];

/// The chart as an SVG document.
pub fn svg(results: &Results) -> String {
    let rows: Vec<(&Row, f64)> = results
        .rows()
        .iter()
        .filter_map(|row| Some((row, row.median(Measured::cpu_per_million)?)))
        .collect();
    let contestants = contestants(&rows);
    let scale = Scale::of(rows.iter().map(|(_, value)| *value));
    let (bars, height) = bars(&rows, &contestants, &scale);
    let total = height + 64.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {total:.0}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"12\" y=\"20\" \
         font-size=\"15\">CPU time per line, microseconds (logarithmic; shorter is better)</text>\n",
        LEFT + WIDTH + 90.0
    );
    legend(&mut text, &contestants);
    scale.grid(&mut text, height);
    text.push_str(&bars);
    let caption = escape(&results.caption());
    let _ = writeln!(
        text,
        "<text x=\"12\" y=\"{:.0}\" font-size=\"9\" fill=\"#495057\">{caption}</text>\n</svg>",
        total - 12.0
    );
    text
}

fn contestants<'a>(rows: &[(&'a Row, f64)]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for (row, _) in rows {
        if !names.contains(&row.contestant.as_str()) {
            names.push(&row.contestant);
        }
    }
    names
}

fn colour(index: usize) -> &'static str {
    COLOURS[index.min(COLOURS.len() - 1)]
}

fn legend(text: &mut String, contestants: &[&str]) {
    let mut x = 12.0;
    for (index, name) in contestants.iter().enumerate() {
        let _ = writeln!(
            text,
            "<rect x=\"{x:.0}\" y=\"30\" width=\"12\" height=\"12\" fill=\"{}\"/><text x=\"{:.0}\" y=\"40\">{}</text>",
            colour(index),
            x + 18.0,
            escape(name)
        );
        x += 40.0 + 7.0 * name.chars().count() as f64;
    }
}

fn bars(rows: &[(&Row, f64)], contestants: &[&str], scale: &Scale) -> (String, f64) {
    let (mut text, mut y, mut last) = (String::new(), TOP, None);
    for (row, value) in rows {
        if last != Some(row.case) {
            y += if last.is_some() { GAP } else { 0.0 };
            let _ = writeln!(
                text,
                "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                y + 11.0,
                row.case.name()
            );
            last = Some(row.case);
        }
        let index = contestants.iter().position(|name| *name == row.contestant);
        let width = scale.x(*value) - LEFT;
        let _ = writeln!(
            text,
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{}\" fill=\"{}\"/><text x=\"{:.1}\" \
             y=\"{:.1}\">{value:.2}</text>",
            BAR - 2.0,
            colour(index.unwrap_or(0)),
            LEFT + width + 5.0,
            y + 10.5
        );
        y += BAR;
    }
    (text, y)
}

/// Powers of ten around all values.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64> + Clone) -> Scale {
        let positive = values.filter(|value| *value > 0.0);
        let low = positive.clone().fold(f64::INFINITY, f64::min);
        let high = positive.fold(0.0, f64::max);
        match low.is_finite() {
            true => Scale {
                low: low.log10().floor(),
                high: high.log10().ceil().max(low.log10().floor() + 1.0),
            },
            false => Scale {
                low: 0.0,
                high: 1.0,
            },
        }
    }

    fn x(&self, value: f64) -> f64 {
        let share = (value.max(f64::MIN_POSITIVE).log10() - self.low) / (self.high - self.low);
        LEFT + WIDTH * share.clamp(0.0, 1.0)
    }

    fn grid(&self, text: &mut String, height: f64) {
        for power in self.low as i32..=self.high as i32 {
            let x = self.x(10_f64.powi(power));
            let _ = writeln!(
                text,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.0}\" y2=\"{height:.0}\" stroke=\"#dee2e6\"/><text \
                 x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"#495057\">{}</text>",
                TOP - 4.0,
                height + 16.0,
                10_f64.powi(power)
            );
        }
    }
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
    fn every_measurement_has_its_bar() {
        let svg = svg(&results());
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        // A background, two in the legend, fifteen cases of two.
        assert_eq!(svg.matches("<rect").count(), 1 + 2 + 30);
        assert!(svg.contains(">firehose/10000<") && svg.contains(">20.00<"));
    }

    #[test]
    fn the_scale_spans_all_values() {
        let scale = Scale::of([0.8, 35.0].into_iter());
        assert_eq!((scale.low, scale.high), (-1.0, 2.0));
        assert_eq!(scale.x(0.1), LEFT);
        assert_eq!(scale.x(100.0), LEFT + WIDTH);
        assert_eq!(scale.x(0.0), LEFT, "nothing is not minus infinity");
    }
}
