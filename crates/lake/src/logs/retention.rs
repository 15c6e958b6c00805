//! PutRetentionPolicy and DeleteRetentionPolicy.

use http::Response;
use s3s::Body;
use serde::Deserialize;

use super::face::{check_group, find, invalid, nothing, on_disk, refuse};
use crate::aws_json::{ApiError, parse};
use crate::lake::Inner;
use crate::limits;
use crate::streams::Violations;

/// `PutRetentionPolicy`. What has expired by it is out of sight at once and off the disk soon.
pub async fn put_retention_policy(lake: &Inner, body: &[u8]) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        log_group_name: Option<String>,
        retention_in_days: Option<i64>,
    }
    let input: Input = parse(body)?;
    let mut violations = Violations::default();
    check_group(input.log_group_name.as_deref(), &mut violations)?;
    let Some(days) = input.retention_in_days else {
        violations.add_missing("retentionInDays");
        return refuse(violations).map(|()| nothing());
    };
    refuse(violations)?;
    let known = limits::RETENTION_DAYS
        .into_iter()
        .find(|known| i64::from(*known) == days);
    let Some(days) = known else {
        let allowed = limits::RETENTION_DAYS.map(|days| days.to_string());
        return Err(invalid(format!(
            "Invalid retention value: {days}. Allowed are {}.",
            allowed.join(", ")
        )));
    };
    change(lake, input.log_group_name, Some(days)).await
}

/// `DeleteRetentionPolicy`: events are kept for ever.
pub async fn delete_retention_policy(
    lake: &Inner,
    body: &[u8],
) -> Result<Response<Body>, ApiError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        log_group_name: Option<String>,
    }
    let input: Input = parse(body)?;
    change(lake, input.log_group_name, None).await
}

async fn change(
    lake: &Inner,
    name: Option<String>,
    days: Option<u32>,
) -> Result<Response<Body>, ApiError> {
    let group = find(lake, name.as_deref(), None)?;
    on_disk(move || {
        group.redefine(|definition| {
            definition.retention_days = days;
            Ok::<_, ApiError>(())
        })
    })
    .await?;
    lake.log_groups.look_after_soon();
    Ok(nothing())
}
