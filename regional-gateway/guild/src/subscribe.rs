//! Sessions that come and go, and what they are shown at first.

use std::sync::Arc;

use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Event, SubscriberId};
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
    /// Adds a session; the outcome's only dispatch is its GUILD_CREATE, which takes its place in the stream like any
    /// other. 50001 for strangers.
    pub fn subscribe(&mut self, subscriber: Subscriber) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        let own = guild.require_member(subscriber.user_id)?.clone();
        let (id, user_id) = (subscriber.id, subscriber.user_id);
        let is_large = guild.members().len() > subscriber.large_threshold as usize;
        let is_person = subscriber.intents.is_none();
        let gets_members = subscriber.sees_presences();
        let Space::Guild(guild) = &mut self.space else { return Err(ErrorCode::CannotExecuteOnDm.into()) };
        let notes = guild.for_audiences.take();
        self.subscribers.catch_up(guild, notes);
        self.lists.forget(id);
        self.subscribers.insert(guild, subscriber);

        let guild = self.guild()?;
        let voice_states = self.voice_states_for(guild, user_id);
        let in_voice = voice_states.iter().map(|state| state.user_id);
        let all_online = guild.members().len() <= self.limits.snapshot_presences_max;
        let members: Vec<Member> = match (gets_members, is_large) {
            (true, false) => guild.members().iter().map(MemberEntry::view).collect(),
            (true, true) if is_person => {
                some(guild, user_id, in_voice.chain(self.subscribers.bots().take(CONNECTED_BOTS_MAX)))
            }
            (true, true) if all_online => some(guild, user_id, in_voice.chain(self.presences.users())),
            (_, _) => some(guild, user_id, in_voice),
        };
        let presences = if !gets_members {
            Vec::new()
        } else if is_person && self.tells_people_all() {
            let mut online: Vec<UserId> = self.presences.users().collect();
            online.sort_unstable();
            self.presences_of(online)
        } else {
            self.presences_of(members.iter().filter_map(|member| Some(member.user.as_ref()?.id)))
        };
        let event = GuildCreate {
            guild: guild.view(),
            joined_at: own.row.joined_at,
            large: is_large,
            unavailable: false,
            member_count: self.member_count_u32(),
            voice_states,
            members,
            channels: guild.channels().values().filter(|channel| guild.can_view(user_id, channel)).cloned().collect(),
            threads: Vec::new(),
            presences,
            stage_instances: guild.stage_instances_for(user_id),
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

    /// Forgets a session; its voice connection ends with it.
    pub fn unsubscribe(&mut self, id: SubscriberId) -> Outcome {
        let mut out = Outcome::default();
        self.lists.forget(id);
        if let Some(subscriber) = self.subscribers.remove(id) {
            self.disconnect_session(&mut out, id, subscriber.user_id);
        }
        out
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
                self.update_lists(&mut out);
                self.send_renamed(&mut out, &user);
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

/// A member and these others, each once, by id.
fn some(guild: &GuildSpace, user_id: UserId, others: impl Iterator<Item = UserId>) -> Vec<Member> {
    let mut ids: Vec<UserId> = others.chain([user_id]).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().filter_map(|id| guild.members().get(id)).map(MemberEntry::view).collect()
}
