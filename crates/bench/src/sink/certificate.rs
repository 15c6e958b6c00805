//! A certificate that vouches for itself, for one run.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

/// What TLS connections are accepted with, and where the certificate stands that senders have to trust.
pub fn make(address: IpAddr, ca_file: Option<PathBuf>) -> Result<(TlsAcceptor, PathBuf), String> {
    let path = ca_file.unwrap_or_else(|| {
        std::env::temp_dir().join(format!("flumen-bench-ca-{}.pem", std::process::id()))
    });
    let names = vec![
        "localhost".to_owned(),
        "127.0.0.1".to_owned(),
        "::1".to_owned(),
        address.to_string(),
    ];
    let certified = rcgen::generate_simple_self_signed(names).map_err(|error| error.to_string())?;
    std::fs::write(&path, certified.cert.pem())
        .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(
        certified.signing_key.serialize_der(),
    ));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .map_err(|error| error.to_string())?;
    Ok((TlsAcceptor::from(Arc::new(config)), path))
}
