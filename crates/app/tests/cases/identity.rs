//! The sink's certificate: AWS's outputs speak TLS and nothing else.

use std::sync::{Arc, OnceLock};

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate that vouches for itself.
pub struct Identity {
    /// What programs are told to trust.
    pub certificate: String,
    /// How connections are taken.
    pub server: Arc<ServerConfig>,
}

/// This process's identity: made once, for every case.
pub fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let own = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(vec![own.cert.der().clone()], key)
            });
        Identity {
            certificate: own.cert.pem(),
            server: Arc::new(server.expect("a key that fits")),
        }
    })
}
