//! Sessions that come and go, and what they are shown at first or ask for.

use std::sync::Arc;

use rookery_model::gateway::event::GuildCreate;
use rookery_model::gateway::{Event, GuildMembersChunk, Intents, RequestGuildMembers, SubscriberId};
use rookery_model::member::Member;
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode, UserId};

use crate::Outcome;
use crate::audience::Subscriber;
use crate::members::MemberEntry;
use crate::state::{GuildCore, GuildSpace, Space};

/// Members of one GUILD_MEMBERS_CHUNK.
const CHUNK_MEMBERS: usize = 1_000;
/// Members that a search by name or id may ask for.
const REQUESTED_MAX: usize = 100;

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
            .take(CHUNK_MEMBERS)
            .map(MemberEntry::view)
            .collect()
    }

    /// Answers REQUEST_GUILD_MEMBERS with GUILD_MEMBERS_CHUNK events to the session.
    ///
    /// The whole list is for sessions with the members intent only; others get the members that they name.
    pub fn request_members(&self, id: SubscriberId, request: &RequestGuildMembers) -> Outcome {
        let mut out = Outcome::default();
        let (Ok(guild), Some(subscriber)) = (self.guild(), self.subscribers.get(id)) else { return out };
        let gets_all = subscriber.intents.is_none_or(|intents| intents.contains(Intents::GUILD_MEMBERS));
        let limit = request.limit as usize;
        let mut not_found = Vec::new();
        let members: Vec<Member> = match request.query.as_deref() {
            _ if !request.user_ids.is_empty() => {
                let ids = request.user_ids.iter().take(REQUESTED_MAX);
                let (known, unknown): (Vec<UserId>, Vec<UserId>) = ids.partition(|id| guild.members().contains(**id));
                not_found = unknown;
                known.into_iter().filter_map(|id| guild.members().get(id)).map(MemberEntry::view).collect()
            }
            Some("") if gets_all => {
                let wanted = if limit == 0 { usize::MAX } else { limit };
                guild.members().iter().take(wanted).map(MemberEntry::view).collect()
            }
            Some(prefix) if !prefix.is_empty() => {
                let wanted = if limit == 0 { REQUESTED_MAX } else { limit.min(REQUESTED_MAX) };
                guild.members().search(prefix, wanted).into_iter().map(MemberEntry::view).collect()
            }
            _ => Vec::new(),
        };
        let chunk_count = u32::try_from(members.len().div_ceil(CHUNK_MEMBERS).max(1)).unwrap_or(u32::MAX);
        let mut members = members.into_iter();
        for chunk_index in 0..chunk_count {
            let chunk = GuildMembersChunk {
                guild_id: guild.id(),
                members: members.by_ref().take(CHUNK_MEMBERS).collect(),
                chunk_index,
                chunk_count,
                not_found: std::mem::take(&mut not_found),
                nonce: request.nonce.clone(),
            };
            out.send(Event::GuildMembersChunk(chunk), [id]);
        }
        out
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
