//! What an error answer calls for: try again, renew the credentials, split, give up, or stop and wait for somebody. The
//! table is data; everything that is not in it is tried again, since dropping records for an error that nobody foresaw
//! would be worse than sending them once more.

/// What the sender of a request does about its failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Send the same request again later: throttled, overloaded, out of reach, not yet there, not yet permitted.
    Retry,
    /// The credentials were refused. They have been renewed where that is possible; send again later.
    RefreshCredentials,
    /// The request is too large: send its records in smaller ones.
    Split,
    /// This request will never be accepted as it is: its content is at fault. Only what is hopeless in it is given up.
    Permanent,
    /// No request will be accepted until somebody mends the destination, the account or the configuration: nothing is
    /// given up, records wait, and people are told.
    Stop,
}

use ErrorClass::{Permanent, RefreshCredentials, Retry, Split, Stop};

/// Error codes and their classes. Codes are compared in full; S3, query and JSON protocols share the table.
const CODES: &[(ErrorClass, &[&str])] = &[
    (
        // Fluent Bit's list: what makes it refresh its credentials.
        RefreshCredentials,
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "AccessDenied",
            "AccessDeniedException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "SignatureDoesNotMatch",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "InvalidClientTokenId",
            "InvalidToken",
            "InvalidAccessKeyId",
            "InvalidSecurity",
            "TokenRefreshRequired",
            "InvalidSignature",
            "InvalidSignatureException",
            "UnrecognizedClientException",
        ],
    ),
    (
        Split,
        &[
            "RequestEntityTooLarge",
            "RequestEntityTooLargeException",
            "RequestTooLarge",
            "RequestTooLargeException",
            "PayloadTooLargeException",
            "EntityTooLarge",
        ],
    ),
    (
        // About the request's content, whoever sends it and whenever.
        Permanent,
        &[
            "ValidationException",
            "ValidationError",
            "SerializationException",
            "InvalidArgumentException",
            "InvalidArgument",
            "InvalidParameterException",
            "InvalidParameterValue",
            "InvalidParameterCombination",
            "InvalidQueryParameter",
            "MalformedQueryString",
            "MissingParameter",
            "MissingAction",
            "MalformedInputException",
            "KeyTooLongError",
        ],
    ),
    (
        // About the account or the destination, which somebody can mend while the records wait.
        Stop,
        &[
            "ResourceNotFoundException",
            "InvalidKMSResourceException",
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "KMSOptInRequired",
            "InvalidSourceException",
            "NoSuchBucket",
            "InvalidBucketName",
            "PermanentRedirect",
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "AllAccessDisabled",
            "AccountProblem",
            "InvalidPayer",
            "NotSignedUp",
            "OptInRequired",
            "SubscriptionRequiredException",
            "UnknownOperationException",
        ],
    ),
];

/// Members of requests that hold the configured name of a destination: what a service finds wrong with those is wrong
/// with the configuration, not with the records.
const NAMES: [&str; 3] = ["'deliveryStreamName'", "'streamName'", "'bucket'"];

/// Codes with which a service says that the request's date is off, or may mean that.
const CLOCK_CODES: [&str; 6] = [
    "RequestTimeTooSkewed",
    "RequestExpired",
    "RequestInTheFuture",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "AuthFailure",
];

impl ErrorClass {
    /// The class of an answer with this status and, where there is one, this error code.
    pub fn of(status: u16, code: &str) -> Self {
        let of_code = CODES.iter().find(|(_, codes)| codes.contains(&code));
        match (of_code, status) {
            (Some((class, _)), _) => *class,
            (None, 413) => Split,
            (None, 401) => RefreshCredentials,
            (None, _) => Retry,
        }
    }

    /// The class of an answer that also says what it finds wrong.
    pub(crate) fn with_message(status: u16, code: &str, message: &str) -> Self {
        match Self::of(status, code) {
            Permanent if NAMES.iter().any(|name| message.contains(name)) => Stop,
            class => class,
        }
    }
}

/// The codes of the table that are of this class.
#[cfg(test)]
pub(crate) fn codes_of(class: ErrorClass) -> impl Iterator<Item = &'static str> {
    let of_class = CODES.iter().filter(move |(of, _)| *of == class);
    of_class.flat_map(|(_, codes)| codes.iter().copied())
}

/// Codes with which a service asks for less: those of the AWS SDKs' retry rules.
const LOAD_CODES: [&str; 16] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "SlowDown",
    "PriorRequestNotComplete",
    "ServiceUnavailableException",
    "EC2ThrottledException",
    "KMSThrottlingException",
];

/// Whether a service says with this code that it has too much to do.
pub(crate) fn is_about_load(code: &str) -> bool {
    LOAD_CODES.contains(&code)
}

/// Whether this code may mean that the clock is wrong.
pub(crate) fn is_about_the_clock(code: &str) -> bool {
    CLOCK_CODES.contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_classed() {
        let cases = [
            (400, "ThrottlingException", Retry),
            (400, "ProvisionedThroughputExceededException", Retry),
            (503, "ServiceUnavailableException", Retry),
            (503, "SlowDown", Retry),
            (500, "InternalFailure", Retry),
            (500, "", Retry),
            (429, "", Retry),
            (408, "", Retry),
            (404, "", Retry),
            (307, "TemporaryRedirect", Retry),
            (400, "ResourceNotFoundException", Stop),
            (404, "NoSuchBucket", Stop),
            (301, "PermanentRedirect", Stop),
            (400, "InvalidKMSResourceException", Stop),
            (400, "KMSThrottlingException", Retry),
            (400, "ResourceInUseException", Retry),
            (409, "OperationAbortedException", Retry),
            (400, "KeyTooLongError", Permanent),
            (400, "LimitExceededException", Retry),
            (400, "SomethingNew", Retry),
            (400, "ExpiredTokenException", RefreshCredentials),
            (403, "SignatureDoesNotMatch", RefreshCredentials),
            (400, "UnrecognizedClientException", RefreshCredentials),
            (403, "AccessDenied", RefreshCredentials),
            (401, "", RefreshCredentials),
            (413, "", Split),
            (413, "RequestEntityTooLargeException", Split),
            (400, "EntityTooLarge", Split),
            (400, "ValidationException", Permanent),
            (400, "InvalidArgumentException", Permanent),
            (400, "SerializationException", Permanent),
        ];
        for (status, code, expected) in cases {
            assert_eq!(ErrorClass::of(status, code), expected, "{status} {code}");
        }
    }

    #[test]
    fn a_name_from_the_configuration_is_no_fault_of_the_records() {
        let at = |member: &str| {
            let message = format!("1 validation error detected: Value 'a b' at '{member}' failed");
            ErrorClass::with_message(400, "ValidationException", &message)
        };
        assert_eq!(at("deliveryStreamName"), Stop);
        assert_eq!(at("streamName"), Stop);
        assert_eq!(at("records.1.member.data"), Permanent);
        let found = ErrorClass::with_message(400, "ThrottlingException", "'streamName'");
        assert_eq!(found, Retry);
    }

    #[test]
    fn no_code_has_two_classes() {
        let mut codes: Vec<_> = CODES.iter().flat_map(|(_, codes)| codes.iter()).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }
}
