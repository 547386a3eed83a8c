//! Certificates that a page trusts by their hash: self-signed ECDSA P-256, valid for 14 days, made anew before they end.
//!
//! There are always two, the current and the next, so that a client that learnt both hashes can connect whichever of the
//! two it meets (Web API "WebTransport", `serverCertificateHashes`: the curve and the 14 days are its rules).

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

use super::certificates::CertificateError;

/// From the first to the last moment; browsers take no more.
const VALID: Duration = Duration::days(14);
/// A certificate is valid so long before it is used, because clocks differ.
const BACKDATED: Duration = Duration::days(1);
/// So long it is shown. What is left is for clients whose clocks are fast.
const USED: Duration = Duration::days(9);

const CURRENT: &str = "current.pem";
const NEXT: &str = "next.pem";

/// A certificate with its key and times.
#[derive(Debug)]
pub struct Dated {
    pub certificate: CertificateDer<'static>,
    pub key: PrivateKeyDer<'static>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

/// The two that are known.
#[derive(Debug)]
pub struct Pair {
    pub current: Dated,
    pub next: Dated,
}

impl Dated {
    fn use_until(&self) -> OffsetDateTime {
        self.not_before + BACKDATED + USED
    }
    fn is_used_at(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now < self.use_until() && now < self.not_after
    }
}

/// The folder's pair, made or renewed where it must be.
pub fn open(dir: &Path, now: OffsetDateTime) -> Result<Pair, CertificateError> {
    let kept = read(&dir.join(CURRENT)).and_then(|current| Ok(Pair { current, next: read(&dir.join(NEXT))? }));
    match kept {
        Ok(pair) if pair.current.is_used_at(now) && pair.next.not_before > pair.current.not_before => Ok(pair),
        Ok(pair) => renew(dir, pair, now),
        Err(error) => {
            let is_new =
                matches!(&error, CertificateError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound);
            if !is_new {
                tracing::warn!("the certificates for WebTransport are made anew: {error}");
            }
            write(dir, fresh(now)?)
        }
    }
}

/// What follows a pair, if its current certificate is not to be used any more.
pub fn renewed(dir: &Path, pair: &Pair, now: OffsetDateTime) -> Result<Option<Pair>, CertificateError> {
    if pair.current.is_used_at(now) { Ok(None) } else { open(dir, now).map(Some) }
}

fn renew(dir: &Path, pair: Pair, now: OffsetDateTime) -> Result<Pair, CertificateError> {
    let current = match pair {
        Pair { current, .. } if current.is_used_at(now) => current,
        Pair { next, .. } if next.is_used_at(now) => next,
        _ => return write(dir, fresh(now)?),
    };
    let next = issue(current.use_until())?;
    write(dir, Pair { current, next })
}

fn fresh(now: OffsetDateTime) -> Result<Pair, CertificateError> {
    let current = issue(now)?;
    let next = issue(current.use_until())?;
    Ok(Pair { current, next })
}

fn issue(use_from: OffsetDateTime) -> Result<Dated, CertificateError> {
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "rookery webtransport");
    // X.509 knows no fractions of a second.
    let use_from = use_from.replace_nanosecond(0).unwrap_or(use_from);
    let (not_before, not_after) = (use_from - BACKDATED, use_from - BACKDATED + VALID);
    (params.not_before, params.not_after) = (not_before, not_after);
    let certificate = params.self_signed(&pair)?.der().clone();
    let key = PrivateKeyDer::Pkcs8(pair.serialize_der().into());
    Ok(Dated { certificate, key, not_before, not_after })
}

fn read(path: &Path) -> Result<Dated, CertificateError> {
    let damaged = |reason: String| CertificateError::Damaged { path: path.to_owned(), reason };
    let text = fs::read(path).map_err(io_error("read", path))?;
    let certificate = CertificateDer::from_pem_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let (not_before, not_after) = {
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).map_err(|e| damaged(e.to_string()))?;
        (parsed.validity().not_before.to_datetime(), parsed.validity().not_after.to_datetime())
    };
    Ok(Dated { certificate, key, not_before, not_after })
}

/// The next one last: after a crash in between, the two are the same, which the next start mends.
fn write(dir: &Path, pair: Pair) -> Result<Pair, CertificateError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("make", dir))?;
    for (name, dated) in [(CURRENT, &pair.current), (NEXT, &pair.next)] {
        write_one(&dir.join(name), dated)?;
    }
    Ok(pair)
}

fn write_one(path: &Path, dated: &Dated) -> Result<(), CertificateError> {
    let identity = rookery_link::Identity::new(vec![dated.certificate.clone()], dated.key.clone_key());
    let text = identity.chain_pem() + &identity.key_pem();
    let beside = path.with_extension("pem-new");
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path))
        .map_err(io_error("write", path))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CertificateError {
    let path: PathBuf = path.to_owned();
    move |source| CertificateError::Io { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn days(n: i64) -> OffsetDateTime {
        START + Duration::days(20_000) + Duration::days(n)
    }

    #[test]
    fn the_next_certificate_is_known_before_it_is_shown_and_both_last() {
        let dir = tempfile::tempdir().unwrap();
        let mut pair = open(dir.path(), days(0)).unwrap();
        assert_eq!(open(dir.path(), days(1)).unwrap().current.certificate, pair.current.certificate, "kept");
        for day in 1..60 {
            let now = days(day);
            if let Some(renewed) = renewed(dir.path(), &pair, now).unwrap() {
                assert_eq!(renewed.current.certificate, pair.next.certificate, "clients knew it");
                pair = renewed;
            }
            assert!(pair.current.not_before < now && now + Duration::days(3) < pair.current.not_after, "day {day}");
            assert!(pair.current.not_after - pair.current.not_before <= Duration::days(14));
            let kept = open(dir.path(), now).unwrap();
            assert_eq!((kept.current.certificate, kept.next.certificate), {
                (pair.current.certificate.clone(), pair.next.certificate.clone())
            });
        }
    }

    #[test]
    fn a_folder_that_was_left_alone_or_damaged_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let old = open(dir.path(), days(0)).unwrap();
        // Both are over.
        let pair = open(dir.path(), days(30)).unwrap();
        assert_ne!(pair.current.certificate, old.next.certificate);
        assert!(pair.current.is_used_at(days(30)));
        // As after a crash between the two files.
        fs::copy(dir.path().join(CURRENT), dir.path().join(NEXT)).unwrap();
        let mended = open(dir.path(), days(30)).unwrap();
        assert_eq!(mended.current.certificate, pair.current.certificate);
        assert_ne!(mended.next.certificate, pair.current.certificate);
        // A clock that was set back.
        assert!(open(dir.path(), days(1)).unwrap().current.is_used_at(days(1)));
        fs::write(dir.path().join(CURRENT), "nothing").unwrap();
        assert!(open(dir.path(), days(1)).unwrap().current.is_used_at(days(1)));
    }
}
