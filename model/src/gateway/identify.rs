//! IDENTIFY (opcode 2): a client starts a session.

use serde::{Deserialize, Deserializer, de};
use std::fmt;

use super::{Capabilities, ClientKind, CloseCode, Intents, PresenceUpdate};
use crate::GuildId;

/// A token as a client sent it; it never shows in logs.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct GatewayToken(String);

impl GatewayToken {
    /// Wraps a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }
    /// The token without the scheme that some libraries put in front of it.
    pub fn bare(&self) -> &str {
        let token = self.0.trim();
        token.strip_prefix("Bot ").or_else(|| token.strip_prefix("Bearer ")).unwrap_or(token).trim_start()
    }
}

impl fmt::Debug for GatewayToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayToken(…)")
    }
}

/// What the client runs on; every field is the client's own word.
#[derive(Clone, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "WireProperties")]
pub struct IdentifyProperties {
    pub os: String,
    pub browser: String,
    pub device: String,
}

impl IdentifyProperties {
    /// What the client runs on, as far as it tells; bots are shown as clients of the web, as the API has it.
    pub fn client_kind(&self, is_bot: bool) -> ClientKind {
        let (browser, os) = (self.browser.to_ascii_lowercase(), self.os.to_ascii_lowercase());
        let is_mobile = |name: &str| ["android", "ios", "mobile"].iter().any(|part| name.contains(part));
        if is_bot {
            ClientKind::Web
        } else if is_mobile(&browser) || is_mobile(&os) {
            ClientKind::Mobile
        } else if browser.contains("client") || browser.contains("desktop") {
            ClientKind::Desktop
        } else {
            ClientKind::Web
        }
    }
}

/// Both spellings of the properties; some libraries send the two together.
#[derive(Deserialize)]
struct WireProperties {
    #[serde(default)]
    os: Option<String>,
    #[serde(default)]
    browser: Option<String>,
    #[serde(default)]
    device: Option<String>,
    #[serde(default, rename = "$os")]
    legacy_os: Option<String>,
    #[serde(default, rename = "$browser")]
    legacy_browser: Option<String>,
    #[serde(default, rename = "$device")]
    legacy_device: Option<String>,
}

impl From<WireProperties> for IdentifyProperties {
    fn from(wire: WireProperties) -> Self {
        Self {
            os: wire.os.or(wire.legacy_os).unwrap_or_default(),
            browser: wire.browser.or(wire.legacy_browser).unwrap_or_default(),
            device: wire.device.or(wire.legacy_device).unwrap_or_default(),
        }
    }
}

/// One of several sessions among which a bot divides its guilds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    pub id: u32,
    pub count: u32,
}

impl Shard {
    /// The shard of those that do not shard.
    pub const WHOLE: Self = Self { id: 0, count: 1 };

    /// Reads `[id, count]`; none if there is no such shard.
    pub fn from_pair(pair: &[i64]) -> Option<Self> {
        let [id, count] = *pair else { return None };
        let shard = Self { id: u32::try_from(id).ok()?, count: u32::try_from(count).ok()? };
        (shard.id < shard.count).then_some(shard)
    }
    /// Whether the guild's events go to this shard.
    ///
    /// Source: "Sharding" of the API's documentation, `(guild_id >> 22) % num_shards == shard_id`.
    pub const fn holds_guild(self, guild_id: GuildId) -> bool {
        (guild_id.get() >> 22) % self.count as u64 == self.id as u64
    }
    /// Whether direct messages go to this shard.
    pub const fn holds_dms(self) -> bool {
        self.id == 0
    }
}

/// The data of IDENTIFY; shard and intents are as the client sent them until [`Identify::shard`] and
/// [`Identify::intents`] have looked at them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Identify {
    pub token: GatewayToken,
    #[serde(default)]
    pub properties: IdentifyProperties,
    /// Whether single payloads may be compressed; has no effect on a connection with transport compression.
    #[serde(default, deserialize_with = "null_is_default")]
    pub compress: bool,
    /// Members from which on a guild's offline members are left out of GUILD_CREATE.
    #[serde(default)]
    pub large_threshold: Option<u32>,
    #[serde(default, rename = "shard")]
    pub shard_pair: Option<Vec<i64>>,
    #[serde(default)]
    pub presence: Option<PresenceUpdate>,
    #[serde(default, rename = "intents", deserialize_with = "intent_bits")]
    pub intent_bits: Option<u64>,
    /// As the client sent them; see [`Identify::capabilities`].
    #[serde(default, rename = "capabilities", deserialize_with = "intent_bits")]
    pub capability_bits: Option<u64>,
}

impl Identify {
    /// The shard asked for; [`CloseCode::InvalidShard`] if there is no such shard.
    pub fn shard(&self) -> Result<Option<Shard>, CloseCode> {
        match &self.shard_pair {
            None => Ok(None),
            Some(pair) => Shard::from_pair(pair).map(Some).ok_or(CloseCode::InvalidShard),
        }
    }
    /// The intents asked for; [`CloseCode::InvalidIntents`] if a bit has no meaning.
    pub fn intents(&self) -> Result<Option<Intents>, CloseCode> {
        match self.intent_bits {
            None => Ok(None),
            Some(bits) => Intents::from_bits(bits).map(Some).ok_or(CloseCode::InvalidIntents),
        }
    }
    /// Those of the client's capabilities that have a meaning here; bits that nobody knows are passed over, and so is
    /// a number that no set of bits has.
    pub fn capabilities(&self) -> Capabilities {
        let bits = self.capability_bits.filter(|bits| *bits != u64::MAX).unwrap_or_default();
        Capabilities::from_bits_truncate(bits)
    }
}

/// Reads a field whose null means the same as its absence.
pub(super) fn null_is_default<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads intents; a number that no set of intents has (negative, fractional) becomes bits that none has either, so that
/// it is answered with the close code for intents and not with the one for undecodable payloads.
fn intent_bits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Visitor;
    impl<'de> de::Visitor<'de> for Visitor {
        type Value = Option<u64>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("intents as a number")
        }
        fn visit_unit<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_none<E: de::Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<u64>, D::Error> {
            deserializer.deserialize_any(self)
        }
        fn visit_u64<E: de::Error>(self, v: u64) -> Result<Option<u64>, E> {
            Ok(Some(v))
        }
        fn visit_i64<E: de::Error>(self, v: i64) -> Result<Option<u64>, E> {
            Ok(Some(u64::try_from(v).unwrap_or(u64::MAX)))
        }
        fn visit_f64<E: de::Error>(self, v: f64) -> Result<Option<u64>, E> {
            let whole = v.fract() == 0.0 && (0.0..=u64::from(u32::MAX) as f64).contains(&v);
            Ok(Some(if whole { v as u64 } else { u64::MAX }))
        }
    }
    deserializer.deserialize_option(Visitor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Identify {
        serde_json::from_str(json).expect("an IDENTIFY")
    }

    #[test]
    fn token_loses_its_scheme_and_never_shows() {
        let identify = parse(r#"{"token":"Bot abc.def","properties":{}}"#);
        assert_eq!(identify.token.bare(), "abc.def");
        assert_eq!(GatewayToken::new("abc").bare(), "abc");
        assert!(!format!("{identify:?}").contains("abc"));
    }

    #[test]
    fn both_spellings_of_properties() {
        let old = parse(r#"{"token":"t","properties":{"$os":"linux","$browser":"b","$device":null}}"#);
        assert_eq!((old.properties.os.as_str(), old.properties.browser.as_str()), ("linux", "b"));
        let both = parse(r#"{"token":"t","properties":{"$os":"old","os":"new","client_build_number":5}}"#);
        assert_eq!(both.properties.os, "new");
    }

    #[test]
    fn clients_tell_what_they_run_on() {
        let kind = |browser: &str, os: &str, is_bot| {
            let properties = IdentifyProperties { os: os.into(), browser: browser.into(), device: String::new() };
            properties.client_kind(is_bot)
        };
        assert_eq!(kind("Discord Client", "Windows", false), ClientKind::Desktop);
        assert_eq!(kind("Discord iOS", "iOS", false), ClientKind::Mobile);
        assert_eq!(kind("Discord Android", "Android", false), ClientKind::Mobile);
        assert_eq!(kind("Chrome", "Linux", false), ClientKind::Web);
        assert_eq!(kind("Discord iOS", "iOS", true), ClientKind::Web);
    }

    #[test]
    fn shards_that_do_not_exist_are_refused() {
        for bad in ["[1,1]", "[-1,2]", "[0]", "[0,0]", "[0,1,2]", "[5000000000,6000000000]"] {
            let identify = parse(&format!(r#"{{"token":"t","shard":{bad}}}"#));
            assert_eq!(identify.shard(), Err(CloseCode::InvalidShard), "{bad}");
        }
        assert_eq!(parse(r#"{"token":"t","shard":[1,2]}"#).shard(), Ok(Some(Shard { id: 1, count: 2 })));
        assert_eq!(parse(r#"{"token":"t"}"#).shard(), Ok(None));
    }

    #[test]
    fn a_guild_belongs_to_one_shard() {
        let guild = GuildId::new(175_928_847_299_117_063);
        let holders: Vec<u32> = (0..7).filter(|&id| Shard { id, count: 7 }.holds_guild(guild)).collect();
        assert_eq!(holders, [((guild.get() >> 22) % 7) as u32]);
    }

    #[test]
    fn capabilities_of_every_form() {
        let of = |json: &str| parse(&format!(r#"{{"token":"t","capabilities":{json}}}"#)).capabilities();
        assert_eq!(of("16381"), Capabilities::PASSIVE_GUILD_UPDATE);
        assert_eq!(of("16435"), Capabilities::PASSIVE_GUILD_UPDATE_V2);
        for none in ["0", "null", "-1", "1.5", "1e300"] {
            assert_eq!(of(none), Capabilities::empty(), "{none}");
        }
    }

    #[test]
    fn intents_of_every_form() {
        let of = |json: &str| parse(&format!(r#"{{"token":"t","intents":{json}}}"#)).intents();
        assert_eq!(of("513"), Ok(Some(Intents::GUILDS | Intents::GUILD_MESSAGES)));
        assert_eq!(of("513.0"), Ok(Some(Intents::GUILDS | Intents::GUILD_MESSAGES)));
        assert_eq!(of("null"), Ok(None));
        for bad in ["-1", "1.5", "131072", "18446744073709551615", "1e300"] {
            assert_eq!(of(bad), Err(CloseCode::InvalidIntents), "{bad}");
        }
    }
}
