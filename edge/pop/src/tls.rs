//! The certificate that HTTPS shows.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsFiles;

/// Why HTTPS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file holds nothing of use.
    #[error("{} holds no {wanted} in PEM form", path.display())]
    Empty {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Certificate and key do not go together.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// An HTTPS address without a certificate.
    #[error("https is given but neither tls files nor a certificate of the program's own")]
    NoCertificate,
}

/// Reads a certificate chain and its key.
pub(crate) fn from_files(files: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let chain = rustls_pemfile::certs(&mut open(&files.certificate_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Read { path: files.certificate_file.clone(), source })?;
    if chain.is_empty() {
        return Err(TlsError::Empty { path: files.certificate_file.clone(), wanted: "certificate" });
    }
    let key = rustls_pemfile::private_key(&mut open(&files.key_file)?)
        .map_err(|source| TlsError::Read { path: files.key_file.clone(), source })?
        .ok_or_else(|| TlsError::Empty { path: files.key_file.clone(), wanted: "private key" })?;
    // Named here, so that it does not depend on which provider another part of the process installed.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(config)
}

/// An acceptor that offers HTTP/2 and HTTP/1.1.
pub(crate) fn acceptor(config: &ServerConfig) -> TlsAcceptor {
    let mut config = config.clone();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

fn open(path: &Path) -> Result<BufReader<File>, TlsError> {
    let file = File::open(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })?;
    Ok(BufReader::new(file))
}
