//! Who may send: the handshake of the forward protocol (HELO, PING, PONG), as Fluent Bit 5.1.1's `in_forward` has it.
//!
//! Each connection gets a nonce and a salt of its own, so that what was overheard on another proves nothing. Digests are
//! compared in constant time; every user is looked at, whoever claims to be who. No more than [`PING_MAX`] bytes are read
//! before a sender has shown that it knows the secret.

use bytes::BytesMut;
use plugin::BuildError;
use record::msgpack::{Reader, write};
use ring::digest::{Context, SHA512};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::{Choice, ConstantTimeEq};
use tokio::time::timeout;

use super::Security;
use super::scan::{Found, Scan};
use crate::listening::door::HANDSHAKE_PATIENCE;
use crate::listening::stream::Stream;

/// The most bytes of a PING.
const PING_MAX: usize = 4 << 10;
const RANDOM_LEN: usize = 16;
const WRONG_USER: &str = "username/password mismatch";

/// What senders must know.
pub struct Secrets {
    shared_key: String,
    self_hostname: String,
    users: Vec<User>,
}

struct User {
    name: String,
    password: String,
}

/// What the router said first on a connection.
struct Hello {
    nonce: [u8; RANDOM_LEN],
    salt: [u8; RANDOM_LEN],
}

/// What a sender answered.
struct Ping<'a> {
    hostname: &'a [u8],
    salt: &'a [u8],
    digest: &'a [u8],
    user: &'a [u8],
    password_digest: &'a [u8],
}

/// What comes of a PING.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Welcome,
    /// It does not know the secret, and learns nothing from us.
    WrongKey,
    /// It is told so.
    WrongUser,
}

impl Secrets {
    /// What the options ask for; nothing if everybody may send.
    ///
    /// # Errors
    /// When they would let in more than who wrote them can have meant.
    pub fn of(options: &Security) -> Result<Option<Secrets>, BuildError> {
        let shared_key = match (&options.shared_key, options.empty_shared_key) {
            (None, true) => String::new(),
            (Some(key), false) if key.is_empty() => {
                return Err(
                    "shared_key is empty: say 'empty_shared_key on' if that is meant".into(),
                );
            }
            (Some(key), false) => key.clone(),
            (Some(_), true) => {
                return Err(
                    "shared_key and empty_shared_key contradict each other: give one of them"
                        .into(),
                );
            }
            (None, false) if options.users.is_empty() => return Ok(None),
            (None, false) => {
                return Err("security.users is set but no shared_key or empty_shared_key".into());
            }
        };
        let users = options.users.iter().map(|text| User::of(text));
        Ok(Some(Secrets {
            shared_key,
            self_hostname: options.self_hostname.clone(),
            users: users.collect::<Result<_, _>>()?,
        }))
    }

    /// Lets the sender show who it is. What it sent beyond that is appended to `buffer`. An error says why it is sent away.
    pub async fn check(&self, stream: &mut Stream, buffer: &mut BytesMut) -> Result<(), String> {
        match timeout(HANDSHAKE_PATIENCE, self.exchange(stream, buffer)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("the handshake took too long".to_owned()),
        }
    }

    async fn exchange(&self, stream: &mut Stream, buffer: &mut BytesMut) -> Result<(), String> {
        let hello = Hello::new()?;
        let failed = |error: std::io::Error| format!("the handshake failed: {error}");
        stream.write_all(&hello.frame()).await.map_err(failed)?;
        let end = read_ping(stream, buffer).await?;
        let bytes = buffer.split_to(end);
        let ping = Ping::read(&bytes).ok_or("what came instead of a PING is none")?;
        let verdict = self.judge(&hello, &ping);
        match verdict {
            Verdict::WrongKey => return Err("shared_key mismatch".to_owned()),
            Verdict::WrongUser => stream.write_all(&refusal()).await,
            Verdict::Welcome => stream.write_all(&self.welcome(&hello, &ping)).await,
        }
        .map_err(failed)?;
        match verdict {
            Verdict::Welcome => Ok(()),
            _ => Err(WRONG_USER.to_owned()),
        }
    }

    fn judge(&self, hello: &Hello, ping: &Ping<'_>) -> Verdict {
        let expected = self.key_digest(ping.salt, ping.hostname, hello);
        if !bool::from(expected.as_bytes().ct_eq(ping.digest)) {
            return Verdict::WrongKey;
        }
        if self.users.is_empty() {
            return Verdict::Welcome;
        }
        // All of them, so that it takes as long whoever it is.
        let known = self.users.iter().fold(Choice::from(0), |known, user| {
            let digest = digest(&[&hello.salt, user.name.as_bytes(), user.password.as_bytes()]);
            let is_user = user.name.as_bytes().ct_eq(ping.user);
            known | (is_user & digest.as_bytes().ct_eq(ping.password_digest))
        });
        match bool::from(known) {
            true => Verdict::Welcome,
            false => Verdict::WrongUser,
        }
    }

    fn key_digest(&self, salt: &[u8], hostname: &[u8], hello: &Hello) -> String {
        digest(&[salt, hostname, &hello.nonce, self.shared_key.as_bytes()])
    }

    fn welcome(&self, hello: &Hello, ping: &Ping<'_>) -> Vec<u8> {
        let name = self.self_hostname.as_bytes();
        let digest = self.key_digest(ping.salt, name, hello);
        pong(true, b"", name, digest.as_bytes())
    }
}

impl User {
    /// `NAME PASSWORD`; the password may hold blanks.
    fn of(text: &str) -> Result<User, BuildError> {
        match text.trim_start_matches(' ').split_once(' ') {
            Some((name, password)) if !password.trim_start().is_empty() => Ok(User {
                name: name.to_owned(),
                password: password.trim_start_matches(' ').to_owned(),
            }),
            // The value is not shown: it may be a password.
            _ => Err("security.users: expected a name, a blank and a password".into()),
        }
    }
}

impl Hello {
    fn new() -> Result<Hello, &'static str> {
        let random = || {
            let mut bytes = [0; RANDOM_LEN];
            let filled = SystemRandom::new().fill(&mut bytes);
            filled
                .map(|()| bytes)
                .map_err(|_| "there is no randomness for a handshake")
        };
        Ok(Hello {
            nonce: random()?,
            salt: random()?,
        })
    }

    /// `["HELO", {"nonce": …, "auth": …}]`.
    fn frame(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write::array_header(2, &mut out);
        write::str(b"HELO", &mut out);
        write::map_header(2, &mut out);
        write::str(b"nonce", &mut out);
        write::str(&self.nonce, &mut out);
        write::str(b"auth", &mut out);
        write::str(&self.salt, &mut out);
        out
    }
}

impl<'a> Ping<'a> {
    /// Takes `["PING", hostname, salt, digest, user, password digest]` apart.
    fn read(frame: &'a [u8]) -> Option<Ping<'a>> {
        let mut reader = Reader::new(frame);
        if reader.array().ok()? != 6 || reader.str().ok()? != b"PING" {
            return None;
        }
        Some(Ping {
            hostname: reader.str().ok()?,
            salt: reader.str().ok()?,
            digest: reader.str().ok()?,
            user: reader.str().ok()?,
            password_digest: reader.str().ok()?,
        })
    }
}

/// Reads until a whole frame is there: where it ends.
async fn read_ping(stream: &mut Stream, buffer: &mut BytesMut) -> Result<usize, String> {
    let mut scan = Scan::new();
    loop {
        match scan.advance(buffer, PING_MAX) {
            Ok(Found::End(ping)) => return Ok(ping.len),
            Ok(Found::Incomplete(_)) if buffer.len() < PING_MAX => {}
            Ok(Found::Incomplete(_)) | Err(_) => {
                return Err("what came instead of a PING is none".to_owned());
            }
        }
        let failed = |error: std::io::Error| format!("the handshake failed: {error}");
        stream.readable().await.map_err(failed)?;
        match stream.try_read(buffer, PING_MAX - buffer.len()) {
            Ok(0) => return Err("the sender left during the handshake".to_owned()),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
}

fn refusal() -> Vec<u8> {
    pong(false, WRONG_USER.as_bytes(), b"", b"")
}

/// `["PONG", may send, reason, own name, own digest]`.
fn pong(may_send: bool, reason: &[u8], hostname: &[u8], digest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::array_header(5, &mut out);
    write::str(b"PONG", &mut out);
    out.push(if may_send { 0xc3 } else { 0xc2 });
    write::str(reason, &mut out);
    write::str(hostname, &mut out);
    write::str(digest, &mut out);
    out
}

/// SHA-512 of `parts` one after the other, in hexadecimal digits.
fn digest(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA512);
    parts.iter().for_each(|part| context.update(part));
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A PING of a sender that knows these, in answer to the HELO in `hello`.
    pub fn ping(hello: &[u8], key: &str, user: &str, password: &str) -> Vec<u8> {
        // ["HELO", {"nonce": 16 bytes, "auth": 16 bytes}]
        let (nonce, salt) = (&hello[14..30], &hello[36..52]);
        let proof = digest(&[b"salt", b"sender", nonce, key.as_bytes()]);
        let password = digest(&[salt, user.as_bytes(), password.as_bytes()]);
        frame(&[
            b"PING",
            b"sender",
            b"salt",
            proof.as_bytes(),
            user.as_bytes(),
            password.as_bytes(),
        ])
    }

    fn frame(parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        write::array_header(parts.len(), &mut out);
        parts.iter().for_each(|part| write::str(part, &mut out));
        out
    }

    fn secrets(users: &[&str]) -> Secrets {
        let options = Security {
            shared_key: Some("secret".into()),
            empty_shared_key: false,
            self_hostname: "router".into(),
            users: users.iter().map(|&user| user.into()).collect(),
        };
        Secrets::of(&options)
            .ok()
            .flatten()
            .expect("they make sense")
    }

    fn judged(secrets: &Secrets, key: &str, user: &str, password: &str) -> Verdict {
        let hello = Hello::new().expect("randomness");
        let frame = ping(&hello.frame(), key, user, password);
        secrets.judge(&hello, &Ping::read(&frame).expect("a PING"))
    }

    #[test]
    fn whoever_knows_the_secret_is_welcome() {
        let nobody = secrets(&[]);
        assert_eq!(judged(&nobody, "secret", "", ""), Verdict::Welcome);
        for key in ["", "Secret", "secret ", "secre", "secret\0"] {
            assert_eq!(judged(&nobody, key, "", ""), Verdict::WrongKey, "{key}");
        }
    }

    #[test]
    fn users_need_their_own_password() {
        let two = secrets(&["ann one two", "bob  other"]);
        assert_eq!(judged(&two, "secret", "ann", "one two"), Verdict::Welcome);
        assert_eq!(judged(&two, "secret", "bob", "other"), Verdict::Welcome);
        for (user, password) in [
            ("ann", "other"),
            ("bob", "one two"),
            ("Ann", "one two"),
            ("an", "one two"),
            ("ann\0", "one two"),
            ("", ""),
            ("carl", "other"),
        ] {
            assert_eq!(
                judged(&two, "secret", user, password),
                Verdict::WrongUser,
                "{user}"
            );
        }
        assert_eq!(judged(&two, "other", "ann", "one two"), Verdict::WrongKey);
    }

    #[test]
    fn what_was_overheard_proves_nothing() {
        let nobody = secrets(&[]);
        let (one, two) = (
            Hello::new().expect("randomness"),
            Hello::new().expect("randomness"),
        );
        let frame = ping(&one.frame(), "secret", "", "");
        let overheard = Ping::read(&frame).expect("a PING");
        assert_eq!(nobody.judge(&one, &overheard), Verdict::Welcome);
        assert_eq!(nobody.judge(&two, &overheard), Verdict::WrongKey);
    }

    #[test]
    fn digests_that_are_cut_or_empty_prove_nothing() {
        let (nobody, hello) = (secrets(&[]), Hello::new().expect("randomness"));
        let proof = nobody.key_digest(b"salt", b"sender", &hello);
        for end in [0, 1, 127] {
            let frame = frame(&[
                b"PING",
                b"sender",
                b"salt",
                &proof.as_bytes()[..end],
                b"",
                b"",
            ]);
            let cut = Ping::read(&frame).expect("a PING");
            assert_eq!(nobody.judge(&hello, &cut), Verdict::WrongKey);
        }
        let upper = proof.to_ascii_uppercase();
        let frame = frame(&[b"PING", b"sender", b"salt", upper.as_bytes(), b"", b""]);
        let upper = Ping::read(&frame).expect("a PING");
        assert_eq!(nobody.judge(&hello, &upper), Verdict::WrongKey);
    }

    #[test]
    fn what_is_no_ping_is_none() {
        for bad in [
            &b"\x90"[..],
            b"\x96\xa4PING\xa1a\xa1a\xa1a\xa1a\x01",
            b"\x95\xa4PING\xa1a\xa1a\xa1a\xa1a",
            b"\x96\xa4PONG\xa1a\xa1a\xa1a\xa1a\xa1a",
            b"\x96\xa5PINGS\xa1a\xa1a\xa1a\xa1a\xa1a",
            b"\x81\xa4PING\xa1a",
        ] {
            assert!(Ping::read(bad).is_none(), "{bad:x?}");
        }
    }

    #[test]
    fn the_answer_proves_that_we_know_it_too() {
        let (nobody, hello) = (secrets(&[]), Hello::new().expect("randomness"));
        let frame = ping(&hello.frame(), "secret", "", "");
        let ping = Ping::read(&frame).expect("a PING");
        let proof = digest(&[b"salt", b"router", &hello.nonce, b"secret"]);
        let expected = [b"\x95\xa4PONG\xc3\xa0\xa6router\xd9\x80", proof.as_bytes()].concat();
        assert_eq!(nobody.welcome(&hello, &ping), expected);
        assert_eq!(
            refusal(),
            b"\x95\xa4PONG\xc2\xbausername/password mismatch\xa0\xa0"
        );
    }
}
