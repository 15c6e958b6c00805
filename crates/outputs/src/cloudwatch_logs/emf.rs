//! Records of Fluent Bit's inputs `cpu` and `mem` as metrics: the embedded metric format.
//!
//! Upstream goes by the name of the input. Here such records come from elsewhere (`forward`, say), so that they are known by
//! their fields, and only where the options ask for metrics.

use record::json::write::Writer;
use record::{Batch, Record};

/// A kind of record that is about metrics.
struct Source {
    /// All of them are there.
    fields: [&'static [u8]; 3],
    /// Fields that begin so are metrics.
    metrics: &'static [&'static [u8]],
    unit: &'static str,
}

const SOURCES: [Source; 2] = [
    Source {
        fields: [b"cpu_p", b"user_p", b"system_p"],
        metrics: &[b"cpu_", b"user_p", b"system_p"],
        unit: "Percent",
    },
    Source {
        fields: [b"Mem.total", b"Mem.used", b"Mem.free"],
        metrics: &[
            b"Mem.total",
            b"Mem.used",
            b"Mem.free",
            b"Swap.total",
            b"Swap.used",
            b"Swap.free",
        ],
        unit: "Bytes",
    },
];

/// Writes records as metrics.
pub struct Emf {
    /// From the namespace to the beginning of the list of metrics.
    middle: Vec<u8>,
}

impl Emf {
    /// `None` when neither option is set. `dimensions` are sets between `;`, each with names between `,`.
    pub fn new(namespace: Option<&str>, dimensions: Option<&str>) -> Option<Emf> {
        if namespace.is_none() && dimensions.is_none() {
            return None;
        }
        let writer = Writer::default();
        let mut middle = b",\"CloudWatchMetrics\":[{\"Namespace\":".to_vec();
        writer.string(
            namespace.unwrap_or("fluent-bit-metrics").as_bytes(),
            &mut middle,
        );
        middle.extend_from_slice(b",\"Dimensions\":[");
        for (index, set) in words(dimensions.unwrap_or_default(), ';').enumerate() {
            middle.extend_from_slice(if index > 0 { b",[" } else { b"[" });
            for (index, name) in words(set, ',').enumerate() {
                if index > 0 {
                    middle.push(b',');
                }
                writer.string(name.as_bytes(), &mut middle);
            }
            middle.push(b']');
        }
        middle.extend_from_slice(b"],\"Metrics\":[");
        Some(Emf { middle })
    }

    /// Appends the record as metrics, if it is one that is about them.
    pub fn write(
        &self,
        batch: &Batch,
        record: &Record,
        writer: &mut Writer,
        out: &mut Vec<u8>,
    ) -> bool {
        let is_there = |key: &&[u8]| batch.get(record.body, key).is_some();
        let Some(source) = SOURCES
            .iter()
            .find(|source| source.fields.iter().all(is_there))
        else {
            return false;
        };
        out.extend_from_slice(b"{\"_aws\":{\"Timestamp\":");
        // Whole seconds, as upstream.
        let millis = record.time.seconds().saturating_mul(1000);
        out.extend_from_slice(itoa::Buffer::new().format(millis).as_bytes());
        out.extend_from_slice(&self.middle);
        let start = out.len();
        for field in batch.fields(record.body) {
            let key = batch.bytes(field.key.span());
            if source.metrics.iter().any(|metric| key.starts_with(metric)) {
                if out.len() > start {
                    out.push(b',');
                }
                out.extend_from_slice(b"{\"Name\":");
                writer.string(key, out);
                out.extend_from_slice(b",\"Unit\":\"");
                out.extend_from_slice(source.unit.as_bytes());
                out.extend_from_slice(b"\"}");
            }
        }
        out.extend_from_slice(b"]}]}");
        let fields = out.len();
        writer.object(batch, record.body, out);
        // The fields go on in the object that is open: there are some, or it would not be a metric.
        out[fields] = b',';
        true
    }
}

/// What stands between separators, without the spaces around; nothing for nothing.
fn words(text: &str, separator: char) -> impl Iterator<Item = &str> {
    text.split(separator)
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::tests::batch;
    use super::*;

    fn written(namespace: Option<&str>, dimensions: Option<&str>, record: &str) -> Option<String> {
        let emf = Emf::new(namespace, dimensions)?;
        let batch = batch("t", &[record]);
        let mut out = Vec::new();
        let is_metric = emf.write(
            &batch,
            &batch.records()[0],
            &mut Writer::default(),
            &mut out,
        );
        is_metric.then(|| String::from_utf8(out).expect("text"))
    }

    #[test]
    fn metrics_read_as_upstream() {
        let cpu = r#"{"cpu_p":1.5,"user_p":1,"system_p":0.5,"cpu0.p_cpu":2}"#;
        let expected = concat!(
            r#"{"_aws":{"Timestamp":1700000000000,"CloudWatchMetrics":[{"Namespace":"ns","Dimensions":[["a","b"],["c"]],"#,
            r#""Metrics":[{"Name":"cpu_p","Unit":"Percent"},{"Name":"user_p","Unit":"Percent"},"#,
            r#"{"Name":"system_p","Unit":"Percent"}]}]},"cpu_p":1.5,"user_p":1,"system_p":0.5,"cpu0.p_cpu":2}"#
        );
        assert_eq!(
            written(Some("ns"), Some("a, b;c"), cpu).as_deref(),
            Some(expected)
        );
        let mem = r#"{"Mem.total":3,"Mem.used":2,"Mem.free":1,"Swap.total":0}"#;
        let text = written(None, Some("d"), mem).expect("metrics");
        assert!(
            text.contains(r#""Namespace":"fluent-bit-metrics","Dimensions":[["d"]]"#),
            "{text}"
        );
        assert!(
            text.contains(r#"{"Name":"Swap.total","Unit":"Bytes"}"#),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(json["Mem.used"], 2);
    }

    #[test]
    fn other_records_are_none() {
        assert_eq!(written(Some("ns"), None, r#"{"cpu_p":1}"#), None);
        assert!(Emf::new(None, None).is_none());
    }
}
