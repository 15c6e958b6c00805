//! Sessions: side by side with writers, with each other, and ended early.

use std::fs;

use query::{ErrorKind, Session, SessionOptions, StatementKind};

use crate::slt::lake;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("runtime")
        .block_on(future)
}

const TABLE: &str = "CREATE EXTERNAL TABLE t (a string, n bigint) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
                     LOCATION 's3://new/t/'";

async fn count(session: &Session) -> String {
    let rows = session
        .execute("SELECT count(*) FROM t")
        .await
        .expect("query")
        .collect()
        .await
        .expect("rows");
    rows[0][0].clone().expect("count")
}

#[test]
fn objects_and_tables_of_others_are_seen_at_once() {
    let lake = lake();
    block_on(async {
        let (one, other) = (
            Session::open(lake.path()).expect("session"),
            Session::open(lake.path()).expect("session"),
        );
        one.execute(TABLE).await.expect("created");
        assert_eq!(count(&other).await, "0");
        let folder = lake.path().join("objects/new/t/2019/11");
        fs::create_dir_all(&folder).expect("folder");
        for number in 1..=3 {
            fs::write(folder.join(format!("object{number}")), "{\"a\":\"x\"}\n").expect("object");
            assert_eq!(count(&other).await, number.to_string());
        }
        one.execute("DROP TABLE t").await.expect("dropped");
        let gone = other.execute("SELECT * FROM t").await.expect_err("gone");
        assert_eq!(gone.kind(), ErrorKind::TableNotFound);
    });
}

#[test]
fn statistics_tell_what_was_read() {
    let lake = lake();
    let folder = lake.path().join("objects/new/t");
    fs::create_dir_all(&folder).expect("folder");
    fs::write(folder.join("a"), "{\"a\":\"x\"}\n{\"a\":\"y\"}\n").expect("object");
    fs::write(folder.join("b"), "{\"a\":\"z\"}\n").expect("object");
    block_on(async {
        let session = Session::open(lake.path()).expect("session");
        let created = session.execute(TABLE).await.expect("created");
        assert_eq!(
            (created.kind(), created.substatement()),
            (StatementKind::Ddl, "CREATE_TABLE")
        );
        let mut execution = session.execute("SELECT a FROM t").await.expect("query");
        assert_eq!(execution.collect().await.expect("rows").len(), 3);
        let statistics = execution.statistics();
        assert_eq!(
            (
                statistics.rows,
                statistics.objects,
                statistics.data_scanned_bytes
            ),
            (3, 2, 30)
        );
        assert_eq!(
            (execution.kind(), execution.substatement()),
            (StatementKind::Dml, "SELECT")
        );
    });
}

#[test]
fn a_query_that_nobody_waits_for_ends() {
    let lake = lake();
    let folder = lake.path().join("objects/new/t");
    fs::create_dir_all(&folder).expect("folder");
    let line = "{\"a\":\"some text\",\"n\":1}\n";
    fs::write(folder.join("a"), line.repeat(300_000)).expect("object");
    block_on(async {
        let session = Session::open(lake.path()).expect("session");
        session.execute(TABLE).await.expect("created");
        let mut execution = session.execute("SELECT a FROM t").await.expect("query");
        assert!(execution.next_rows().await.expect("rows").is_some());
        let read = execution.statistics().data_scanned_bytes;
        drop(execution);
        // Back-pressure kept it from reading far ahead, and the session goes on.
        assert!(read < (line.len() * 300_000) as u64, "{read}");
        assert_eq!(count(&session).await, "300000");
    });
}

#[test]
fn memory_is_limited_with_a_clear_error() {
    let lake = lake();
    let folder = lake.path().join("objects/new/t");
    fs::create_dir_all(&folder).expect("folder");
    let lines: String = (0..50_000)
        .map(|n| format!("{{\"a\":\"a rather long text number {n}\",\"n\":{n}}}\n"))
        .collect();
    fs::write(folder.join("a"), lines).expect("object");
    block_on(async {
        let options = SessionOptions {
            memory_bytes: Some(1_000_000),
            ..SessionOptions::default()
        };
        let session = Session::with_options(lake.path(), options).expect("session");
        session.execute(TABLE).await.expect("created");
        let join = "SELECT count(*) FROM t x JOIN t y ON x.a = y.a";
        let mut execution = session.execute(join).await.expect("planned");
        let error = execution.collect().await.expect_err("too much");
        assert_eq!(error.kind(), ErrorKind::ExceededMemoryLimit, "{error}");
        assert_eq!(count(&session).await, "50000");
    });
}

#[test]
fn sessions_can_be_dropped_inside_of_a_runtime() {
    let lake = lake();
    block_on(async {
        drop(Session::open(lake.path()).expect("session"));
    });
}

#[test]
fn a_session_needs_a_directory_and_a_database() {
    let lake = lake();
    let missing = Session::open(lake.path().join("nowhere")).expect_err("no directory");
    assert_eq!(missing.kind(), ErrorKind::Io);
    let options = SessionOptions {
        database: Some("defalt".into()),
        ..SessionOptions::default()
    };
    let error = Session::with_options(lake.path(), options).expect_err("no database");
    assert_eq!(
        error.to_string(),
        "SCHEMA_NOT_FOUND: Schema 'defalt' does not exist"
    );
    assert_eq!(error.help(), Some("did you mean 'default'?"));
}

/// Deep and long statements end with an error or an answer, never with the process.
#[test]
fn hostile_statements_do_no_harm() {
    let lake = lake();
    block_on(async {
        let session = Session::open(lake.path()).expect("session");
        let long_or = format!("SELECT 1 WHERE {}1 = 1", "1 = 2 OR ".repeat(20_000));
        let long_union = vec!["SELECT 1"; 500].join(" UNION ALL ");
        let long_in = format!("SELECT 1 WHERE 1 IN ({})", vec!["1"; 50_000].join(","));
        let nested = format!("SELECT {}1{}", "abs(".repeat(3_000), ")".repeat(3_000));
        let plus = format!("SELECT {}1", "1 + ".repeat(30_000));
        let concat = format!("SELECT {}'x'", "'x' || ".repeat(20_000));
        for sql in [long_or, long_union, long_in, nested, plus, concat] {
            if let Ok(mut execution) = session.execute(&sql).await {
                let _ = execution.collect().await;
            }
        }
        assert!(session.execute("SELECT 1").await.is_ok());
    });
}

/// A footer of Parquet whose list of columns claims 2³¹−1 entries, and whose length is beyond the file's.
const FORGED: &[u8] = b"PAR1\x15\x02\x19\xfc\xff\xff\xff\xff\x07\xff\xff\xff\x7fPAR1";

#[test]
fn an_object_that_is_parquet_is_not_read_as_such() {
    let lake = lake();
    let folder = lake.path().join("objects/new/t");
    fs::create_dir_all(&folder).expect("folder");
    fs::write(folder.join("forged.parquet"), FORGED).expect("object");
    fs::write(folder.join("good"), "{\"a\":\"x\"}\n").expect("object");
    block_on(async {
        let session = Session::open(lake.path()).expect("session");
        session.execute(TABLE).await.expect("created");
        let query = session.execute("SELECT a FROM t ORDER BY a").await;
        let rows = query.expect("query").collect().await.expect("rows");
        let values: Vec<Option<&str>> = rows.iter().map(|row| row[0].as_deref()).collect();
        // As Athena reads a line of anything else under this SerDe: a row of NULLs.
        assert_eq!(values, [Some("x"), None]);
    });
}
