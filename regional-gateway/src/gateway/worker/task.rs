//! The task of a worker.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use rookery_guild::Subscriber;
use rookery_model::GuildId;
use rookery_model::gateway::{Event, SubscriberId};
use rookery_session::{Freezer, Payload};
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::leaving::Leaving;
use super::pending::{ENTRIES_AHEAD_MAX, Events};
use super::place::worker_of;
use super::slots::Slab;
use super::timers::Timers;
use super::{Entry, Worker, WorkerInbox};
use crate::Region;
use crate::gateway::input::{Control, Input};
use crate::gateway::kept::KeptSession;
use crate::gateway::registry::SessionHandle;
use crate::gateway::session_task::{self, SessionTask, Turn};
use crate::gateway::websocket::Batch;
use crate::placement::ShardEpochs;

/// Sessions served in a row before other tasks of this thread have their turn: a few tenths of a millisecond of writing.
/// The runtime looks for what came to sockets only once in some dozens of turns.
const TURNS_AT_ONCE: usize = 32;
/// Sessions whose memory is fetched together ahead of their turns: waiting for one after the other costs several times that.
const FETCHED_AT_ONCE: usize = 8;
/// Newly waiting sessions for which an event is held back for a moment, [`HOLD_MS`]: to write it to all of them takes longer,
/// and what follows closely, as in a burst of messages, then goes out in the same writes.
const HOLD_FROM: usize = 512;
const HOLD_MS: u64 = 1;
/// Events given to sessions in a row, counted by session.
const DELIVERIES_AT_ONCE: usize = 4_096;
/// Pause before a session is looked at again for which something stays due.
const AGAIN_MS: u64 = 10;
/// How far ahead the timer may be set when nothing is due.
const FAR_MS: u64 = 3_600_000;

/// A worker that runs.
pub struct WorkerTask {
    region: Arc<Region>,
    worker: Arc<Worker>,
    inbox: WorkerInbox,
    sessions: Slab,
    /// Sessions to be served, in the order in which something came for them.
    waiting: VecDeque<Waiting>,
    /// Entries taken so far; the number of the newest.
    taken: u32,
    /// What those of `waiting` are given before their turn.
    events: Events,
    /// Until when nobody is served, so that more comes together.
    held_until_ms: u64,
    /// The time of this turn, milliseconds, cut to what [`Waiting`] keeps.
    turn_ms: u32,
    timers: Timers,
    timer: Pin<Box<Sleep>>,
    /// What the timer is set to.
    timer_ms: u64,
    leaving: Leaving,
    batch: Batch,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    is_closing: bool,
}

#[derive(Clone, Copy)]
struct Waiting {
    id: SubscriberId,
    /// Entries that had been taken when it came here.
    since: u32,
    /// When it came here; only differences count.
    since_ms: u32,
}

impl WorkerTask {
    /// A worker at the beginning.
    pub fn new(region: Arc<Region>, worker: Arc<Worker>, inbox: WorkerInbox) -> Self {
        let closing = Box::pin(region.closing.clone().cancelled_owned());
        Self {
            timer: Box::pin(tokio::time::sleep_until(region.clock.instant(0))),
            region,
            worker,
            inbox,
            sessions: Slab::default(),
            waiting: VecDeque::new(),
            taken: 0,
            events: Events::default(),
            held_until_ms: 0,
            turn_ms: 0,
            timers: Timers::default(),
            timer_ms: 0,
            leaving: Leaving::default(),
            batch: Batch::default(),
            closing,
            is_closing: false,
        }
    }

    /// Runs until the region closes and no session is left.
    pub async fn run(self) {
        // It yields by itself, and its sessions' sockets are not to share one task's budget.
        tokio::task::unconstrained(self).await;
    }

    /// Marks the sessions whose sockets or signals want a look.
    fn take_ready(&mut self) {
        for handle in self.worker.take_ready() {
            handle.looked_at();
            self.mark(handle.subscriber, |session| session.is_woken = true);
        }
    }

    /// Puts a session among those to be served.
    fn mark(&mut self, id: SubscriberId, note: impl FnOnce(&mut SessionTask)) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        note(session);
        if self.sessions.wait(id) == Some(true) {
            self.waiting.push_back(Waiting { id, since: self.taken, since_ms: self.turn_ms });
        }
    }

    /// Whether another entry may be taken while sessions wait to be served. It bounds what the lack of CPU adds to a
    /// session's backlog, which is to measure its client; beyond, entries wait in the queue, and then their owners.
    fn may_take(&self) -> bool {
        self.waiting.front().is_none_or(|oldest| self.taken.wrapping_sub(oldest.since) < ENTRIES_AHEAD_MAX)
    }

    /// Takes what others handed over; whether there may be more.
    fn take_entries(&mut self, cx: &mut Context<'_>, now_ms: u64) -> bool {
        let mut deliveries = 0;
        while deliveries < DELIVERIES_AT_ONCE && self.may_take() {
            // The registry holds the other end for as long as this task runs.
            let Poll::Ready(Some(entry)) = self.inbox.poll_recv(cx) else { return false };
            self.taken = self.taken.wrapping_add(1);
            deliveries += 1;
            match entry {
                Entry::Start(session) => self.start(session),
                Entry::FanOut { payload, audience } => {
                    deliveries += audience.len();
                    self.fan_out(now_ms, payload, &audience);
                }
                Entry::To(id, input) => self.hand_over(now_ms, id, input),
                Entry::CutOff(shards) => {
                    let ownership = Arc::clone(self.region.peers.ownership());
                    self.tell_all(now_ms, |session| {
                        session.cut_off(now_ms, |raw| shards.contains(ownership.shard_of(raw)));
                    });
                }
                Entry::Ended(shards) => {
                    let ownership = Arc::clone(self.region.peers.ownership());
                    let epoch_of = |raw| shards.get(ownership.shard_of(raw)).map(|shard| shard.epoch);
                    self.tell_all(now_ms, |session| session.ended(now_ms, epoch_of));
                }
                Entry::Began(shards, held) => {
                    self.began(now_ms, &shards);
                    drop(held);
                }
                Entry::Keep { freezer, kept } => {
                    // Who asked may have given up: then nobody keeps them.
                    let _ = kept.send(self.keep(now_ms, &freezer));
                }
            }
        }
        true
    }

    fn start(&mut self, session: Box<SessionTask>) {
        let id = session.handle().subscriber;
        self.sessions.insert(id, session);
        self.mark(id, |session| session.is_woken = true);
    }

    fn fan_out(&mut self, now_ms: u64, payload: Arc<Payload>, audience: &[SubscriberId]) {
        let place = self.events.put(self.taken, payload);
        let waited = self.waiting.len();
        let own = self.worker.index;
        for id in audience.iter().copied().filter(|id| worker_of(*id) == own) {
            // Some ended since the audience was computed.
            if self.sessions.wait_with(id, place) == Some(true) {
                self.waiting.push_back(Waiting { id, since: self.taken, since_ms: self.turn_ms });
            }
        }
        if waited == 0 && self.waiting.len() >= HOLD_FROM {
            self.held_until_ms = now_ms + HOLD_MS;
        }
    }

    fn hand_over(&mut self, now_ms: u64, id: SubscriberId, input: Input) {
        let Some((session, pending)) = self.sessions.get_with_pending(id) else { return self.came_too_late(id, input) };
        let (events, newest) = (&self.events, self.taken);
        let taken = catch_unwind(AssertUnwindSafe(|| {
            // What came before is taken before.
            session.dispatch(now_ms, events.of(pending, newest));
            session.take_input(now_ms, input);
        }));
        if taken.is_err() {
            return self.panicked(id);
        }
        self.mark(id, |_| {});
    }

    /// Owners begin: they go on with what they are handed.
    fn began(&mut self, now_ms: u64, shards: &ShardEpochs) {
        let region = Arc::clone(&self.region);
        let ownership = region.peers.ownership();
        let begins = |raw| shards.get(ownership.shard_of(raw)).map(|shard| shard.predecessor);
        let mut guilds: BTreeMap<GuildId, Vec<(Arc<SessionHandle>, Subscriber)>> = BTreeMap::new();
        self.tell_all(now_ms, |session| {
            let resumed = session.began(now_ms, begins);
            for guild_id in resumed.guild_ids {
                let of_guild = guilds.entry(guild_id).or_default();
                of_guild.push((Arc::clone(session.handle()), session.subscriber().clone()));
            }
            if let Some(user_session) = resumed.user {
                region.owners.resume_user(session.handle(), user_session, resumed.is_attached);
            }
        });
        for (guild_id, sessions) in guilds {
            let ids: Vec<SubscriberId> = sessions.iter().map(|(session, _)| session.subscriber).collect();
            if let Err(error) = region.owners.resume_guild(guild_id, sessions) {
                for id in ids {
                    self.hand_over(
                        now_ms,
                        id,
                        Input::Control(Control::NotSubscribed(guild_id, Box::new(error.clone()))),
                    );
                }
            }
        }
    }

    /// Has every session told something, behind all that came before.
    fn tell_all(&mut self, now_ms: u64, mut tell: impl FnMut(&mut SessionTask)) {
        for id in self.sessions.ids() {
            let Some((session, pending)) = self.sessions.get_with_pending(id) else { continue };
            let (events, newest) = (&self.events, self.taken);
            let told = catch_unwind(AssertUnwindSafe(|| {
                session.dispatch(now_ms, events.of(pending, newest));
                tell(session);
            }));
            if told.is_err() {
                self.panicked(id);
                continue;
            }
            self.mark(id, |_| {});
        }
    }

    /// Something came for a session that is over. An owner that takes it for a subscriber heard of its end before it heard
    /// of its beginning.
    fn came_too_late(&mut self, id: SubscriberId, input: Input) {
        match input {
            Input::Control(Control::Attach(attach)) => session_task::too_late(&self.region, *attach),
            Input::Control(Control::Subscribed(guild_id)) => self.leaving.add_guild(guild_id, id),
            Input::Own(event) => {
                if let Event::Ready(ready) = &*event {
                    self.leaving.add_user(ready.user.user.id, id);
                }
            }
            Input::Dispatch(_) | Input::Control(_) => {}
        }
    }

    /// Writes every session down; they are over here, and their owners are gone already.
    fn keep(&mut self, now_ms: u64, freezer: &Mutex<Freezer>) -> Vec<KeptSession> {
        let mut kept = Vec::new();
        let mut freezer = freezer.lock();
        let (events, newest) = (&self.events, self.taken);
        for (mut session, pending) in self.sessions.drain() {
            // A session that cannot be written down is lost, and no other.
            let written = catch_unwind(AssertUnwindSafe(|| {
                session.dispatch(now_ms, events.of(pending, newest));
                session.keep(now_ms, &mut freezer)
            }));
            kept.extend(written.unwrap_or_default());
            session.take_leave();
        }
        self.waiting.clear();
        self.events.clear();
        kept
    }

    /// Marks the sessions for which something is due.
    fn take_due(&mut self, now_ms: u64) {
        while let Some((due_ms, id)) = self.timers.pop_due(now_ms) {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            if session.armed_ms != due_ms {
                // An earlier deadline was set after this one.
                continue;
            }
            session.armed_ms = u64::MAX;
            match session.due_ms() {
                // Mostly deadlines have moved away meanwhile, with a heartbeat.
                Some(later_ms) if later_ms > now_ms => {
                    session.armed_ms = later_ms;
                    self.timers.arm(later_ms, id);
                }
                // Its frames are read before it is told the time.
                Some(_) => self.mark(id, |session| session.is_woken = true),
                None => {}
            }
        }
    }

    /// Reports how long the session waits that is next. What is still in the queue waits for this one: see
    /// [`ENTRIES_AHEAD_MAX`].
    fn note_age(&self) {
        let Some(oldest) = self.waiting.front() else { return };
        let age_ms = self.turn_ms.wrapping_sub(oldest.since_ms);
        self.region.degradation.note_queue_age(Duration::from_millis(age_ms.into()));
    }

    /// Whether those that wait are to wait for more; not for long, whatever becomes of the clock.
    const fn is_held(&self, now_ms: u64) -> bool {
        now_ms < self.held_until_ms && self.held_until_ms <= now_ms + HOLD_MS
    }

    /// Fetches the memory of the next sessions into the processor's caches.
    fn fetch_next(&self) {
        let next = self.waiting.iter().take(FETCHED_AT_ONCE);
        let touched =
            next.filter_map(|waiting| self.sessions.get(waiting.id)).fold(0, |all, session| all ^ session.touch());
        // Nobody wants to know; without this the compiler would not do it.
        std::hint::black_box(touched);
    }

    /// Serves some of those that wait.
    fn serve(&mut self, now_ms: u64) {
        if self.is_held(now_ms) {
            return;
        }
        for turn in 0..TURNS_AT_ONCE {
            if turn % FETCHED_AT_ONCE == 0 {
                self.fetch_next();
            }
            let Some(Waiting { id, .. }) = self.waiting.pop_front() else { break };
            let Some((session, pending)) = self.sessions.serve(id) else { continue };
            let (events, newest, batch) = (&self.events, self.taken, &mut self.batch);
            let turn = catch_unwind(AssertUnwindSafe(|| {
                session.dispatch(now_ms, events.of(pending, newest));
                session.turn(now_ms, batch)
            }));
            match turn {
                Ok(Turn::Done) => self.arm(id, now_ms),
                Ok(Turn::Again) => {
                    self.arm(id, now_ms);
                    self.mark(id, |session| session.is_woken = true);
                }
                Ok(Turn::Ended) => self.end(id),
                Err(_) => self.panicked(id),
            }
        }
        if self.waiting.is_empty() {
            self.events.clear();
        }
    }

    fn arm(&mut self, id: SubscriberId, now_ms: u64) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(mut due_ms) = session.due_ms() else { return };
        if due_ms <= now_ms {
            // It is due, and waits for something besides.
            due_ms = now_ms + AGAIN_MS;
        }
        if due_ms < session.armed_ms {
            session.armed_ms = due_ms;
            self.timers.arm(due_ms, id);
        }
    }

    /// A session is over: it leaves no trace here, in the registry and with owners.
    fn end(&mut self, id: SubscriberId) {
        let Some(mut session) = self.sessions.remove(id) else { return };
        session.leave_call();
        self.leaving.add_user(session.handle().user_id, id);
        for guild_id in session.take_leave() {
            self.leaving.add_guild(guild_id, id);
        }
        if !self.region.peers.is_alone() {
            self.leaving.add_session(id);
        }
    }

    /// A bug in a session's code costs that session, not its worker.
    fn panicked(&mut self, id: SubscriberId) {
        tracing::error!("a session panicked; it is over");
        metrics::counter!("rookery_sessions_ended_total", "reason" => "panicked").increment(1);
        if let Some(session) = self.sessions.get_mut(id) {
            session.give_up();
        }
        self.end(id);
    }

    /// Sets the timer to whatever is next.
    fn watch_timer(&mut self, cx: &mut Context<'_>, now_ms: u64) {
        let held = (self.is_held(now_ms) && !self.waiting.is_empty()).then_some(self.held_until_ms);
        let next_ms = [self.timers.next_ms(), self.leaving.poll_timeout(), held].into_iter().flatten().min();
        let next_ms = next_ms.unwrap_or(now_ms + FAR_MS).max(now_ms + 1);
        if self.timer.is_elapsed() || next_ms < self.timer_ms {
            self.timer_ms = next_ms;
            self.timer.as_mut().reset(self.region.clock.instant(next_ms));
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_closing = self.is_closing || self.closing.as_mut().poll(cx).is_ready();
        self.is_closing && self.sessions.is_empty() && self.worker.sessions.load(Ordering::Acquire) == 0
    }
}

impl Future for WorkerTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Before anything is looked at, so that nothing comes unseen.
        this.worker.waker.register(cx.waker());
        let now_ms = this.region.clock.now_ms();
        // Cut on purpose: the count begins anew after 49 days, and differences stay true.
        this.turn_ms = now_ms as u32;
        this.take_ready();
        let more = this.take_entries(cx, now_ms);
        this.take_due(now_ms);
        this.note_age();
        this.serve(now_ms);
        this.leaving.tell(now_ms, &this.region.owners);
        if this.is_over(cx) {
            return Poll::Ready(());
        }
        this.watch_timer(cx, now_ms);
        if more || !(this.waiting.is_empty() || this.is_held(now_ms)) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
