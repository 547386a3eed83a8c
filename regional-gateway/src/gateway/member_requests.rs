//! What a session's client asked for with REQUEST_GUILD_MEMBERS and does not have yet.
//!
//! Answers are made one chunk at a time, as fast as the client takes them: one guild, one chunk, then the next.

use std::collections::VecDeque;
use std::sync::Arc;

use rookery_guild::MembersCursor;
use rookery_model::gateway::{GuildMembersChunk, RequestGuildMembers};
use rookery_model::{GuildId, limits};

/// Guilds whose members a client may wait for at the same time; more than it may ask for in a minute.
const WAITING_MAX: usize = 256;
/// Pause before a guild that could not answer is asked again.
const RETRY_MS: u64 = 500;

/// The requests of a session, oldest first.
#[derive(Default)]
pub struct MemberRequests {
    /// None for all the sessions that wait for nothing.
    requests: Option<Box<Requests>>,
}

#[derive(Default)]
struct Requests {
    waiting: VecDeque<Waiting>,
    /// The first of them is asked for, without an answer yet.
    asked: bool,
    retry_at_ms: Option<u64>,
}

struct Waiting {
    guild_id: GuildId,
    request: Arc<RequestGuildMembers>,
    cursor: MembersCursor,
}

/// The client waits for too many guilds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl MemberRequests {
    /// None yet.
    pub const fn new() -> Self {
        Self { requests: None }
    }

    /// Whether the client waits for something.
    pub const fn is_waiting(&self) -> bool {
        self.requests.is_some()
    }

    /// Adds a request: for one guild if it is a bot's, and for each guild once.
    pub fn add(&mut self, mut request: RequestGuildMembers, is_bot: bool) -> Result<(), TooMany> {
        let mut guild_ids = std::mem::take(&mut request.guild_ids);
        guild_ids.truncate(if is_bot { 1 } else { usize::MAX });
        guild_ids.sort_unstable();
        guild_ids.dedup();
        if guild_ids.is_empty() {
            return Ok(());
        }
        // Long lists come out of one payload: what of them is answered need alone be kept.
        request.user_ids.truncate(limits::REQUESTED_MEMBERS_MAX);
        let requests = self.requests.get_or_insert_default();
        if requests.waiting.len() + guild_ids.len() > WAITING_MAX {
            return Err(TooMany);
        }
        let request = Arc::new(request);
        requests.waiting.extend(guild_ids.into_iter().map(|guild_id| Waiting {
            guild_id,
            request: Arc::clone(&request),
            cursor: MembersCursor::default(),
        }));
        Ok(())
    }

    /// What to ask for now; none while an answer is under way.
    pub fn next(&mut self, now_ms: u64) -> Option<(GuildId, Arc<RequestGuildMembers>, MembersCursor)> {
        let requests = self.requests.as_mut()?;
        if requests.asked || requests.retry_at_ms.is_some_and(|at| now_ms < at) {
            return None;
        }
        requests.retry_at_ms = None;
        let first = requests.waiting.front()?;
        requests.asked = true;
        Some((first.guild_id, Arc::clone(&first.request), first.cursor))
    }

    /// The chunk that was asked for came.
    pub fn answered(&mut self, chunk: &GuildMembersChunk) {
        let Some((requests, first)) = self.asked_of(chunk.guild_id) else { return };
        // Whoever waits for another guild waits for one chunk at most.
        if let Some(cursor) = MembersCursor::after(chunk) {
            requests.put_back(Waiting { cursor, ..first });
        }
        self.settle();
    }

    /// The guild does not answer this session.
    pub fn refused(&mut self, guild_id: GuildId) {
        self.asked_of(guild_id);
        self.settle();
    }

    /// The guild could not answer: it will be asked again.
    pub fn failed(&mut self, guild_id: GuildId, now_ms: u64) {
        let Some((requests, first)) = self.asked_of(guild_id) else { return };
        requests.put_back(first);
        requests.retry_at_ms = Some(now_ms + RETRY_MS);
    }

    /// The guild that is asked now.
    pub fn asked(&self) -> Option<GuildId> {
        let requests = self.requests.as_deref().filter(|requests| requests.asked)?;
        Some(requests.waiting.front()?.guild_id)
    }

    /// When [`Self::next`] is to be asked again although nothing happened.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.requests.as_ref()?.retry_at_ms
    }

    /// Takes out the request that is asked for, if it is this guild's.
    fn asked_of(&mut self, guild_id: GuildId) -> Option<(&mut Requests, Waiting)> {
        let requests = self.requests.as_deref_mut().filter(|requests| requests.asked)?;
        if requests.waiting.front()?.guild_id != guild_id {
            return None;
        }
        requests.asked = false;
        let first = requests.waiting.pop_front()?;
        Some((requests, first))
    }

    fn settle(&mut self) {
        if self.requests.as_ref().is_some_and(|requests| requests.waiting.is_empty()) {
            self.requests = None;
        }
    }
}

impl Requests {
    /// Puts a request that goes on behind those for other guilds, but before the next one for its own: the chunks of
    /// two requests for one guild never mix.
    fn put_back(&mut self, request: Waiting) {
        let of_guild = self.waiting.iter().position(|other| other.guild_id == request.guild_id);
        self.waiting.insert(of_guild.unwrap_or(self.waiting.len()), request);
    }
}

#[cfg(test)]
mod tests {
    use rookery_model::UserId;
    use rookery_model::member::Member;
    use rookery_model::user::User;

    use super::*;

    const A: GuildId = GuildId::new(1);
    const B: GuildId = GuildId::new(2);

    fn request(guild_ids: &[GuildId]) -> RequestGuildMembers {
        RequestGuildMembers {
            guild_ids: guild_ids.to_vec(),
            query: Some(String::new()),
            limit: 0,
            presences: false,
            user_ids: Vec::new(),
            nonce: None,
        }
    }

    fn chunk(guild_id: GuildId, chunk_index: u32, chunk_count: u32) -> GuildMembersChunk {
        let user = User::new(UserId::new(u64::from(chunk_index) + 1), "somebody");
        let member: Member = serde_json::from_value(serde_json::json!({
            "user": user, "roles": [], "joined_at": "2020-01-01T00:00:00.000000+00:00",
            "deaf": false, "mute": false, "flags": 0, "pending": false,
        }))
        .unwrap();
        GuildMembersChunk {
            guild_id,
            members: vec![member],
            chunk_index,
            chunk_count,
            not_found: Vec::new(),
            presences: None,
            nonce: None,
        }
    }

    fn next(requests: &mut MemberRequests) -> Option<GuildId> {
        requests.next(0).map(|(guild_id, ..)| guild_id)
    }

    #[test]
    fn one_chunk_at_a_time_and_guilds_take_turns() {
        let mut requests = MemberRequests::default();
        requests.add(request(&[B, A, B, A, A]), false).unwrap();
        assert_eq!((next(&mut requests), next(&mut requests)), (Some(A), None));
        requests.answered(&chunk(B, 0, 1));
        assert_eq!(next(&mut requests), None, "that was not asked for");
        requests.answered(&chunk(A, 0, 2));
        assert_eq!(next(&mut requests), Some(B));
        requests.answered(&chunk(B, 0, 1));
        let (guild_id, _, cursor) = requests.next(0).unwrap();
        assert_eq!((guild_id, Some(cursor)), (A, MembersCursor::after(&chunk(A, 0, 2))));
        requests.answered(&chunk(A, 1, 2));
        assert!(next(&mut requests).is_none() && requests.requests.is_none());
    }

    #[test]
    fn a_guild_answers_one_request_before_the_next() {
        let mut requests = MemberRequests::default();
        let named = |nonce: &str| RequestGuildMembers { nonce: Some(nonce.into()), ..request(&[A]) };
        requests.add(named("1"), true).unwrap();
        requests.add(named("2"), true).unwrap();
        requests.add(request(&[B]), true).unwrap();
        let mut order = Vec::new();
        for (guild, index, count) in [(A, 0, 2), (A, 1, 2), (A, 0, 1), (B, 0, 1)] {
            let (guild_id, request, _) = requests.next(0).unwrap();
            assert_eq!(guild_id, guild);
            order.push(request.nonce.clone());
            requests.answered(&chunk(guild, index, count));
        }
        assert_eq!(order, [Some("1".into()), Some("1".into()), Some("2".into()), None]);
    }

    #[test]
    fn a_bot_asks_for_one_guild_and_nobody_for_more_than_can_wait() {
        let mut requests = MemberRequests::default();
        requests.add(request(&[B, A]), true).unwrap();
        assert_eq!(next(&mut requests), Some(B));
        requests.refused(B);
        assert_eq!(next(&mut requests), None);
        requests.add(request(&[]), false).unwrap();
        let many: Vec<GuildId> = (0..200).map(GuildId::new).collect();
        requests.add(request(&many), false).unwrap();
        assert_eq!(requests.add(request(&many), false), Err(TooMany));
    }

    #[test]
    fn a_guild_that_could_not_answer_is_asked_again() {
        let mut requests = MemberRequests::default();
        requests.add(request(&[A]), true).unwrap();
        assert_eq!(next(&mut requests), Some(A));
        requests.failed(A, 100);
        assert_eq!((requests.poll_timeout(), requests.next(599).is_none()), (Some(600), true));
        assert_eq!(requests.next(600).map(|(guild_id, ..)| guild_id), Some(A));
    }
}
