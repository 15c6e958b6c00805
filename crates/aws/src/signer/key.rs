//! The signing key, derived from the secret for one day, region and service, and the signature made with it.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use ring::hmac::{self, Context, HMAC_SHA256, Key};

use super::{DateTime, Hex, Scope};
use crate::credentials::Credentials;

/// The last derived key, used until the day or the credentials change.
#[derive(Default)]
pub(super) struct KeyOfTheDay(Mutex<Option<Derived>>);

struct Derived {
    day: String,
    credentials: Credentials,
    key: Key,
}

impl KeyOfTheDay {
    pub fn derive(&self, credentials: &Credentials, date: &DateTime, scope: &Scope) -> Key {
        let mut derived = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*derived {
            Some(known) if known.day == date.day() && known.credentials.same_as(credentials) => {
                known.key.clone()
            }
            _ => {
                let key = derive(credentials.secret_access_key(), date, scope);
                let (day, credentials) = (date.day().to_owned(), credentials.clone());
                *derived = Some(Derived {
                    day,
                    credentials,
                    key: key.clone(),
                });
                key
            }
        }
    }
}

impl fmt::Debug for KeyOfTheDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KeyOfTheDay")
    }
}

fn derive(secret: &str, date: &DateTime, scope: &Scope) -> Key {
    let first = Key::new(HMAC_SHA256, format!("AWS4{secret}").as_bytes());
    let parts = [
        date.day(),
        &scope.region,
        scope.service.name(),
        "aws4_request",
    ];
    parts.iter().fold(first, |key, part| {
        Key::new(HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref())
    })
}

/// The signature over the string to sign: algorithm, time, scope, and the hash of the canonical request.
pub(super) fn signature(key: &Key, date: &DateTime, scope: &Scope, request: &Hex) -> Hex {
    let mut text = Context::with_key(key);
    let head = [
        "AWS4-HMAC-SHA256\n",
        date.full(),
        "\n",
        date.day(),
        "/",
        &scope.region,
        "/",
    ];
    let tail = [scope.service.name(), "/aws4_request\n", request.text()];
    for part in head.iter().chain(&tail) {
        text.update(part.as_bytes());
    }
    Hex::of(text.sign().as_ref())
}
