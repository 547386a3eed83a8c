//! What names a certificate in SDP.

use std::fmt;
use std::str::FromStr;

/// SHA-256 of a certificate in DER (RFC 8122, section 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

/// Why a text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not 32 bytes in hexadecimal with colons between, after \"sha-256\"")]
pub struct FingerprintError;

impl Fingerprint {
    /// Of a certificate.
    pub fn of(der: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, der);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

/// As in `a=fingerprint:`: `sha-256 12:AB:…`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256")?;
        for (n, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if n == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (hash, digits) = text.trim().split_once(' ').ok_or(FingerprintError)?;
        if !hash.eq_ignore_ascii_case("sha-256") {
            return Err(FingerprintError);
        }
        let mut bytes = [0; 32];
        let mut pairs = digits.trim().split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit()));
            *byte = u8::from_str_radix(pair.ok_or(FingerprintError)?, 16).map_err(|_| FingerprintError)?;
        }
        if pairs.next().is_some() { Err(FingerprintError) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let fingerprint = Fingerprint::of(b"a certificate");
        let text = fingerprint.to_string();
        assert_eq!(text.len(), "sha-256 ".len() + 32 * 3 - 1);
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_lowercase().parse(), Ok(fingerprint));
        let sha_1 = text.replace("sha-256", "sha-1");
        let short = &text[..text.len() - 3];
        let long = format!("{text}:00");
        let signed = text.replace(&text[8..10], "+1");
        for wrong in ["", "sha-256", "sha-256 ", &sha_1, short, &long, &signed] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError), "{wrong}");
        }
    }
}
