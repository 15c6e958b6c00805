//! Statements, changed anywhere: read by both front ends, never run.

use crate::session::STACK_BYTES;
use crate::{hive, split_statements, trino};

#[test]
fn fuzz_statements() {
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(statements);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

fn statements() {
    ::fuzz::Target::new("statements")
        .files("../../tests/seed", &[".sql"])
        .seeds([
            "SELECT a, count(*) FROM t WHERE b LIKE 'x%' ESCAPE '!' GROUP BY 1 HAVING max_by(c, d) > 1 ORDER BY 2 DESC LIMIT 5",
            "WITH x AS (SELECT if(a > 1, cast(b AS varchar(3)), try_cast(c AS date)) FROM t) SELECT * FROM x -- end",
            "DESCRIBE FORMATTED d.t; MSCK REPAIR TABLE t; ALTER TABLE t ADD PARTITION (a='1') LOCATION 's3://b/c/'",
        ])
        .words(["(", ")", "'", "\"", "`", "/*", "*/", "--", ";", "SELECT", "CASE", "NOT", "ARRAY[", "struct<a:", "1e", "||"])
        .run(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            for statement in split_statements(&text) {
                assert!(text.contains(statement.text));
                let _ = hive::parse(statement.text);
                let _ = trino::parse(statement.text);
                if let Ok(mut query) = trino::parse_view_query(statement.text) {
                    let _ = trino::rewrite(&mut query);
                }
            }
        });
}
