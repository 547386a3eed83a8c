//! Webhooks: addresses under which others write into a channel.

use serde::{Deserialize, Serialize};

use crate::{ApplicationId, ChannelId, GuildId, UserId, WebhookId};

/// What is stored of a webhook.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRow {
    pub id: WebhookId,
    /// 1 incoming, 2 channel follower, 3 application.
    #[serde(rename = "type")]
    pub kind: u8,
    pub guild_id: GuildId,
    /// Where it writes; it may be moved within its guild.
    pub channel_id: ChannelId,
    /// Who made it.
    #[serde(default)]
    pub user_id: Option<UserId>,
    #[serde(default)]
    pub name: Option<String>,
    #[serde(default)]
    pub avatar: Option<String>,
    /// The secret in its URL; only incoming webhooks have one.
    #[serde(default)]
    pub token: Option<String>,
    #[serde(default)]
    pub application_id: Option<ApplicationId>,
    /// The channel that a follower follows, and its guild.
    #[serde(default)]
    pub source_channel_id: Option<ChannelId>,
    #[serde(default)]
    pub source_guild_id: Option<GuildId>,
}

// By hand: whoever knows the token may write, and what is shown with `{:?}` ends up in logs.
impl std::fmt::Debug for WebhookRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRow")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("guild_id", &self.guild_id)
            .field("channel_id", &self.channel_id)
            .field("has_token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}
