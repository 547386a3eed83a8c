//! Master keys, and the session keys made of them.

use rtc_crypto::{BlockCipherAlgorithm, CryptoError, RTCCrypto};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use zeroize::Zeroizing;

/// How packets are protected, as DTLS agreed on (RFC 5764, section 4.1.2; RFC 7714, section 14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Aes128CmSha1_80,
    AeadAes128Gcm,
    AeadAes256Gcm,
}

/// One direction's master key and salt.
pub(crate) struct MasterKey<'a> {
    pub(crate) profile: Profile,
    pub(crate) key: &'a [u8],
    pub(crate) salt: &'a [u8],
}

/// What a session key is for (RFC 3711, section 4.3.2).
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum Label {
    RtpEncryption = 0,
    RtpAuthentication = 1,
    RtpSalt = 2,
    RtcpEncryption = 3,
    RtcpAuthentication = 4,
    RtcpSalt = 5,
}

impl Profile {
    /// Those that are cheapest: `ring` does them in hardware.
    pub(crate) const FAST: [SrtpProtectionProfile; 2] =
        [SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm, SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm];
    /// That which every client has (RFC 8827, section 6.5).
    pub(crate) const COMMON: [SrtpProtectionProfile; 1] = [SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80];

    pub(crate) const fn of(negotiated: SrtpProtectionProfile) -> Option<Self> {
        match negotiated {
            SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80 => Some(Self::Aes128CmSha1_80),
            SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm => Some(Self::AeadAes128Gcm),
            SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm => Some(Self::AeadAes256Gcm),
            _ => None,
        }
    }
    pub(crate) const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 | Self::AeadAes128Gcm => 16,
            Self::AeadAes256Gcm => 32,
        }
    }
    pub(crate) const fn salt_bytes(self) -> usize {
        match self {
            Self::Aes128CmSha1_80 => 14,
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
        }
    }
    /// Of what DTLS exports for both directions.
    pub(crate) const fn keying_material_bytes(self) -> usize {
        2 * (self.key_bytes() + self.salt_bytes())
    }

    /// The client's and the server's master keys in what DTLS exported (RFC 5764, section 4.2).
    pub(crate) fn split(self, material: &[u8]) -> Option<(MasterKey<'_>, MasterKey<'_>)> {
        let (client_key, rest) = material.split_at_checked(self.key_bytes())?;
        let (server_key, rest) = rest.split_at_checked(self.key_bytes())?;
        let (client_salt, server_salt) = rest.split_at_checked(self.salt_bytes())?;
        let is_whole = server_salt.len() == self.salt_bytes();
        let of = |key, salt| MasterKey { profile: self, key, salt };
        is_whole.then(|| (of(client_key, client_salt), of(server_key, server_salt)))
    }
}

impl MasterKey<'_> {
    /// Fills a session key or salt: a key stream of AES in counter mode (RFC 3711, section 4.3.3).
    pub(crate) fn derive(&self, crypto: &dyn RTCCrypto, label: Label, out: &mut [u8]) -> Result<(), CryptoError> {
        let algorithm = match self.profile {
            Profile::AeadAes256Gcm => BlockCipherAlgorithm::Aes256,
            _ => BlockCipherAlgorithm::Aes128,
        };
        let mut start = [0; 16];
        // RFC 7714, section 11: a shorter salt is filled up behind.
        start[..self.salt.len()].copy_from_slice(self.salt);
        start[7] ^= label as u8;
        for (n, chunk) in out.chunks_mut(16).enumerate() {
            let mut block = Zeroizing::new(start);
            block[14..].copy_from_slice(&(n as u16).to_be_bytes());
            crypto.block_encrypt(algorithm, self.key, block.as_mut_slice())?;
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc_crypto::RTCCryptoProvider;
    use rtc_crypto::providers::RingProvider;

    /// RFC 3711, appendix B.3.
    #[test]
    fn session_keys_of_the_rfc() {
        let key = [0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde, 0x41, 0x39];
        let salt = [0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6];
        let master = MasterKey { profile: Profile::Aes128CmSha1_80, key: &key, salt: &salt };
        let provider = RingProvider::new();
        let mut cipher_key = [0; 16];
        master.derive(provider.crypto(), Label::RtpEncryption, &mut cipher_key).unwrap();
        assert_eq!(u128::from_be_bytes(cipher_key), 0xc61e7a93744f39ee10734afe3ff7a087);
        let mut cipher_salt = [0; 14];
        master.derive(provider.crypto(), Label::RtpSalt, &mut cipher_salt).unwrap();
        assert_eq!(cipher_salt, [0x30, 0xcb, 0xbc, 0x08, 0x86, 0x3d, 0x8c, 0x85, 0xd4, 0x9d, 0xb3, 0x4a, 0x9a, 0xe1]);
        let mut auth_key = [0; 20];
        master.derive(provider.crypto(), Label::RtpAuthentication, &mut auth_key).unwrap();
        let auth_key: String = auth_key.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(auth_key, "cebe321f6ff7716b6fd4ab49af256a156d38baa4");
    }

    #[test]
    fn material_is_split_in_the_order_of_the_rfc() {
        let profile = Profile::AeadAes128Gcm;
        let material: Vec<u8> = (0..profile.keying_material_bytes() as u8).collect();
        let (client, server) = profile.split(&material).unwrap();
        assert_eq!((client.key[0], server.key[0], client.salt[0], server.salt[0]), (0, 16, 32, 44));
        assert!(profile.split(&material[1..]).is_none());
        assert!(profile.split(&[]).is_none());
    }
}
