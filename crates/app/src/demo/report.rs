//! How the story ends.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;

use super::router_process::Usage;
use super::scene::Scene;
use super::statements::Findings;

/// Everything that the demo found out.
pub struct Report {
    /// Lines that the clusters wrote.
    pub written: u64,
    /// Lines found in the objects.
    pub found: u64,
    elapsed: Duration,
    usage: Vec<Usage>,
    findings: Findings,
    objects: u64,
    object_bytes: u64,
    objects_folder: PathBuf,
    data: PathBuf,
}

impl Report {
    /// The report of a played story.
    pub fn new(
        scene: &Scene,
        written: u64,
        elapsed: Duration,
        usage: Vec<Usage>,
        findings: Findings,
    ) -> Report {
        let total = scene.lake.counters().total();
        Report {
            written,
            found: findings.found.iter().sum(),
            elapsed,
            usage,
            findings,
            objects: total.objects,
            object_bytes: total.object_bytes,
            objects_folder: scene.objects(),
            data: scene.data(),
        }
    }

    /// Whether every line was found, once, in the objects of its cluster.
    pub fn is_complete(&self) -> bool {
        self.usage
            .iter()
            .zip(self.findings.found)
            .all(|(usage, found)| usage.lines == found)
            && self.written == self.found
    }

    /// Rows that the post's `UNION` merges away.
    fn merged(&self) -> u64 {
        self.found.saturating_sub(self.findings.rows_as_printed)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!(
            "\nTop ten clients of both clusters:\n{}\n\n",
            self.top_ten()
        );
        let seconds = self.elapsed.as_secs_f64();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} lines written, {} found in {} objects ({:.1} MB): {}. {:.1} s, {:.0} lines/s.",
            self.written,
            self.found,
            self.objects,
            self.object_bytes as f64 / 1e6,
            if self.is_complete() {
                "nothing lost, nothing twice"
            } else {
                "THEY DIFFER"
            },
            seconds,
            self.written as f64 / seconds
        );
        for usage in &self.usage {
            let per_line = usage.cpu.as_secs_f64() * 1e6 / usage.lines.max(1) as f64;
            let _ = writeln!(
                text,
                "{} router: {:.2} µs CPU a line, start and stop included; {:.1} MB memory at its peak.",
                usage.cluster,
                per_line,
                usage.memory_kib as f64 / 1024.0
            );
        }
        let _ = writeln!(
            text,
            "\nThe post's view says UNION, which merges identical requests: it has {} rows, {} fewer than there were\n\
             requests. The demo's view says UNION ALL.\n\nThe objects lie in {}",
            self.findings.rows_as_printed,
            self.merged(),
            self.objects_folder.display()
        );
        let _ = writeln!(text, "\nTry next:\n{}", self.next());
        text
    }

    fn next(&self) -> String {
        let flumen = program();
        let data = shown(&self.data);
        format!(
            "  {flumen} query --data {data} \"SELECT code, count(*) AS n FROM fluentbit_consolidated GROUP BY code ORDER BY n DESC\"\n  \
             {flumen} query --data {data}        (a shell)\n  \
             {flumen} lake --data {data}         (the AWS services for aws, boto3 and your router)\n  \
             {flumen} demo --rate 1000 --lines 30000 --keep"
        )
    }

    /// For `--keep`: what runs where.
    pub fn running(&self, scene: &Scene) -> String {
        format!(
            "Running: the lake at {} (access key id and secret 'flumen'), and both routers: append to the files in {},\n\
             or send to unix://{}.",
            scene.endpoint(),
            scene.containers().display(),
            scene.socket().display()
        )
    }

    fn top_ten(&self) -> Table {
        let mut table = Table::new();
        table
            .load_style(UTF8_FULL_CONDENSED)
            .set_header(&self.findings.columns);
        for row in &self.findings.top_ten {
            table.add_row(row);
        }
        table
    }

    /// For programs.
    pub fn json(&self) -> String {
        let routers: Vec<serde_json::Value> = self
            .usage
            .iter()
            .map(|usage| {
                serde_json::json!({
                    "cluster": usage.cluster,
                    "lines": usage.lines,
                    "cpu_seconds": usage.cpu.as_secs_f64(),
                    "cpu_microseconds_per_line": usage.cpu.as_secs_f64() * 1e6 / usage.lines.max(1) as f64,
                    "memory_kib": usage.memory_kib,
                })
            })
            .collect();
        let report = serde_json::json!({
            "lines_written": self.written,
            "lines_found": self.found,
            "complete": self.is_complete(),
            "seconds": self.elapsed.as_secs_f64(),
            "objects": self.objects,
            "object_bytes": self.object_bytes,
            "objects_folder": self.objects_folder,
            "routers": routers,
            "top_ten": {"columns": self.findings.columns, "rows": self.findings.top_ten, "sql": self.findings.statement},
            "view_as_printed": {"rows": self.findings.rows_as_printed, "merged_by_union": self.merged()},
        });
        serde_json::to_string_pretty(&report).unwrap_or_default()
    }
}

/// How this program was called.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "flumen".to_owned())
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
