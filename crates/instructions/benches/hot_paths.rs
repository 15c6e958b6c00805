//! The instructions of each hot path: `cargo xtask instructions` runs this and compares.

// What the macros make is nobody's to read.
#![allow(missing_docs)]

use std::hint::black_box;

use gungraun::Callgrind;
use gungraun::prelude::*;
use instructions::{Path, filters, inputs, outputs, parsers, records};

#[library_benchmark]
#[bench::tail(inputs::tail())]
#[bench::forward_packed(inputs::forward_packed())]
#[bench::forward_single(inputs::forward_single())]
#[bench::parser_docker(parsers::docker())]
#[bench::parser_cri(parsers::cri())]
#[bench::parser_json(parsers::json())]
#[bench::parser_nginx(parsers::nginx())]
#[bench::parser_time(parsers::time())]
#[bench::java_traces(filters::java_traces())]
#[bench::rewrite_tag(filters::rewrite_tag())]
#[bench::tag_match(records::tags())]
#[bench::msgpack_write(records::msgpack_write())]
#[bench::msgpack_read(records::msgpack_read())]
#[bench::firehose_body(outputs::firehose())]
#[bench::cloudwatch_body(outputs::cloudwatch())]
#[bench::kinesis_body(outputs::kinesis())]
#[bench::kinesis_aggregated(outputs::kinesis_aggregated())]
#[bench::s3_lines(outputs::s3())]
#[bench::s3_gzip(outputs::s3_gzip())]
#[bench::s3_parquet(outputs::parquet())]
fn hot_path(mut path: Path) -> (usize, Path) {
    // Given back: what it holds is freed when nobody counts.
    (black_box(path.run()), path)
}

library_benchmark_group!(name = hot_paths, benchmarks = hot_path);
main!(
    // Instructions alone: nobody asks for the caches of valgrind's own processor.
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = hot_paths
);
