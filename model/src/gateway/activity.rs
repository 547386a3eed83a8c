//! What a user does, as clients say it and as others see it.

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::channel::int_enum;
use crate::{ApplicationId, EmojiId};

/// Characters of a name, and of each line of text.
const TEXT_MAX_CHARS: usize = 128;
const URL_MAX_CHARS: usize = 512;
/// Characters of the key of an image.
const IMAGE_MAX_CHARS: usize = 313;
const BUTTONS_MAX: usize = 2;
const BUTTON_MAX_CHARS: usize = 32;
/// What others may be told by an activity's flags.
const FLAGS: u32 = (1 << 9) - 1;
/// What a custom status is called.
const CUSTOM_STATUS: &str = "Custom Status";

int_enum! {
    /// The kind of an activity.
    ActivityType: u8 {
        Playing = 0,
        /// With a `url`, which no other kind has.
        Streaming = 1,
        Listening = 2,
        Watching = 3,
        /// A text in `state` and an emoji: the user's custom status.
        Custom = 4,
        Competing = 5,
        Hang = 6,
    }
}

/// When an activity began and will end, milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActivityTimestamps {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "milliseconds")]
    pub start: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "milliseconds")]
    pub end: Option<u64>,
}

/// The emoji of a custom status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityEmoji {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EmojiId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub animated: Option<bool>,
}

/// The party that the user plays in.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActivityParty {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its size now, and at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[u32; 2]>,
}

/// Images of an activity and their texts.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActivityAssets {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub large_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small_text: Option<String>,
}

/// How others join or watch.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActivitySecrets {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub join: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spectate: Option<String>,
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub match_secret: Option<String>,
}

/// What a user does.
///
/// Source: "Activity Object" of the API's documentation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ActivityType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it was added to the session, milliseconds since the Unix epoch; the server says so.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "milliseconds")]
    pub created_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamps: Option<ActivityTimestamps>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_id: Option<ApplicationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The text of a custom status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub emoji: Option<ActivityEmoji>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<ActivityParty>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assets: Option<ActivityAssets>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<ActivitySecrets>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<u32>,
    /// What stands on its buttons; where they lead, nobody is told by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "buttons")]
    pub buttons: Option<Vec<String>>,
}

impl Activity {
    /// An activity with nothing but a name and a kind.
    pub fn new(name: impl Into<String>, kind: ActivityType) -> Self {
        Self {
            name: name.into(),
            kind,
            url: None,
            created_at: None,
            timestamps: None,
            application_id: None,
            details: None,
            state: None,
            emoji: None,
            party: None,
            assets: None,
            secrets: None,
            instance: None,
            flags: None,
            buttons: None,
        }
    }

    /// What of it is shown to others: texts are cut to what the API allows, secrets stay behind, and of a bot's activity
    /// only what bots may set is left: name, state, type and url. None if nothing is left to show.
    pub fn shown(self, is_bot: bool, unix_ms: u64) -> Option<Self> {
        let mut shown = Self { name: cut(self.name, TEXT_MAX_CHARS), ..Self::new("", self.kind) };
        shown.created_at = Some(self.created_at.map_or(unix_ms, |at| at.min(unix_ms)));
        shown.state = text(self.state);
        shown.url = self.url.filter(|url| self.kind == ActivityType::Streaming && is_web(url));
        if !is_bot {
            shown.timestamps = self.timestamps;
            shown.application_id = self.application_id;
            shown.details = text(self.details);
            shown.emoji = self.emoji.map(|emoji| ActivityEmoji { name: cut(emoji.name, TEXT_MAX_CHARS), ..emoji });
            shown.party = self.party.map(|party| ActivityParty { id: text(party.id), ..party });
            shown.assets = self.assets.map(ActivityAssets::cut);
            shown.instance = self.instance;
            shown.flags = self.flags.map(|flags| flags & FLAGS);
            shown.buttons = self
                .buttons
                .map(|labels| labels.into_iter().take(BUTTONS_MAX).map(|label| cut(label, BUTTON_MAX_CHARS)).collect());
        }
        if shown.kind == ActivityType::Custom {
            shown.name = CUSTOM_STATUS.into();
            return Some(shown).filter(|shown| shown.state.is_some() || shown.emoji.is_some());
        }
        Some(shown).filter(|shown| !shown.name.is_empty())
    }
}

impl ActivityAssets {
    fn cut(self) -> Self {
        let image = |key: Option<String>| key.map(|key| cut(key, IMAGE_MAX_CHARS)).filter(|key| !key.is_empty());
        Self {
            large_image: image(self.large_image),
            large_text: text(self.large_text),
            small_image: image(self.small_image),
            small_text: text(self.small_text),
        }
    }
}

fn text(text: Option<String>) -> Option<String> {
    text.map(|text| cut(text, TEXT_MAX_CHARS)).filter(|text| !text.is_empty())
}

/// The beginning of a text without the white space around it.
fn cut(text: String, max_chars: usize) -> String {
    let trimmed = text.trim();
    match trimmed.char_indices().nth(max_chars) {
        Some((end, _)) => trimmed[..end].to_owned(),
        None if trimmed.len() == text.len() => text,
        None => trimmed.to_owned(),
    }
}

fn is_web(url: &str) -> bool {
    url.chars().count() <= URL_MAX_CHARS && (url.starts_with("https://") || url.starts_with("http://"))
}

/// Reads a number of milliseconds; some libraries send floats.
fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Whole(u64),
        Float(f64),
    }
    Ok(match Option::<Number>::deserialize(deserializer)? {
        None => None,
        Some(Number::Whole(n)) => Some(n),
        Some(Number::Float(n)) if n >= 0.0 => Some(n as u64),
        Some(Number::Float(_)) => return Err(de::Error::custom("a time before the Unix epoch")),
    })
}

/// Reads the labels of buttons, which clients also send as objects with a `label`.
fn buttons<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Button {
        Label(String),
        Whole { label: String },
    }
    let buttons = Option::<Vec<Button>>::deserialize(deserializer)?;
    let label = |button| match button {
        Button::Label(label) | Button::Whole { label } => label,
    };
    Ok(buttons.map(|buttons| buttons.into_iter().map(label).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Activity {
        serde_json::from_str(json).expect("an activity")
    }

    const RICH: &str = r#"{"name":"game","type":0,"url":"https://x.example","created_at":1.5e12,"details":"d","state":"s",
        "timestamps":{"start":1,"end":null},"application_id":"5","party":{"id":"p","size":[1,4]},"instance":true,
        "assets":{"large_image":"i","large_text":"t"},"secrets":{"join":"secret","match":"m"},"flags":513,
        "buttons":["one",{"label":"two","url":"https://y.example"},"three"],"sync_id":"ignored"}"#;

    #[test]
    fn others_see_what_the_api_shows_and_no_secrets() {
        let shown = parse(RICH).shown(false, 1_700_000_000_000).expect("something to show");
        assert_eq!(shown.created_at, Some(1_500_000_000_000));
        assert_eq!((shown.secrets.clone(), shown.url.clone(), shown.flags), (None, None, Some(1)));
        assert_eq!(shown.buttons, Some(vec!["one".to_owned(), "two".to_owned()]));
        assert_eq!(shown.party, Some(ActivityParty { id: Some("p".into()), size: Some([1, 4]) }));
        assert!(!serde_json::to_string(&shown).expect("JSON").contains("secret"));
    }

    #[test]
    fn a_bot_sets_name_state_type_and_url() {
        let shown = parse(RICH).shown(true, 2_000_000_000_000).expect("something to show");
        let wanted = Activity {
            created_at: Some(1_500_000_000_000),
            state: Some("s".into()),
            ..Activity::new("game", ActivityType::Playing)
        };
        assert_eq!(shown, wanted);
        let stream = parse(r#"{"name":"live","type":1,"url":"https://twitch.tv/x"}"#).shown(true, 7);
        assert_eq!(stream.and_then(|s| s.url).as_deref(), Some("https://twitch.tv/x"));
    }

    #[test]
    fn long_texts_are_cut_and_empty_ones_show_nothing() {
        let long =
            Activity { details: Some("ä".repeat(1_000)), ..Activity::new("n".repeat(1_000), ActivityType::Playing) };
        let shown = long.shown(false, 0).expect("something to show");
        assert_eq!((shown.name.len(), shown.details.map(|d| d.chars().count())), (128, Some(128)));
        assert_eq!(Activity::new("  ", ActivityType::Playing).shown(false, 0), None);
        assert_eq!(Activity::new("Custom Status", ActivityType::Custom).shown(false, 0), None);
        let custom = parse(r#"{"name":"x","type":4,"emoji":{"name":"🔥","id":null}}"#).shown(false, 0);
        assert_eq!(custom.map(|c| c.name).as_deref(), Some("Custom Status"));
    }

    #[test]
    fn what_is_no_activity_is_refused() {
        for bad in [
            r#"{"type":0}"#,
            r#"{"name":"x"}"#,
            r#"{"name":"x","type":9}"#,
            r#"{"name":5,"type":0}"#,
            r#"{"name":"x","type":0,"party":{"size":[1]}}"#,
            r#"{"name":"x","type":0,"timestamps":{"start":-5}}"#,
        ] {
            assert!(serde_json::from_str::<Activity>(bad).is_err(), "{bad}");
        }
    }
}
