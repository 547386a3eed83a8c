//! Mutual TLS 1.3: each end shows a certificate of the deployment's CA and checks the other's role.

use std::sync::Arc;

use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};

use crate::identity::{Identity, Role};

/// The link's name in TLS; its number is the version of the framing.
pub const ALPN: &[u8] = b"rookery-link/1";

/// Why certificates and keys do not make a link.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA's certificate cannot be a trust anchor, or the identity's parts do not fit.
    #[error("the certificates or the key cannot be used")]
    Rustls(#[from] rustls::Error),
    /// There is no CA to trust.
    #[error("the list of trusted CAs cannot be used")]
    Verifier(#[from] VerifierBuilderError),
    /// A role's name is not a DNS name.
    #[error("the role's name is not a DNS name")]
    Role(#[from] InvalidDnsNameError),
    /// The provider lacks what QUIC needs.
    #[error("the cryptography provider has no initial cipher suite for QUIC")]
    Suite(#[from] NoInitialCipherSuite),
}

/// Everything about TLS that an end of the link needs: whom it trusts, who it is, whom it lets in.
#[derive(Debug, Clone)]
pub struct LinkTls {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    identity: Identity,
    admitted: Vec<Role>,
}

impl LinkTls {
    /// Trusts certificates of `ca` and shows `identity`; a server made of this admits points of presence.
    pub fn new(ca: &[CertificateDer<'static>], identity: Identity) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in ca {
            roots.add(certificate.clone())?;
        }
        Ok(Self {
            // Explicit, so that another library's choice of a process default cannot matter here.
            provider: Arc::new(rustls::crypto::ring::default_provider()),
            roots: Arc::new(roots),
            identity,
            admitted: vec![Role::Pop],
        })
    }

    /// Replaces the roles that a server made of this admits.
    pub fn admitting(mut self, roles: &[Role]) -> Self {
        self.admitted = roles.to_vec();
        self
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The accepting side's configuration.
    pub fn server_config(&self) -> Result<QuicServerConfig, TlsError> {
        let verifier = RoleClientVerifier {
            inner: WebPkiClientVerifier::builder_with_provider(self.roots.clone(), self.provider.clone()).build()?,
            admitted: self.admitted.iter().map(|role| role_name(*role)).collect::<Result<_, _>>()?,
        };
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(self.identity.chain().to_vec(), self.identity.key().clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session is not verified again. Connections are few and kept, so every one pays for its handshake.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config.try_into()?)
    }

    /// The connecting side's configuration; it connects to regions only.
    pub fn client_config(&self) -> Result<QuicClientConfig, TlsError> {
        let verifier = RoleServerVerifier {
            inner: WebPkiServerVerifier::builder_with_provider(self.roots.clone(), self.provider.clone()).build()?,
            role: role_name(Role::Region)?,
        };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.identity.chain().to_vec(), self.identity.key().clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config.try_into()?)
    }
}

fn role_name(role: Role) -> Result<ServerName<'static>, TlsError> {
    Ok(ServerName::try_from(role.dns_name())?)
}

/// The usual verification and then the role.
#[derive(Debug)]
struct RoleClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    admitted: Vec<ServerName<'static>>,
}

impl ClientCertVerifier for RoleClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let mut refusal = Error::General("this server admits no role".to_owned());
        for role in &self.admitted {
            match verify_server_name(&certificate, role) {
                Ok(()) => return Ok(verified),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The usual verification, with the expected server name, and then the role.
#[derive(Debug)]
struct RoleServerVerifier {
    inner: Arc<WebPkiServerVerifier>,
    role: ServerName<'static>,
}

impl ServerCertVerifier for RoleServerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, &self.role)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
