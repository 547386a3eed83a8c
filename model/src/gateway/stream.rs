//! Go Live: STREAM_CREATE, STREAM_DELETE, STREAM_WATCH, STREAM_PING and STREAM_SET_PAUSED (opcodes 18 to 22), and what is
//! dispatched of streams.
//!
//! The API's makers say nothing of these. The numbers, names and fields are those that the community has written down of
//! user clients, and that libraries for such clients send and expect.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::identify::null_is_default;
use crate::voice::VoiceToken;
use crate::{ApiError, ChannelId, ErrorCode, GuildId, UserId, VoiceServerId};

/// Names a stream: `guild:{guild}:{channel}:{user}`, or `call:{channel}:{user}` in DMs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamKey {
    /// None in a DM.
    pub guild_id: Option<GuildId>,
    /// The voice channel.
    pub channel_id: ChannelId,
    /// Who streams.
    pub user_id: UserId,
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { guild_id, channel_id, user_id } = self;
        match guild_id {
            Some(guild_id) => write!(f, "guild:{guild_id}:{channel_id}:{user_id}"),
            None => write!(f, "call:{channel_id}:{user_id}"),
        }
    }
}

/// A text that names no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stream is named guild:GUILD:CHANNEL:USER or call:CHANNEL:USER")]
pub struct ParseStreamKeyError;

impl FromStr for StreamKey {
    type Err = ParseStreamKeyError;
    fn from_str(text: &str) -> Result<Self, ParseStreamKeyError> {
        fn id<T: FromStr>(part: &str) -> Result<T, ParseStreamKeyError> {
            part.parse().map_err(|_| ParseStreamKeyError)
        }
        let mut parts = text.split(':');
        let mut next = || parts.next().ok_or(ParseStreamKeyError);
        let guild_id = match next()? {
            "guild" => Some(id(next()?)?),
            "call" => None,
            _ => return Err(ParseStreamKeyError),
        };
        let key = Self { guild_id, channel_id: id(next()?)?, user_id: id(next()?)? };
        if parts.next().is_some() { Err(ParseStreamKeyError) } else { Ok(key) }
    }
}

/// Where somebody streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StreamType {
    Guild,
    Call,
}

#[derive(Deserialize)]
struct StreamCreateForm {
    #[serde(rename = "type")]
    kind: StreamType,
    #[serde(default)]
    guild_id: Option<GuildId>,
    channel_id: ChannelId,
    #[serde(default, deserialize_with = "null_is_default")]
    preferred_region: Option<String>,
}

/// The data of STREAM_CREATE (opcode 18): the client streams where it is in voice.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "StreamCreateForm")]
pub struct StreamCreate {
    /// None for a call.
    pub guild_id: Option<GuildId>,
    pub channel_id: ChannelId,
    /// Where the channel leaves it open.
    pub preferred_region: Option<String>,
}

impl TryFrom<StreamCreateForm> for StreamCreate {
    type Error = &'static str;
    fn try_from(form: StreamCreateForm) -> Result<Self, &'static str> {
        let StreamCreateForm { kind, guild_id, channel_id, preferred_region } = form;
        let guild_id = match kind {
            StreamType::Guild => Some(guild_id.ok_or("a stream in a guild names it")?),
            StreamType::Call => None,
        };
        Ok(Self { guild_id, channel_id, preferred_region })
    }
}

/// The data of STREAM_DELETE (19), STREAM_WATCH (20) and STREAM_PING (21).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StreamName {
    pub stream_key: String,
}

/// The data of STREAM_SET_PAUSED (opcode 22).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StreamSetPaused {
    pub stream_key: String,
    pub paused: bool,
}

/// What a client sends about a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamRequest {
    Create(StreamCreate),
    Delete(StreamName),
    Watch(StreamName),
    Ping(StreamName),
    SetPaused(StreamSetPaused),
}

/// What is wanted of a stream that is named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamAction {
    Create {
        preferred_region: Option<Box<str>>,
    },
    /// The streamer ends it; anybody else no longer watches it.
    Delete,
    Watch,
    /// The client's connection to it broke: whether it goes on.
    Ping,
    SetPaused(bool),
}

impl StreamRequest {
    /// Which stream it is about, and what is to become of it; `user_id` is who asks.
    ///
    /// # Errors
    /// The text that names no stream.
    pub fn read(self, user_id: UserId) -> Result<(StreamKey, StreamAction), String> {
        let named = |text: String, action| match text.parse() {
            Ok(key) => Ok((key, action)),
            Err(ParseStreamKeyError) => Err(text),
        };
        match self {
            Self::Create(StreamCreate { guild_id, channel_id, preferred_region }) => {
                let preferred_region = preferred_region.map(Into::into);
                Ok((StreamKey { guild_id, channel_id, user_id }, StreamAction::Create { preferred_region }))
            }
            Self::Delete(StreamName { stream_key }) => named(stream_key, StreamAction::Delete),
            Self::Watch(StreamName { stream_key }) => named(stream_key, StreamAction::Watch),
            Self::Ping(StreamName { stream_key }) => named(stream_key, StreamAction::Ping),
            Self::SetPaused(StreamSetPaused { stream_key, paused }) => {
                named(stream_key, StreamAction::SetPaused(paused))
            }
        }
    }
}

/// STREAM_CREATE as it is dispatched: the session streams, or watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamCreated {
    pub stream_key: String,
    pub region: String,
    pub viewer_ids: Vec<UserId>,
    /// The `server_id` that the voice gateway's IDENTIFY is to have.
    pub rtc_server_id: VoiceServerId,
    /// Its `channel_id`.
    pub rtc_channel_id: ChannelId,
    pub paused: bool,
}

/// STREAM_SERVER_UPDATE: where a session's connection for a stream is to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamServerUpdate {
    pub stream_key: String,
    /// Host and port of the voice gateway; none: there is no server at the moment, and another of these follows.
    pub endpoint: Option<String>,
    /// What the voice gateway asks for.
    pub token: VoiceToken,
    /// Always null.
    pub guild_id: Option<GuildId>,
}

/// STREAM_UPDATE: other viewers than before, or paused or no longer; to all who have to do with the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamUpdate {
    pub stream_key: String,
    pub region: String,
    pub viewer_ids: Vec<UserId>,
    pub paused: bool,
}

/// Why a session has nothing to do with a stream any more, or was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamDeleteReason {
    /// As it asked itself.
    UserRequested,
    StreamEnded,
    /// As many watch as may.
    StreamFull,
    Unauthorized,
    /// The key cannot be read.
    ParseFailed,
    /// There can be no stream in that channel.
    InvalidChannel,
}

/// STREAM_DELETE as it is dispatched: the session neither streams nor watches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDeleted {
    pub stream_key: String,
    pub reason: StreamDeleteReason,
    /// For a while only: the client may ask again.
    pub unavailable: bool,
}

impl StreamDeleted {
    /// What a session is told whose wish reached nobody, for this reason: in a DM that is not there, or in which nobody is in
    /// a call, there are no streams; anywhere else there may be soon.
    pub fn unheard(key: StreamKey, why: &ApiError) -> Self {
        let unavailable = !why.is(ErrorCode::UnknownChannel);
        let reason = if unavailable { StreamDeleteReason::StreamEnded } else { StreamDeleteReason::InvalidChannel };
        Self { stream_key: key.to_string(), reason, unavailable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["guild:41771983423143936:127121515262115840:53908232506183680", "call:7:9"] {
            let key: StreamKey = text.parse().unwrap();
            assert_eq!(key.to_string(), text);
        }
        for bad in ["", "guild:1:2", "guild:1:2:3:4", "call:1", "call:1:2:3", "dm:1:2", "guild:a:2:3", "call::2"] {
            assert_eq!(bad.parse::<StreamKey>(), Err(ParseStreamKeyError), "{bad}");
        }
    }

    #[test]
    fn what_clients_send_is_read() {
        let create = |text: &str| serde_json::from_str::<StreamCreate>(text);
        let guild = create(r#"{"type":"guild","guild_id":"1","channel_id":"2","preferred_region":null}"#).unwrap();
        let expected =
            StreamCreate { guild_id: Some(GuildId::new(1)), channel_id: ChannelId::new(2), preferred_region: None };
        assert_eq!(guild, expected);
        let call = create(r#"{"type":"call","guild_id":null,"channel_id":"2"}"#).unwrap();
        assert_eq!(call, StreamCreate { guild_id: None, ..expected });
        for bad in [r#"{"type":"guild","channel_id":"2"}"#, r#"{"type":"test","guild_id":"1","channel_id":"2"}"#] {
            assert!(create(bad).is_err(), "{bad}");
        }
        let request = StreamRequest::Watch(StreamName { stream_key: "call:2:3".into() });
        let key = StreamKey { guild_id: None, channel_id: ChannelId::new(2), user_id: UserId::new(3) };
        assert_eq!(request.read(UserId::new(9)), Ok((key, StreamAction::Watch)));
        let request = StreamRequest::Delete(StreamName { stream_key: "mine".into() });
        assert_eq!(request.read(UserId::new(9)), Err("mine".into()));
    }

    #[test]
    fn what_is_dispatched_has_the_names_that_clients_know() {
        let key = StreamKey { guild_id: Some(GuildId::new(1)), channel_id: ChannelId::new(2), user_id: UserId::new(3) };
        let created = StreamCreated {
            stream_key: key.to_string(),
            region: "local".into(),
            viewer_ids: vec![UserId::new(4)],
            rtc_server_id: VoiceServerId::new(5),
            rtc_channel_id: key.channel_id,
            paused: false,
        };
        let json = serde_json::json!({
            "stream_key": "guild:1:2:3", "region": "local", "viewer_ids": ["4"],
            "rtc_server_id": "5", "rtc_channel_id": "2", "paused": false,
        });
        assert_eq!(serde_json::to_value(&created).unwrap(), json);
        let deleted =
            StreamDeleted { stream_key: key.to_string(), reason: StreamDeleteReason::StreamFull, unavailable: false };
        let json = serde_json::json!({ "stream_key": "guild:1:2:3", "reason": "stream_full", "unavailable": false });
        assert_eq!(serde_json::to_value(&deleted).unwrap(), json);
    }
}
