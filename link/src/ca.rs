//! The deployment's own certificate authority.
//!
//! It lives in two files, `ca.pem` and `ca.key` (mode 0600). The key is written first: a certificate on disk therefore
//! always has its key, and a key alone (a crash in between) has never signed anything and gets its certificate later.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rand::Rng as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use crate::identity::{Identity, ROLE_DOMAIN, Role};

/// File name of the CA's certificate, which every process of the deployment trusts.
pub const CERTIFICATE_FILE: &str = "ca.pem";
/// File name of the CA's private key.
pub const KEY_FILE: &str = "ca.key";

const LOCK_FILE: &str = ".ca.lock";
const CA_VALIDITY_DAYS: i64 = 3650;
const ROLE_VALIDITY_DAYS: i64 = 825;
/// Browsers accept at most 398 days.
const HTTPS_VALIDITY_DAYS: i64 = 90;
/// Certificates are valid from a day ago, because clocks of different machines differ.
const BACKDATED_DAYS: i64 = 1;

/// What can go wrong with the CA's files or with issuing.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file or the folder cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The certificate is there without its key.
    #[error("{} is there, but {} is missing: restore it, or remove both to start a new CA (every certificate must then be issued anew)", certificate.display(), key.display())]
    KeyMissing {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Others than the owner may read the key.
    #[error("{} may be read by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display())]
    KeyReadableByOthers {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds something else.
    #[error("{} is not what it should be: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is not the certificate's.
    #[error("{} is not the key of {}", key.display(), certificate.display())]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The CA's own certificate is past its time.
    #[error("the CA certificate {} is expired", path.display())]
    Expired {
        /// The certificate's file.
        path: PathBuf,
    },
    /// A name is reserved for roles.
    #[error("the name {name:?} cannot be issued: names under {ROLE_DOMAIN} say a role and are set by the CA itself")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// The certificate library refused.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
}

/// The certificate authority whose certificates the processes of one deployment show each other.
pub struct DeploymentCa {
    certificate: CertificateDer<'static>,
    certificate_path: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl DeploymentCa {
    /// Loads the CA from `dir`, or makes one there if there is none. Safe to run in several processes at once.
    pub fn create_or_load(dir: &Path) -> Result<Self, CaError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("create", dir))?;
        let lock_path = dir.join(LOCK_FILE);
        let lock = File::create(&lock_path).map_err(io_error("create", &lock_path))?;
        lock.lock().map_err(io_error("lock", &lock_path))?;

        let certificate_path = dir.join(CERTIFICATE_FILE);
        let key_path = dir.join(KEY_FILE);
        let has_certificate = exists(&certificate_path)?;
        let has_key = exists(&key_path)?;
        if has_certificate && !has_key {
            return Err(CaError::KeyMissing { certificate: certificate_path, key: key_path });
        }
        let key = if has_key { read_key(&key_path)? } else { create_key(&key_path)? };
        if has_certificate { load(certificate_path, key_path, key) } else { create(certificate_path, key) }
    }

    /// The CA's certificate: what the deployment's processes, and a developer's browser, are told to trust.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The file with the CA's certificate in PEM.
    pub fn certificate_path(&self) -> &Path {
        &self.certificate_path
    }

    /// Issues what a process of the deployment needs to take part in the link.
    ///
    /// `names` are further DNS names or addresses, such as the machine's: they show in the other end's log.
    pub fn issue(&self, role: Role, names: &[String]) -> Result<Identity, CaError> {
        let mut all = vec![role.dns_name().to_owned()];
        all.extend(checked(names)?);
        let usages = match role {
            Role::Pop => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Role::Region => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        };
        self.issue_leaf(&format!("rookery {role}"), all, usages, ROLE_VALIDITY_DAYS)
    }

    /// Issues a certificate for HTTPS, for development where no public CA knows the names.
    ///
    /// It carries no role, so it opens no link.
    pub fn issue_https(&self, names: &[String]) -> Result<Identity, CaError> {
        let names = checked(names)?;
        self.issue_leaf("rookery https", names, vec![ExtendedKeyUsagePurpose::ServerAuth], HTTPS_VALIDITY_DAYS)
    }

    fn issue_leaf(
        &self,
        common_name: &str,
        names: Vec<String>,
        usages: Vec<ExtendedKeyUsagePurpose>,
        validity_days: i64,
    ) -> Result<Identity, CaError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = params(common_name, names, validity_days)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages;
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Identity::new(vec![certificate.der().clone()], key))
    }
}

impl std::fmt::Debug for DeploymentCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeploymentCa").field("certificate_path", &self.certificate_path).finish_non_exhaustive()
    }
}

fn create(certificate_path: PathBuf, key: KeyPair) -> Result<DeploymentCa, CaError> {
    // A number in the name tells two deployments' CAs apart in logs and certificate stores.
    let serial = rand::rng().random::<u32>();
    let mut params = params(&format!("Rookery deployment CA {serial:08x}"), Vec::new(), CA_VALIDITY_DAYS)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    write_whole(&certificate_path, certificate.pem().as_bytes(), 0o644)?;
    tracing::info!(path = %certificate_path.display(), "made a CA for this deployment");
    Ok(DeploymentCa { certificate: certificate.der().clone(), certificate_path, issuer: Issuer::new(params, key) })
}

fn load(certificate_path: PathBuf, key_path: PathBuf, key: KeyPair) -> Result<DeploymentCa, CaError> {
    let malformed = |reason: String| CaError::Malformed { path: certificate_path.clone(), reason };
    let text = fs::read(&certificate_path).map_err(io_error("read", &certificate_path))?;
    let certificate = CertificateDer::from_pem_slice(&text).map_err(|error| malformed(error.to_string()))?;
    {
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|error| malformed(error.to_string()))?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(CaError::KeyMismatch { certificate: certificate_path.clone(), key: key_path });
        }
        if !parsed.is_ca() {
            return Err(malformed("it is not a CA's certificate".to_owned()));
        }
        if !parsed.validity().is_valid() {
            return Err(CaError::Expired { path: certificate_path.clone() });
        }
    }
    let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| malformed(error.to_string()))?;
    Ok(DeploymentCa { certificate, certificate_path, issuer })
}

fn read_key(path: &Path) -> Result<KeyPair, CaError> {
    let mode = fs::metadata(path).map_err(io_error("read", path))?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(CaError::KeyReadableByOthers { path: path.to_owned(), mode });
    }
    let text = fs::read_to_string(path).map_err(io_error("read", path))?;
    KeyPair::from_pkcs8_pem_and_sign_algo(&text, &PKCS_ECDSA_P256_SHA256).map_err(|error| CaError::Malformed {
        path: path.to_owned(),
        reason: format!("not an ECDSA P-256 key in PKCS#8: {error}"),
    })
}

fn create_key(path: &Path) -> Result<KeyPair, CaError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    write_whole(path, key.serialize_pem().as_bytes(), 0o600)?;
    Ok(key)
}

fn params(common_name: &str, names: Vec<String>, validity_days: i64) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(BACKDATED_DAYS);
    params.not_after = now + Duration::days(validity_days);
    Ok(params)
}

/// Refuses names that would let a certificate pass for a role it was not issued for.
fn checked(names: &[String]) -> Result<Vec<String>, CaError> {
    for name in names {
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        let reserved = bare == ROLE_DOMAIN || bare.ends_with(&format!(".{ROLE_DOMAIN}"));
        if reserved && name.parse::<IpAddr>().is_err() {
            return Err(CaError::ReservedName { name: name.clone() });
        }
    }
    Ok(names.to_vec())
}

fn exists(path: &Path) -> Result<bool, CaError> {
    path.try_exists().map_err(io_error("look for", path))
}

/// Writes a file so that it is there whole or not at all, also after a crash.
fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error("replace", &temporary)(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(io_error("create", &temporary))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io_error("write", &temporary))?;
    fs::rename(&temporary, path).map_err(io_error("write", path))?;
    match path.parent() {
        Some(dir) => File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir)),
        None => Ok(()),
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CaError {
    let path = path.to_owned();
    move |source| CaError::Io { action, path, source }
}
