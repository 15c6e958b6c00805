//! CloudWatch Logs: DescribeLogGroups and DescribeLogStreams, which Fluentd's plugin asks before it sends. Whatever name is
//! asked for is there.

use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    log_group_name_prefix: Option<String>,
    log_stream_name_prefix: Option<String>,
}

/// Answers either; an error says that the request cannot be read.
pub fn describe(body: &[u8]) -> Result<Vec<u8>, String> {
    let input: Input = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let named = |key: &str, name: Option<String>| match name {
        Some(name) => vec![json!({ key: name })],
        None => Vec::new(),
    };
    let answer = json!({
        "logGroups": named("logGroupName", input.log_group_name_prefix),
        "logStreams": named("logStreamName", input.log_stream_name_prefix),
    });
    Ok(answer.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_there() {
        let answer = |body: &str| {
            let answer = describe(body.as_bytes()).unwrap();
            serde_json::from_slice::<serde_json::Value>(&answer).unwrap()
        };
        let groups = answer(r#"{"logGroupNamePrefix":"app"}"#);
        assert_eq!(groups["logGroups"][0]["logGroupName"], "app");
        let streams = answer(r#"{"logGroupName":"app","logStreamNamePrefix":"a"}"#);
        assert_eq!(streams["logStreams"][0]["logStreamName"], "a");
        assert!(describe(b"[").is_err());
    }
}
