//! The task of another region: it sends on what owners have for its sessions, and takes what it sends.
//!
//! What is open is counted in epochs. A side that may have missed something, or that begins, opens a new epoch: the other
//! forgets all of its sessions, and nothing that was said before counts. So a stream that broke never leaves a session
//! with a gap that nobody knows of.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use rookery_model::gateway::{Event, SubscriberId};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::audiences::{Audiences, NUMBERED_FROM, Named, Told};
use super::frame::{Between, ControlForm, Frame, PresenceForm, ToOwner, ToSessions, write_event};
use super::marks::Marks;
use super::parked::{Parked, Word};
use super::parking::{Ending, Parking};
use super::proxies::{Closed, Proxies};
use super::returning::{Arriving, Returning};
use super::seen::Seen;
use super::stream::{PeerStream, StreamEvent};
use super::{Outgoing, Peer, PeerNews, Queued};
use crate::Region;
use crate::gateway::input::{Control, Input};
use crate::gateway::registry::SessionHandle;
use crate::gateway::worker::{Entry, Leaving, Outbox, Worker, WorkerInbox};
use crate::owners::{GuildNews, VoiceRequest};

/// Frames and entries taken in a row before the stream has its turn.
const TAKEN_AT_ONCE: usize = 256;
/// The same while they are sent: snapshots of large guilds are megabytes each.
const TAKEN_WITH_ROOM: usize = 16;

/// How long a region may be out of reach before its owners count as gone: what was said meanwhile comes late until then,
/// and is lost for its sessions afterwards.
const CUT_AFTER_MS: u64 = 7_000;

/// How long owners wait for a region that takes too little, before its sessions are left.
const FULL_AFTER_MS: u64 = 5_000;
/// Sessions of one region that start at the same time; others are told to come again.
const STARTS_AT_ONCE: usize = 256;

/// A region's task.
pub struct PeerTask {
    pub(super) region: Arc<Region>,
    pub(super) peer: Arc<Peer>,
    pub(super) worker: Arc<Worker>,
    inbox: WorkerInbox,
    pub(super) outgoing: mpsc::Receiver<Queued>,
    stream: PeerStream,
    /// Where owners begin and end.
    pub(super) marks: Marks,
    /// What says where both sides begin anew, as long as the stream does not take it.
    owed: VecDeque<Frame>,
    /// The stream did not take something: until it has room again nothing is sent, and then both sides begin anew.
    is_choked: bool,
    /// Since when the stream has no room.
    full_since_ms: Option<u64>,
    /// Something that its owners had for users of this region may be missing.
    is_missing: bool,
    /// Its sessions that may start at the same time.
    pub(super) starts: Arc<Semaphore>,
    /// Its sessions that have owners here.
    pub(super) proxies: Proxies,
    audiences: Audiences,
    /// Audiences of sessions here, as it named them.
    pub(super) told: Told,
    /// Its users, as owners here see them.
    pub(super) seen: Seen,
    /// Its sessions that are over and of which owners here have not heard.
    pub(super) leaving: Leaving,
    /// To the sessions here.
    pub(super) outbox: Outbox,
    /// Of the sessions here with its owners.
    own_epoch: u64,
    /// Of its sessions with the owners here; none if it opened none.
    their_epoch: Option<u64>,
    /// The other side opened that epoch.
    is_opened: bool,
    /// The stream reaches the other side.
    is_up: bool,
    /// When those who cannot be reached count as gone.
    cut_at_ms: Option<u64>,
    /// Why somebody has to begin anew.
    broken: Option<Broken>,
    /// What it was asked to keep when the process here ends.
    pub(super) parking: Parking,
    /// What it kept for the process before, and is to give back.
    pub(super) returning: Option<Returning>,
    /// What is kept for its sessions while its process is replaced.
    pub(super) parked: Option<Parked>,
    /// Of its sessions that go on, those that it told so far.
    pub(super) arriving: Arriving,
    stop: CancellationToken,
}

/// Why sessions begin anew: those of this region, or of both.
struct Broken {
    why: &'static str,
    both: bool,
}

/// What a turn found.
enum Turn {
    Stream(StreamEvent),
    Entries,
    Frames,
    News,
    Signals(Vec<Arc<SessionHandle>>),
    Flushed,
    Replay,
    Park,
    Due,
    Stop,
}

impl PeerTask {
    /// A region that is not reached yet.
    pub fn new(
        region: Arc<Region>,
        outgoing: Outgoing,
        inbox: WorkerInbox,
        stream: PeerStream,
        ending: Ending,
    ) -> Self {
        let Outgoing { peer, worker, frames } = outgoing;
        let Ending { park, unanswered, stop } = ending;
        Self {
            parking: Parking::new(park, unanswered),
            returning: peer.take_returning(region.clock.now_ms()),
            parked: None,
            arriving: Arriving::default(),
            worker,
            seen: Seen::new(peer.index),
            outbox: Outbox::new(Arc::clone(region.sessions.workers())),
            region,
            peer,
            inbox,
            outgoing: frames,
            stream,
            marks: Marks::default(),
            owed: VecDeque::new(),
            is_choked: false,
            full_since_ms: None,
            // Of a process before.
            is_missing: true,
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
            proxies: Proxies::default(),
            audiences: Audiences::default(),
            told: Told::default(),
            leaving: Leaving::default(),
            own_epoch: 0,
            their_epoch: None,
            is_opened: false,
            is_up: false,
            cut_at_ms: None,
            broken: None,
            stop,
        }
    }

    /// Runs until it is stopped, and then until what owners said before is on its way.
    pub async fn run(mut self) {
        let (mut entries, mut frames) = (Vec::new(), Vec::new());
        loop {
            match self.turn(&mut entries, &mut frames).await {
                Turn::Stream(event) => self.stream_event(event).await,
                Turn::Entries => entries.drain(..).for_each(|entry| self.entry(entry)),
                Turn::Frames => frames.drain(..).for_each(|queued| self.queued(queued)),
                Turn::News => {
                    let news = self.peer.news.take();
                    self.news(news);
                }
                Turn::Signals(sessions) => self.signals(&sessions),
                Turn::Replay => self.replay(),
                Turn::Park => self.park(),
                Turn::Flushed | Turn::Due => {}
                Turn::Stop => break,
            }
            let now_ms = self.region.clock.now_ms();
            self.leaving.tell(now_ms, &self.region.owners);
            self.note_room(now_ms);
            if self.cut_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
                tracing::warn!(peer = &*self.peer.name, "the region is out of reach for too long");
                self.begin_anew().await;
            }
            if self.parked.as_ref().and_then(Parked::poll_timeout).is_some_and(|at_ms| at_ms <= now_ms) {
                self.forget_parked("it does not come back in time");
            }
            if self.returning.as_ref().and_then(Returning::poll_timeout).is_some_and(|at_ms| at_ms <= now_ms) {
                self.give_up_returning().await;
            }
            if let Some(broken) = self.broken.take() {
                tracing::warn!(peer = &*self.peer.name, why = broken.why, "sessions begin anew");
                if broken.both {
                    self.forget_theirs();
                }
                self.reopen().await;
            }
        }
        self.finish(entries).await;
    }

    /// Looks whether the stream has room; a region that has none for long holds up nobody.
    fn note_room(&mut self, now_ms: u64) {
        if self.stream.has_room() {
            self.full_since_ms = None;
            self.is_choked = false;
            while let Some(frame) = self.owed.pop_front() {
                if !self.stream.send(frame.encode()) {
                    self.owed.push_front(frame);
                    break;
                }
            }
            return;
        }
        let since_ms = *self.full_since_ms.get_or_insert(now_ms);
        if !self.is_choked && (!self.is_up || since_ms + FULL_AFTER_MS <= now_ms) {
            self.choke("it takes less than there is for it");
        }
    }

    /// What there is for the other side is lost from here on.
    fn choke(&mut self, why: &'static str) {
        if !std::mem::replace(&mut self.is_choked, true) {
            metrics::counter!("rookery_peer_choked_total", "peer" => self.peer.name.to_string()).increment(1);
            self.broken = Some(Broken { why, both: true });
        }
    }

    async fn turn(&mut self, entries: &mut Vec<Entry>, frames: &mut Vec<Queued>) -> Turn {
        let is_flushed = self.outbox.is_empty();
        // Without room what there is waits, unless it is given up.
        let has_room = self.is_choked || self.stream.has_room();
        let full = self.full_since_ms.filter(|_| !self.is_choked).map(|since_ms| since_ms + FULL_AFTER_MS);
        let parked = self.parked.as_ref().and_then(Parked::poll_timeout);
        let returning = self.returning.as_ref().and_then(Returning::poll_timeout);
        let due_ms = self.leaving.poll_timeout().into_iter().chain(self.cut_at_ms).chain(full);
        let due_ms = due_ms.chain(parked).chain(returning).min();
        // What is kept needs no room, and what was kept comes before what there is now.
        let (is_parked, is_replaying) = (self.is_parked(), self.is_replaying());
        let takes = is_parked || has_room && !is_replaying;
        let is_known = self.returning.is_none();
        let at_once = if self.is_choked { TAKEN_AT_ONCE } else { TAKEN_AT_ONCE.min(TAKEN_WITH_ROOM) };
        let clock = &self.region.clock;
        let worker = &self.worker;
        let ready = poll_fn(|cx| {
            worker.register_waker(cx.waker());
            let ready = worker.take_ready();
            if ready.is_empty() { Poll::Pending } else { Poll::Ready(ready) }
        });
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Turn::Stop,
            () = self.outbox.flush(), if !is_flushed => Turn::Flushed,
            // What it sends waits while sessions here have no room for it, and then its owners wait.
            event = self.stream.next(is_flushed) => Turn::Stream(event),
            () = self.parking.due() => Turn::Park,
            () = std::future::ready(()), if is_replaying && has_room => Turn::Replay,
            sessions = ready, if has_room || is_parked => Turn::Signals(sessions),
            // Before it knows the sessions again there is no news of them for it.
            () = self.peer.news.changed(), if takes && is_known => Turn::News,
            count = self.inbox.recv_many(entries, at_once), if takes => {
                debug_assert!(count > 0, "the registry holds the other end");
                Turn::Entries
            }
            count = self.outgoing.recv_many(frames, at_once), if takes => {
                debug_assert!(count > 0, "the peer holds the other end");
                Turn::Frames
            }
            () = clock.reached(due_ms) => Turn::Due,
        }
    }

    async fn stream_event(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Frame(bytes) => match Frame::decode(&bytes) {
                Ok(frame) => {
                    self.take_frame(frame);
                    self.follow_marks().await;
                }
                Err(error) => {
                    // A kind of a later version: what it is about, that version says in another way too.
                    tracing::warn!(%error, peer = &*self.peer.name, "a frame is passed over");
                    metrics::counter!("rookery_peer_frames_unreadable_total").increment(1);
                }
            },
            StreamEvent::Up => {
                tracing::info!(peer = &*self.peer.name, "the region is reached");
                self.is_up = true;
                if self.cut_at_ms.take().is_some() && self.is_opened {
                    // It was away for a moment, and nothing is missing.
                    self.peer.set_open(true);
                } else {
                    self.reopen().await;
                }
            }
            StreamEvent::Restarted => {
                tracing::warn!(peer = &*self.peer.name, "the region's process is another");
                self.is_up = true;
                // It knows of no epoch.
                self.their_epoch = None;
                self.owed.clear();
                self.begin_anew().await;
            }
            StreamEvent::Broken(why) => {
                tracing::warn!(peer = &*self.peer.name, why, "something may be missing; both sides begin anew");
                self.begin_anew().await;
            }
            StreamEvent::Down => {
                self.marks.let_go();
                tracing::warn!(peer = &*self.peer.name, "the region is out of reach");
                self.is_up = false;
                self.peer.set_open(false);
                self.cut_at_ms = Some(self.region.clock.now_ms() + CUT_AFTER_MS);
            }
        }
    }

    /// Whether its sessions may have owners here.
    pub(super) const fn serves(&self) -> bool {
        self.their_epoch.is_some()
    }

    /// Whether sessions here may have owners there.
    pub(super) const fn is_followed(&self) -> bool {
        self.is_opened
    }

    /// Whether that is the epoch of its sessions.
    pub(super) fn is_their_epoch(&self, epoch: u64) -> bool {
        self.their_epoch == Some(epoch)
    }

    /// The epoch of the sessions here.
    pub(super) const fn epoch(&self) -> u64 {
        self.own_epoch
    }

    /// Whether more may be sent than answers.
    pub(super) fn has_room(&self) -> bool {
        !self.is_choked && self.stream.has_room()
    }

    /// Whether nothing that was to be sent is lost or waits.
    pub(super) fn takes_frames(&self) -> bool {
        !self.is_choked && self.broken.is_none() && self.owed.is_empty()
    }

    /// The other side is not to be followed any further; it is seen to after the frame at hand.
    pub(super) fn break_off(&mut self, why: &'static str) {
        self.broken.get_or_insert(Broken { why, both: false });
    }

    /// Its sessions begin anew: whatever owners here have of them is void.
    pub(super) fn begin_anew_for(&mut self, epoch: u64) {
        // That it may have missed something says that it left them itself.
        self.their_epoch = None;
        self.parked = None;
        self.forget_theirs();
        self.their_epoch = Some(epoch);
        self.control(Frame::Opened { epoch });
        self.tell_own();
    }

    pub(super) fn opened(&mut self, epoch: u64) {
        if epoch != self.own_epoch || self.is_opened || self.returning.is_some() {
            return;
        }
        self.is_opened = true;
        self.peer.set_open(self.is_up);
        // It does not know what users of this region are seen as, and something that it had for them may be missing.
        if std::mem::take(&mut self.is_missing) {
            self.region.owners.shared().registers.reopened(self.peer.index);
        }
        tracing::info!(peer = &*self.peer.name, epoch, "the region's owners can be subscribed to");
    }

    /// The owners there are those that the sessions of the process before had, and nothing of what they said is missing.
    pub(super) fn follow(&mut self) {
        self.is_opened = true;
        self.is_missing = false;
        self.peer.set_returning(false);
        self.peer.set_open(self.is_up);
        self.region.peers.ownership().tell_changed();
    }

    /// Its sessions go on in this epoch.
    pub(super) fn open_theirs(&mut self, epoch: u64) {
        self.their_epoch = Some(epoch);
        self.audiences.clear();
    }

    pub(super) fn closed(&mut self, epoch: u64) {
        if epoch == self.own_epoch {
            self.break_off("it left the sessions of this region");
        }
    }

    /// Leaves all owners there, and opens a new epoch if they can be reached.
    pub(super) async fn reopen(&mut self) {
        let was_open = std::mem::take(&mut self.is_opened);
        self.parking.void();
        self.cut_at_ms = None;
        self.peer.set_open(false);
        self.told.clear();
        self.own_epoch += 1;
        self.peer.set_epoch(self.own_epoch);
        self.is_missing = true;
        // While nobody tells of changes, and for what nobody told.
        let (peers, index) = (&self.region.peers, self.peer.index);
        self.region.accounts.forget(|id| peers.elsewhere(id.get()).is_some_and(|peer| peer.index == index));
        if was_open {
            self.cut().await;
        }
        if self.is_up {
            // Of several openings only the newest counts.
            self.owed.retain(|owed| !matches!(owed, Frame::Open { .. } | Frame::Return { .. }));
            self.opening().into_iter().for_each(|frame| self.control(frame));
        }
    }

    /// The sessions here learn that its owners are out of reach, behind everything that those said.
    pub(super) async fn cut(&mut self) {
        metrics::counter!("rookery_peer_cuts_total", "peer" => self.peer.name.to_string()).increment(1);
        self.outbox.flush().await;
        let shards = self.region.peers.ownership().serve_no_more(self.peer.index);
        self.region.sessions.workers().cut_off(&Arc::new(shards)).await;
    }

    /// Both sides may have missed something.
    async fn begin_anew(&mut self) {
        self.forget_theirs();
        self.reopen().await;
    }

    /// Its sessions are over for the owners here, and nobody speaks for its users.
    pub(super) fn forget_theirs(&mut self) {
        self.arriving.clear();
        let epoch = self.their_epoch.take();
        if self.is_parked() {
            // What they had is complete, and waits for their next process.
            return self.seen.clear(&self.region.owners.shared().registers);
        }
        self.parked = None;
        if let Some(epoch) = epoch {
            // It may not know that something is missing.
            self.control(Frame::Closed { epoch });
        }
        self.audiences.clear();
        for closed in self.proxies.close_all(&self.region.sessions) {
            self.leave(closed);
        }
        self.seen.clear(&self.region.owners.shared().registers);
    }

    /// A session of the other side is over: the owners that count on it hear of it.
    pub(super) fn leave(&mut self, closed: Closed) {
        closed.guild_ids.into_iter().for_each(|guild_id| self.leaving.add_guild(guild_id, closed.id));
        if let Some(user_id) = closed.user_id {
            self.leaving.add_user(user_id, closed.id);
        }
        if let (Some(channel_id), (user_id, name)) = (closed.call, closed.of) {
            let request = VoiceRequest::leave(user_id, name);
            let tell = |news: &mut GuildNews| drop(news.voice.insert(closed.id, request));
            self.region.owners.shared().tell_dm(channel_id, false, tell);
        }
    }

    /// Sends a frame. If it is not taken, both sides begin anew once there is room.
    pub(super) fn send(&mut self, frame: &Frame) {
        if self.is_choked {
            metrics::counter!("rookery_peer_frames_dropped_total").increment(1);
        } else if !self.stream.send(frame.encode()) {
            self.choke("more waits for it than may");
        }
    }

    /// Sends what says where somebody begins anew: it is never lost while the stream is not.
    pub(super) fn control(&mut self, frame: Frame) {
        if self.is_choked || !self.owed.is_empty() || !self.stream.send(frame.encode()) {
            self.owed.push_back(frame);
        }
    }

    fn tell_sessions(&mut self, to_sessions: ToSessions) {
        self.send(&Frame::ToSessions(to_sessions));
    }

    /// Something that an owner here has for its sessions.
    fn entry(&mut self, entry: Entry) {
        if self.is_parked() {
            return self.keep_entry(entry);
        }
        match entry {
            Entry::FanOut { payload, audience } => {
                // Mostly it was written before.
                self.fan_out(payload.transit(write_event).clone(), &audience);
            }
            Entry::To(id, input) => match self.proxies.at_home(id) {
                Some(session) => self.hand_over(session, input),
                None => self.came_too_late(id, input),
            },
            Entry::Began(shards, held) => self.owners_began(&shards, held),
            Entry::Ended(shards) => self.owners_ended(&shards),
            // What was owned here is lost: nobody knows what was said last.
            Entry::CutOff(_) => self.forget_theirs(),
            Entry::Start(_) | Entry::Keep { .. } => {}
        }
    }

    pub(super) fn fan_out(&mut self, event: Bytes, audience: &Arc<[SubscriberId]>) {
        // Mostly it was named before: then nobody looks at all of it.
        if audience.len() < NUMBERED_FROM {
            let sessions = self.proxies.of_audience(self.worker.index(), audience);
            if !sessions.is_empty() {
                self.tell_sessions(ToSessions::Dispatch { event, sessions });
            }
            return;
        }
        let number = match self.audiences.name(audience) {
            Named::Known(number) => number,
            Named::New { number, forget } => {
                if let Some(number) = forget {
                    self.tell_sessions(ToSessions::ForgetAudience { number });
                }
                let sessions = self.proxies.of_audience(self.worker.index(), audience);
                self.tell_sessions(ToSessions::Audience { number, sessions });
                number
            }
        };
        self.tell_sessions(ToSessions::FanOut { event, audience: number });
    }

    fn hand_over(&mut self, session: u64, input: Input) {
        if let Some(word) = Word::new(input) {
            self.tell_one(session, word);
        }
    }

    /// Sends something to one session.
    pub(super) fn tell_one(&mut self, session: u64, word: Word) {
        match word {
            Word::Dispatch(event) => self.tell_sessions(ToSessions::Dispatch { event, sessions: vec![session] }),
            Word::Own(event) => self.tell_sessions(ToSessions::Own { event, session }),
            Word::Control(control) => {
                if let ControlForm::NotSubscribed(guild_id, _) = &control {
                    self.proxies.leave_guild(&self.region.sessions, session, *guild_id);
                }
                self.tell_sessions(ToSessions::Control { session, control });
            }
        }
    }

    /// Something came for a session that is over. An owner that takes it for a subscriber heard of its end before it heard
    /// of its beginning.
    pub(super) fn came_too_late(&mut self, id: SubscriberId, input: Input) {
        match input {
            Input::Control(Control::Subscribed(guild_id)) => self.leaving.add_guild(guild_id, id),
            Input::Own(event) => {
                if let Event::Ready(ready) = &*event {
                    self.leaving.add_user(ready.user.user.id, id);
                }
            }
            Input::Dispatch(_) | Input::Control(_) => {}
        }
    }

    /// Something that somebody here has for the other side.
    pub(super) fn queued(&mut self, queued: Queued) {
        let queued = match queued.frame {
            Frame::ToOwner(to_owner) if self.returning.is_some() => return self.hold_back(to_owner),
            Frame::Between(between) if self.is_parked() => return self.keep_between(between),
            _ => queued,
        };
        // Said before the owners there were left.
        let is_past = matches!(queued.frame, Frame::ToOwner(_)) && (queued.epoch != self.own_epoch || !self.is_opened);
        if is_past {
            metrics::counter!("rookery_peer_frames_dropped_total").increment(1);
        } else {
            self.send(&queued.frame);
        }
    }

    fn news(&mut self, news: PeerNews) {
        let PeerNews { sessions, voice, calls, call_connects, presences, accounts, lost } = news;
        let mut frames = Vec::new();
        for ((user_id, id), news) in sessions {
            let presence = news.presence.map(Box::new);
            frames.push(Frame::ToOwner(ToOwner::News { user_id, session: id.0, presence, link: news.link }));
        }
        for ((guild_id, id), request) in voice {
            let (session_id, update) = (request.session_id, request.update);
            frames.push(Frame::ToOwner(ToOwner::Voice { guild_id, session: id.0, session_id, update }));
        }
        for ((channel_id, _), (session, request)) in calls {
            let VoiceRequest { session_id, update, .. } = request;
            let session = Box::new(session);
            frames.push(Frame::ToOwner(ToOwner::Call { channel_id, session, session_id, update }));
        }
        for (channel_id, user_id) in call_connects {
            frames.push(Frame::ToOwner(ToOwner::CallConnect { channel_id, user_id }));
        }
        for (user_id, news) in presences {
            let presence = news.presence.map(|presence| PresenceForm::new(&presence));
            let (guild_ids, friends) = (news.guild_ids, news.friends);
            frames.push(Frame::Between(Between::Presence { user_id, presence, guild_ids, friends }));
        }
        for account in accounts.into_values() {
            frames.push(Frame::Between(Between::Account(Box::new(account))));
        }
        if !lost.is_empty() {
            frames.push(Frame::Between(Between::Lost { user_ids: lost.into_iter().collect() }));
        }
        let epoch = self.own_epoch;
        frames.into_iter().for_each(|frame| self.queued(Queued { epoch, frame }));
    }

    fn signals(&mut self, sessions: &[Arc<SessionHandle>]) {
        for session in sessions {
            session.looked_at();
            let bits = session.take_signals().bits();
            let session_id = session.id.raw();
            match &mut self.parked {
                _ if bits == 0 => {}
                Some(parked) if !parked.is_replaying() => parked.signal(session_id, bits),
                _ => self.tell_sessions(ToSessions::Signals { session_id, bits }),
            }
        }
    }

    /// Sends what sessions and owners here have said so far.
    pub(super) fn send_waiting(&mut self) {
        let news = self.peer.news.take();
        self.news(news);
        while let Ok(queued) = self.outgoing.try_recv() {
            self.queued(queued);
        }
    }

    /// Sends what owners said before they ended.
    async fn finish(mut self, mut entries: Vec<Entry>) {
        // What the peer said last is for sessions that are about to be written down.
        self.outbox.flush().await;
        loop {
            entries.drain(..).for_each(|entry| self.entry(entry));
            match self.inbox.try_recv() {
                Ok(entry) => entries.push(entry),
                Err(_) => break,
            }
        }
        self.send_waiting();
        self.peer.set_open(false);
        self.send(&Frame::Leaving);
        let (peer, token, is_choked) = (self.peer, self.parking.token(), self.is_choked);
        // A peer that did not hear all of it may take the sessions for what they are not.
        if self.stream.finish().await
            && !is_choked
            && let Some(token) = token
        {
            peer.note_parked(token);
        }
    }
}
