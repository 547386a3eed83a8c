//! Tokens, keys and other things that nobody may guess.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use rookery_model::voice::{SecretKey, VoiceToken};
use subtle::ConstantTimeEq as _;

/// Random bytes of a token: 192 bits.
const TOKEN_BYTES: usize = 24;

/// The system has no randomness to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub(crate) struct NoRandomness;

/// So many random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A key for the transport encryption.
pub(crate) fn key() -> Result<SecretKey, NoRandomness> {
    bytes().map(SecretKey)
}

/// A token as VOICE_SERVER_UPDATE tells it.
pub(crate) struct Token(Box<str>);

impl Token {
    /// A new one.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(bytes::<TOKEN_BYTES>()?).into()))
    }
    /// One that somebody else made.
    pub(crate) fn of(token: &VoiceToken) -> Self {
        Self(token.as_str().into())
    }
    /// Its text.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
    /// Whether somebody presented this one; how long it takes tells nothing of where they differ.
    pub(crate) fn is(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_know_themselves() {
        let (one, other) = (Token::generate().unwrap(), Token::generate().unwrap());
        assert!(one.is(one.reveal()) && !one.is(other.reveal()) && !one.is("") && !one.is(&one.reveal()[1..]));
        assert_eq!(one.reveal().len(), 32);
    }
}
