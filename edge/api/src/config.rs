//! The operator's settings for the API.

use rookery_model::limits;
use rookery_token::PublicKeys;
use serde::{Deserialize, Serialize};

/// Settings; fields that are missing have their defaults, so that an older host can run a newer API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The keys that tokens may be signed with. Without any, no token is valid.
    pub public_keys: PublicKeys,
    /// Bytes of a request's body.
    pub max_body_bytes: u32,
    pub limits: RequestLimits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_keys: PublicKeys::default(),
            max_body_bytes: limits::REQUEST_BODY_MAX_BYTES as u32,
            limits: RequestLimits::default(),
        }
    }
}

/// Sizes that an operator may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestLimits {
    pub message_content_max_chars: u32,
    pub message_embeds_max: u32,
    /// Characters of all embeds of a message together.
    pub embeds_total_max_chars: u32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            message_content_max_chars: limits::MESSAGE_CONTENT_MAX_CHARS as u32,
            message_embeds_max: limits::MESSAGE_EMBEDS_MAX as u32,
            embeds_total_max_chars: limits::EMBEDS_TOTAL_MAX_CHARS as u32,
        }
    }
}

/// The settings could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the API's settings: {0}")]
pub struct ConfigError(String);

impl Config {
    /// Reads the settings as the host hands them over.
    ///
    /// # Errors
    /// If the bytes are no CBOR of these settings.
    pub fn from_cbor(bytes: &[u8]) -> Result<Self, ConfigError> {
        ciborium::from_reader(bytes).map_err(|error| ConfigError(error.to_string()))
    }

    /// Writes the settings for the host to hand over.
    ///
    /// # Errors
    /// Never in practice: nothing in the settings has no CBOR form.
    pub fn to_cbor(&self) -> Result<Vec<u8>, ConfigError> {
        let mut bytes = Vec::new();
        ciborium::into_writer(self, &mut bytes).map_err(|error| ConfigError(error.to_string()))?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_back_and_missing_ones_have_defaults() {
        let config = Config { max_body_bytes: 7, ..Config::default() };
        assert_eq!(Config::from_cbor(&config.to_cbor().unwrap()).unwrap(), config);
        // An empty CBOR map.
        assert_eq!(Config::from_cbor(&[0xa0]).unwrap(), Config::default());
        assert!(Config::from_cbor(b"\xff").is_err());
    }
}
