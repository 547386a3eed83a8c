//! Who the server is to its peers.

use rtc_crypto::RTCCryptoProvider;
use rtc_crypto::providers::RingProvider;

use crate::fingerprint::Fingerprint;

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
#[error("no certificate could be made: {0}")]
pub struct CertificateError(String);

/// A key with its certificate, signed by itself: one for a process. SDP tells its fingerprint, and nobody asks for more.
#[derive(Clone)]
pub struct Certificate {
    pub(crate) inner: rtc_dtls::crypto::Certificate,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Makes one, with a key of P-256.
    pub fn generate() -> Result<Self, CertificateError> {
        let made = rtc_dtls::crypto::Certificate::generate_self_signed(
            vec!["rookery".to_owned()],
            RingProvider::new().crypto(),
        );
        let inner = made.map_err(|error| CertificateError(error.to_string()))?;
        let der = inner.certificate.first().ok_or_else(|| CertificateError("it is empty".to_owned()))?;
        let fingerprint = Fingerprint::of(der);
        Ok(Self { inner, fingerprint })
    }
    /// What names it in SDP.
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}
