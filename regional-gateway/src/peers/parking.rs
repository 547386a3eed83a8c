//! A peer's task where one of the two processes is replaced by another on purpose, and sessions go on.
//!
//! The process that ends says `Park` when its sessions have said everything, takes in what comes up to `Parked`, and
//! writes its sessions down with the token that it gave. The next one shows the token with the sessions that it took up
//! (`Return`); the answer is `Returned` and everything that was kept, or `Forgotten`. Whatever goes wrong, and whenever
//! it does, the token means nothing, and the sessions lose what they would have lost without it: they are cut off.

use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::frame::{Between, Frame, ReturningSession, ToOwner, ToSessions};
use super::parked::{PARKED_MAX, Parked, ParkedEntry, Word, is_to_be_kept};
use super::task::PeerTask;
use crate::gateway::input::Input;
use crate::gateway::registry::Signal;
use crate::gateway::worker::Entry;
use rookery_model::gateway::SubscriberId;

/// Entries sent in a row to a process that is back.
const REPLAYED_AT_ONCE: usize = 64;

/// How a peer's task learns that its process ends.
pub struct Ending {
    /// Its sessions said everything: the peer is asked to keep what it has for them.
    pub park: CancellationToken,
    /// Held until the peer answered.
    pub unanswered: TaskTrackerToken,
    /// The task itself ends.
    pub stop: CancellationToken,
}

/// What the peer was asked to keep.
pub struct Parking {
    park: CancellationToken,
    unanswered: Option<TaskTrackerToken>,
    has_begun: bool,
    /// What the peer was given, and whether it took it.
    token: Option<(u128, bool)>,
}

impl Parking {
    pub fn new(park: CancellationToken, unanswered: TaskTrackerToken) -> Self {
        Self { park, unanswered: Some(unanswered), has_begun: false, token: None }
    }

    /// Waits until the peer is to be asked, once.
    pub async fn due(&self) {
        if self.has_begun {
            return std::future::pending().await;
        }
        self.park.cancelled().await;
    }

    /// The peer answered.
    pub fn granted(&mut self, token: u128) {
        if let Some((asked, is_granted)) = &mut self.token
            && *asked == token
        {
            *is_granted = true;
            self.unanswered = None;
        }
    }

    /// What it kept is of no use.
    pub fn void(&mut self) {
        self.token = None;
        if self.has_begun {
            self.unanswered = None;
        }
    }

    /// The token that the peer took.
    pub fn token(&self) -> Option<u128> {
        self.token.filter(|(_, is_granted)| *is_granted).map(|(token, _)| token)
    }
}

/// The end of the process that is replaced.
impl PeerTask {
    /// Asks the peer to keep what it will have for the sessions here, behind everything that they said.
    pub(super) fn park(&mut self) {
        self.parking.has_begun = true;
        if !self.is_followed() || !self.takes_frames() {
            return self.parking.void();
        }
        // Sessions ask nothing new; what they asked before goes first.
        self.peer.set_open(false);
        self.send_waiting();
        let token = rand::random();
        self.parking.token = Some((token, false));
        self.send(&Frame::Park { epoch: self.epoch(), token });
    }
}

/// The side that keeps something.
impl PeerTask {
    /// The peer's process is about to be another.
    pub(super) fn park_theirs(&mut self, epoch: u64, token: u128) {
        if !self.is_their_epoch(epoch) || !self.takes_frames() {
            return;
        }
        let deadline_ms = self.region.clock.now_ms() + self.region.session_config.resume_window_ms;
        match &mut self.parked {
            Some(parked) => parked.park_again(token, deadline_ms),
            None => self.parked = Some(Parked::new(token, deadline_ms, PARKED_MAX)),
        }
        tracing::info!(peer = &*self.peer.name, "what its sessions get is kept until its next process is there");
        self.send(&Frame::Parked { token });
    }

    /// Whether what is for the peer's sessions is kept.
    pub(super) fn is_parked(&self) -> bool {
        self.parked.as_ref().is_some_and(|parked| !parked.is_replaying())
    }

    /// Whether what was kept is on its way.
    pub(super) fn is_replaying(&self) -> bool {
        self.parked.as_ref().is_some_and(Parked::is_replaying)
    }

    /// Keeps what an owner has for its sessions.
    pub(super) fn keep_entry(&mut self, entry: Entry) {
        match entry {
            Entry::FanOut { payload, audience } => {
                let event = payload.transit(super::frame::write_event).clone();
                self.keep(ParkedEntry::FanOut { event, audience });
            }
            Entry::To(id, input) => self.keep_for_one(id, input),
            // Nobody of them can go on with an owner that begins meanwhile: it does not wait.
            Entry::Began(shards, _held) => self.keep(ParkedEntry::Began(shards)),
            Entry::Ended(shards) => self.keep(ParkedEntry::Ended(shards)),
            Entry::CutOff(_) => self.forget_parked("what was owned here is lost"),
            Entry::Start(_) | Entry::Keep { .. } => {}
        }
    }

    fn keep_for_one(&mut self, id: SubscriberId, input: Input) {
        if self.proxies.at_home(id).is_none() {
            self.came_too_late(id, input);
        } else if let Some(word) = Word::new(input) {
            self.keep(ParkedEntry::To(id, word));
        }
    }

    /// Keeps what an owner here has for owners there; those that the next process loads read the rest.
    pub(super) fn keep_between(&mut self, between: Between) {
        if is_to_be_kept(&between) {
            self.keep(ParkedEntry::Between(between));
        }
    }

    fn keep(&mut self, entry: ParkedEntry) {
        if let Some(parked) = &mut self.parked
            && parked.push(entry).is_err()
        {
            self.forget_parked("more happened than is kept");
        }
    }

    /// What was kept is given up: its sessions are over for the owners here.
    pub(super) fn forget_parked(&mut self, why: &'static str) {
        if let Some(parked) = self.parked.take() {
            tracing::warn!(peer = &*self.peer.name, why, entries = parked.len(), "its sessions are kept no longer");
            metrics::counter!("rookery_peer_parked_total", "result" => "lost").increment(1);
            self.forget_theirs();
        }
    }

    /// The next process shows what it was given, with sessions that it took up.
    pub(super) fn take_return(&mut self, epoch: u64, token: u128, sessions: Vec<ReturningSession>, is_last: bool) {
        let Some(sessions) = self.arriving.take(epoch, token, sessions, is_last) else { return };
        let is_kept = self.parked.as_ref().is_some_and(|parked| parked.is_for(token));
        if !is_kept || !self.takes_frames() {
            self.forget_parked("it is not what its process was given");
            return self.control(Frame::Forgotten { token });
        }
        self.open_theirs(epoch);
        let rebound = self.proxies.rebind(&self.region.sessions, sessions);
        tracing::info!(
            peer = &*self.peer.name,
            epoch,
            kept = self.parked.as_ref().map_or(0, Parked::len),
            over = rebound.closed.len(),
            "its next process goes on with its sessions"
        );
        metrics::counter!("rookery_peer_parked_total", "result" => "returned").increment(1);
        rebound.closed.into_iter().for_each(|closed| self.leave(closed));
        self.control(Frame::Returned { epoch });
        let mut signals = self.parked.as_mut().map(Parked::replay).unwrap_or_default();
        for session_id in rebound.lost {
            *signals.entry(session_id).or_default() |= Signal::Lost as u8;
        }
        for (session_id, bits) in signals {
            self.send(&Frame::ToSessions(ToSessions::Signals { session_id, bits }));
        }
        for (session, guild_id) in rebound.cut {
            let control = super::frame::ControlForm::GuildCut(guild_id);
            self.send(&Frame::ToSessions(ToSessions::Control { session, control }));
        }
        self.replay();
    }

    /// Sends some of what was kept, as far as there is room.
    pub(super) fn replay(&mut self) {
        for _ in 0..REPLAYED_AT_ONCE {
            if !self.has_room() {
                return;
            }
            match self.parked.as_mut().and_then(Parked::pop) {
                None => return self.parked = None,
                Some(ParkedEntry::FanOut { event, audience }) => self.fan_out(event, &audience),
                Some(ParkedEntry::To(id, word)) => {
                    // It may be over by now.
                    if let Some(session) = self.proxies.at_home(id) {
                        self.tell_one(session, word);
                    }
                }
                Some(ParkedEntry::Between(between)) => self.send(&Frame::Between(between)),
                Some(ParkedEntry::Began(shards)) => self.tell_began(&shards, None),
                Some(ParkedEntry::Ended(shards)) => self.owners_ended(&shards),
            }
        }
    }
}

/// The process that goes on.
impl PeerTask {
    /// The frames that open an epoch.
    pub(super) fn opening(&self) -> Vec<Frame> {
        let epoch = self.epoch();
        match &self.returning {
            None => vec![Frame::Open { epoch }],
            // Those that are over by now are not there to say so.
            Some(returning) => {
                returning.frames(epoch, |returning| self.region.sessions.get(returning.session.name()).is_some())
            }
        }
    }

    /// The peer knows the sessions again, and nothing is missing.
    pub(super) fn returned(&mut self, epoch: u64) {
        if epoch != self.epoch() {
            return;
        }
        let Some(returning) = self.returning.take() else { return };
        tracing::info!(peer = &*self.peer.name, epoch, "sessions of the process before go on with its owners");
        self.follow();
        for to_owner in returning.into_held() {
            self.send(&Frame::ToOwner(to_owner));
        }
    }

    /// It did not keep what the process before asked for.
    pub(super) fn forgotten(&mut self, token: u128) {
        if let Some(returning) = &mut self.returning
            && returning.is(token)
        {
            returning.give_up();
        }
    }

    /// Holds back what a session says before the peer knows it again.
    pub(super) fn hold_back(&mut self, to_owner: ToOwner) {
        if let Some(returning) = &mut self.returning
            && !returning.hold(to_owner)
        {
            returning.give_up();
        }
    }

    /// The peer does not give back what it kept: the sessions go on without it, as if nobody had asked for it.
    pub(super) async fn give_up_returning(&mut self) {
        if self.returning.take().is_some() {
            tracing::warn!(peer = &*self.peer.name, "what was kept for the sessions here is lost");
            self.peer.set_returning(false);
            self.cut().await;
            self.reopen().await;
        }
    }
}
