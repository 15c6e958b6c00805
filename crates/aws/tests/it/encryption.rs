//! TLS: who is trusted, under which name, and what is refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws::{CallError, ClientOptions, Delivery, NetOptions, TlsOptions, TlsVersion};
use rcgen::{CertifiedKey, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};

use crate::server::{Reply, Server};
use crate::{client, on_a_shard, options};

const TARGET: &str = "Firehose_20150804.PutRecordBatch";

/// A certificate that vouches for itself, as a file and for a server.
struct Identity {
    certified: CertifiedKey<KeyPair>,
    folder: tempfile::TempDir,
}

impl Identity {
    fn of(name: &str) -> Self {
        let certified = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("crt.pem"), certified.cert.pem()).unwrap();
        std::fs::write(
            folder.path().join("key.pem"),
            certified.signing_key.serialize_pem(),
        )
        .unwrap();
        Self { certified, folder }
    }

    fn crt(&self) -> Option<PathBuf> {
        Some(self.folder.path().join("crt.pem"))
    }

    fn key(&self) -> Option<PathBuf> {
        Some(self.folder.path().join("key.pem"))
    }

    fn server_config(
        &self,
        clients: Option<&Identity>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let mut roots = RootCertStore::empty();
                roots.add(clients.certified.cert.der().clone()).unwrap();
                let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    provider,
                );
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
            self.certified.signing_key.serialize_der(),
        ));
        builder
            .with_single_cert(vec![self.certified.cert.der().clone()], key)
            .unwrap()
    }

    fn serve(&self) -> Server {
        let config = self.server_config(None, &rustls::version::TLS13);
        Server::with_tls(Some(config), |seen, _| Reply::ok(seen.body.clone()))
    }
}

fn over_tls(server: &Server, tls: TlsOptions) -> ClientOptions {
    ClientOptions {
        tls,
        ..options(&format!("https://localhost:{}", server.port()))
    }
}

fn post(server: &Server, tls: TlsOptions) -> Result<(), String> {
    let client = client(over_tls(server, tls));
    match on_a_shard(client.post_json(TARGET, "{}")) {
        Ok(_) => Ok(()),
        Err(error) => {
            assert_eq!(error.delivery(), Delivery::NeverSent, "{error}");
            Err(error.to_string())
        }
    }
}

#[test]
fn a_given_authority_is_trusted_and_connections_are_kept() {
    let identity = Identity::of("localhost");
    let server = identity.serve();
    let client = client(over_tls(
        &server,
        TlsOptions {
            ca_file: identity.crt(),
            ..TlsOptions::default()
        },
    ));
    on_a_shard(async {
        for size in [1, 5 * 1024 * 1024, 70_000] {
            let body = vec![b'y'; size];
            assert!(client.post_json(TARGET, body.clone()).await.unwrap().body == body);
            // What is enough of it need not be decrypted into room of its own.
            let call = aws::Request::json(TARGET, &body).with_enough(|body| body.starts_with(b"y"));
            let answer = client.send(call).await.unwrap().body;
            assert!(!answer.is_empty() && body.starts_with(&answer));
        }
    });
    assert_eq!(server.connections(), 1);
    assert_eq!(server.names(), [Some("localhost".to_owned())]);
}

#[test]
fn an_unknown_authority_is_refused_unless_nothing_is_verified() {
    let (identity, other) = (Identity::of("localhost"), Identity::of("localhost"));
    let server = identity.serve();
    let default = TlsOptions::default;
    let refused = [
        default(),
        TlsOptions {
            ca_file: other.crt(),
            ..default()
        },
        TlsOptions {
            ca_file: other.crt(),
            verify_hostname: false,
            ..default()
        },
    ];
    for tls in refused {
        let error = post(&server, tls).unwrap_err();
        assert!(
            error.contains("no encrypted connection") && error.contains("certificate"),
            "{error}"
        );
    }
    assert_eq!(
        post(
            &server,
            TlsOptions {
                verify: false,
                ..default()
            }
        ),
        Ok(())
    );
    let folder = identity.folder.path().to_owned();
    assert_eq!(
        post(
            &server,
            TlsOptions {
                ca_path: Some(folder),
                ..default()
            }
        ),
        Ok(())
    );
}

#[test]
fn a_certificate_for_another_host_is_refused_unless_names_are_not_verified() {
    let identity = Identity::of("firehose.example");
    let server = identity.serve();
    let trusting = || TlsOptions {
        ca_file: identity.crt(),
        ..TlsOptions::default()
    };
    let error = post(&server, trusting()).unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");
    assert_eq!(
        post(
            &server,
            TlsOptions {
                verify_hostname: false,
                ..trusting()
            }
        ),
        Ok(())
    );
    assert_eq!(
        post(
            &server,
            TlsOptions {
                vhost: Some("firehose.example".into()),
                ..trusting()
            }
        ),
        Ok(())
    );
    assert_eq!(
        server.names().last().unwrap().as_deref(),
        Some("firehose.example")
    );
}

#[test]
fn a_client_certificate_is_shown_when_asked_for() {
    let (identity, known, stranger) = (
        Identity::of("localhost"),
        Identity::of("us"),
        Identity::of("them"),
    );
    let config = identity.server_config(Some(&known), &rustls::version::TLS12);
    let server = Server::with_tls(Some(config), |_, _| Reply::ok(""));
    let with = |client: &Identity| TlsOptions {
        ca_file: identity.crt(),
        crt_file: client.crt(),
        key_file: client.key(),
        ..TlsOptions::default()
    };
    assert_eq!(post(&server, with(&known)), Ok(()));
    assert!(post(&server, with(&stranger)).is_err());
}

#[test]
fn versions_are_limited_from_both_sides() {
    let identity = Identity::of("localhost");
    let config = identity.server_config(None, &rustls::version::TLS12);
    let server = Server::with_tls(Some(config), |_, _| Reply::ok(""));
    let trusting = || TlsOptions {
        ca_file: identity.crt(),
        ..TlsOptions::default()
    };
    assert_eq!(post(&server, trusting()), Ok(()));
    assert_eq!(
        post(
            &server,
            TlsOptions {
                max_version: Some(TlsVersion::V1_2),
                ..trusting()
            }
        ),
        Ok(())
    );
    assert!(
        post(
            &server,
            TlsOptions {
                min_version: Some(TlsVersion::V1_3),
                ..trusting()
            }
        )
        .is_err()
    );
}

#[test]
fn a_server_that_does_not_speak_tls_is_an_error() {
    let server = Server::start(|_, _| Reply::ok(""));
    assert!(
        post(&server, TlsOptions::default())
            .unwrap_err()
            .contains("no encrypted connection")
    );
}

#[test]
fn a_handshake_that_nobody_answers_ends_with_the_connect_timeout() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let net = NetOptions {
        connect_timeout: Duration::from_millis(30),
        ..NetOptions::default()
    };
    let client = client(ClientOptions {
        net,
        ..options(&format!("https://127.0.0.1:{port}"))
    });
    let error = on_a_shard(client.post_json(TARGET, "{}")).unwrap_err();
    assert!(matches!(error, CallError::NoAnswer(_)) && error.delivery() == Delivery::NeverSent);
    assert!(error.to_string().contains("net.connect_timeout"), "{error}");
}

#[test]
fn a_connection_that_the_server_closed_is_not_used_again() {
    let identity = Identity::of("localhost");
    let server = identity.serve();
    let tls = TlsOptions {
        ca_file: identity.crt(),
        ..TlsOptions::default()
    };
    let client = client(ClientOptions {
        auto_retry_requests: false,
        ..over_tls(&server, tls)
    });
    on_a_shard(async {
        client.post_json(TARGET, "{}").await.unwrap();
        server.close_connections();
        client.post_json(TARGET, "{}").await.unwrap();
    });
    assert_eq!((server.connections(), server.seen().len()), (2, 2));
}
