//! Credentials for TURN servers, which hold for a while.
//!
//! Servers and this node have a secret in common. A user name is the time until which it holds and whose it is, its password
//! the authentication code of that (draft-uberti-behave-turn-rest-00, `use-auth-secret` of coturn).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use rookery_model::UserId;
use rookery_model::voice::IceServer;
use serde::Deserialize;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Relays for clients whose UDP does not get to the media ports.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnConfig {
    /// Where they are, as browsers write it: `turn:relay.example.org:3478`, `turns:relay.example.org:5349?transport=tcp`.
    /// None: clients are told of no relay.
    pub urls: Vec<String>,
    /// What the relays know too: `static-auth-secret` of coturn.
    pub secret: String,
    /// For how long a client's credentials hold. A call that lasts longer than that loses its relay.
    pub lifetime_seconds: u64,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self { urls: Vec::new(), secret: String::new(), lifetime_seconds: 43_200 }
    }
}

impl fmt::Debug for TurnConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnConfig")
            .field("urls", &self.urls)
            .field("lifetime_seconds", &self.lifetime_seconds)
            .finish_non_exhaustive()
    }
}

impl TurnConfig {
    /// Every mistake in the settings, each with the setting's name.
    pub(crate) fn mistakes(&self) -> Vec<String> {
        let is_relay = |url: &String| url.starts_with("turn:") || url.starts_with("turns:");
        let checks = [
            (!self.urls.iter().all(is_relay), "urls must begin with turn: or turns:"),
            (!self.urls.is_empty() && self.secret.is_empty(), "secret must be given with urls"),
            (!self.urls.is_empty() && self.lifetime_seconds == 0, "lifetime_seconds must be above 0"),
        ];
        checks.into_iter().filter(|(bad, _)| *bad).map(|(_, what)| what.to_owned()).collect()
    }

    /// What a user is told, if there is a relay.
    pub(crate) fn servers(&self, user: UserId, now: SystemTime) -> Option<IceServer> {
        if self.urls.is_empty() {
            return None;
        }
        let until = now.checked_add(Duration::from_secs(self.lifetime_seconds))?;
        let until = until.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let username = format!("{until}:{user}");
        // The only code that these servers know.
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.secret.as_bytes());
        let credential = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
        Some(IceServer { urls: self.urls.clone(), username, credential })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_name_their_end_and_their_user() {
        let urls = vec!["turn:192.0.2.1:3478".to_owned()];
        let config = TurnConfig { urls, secret: "north".into(), lifetime_seconds: 60 };
        let server = config.servers(UserId::new(7), UNIX_EPOCH + Duration::from_secs(1_000_000)).unwrap();
        assert_eq!(server.username, "1000060:7");
        // By `printf 1000060:7 | openssl dgst -sha1 -hmac north -binary | base64`.
        assert_eq!(server.credential, "WDZ7s6NqVD8qcm7WlYsDIXz2fWs=");
        assert_eq!(TurnConfig::default().servers(UserId::new(7), UNIX_EPOCH), None);
        assert!(!format!("{config:?} {server:?}").contains("north"), "a secret in a log");
    }

    #[test]
    fn mistakes_are_named() {
        let config = TurnConfig { urls: vec!["stun:x".into()], secret: String::new(), lifetime_seconds: 0 };
        assert_eq!(config.mistakes().len(), 3);
        assert_eq!(TurnConfig::default().mistakes(), Vec::<String>::new());
    }
}
