//! Sessions that come and go, and what they are shown at first.

use std::sync::Arc;

use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Event, Intents, SubscriberId};
use rookery_model::member::Member;
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, UserId};

use crate::Outcome;
use crate::members::MemberEntry;
use crate::state::{GuildCore, GuildSpace, Space};
use crate::subscribers::Subscriber;

/// Connected bots that a large guild's GUILD_CREATE names at most.
const CONNECTED_BOTS_MAX: usize = 1_000;

impl GuildCore {
    /// Adds a session; the outcome's first dispatch is its GUILD_CREATE, which takes its place in the stream like any
    /// other. Others see in their member lists that the user is there. 50001 for strangers.
    pub fn subscribe(&mut self, subscriber: Subscriber) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        let own = guild.require_member(subscriber.user_id)?.clone();
        let (id, user_id) = (subscriber.id, subscriber.user_id);
        let is_large = guild.members().len() > subscriber.large_threshold as usize;
        let gets_members = subscriber.intents.is_none_or(|intents| intents.contains(Intents::GUILD_PRESENCES));
        let Space::Guild(guild) = &mut self.space else { return Err(ErrorCode::CannotExecuteOnDm.into()) };
        let notes = guild.for_audiences.take();
        self.subscribers.catch_up(guild, notes);
        self.lists.forget(id);
        self.subscribers.insert(guild, subscriber);
        if let [_] = self.subscribers.of(user_id) {
            self.note_connection(user_id);
        }

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
        self.update_lists(&mut out);
        Ok(out)
    }

    /// Forgets a session; others may see in their member lists that its user is gone.
    pub fn unsubscribe(&mut self, id: SubscriberId) -> Outcome {
        let mut out = Outcome::default();
        self.lists.forget(id);
        let Some(subscriber) = self.subscribers.remove(id) else { return out };
        if self.subscribers.of(subscriber.user_id).is_empty() {
            self.note_connection(subscriber.user_id);
        }
        self.update_lists(&mut out);
        out
    }

    /// The member and the bots that are connected: few, while people may be thousands.
    fn connected_bots_and(&self, guild: &GuildSpace, user_id: UserId) -> Vec<Member> {
        let mut ids: Vec<UserId> =
            self.subscribers.bots().filter(|id| *id != user_id).take(CONNECTED_BOTS_MAX).collect();
        ids.push(user_id);
        ids.sort_unstable();
        ids.into_iter().filter_map(|id| guild.members().get(id)).map(MemberEntry::view).collect()
    }

    /// Takes over a changed name or avatar of somebody who may be a member.
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
                let Some(entry) = guild.members().get(user.id).filter(|entry| entry.user != user) else { return out };
                let row = entry.row.clone();
                guild.put_member(row, user.clone());
                let event = guild.members().get(user.id).map(|e| guild.member_event(e, Event::GuildMemberUpdate));
                if let Some(event) = event {
                    self.send_about_member(&mut out, user.id, event);
                }
                self.update_lists(&mut out);
            }
        }
        out
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
