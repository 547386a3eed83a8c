//! Access tokens: format, signing and verification.
//!
//! A token is `base64url(user id) . base64url(payload) . base64url(signature)` without padding. The first part is the
//! user id as decimal text, because libraries read it from there. The payload is 18 octets, big-endian: key id (2),
//! issue time in seconds since 2015 (4), epoch (4), device (8). The signature is Ed25519 over the first two parts with
//! their dot, so that every octet of the text counts.
//!
//! No clocks and no randomness: callers bring the time, the seed of a key and the device. A signature only says that
//! the deployment issued the token; whether its epoch is still the account's is the region's question.

mod claims;
mod key;

pub use claims::{Claims, MAX_TOKEN_CHARS, TokenError};
pub use key::{BadPublicKey, KeyId, PublicKeys, SigningKey};

use claims::Parts;

/// Checks form and signature of a token and reads what it claims.
///
/// # Errors
/// [`TokenError::Malformed`] for anything that [`SigningKey::sign`] cannot have written, [`TokenError::UnknownKey`] if
/// its key is not among `keys`, [`TokenError::BadSignature`] if the key did not sign it.
pub fn verify(token: &str, keys: &PublicKeys) -> Result<Claims, TokenError> {
    let parts = Parts::split(token)?;
    let claims = parts.claims()?;
    let key = keys.get(claims.key_id).ok_or(TokenError::UnknownKey(claims.key_id))?;
    key.verify_strict(parts.signed().as_bytes(), &parts.signature()?).map_err(|_| TokenError::BadSignature)?;
    Ok(claims)
}

/// Reads what a token claims without checking that it is true: for logs and routing, never for access.
///
/// # Errors
/// [`TokenError::Malformed`] if it has not the form of a token.
pub fn claims_unverified(token: &str) -> Result<Claims, TokenError> {
    Parts::split(token)?.claims()
}
