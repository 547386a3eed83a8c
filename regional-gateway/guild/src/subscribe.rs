//! Sessions that come and go, and what they are shown at first.

use std::sync::Arc;

use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::member::Member;
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, UserId};

use crate::Outcome;
use crate::audience::Subscriber;
use crate::members::MemberEntry;
use crate::state::{GuildCore, GuildSpace, Space};

/// Connected bots that a large guild's GUILD_CREATE names at most.
const CONNECTED_BOTS_MAX: usize = 1_000;

impl GuildCore {
    /// Adds a session; the outcome's only dispatch is its GUILD_CREATE, which takes its place in the stream like any
    /// other. 50001 for strangers.
    pub fn subscribe(&mut self, subscriber: Subscriber) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        let own = guild.require_member(subscriber.user_id)?.clone();
        let (id, user_id) = (subscriber.id, subscriber.user_id);
        let is_large = guild.members().len() > subscriber.large_threshold as usize;
        let gets_members = subscriber.intents.is_none_or(|intents| intents.contains(Intents::GUILD_PRESENCES));
        self.subscribers.insert(subscriber);
        self.subscribers.forget_audiences();

        let guild = self.guild()?;
        let members = match (gets_members, is_large) {
            (true, false) => guild.members().iter().map(MemberEntry::view).collect(),
            (true, true) => self.connected_bots_and(guild, user_id),
            (false, _) => vec![own.view()],
        };
        let event = GuildCreate {
            guild: guild.view(),
            joined_at: own.row.joined_at,
            large: is_large,
            unavailable: false,
            member_count: self.member_count_u32(),
            voice_states: Vec::new(),
            members,
            channels: guild.channels().values().filter(|channel| guild.can_view(user_id, channel)).cloned().collect(),
            threads: Vec::new(),
            presences: Vec::new(),
            stage_instances: Vec::new(),
            guild_scheduled_events: Vec::new(),
            soundboard_sounds: Vec::new(),
        };
        let event = Event::GuildCreate(Box::new(event));
        let mut out = Outcome::default();
        if self.subscribers.get(id).is_some_and(|s| s.wants(event.required_intents())) {
            out.send(event, [id]);
        }
        Ok(out)
    }

    /// Forgets a session.
    pub fn unsubscribe(&mut self, id: SubscriberId) {
        self.subscribers.remove(id);
    }

    /// The member and the bots that are connected: few, while people may be thousands.
    fn connected_bots_and(&self, guild: &GuildSpace, user_id: UserId) -> Vec<Member> {
        let mut ids: Vec<UserId> = self.subscribers.users().collect();
        ids.sort_unstable();
        ids.into_iter()
            .filter_map(|id| guild.members().get(id))
            .filter(|entry| entry.row.user_id == user_id || entry.user.bot)
            .take(CONNECTED_BOTS_MAX)
            .map(MemberEntry::view)
            .collect()
    }

    /// Takes over a changed name or avatar of somebody who may be a member. Sessions are told of it even if it is known
    /// here already: a core that was loaded a moment ago read the account as it is now, and they did not.
    pub fn user_updated(&mut self, user: &User) -> Outcome {
        let mut out = Outcome::default();
        let user = Arc::new(user.clone());
        match &mut self.space {
            Space::Dm(dm) => {
                for known in dm.users.iter_mut().filter(|known| known.id == user.id) {
                    *known = user.clone();
                }
            }
            Space::Guild(guild) => {
                if let Some(inviter) = guild.inviters.get_mut(&user.id) {
                    *inviter = user.clone();
                }
                let Some(entry) = guild.members().get(user.id) else { return out };
                let row = entry.row.clone();
                guild.put_member(row, user.clone());
                let event = guild.members().get(user.id).map(|e| guild.member_event(e, Event::GuildMemberUpdate));
                if let Some(event) = event {
                    self.send_about_member(&mut out, user.id, event);
                }
            }
        }
        out
    }

    /// Whether a session is subscribed, as of the newest decision.
    pub fn is_subscribed(&self, id: SubscriberId) -> bool {
        self.subscribers.get(id).is_some()
    }

    /// Whether somebody asks for the guild's events now.
    pub fn has_subscribers(&self) -> bool {
        self.subscribers.len() > 0
    }

    /// 10004 once the guild is deleted.
    pub fn check_exists(&self) -> Result<(), ApiError> {
        match &self.space {
            Space::Guild(guild) if guild.is_deleted => Err(ErrorCode::UnknownGuild.into()),
            _ => Ok(()),
        }
    }
}
