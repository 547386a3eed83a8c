//! The live sessions of this process, and how everybody else reaches one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};

use dashmap::DashMap;
use futures_util::task::ArcWake;
use parking_lot::Mutex;
use rand::Rng as _;
use rookery_model::gateway::SubscriberId;
use rookery_model::{DeviceId, UserId};
use tokio::sync::mpsc::error::TrySendError;

use super::input::{AskedAt, Attach, Control, Input};
use super::worker::{Entry, Worker, Workers};

/// The unguessable name of a session, 128 random bits; 32 hexadecimal digits on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::rng().random())
    }

    /// Its number.
    pub const fn raw(self) -> u128 {
        self.0
    }

    /// The id of this number.
    pub const fn from_raw(raw: u128) -> Self {
        Self(raw)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for SessionId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A sign or another length would give one session several names.
        let text = if text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) { text } else { "" };
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// What a session is told besides events; each tells it once, and never waits for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Signal {
    /// An event for it was lost: it cannot go on, nor be resumed.
    Lost = 1,
    /// Its token is void.
    Revoked = 2,
    /// The region is going away: the client is to connect elsewhere.
    Reconnect = 4,
    /// The region is gone in a moment: the connection closes now.
    Shutdown = 8,
}

/// The signals that a session has not seen yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signals(u8);

impl Signals {
    /// As bits, for another region.
    pub const fn bits(self) -> u8 {
        self.0
    }
    /// Whether this one is among them.
    pub const fn has(self, signal: Signal) -> bool {
        self.0 & signal as u8 != 0
    }
    /// Takes this one out; whether it was among them.
    pub const fn take(&mut self, signal: Signal) -> bool {
        let had = self.has(signal);
        self.0 &= !(signal as u8);
        had
    }
}

/// A live session as the rest of the region holds it.
pub struct SessionHandle {
    pub subscriber: SubscriberId,
    pub id: SessionId,
    pub user_id: UserId,
    pub device: DeviceId,
    worker: Arc<Worker>,
    signals: AtomicU8,
    /// The worker was asked to look at it and has not yet.
    is_ready: AtomicBool,
    /// How often its READY was asked for, and where last; that owner may have ended since.
    asked: Mutex<(u32, AskedAt)>,
}

impl SessionHandle {
    /// READY is to be asked for, whatever was asked before; the number of the question.
    pub fn begin_to_ask(&self) -> u32 {
        let mut asked = self.asked.lock();
        *asked = (asked.0.wrapping_add(1), AskedAt::Nowhere);
        asked.0
    }

    /// It is asked for there now; false if another question came after this one.
    pub fn note_asked(&self, question: u32, at: AskedAt) -> bool {
        let mut asked = self.asked.lock();
        if asked.0 == question {
            asked.1 = at;
        }
        asked.0 == question
    }

    /// The number of the last question.
    pub fn question(&self) -> u32 {
        self.asked.lock().0
    }

    /// Where it was asked for last.
    pub fn asked(&self) -> AskedAt {
        self.asked.lock().1
    }

    /// Hands over something in order with the events, waiting while the worker has no room; a session that is gone
    /// does not mind.
    pub async fn send(&self, input: Input) {
        let _ = self.worker.inbox.send(Entry::To(self.subscriber, input)).await;
    }

    /// Hands over a connection; gives it back if there is no room for it now.
    pub fn attach(&self, attach: Box<Attach>) -> Result<(), Box<Attach>> {
        let entry = Entry::To(self.subscriber, Input::Control(Control::Attach(attach)));
        match self.worker.inbox.try_send(entry) {
            Err(
                TrySendError::Full(Entry::To(_, Input::Control(Control::Attach(attach))))
                | TrySendError::Closed(Entry::To(_, Input::Control(Control::Attach(attach)))),
            ) => Err(attach),
            _ => Ok(()),
        }
    }

    /// Tells the session something that finds room always.
    pub fn signal(self: &Arc<Self>, signal: Signal) {
        self.signal_bits(signal as u8);
    }

    /// Tells the session what [`Signals::bits`] gave.
    pub fn signal_bits(self: &Arc<Self>, bits: u8) {
        self.signals.fetch_or(bits, Ordering::AcqRel);
        ArcWake::wake_by_ref(self);
    }

    /// The signals since the last look.
    pub fn take_signals(&self) -> Signals {
        Signals(self.signals.swap(0, Ordering::AcqRel))
    }

    /// The worker looks now: whatever comes from here on asks for another look.
    pub fn looked_at(&self) {
        self.is_ready.store(false, Ordering::SeqCst);
    }

    /// Hands a session to its worker, which drives it from then on.
    pub(super) async fn start(&self, session: Box<super::session_task::SessionTask>) {
        let _ = self.worker.inbox.send(Entry::Start(session)).await;
    }
}

/// The waker of the session's socket.
impl ArcWake for SessionHandle {
    fn wake_by_ref(session: &Arc<Self>) {
        if !session.is_ready.swap(true, Ordering::SeqCst) {
            session.worker.wake(Arc::clone(session));
        }
    }
}

/// All sessions, connected or waiting for RESUME.
pub struct Sessions {
    by_id: DashMap<SessionId, Arc<SessionHandle>>,
    by_user: DashMap<UserId, Vec<Arc<SessionHandle>>>,
    /// Those of other regions whose users' owners, or guilds, are here.
    remote_by_user: DashMap<UserId, Vec<Arc<SessionHandle>>>,
    workers: Arc<Workers>,
    count: AtomicUsize,
    per_user: usize,
}

impl Sessions {
    /// None yet; they will be divided among these workers, and each user has so many at most.
    pub fn new(workers: Arc<Workers>, per_user: usize) -> Self {
        Self {
            by_id: DashMap::new(),
            by_user: DashMap::new(),
            remote_by_user: DashMap::new(),
            workers,
            count: AtomicUsize::new(0),
            per_user,
        }
    }

    /// Those who drive the sessions.
    pub const fn workers(&self) -> &Arc<Workers> {
        &self.workers
    }

    /// Registers a new session of a user; none if they hold too many.
    pub fn register(&self, user_id: UserId, device: DeviceId) -> Option<Arc<SessionHandle>> {
        self.register_as(SessionId::random(), user_id, device)
    }

    /// Registers a session that has an id already.
    pub fn register_as(&self, id: SessionId, user_id: UserId, device: DeviceId) -> Option<Arc<SessionHandle>> {
        let (worker, subscriber) = self.workers.assign()?;
        let handle = Arc::new(SessionHandle {
            subscriber,
            id,
            user_id,
            device,
            worker,
            signals: AtomicU8::new(0),
            is_ready: AtomicBool::new(false),
            asked: Mutex::new((0, AskedAt::Nowhere)),
        });
        let mut of_user = self.by_user.entry(user_id).or_default();
        if of_user.len() >= self.per_user {
            handle.worker.release(subscriber);
            return None;
        }
        of_user.push(Arc::clone(&handle));
        drop(of_user);
        self.by_id.insert(handle.id, Arc::clone(&handle));
        self.count.fetch_add(1, Ordering::Relaxed);
        // By one, and not to the count: of two workers at once the one with the older count may be the last to say it.
        metrics::gauge!("rookery_sessions").increment(1.0);
        Some(handle)
    }

    /// Takes a session out that is over, or that could not begin.
    pub fn remove(&self, handle: &SessionHandle) {
        if self.by_id.remove(&handle.id).is_none() {
            return;
        }
        handle.worker.release(handle.subscriber);
        if let Some(mut of_user) = self.by_user.get_mut(&handle.user_id) {
            of_user.retain(|other| other.id != handle.id);
        }
        self.by_user.remove_if(&handle.user_id, |_, of_user| of_user.is_empty());
        self.count.fetch_sub(1, Ordering::Relaxed);
        metrics::gauge!("rookery_sessions").decrement(1.0);
    }

    /// The session of this id.
    pub fn get(&self, id: SessionId) -> Option<Arc<SessionHandle>> {
        self.by_id.get(&id).map(|entry| Arc::clone(&entry))
    }

    /// Registers a session of another region with the task that sends on what it gets; none if that has no place left.
    pub fn register_remote(
        &self,
        worker: &Arc<Worker>,
        id: SessionId,
        user_id: UserId,
        device: DeviceId,
    ) -> Option<Arc<SessionHandle>> {
        let handle = Arc::new(SessionHandle {
            subscriber: worker.take_slot()?,
            id,
            user_id,
            device,
            worker: Arc::clone(worker),
            signals: AtomicU8::new(0),
            is_ready: AtomicBool::new(false),
            asked: Mutex::new((0, AskedAt::Nowhere)),
        });
        self.remote_by_user.entry(user_id).or_default().push(Arc::clone(&handle));
        Some(handle)
    }

    /// Takes such a session out.
    pub fn remove_remote(&self, handle: &SessionHandle) {
        handle.worker.release(handle.subscriber);
        if let Some(mut of_user) = self.remote_by_user.get_mut(&handle.user_id) {
            of_user.retain(|other| other.subscriber != handle.subscriber);
        }
        self.remote_by_user.remove_if(&handle.user_id, |_, of_user| of_user.is_empty());
    }

    /// The sessions of a user now, those of other regions as far as they have owners here.
    pub fn of_user(&self, user_id: UserId) -> Vec<Arc<SessionHandle>> {
        let here = self.by_user.get(&user_id).map(|entry| entry.clone());
        let mut all = here.unwrap_or_default();
        if let Some(remote) = self.remote_by_user.get(&user_id) {
            all.extend(remote.iter().cloned());
        }
        all
    }

    /// All sessions now.
    pub fn all(&self) -> Vec<Arc<SessionHandle>> {
        self.by_id.iter().map(|entry| Arc::clone(&entry)).collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Ends the sessions of a user whose events could not be handed on: they must not go on with a gap.
    pub fn lose(&self, user_id: UserId) {
        for session in self.of_user(user_id) {
            session.signal(Signal::Lost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: UserId = UserId::new(7);

    #[test]
    fn an_id_has_one_text() {
        let id = SessionId(0xabc);
        assert_eq!(id.to_string().len(), 32);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "abc", &format!("+{:031x}", 1), &"g".repeat(32), &"0".repeat(33)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_signal_is_told_once_and_asks_the_worker_once() {
        let (workers, _inboxes) = Workers::new(1, 1);
        let sessions = Sessions::new(Arc::new(workers), 10);
        let handle = sessions.register(USER, DeviceId::new(1)).unwrap();
        handle.signal(Signal::Lost);
        handle.signal(Signal::Reconnect);
        let ready = |workers: &Workers| workers.iter().map(|worker| worker.take_ready().len()).sum::<usize>();
        assert_eq!(ready(&sessions.workers), 1);
        handle.looked_at();
        let signals = handle.take_signals();
        assert!(signals.has(Signal::Lost) && signals.has(Signal::Reconnect) && !signals.has(Signal::Revoked));
        assert_eq!(handle.take_signals(), Signals::default());
        handle.signal(Signal::Revoked);
        assert_eq!(ready(&sessions.workers), 1);
    }

    #[test]
    fn sessions_are_counted_by_user_and_forgotten() {
        let (workers, _inboxes) = Workers::new(2, 1);
        let sessions = Sessions::new(Arc::new(workers), 2);
        let held: Vec<_> = (0..2).map(|_| sessions.register(USER, DeviceId::new(1)).unwrap()).collect();
        assert!(sessions.register(USER, DeviceId::new(1)).is_none());
        assert_ne!(held[0].subscriber, held[1].subscriber);
        assert_eq!((sessions.count(), sessions.of_user(USER).len()), (2, 2));
        for handle in &held {
            sessions.remove(handle);
            sessions.remove(handle);
            assert!(sessions.get(handle.id).is_none());
        }
        assert_eq!((sessions.count(), sessions.by_user.len()), (0, 0));
    }
}
