//! `/stage-instances`: a stage goes live, gets another topic, and ends.

use rookery_model::audit_log::{AuditLogRow, action};
use rookery_model::call::{CreateStageInstance, ModifyStageInstance, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::Event;
use rookery_model::message::MessageType;
use rookery_model::stage_instance::StageInstance;
use rookery_model::store::Write;
use rookery_model::{ApiError, AuditLogEntryId, ChannelId, ErrorCode, MessageId, Permissions, StageInstanceId};
use serde_json::json;

use super::Cx;
use super::post::new_row;
use crate::Outcome;
use crate::access::Access;
use crate::mentions::Mentions;
use crate::state::GuildCore;

/// All of these make a moderator of a stage.
const STAGE_MODERATOR: Permissions =
    Permissions::MANAGE_CHANNELS.union(Permissions::MUTE_MEMBERS).union(Permissions::MOVE_MEMBERS);

impl GuildCore {
    pub(super) fn create_stage_instance(
        &mut self,
        cx: &mut Cx<'_>,
        wanted: &CreateStageInstance,
    ) -> Result<Outcome, ApiError> {
        let channel_id = wanted.channel_id;
        let access = self.stage(cx, channel_id)?;
        access.require(STAGE_MODERATOR)?;
        if wanted.send_start_notification {
            access.require(Permissions::MENTION_EVERYONE)?;
        }
        let guild = access.guild()?;
        if guild.stage_instances.contains_key(&channel_id) {
            return Err(ErrorCode::StageAlreadyOpen.into());
        }
        let stage = StageInstance {
            id: StageInstanceId(cx.ids.next_id()),
            guild_id: guild.id(),
            channel_id,
            topic: wanted.topic.clone(),
            privacy_level: wanted.privacy_level,
            discoverable_disabled: false,
            guild_scheduled_event_id: None,
        };
        let mut out = Outcome::reply(Reply::StageInstance(Box::new(stage.clone())));
        self.put_stage(&mut out, stage.clone())?;
        self.send_to_channel(&mut out, channel_id, Event::StageInstanceCreate(stage.clone()));
        log(cx, &mut out, &stage, action::STAGE_INSTANCE_CREATE, &[("topic", None, Some(&stage.topic))]);
        self.post_start(cx, &mut out, &stage, wanted.send_start_notification);
        Ok(out)
    }

    /// 10067 where the stage is not live, or not seen.
    pub(super) fn get_stage_instance(&self, cx: &Cx<'_>, channel_id: ChannelId) -> Result<Outcome, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        let stage = access.guild()?.stage_instances.get(&channel_id).ok_or(ErrorCode::UnknownStageInstance)?;
        Ok(Outcome::reply(Reply::StageInstance(Box::new(stage.clone()))))
    }

    pub(super) fn modify_stage_instance(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
        changes: &ModifyStageInstance,
    ) -> Result<Outcome, ApiError> {
        let old = self.moderated_stage(cx, channel_id)?;
        let stage = StageInstance {
            topic: changes.topic.clone().unwrap_or_else(|| old.topic.clone()),
            privacy_level: changes.privacy_level.unwrap_or(old.privacy_level),
            ..old.clone()
        };
        let mut out = Outcome::reply(Reply::StageInstance(Box::new(stage.clone())));
        if stage == old {
            return Ok(out);
        }
        self.put_stage(&mut out, stage.clone())?;
        self.send_to_channel(&mut out, channel_id, Event::StageInstanceUpdate(stage.clone()));
        let change = ("topic", Some(&*old.topic), Some(&*stage.topic));
        log(cx, &mut out, &stage, action::STAGE_INSTANCE_UPDATE, &[change]);
        let topic = stage.topic;
        self.post_system(cx, &mut out, channel_id, cx.caller.id(), MessageType::StageTopic, |row| row.content = topic);
        Ok(out)
    }

    pub(super) fn delete_stage_instance(
        &mut self,
        cx: &mut Cx<'_>,
        channel_id: ChannelId,
    ) -> Result<Outcome, ApiError> {
        let stage = self.moderated_stage(cx, channel_id)?;
        let mut out = Outcome::default();
        self.end_stage(cx, &mut out, channel_id)?;
        let topic = stage.topic;
        self.post_system(cx, &mut out, channel_id, cx.caller.id(), MessageType::StageEnd, |row| row.content = topic);
        Ok(out)
    }

    /// Ends the stage of a channel that goes, or does nothing if it is not live.
    pub(super) fn end_stage(
        &mut self,
        cx: &mut Cx<'_>,
        out: &mut Outcome,
        channel_id: ChannelId,
    ) -> Result<(), ApiError> {
        let guild = self.guild_mut()?;
        let guild_id = guild.id();
        let Some(stage) = guild.stage_instances.remove(&channel_id) else { return Ok(()) };
        out.writes.push(Write::DeleteStageInstance { guild_id, channel_id });
        log(cx, out, &stage, action::STAGE_INSTANCE_DELETE, &[("topic", Some(&stage.topic), None)]);
        self.send_to_channel(out, channel_id, Event::StageInstanceDelete(stage));
        Ok(())
    }

    fn put_stage(&mut self, out: &mut Outcome, stage: StageInstance) -> Result<(), ApiError> {
        out.writes.push(Write::PutStageInstance(stage.clone()));
        self.guild_mut()?.stage_instances.insert(stage.channel_id, stage);
        Ok(())
    }

    /// Says in the stage's chat that it began, and with a notification tells everybody who may read it.
    fn post_start(&mut self, cx: &mut Cx<'_>, out: &mut Outcome, stage: &StageInstance, notify: bool) {
        let id = MessageId(cx.ids.next_id());
        let mut row = new_row(stage.channel_id, id, cx.caller.id(), MessageType::StageStart);
        row.content.clone_from(&stage.topic);
        row.mention_everyone = notify;
        let mentions = Mentions { everyone: notify, ..Mentions::default() };
        self.post(cx, out, row, &mentions);
    }

    /// A stage channel that the caller sees; 50024 for others.
    fn stage(&self, cx: &Cx<'_>, channel_id: ChannelId) -> Result<Access<'_>, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        let is_stage = access.channel.kind == ChannelType::GuildStageVoice;
        if is_stage { Ok(access) } else { Err(ErrorCode::WrongChannelType.into()) }
    }

    /// A live stage, for one of its moderators.
    fn moderated_stage(&self, cx: &Cx<'_>, channel_id: ChannelId) -> Result<StageInstance, ApiError> {
        let access = self.access(cx.now, cx.caller.id(), channel_id)?;
        let stage = access.guild()?.stage_instances.get(&channel_id).ok_or(ErrorCode::UnknownStageInstance)?;
        access.require(STAGE_MODERATOR)?;
        Ok(stage.clone())
    }
}

/// What of a stage changed: its name, and the values before and after.
type Change<'a> = (&'static str, Option<&'a str>, Option<&'a str>);

fn log(cx: &mut Cx<'_>, out: &mut Outcome, stage: &StageInstance, action_type: u16, changes: &[Change<'_>]) {
    let changes: Vec<_> = changes
        .iter()
        .map(|(key, old, new)| {
            let mut change = json!({ "key": key });
            for (name, value) in [("old_value", old), ("new_value", new)] {
                if let Some(value) = value {
                    change[name] = json!(value);
                }
            }
            change
        })
        .collect();
    out.writes.push(Write::PutAuditLogEntry(AuditLogRow {
        guild_id: stage.guild_id,
        id: AuditLogEntryId(cx.ids.next_id()),
        user_id: Some(cx.caller.id()),
        target_id: Some(stage.id.0),
        action_type,
        reason: cx.caller.reason.clone(),
        changes: Some(json!(changes).to_string()),
        options: Some(json!({ "channel_id": stage.channel_id }).to_string()),
    }));
}
