//! REST rate limits: a bucket per caller, route and top-level resource, and the global limit per caller.
//!
//! Buckets are fixed windows, as the API documents them: the first request opens a window, and the figures of the
//! headers are the window's. The rules are plain functions of `now_ms`; the map that holds the windows is bounded.

use std::sync::Arc;

use moka::sync::Cache;
use parking_lot::Mutex;
use rookery_model::call::{Call, RateLimitInfo};
use rookery_model::{ApiError, ErrorCode, UserId};
use serde::{Deserialize, Serialize};

/// Accounts that people behind one address register in 10 minutes, a school class among them.
pub const REGISTRATIONS_PER_10MIN: u32 = 50;
/// Attempts to sign in that people behind one address make in a minute.
pub const LOGINS_PER_MINUTE: u32 = 20;

/// The limits that operators may change, under `rest.`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RestLimits {
    /// Whether any limit below applies.
    pub enabled: bool,
    /// Requests of one caller in a second over all routes.
    pub global_per_second: u32,
    /// Messages of one author in one channel in 5 s.
    pub messages_per_5s: u32,
    /// Other changes by one caller to one top-level resource in 5 s.
    pub writes_per_5s: u32,
    /// Reads by one caller of one top-level resource in 5 s.
    pub reads_per_5s: u32,
    /// Accounts registered from one address in 10 minutes; without it [`REGISTRATIONS_PER_10MIN`], and under `rookery dev`
    /// on loopback more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registrations_per_10min: Option<u32>,
    /// Attempts to sign in from one address in a minute; without it [`LOGINS_PER_MINUTE`], and under `rookery dev` on
    /// loopback more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logins_per_minute: Option<u32>,
}

impl Default for RestLimits {
    fn default() -> Self {
        Self {
            enabled: true,
            global_per_second: 50,
            messages_per_5s: 5,
            writes_per_5s: 10,
            reads_per_5s: 50,
            registrations_per_10min: None,
            logins_per_minute: None,
        }
    }
}

/// Whose window it is: an account, or an address for those without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    User(UserId),
    Address(std::net::IpAddr),
}

/// The rule that a call falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// Name of the route's bucket.
    name: &'static str,
    /// Guild, channel or webhook id in the path; 0 where there is none.
    resource: u64,
    limit: u32,
    window_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    subject: Subject,
    name: &'static str,
    resource: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_ms: u64,
    used: u32,
}

impl Window {
    /// Takes one from the window, opening a new one when the last has ended; false when it is used up.
    fn take(&mut self, now_ms: u64, limit: u32, window_ms: u64) -> bool {
        // A window that ends later than one opened now was opened before the clock was set back.
        if now_ms >= self.ends_ms || self.ends_ms - now_ms > window_ms {
            *self = Self { ends_ms: now_ms + window_ms, used: 0 };
        }
        if self.used >= limit {
            return false;
        }
        self.used += 1;
        true
    }
}

/// All windows of this process.
pub struct RateLimiter {
    limits: RestLimits,
    windows: Cache<Key, Arc<Mutex<Window>>>,
}

const GLOBAL: &str = "global";
/// Windows kept at once; the least used give way.
const MAX_WINDOWS: u64 = 1_000_000;
/// Longer than the longest window, so that no window is forgotten while it counts.
const KEEP_IDLE_SECONDS: u64 = 660;

impl RateLimiter {
    /// An empty limiter.
    pub fn new(limits: RestLimits) -> Self {
        let windows = Cache::builder()
            .max_capacity(MAX_WINDOWS)
            .time_to_idle(std::time::Duration::from_secs(KEEP_IDLE_SECONDS))
            .build();
        Self { limits, windows }
    }

    /// Counts a call; the figures for the headers, or the 429.
    ///
    /// `unix_ms` is wall time, since the headers name a moment. Without limits there are no figures.
    pub fn check(
        &self,
        unix_ms: u64,
        subject: Subject,
        call: &Call,
    ) -> Result<Option<RateLimitInfo>, Box<(ApiError, Option<RateLimitInfo>)>> {
        if !self.limits.enabled || matches!(call, Call::Operator(_)) {
            return Ok(None);
        }
        let rule = self.rule(call);
        let global = Rule { name: GLOBAL, resource: 0, limit: self.limits.global_per_second, window_ms: 1_000 };
        let (allowed, info) = self.take(unix_ms, subject, global);
        if !allowed {
            return Err(refuse(info, true));
        }
        let (allowed, info) = self.take(unix_ms, subject, rule);
        if allowed { Ok(Some(info)) } else { Err(refuse(info, false)) }
    }

    fn take(&self, now_ms: u64, subject: Subject, rule: Rule) -> (bool, RateLimitInfo) {
        let key = Key { subject, name: rule.name, resource: rule.resource };
        let window = self.windows.get_with(key, || Arc::new(Mutex::new(Window { ends_ms: 0, used: 0 })));
        let mut window = window.lock();
        let allowed = window.take(now_ms, rule.limit, rule.window_ms);
        let left_ms = window.ends_ms.saturating_sub(now_ms);
        let info = RateLimitInfo {
            bucket: bucket_name(rule.name),
            limit: rule.limit,
            remaining: rule.limit.saturating_sub(window.used),
            reset: window.ends_ms as f64 / 1_000.0,
            reset_after: left_ms as f64 / 1_000.0,
            scope: None,
        };
        (allowed, info)
    }

    fn rule(&self, call: &Call) -> Rule {
        let limits = &self.limits;
        let (name, resource) = route(call);
        let (limit, window_ms) = match call {
            Call::CreateMessage(_) => (limits.messages_per_5s, 5_000),
            Call::Register(_) => (limits.registrations_per_10min.unwrap_or(REGISTRATIONS_PER_10MIN), 600_000),
            Call::Login(_) => (limits.logins_per_minute.unwrap_or(LOGINS_PER_MINUTE), 60_000),
            _ if call.is_read() => (limits.reads_per_5s, 5_000),
            _ => (limits.writes_per_5s, 5_000),
        };
        Rule { name, resource, limit, window_ms }
    }
}

/// The 429, with the figures of its bucket. The global limit has no bucket: clients that were shown one would keep it as
/// the route's own.
fn refuse(info: RateLimitInfo, global: bool) -> Box<(ApiError, Option<RateLimitInfo>)> {
    let error = ApiError::rate_limited(ErrorCode::RateLimited, info.reset_after, global);
    Box::new((error, (!global).then(|| RateLimitInfo { scope: Some("user".into()), ..info })))
}

/// The opaque name in `X-RateLimit-Bucket`: clients compare it, nobody reads it.
fn bucket_name(route: &str) -> String {
    // FNV-1a, 64 bits: short, stable over restarts and the same on every node.
    let hash = route
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// The bucket's route and the top-level resource of its path.
fn route(call: &Call) -> (&'static str, u64) {
    match call {
        Call::Register(_) => ("POST /auth/register", 0),
        Call::Login(_) => ("POST /auth/login", 0),
        Call::Logout => ("POST /auth/logout", 0),
        Call::GetCurrentUser => ("GET /users/@me", 0),
        Call::ModifyCurrentUser(_) => ("PATCH /users/@me", 0),
        Call::GetUser { .. } => ("GET /users/:id", 0),
        Call::ListCurrentUserGuilds(_) => ("GET /users/@me/guilds", 0),
        Call::GetCurrentUserGuildMember { guild_id } => ("GET /users/@me/guilds/:id/member", guild_id.get()),
        Call::LeaveGuild { .. } => ("DELETE /users/@me/guilds/:id", 0),
        Call::ListDms => ("GET /users/@me/channels", 0),
        Call::CreateDm { .. } => ("POST /users/@me/channels", 0),
        Call::CreateApplication { .. } => ("POST /applications", 0),
        Call::ListApplications => ("GET /applications", 0),
        Call::GetApplication { .. } | Call::GetCurrentApplication => ("GET /applications/:id", 0),
        Call::ModifyApplication(_) => ("PATCH /applications/:id", 0),
        Call::DeleteApplication { .. } => ("DELETE /applications/:id", 0),
        Call::CreateBot { .. } => ("POST /applications/:id/bot", 0),
        Call::ResetBotToken { .. } => ("POST /applications/:id/bot/reset", 0),
        Call::Authorize(_) => ("POST /oauth2/authorize", 0),
        Call::CreateGuild(_) => ("POST /guilds", 0),
        Call::GetGuild { guild_id, .. } => ("GET /guilds/:id", guild_id.get()),
        Call::ModifyGuild { guild_id, .. } => ("PATCH /guilds/:id", guild_id.get()),
        Call::DeleteGuild { guild_id } => ("DELETE /guilds/:id", guild_id.get()),
        Call::ListGuildChannels { guild_id } => ("GET /guilds/:id/channels", guild_id.get()),
        Call::CreateGuildChannel { guild_id, .. } => ("POST /guilds/:id/channels", guild_id.get()),
        Call::ModifyChannelPositions { guild_id, .. } => ("PATCH /guilds/:id/channels", guild_id.get()),
        Call::ListRoles { guild_id } | Call::GetRole { guild_id, .. } => ("GET /guilds/:id/roles", guild_id.get()),
        Call::CreateRole { guild_id, .. } => ("POST /guilds/:id/roles", guild_id.get()),
        Call::ModifyRolePositions { guild_id, .. } | Call::ModifyRole { guild_id, .. } => {
            ("PATCH /guilds/:id/roles", guild_id.get())
        }
        Call::DeleteRole { guild_id, .. } => ("DELETE /guilds/:id/roles/:id", guild_id.get()),
        Call::GetMember { guild_id, .. } => ("GET /guilds/:id/members/:id", guild_id.get()),
        Call::ListMembers { guild_id, .. } => ("GET /guilds/:id/members", guild_id.get()),
        Call::SearchMembers { guild_id, .. } => ("GET /guilds/:id/members/search", guild_id.get()),
        Call::ModifyMember { guild_id, .. } => ("PATCH /guilds/:id/members/:id", guild_id.get()),
        Call::ModifyCurrentMember { guild_id, .. } => ("PATCH /guilds/:id/members/@me", guild_id.get()),
        Call::AddMemberRole { guild_id, .. } | Call::RemoveMemberRole { guild_id, .. } => {
            ("PUT /guilds/:id/members/:id/roles/:id", guild_id.get())
        }
        Call::KickMember { guild_id, .. } => ("DELETE /guilds/:id/members/:id", guild_id.get()),
        Call::ListGuildInvites { guild_id } => ("GET /guilds/:id/invites", guild_id.get()),
        Call::ListGuildEmojis { guild_id } => ("GET /guilds/:id/emojis", guild_id.get()),
        Call::ListVoiceRegions => ("GET /voice/regions", 0),
        Call::ListGuildVoiceRegions { guild_id } => ("GET /guilds/:id/regions", guild_id.get()),
        Call::GetCurrentVoiceState { guild_id } | Call::GetVoiceState { guild_id, .. } => {
            ("GET /guilds/:id/voice-states/:id", guild_id.get())
        }
        Call::ModifyCurrentVoiceState { guild_id, .. } => ("PATCH /guilds/:id/voice-states/@me", guild_id.get()),
        Call::ModifyVoiceState { guild_id, .. } => ("PATCH /guilds/:id/voice-states/:id", guild_id.get()),
        Call::SetVoiceChannelStatus { channel_id, .. } => ("PUT /channels/:id/voice-status", channel_id.get()),
        Call::CreateStageInstance(stage) => ("POST /stage-instances", stage.channel_id.get()),
        Call::GetStageInstance { channel_id } => ("GET /stage-instances/:id", channel_id.get()),
        Call::ModifyStageInstance { channel_id, .. } => ("PATCH /stage-instances/:id", channel_id.get()),
        Call::DeleteStageInstance { channel_id } => ("DELETE /stage-instances/:id", channel_id.get()),
        Call::GetCall { channel_id } => ("GET /channels/:id/call", channel_id.get()),
        Call::ModifyCall { channel_id, .. } => ("PATCH /channels/:id/call", channel_id.get()),
        Call::RingCall { channel_id, .. } => ("POST /channels/:id/call/ring", channel_id.get()),
        Call::StopRingingCall { channel_id, .. } => ("POST /channels/:id/call/stop-ringing", channel_id.get()),
        Call::GetChannel { channel_id } => ("GET /channels/:id", channel_id.get()),
        Call::ModifyChannel { channel_id, .. } => ("PATCH /channels/:id", channel_id.get()),
        Call::DeleteChannel { channel_id } => ("DELETE /channels/:id", channel_id.get()),
        Call::PutOverwrite { channel_id, .. } | Call::DeleteOverwrite { channel_id, .. } => {
            ("PUT /channels/:id/permissions/:id", channel_id.get())
        }
        Call::CreateInvite { channel_id, .. } => ("POST /channels/:id/invites", channel_id.get()),
        Call::ListChannelInvites { channel_id } => ("GET /channels/:id/invites", channel_id.get()),
        Call::GetInvite { .. } => ("GET /invites/:code", 0),
        Call::AcceptInvite { .. } => ("POST /invites/:code", 0),
        Call::DeleteInvite { .. } => ("DELETE /invites/:code", 0),
        Call::TriggerTyping { channel_id } => ("POST /channels/:id/typing", channel_id.get()),
        Call::CreateMessage(message) => ("POST /channels/:id/messages", message.channel_id.get()),
        Call::ListMessages { channel_id, .. } => ("GET /channels/:id/messages", channel_id.get()),
        Call::GetMessage { channel_id, .. } => ("GET /channels/:id/messages/:id", channel_id.get()),
        Call::EditMessage(message) => ("PATCH /channels/:id/messages/:id", message.channel_id.get()),
        Call::DeleteMessage { channel_id, .. } => ("DELETE /channels/:id/messages/:id", channel_id.get()),
        Call::BulkDeleteMessages { channel_id, .. } => ("POST /channels/:id/messages/bulk-delete", channel_id.get()),
        Call::AckMessage { channel_id, .. } => ("POST /channels/:id/messages/:id/ack", channel_id.get()),
        Call::AddReaction { channel_id, .. }
        | Call::RemoveReaction { channel_id, .. }
        | Call::ClearReactions { channel_id, .. } => ("PUT /channels/:id/messages/:id/reactions", channel_id.get()),
        Call::ListReactions { channel_id, .. } => ("GET /channels/:id/messages/:id/reactions", channel_id.get()),
        Call::ListPins { channel_id } | Call::ListPinsPage { channel_id, .. } => {
            ("GET /channels/:id/pins", channel_id.get())
        }
        Call::PinMessage { channel_id, .. } | Call::UnpinMessage { channel_id, .. } => {
            ("PUT /channels/:id/pins/:id", channel_id.get())
        }
        Call::GetGateway | Call::GetGatewayBot | Call::GatewayUrl => ("GET /gateway", 0),
        Call::Operator(_) => ("operator", 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_model::ChannelId;

    fn read(channel: u64) -> Call {
        Call::GetChannel { channel_id: ChannelId::new(channel) }
    }

    fn limiter(reads: u32, global: u32) -> RateLimiter {
        RateLimiter::new(RestLimits { reads_per_5s: reads, global_per_second: global, ..RestLimits::default() })
    }

    const ALICE: Subject = Subject::User(UserId::new(1));
    const BOB: Subject = Subject::User(UserId::new(2));

    #[test]
    fn a_bucket_empties_and_fills_at_its_reset() {
        let limiter = limiter(2, 50);
        let first = limiter.check(10_000, ALICE, &read(7)).unwrap().unwrap();
        assert_eq!((first.limit, first.remaining, first.reset, first.reset_after), (2, 1, 15.0, 5.0));
        assert_eq!(limiter.check(10_500, ALICE, &read(7)).unwrap().unwrap().remaining, 0);
        let (error, info) = *limiter.check(11_250, ALICE, &read(7)).unwrap_err();
        assert_eq!((error.status, error.retry_after.unwrap().seconds), (429, 3.75));
        assert_eq!(info.unwrap().scope.as_deref(), Some("user"));
        assert_eq!(limiter.check(15_000, ALICE, &read(7)).unwrap().unwrap().remaining, 1);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let limiter = limiter(2, 50);
        for _ in 0..2 {
            assert!(limiter.check(10_000_000, ALICE, &read(7)).is_ok());
        }
        assert!(limiter.check(10_000_001, ALICE, &read(7)).is_err());
        let info = limiter.check(6_400_000, ALICE, &read(7)).unwrap().unwrap();
        assert_eq!((info.remaining, info.reset_after), (1, 5.0));
        assert!(limiter.check(6_400_000, ALICE, &read(7)).is_ok());
        assert!(limiter.check(6_400_000, ALICE, &read(7)).is_err(), "the limit holds as before");
    }

    #[test]
    fn callers_and_resources_have_buckets_of_their_own() {
        let limiter = limiter(1, 50);
        assert!(limiter.check(0, ALICE, &read(7)).is_ok());
        assert!(limiter.check(0, ALICE, &read(8)).is_ok());
        assert!(limiter.check(0, BOB, &read(7)).is_ok());
        assert!(limiter.check(0, ALICE, &read(7)).is_err());
    }

    #[test]
    fn the_global_limit_counts_over_all_routes() {
        let limiter = limiter(50, 3);
        for channel in 0..3 {
            assert!(limiter.check(100, ALICE, &read(channel)).is_ok());
        }
        let (error, info) = *limiter.check(100, ALICE, &read(9)).unwrap_err();
        assert!(error.retry_after.unwrap().global);
        assert_eq!(info, None);
        assert!(limiter.check(1_100, ALICE, &read(9)).is_ok());
    }

    #[test]
    fn without_limits_nothing_is_counted() {
        let limiter = RateLimiter::new(RestLimits { enabled: false, reads_per_5s: 0, ..RestLimits::default() });
        assert_eq!(limiter.check(0, ALICE, &read(1)).unwrap(), None);
    }
}
