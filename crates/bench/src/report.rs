//! What was sent, and what became of it: as JSON and as a table.

use std::collections::BTreeMap;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

/// How many writers a table shows by themselves.
const WRITERS_SHOWN: usize = 20;

/// What a generator wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    /// Lines by writer.
    #[serde(with = "hexadecimal")]
    pub writers: BTreeMap<u32, u64>,
    /// Lines in all.
    pub lines: u64,
    /// Bytes in all, as they were written.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// Lines that were written again because their connection broke or nobody acknowledged them: the receiver may have
    /// them twice.
    pub resent: u64,
}

/// What has arrived.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Lines sent, if that is known.
    pub sent: Option<u64>,
    /// Different lines that arrived.
    pub received: u64,
    /// Lines that did not.
    pub lost: u64,
    /// Arrivals of a line after its first, although the sender had been told that it arrived.
    pub repeated: u64,
    /// Arrivals of a line after its first that the service asked for: it accepted the line and its answer got lost.
    pub repeated_without_verdict: u64,
    /// Lines that arrived after a later line of the same writer.
    pub out_of_order: u64,
    /// Different lines of writers that were not asked for.
    pub of_other_runs: u64,
    /// Marks that could not be counted, because they are too many or are none.
    pub marks_beyond_memory: u64,
    /// By writer.
    pub writers: Vec<WriterReport>,
    /// What the sink did, if this is its report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<SinkCounts>,
}

/// The same for one writer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WriterReport {
    /// Its name in marks.
    pub writer: String,
    /// Lines sent, if that is known.
    pub sent: Option<u64>,
    /// As in [`Report`].
    pub received: u64,
    /// As in [`Report`].
    pub lost: u64,
    /// As in [`Report`].
    pub repeated: u64,
    /// As in [`Report`].
    pub repeated_without_verdict: u64,
    /// As in [`Report`].
    pub out_of_order: u64,
    /// The first stretches of lost lines: first and last.
    pub lost_lines: Vec<[u64; 2]>,
}

/// What a sink did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SinkCounts {
    /// Requests that reached it.
    pub requests: u64,
    /// Records, log events or objects accepted.
    pub accepted: u64,
    /// Bytes of bodies.
    pub bytes: u64,
    /// Accepted records without a mark.
    pub unmarked: u64,
    /// Records refused alone in a request that was accepted.
    pub refused_records: u64,
    /// Requests refused to throttle the sender.
    pub throttled: u64,
    /// Requests refused for expired credentials.
    pub expired: u64,
    /// Requests whose connection was cut.
    pub cut: u64,
    /// Requests and connections that met an outage.
    pub outages: u64,
    /// Requests that broke a rule of their service.
    pub invalid: u64,
    /// Why, for the first of them.
    pub first_invalid: Option<String>,
    /// Objects that were replaced by the same content.
    pub replaced: u64,
    /// Objects that were replaced by another content: what they held is lost.
    pub overwritten: u64,
    /// How long lines took to it, if they say when they were written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// How long lines took from being written to being received, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many lines said when they were written.
    pub lines: u64,
    /// Half of them took no longer,
    pub p50: f64,
    /// 99 of a hundred,
    pub p99: f64,
    /// and none of them.
    pub max: f64,
}

impl Report {
    /// Adds a writer.
    pub fn add(&mut self, writer: WriterReport) {
        if let Some(sent) = writer.sent {
            *self.sent.get_or_insert(0) += sent;
        }
        self.received += writer.received;
        self.lost += writer.lost;
        self.repeated += writer.repeated;
        self.repeated_without_verdict += writer.repeated_without_verdict;
        self.out_of_order += writer.out_of_order;
        self.writers.push(writer);
    }

    /// Whether nothing is lost and nothing came twice but what the service gave no verdict on.
    pub fn is_clean(&self) -> bool {
        let overwritten = self.sink.as_ref().is_some_and(|sink| sink.overwritten > 0);
        self.lost == 0 && self.repeated == 0 && self.marks_beyond_memory == 0 && !overwritten
    }

    /// A table for people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        table.set_header([
            "writer",
            "sent",
            "received",
            "lost",
            "repeated",
            "no verdict",
            "out of order",
        ]);
        for writer in self.writers.iter().take(WRITERS_SHOWN) {
            table.add_row(writer.cells());
        }
        let all = WriterReport {
            writer: format!("all {}", self.writers.len()),
            sent: self.sent,
            received: self.received,
            lost: self.lost,
            repeated: self.repeated,
            repeated_without_verdict: self.repeated_without_verdict,
            out_of_order: self.out_of_order,
            lost_lines: Vec::new(),
        };
        if self.writers.len() != 1 {
            table.add_row(all.cells());
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut text = format!("{table}\n");
        for writer in self
            .writers
            .iter()
            .filter(|writer| writer.lost > 0)
            .take(WRITERS_SHOWN)
        {
            let stretches = writer
                .lost_lines
                .iter()
                .map(|[first, last]| match first == last {
                    true => first.to_string(),
                    false => format!("{first}–{last}"),
                });
            let stretches: Vec<String> = stretches.collect();
            text.push_str(&format!(
                "lost of {}: {}\n",
                writer.writer,
                stretches.join(", ")
            ));
        }
        for (count, what) in [
            (self.of_other_runs, "lines of other runs were left out"),
            (self.marks_beyond_memory, "marks could not be counted"),
        ] {
            if count > 0 {
                text.push_str(&format!("{count} {what}\n"));
            }
        }
        if let Some(latency) = self.sink.as_ref().and_then(|sink| sink.latency) {
            text.push_str(&format!(
                "written to received, {} lines: p50 {:.0} ms, p99 {:.0} ms, at most {:.0} ms\n",
                latency.lines, latency.p50, latency.p99, latency.max
            ));
        }
        if self.sent.is_none() {
            text.push_str("What was sent is not known (--sent FILE): lines that are missing at the end do not show.\n");
        }
        text
    }

    /// JSON on several lines.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl WriterReport {
    fn cells(&self) -> [String; 7] {
        [
            self.writer.clone(),
            self.sent.map_or("?".to_owned(), |sent| sent.to_string()),
            self.received.to_string(),
            self.lost.to_string(),
            self.repeated.to_string(),
            self.repeated_without_verdict.to_string(),
            self.out_of_order.to_string(),
        ]
    }
}

/// Writers as they stand in marks.
mod hexadecimal {
    use std::collections::BTreeMap;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(
        writers: &BTreeMap<u32, u64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let named = writers
            .iter()
            .map(|(id, lines)| (format!("{id:08x}"), *lines));
        named
            .collect::<BTreeMap<String, u64>>()
            .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<u32, u64>, D::Error> {
        let named = BTreeMap::<String, u64>::deserialize(deserializer)?;
        let read = |(name, lines): (String, u64)| match u32::from_str_radix(&name, 16) {
            Ok(id) => Ok((id, lines)),
            Err(_) => Err(D::Error::custom(format!(
                "'{name}' is no writer: eight hexadecimal digits"
            ))),
        };
        named.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read_back() {
        let sent = Sent {
            writers: [(0x1f, 3), (u32::MAX, 4)].into(),
            lines: 7,
            bytes: 700,
            seconds: 1.5,
            resent: 0,
        };
        let text = serde_json::to_string(&sent).unwrap();
        assert!(text.contains(r#""0000001f":3"#), "{text}");
        assert_eq!(serde_json::from_str::<Sent>(&text).unwrap(), sent);
        let mut report = Report::default();
        report.add(WriterReport {
            writer: "0000001f".into(),
            sent: Some(5),
            received: 3,
            lost: 2,
            lost_lines: vec![[1, 1], [3, 3]],
            ..WriterReport::default()
        });
        assert_eq!(
            serde_json::from_str::<Report>(&report.json()).unwrap(),
            report
        );
        assert!(!report.is_clean());
        assert!(
            report.table().contains("lost of 0000001f: 1, 3"),
            "{}",
            report.table()
        );
    }
}
