//! `tls` options.

use std::path::PathBuf;

use crate::text::Switch;
use crate::{Choice, Options};

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Choice)]
pub enum TlsVersion {
    /// TLS 1.0.
    #[choice(name = "TLSv1")]
    V1_0,
    /// TLS 1.1.
    #[choice(name = "TLSv1.1")]
    V1_1,
    /// TLS 1.2.
    #[choice(name = "TLSv1.2")]
    V1_2,
    /// TLS 1.3.
    #[choice(name = "TLSv1.3")]
    V1_3,
}

/// Encryption of connections.
#[derive(Debug, Clone, PartialEq, Options)]
#[options(repeated = "last")]
pub struct TlsOptions {
    /// Whether TLS is used.
    #[option(name = "tls", default = "off")]
    pub enabled: Switch,
    /// Whether the peer's certificate is verified.
    #[option(name = "tls.verify", default = "on", bad_value = "default")]
    pub verify: bool,
    /// Whether the certificate must be for the host (or `tls.vhost`) that was connected to.
    #[option(name = "tls.verify_hostname", default = "off")]
    pub verify_hostname: Switch,
    /// Whether clients must show a certificate. Only for inputs.
    #[option(
        name = "tls.verify_client_cert",
        default = "off",
        bad_value = "refused_at_load"
    )]
    pub verify_client_cert: bool,
    /// How much is said about TLS, from 0 (nothing) to 4.
    #[option(name = "tls.debug", default = "1")]
    pub debug: i64,
    /// A file with the certificates to trust; by default those of the system.
    #[option(name = "tls.ca_file")]
    pub ca_file: Option<PathBuf>,
    /// A folder with the certificates to trust.
    #[option(name = "tls.ca_path")]
    pub ca_path: Option<PathBuf>,
    /// The own certificate.
    #[option(name = "tls.crt_file")]
    pub crt_file: Option<PathBuf>,
    /// The own private key.
    #[option(name = "tls.key_file")]
    pub key_file: Option<PathBuf>,
    /// The password of the private key.
    #[option(name = "tls.key_passwd")]
    pub key_passwd: Option<String>,
    /// The host name to ask for (SNI).
    #[option(name = "tls.vhost")]
    pub vhost: Option<String>,
    /// The oldest version that is accepted.
    #[option(name = "tls.min_version")]
    pub min_version: Option<TlsVersion>,
    /// The newest version that is accepted.
    #[option(name = "tls.max_version")]
    pub max_version: Option<TlsVersion>,
    /// The ciphers for versions up to TLS 1.2.
    #[option(name = "tls.ciphers")]
    pub ciphers: Option<String>,
    /// Whether the certificate of an HTTPS proxy is verified.
    #[option(name = "tls.proxy.verify", default = "on", bad_value = "default")]
    pub proxy_verify: bool,
    /// Whether the certificate of an HTTPS proxy must be for its host.
    #[option(
        name = "tls.proxy.verify_hostname",
        default = "on",
        bad_value = "default"
    )]
    pub proxy_verify_hostname: bool,
    /// A file with the certificates to trust for an HTTPS proxy.
    #[option(name = "tls.proxy.ca_file")]
    pub proxy_ca_file: Option<PathBuf>,
    /// A folder with the certificates to trust for an HTTPS proxy.
    #[option(name = "tls.proxy.ca_path")]
    pub proxy_ca_path: Option<PathBuf>,
}
