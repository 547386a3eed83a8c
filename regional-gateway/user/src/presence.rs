//! What the user's sessions say of the user, merged into what others see.
//!
//! A presence is a register: only its newest state counts. A session that says more than it may in a window is heard
//! again when the window is over, with the last that it said.

use std::sync::Arc;

use rookery_model::gateway::{
    ACTIVITIES_MAX, Activity, ActivityType, ClientInfo, ClientKind, OwnSession, Presence, PresenceUpdate, Status,
    SubscriberId,
};

use crate::core::Limits;

/// Sessions that the user's own clients are told of. Each of them hears of each change: without a bound, an account with
/// hundreds of sessions would be told its whole list hundreds of times with every session that starts.
pub const OWN_SESSIONS_MAX: usize = 16;

/// A point in time, by two clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds on a monotonic clock.
    pub ms: u64,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

/// What a session runs on, and what it says of the user at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionClient {
    pub kind: ClientKind,
    pub os: Box<str>,
    /// As in IDENTIFY; none is the user's own setting.
    pub presence: Option<Box<PresenceUpdate>>,
}

impl Default for SessionClient {
    fn default() -> Self {
        Self { kind: ClientKind::Web, os: "".into(), presence: None }
    }
}

/// Whether a session counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Attached,
    /// Its connection is gone; it counts until then.
    Detached {
        until_ms: u64,
    },
    /// Gone for too long: it counts again when it is resumed.
    Expired,
}

#[derive(Clone, Debug)]
struct SessionPresence {
    id: SubscriberId,
    kind: ClientKind,
    os: Box<str>,
    status: Status,
    activities: Arc<[Activity]>,
    is_afk: bool,
    link: Link,
    window_ends_ms: u64,
    in_window: u32,
    /// What it said beyond its rate, to be heard at the end of the window.
    held_back: Option<Box<PresenceUpdate>>,
}

/// The presences of all sessions of one user.
#[derive(Clone, Debug)]
pub(crate) struct Presences {
    is_bot: bool,
    sessions: Vec<SessionPresence>,
    shown: Arc<Presence>,
}

impl Presences {
    pub(crate) fn new(is_bot: bool) -> Self {
        Self { is_bot, sessions: Vec::new(), shown: Arc::default() }
    }

    /// The user as others see them.
    pub(crate) const fn shown(&self) -> &Arc<Presence> {
        &self.shown
    }

    /// Adds a session; one that is there already keeps what it said.
    pub(crate) fn add(&mut self, now: Moment, id: SubscriberId, client: SessionClient, default: Status) {
        if self.find(id).is_some() {
            return;
        }
        let SessionClient { kind, os, presence } = client;
        let mut session = SessionPresence {
            id,
            kind,
            os,
            status: default,
            activities: Arc::default(),
            is_afk: false,
            link: Link::Attached,
            window_ends_ms: 0,
            in_window: 0,
            held_back: None,
        };
        if let Some(presence) = presence {
            session.take(now, *presence, self.is_bot);
        }
        self.sessions.push(session);
    }

    pub(crate) fn remove(&mut self, id: SubscriberId) {
        self.sessions.retain(|session| session.id != id);
        self.sessions.shrink_to_fit();
    }

    /// Forgets the sessions that are not among these.
    pub(crate) fn retain(&mut self, is_there: impl Fn(SubscriberId) -> bool) {
        self.sessions.retain(|session| is_there(session.id));
    }

    pub(crate) fn attached(&mut self, id: SubscriberId) {
        if let Some(session) = self.find(id) {
            session.link = Link::Attached;
        }
    }

    pub(crate) fn detached(&mut self, now: Moment, id: SubscriberId, expiry_ms: u64) {
        if let Some(session) = self.find(id).filter(|session| session.link == Link::Attached) {
            session.link = Link::Detached { until_ms: now.ms.saturating_add(expiry_ms) };
        }
    }

    /// Takes what a session says, at once or when its window is over.
    pub(crate) fn update(&mut self, now: Moment, id: SubscriberId, update: PresenceUpdate, limits: &Limits) {
        let is_bot = self.is_bot;
        let Some(session) = self.find(id) else { return };
        if session.admit(now, limits) {
            session.held_back = None;
            session.take(now, update, is_bot);
        } else {
            session.held_back = Some(Box::new(update));
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        let of = |session: &SessionPresence| {
            let expires = match session.link {
                Link::Detached { until_ms } => Some(until_ms),
                Link::Attached | Link::Expired => None,
            };
            let heard = session.held_back.as_ref().map(|_| session.window_ends_ms);
            expires.into_iter().chain(heard).min()
        };
        self.sessions.iter().filter_map(of).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment, limits: &Limits) {
        for session in &mut self.sessions {
            if matches!(session.link, Link::Detached { until_ms } if until_ms <= now.ms) {
                session.link = Link::Expired;
            }
            if session.held_back.is_some()
                && session.admit(now, limits)
                && let Some(update) = session.held_back.take()
            {
                session.take(now, *update, self.is_bot);
            }
        }
    }

    /// Merges anew; what others see now, if it changed.
    pub(crate) fn refresh(&mut self) -> Option<Arc<Presence>> {
        let merged = self.merged();
        if merged == *self.shown {
            return None;
        }
        self.shown = Arc::new(merged);
        Some(Arc::clone(&self.shown))
    }

    /// The sessions as the user's own clients see them; of very many the oldest ones.
    pub(crate) fn own(&self) -> Vec<OwnSession> {
        let counting = self.sessions.iter().filter(|session| session.link != Link::Expired);
        counting.take(OWN_SESSIONS_MAX).map(SessionPresence::own).collect()
    }

    fn find(&mut self, id: SubscriberId) -> Option<&mut SessionPresence> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }

    /// What others see: do not disturb if one session says so, else online if one is, else idle. An invisible session
    /// adds nothing, also nothing of what the user does there.
    fn merged(&self) -> Presence {
        let mut merged = Presence::default();
        let mut activities: Vec<&Activity> = Vec::new();
        for session in self.sessions.iter().filter(|session| session.is_seen()) {
            merged.status = stronger(merged.status, session.status);
            let of_kind = merged.client_status.of_mut(session.kind);
            *of_kind = Some(stronger(of_kind.unwrap_or(Status::Offline), session.status));
            activities.extend(session.activities.iter());
        }
        // The custom status stands first, and there is one.
        activities.sort_by_key(|activity| activity.kind != ActivityType::Custom);
        let mut shown: Vec<Activity> = Vec::new();
        for activity in activities {
            let is_told = |other: &Activity| *other == *activity || is_custom(other) && is_custom(activity);
            if shown.len() < ACTIVITIES_MAX && !shown.iter().any(is_told) {
                shown.push(activity.clone());
            }
        }
        merged.activities = shown.into();
        merged
    }
}

impl SessionPresence {
    fn is_seen(&self) -> bool {
        self.link != Link::Expired && !matches!(self.status, Status::Invisible | Status::Offline)
    }

    /// Counts an update of the session; false if it is beyond its rate.
    fn admit(&mut self, now: Moment, limits: &Limits) -> bool {
        if now.ms >= self.window_ends_ms {
            (self.window_ends_ms, self.in_window) = (now.ms.saturating_add(limits.presence_window_ms), 0);
        }
        let has_room = self.in_window < limits.presence_updates;
        self.in_window += u32::from(has_room);
        has_room
    }

    fn take(&mut self, now: Moment, update: PresenceUpdate, is_bot: bool) {
        self.status = if update.status == Status::Offline { Status::Invisible } else { update.status };
        self.is_afk = update.afk;
        let mut activities = Vec::new();
        for activity in update.activities.into_iter().take(ACTIVITIES_MAX) {
            let is_dated = activity.created_at.is_some();
            let Some(mut shown) = activity.shown(is_bot, now.unix_ms) else { continue };
            // One that goes on keeps its beginning.
            let before =
                self.activities.iter().find(|old| Activity { created_at: shown.created_at, ..(*old).clone() } == shown);
            if let Some(before) = before.filter(|_| !is_dated) {
                shown.created_at = before.created_at;
            }
            activities.push(shown);
        }
        self.activities = activities.into();
    }

    fn own(&self) -> OwnSession {
        OwnSession {
            session_id: format!("{:016x}", self.id.0),
            status: self.status,
            activities: Arc::clone(&self.activities),
            client_info: ClientInfo { client: self.kind.name().into(), os: self.os.to_string(), version: 0 },
            active: self.link == Link::Attached && !self.is_afk,
        }
    }
}

fn is_custom(activity: &Activity) -> bool {
    activity.kind == ActivityType::Custom
}

/// The one of two statuses that is shown.
fn stronger(one: Status, other: Status) -> Status {
    let strength = |status| match status {
        Status::Dnd => 3,
        Status::Online => 2,
        Status::Idle => 1,
        Status::Invisible | Status::Offline => 0,
    };
    if strength(other) > strength(one) { other } else { one }
}
