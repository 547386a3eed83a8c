//! Sessions that go on in another process than the one that subscribed them to owners elsewhere.
//!
//! [`Returning`] is the side where they live, [`Arriving`] the side that kept what its owners had for them.

use std::collections::VecDeque;

use super::frame::{Frame, ReturningSession, ToOwner};
use super::proxies::PROXIES_MAX;

/// How long a peer may take to give back what it kept, counted from the start of the process.
const WITHIN_MS: u64 = 10_000;
/// Sessions of one frame.
const SESSIONS_PER_FRAME: usize = 500;
/// Guilds of one frame, unless one session has more.
const GUILDS_PER_FRAME: usize = 10_000;
/// What the sessions may have to say until then.
const HELD_MAX: usize = 65_536;

/// What the process before left, for one peer.
#[derive(Debug)]
pub struct Returning {
    token: u128,
    sessions: Vec<ReturningSession>,
    /// None until the task runs, which gives it its time.
    deadline_ms: Option<u64>,
    /// What sessions said meanwhile; it is for owners that know them again.
    held: VecDeque<ToOwner>,
}

impl Returning {
    /// These sessions were taken up and have something with owners at the peer, which gave this token.
    pub const fn new(token: u128, sessions: Vec<ReturningSession>) -> Self {
        Self { token, sessions, deadline_ms: None, held: VecDeque::new() }
    }

    /// From now on it counts how long the peer takes.
    pub fn begin(&mut self, now_ms: u64) {
        self.deadline_ms.get_or_insert(now_ms + WITHIN_MS);
    }

    /// When the sessions go on without what was kept.
    pub const fn poll_timeout(&self) -> Option<u64> {
        self.deadline_ms
    }

    /// They go on without.
    pub const fn give_up(&mut self) {
        self.deadline_ms = Some(0);
    }

    /// Whether it is this token.
    pub const fn is(&self, token: u128) -> bool {
        self.token == token
    }

    /// Holds back what a session says; false if it is too much.
    pub fn hold(&mut self, to_owner: ToOwner) -> bool {
        if self.held.len() >= HELD_MAX {
            return false;
        }
        self.held.push_back(to_owner);
        true
    }

    /// The frames that open this epoch for the sessions that are not over by now.
    pub fn frames(&self, epoch: u64, is_alive: impl Fn(&ReturningSession) -> bool) -> Vec<Frame> {
        let frame = |sessions| Frame::Return { epoch, token: self.token, sessions, is_last: false };
        let (mut frames, mut part, mut guilds) = (Vec::new(), Vec::new(), 0);
        for session in self.sessions.iter().filter(|session| is_alive(session)) {
            let is_full = part.len() >= SESSIONS_PER_FRAME || guilds + session.guild_ids.len() > GUILDS_PER_FRAME;
            if is_full && !part.is_empty() {
                frames.push(frame(std::mem::take(&mut part)));
                guilds = 0;
            }
            guilds += session.guild_ids.len();
            part.push(session.clone());
        }
        frames.push(Frame::Return { epoch, token: self.token, sessions: part, is_last: true });
        frames
    }

    /// The owners there know the sessions: what these said meanwhile.
    pub fn into_held(self) -> VecDeque<ToOwner> {
        self.held
    }
}

/// Sessions of a peer that return, as far as they were told.
#[derive(Debug, Default)]
pub struct Arriving {
    epoch: u64,
    token: u128,
    sessions: Vec<ReturningSession>,
}

impl Arriving {
    /// Takes a part; all of them once this is the last.
    pub fn take(
        &mut self,
        epoch: u64,
        token: u128,
        sessions: Vec<ReturningSession>,
        is_last: bool,
    ) -> Option<Vec<ReturningSession>> {
        if (self.epoch, self.token) != (epoch, token) {
            *self = Self { epoch, token, sessions: Vec::new() };
        }
        self.sessions.extend(sessions);
        // More cannot have been here.
        self.sessions.truncate(PROXIES_MAX);
        is_last.then(|| std::mem::take(self).sessions)
    }

    /// What was told does not count.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use rookery_model::{DeviceId, GuildId, UserId};

    use super::*;
    use crate::peers::frame::SessionRef;

    fn session(number: u64, guilds: u64) -> ReturningSession {
        let session = SessionRef {
            id: number,
            session_id: u128::from(number) << 64,
            user_id: UserId::new(number),
            device: DeviceId::new(1),
        };
        ReturningSession { session, guild_ids: (1..=guilds).map(GuildId::new).collect(), has_user: true }
    }

    fn arrive(arriving: &mut Arriving, frames: Vec<Frame>) -> Option<Vec<ReturningSession>> {
        let mut all = None;
        for frame in frames {
            assert!(all.is_none(), "something comes after the last part");
            let Frame::Return { epoch, token, sessions, is_last } = frame else { panic!("another frame") };
            assert!(sessions.len() <= SESSIONS_PER_FRAME);
            all = arriving.take(epoch, token, sessions, is_last);
        }
        all
    }

    #[test]
    fn parts_make_the_whole_again() {
        let mut arriving = Arriving::default();
        for (sessions, parts) in
            [(vec![], 1), (vec![session(1, 0)], 1), ((1..=1_200).map(|n| session(n, 1)).collect(), 3)]
        {
            let returning = Returning::new(7, sessions.clone());
            let frames = returning.frames(1, |_| true);
            assert_eq!(frames.len(), parts);
            assert_eq!(arrive(&mut arriving, frames), Some(sessions));
        }
        let large = Returning::new(7, (1..=3).map(|n| session(n, 6_000)).collect());
        assert_eq!(large.frames(1, |_| true).len(), 3);
        let alive = large.frames(1, |session| session.session.id == 2);
        assert_eq!(arrive(&mut arriving, alive), Some(vec![session(2, 6_000)]));
    }

    #[test]
    fn parts_of_another_opening_do_not_count() {
        let mut arriving = Arriving::default();
        assert!(arriving.take(1, 7, vec![session(1, 0)], false).is_none());
        assert_eq!(arriving.take(2, 7, vec![session(2, 0)], true), Some(vec![session(2, 0)]));
        assert!(arriving.take(3, 7, vec![session(1, 0)], false).is_none());
        arriving.clear();
        assert_eq!(arriving.take(3, 7, Vec::new(), true), Some(vec![]));
    }

    #[test]
    fn what_is_held_back_is_bounded_and_stays_in_order() {
        let mut returning = Returning::new(7, Vec::new());
        for session in 0..HELD_MAX as u64 {
            assert!(returning.hold(ToOwner::SessionOver { session }));
        }
        assert!(!returning.hold(ToOwner::SessionOver { session: 0 }));
        let held = returning.into_held();
        let in_order =
            |(n, it): (usize, &ToOwner)| matches!(it, ToOwner::SessionOver { session } if *session == n as u64);
        assert!(held.len() == HELD_MAX && held.iter().enumerate().all(in_order));
    }

    #[test]
    fn a_peer_has_its_time_from_the_start_on() {
        let mut returning = Returning::new(7, Vec::new());
        assert_eq!(returning.poll_timeout(), None);
        returning.begin(100);
        returning.begin(5_000);
        assert_eq!(returning.poll_timeout(), Some(100 + WITHIN_MS));
        returning.give_up();
        assert_eq!(returning.poll_timeout(), Some(0));
    }
}
