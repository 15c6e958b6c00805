//! TLS of listening inputs: rustls on ring, from Fluent Bit's `tls.*` options.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{TlsOptions, TlsVersion};
use pkcs8::EncryptedPrivateKeyInfo;
use plugin::{BuildError, Log};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio_rustls::TlsAcceptor;

/// What begins a private key that is protected by a password.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// What encrypts the connections of an input; nothing if `tls` is off. `protocols` are offered by name (ALPN).
///
/// # Errors
/// When a file is missing or cannot be used, or when options contradict each other: a listener that should be protected
/// does not start without.
pub fn acceptor(
    options: &TlsOptions,
    protocols: &[&[u8]],
    log: &Log,
) -> Result<Option<TlsAcceptor>, BuildError> {
    if !options.enabled.0 {
        return Ok(None);
    }
    if options.ciphers.is_some() {
        log.warn(format_args!(
            "tls.ciphers has no effect: only ciphers that are considered safe are offered"
        ));
    }
    let (chain, key) = identity(options)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(options, log)?)
        .map_err(|error| BuildError(format!("tls: {error}")))?;
    let builder = match options.verify_client_cert {
        false => builder.with_no_client_auth(),
        true => {
            let roots = Arc::new(authorities(options)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .map_err(|error| BuildError(format!("tls.verify_client_cert: {error}")))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| BuildError(format!("tls.crt_file and tls.key_file: {error}")))?;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn identity(
    options: &TlsOptions,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), BuildError> {
    let (Some(chain), Some(key)) = (&options.crt_file, &options.key_file) else {
        let missing = match options.crt_file {
            None => "tls.crt_file",
            Some(_) => "tls.key_file",
        };
        return Err(BuildError(format!(
            "'tls on' needs {missing}: an input shows a certificate to its senders"
        )));
    };
    let chain = certificates("tls.crt_file", chain)?;
    Ok((chain, private_key(key, options.key_passwd.as_deref())?))
}

fn private_key(path: &Path, password: Option<&str>) -> Result<PrivateKeyDer<'static>, BuildError> {
    let text = fs::read_to_string(path).map_err(|error| fault("tls.key_file", path, error))?;
    let Some(start) = text.find(ENCRYPTED) else {
        return PrivateKeyDer::from_pem_slice(text.as_bytes())
            .map_err(|error| fault("tls.key_file", path, error));
    };
    let Some(password) = password else {
        return Err(fault(
            "tls.key_file",
            path,
            "is encrypted: tls.key_passwd is needed",
        ));
    };
    let (_, document) = pkcs8::SecretDocument::from_pem(text[start..].trim())
        .map_err(|error| fault("tls.key_file", path, error))?;
    let key = EncryptedPrivateKeyInfo::try_from(document.as_bytes())
        .and_then(|encrypted| encrypted.decrypt(password))
        .map_err(|_| {
            fault(
                "tls.key_file",
                path,
                "tls.key_passwd does not open it, or it is encrypted in a way that is not understood (PBES2 is)",
            )
        })?;
    Ok(PrivatePkcs8KeyDer::from(key.as_bytes().to_vec()).into())
}

fn certificates(
    option: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| fault(option, path, error))?;
    match found.is_empty() {
        true => Err(fault(option, path, "holds no certificate in PEM form")),
        false => Ok(found),
    }
}

/// Who may vouch for senders.
fn authorities(options: &TlsOptions) -> Result<RootCertStore, BuildError> {
    let mut files: Vec<(&'static str, PathBuf)> = Vec::new();
    files.extend(
        options
            .ca_file
            .iter()
            .map(|path| ("tls.ca_file", path.clone())),
    );
    if let Some(folder) = &options.ca_path {
        let entries = fs::read_dir(folder).map_err(|error| fault("tls.ca_path", folder, error))?;
        let paths = entries.flatten().map(|entry| entry.path());
        files.extend(
            paths
                .filter(|path| path.is_file())
                .map(|path| ("tls.ca_path", path)),
        );
    }
    let mut roots = RootCertStore::empty();
    for (option, path) in &files {
        for certificate in certificates(option, path)? {
            roots
                .add(certificate)
                .map_err(|error| fault(option, path, error))?;
        }
    }
    match roots.is_empty() {
        true => Err(BuildError(
            "tls.verify_client_cert needs tls.ca_file or tls.ca_path: whom to believe".to_owned(),
        )),
        false => Ok(roots),
    }
}

fn versions(
    options: &TlsOptions,
    log: &Log,
) -> Result<Vec<&'static SupportedProtocolVersion>, BuildError> {
    let least = options.min_version.unwrap_or(TlsVersion::V1_2);
    let most = options.max_version.unwrap_or(TlsVersion::V1_3);
    if least < TlsVersion::V1_2 {
        log.warn(format_args!(
            "tls.min_version is raised to TLSv1.2: what is older is broken"
        ));
    }
    let known = [
        (TlsVersion::V1_2, &rustls::version::TLS12),
        (TlsVersion::V1_3, &rustls::version::TLS13),
    ];
    let versions: Vec<_> = known
        .into_iter()
        .filter(|(version, _)| (least..=most).contains(version))
        .map(|(_, known)| known)
        .collect();
    match versions.is_empty() {
        true => Err(BuildError(
            "tls.min_version and tls.max_version leave no version: TLSv1.2 and TLSv1.3 are understood".to_owned(),
        )),
        false => Ok(versions),
    }
}

fn fault(option: &str, path: &Path, problem: impl fmt::Display) -> BuildError {
    BuildError(format!("{option} {}: {problem}", path.display()))
}
