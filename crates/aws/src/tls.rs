//! TLS to the services: rustls on ring, the system's certificate authorities or a given file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
};

/// Sessions kept for resumption: one endpoint, a few connections.
const RESUMABLE_SESSIONS: usize = 8;

/// Fluent Bit's `tls.*` options as far as a client of AWS needs them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    /// `tls.verify`: whether the peer's certificate must come from a known authority.
    pub verify: bool,
    /// `tls.verify_hostname`: whether the certificate must be made out for the host. On here; off in Fluent Bit, where
    /// anyone with a certificate for any name can pose as the service.
    pub verify_hostname: bool,
    /// `tls.ca_file`: a PEM file of authorities, used instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `tls.ca_path`: a folder of such files.
    pub ca_path: Option<PathBuf>,
    /// `tls.crt_file`: a PEM certificate chain to identify ourselves with; needs `key_file`.
    pub crt_file: Option<PathBuf>,
    /// `tls.key_file`: the PEM private key of `crt_file`, not encrypted.
    pub key_file: Option<PathBuf>,
    /// `tls.vhost`: the name to ask for and to check, instead of the endpoint's host.
    pub vhost: Option<String>,
    /// `tls.min_version`; `None` is TLS 1.2, the oldest there is here.
    pub min_version: Option<TlsVersion>,
    /// `tls.max_version`; `None` is TLS 1.3.
    pub max_version: Option<TlsVersion>,
}

impl Default for TlsOptions {
    fn default() -> Self {
        Self {
            verify: true,
            verify_hostname: true,
            ca_file: None,
            ca_path: None,
            crt_file: None,
            key_file: None,
            vhost: None,
            min_version: None,
            max_version: None,
        }
    }
}

/// The protocol versions that rustls speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// A `tls.*` option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}{}: {problem}", shown(path.as_deref()))]
pub struct TlsError {
    option: &'static str,
    path: Option<PathBuf>,
    problem: String,
}

fn shown(path: Option<&Path>) -> String {
    path.map_or_else(String::new, |path| format!(" {}", path.display()))
}

/// What a connection needs to become an encrypted one. Given files are read when it is made; the system's authorities
/// (some 150 certificates) only when the first connection needs them, and once for the process.
pub(crate) struct Tls {
    options: TlsOptions,
    roots: Option<Arc<RootCertStore>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl Tls {
    pub fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        if options
            .min_version
            .zip(options.max_version)
            .is_some_and(|(min, max)| min > max)
        {
            let problem = "is older than tls.min_version".to_owned();
            return Err(TlsError {
                option: "tls.max_version",
                path: None,
                problem,
            });
        }
        Ok(Self {
            options: options.clone(),
            roots: given_roots(options)?.map(Arc::new),
            identity: identity(options)?,
            config: OnceLock::new(),
        })
    }

    /// The configuration and the name to ask for when connecting to `host`.
    pub fn for_host(&self, host: &str) -> Result<(Arc<ClientConfig>, ServerName<'static>), Error> {
        let name = self.options.vhost.as_deref().unwrap_or(host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            Error::General(format!("{name:?} is neither a host name nor an address"))
        })?;
        if let Some(config) = self.config.get() {
            return Ok((config.clone(), name));
        }
        let config = self.build()?;
        Ok((self.config.get_or_init(|| Arc::new(config)).clone(), name))
    }

    fn build(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&self.versions())?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider)?);
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key())?,
        };
        config.resumption = Resumption::in_memory_sessions(RESUMABLE_SESSIONS);
        Ok(config)
    }

    fn versions(&self) -> Vec<&'static SupportedProtocolVersion> {
        let known = [
            (TlsVersion::V1_2, &rustls::version::TLS12),
            (TlsVersion::V1_3, &rustls::version::TLS13),
        ];
        let least = self.options.min_version.unwrap_or(TlsVersion::V1_2);
        let most = self.options.max_version.unwrap_or(TlsVersion::V1_3);
        known
            .into_iter()
            .filter(|(version, _)| (least..=most).contains(version))
            .map(|(_, known)| known)
            .collect()
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        if !self.options.verify {
            return Ok(Arc::new(AnyCertificate(provider)));
        }
        let roots = self.roots.clone().unwrap_or_else(system_roots);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        if self.options.verify_hostname {
            Ok(verifier)
        } else {
            Ok(Arc::new(AnyName(verifier)))
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(formatter)
    }
}

/// The authorities of this machine, or Mozilla's where it has none (an image made from scratch).
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        Arc::new(roots)
    });
    roots.clone()
}

fn given_roots(options: &TlsOptions) -> Result<Option<RootCertStore>, TlsError> {
    let mut files: Vec<(&'static str, PathBuf)> = Vec::new();
    files.extend(
        options
            .ca_file
            .iter()
            .map(|path| ("tls.ca_file", path.clone())),
    );
    if let Some(folder) = &options.ca_path {
        let entries =
            std::fs::read_dir(folder).map_err(|error| fault("tls.ca_path", folder, error))?;
        files.extend(
            entries
                .flatten()
                .map(|entry| ("tls.ca_path", entry.path()))
                .filter(|(_, path)| path.is_file()),
        );
    }
    if options.ca_file.is_none() && options.ca_path.is_none() {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for (option, path) in &files {
        let found = certificates(option, path)?;
        if found.is_empty() && *option == "tls.ca_file" {
            return Err(fault(option, path, "holds no certificate in PEM form"));
        }
        let (_, refused) = roots.add_parsable_certificates(found);
        if refused > 0 && *option == "tls.ca_file" {
            return Err(fault(
                option,
                path,
                format_args!("{refused} of its certificates cannot be read"),
            ));
        }
    }
    if roots.is_empty() {
        let folder = options.ca_path.as_deref().unwrap_or(Path::new(""));
        return Err(fault(
            "tls.ca_path",
            folder,
            "holds no certificate in PEM form",
        ));
    }
    Ok(Some(roots))
}

fn identity(
    options: &TlsOptions,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, TlsError> {
    let (Some(chain), Some(key)) = (&options.crt_file, &options.key_file) else {
        return match (&options.crt_file, &options.key_file) {
            (Some(path), None) => Err(fault("tls.crt_file", path, "needs tls.key_file as well")),
            (None, Some(path)) => Err(fault("tls.key_file", path, "needs tls.crt_file as well")),
            _ => Ok(None),
        };
    };
    let certificates = certificates("tls.crt_file", chain)?;
    if certificates.is_empty() {
        return Err(fault(
            "tls.crt_file",
            chain,
            "holds no certificate in PEM form",
        ));
    }
    let key =
        PrivateKeyDer::from_pem_file(key).map_err(|error| fault("tls.key_file", key, error))?;
    Ok(Some((certificates, key)))
}

fn certificates(
    option: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| fault(option, path, error))
}

fn fault(option: &'static str, path: &Path, problem: impl fmt::Display) -> TlsError {
    TlsError {
        option,
        path: Some(path.to_owned()),
        problem: problem.to_string(),
    }
}

/// Checks the chain and the dates, but takes a certificate made out for any name (`tls.verify_hostname off`).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is what the verifier looks at last, so this error means that everything else was in order.
        match self
            .0
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

/// Takes any certificate (`tls.verify off`); the handshake itself is still checked.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(options: TlsOptions) -> String {
        Tls::new(&options)
            .err()
            .map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "nothing here\n").unwrap();
        let missing = folder.path().join("missing.pem");
        let default = TlsOptions::default;
        let cases = [
            (
                TlsOptions {
                    ca_file: Some(missing.clone()),
                    ..default()
                },
                "tls.ca_file",
                "missing.pem",
            ),
            (
                TlsOptions {
                    ca_file: Some(empty.clone()),
                    ..default()
                },
                "tls.ca_file",
                "holds no certificate",
            ),
            (
                TlsOptions {
                    ca_path: Some(missing.clone()),
                    ..default()
                },
                "tls.ca_path",
                "missing.pem",
            ),
            (
                TlsOptions {
                    ca_path: Some(folder.path().into()),
                    ..default()
                },
                "tls.ca_path",
                "holds no certificate",
            ),
            (
                TlsOptions {
                    crt_file: Some(empty.clone()),
                    ..default()
                },
                "tls.crt_file",
                "needs tls.key_file",
            ),
            (
                TlsOptions {
                    key_file: Some(empty),
                    ..default()
                },
                "tls.key_file",
                "needs tls.crt_file",
            ),
            (
                TlsOptions {
                    min_version: Some(TlsVersion::V1_3),
                    max_version: Some(TlsVersion::V1_2),
                    ..default()
                },
                "tls.max_version",
                "older",
            ),
        ];
        for (options, option, part) in cases {
            let shown = error(options);
            assert!(shown.starts_with(option) && shown.contains(part), "{shown}");
        }
    }

    #[test]
    fn the_systems_authorities_are_not_read_before_they_are_needed() {
        let tls = Tls::new(&TlsOptions::default()).unwrap();
        assert!(tls.roots.is_none() && tls.config.get().is_none());
        assert!(tls.for_host("not a host").is_err());
        assert!(tls.config.get().is_none());
    }
}
