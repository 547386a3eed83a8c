//! The text form of a token and what it says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::Signature;
use rookery_model::id::EPOCH_MS;
use rookery_model::{DeviceId, UserId};

use crate::KeyId;

const PAYLOAD_BYTES: usize = 18;
const PAYLOAD_CHARS: usize = 24;
const SIGNATURE_CHARS: usize = 86;
/// The 19 digits of the largest id in base64.
const USER_MAX_CHARS: usize = 26;
/// The longest text that can be a token.
pub const MAX_TOKEN_CHARS: usize = USER_MAX_CHARS + 1 + PAYLOAD_CHARS + 1 + SIGNATURE_CHARS;

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claims {
    /// Whose token it is.
    pub user_id: UserId,
    /// The key that signed it.
    pub key_id: KeyId,
    /// Seconds since 2015-01-01T00:00:00Z at which it was issued.
    pub issued_at: u32,
    /// Void once the account's epoch is higher.
    pub epoch: u32,
    /// The sign-in that it belongs to; a log-out ends one of them.
    pub device: DeviceId,
}

impl Claims {
    /// The value of `issued_at` for a moment given in milliseconds since the Unix epoch.
    pub fn issue_time(unix_ms: u64) -> u32 {
        u32::try_from(unix_ms.saturating_sub(EPOCH_MS) / 1000).unwrap_or(u32::MAX)
    }

    /// Milliseconds since the Unix epoch at which the token was issued.
    pub const fn issued_at_unix_ms(&self) -> u64 {
        EPOCH_MS + self.issued_at as u64 * 1000
    }

    /// The first two parts and their dot: what is signed.
    pub(crate) fn signed_text(&self) -> String {
        let mut payload = [0; PAYLOAD_BYTES];
        payload[0..2].copy_from_slice(&self.key_id.0.to_be_bytes());
        payload[2..6].copy_from_slice(&self.issued_at.to_be_bytes());
        payload[6..10].copy_from_slice(&self.epoch.to_be_bytes());
        payload[10..18].copy_from_slice(&self.device.get().to_be_bytes());
        let mut text = String::with_capacity(MAX_TOKEN_CHARS);
        URL_SAFE_NO_PAD.encode_string(self.user_id.to_string(), &mut text);
        text.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        text
    }
}

/// Appends the last part to the signed text.
pub(crate) fn append_signature(mut signed_text: String, signature: &Signature) -> String {
    signed_text.push('.');
    URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut signed_text);
    signed_text
}

/// Why a text is no valid token. Deliberately without the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has not the form of a token.
    #[error("not in the form of a token")]
    Malformed,
    /// It names a key that is not, or no longer, known.
    #[error("signed with the unknown key {0}")]
    UnknownKey(KeyId),
    /// The key that it names did not sign it.
    #[error("the signature does not match")]
    BadSignature,
}

/// A token cut at its dots, lengths checked.
pub(crate) struct Parts<'a> {
    token: &'a str,
    user: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn split(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_CHARS {
            return Err(TokenError::Malformed);
        }
        let mut parts = token.split('.');
        let (Some(user), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let lengths_fit =
            user.len() <= USER_MAX_CHARS && payload.len() == PAYLOAD_CHARS && signature.len() == SIGNATURE_CHARS;
        if lengths_fit { Ok(Self { token, user, payload, signature }) } else { Err(TokenError::Malformed) }
    }

    /// What is signed.
    pub(crate) fn signed(&self) -> &'a str {
        &self.token[..self.user.len() + 1 + self.payload.len()]
    }

    pub(crate) fn signature(&self) -> Result<Signature, TokenError> {
        let mut bytes = [0; 64];
        decode_exactly(self.signature, &mut bytes)?;
        Ok(Signature::from_bytes(&bytes))
    }

    pub(crate) fn claims(&self) -> Result<Claims, TokenError> {
        let mut payload = [0; PAYLOAD_BYTES];
        decode_exactly(self.payload, &mut payload)?;
        let [k0, k1, i0, i1, i2, i3, e0, e1, e2, e3, device @ ..] = payload;
        Ok(Claims {
            user_id: self.user_id()?,
            key_id: KeyId(u16::from_be_bytes([k0, k1])),
            issued_at: u32::from_be_bytes([i0, i1, i2, i3]),
            epoch: u32::from_be_bytes([e0, e1, e2, e3]),
            device: DeviceId::new(u64::from_be_bytes(device)),
        })
    }

    fn user_id(&self) -> Result<UserId, TokenError> {
        let mut digits = [0; USER_MAX_CHARS];
        let length = URL_SAFE_NO_PAD.decode_slice(self.user, &mut digits).map_err(|_| TokenError::Malformed)?;
        let text = std::str::from_utf8(&digits[..length]).map_err(|_| TokenError::Malformed)?;
        // One id has one text, so that one token has one text.
        if text.starts_with('0') && text != "0" {
            return Err(TokenError::Malformed);
        }
        text.parse().map_err(|_| TokenError::Malformed)
    }
}

/// Decodes base64 that must fill `out` to its last octet.
fn decode_exactly(text: &str, out: &mut [u8]) -> Result<(), TokenError> {
    match URL_SAFE_NO_PAD.decode_slice(text, out) {
        Ok(length) if length == out.len() => Ok(()),
        _ => Err(TokenError::Malformed),
    }
}
