//! Which owners are loaded, and the one way to reach them.

use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// The mailboxes of all loaded owners of one kind.
///
/// Commands are put into mailboxes under the map's lock, and an owner leaves only under the same lock with an empty
/// mailbox. So there are never two owners of one thing, and no command is lost between an owner that leaves and the next.
pub struct Directory<K, C> {
    mailboxes: DashMap<K, mpsc::Sender<C>>,
    count: AtomicUsize,
    capacity: usize,
    kind: &'static str,
}

/// A command could not be delivered: the owner has too much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MailboxFull;

impl<K: Copy + Eq + Hash, C> Directory<K, C> {
    /// An empty directory whose mailboxes hold this many commands.
    pub fn new(kind: &'static str, capacity: usize) -> Self {
        Self { mailboxes: DashMap::new(), count: AtomicUsize::new(0), capacity, kind }
    }

    /// Delivers a command, starting the owner with `spawn` if it is not loaded.
    pub fn send(&self, key: K, command: C, spawn: impl FnOnce(mpsc::Receiver<C>)) -> Result<(), MailboxFull> {
        let Some(command) = self.send_if_loaded(key, command)? else { return Ok(()) };
        match self.mailboxes.entry(key) {
            Entry::Occupied(mut entry) => match entry.get().try_send(command) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(_)) => self.full(),
                // An owner that ended without leaving: its task was cut off. The next one takes its place.
                Err(TrySendError::Closed(command)) => {
                    let (sender, receiver) = mpsc::channel(self.capacity);
                    let sent = sender.try_send(command);
                    entry.insert(sender);
                    spawn(receiver);
                    sent.or_else(|_| self.full())
                }
            },
            Entry::Vacant(entry) => {
                let (sender, receiver) = mpsc::channel(self.capacity);
                let sent = sender.try_send(command);
                entry.insert(sender);
                self.count.fetch_add(1, Ordering::Relaxed);
                metrics::gauge!("rookery_owners_loaded", "kind" => self.kind).increment(1.0);
                spawn(receiver);
                sent.or_else(|_| self.full())
            }
        }
    }

    /// Delivers a command to an owner that is loaded; gives it back if there is none.
    pub fn send_if_loaded(&self, key: K, command: C) -> Result<Option<C>, MailboxFull> {
        let Some(mailbox) = self.mailboxes.get(&key) else { return Ok(Some(command)) };
        match mailbox.try_send(command) {
            Ok(()) => Ok(None),
            Err(TrySendError::Full(_)) => self.full().map(|()| None),
            Err(TrySendError::Closed(command)) => Ok(Some(command)),
        }
    }

    /// Delivers a command to an owner that is loaded; gives it back if the owner has no room for it now. Where there is
    /// none, nothing is to be done.
    pub fn offer(&self, key: K, command: C) -> Result<(), C> {
        let Some(mailbox) = self.mailboxes.get(&key) else { return Ok(()) };
        match mailbox.try_send(command) {
            Err(TrySendError::Full(command)) => Err(command),
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// Takes an owner out if its mailbox is empty; it may end then, and only then.
    pub fn leave(&self, key: K, mailbox: &mpsc::Receiver<C>) -> bool {
        let left = self.mailboxes.remove_if(&key, |_, _| mailbox.is_empty()).is_some();
        if left {
            self.count.fetch_sub(1, Ordering::Relaxed);
            metrics::gauge!("rookery_owners_loaded", "kind" => self.kind).decrement(1.0);
        }
        left
    }

    /// How many are loaded.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn full(&self) -> Result<(), MailboxFull> {
        metrics::counter!("rookery_owner_mailbox_full_total", "kind" => self.kind).increment(1);
        Err(MailboxFull)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_started_once_and_leaves_only_with_an_empty_mailbox() {
        let directory = Directory::new("test", 2);
        let mut receiver = None;
        directory.send(1, "a", |r| receiver = Some(r)).unwrap();
        let mut receiver = receiver.unwrap();
        directory.send(1, "b", |_| panic!("it is loaded")).unwrap();
        assert_eq!(directory.send(1, "c", |_| panic!("it is loaded")), Err(MailboxFull));
        assert_eq!((directory.offer(1, "c"), directory.offer(2, "c")), (Err("c"), Ok(())));
        assert!(!directory.leave(1, &receiver));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok("a"), Ok("b")));
        assert!(directory.leave(1, &receiver));
        assert_eq!(directory.len(), 0);
        assert_eq!(directory.send_if_loaded(1, "d"), Ok(Some("d")));
    }

    #[test]
    fn an_owner_that_was_cut_off_is_replaced() {
        let directory = Directory::new("test", 2);
        directory.send(1, "a", drop).unwrap();
        let mut receiver = None;
        directory.send(1, "b", |r| receiver = Some(r)).unwrap();
        assert_eq!(receiver.unwrap().try_recv(), Ok("b"));
        assert_eq!(directory.len(), 1);
    }
}
