//! What somebody can do about an error that does not go away by itself.

/// Error codes and what to do about them, for people.
const ADVICE: &[(&str, &[&str])] = &[
    (
        "the credentials have ended: sign in again, or look at what hands them out",
        &[
            "ExpiredToken",
            "ExpiredTokenException",
            "TokenRefreshRequired",
        ],
    ),
    (
        "allow the action that the message names, for the role or user that it names",
        &[
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "AllAccessDisabled",
        ],
    ),
    (
        "check that the access key exists and is active in this account and partition, and that the session token is \
         its own",
        &[
            "InvalidAccessKeyId",
            "InvalidClientTokenId",
            "InvalidSecurity",
            "InvalidToken",
            "UnrecognizedClientException",
        ],
    ),
    (
        "check that the secret belongs to the access key, and that no proxy changes requests on their way",
        &[
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidSignature",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "SignatureDoesNotMatch",
        ],
    ),
    (
        "create it, or correct its name, the region or the account",
        &["NoSuchBucket", "ResourceNotFoundException"],
    ),
    (
        "set the option region to the one that the bucket is in",
        &[
            "AuthorizationHeaderMalformed",
            "IllegalLocationConstraintException",
            "PermanentRedirect",
        ],
    ),
    ("correct the option bucket", &["InvalidBucketName"]),
    (
        "enable the region or the service for the account",
        &[
            "NotSignedUp",
            "OptInRequired",
            "SubscriptionRequiredException",
        ],
    ),
    (
        "the account cannot use the service: see its billing and its messages from AWS",
        &["AccountProblem", "InvalidPayer"],
    ),
    (
        "see to the KMS key of the destination: it must exist, be enabled, and its policy must allow the use",
        &[
            "InvalidKMSResourceException",
            "KMSAccessDeniedException",
            "KMSDisabledException",
            "KMSInvalidStateException",
            "KMSNotFoundException",
            "KMSOptInRequired",
        ],
    ),
    (
        "this delivery stream decompresses data of CloudWatch Logs and takes no other: use another one",
        &["InvalidSourceException"],
    ),
    (
        "the endpoint does not serve this: correct the option endpoint or AWS_ENDPOINT_URL",
        &["UnknownOperationException"],
    ),
    (
        "set the clock of this machine (NTP)",
        &[
            "RequestExpired",
            "RequestInTheFuture",
            "RequestTimeTooSkewed",
        ],
    ),
];

/// What to do about an error code; `None` if nothing but waiting helps, or nothing is known.
pub(crate) fn for_code(code: &str) -> Option<&'static str> {
    let found = ADVICE.iter().find(|(_, codes)| codes.contains(&code));
    found.map(|(text, _)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_class::{ErrorClass, codes_of};

    #[test]
    fn there_is_advice_for_whatever_waits_for_somebody() {
        for class in [ErrorClass::Stop, ErrorClass::RefreshCredentials] {
            for code in codes_of(class) {
                assert!(for_code(code).is_some(), "{code}");
            }
        }
        assert_eq!(for_code("ThrottlingException"), None);
        assert_eq!(for_code(""), None);
    }
}
