//! Temporary credentials: issued by STS, accepted by every service until they expire.
//!
//! Nothing is stored of them. What a session is stands in its token, which this lake has authenticated; its secret follows
//! from its access key id. Both need a key that only this lake has, so they outlive a restart, and there can be any number
//! of them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hmac::Mac;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::keyed;

const FILE: &str = "key";
const KEY_BYTES: usize = 32;
const MAC_BYTES: usize = 32;
/// What the ids of temporary access keys begin with.
const PREFIX: &str = "ASIA";
const BASE_32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// A token of a session whose names have their greatest lengths takes half of this.
const TOKEN_BYTES: usize = 8192;

/// Makes and checks temporary credentials.
#[derive(Clone)]
pub struct Sessions {
    key: [u8; KEY_BYTES],
}

/// Who a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The ARN that it goes by.
    pub arn: String,
    /// The unique id.
    pub user_id: String,
    /// Whether it is a role that was assumed.
    pub assumed_role: bool,
}

/// Temporary credentials.
#[derive(Clone)]
pub struct Issued {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expires: Timestamp,
}

/// Why a session is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionError {
    /// There is no such session, or its token is missing or another one's.
    Unknown,
    /// It is over.
    Expired,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Token {
    access_key_id: String,
    expires: i64,
    principal: Principal,
}

impl Sessions {
    /// The sessions of the lake that has its key in `folder`, which is made if it is missing. With another `secret` there
    /// are others: who changes it ends all sessions.
    pub fn open(folder: &Path, secret: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let stored = match fs::read(folder.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create_key(folder)?,
            stored => stored?,
        };
        if stored.len() != KEY_BYTES {
            let message = format!("{} is not a key", folder.join(FILE).display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let key = keyed(&stored, secret.as_bytes()).finalize().into_bytes();
        Ok(Self { key: key.into() })
    }

    fn create_key(folder: &Path) -> io::Result<Vec<u8>> {
        // Each has 122 bits of the system's randomness.
        let random = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
        let hash = random
            .iter()
            .fold(Sha256::new(), |hash, one| hash.chain_update(one.as_bytes()));
        let key = hash.finalize().to_vec();
        let temporary = folder.join("key.new");
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&key)?;
        file.sync_all()?;
        fs::rename(temporary, folder.join(FILE))?;
        File::open(folder)?.sync_all()?;
        Ok(key)
    }

    /// Sessions that end with the process, for tests of what is around them.
    #[cfg(test)]
    pub fn fixed() -> Self {
        Self {
            key: [7; KEY_BYTES],
        }
    }

    /// Credentials for `principal` until `expires`.
    pub fn issue(&self, principal: Principal, expires: Timestamp) -> Issued {
        let access_key_id = format!("{PREFIX}{}", random_id(16));
        let token = Token {
            access_key_id,
            expires: expires.as_second(),
            principal,
        };
        // Texts and a number always serialize.
        let mut bytes = serde_json::to_vec(&token).unwrap_or_default();
        let mac = self.mac("token", &bytes).finalize().into_bytes();
        bytes.extend(mac);
        Issued {
            secret_access_key: self.secret(&token.access_key_id),
            access_key_id: token.access_key_id,
            session_token: base64_simd::STANDARD.encode_to_string(bytes),
            expires,
        }
    }

    /// Whether an access key id is a session's, or looks like one.
    pub fn is_session(access_key_id: &str) -> bool {
        access_key_id.starts_with(PREFIX)
    }

    /// The session of that access key id, which `token` has to be of.
    pub fn find(
        &self,
        access_key_id: &str,
        token: &str,
        now: Timestamp,
    ) -> Result<Principal, SessionError> {
        let bytes = Some(token)
            .filter(|token| token.len() <= TOKEN_BYTES)
            .and_then(|token| base64_simd::STANDARD.decode_to_vec(token).ok());
        let bytes = bytes.ok_or(SessionError::Unknown)?;
        let length = bytes
            .len()
            .checked_sub(MAC_BYTES)
            .ok_or(SessionError::Unknown)?;
        let (said, mac) = bytes.split_at(length);
        // Compares in constant time.
        let holds = self.mac("token", said).verify_slice(mac).is_ok();
        let token: Token = Some(said)
            .filter(|_| holds)
            .and_then(|said| serde_json::from_slice(said).ok())
            .ok_or(SessionError::Unknown)?;
        if token.access_key_id != access_key_id {
            return Err(SessionError::Unknown);
        }
        match token.expires > now.as_second() {
            true => Ok(token.principal),
            false => Err(SessionError::Expired),
        }
    }

    /// The secret of a session's access key. That there is such a session is for [`find`](Self::find) to say.
    pub fn secret(&self, access_key_id: &str) -> String {
        let mac = self
            .mac("secret", access_key_id.as_bytes())
            .finalize()
            .into_bytes();
        let mut secret = base64_simd::STANDARD.encode_to_string(mac);
        secret.truncate(40);
        secret
    }

    fn mac(&self, purpose: &str, message: &[u8]) -> hmac::Hmac<Sha256> {
        let mut mac = keyed(&self.key, purpose.as_bytes());
        mac.update(&[0]);
        mac.update(message);
        mac
    }
}

/// `length` random characters as AWS's unique ids have them; at most 25.
pub fn random_id(length: usize) -> String {
    id_of(
        Uuid::new_v4().as_u128() ^ Uuid::new_v4().as_u128().rotate_left(64),
        length,
    )
}

/// The same for every call with `text`, and another for every other text.
pub fn derived_id(text: &str, length: usize) -> String {
    let hash = Sha256::digest(text.as_bytes());
    let number = hash
        .iter()
        .take(16)
        .fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    id_of(number, length)
}

fn id_of(number: u128, length: usize) -> String {
    let digit = |at: usize| char::from(BASE_32[(number >> (5 * at) & 31) as usize]);
    (0..length.min(25)).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn sessions_are_known_until_they_expire_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = |secret: &str| Sessions::open(&folder.path().join("sts"), secret).unwrap();
        let principal = Principal {
            arn: "arn:aws:sts::123456789012:assumed-role/r/s".to_owned(),
            user_id: "AROA:s".to_owned(),
            assumed_role: true,
        };
        let issued = open("s").issue(principal.clone(), at("2026-11-22T13:00:00Z"));
        assert_eq!(
            (issued.access_key_id.len(), issued.secret_access_key.len()),
            (20, 40)
        );
        let (id, token) = (issued.access_key_id.as_str(), issued.session_token.as_str());
        let sessions = open("s");
        assert_eq!(sessions.secret(id), issued.secret_access_key);
        let other = open("s").issue(principal.clone(), at("2026-11-22T13:00:00Z"));
        let mut changed = base64_simd::STANDARD.decode_to_vec(token).unwrap();
        changed[30] ^= 1;
        let changed = base64_simd::STANDARD.encode_to_string(changed);
        let before = "2026-11-22T12:59:59Z";
        for (sessions, token, now, expected) in [
            (&sessions, token, before, Ok(principal)),
            (
                &sessions,
                token,
                "2026-11-22T13:00:00Z",
                Err(SessionError::Expired),
            ),
            (
                &sessions,
                other.session_token.as_str(),
                before,
                Err(SessionError::Unknown),
            ),
            (
                &sessions,
                changed.as_str(),
                before,
                Err(SessionError::Unknown),
            ),
            (&sessions, "", before, Err(SessionError::Unknown)),
            (&sessions, "%", before, Err(SessionError::Unknown)),
            (&open("other"), token, before, Err(SessionError::Unknown)),
        ] {
            assert_eq!(sessions.find(id, token, at(now)), expected, "{token} {now}");
        }
    }
}
