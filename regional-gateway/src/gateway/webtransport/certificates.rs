//! What the server shows in QUIC's handshake: real certificates from files, or self-signed ones; both change while it
//! runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use ring::{digest, hmac};
use rookery_service::tls::{self, TlsFileError};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use super::development::{self, Pair};
use crate::config::WebTransportConfig;

/// How often files, or the time, are looked at.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(transparent)]
    Files(#[from] TlsFileError),
    #[error("a certificate cannot be made")]
    Issue(#[from] rcgen::Error),
    #[error("certificate and key cannot be used")]
    Key(#[from] rustls::Error),
}

/// The certificate of now, and where the next comes from.
pub struct Certificates {
    source: Source,
    shown: RwLock<Shown>,
    reset_key: hmac::Key,
}

enum Source {
    Files { certificate: PathBuf, key: PathBuf },
    Development { dir: PathBuf },
}

struct Shown {
    key: Arc<CertifiedKey>,
    /// SHA-256 of the current and the next one; none for those that a CA stands behind.
    hashes: Vec<String>,
    seen: Seen,
}

/// By what a change is noticed.
enum Seen {
    Files([Option<SystemTime>; 2]),
    Development(Pair),
}

impl Certificates {
    /// Loads or makes what the configuration asks for.
    pub fn open(config: &WebTransportConfig, now: OffsetDateTime) -> Result<Arc<Self>, CertificateError> {
        let source = match (&config.cert, &config.key) {
            (Some(certificate), Some(key)) => Source::Files { certificate: certificate.clone(), key: key.clone() },
            _ => Source::Development { dir: config.self_signed_dir.clone().unwrap_or_default() },
        };
        let (shown, secret) = source.load(now)?;
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.secret_der());
        let reset = hmac::sign(&secret, b"rookery webtransport: stateless reset key");
        let reset_key = hmac::Key::new(hmac::HMAC_SHA256, reset.as_ref());
        Ok(Arc::new(Self { source, shown: RwLock::new(shown), reset_key }))
    }

    /// SHA-256 of the current and the next certificate in hexadecimal digits, for pages to trust; none where a CA
    /// stands behind the certificate.
    pub fn hashes(&self) -> Vec<String> {
        self.shown.read().hashes.clone()
    }

    /// From which the endpoint's stateless resets are made.
    pub fn reset_key(&self) -> hmac::Key {
        self.reset_key.clone()
    }

    /// Takes what changed: files, or the time. What cannot be used leaves the old one in place.
    pub fn refresh(&self, now: OffsetDateTime) -> Result<bool, CertificateError> {
        let new = match (&self.source, &self.shown.read().seen) {
            (Source::Development { dir }, Seen::Development(pair)) => {
                development::renewed(dir, pair, now)?.map(show_development).transpose()?.map(|(shown, _)| shown)
            }
            (Source::Files { certificate, key }, Seen::Files(seen)) if *seen != times(certificate, key) => {
                Some(self.source.load(now)?.0)
            }
            _ => None,
        };
        let Some(new) = new else { return Ok(false) };
        *self.shown.write() = new;
        Ok(true)
    }

    /// Refreshes until it is told to stop.
    pub async fn keep_up(self: Arc<Self>, stop: CancellationToken) {
        let mut told = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            match self.refresh(OffsetDateTime::now_utc()) {
                Ok(changed) => {
                    told = false;
                    if changed {
                        tracing::info!("WebTransport shows a new certificate");
                    }
                }
                // Once, not every few seconds.
                Err(error) if !std::mem::replace(&mut told, true) => {
                    tracing::warn!(%error, "WebTransport keeps its old certificate");
                }
                Err(_) => {}
            }
        }
    }
}

impl Source {
    fn load(&self, now: OffsetDateTime) -> Result<(Shown, PrivateKeyDer<'static>), CertificateError> {
        match self {
            Self::Development { dir } => show_development(development::open(dir, now)?),
            Self::Files { certificate, key } => {
                // Looked at first: a change during the reading is then noticed later.
                let seen = Seen::Files(times(certificate, key));
                let (chain, key) = (tls::load_certificates(certificate)?, tls::load_private_key(key)?);
                let shown = Shown { key: certified(chain, &key)?, hashes: Vec::new(), seen };
                Ok((shown, key))
            }
        }
    }
}

fn show_development(pair: Pair) -> Result<(Shown, PrivateKeyDer<'static>), CertificateError> {
    let key = pair.current.key.clone_key();
    let certified = certified(vec![pair.current.certificate.clone()], &key)?;
    let hashes = [&pair.current, &pair.next].map(|dated| sha256(&dated.certificate)).to_vec();
    Ok((Shown { key: certified, hashes, seen: Seen::Development(pair) }, key))
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, CertificateError> {
    let certified = CertifiedKey::from_der(chain, key.clone_key(), &tls::provider())?;
    Ok(Arc::new(certified))
}

fn times(certificate: &Path, key: &Path) -> [Option<SystemTime>; 2] {
    [certificate, key].map(|path| path.metadata().and_then(|metadata| metadata.modified()).ok())
}

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.shown.read().key))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("hashes", &self.shown.read().hashes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn shown(certificates: &Certificates) -> CertificateDer<'static> {
        certificates.shown.read().key.cert[0].clone()
    }

    #[test]
    fn self_signed_ones_are_exchanged_while_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let config =
            WebTransportConfig { self_signed_dir: Some(dir.path().join("wt")), ..WebTransportConfig::default() };
        let now = OffsetDateTime::now_utc();
        let certificates = Certificates::open(&config, now).unwrap();
        let hashes = certificates.hashes();
        assert_eq!(hashes.len(), 2);
        assert_eq!(hashes[0], sha256(&shown(&certificates)));
        assert!(!certificates.refresh(now + Duration::days(5)).unwrap());
        assert!(certificates.refresh(now + Duration::days(10)).unwrap());
        assert_eq!(certificates.hashes()[0], hashes[1], "the next was announced");
        assert_eq!(certificates.hashes()[0], sha256(&shown(&certificates)));
    }

    #[test]
    fn files_are_read_again_when_they_change_and_kept_while_they_are_broken() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let write = |age_s: u64| {
            let made = rcgen::generate_simple_self_signed(vec!["chat.example".to_owned()]).unwrap();
            std::fs::write(&certificate, made.cert.pem()).unwrap();
            std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age_s);
            for path in [&certificate, &key] {
                std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
            }
            made.cert.der().clone()
        };
        let first = write(300);
        let config = WebTransportConfig {
            cert: Some(certificate.clone()),
            key: Some(key.clone()),
            ..WebTransportConfig::default()
        };
        let now = OffsetDateTime::now_utc();
        let certificates = Certificates::open(&config, now).unwrap();
        assert_eq!((shown(&certificates), certificates.hashes()), (first.clone(), vec![]));
        assert!(!certificates.refresh(now).unwrap());
        let second = write(200);
        assert!(certificates.refresh(now).unwrap());
        assert_eq!(shown(&certificates), second);
        std::fs::write(&key, "nothing").unwrap();
        assert!(certificates.refresh(now).is_err());
        assert_eq!(shown(&certificates), second);
        let third = write(100);
        assert!(certificates.refresh(now).unwrap());
        assert_eq!(shown(&certificates), third);
    }
}
