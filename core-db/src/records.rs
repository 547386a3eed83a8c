//! Reads of what stands beside messages, guilds and users.

use rookery_model::audit_log::AuditLogRow;
use rookery_model::outbox::{FileRemoval, OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::relationship::RelationshipRow;
use rookery_model::stage_instance::StageInstance;
use rookery_model::store::{AttachmentRow, EmojiRow, MessageEditRow, SettingsRow};
use rookery_model::webhook::WebhookRow;
use rookery_model::{AuditLogEntryId, ChannelId, GuildId, MessageId, UserId, WebhookId};

use crate::{Store, StoreError};

/// The file that a row of the queue `Files` names.
pub fn file_removal(row: &OutboxRow) -> Result<FileRemoval, StoreError> {
    ciborium::from_reader(row.work.as_slice())
        .map_err(|error| StoreError::Invalid(format!("work of the outbox that names no file: {error}")))
}

impl Store {
    /// What a message held before it was edited, newest first.
    pub async fn message_edits(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        limit: usize,
    ) -> Result<Vec<MessageEditRow>, StoreError> {
        self.engine.message_edits(channel_id, message_id, limit).await
    }

    /// The files of a message, by id.
    pub async fn attachments(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
    ) -> Result<Vec<AttachmentRow>, StoreError> {
        self.engine.attachments(channel_id, message_id).await
    }

    /// The custom emojis of a guild, by id.
    pub async fn guild_emojis(&self, guild_id: GuildId) -> Result<Vec<EmojiRow>, StoreError> {
        self.engine.guild_emojis(guild_id).await
    }

    /// The stages of a guild that are live, by channel.
    pub async fn guild_stage_instances(&self, guild_id: GuildId) -> Result<Vec<StageInstance>, StoreError> {
        self.engine.guild_stage_instances(guild_id).await
    }

    /// A webhook; whether the token is the right one is for the caller to say.
    pub async fn webhook(&self, id: WebhookId) -> Result<Option<WebhookRow>, StoreError> {
        self.engine.webhook(id).await
    }

    /// The webhooks of a guild, by id.
    pub async fn guild_webhooks(&self, guild_id: GuildId) -> Result<Vec<WebhookRow>, StoreError> {
        self.engine.guild_webhooks(guild_id).await
    }

    /// The webhooks that write into a channel of a guild, by id.
    pub async fn channel_webhooks(
        &self,
        guild_id: GuildId,
        channel_id: ChannelId,
    ) -> Result<Vec<WebhookRow>, StoreError> {
        let mut webhooks = self.engine.guild_webhooks(guild_id).await?;
        webhooks.retain(|webhook| webhook.channel_id == channel_id);
        Ok(webhooks)
    }

    /// Entries of a guild's audit log, newest first, with ids below `before`; choosing among them is for the caller.
    pub async fn audit_log(
        &self,
        guild_id: GuildId,
        before: Option<AuditLogEntryId>,
        limit: usize,
    ) -> Result<Vec<AuditLogRow>, StoreError> {
        self.engine.audit_log(guild_id, before, limit).await
    }

    /// One of a user's sets of settings.
    pub async fn settings(&self, user_id: UserId, kind: u8) -> Result<Option<SettingsRow>, StoreError> {
        self.engine.settings(user_id, kind).await
    }

    /// The relationships of a user, by the other's id.
    pub async fn relationships(&self, user_id: UserId) -> Result<Vec<RelationshipRow>, StoreError> {
        self.engine.relationships(user_id).await
    }

    /// Work of a queue, oldest first, behind `after`.
    ///
    /// Whoever works a queue off goes on behind the last row it saw, so that it does not wade through what it did before,
    /// and begins anew without `after` from time to time: a row whose write took long stands before ones that were seen
    /// already. Work is done when its `DeleteOutbox` is durable; until then it may be seen again.
    pub async fn outbox(
        &self,
        queue: OutboxQueue,
        after: Option<OutboxPlace>,
        limit: usize,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        self.engine.outbox(queue, after, limit).await
    }
}
