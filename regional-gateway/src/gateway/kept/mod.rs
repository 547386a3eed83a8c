//! Sessions over a restart: what a process that ends leaves for the next one on the same folder.
//!
//! When nothing more can happen, every session that could still be resumed is frozen and written down, and is taken up
//! before the successor's gateway opens its port: under its id, with its numbers and events, subscribed to everything it
//! was subscribed to, waiting for RESUME. What was left is taken up once: the file is gone before the first client comes,
//! so that a session never goes back to an earlier point after a crash.

mod file;
mod parks;
mod take_up;

use std::collections::BTreeMap;

use rookery_model::gateway::{Capabilities, ClientKind, PresenceUpdate, Subscription};
use rookery_model::{ChannelId, DeviceId, GuildId};
use rookery_session::{FrozenPayloads, FrozenSession};
use rookery_user::SessionClient;
use serde::{Deserialize, Serialize};

use crate::peers::frame::ShardsForm;

pub use file::{WriteError, write};
pub use take_up::take_up;

/// A session as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptSession {
    pub frozen: FrozenSession,
    pub device: DeviceId,
    /// Of the token it identified with; the session ends with that token.
    pub epoch: u32,
    pub is_bot: bool,
    pub large_threshold: u32,
    pub capabilities: u64,
    pub client: KeptClient,
    /// Guilds whose events it gets.
    pub subscribed: Vec<GuildId>,
    /// Guilds whose owners ended before it was written down, with their epochs.
    #[serde(default)]
    pub parked: Vec<(GuildId, u64)>,
    /// The same of its user.
    #[serde(default)]
    pub user_parked: Option<u64>,
    /// Guilds whose snapshots it still waits for.
    pub waiting: Vec<GuildId>,
    /// Of these, those that it had asked for.
    #[serde(default)]
    pub asked: Vec<GuildId>,
    /// What it looks at; JSON, which is how its client said it.
    pub looks: String,
    /// The DM in whose call it is.
    #[serde(default)]
    pub call: Option<ChannelId>,
}

/// What the client runs on, and what it last said of its user's presence.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptClient {
    pub kind: u8,
    pub os: String,
    /// JSON.
    pub presence: Option<String>,
}

/// All that a process leaves.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptSessions {
    /// When, in milliseconds since the Unix epoch: resume windows go on while nobody runs.
    pub kept_at_unix_ms: u64,
    pub payloads: FrozenPayloads,
    pub sessions: Vec<KeptSession>,
    /// Who keeps what owners elsewhere have for them meanwhile.
    #[serde(default)]
    pub parked: Vec<KeptPark>,
}

/// Another region that keeps something for these sessions, and what it is to be shown for that.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptPark {
    pub peer: String,
    pub token: u128,
    /// What it owns of what they had.
    #[serde(default)]
    pub shards: Vec<ShardsForm>,
}

const KINDS: [ClientKind; 3] = [ClientKind::Desktop, ClientKind::Mobile, ClientKind::Web];

impl KeptClient {
    /// Writes a client down.
    pub fn new(client: &SessionClient) -> Self {
        Self {
            kind: KINDS.iter().position(|kind| *kind == client.kind).unwrap_or(KINDS.len()) as u8,
            os: client.os.to_string(),
            presence: client.presence.as_ref().and_then(|presence| serde_json::to_string(presence).ok()),
        }
    }

    /// Reads it; what cannot be read is as if the client had not said it.
    pub fn read(self) -> SessionClient {
        let presence = self.presence.and_then(|text| serde_json::from_str::<PresenceUpdate>(&text).ok());
        SessionClient {
            kind: KINDS.get(usize::from(self.kind)).copied().unwrap_or(ClientKind::Web),
            os: self.os.into(),
            presence: presence.map(Box::new),
        }
    }
}

/// What a session looks at, as it is written down.
pub fn write_looks(looks: &BTreeMap<GuildId, Subscription>) -> String {
    serde_json::to_string(looks).unwrap_or_default()
}

fn read_looks(text: &str) -> BTreeMap<GuildId, Subscription> {
    serde_json::from_str(text).unwrap_or_default()
}

fn read_capabilities(bits: u64) -> Capabilities {
    Capabilities::from_bits_truncate(bits)
}

#[cfg(test)]
mod tests {
    use rookery_model::gateway::{Activity, ActivityType, Status};

    use super::*;

    #[test]
    fn a_client_and_what_it_looks_at_come_back() {
        let presence = PresenceUpdate {
            status: Status::Dnd,
            activities: vec![Activity::new("chess", ActivityType::Playing)],
            ..PresenceUpdate::default()
        };
        for kind in KINDS {
            let client = SessionClient { kind, os: "linux".into(), presence: Some(Box::new(presence.clone())) };
            assert_eq!(KeptClient::new(&client).read(), client);
        }
        let damaged = KeptClient { kind: 9, os: String::new(), presence: Some("{".into()) };
        assert_eq!(damaged.read(), SessionClient::default());
        let wanted = serde_json::json!({
            "1": {"typing": true, "members": ["7"], "channels": {"5": [[0, 99], [100, 199]]}},
        });
        let looks: BTreeMap<GuildId, Subscription> = serde_json::from_value(wanted).unwrap();
        assert_eq!(read_looks(&write_looks(&looks)), looks);
        assert!(read_looks("[").is_empty());
    }
}
