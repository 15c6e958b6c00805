//! The post's statements, unchanged and in order, each in a session of its own.

use std::path::Path;

use query::{Row, Session};

use crate::slt::lake;

async fn run(lake: &Path, file: &str) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/seed")
        .join(file);
    let sql = std::fs::read_to_string(&path).expect(file);
    let session = Session::open(lake).expect("session");
    let mut execution = session.execute(&sql).await.expect(file);
    execution.collect().await.expect(file)
}

async fn query(lake: &Path, sql: &str) -> Vec<String> {
    let session = Session::open(lake).expect("session");
    let rows = session
        .execute(sql)
        .await
        .expect(sql)
        .collect()
        .await
        .expect(sql);
    rows.into_iter().map(line).collect()
}

fn line(row: Row) -> String {
    row.into_iter()
        .map(|value| value.unwrap_or_else(|| "NULL".into()))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The view says `UNION`, which merges identical requests: its counts are of distinct requests.
#[test]
fn the_seeds_statements_run_unchanged_and_undercount_as_in_athena() {
    let lake = lake();
    let lake = lake.path();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        for file in ["create-ecs-table.sql", "create-eks-table.sql", "create-consolidated-view.sql"] {
            assert_eq!(run(lake, file).await, Vec::<Row>::new(), "{file}");
        }
        let mut top: Vec<String> = run(lake, "select-top-10.sql").await.into_iter().map(line).collect();
        assert!(top.is_sorted_by_key(|line| {
            let count: i64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("count");
            std::cmp::Reverse(count)
        }));
        // Ties may come in any order.
        top.sort();
        let expected = [
            "ECS 10.0.1.5 3",
            "ECS 10.0.1.7 1",
            "ECS 10.0.1.9 1",
            "ECS NULL 0",
            "EKS 192.168.3.1 2",
            "EKS 192.168.3.2 1",
        ];
        assert_eq!(top, expected);

        let counts = "SELECT (SELECT count(*) FROM fluentbit_ecs) + (SELECT count(*) FROM fluentbit_eks) AS lines,
                             (SELECT count(*) FROM fluentbit_consolidated) AS in_the_view,
                             (SELECT count(*) FROM (SELECT * FROM fluentbit_ecs UNION ALL SELECT * FROM fluentbit_eks)) AS all_of_them";
        assert_eq!(query(lake, counts).await, ["20 9 20"]);

        let real = "SELECT source, remote, count(remote) AS n FROM (
                      SELECT *, 'ECS' AS source FROM fluentbit_ecs UNION ALL SELECT *, 'EKS' AS source FROM fluentbit_eks
                    ) GROUP BY 1, 2 ORDER BY n DESC, remote";
        let expected = [
            "ECS 10.0.1.5 8",
            "EKS 192.168.3.1 7",
            "ECS 10.0.1.7 2",
            "ECS 10.0.1.9 1",
            "EKS 192.168.3.2 1",
            "ECS NULL 0",
        ];
        assert_eq!(query(lake, real).await, expected);
    });
}

/// The tables name the year 2019; objects of another year are not theirs, and the user is told where they are.
#[test]
fn a_location_without_objects_gives_no_rows_and_a_hint() {
    let lake = lake();
    std::fs::remove_dir_all(lake.path().join("objects/mh9-firelens-demo/ecs2019"))
        .expect("removed");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("runtime");
    runtime.block_on(async {
        run(lake.path(), "create-ecs-table.sql").await;
        let session = Session::open(lake.path()).expect("session");
        let mut execution = session.execute("SELECT count(*) FROM fluentbit_ecs").await.expect("query");
        assert_eq!(execution.collect().await.expect("rows"), [vec![Some("0".to_owned())]]);
        let hint = "default.fluentbit_ecs: there are no objects under s3://mh9-firelens-demo/ecs2019/; \
                    the nearest prefixes with objects are s3://mh9-firelens-demo/ecs2026/, s3://mh9-firelens-demo/eks2019/";
        assert_eq!(execution.notes(), [hint]);
    });
}
