//! Why a call brought no success, and what to do about it.

use std::time::Duration;

use crate::credentials::CredentialsError;
use crate::error_class::ErrorClass;
use crate::service_error::ServiceError;
use crate::transport::{ExchangeError, Reached};

/// A call that did not succeed. `Display` is a short reason for people; decisions go by the methods.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is nothing to sign with. Nothing was sent.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// No answer came.
    #[error(transparent)]
    NoAnswer(#[from] ExchangeError),
    /// The service answered with an error.
    #[error(transparent)]
    Refused(#[from] ServiceError),
}

/// How far a failed request got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// Nothing of it was processed: it was not sent.
    NeverSent,
    /// It was sent, at least in part, and no answer came: it may have been processed.
    NoVerdict,
    /// The service refused it.
    Refused,
}

impl CallError {
    /// What to do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Credentials(_) | Self::NoAnswer(_) => ErrorClass::Retry,
            Self::Refused(error) => error.class(),
        }
    }

    /// Whether the request may have been processed.
    pub fn delivery(&self) -> Delivery {
        match self {
            Self::Credentials(_) => Delivery::NeverSent,
            Self::NoAnswer(error) => match error.reached {
                Reached::NoConnection | Reached::Unsent => Delivery::NeverSent,
                Reached::ClosedWhileIdle | Reached::Sent => Delivery::NoVerdict,
            },
            Self::Refused(_) => Delivery::Refused,
        }
    }

    /// What somebody can do about it, in words; `None` if nothing but waiting helps, or nothing is known.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            Self::Refused(error) => error.advice(),
            Self::Credentials(_) | Self::NoAnswer(_) => None,
        }
    }

    /// Whether the service has too much to do: fewer requests at once would help.
    pub fn is_throttled(&self) -> bool {
        matches!(self, Self::Refused(error) if error.is_throttled())
    }

    /// How long the service asks to wait before the next attempt.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(error) => error.retry_after,
            _ => None,
        }
    }
}
