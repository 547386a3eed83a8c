//! Who an end of the link is: a role, a certificate chain and its key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;

/// The domain whose names say a role; the CA puts them only into role certificates.
pub(crate) const ROLE_DOMAIN: &str = "rookery.internal";

/// What a process of the deployment is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A point of presence: makes calls, accepts none.
    Pop,
    /// A region: accepts calls, and makes some to other regions.
    Region,
}

impl Role {
    /// The DNS name in the certificate that says the role.
    pub fn dns_name(self) -> &'static str {
        match self {
            Self::Pop => "pop.rookery.internal",
            Self::Region => "region.rookery.internal",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pop => "pop",
            Self::Region => "region",
        })
    }
}

/// Why PEM text is not an identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A certificate does not parse.
    #[error("the certificate is not PEM")]
    Certificate(#[source] rustls::pki_types::pem::Error),
    /// There is no certificate at all.
    #[error("there is no certificate in the PEM text")]
    NoCertificate,
    /// The key does not parse.
    #[error("the private key is not PEM")]
    Key(#[source] rustls::pki_types::pem::Error),
}

/// A certificate chain, the end entity first, and the end entity's key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// An identity of parts that were read elsewhere.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Self {
        Self { chain, key }
    }

    /// An identity out of PEM text.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain =
            CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>().map_err(IdentityError::Certificate)?;
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(IdentityError::Key)?;
        Ok(Self { chain, key })
    }

    /// The chain, the end entity first.
    pub fn has_role(&self, role: Role) -> bool {
        let Some(end_entity) = self.chain.first() else { return false };
        let Ok(name) = ServerName::try_from(role.dns_name()) else { return false };
        ParsedCertificate::try_from(end_entity).is_ok_and(|certificate| verify_server_name(&certificate, &name).is_ok())
    }

    /// The chain, the end entity first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The end entity's private key.
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }

    /// The chain as PEM text.
    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect()
    }

    /// The key as PEM text; a secret, to be stored with mode 0600.
    pub fn key_pem(&self) -> String {
        let label = match self.key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        pem(label, self.key.secret_der())
    }
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Identity {
    /// Says how long the chain is and nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("chain_length", &self.chain.len()).finish_non_exhaustive()
    }
}

/// One PEM section with lines of 64 characters (RFC 7468, section 2).
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut section = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base64 is ASCII, so every index is a character boundary.
        let (line, next) = rest.split_at(rest.len().min(64));
        section.push_str(line);
        section.push('\n');
        rest = next;
    }
    section.push_str(&format!("-----END {label}-----\n"));
    section
}
