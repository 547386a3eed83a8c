//! REQUEST_GUILD_MEMBERS: the members that a session asks for, one GUILD_MEMBERS_CHUNK at a time.
//!
//! A guild may have a million members, so nothing is prepared: the session says with each request how far it came, and
//! asks for the next chunk when its client has taken the last.

use rookery_model::gateway::{Event, GuildMembersChunk, Intents, RequestGuildMembers, SubscriberId};
use rookery_model::member::Member;
use rookery_model::{ApiError, ErrorCode, UserId, limits};
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::members::MemberEntry;
use crate::state::{GuildCore, GuildSpace};

/// How far the answer to a request came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembersCursor {
    /// The last member sent; members are sent in the order of their ids.
    after: Option<UserId>,
    next_index: u32,
    /// What the chunks so far told as their number; 0 before the first.
    chunk_count: u32,
}

impl MembersCursor {
    /// Where the answer goes on after this chunk of it; none if it was the last.
    pub fn after(chunk: &GuildMembersChunk) -> Option<Self> {
        let next_index = chunk.chunk_index + 1;
        let last = chunk.members.last().and_then(|member| member.user.as_ref());
        let goes_on = next_index < chunk.chunk_count && last.is_some();
        goes_on.then_some(Self { after: last.map(|user| user.id), next_index, chunk_count: chunk.chunk_count })
    }
}

impl GuildCore {
    /// Answers REQUEST_GUILD_MEMBERS with the chunk at the cursor; 10004 to sessions that are not subscribed.
    ///
    /// The whole list (an empty query without limit) is for sessions with the members intent only; whoever searches or
    /// names members gets 100 at most.
    pub fn request_members(
        &self,
        id: SubscriberId,
        request: &RequestGuildMembers,
        cursor: MembersCursor,
    ) -> Result<Outcome, ApiError> {
        let guild = self.guild()?;
        let subscriber = self.subscribers.get(id).ok_or(ErrorCode::UnknownGuild)?;
        let with_presences = request.presences && subscriber.sees_presences();
        let may_list = subscriber.intents.is_none_or(|intents| intents.contains(Intents::GUILD_MEMBERS));
        let mut chunk = GuildMembersChunk {
            guild_id: guild.id(),
            members: Vec::new(),
            chunk_index: cursor.next_index,
            chunk_count: cursor.next_index + 1,
            not_found: Vec::new(),
            presences: None,
            nonce: request.nonce.clone(),
        };
        let views = |entries: Vec<&MemberEntry>| entries.into_iter().map(MemberEntry::view).collect();
        let most = limits::REQUESTED_MEMBERS_MAX;
        let wanted = if request.limit == 0 { most } else { most.min(request.limit as usize) };
        match request.query.as_deref() {
            _ if !request.user_ids.is_empty() => (chunk.members, chunk.not_found) = named(guild, &request.user_ids),
            Some("") if request.limit == 0 && may_list => next_of_all(guild, cursor, &mut chunk),
            Some("") if request.limit > 0 => chunk.members = views(guild.members().iter().take(wanted).collect()),
            Some(prefix) if !prefix.is_empty() => chunk.members = views(guild.members().search(prefix, wanted)),
            _ => {}
        }
        if with_presences {
            let ids = chunk.members.iter().filter_map(|member| Some(member.user.as_ref()?.id));
            chunk.presences = Some(self.presences_of(ids));
        }
        let mut out = Outcome::default();
        out.send(Event::GuildMembersChunk(chunk), [id]);
        Ok(out)
    }
}

/// The members of these ids, each once, and the ids that are of no member.
fn named(guild: &GuildSpace, ids: &[UserId]) -> (Vec<Member>, Vec<UserId>) {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids.truncate(limits::REQUESTED_MEMBERS_MAX);
    let (known, unknown): (Vec<UserId>, Vec<UserId>) = ids.into_iter().partition(|id| guild.members().contains(*id));
    (known.into_iter().filter_map(|id| guild.members().get(id)).map(MemberEntry::view).collect(), unknown)
}

/// The next part of the whole list. Members come and go between two chunks: all chunks but the last are full all the
/// same, and only the last says that it is the last, because some clients go by the one and some by the other.
fn next_of_all(guild: &GuildSpace, cursor: MembersCursor, chunk: &mut GuildMembersChunk) {
    let members = guild.members();
    let mut rest: Box<dyn Iterator<Item = &MemberEntry>> = match cursor.after {
        Some(id) => Box::new(members.after(id)),
        None => Box::new(members.iter()),
    };
    chunk.members = rest.by_ref().take(limits::MEMBERS_CHUNK_MAX).map(MemberEntry::view).collect();
    let at_first = u32::try_from(members.len().div_ceil(limits::MEMBERS_CHUNK_MAX)).unwrap_or(u32::MAX);
    let told = if cursor.chunk_count == 0 { at_first } else { cursor.chunk_count };
    chunk.chunk_count = if rest.next().is_some() { told.max(chunk.chunk_index + 2) } else { chunk.chunk_index + 1 };
}
