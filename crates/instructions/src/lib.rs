//! The hot paths of the road, each ready to be run alone, so that the instructions which it takes can be counted: the same
//! ones on a busy machine as on a quiet one.
//!
//! `cargo xtask instructions` counts them and compares with `instructions.tsv`. Each path is driven as the engine drives
//! it, through the contract of its plugin, and warm: it has run once before.
//!
//! Nothing depends on this crate.

pub mod filters;
pub mod inputs;
mod lines;
pub mod outputs;
pub mod parsers;
pub mod records;
mod section;

/// How many records a path handles in one run, unless it says otherwise.
pub const RECORDS: usize = 500;

/// A path that is ready to run.
pub struct Path {
    run: Box<dyn FnMut() -> usize>,
}

impl Path {
    /// `run` does the work once and returns how many records it brought to the end. It is run here, to be warm and to show
    /// that it does what it says.
    ///
    /// # Panics
    /// When it brings another number of records than `records`.
    fn new(records: usize, run: impl FnMut() -> usize + 'static) -> Path {
        let mut path = Path { run: Box::new(run) };
        for _ in 0..2 {
            assert_eq!(path.run(), records, "records that came to the end");
        }
        path
    }

    /// Does the work once more.
    pub fn run(&mut self) -> usize {
        (self.run)()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_does_its_work_again_and_again() {
        // Each asserts itself how many records came to the end; a third run shows that none is used up.
        let all: [(&str, fn() -> Path, usize); 20] = [
            ("tail", inputs::tail, 20_000),
            ("forward_packed", inputs::forward_packed, RECORDS),
            ("forward_single", inputs::forward_single, RECORDS),
            ("parser_docker", parsers::docker, RECORDS),
            ("parser_cri", parsers::cri, RECORDS),
            ("parser_json", parsers::json, RECORDS),
            ("parser_nginx", parsers::nginx, RECORDS),
            ("parser_time", parsers::time, RECORDS),
            ("java_traces", filters::java_traces, 200),
            ("rewrite_tag", filters::rewrite_tag, RECORDS),
            ("tag_match", records::tags, 2 * RECORDS),
            ("msgpack_write", records::msgpack_write, RECORDS),
            ("msgpack_read", records::msgpack_read, RECORDS),
            ("firehose_body", outputs::firehose, RECORDS),
            ("cloudwatch_body", outputs::cloudwatch, RECORDS),
            ("kinesis_body", outputs::kinesis, RECORDS),
            ("kinesis_aggregated", outputs::kinesis_aggregated, RECORDS),
            ("s3_lines", outputs::s3, RECORDS),
            ("s3_gzip", outputs::s3_gzip, RECORDS),
            ("s3_parquet", outputs::parquet, RECORDS),
        ];
        for (name, path, records) in all {
            println!("{name}");
            assert_eq!(path().run(), records, "{name}");
        }
    }
}
