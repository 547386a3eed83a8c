//! Guilds and bots, made as people make them.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::Person;

/// System channel flag SUPPRESS_JOIN_NOTIFICATIONS.
const SUPPRESS_JOIN_NOTIFICATIONS: u32 = 1;
/// VIEW_CHANNEL.
const VIEW_CHANNEL: &str = "1024";

/// A string in an answer.
pub fn text<'a>(value: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    value[name].as_str().with_context(|| format!("no {name} in {value}"))
}

/// A guild and its first text channel.
#[derive(Clone, Debug)]
pub struct Guild {
    pub id: String,
    pub channel_id: String,
}

impl Guild {
    /// Makes a guild whose channel holds only what people say: nobody who joins is announced.
    pub async fn create(owner: &Person, name: &str) -> anyhow::Result<Self> {
        Self::make(owner, &json!({ "name": name, "system_channel_flags": SUPPRESS_JOIN_NOTIFICATIONS })).await
    }

    /// Makes a guild as the API makes it: who joins is announced.
    pub async fn announcing(owner: &Person, name: &str) -> anyhow::Result<Self> {
        Self::make(owner, &json!({ "name": name })).await
    }

    async fn make(owner: &Person, body: &Value) -> anyhow::Result<Self> {
        let guild = owner.post("/guilds", body).await?;
        let id = text(&guild, "id")?.to_owned();
        let channels = owner.get(&format!("/guilds/{id}/channels")).await?;
        let channels = channels.as_array().context("a list")?;
        let Some(channel) = channels.iter().find(|channel| channel["type"] == 0) else {
            bail!("a new guild has no text channel: {channels:?}")
        };
        let channel_id = text(channel, "id")?.to_owned();
        Ok(Self { id, channel_id })
    }

    /// Brings somebody in by an invite of the owner.
    pub async fn welcome(&self, owner: &Person, guest: &Person) -> anyhow::Result<()> {
        let invite = owner.post(&format!("/channels/{}/invites", self.channel_id), &json!({})).await?;
        guest.post(&format!("/invites/{}", text(&invite, "code")?), &json!({})).await?;
        Ok(())
    }

    /// Makes a text channel that everybody sees.
    pub async fn channel(&self, owner: &Person, name: &str) -> anyhow::Result<String> {
        let channel = owner.post(&format!("/guilds/{}/channels", self.id), &json!({ "name": name, "type": 0 })).await?;
        Ok(text(&channel, "id")?.to_owned())
    }

    /// Makes a text channel that nobody sees but the owner.
    pub async fn hidden_channel(&self, owner: &Person, name: &str) -> anyhow::Result<String> {
        let deny = json!({ "id": self.id, "type": 0, "allow": "0", "deny": VIEW_CHANNEL });
        let body = json!({ "name": name, "type": 0, "permission_overwrites": [deny] });
        let channel = owner.post(&format!("/guilds/{}/channels", self.id), &body).await?;
        Ok(text(&channel, "id")?.to_owned())
    }

    /// Lets a member see a hidden channel.
    pub async fn show(&self, owner: &Person, channel_id: &str, user_id: &str) -> anyhow::Result<()> {
        let body = json!({ "type": 1, "allow": VIEW_CHANNEL, "deny": "0" });
        owner.put_with(&format!("/channels/{channel_id}/permissions/{user_id}"), &body).await?;
        Ok(())
    }

    /// Takes that back.
    pub async fn hide(&self, owner: &Person, channel_id: &str, user_id: &str) -> anyhow::Result<()> {
        owner.delete(&format!("/channels/{channel_id}/permissions/{user_id}")).await?;
        Ok(())
    }
}

/// Makes an application with a bot and adds it to a guild.
pub async fn bot_in(guild: &Guild, owner: &Person, name: &str, permissions: u64) -> anyhow::Result<Person> {
    let application = owner.post("/applications", &json!({ "name": name })).await?;
    let id = text(&application, "id")?;
    let made = owner.post(&format!("/applications/{id}/bot"), &json!({})).await?;
    let bot = owner.bot_of(id, text(&made, "token")?);
    let authorize = format!("/oauth2/authorize?client_id={id}&scope=bot&permissions={permissions}");
    owner.post(&authorize, &json!({ "guild_id": guild.id, "authorize": true })).await?;
    Ok(bot)
}
