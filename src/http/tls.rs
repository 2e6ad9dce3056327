//! TLS: the server certificate, the CAs of accepted clients, and the reload of their files while connections stay open.
//!
//! A configuration is never changed, only replaced for new connections. Each configuration has its own session cache, so a session is
//! not resumed under the next configuration. Where client certificates are required, sessions are not resumed at all: a
//! resumed session does not check the certificate again, and the certificate may have expired.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zeroize::{Zeroize, Zeroizing};

use crate::config;
use crate::files::{open_file, read_open_file};
use crate::limits::{TLS_FILE_BYTES, TLS_POLL_INTERVAL};

/// Why these files cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{setting}: cannot read {path}: {source}; name a PEM file that the service may read")]
    Unreadable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Others may read the private key.
    #[error("tls.key: other users may read the private key {path} (mode {mode:o}); run: chmod 600 {path}")]
    ReadableByOthers {
        /// The file.
        path: PathBuf,
        /// Its Unix mode bits.
        mode: u32,
    },
    /// The content of a file cannot be used.
    #[error("{setting}: {path} {words}")]
    Unusable {
        /// The setting that names the file.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong, and how to correct it.
        words: String,
    },
}

/// The current TLS configuration, and the files from which it is reloaded.
pub struct TlsReloader {
    files: TlsFilePaths,
    current: watch::Sender<Arc<ServerConfig>>,
    /// Digest of the files that were last loaded or rejected.
    last_digest: TlsFilesDigest,
    /// Notified when an operator requests a reload.
    reload: Arc<Notify>,
}

/// The files that the settings name.
#[derive(Clone)]
struct TlsFilePaths {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

/// The bytes of the files. Cleared from memory on drop.
struct TlsFileContents {
    cert: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Zeroizing<Vec<u8>>>,
}

/// SHA-256 of the files' contents, or of the read error.
pub(super) type TlsFilesDigest = [u8; 32];

impl TlsReloader {
    /// Loads the files that the settings name; `None` if the settings name none. A notification of `reload` loads them again.
    pub fn open(settings: &config::TlsSettings, reload: Arc<Notify>) -> Result<Option<TlsReloader>, Error> {
        let config::TlsSettings { cert: Some(cert), key: Some(key), client_ca } = settings.clone() else {
            return Ok(None);
        };
        let files = TlsFilePaths { cert, key, client_ca };
        let contents = files.read()?;
        let (config, fingerprint) = files.build_config(&contents)?;
        let client_ca = files.client_ca.as_ref().map(|path| path.display().to_string());
        tracing::info!(cert = %files.cert.display(), sha256 = fingerprint, client_ca, "serving over TLS");
        Ok(Some(TlsReloader { files, current: watch::channel(config).0, last_digest: contents.digest(), reload }))
    }

    /// Watches the files until `stop`. The receiver holds the configuration for new connections.
    pub(super) fn watch(self, stop: CancellationToken) -> watch::Receiver<Arc<ServerConfig>> {
        let receiver = self.current.subscribe();
        tokio::spawn(async move {
            let (mut tls, mut previous) = (self, None);
            let reload = tls.reload.clone();
            while let Some(request) = stop.run_until_cancelled(timeout(TLS_POLL_INTERVAL, reload.notified())).await {
                // The disk may be slow, and checking a large key takes time.
                let checked = spawn_blocking(move || {
                    previous = tls.check_files(previous, request.is_ok());
                    (tls, previous)
                });
                match checked.await {
                    Ok(checked) => (tls, previous) = checked,
                    Err(error) => return tracing::error!(%error, "the TLS files are no longer checked for changes"),
                }
            }
        });
        receiver
    }

    #[cfg(test)]
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        self.current.borrow().clone()
    }

    /// Reads the files. Loads changed files once two checks in a row found the same content, so that none is half written.
    /// With `is_forced`, an operator requested it, and they are loaded at once. Returns the digest for the next check.
    pub(super) fn check_files(&mut self, previous: Option<TlsFilesDigest>, is_forced: bool) -> Option<TlsFilesDigest> {
        let read = self.files.read();
        let digest = match &read {
            Ok(contents) => contents.digest(),
            Err(error) => Sha256::digest(error.to_string()).into(),
        };
        if !is_forced && (digest == self.last_digest || previous != Some(digest)) {
            return Some(digest);
        }
        self.last_digest = digest;
        let happened = if is_forced { "were read again" } else { "changed" };
        match read.and_then(|contents| self.files.build_config(&contents)) {
            Ok((config, fingerprint)) => {
                self.current.send_replace(config);
                let cert = self.files.cert.display();
                tracing::info!(%cert, sha256 = fingerprint, "the TLS files {happened}: new connections use them");
            }
            Err(error) => {
                tracing::warn!(%error, "the TLS files {happened} and cannot be used; the previous certificate is still \
                    served");
            }
        }
        Some(digest)
    }
}

impl TlsFilePaths {
    fn read(&self) -> Result<TlsFileContents, Error> {
        let cert = read_tls_file("tls.cert", &self.cert)?;
        let key = read_tls_file("tls.key", &self.key)?;
        let client_ca = self.client_ca.as_ref().map(|path| read_tls_file("tls.client_ca", path)).transpose()?;
        Ok(TlsFileContents { cert, key, client_ca })
    }

    /// Builds the configuration from the files; also returns the fingerprint of the certificate.
    fn build_config(&self, contents: &TlsFileContents) -> Result<(Arc<ServerConfig>, String), Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = self.load_certified_key(contents, &provider)?;
        let fingerprint = certified.cert.first().map_or_else(String::new, |leaf| fingerprint(leaf));
        let unusable = |words: String| unusable("tls.cert", &self.cert, words);
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| unusable(format!("cannot be used: {error}")))?;
        let resolver = Arc::new(SingleCertAndKey::from(certified));
        let mut config = match (&contents.client_ca, &self.client_ca) {
            (Some(pem), Some(path)) => {
                let roots = Arc::new(parse_client_cas(pem, path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                let verifier = verifier.map_err(|error| self::unusable("tls.client_ca", path, error.to_string()))?;
                let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(resolver);
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
            (_, _) => builder.with_no_client_auth().with_cert_resolver(resolver),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok((Arc::new(config), fingerprint))
    }

    /// The certificate with its key.
    fn load_certified_key(&self, contents: &TlsFileContents, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
        let chain = parse_certificates("tls.cert", &self.cert, &contents.cert)?;
        let wrong_key = |words: String| unusable("tls.key", &self.key, words);
        let mut key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| wrong_key("has no private key; it must be PEM without a password".to_owned()))?;
        let signing = provider.key_provider.load_private_key(key.clone_key());
        key.zeroize();
        let signing = signing.map_err(|error| wrong_key(format!("has a key of an unknown kind: {error}")))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(rustls::Error::InconsistentKeys(_)) => {
                let cert = self.cert.display();
                Err(wrong_key(format!("does not belong to the certificate in {cert} (tls.cert); name a matching pair")))
            }
            Err(error) => {
                let words = format!("begins with an invalid certificate: {error}; issue a new one");
                Err(unusable("tls.cert", &self.cert, words))
            }
        }
    }
}

impl TlsFileContents {
    fn digest(&self) -> TlsFilesDigest {
        let mut hash = Sha256::new();
        for bytes in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes.as_slice());
        }
        hash.finalize().into()
    }
}

/// Reads a file. A private key must be readable by its owner only. If the owner is root, the group may read it too. This is
/// how services that do not run as root get their keys (Debian's ssl-cert, Kubernetes' fsGroup).
fn read_tls_file(setting: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let unreadable = |source| Error::Unreadable { setting, path: path.to_owned(), source };
    let file = open_file(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if setting == "tls.key" && metadata.mode() & forbidden != 0 {
        return Err(Error::ReadableByOthers { path: path.to_owned(), mode: metadata.mode() & 0o777 });
    }
    read_open_file(&file, TLS_FILE_BYTES).map_err(unreadable)
}

/// Parses the certificates in a file. At least one is required.
fn parse_certificates(setting: &'static str, path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(unusable(setting, path, "has no certificate; it must be PEM (BEGIN CERTIFICATE)".to_owned())),
        Err(_) => Err(unusable(setting, path, "is not a complete PEM file; copy it again".to_owned())),
    }
}

/// Parses the CAs that sign accepted client certificates.
fn parse_client_cas(bytes: &[u8], path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in parse_certificates("tls.client_ca", path, bytes)? {
        roots.add(certificate).map_err(|error| {
            unusable(
                "tls.client_ca",
                path,
                format!("has a certificate that cannot be used as a CA: {error}; remove it"),
            )
        })?;
    }
    Ok(roots)
}

fn unusable(setting: &'static str, path: &Path, words: String) -> Error {
    Error::Unusable { setting, path: path.to_owned(), words }
}

/// SHA-256 fingerprint in the format of `openssl x509 -noout -fingerprint -sha256`.
fn fingerprint(certificate: &[u8]) -> String {
    let bytes = Sha256::digest(certificate);
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
