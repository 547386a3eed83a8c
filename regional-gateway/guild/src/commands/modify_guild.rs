//! `PATCH /guilds/{id}`.

use rookery_model::call::{ModifyGuild, Reply};
use rookery_model::channel::ChannelType;
use rookery_model::gateway::Event;
use rookery_model::guild::GuildProperties;
use rookery_model::store::Write;
use rookery_model::{ApiError, ChannelId, ErrorCode, Patch, Permissions};

use super::Cx;
use crate::Outcome;
use crate::sight::Scope;
use crate::state::{GuildCore, GuildSpace};

impl GuildCore {
    pub(super) fn modify_guild(&mut self, cx: &mut Cx<'_>, changes: &ModifyGuild) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        guild.require(cx.now, cx.caller, Permissions::MANAGE_GUILD)?;
        let mut new = guild.properties().clone();
        if let Some(owner_id) = changes.owner_id.filter(|id| *id != new.owner_id) {
            if guild.owner_id() != cx.caller.id() {
                return Err(ErrorCode::MissingPermissions.into());
            }
            if guild.member(owner_id)?.user.bot {
                return Err(ApiError::invalid_field(["owner_id"], "BASE_TYPE_INVALID", "A bot cannot own a guild."));
            }
            new.owner_id = owner_id;
        }
        apply(&mut new, changes);
        apply_channels(guild, &mut new, changes)?;

        let before = self.sight(Scope::everything());
        let mut out = Outcome::default();
        if new != *self.guild()?.properties() {
            out.writes.push(Write::PutGuild(new.clone()));
            self.guild_mut()?.set_properties(new);
            self.send_guild_update(&mut out)?;
            self.announce_sight(&before, &mut out);
        }
        out.reply = Reply::Guild(Box::new(self.guild()?.view()));
        Ok(out)
    }

    /// GUILD_UPDATE for all sessions.
    pub(super) fn send_guild_update(&mut self, out: &mut Outcome) -> Result<(), ApiError> {
        let view = self.guild()?.view();
        self.send_to_all(out, Event::GuildUpdate(Box::new(view)));
        Ok(())
    }
}

/// What hangs on nothing else; null sets the default where the API has one.
fn apply(new: &mut GuildProperties, changes: &ModifyGuild) {
    if let Some(name) = &changes.name {
        new.name.clone_from(name);
    }
    changes.description.clone().apply(&mut new.description);
    or_default(&changes.verification_level, &mut new.verification_level);
    or_default(&changes.default_message_notifications, &mut new.default_message_notifications);
    or_default(&changes.explicit_content_filter, &mut new.explicit_content_filter);
    match &changes.preferred_locale {
        Patch::Keep => {}
        Patch::Clear => new.preferred_locale = "en-US".into(),
        Patch::Set(locale) => new.preferred_locale.clone_from(locale),
    }
    new.afk_timeout = changes.afk_timeout.unwrap_or(new.afk_timeout);
    new.system_channel_flags = changes.system_channel_flags.unwrap_or(new.system_channel_flags);
    new.premium_progress_bar_enabled = changes.premium_progress_bar_enabled.unwrap_or(new.premium_progress_bar_enabled);
}

fn or_default(change: &Patch<u8>, field: &mut u8) {
    match change {
        Patch::Keep => {}
        Patch::Clear => *field = 0,
        Patch::Set(value) => *field = *value,
    }
}

fn apply_channels(guild: &GuildSpace, new: &mut GuildProperties, changes: &ModifyGuild) -> Result<(), ApiError> {
    let voice: &[ChannelType] = &[ChannelType::GuildVoice];
    let text: &[ChannelType] = &[ChannelType::GuildText, ChannelType::GuildAnnouncement];
    for (name, change, field, kinds) in [
        ("afk_channel_id", &changes.afk_channel_id, &mut new.afk_channel_id, voice),
        ("system_channel_id", &changes.system_channel_id, &mut new.system_channel_id, text),
        ("rules_channel_id", &changes.rules_channel_id, &mut new.rules_channel_id, text),
        ("public_updates_channel_id", &changes.public_updates_channel_id, &mut new.public_updates_channel_id, text),
        ("safety_alerts_channel_id", &changes.safety_alerts_channel_id, &mut new.safety_alerts_channel_id, text),
    ] {
        if let Patch::Set(id) = change {
            require_kind(guild, name, *id, kinds)?;
        }
        change.clone().apply(field);
    }
    Ok(())
}

fn require_kind(guild: &GuildSpace, field: &'static str, id: ChannelId, kinds: &[ChannelType]) -> Result<(), ApiError> {
    match guild.channels().get(&id) {
        Some(channel) if kinds.contains(&channel.kind) => Ok(()),
        Some(_) => Err(ApiError::invalid_field([field], "CHANNEL_INVALID_TYPE", "Invalid channel type")),
        None => Err(ApiError::invalid_field([field], "CHANNEL_UNKNOWN", "Unknown channel")),
    }
}
