//! Certificates and keys from files, with errors that name the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is no PEM, or not of what is wanted.
    #[error("{} holds no {wanted} in PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
        /// What was found.
        #[source]
        source: PemError,
    },
    /// Certificate and key do not go together.
    #[error("{} and {} cannot be used together", certificates.display(), key.display())]
    Pair {
        /// The certificates' file.
        certificates: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
}

/// The one cryptography provider of the project, handed over explicitly wherever one is wanted.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads a chain of certificates, the end entity first; there is at least one.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let pem = |source| TlsFileError::Pem { path: path.to_owned(), wanted: "certificate", source };
    let certificates = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if certificates.is_empty() {
        return Err(pem(PemError::NoItemsFound));
    }
    Ok(certificates)
}

/// Reads a private key (PKCS#8, PKCS#1 or SEC1).
pub fn load_private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| TlsFileError::Pem {
        path: path.to_owned(),
        wanted: "private key",
        source,
    })
}

/// The configuration of an HTTPS listener with the given ALPN names, such as `h2` and `http/1.1`.
pub fn server_config(certificates: &Path, key: &Path, alpn: &[&[u8]]) -> Result<ServerConfig, TlsFileError> {
    let chain = load_certificates(certificates)?;
    let private_key = load_private_key(key)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private_key))
        .map_err(|source| TlsFileError::Pair { certificates: certificates.to_owned(), key: key.to_owned(), source })?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(path).map_err(|source| TlsFileError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn written(dir: &Path, names: &[&str]) -> (PathBuf, PathBuf) {
        let made = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let made = made.unwrap();
        let (certificate, key) = (dir.join(format!("{}.pem", names[0])), dir.join(format!("{}.key", names[0])));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    #[test]
    fn a_pair_makes_a_listener() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = written(dir.path(), &["a.example"]);
        let config = server_config(&certificate, &key, &[b"h2", b"http/1.1"]).unwrap();
        assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(load_certificates(&certificate).unwrap().len(), 1);
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = written(dir.path(), &["a.example"]);
        let (_, other_key) = written(dir.path(), &["b.example"]);
        let missing = dir.path().join("missing.pem");
        let names = |error: TlsFileError, path: &Path| {
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
        };
        names(load_certificates(&missing).unwrap_err(), &missing);
        // The two files in each other's place.
        names(load_certificates(&key).unwrap_err(), &key);
        names(load_private_key(&certificate).unwrap_err(), &certificate);
        let mixed = server_config(&certificate, &other_key, &[]).unwrap_err();
        assert!(matches!(mixed, TlsFileError::Pair { .. }));
        names(mixed, &other_key);
    }
}
