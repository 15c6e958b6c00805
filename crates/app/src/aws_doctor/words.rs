//! Failures in words that say what to do.

use std::time::{Duration, SystemTime};

use aws::CallError;

use super::report::Finding;

/// A failed call as a problem. `action` is the permission that it needs, as policies write it.
pub fn failure(check: &'static str, error: &CallError, action: &str) -> Finding {
    let finding = Finding::problem(check, error.to_string());
    match error {
        CallError::Credentials(_) => finding.advise(NO_CREDENTIALS),
        CallError::NoAnswer(_) => finding.advise(NO_ANSWER),
        CallError::Refused(_) if is_denied(error) => finding.advise(format!(
            "allow {action} in a policy of the role or user under 'identity'"
        )),
        CallError::Refused(error) => match error.advice() {
            Some(advice) => finding.advise(advice),
            None => finding,
        },
    }
}

/// Whether the service says that we may not do this.
pub fn is_denied(error: &CallError) -> bool {
    let CallError::Refused(error) = error else {
        return false;
    };
    let code = error.code.as_str();
    // Answers to HEAD have no body, and so no code.
    matches!(code, "AccessDenied" | "AccessDeniedException")
        || (code.is_empty() && error.status == 403)
}

/// What to do where no source has credentials.
pub const NO_CREDENTIALS: &str = "give it some: a role for the pod, task or instance, AWS_ACCESS_KEY_ID with \
                                  AWS_SECRET_ACCESS_KEY, or the option profile";

/// What to do where nobody answers.
pub const NO_ANSWER: &str = "see to the way there: the name in DNS, the route (NAT or VPC endpoint), security groups, \
                             HTTP_PROXY and NO_PROXY, tls.ca_file";

/// A moment, and how far away it is: `2026-11-27T22:00:00Z, in 59 min`.
pub fn moment(at: SystemTime) -> String {
    let text = match jiff::Timestamp::try_from(at) {
        Ok(at) => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => "a time without a name".to_owned(),
    };
    match at.duration_since(SystemTime::now()) {
        Ok(left) => format!("{text}, in {}", rough(left)),
        Err(past) => format!("{text}, {} ago", rough(past.duration())),
    }
}

/// A span of time in one unit.
pub fn rough(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_unit() {
        let cases = [
            (0, "0 s"),
            (119, "119 s"),
            (3600, "60 min"),
            (7200, "2 h"),
            (200_000, "2 days"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(rough(Duration::from_secs(seconds)), expected);
        }
    }
}
