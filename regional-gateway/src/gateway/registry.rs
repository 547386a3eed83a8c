//! The live sessions of this process, and how everybody else reaches one.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use dashmap::DashMap;
use futures_util::task::AtomicWaker;
use rand::Rng as _;
use rookery_model::gateway::SubscriberId;
use rookery_model::{DeviceId, UserId};
use rookery_session::Payload;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::input::{Attach, Control, Input};

/// The unguessable name of a session, 128 random bits; 32 hexadecimal digits on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId(u128);

impl SessionId {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::rng().random())
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
    /// Whether this one is among them.
    pub const fn has(self, signal: Signal) -> bool {
        self.0 & signal as u8 != 0
    }
}

/// A live session as the rest of the region holds it.
pub struct SessionHandle {
    pub subscriber: SubscriberId,
    pub id: SessionId,
    pub user_id: UserId,
    pub device: DeviceId,
    inbox: mpsc::Sender<Input>,
    signals: AtomicU8,
    waker: AtomicWaker,
}

/// The session is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl SessionHandle {
    /// Hands over an event. A session whose inbox is full loses it and, with it, its place in the stream.
    pub fn deliver(&self, payload: Arc<Payload>) -> Result<(), Gone> {
        self.send(Input::Dispatch(payload))
    }

    /// Hands over anything that must not be missed, in order with the events; as [`Self::deliver`].
    pub fn send(&self, input: Input) -> Result<(), Gone> {
        match self.inbox.try_send(input) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                metrics::counter!("rookery_session_inbox_full_total").increment(1);
                self.signal(Signal::Lost);
                Ok(())
            }
            Err(TrySendError::Closed(_)) => Err(Gone),
        }
    }

    /// Hands over a connection; gives it back if the session cannot take it.
    pub fn attach(&self, attach: Box<Attach>) -> Result<(), Box<Attach>> {
        match self.inbox.try_reserve() {
            Ok(place) => {
                place.send(Input::Control(Control::Attach(attach)));
                Ok(())
            }
            Err(_) => Err(attach),
        }
    }

    /// Tells the session something that finds room always.
    pub fn signal(&self, signal: Signal) {
        self.signals.fetch_or(signal as u8, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Whether its task ended.
    pub fn is_gone(&self) -> bool {
        self.inbox.is_closed()
    }

    /// The signals since the last look; pending while there are none.
    pub fn poll_signals(&self, cx: &mut Context<'_>) -> Poll<Signals> {
        self.waker.register(cx.waker());
        match self.signals.swap(0, Ordering::AcqRel) {
            0 => Poll::Pending,
            signals => Poll::Ready(Signals(signals)),
        }
    }
}

/// All sessions with a task, connected or waiting for RESUME.
pub struct Sessions {
    by_id: DashMap<SessionId, Arc<SessionHandle>>,
    by_user: DashMap<UserId, Vec<Arc<SessionHandle>>>,
    next_subscriber: AtomicU64,
    count: AtomicUsize,
    inbox_capacity: usize,
    per_user: usize,
}

impl Sessions {
    /// None yet; each will have an inbox of this size, each user so many at most.
    pub fn new(inbox_capacity: usize, per_user: usize) -> Self {
        Self {
            by_id: DashMap::new(),
            by_user: DashMap::new(),
            next_subscriber: AtomicU64::new(1),
            count: AtomicUsize::new(0),
            inbox_capacity,
            per_user,
        }
    }

    /// Registers a new session of a user; none if they hold too many.
    pub fn register(&self, user_id: UserId, device: DeviceId) -> Option<(Arc<SessionHandle>, mpsc::Receiver<Input>)> {
        let (inbox, receiver) = mpsc::channel(self.inbox_capacity);
        let handle = Arc::new(SessionHandle {
            subscriber: SubscriberId(self.next_subscriber.fetch_add(1, Ordering::Relaxed)),
            id: SessionId::random(),
            user_id,
            device,
            inbox,
            signals: AtomicU8::new(0),
            waker: AtomicWaker::new(),
        });
        let mut of_user = self.by_user.entry(user_id).or_default();
        if of_user.len() >= self.per_user {
            return None;
        }
        of_user.push(Arc::clone(&handle));
        drop(of_user);
        self.by_id.insert(handle.id, Arc::clone(&handle));
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        metrics::gauge!("rookery_sessions").set(count as f64);
        Some((handle, receiver))
    }

    /// Takes a session out; its task is ending.
    pub fn remove(&self, handle: &SessionHandle) {
        if self.by_id.remove(&handle.id).is_none() {
            return;
        }
        if let Some(mut of_user) = self.by_user.get_mut(&handle.user_id) {
            of_user.retain(|other| other.id != handle.id);
        }
        self.by_user.remove_if(&handle.user_id, |_, of_user| of_user.is_empty());
        let count = self.count.fetch_sub(1, Ordering::Relaxed) - 1;
        metrics::gauge!("rookery_sessions").set(count as f64);
    }

    /// The session of this id.
    pub fn get(&self, id: SessionId) -> Option<Arc<SessionHandle>> {
        self.by_id.get(&id).map(|entry| Arc::clone(&entry))
    }

    /// The sessions of a user now.
    pub fn of_user(&self, user_id: UserId) -> Vec<Arc<SessionHandle>> {
        self.by_user.get(&user_id).map(|entry| entry.clone()).unwrap_or_default()
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
    use rookery_model::gateway::Event;

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
    fn a_full_inbox_loses_the_session_and_nobody_waits() {
        let sessions = Sessions::new(1, 10);
        let (handle, mut inbox) = sessions.register(USER, DeviceId::new(1)).unwrap();
        let payload = Payload::new(Event::Resumed);
        assert_eq!(handle.deliver(Arc::clone(&payload)), Ok(()));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert_eq!(handle.poll_signals(&mut cx), Poll::Pending);
        assert_eq!(handle.deliver(Arc::clone(&payload)), Ok(()));
        assert!(matches!(handle.poll_signals(&mut cx), Poll::Ready(signals) if signals.has(Signal::Lost)));
        assert_eq!(handle.poll_signals(&mut cx), Poll::Pending, "told once");
        inbox.close();
        while inbox.try_recv().is_ok() {}
        assert_eq!(handle.deliver(payload), Err(Gone));
    }

    #[test]
    fn sessions_are_counted_by_user_and_forgotten() {
        let sessions = Sessions::new(1, 2);
        let held: Vec<_> = (0..2).map(|_| sessions.register(USER, DeviceId::new(1)).unwrap()).collect();
        assert!(sessions.register(USER, DeviceId::new(1)).is_none());
        assert_ne!(held[0].0.subscriber, held[1].0.subscriber);
        assert_eq!((sessions.count(), sessions.of_user(USER).len()), (2, 2));
        for (handle, _) in &held {
            sessions.remove(handle);
            sessions.remove(handle);
            assert!(sessions.get(handle.id).is_none());
        }
        assert_eq!((sessions.count(), sessions.by_user.len()), (0, 0));
    }
}
