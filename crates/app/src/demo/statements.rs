//! The post's statements, asked of what arrived.

use std::path::Path;

use jiff::Timestamp;
use query::Session;

use super::Error;

const CREATE_ECS: &str = include_str!("../../../../tests/seed/create-ecs-table.sql");
const CREATE_EKS: &str = include_str!("../../../../tests/seed/create-eks-table.sql");
const CREATE_VIEW: &str = include_str!("../../../../tests/seed/create-consolidated-view.sql");
const TOP_TEN: &str = include_str!("../../../../tests/seed/select-top-10.sql");
const COUNT: &str = "SELECT count(*) FROM fluentbit_consolidated";

/// What the statements answered.
pub struct Findings {
    /// The names of the columns of the top ten.
    pub columns: Vec<String>,
    /// The top ten.
    pub top_ten: Vec<Vec<String>>,
    /// Lines found in the objects: EKS, ECS.
    pub found: [u64; 2],
    /// Rows of the post's view as it is printed, with `UNION`.
    pub rows_as_printed: u64,
    /// Its statement for the top ten, to be tried again.
    pub statement: &'static str,
}

impl Findings {
    /// Creates tables and views in the catalog of the lake in `data`, and asks.
    pub async fn ask(data: &Path) -> Result<Findings, Error> {
        let session = Session::open(data)?;
        // The post's LOCATION names the year in which it was written: Firehose glues the running one to the prefix.
        let year = Timestamp::now().strftime("%Y").to_string();
        for create in [CREATE_ECS, CREATE_EKS] {
            rows(&session, &create.replace("2019", &year)).await?;
        }
        rows(&session, CREATE_VIEW).await?;
        let rows_as_printed = number(&session, COUNT).await?;
        rows(&session, &CREATE_VIEW.replace("UNION", "UNION ALL")).await?;
        let eks = number(&session, "SELECT count(*) FROM fluentbit_eks").await?;
        let ecs = number(&session, "SELECT count(*) FROM fluentbit_ecs").await?;
        let (columns, top_ten) = rows(&session, TOP_TEN).await?;
        Ok(Findings {
            columns,
            top_ten,
            found: [eks, ecs],
            rows_as_printed,
            statement: TOP_TEN,
        })
    }
}

async fn number(session: &Session, sql: &str) -> Result<u64, Error> {
    let (_, rows) = rows(session, sql).await?;
    let cell = rows
        .first()
        .and_then(|row| row.first())
        .ok_or_else(|| format!("no answer to: {sql}"))?;
    Ok(cell.parse()?)
}

/// The names of the columns, and the rows as text; NULL as an empty text.
async fn rows(session: &Session, sql: &str) -> Result<(Vec<String>, Vec<Vec<String>>), Error> {
    let mut execution = session.execute(sql).await?;
    let columns = execution
        .columns()
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let rows = execution.collect().await?;
    let all = rows
        .into_iter()
        .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
        .collect();
    Ok((columns, all))
}
