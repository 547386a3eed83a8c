//! PRESENCE_UPDATE (opcode 3), also inside IDENTIFY: a client says what its user does.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

use super::Activity;
use super::identify::null_is_default;

/// Whether a user is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Online,
    Idle,
    Dnd,
    /// Shown to others as offline.
    Invisible,
    Offline,
}

/// The data of PRESENCE_UPDATE as a client sends it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PresenceUpdate {
    /// Since when the user is idle, milliseconds since the Unix epoch.
    #[serde(default, deserialize_with = "since")]
    pub since: Option<u64>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub activities: Vec<Activity>,
    #[serde(default)]
    pub status: Status,
    #[serde(default, deserialize_with = "null_is_default")]
    pub afk: bool,
}

/// Reads `since`: a number or null, and the object that serenity 0.12 sends (a `SystemTime` as its own serde writes it).
fn since<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Option<u64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("milliseconds since the Unix epoch, null or an object")
        }
        fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_none<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_u64<E: de::Error>(self, v: u64) -> Result<Option<u64>, E> {
            Ok(Some(v))
        }
        fn visit_i64<E: de::Error>(self, v: i64) -> Result<Option<u64>, E> {
            Ok(u64::try_from(v).ok())
        }
        fn visit_f64<E: de::Error>(self, v: f64) -> Result<Option<u64>, E> {
            Ok((v >= 0.0).then_some(v as u64))
        }
        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Option<u64>, A::Error> {
            let mut seconds = None;
            while let Some(key) = map.next_key::<String>()? {
                if key == "secs_since_epoch" {
                    seconds = map.next_value::<Option<u64>>()?;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(seconds.map(|s| s.saturating_mul(1000)))
        }
    }
    deserializer.deserialize_any(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_in_every_form_that_libraries_send() {
        let of = |json: &str| {
            serde_json::from_str::<PresenceUpdate>(&format!(r#"{{"since":{json},"status":"idle","activities":[]}}"#))
                .map(|p| p.since)
                .ok()
        };
        assert_eq!(of("null"), Some(None));
        assert_eq!(of("1700000000000"), Some(Some(1_700_000_000_000)));
        assert_eq!(of("1.7e12"), Some(Some(1_700_000_000_000)));
        assert_eq!(of(r#"{"secs_since_epoch":1700000000,"nanos_since_epoch":5}"#), Some(Some(1_700_000_000_000)));
        assert_eq!(of("{}"), Some(None));
        assert_eq!(of(r#""soon""#), None);
    }

    #[test]
    fn an_unknown_status_is_refused() {
        assert!(serde_json::from_str::<PresenceUpdate>(r#"{"status":"asleep"}"#).is_err());
    }
}
