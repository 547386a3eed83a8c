//! What owners here have for sessions whose process is being replaced.
//!
//! A region that restarts on purpose asks for it: from then on nothing is sent, everything is kept in its order, and the
//! next process gets it when it shows the token. What is kept names sessions as owners here know them, so that it does not
//! matter under which numbers they come back. It is bounded: what does not fit ends the sessions instead of being left out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use rookery_model::gateway::SubscriberId;

use super::frame::{Between, ControlForm, write_event};
use crate::gateway::input::Input;
use crate::placement::{ShardEpoch, ShardEpochs};

/// What may be kept for one peer.
pub const PARKED_MAX: Bounds = Bounds { entries: 200_000, bytes: 64 << 20 };
/// What an entry takes besides its event, about.
const ENTRY_BYTES: usize = 96;
/// A user, as [`Between::UserUpdated`] has them, about.
const USER_BYTES: usize = 512;

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub entries: usize,
    pub bytes: usize,
}

/// Something for one session, as it goes to another process.
#[derive(Debug)]
pub enum Word {
    /// An event that others may get too.
    Dispatch(Bytes),
    /// An event for the session alone.
    Own(Bytes),
    Control(ControlForm),
}

impl Word {
    /// Writes it down; none for what concerns only sessions that live here.
    pub fn new(input: Input) -> Option<Self> {
        Some(match input {
            Input::Dispatch(payload) => Self::Dispatch(payload.transit(write_event).clone()),
            Input::Own(event) => Self::Own(write_event(&event)),
            Input::Control(control) => Self::Control(ControlForm::new(control)?),
        })
    }

    fn size_bytes(&self) -> usize {
        match self {
            Self::Dispatch(event) | Self::Own(event) => event.len(),
            Self::Control(_) => ENTRY_BYTES,
        }
    }
}

/// Something that is kept.
#[derive(Debug)]
pub enum ParkedEntry {
    FanOut {
        event: Bytes,
        audience: Arc<[SubscriberId]>,
    },
    To(SubscriberId, Word),
    Between(Between),
    /// Owners began here, or ended.
    Began(Arc<ShardEpochs>),
    Ended(Arc<ShardEpochs>),
}

/// Nothing more may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more happened than is kept")]
pub struct Overflow;

/// Everything that is kept for one peer.
#[derive(Debug)]
pub struct Parked {
    token: u128,
    /// Until when it is kept.
    deadline_ms: u64,
    /// Each with what it was counted as.
    entries: VecDeque<(usize, ParkedEntry)>,
    bytes: usize,
    bounds: Bounds,
    /// The audience of the newest entry that has one: mostly the next has the same, and it takes no more memory then.
    newest_audience: Option<Arc<[SubscriberId]>>,
    /// Signals of sessions by their names: they are registers, and have no place in the order.
    signals: BTreeMap<u128, u8>,
    /// The next process is there: what is kept goes to it, and nothing more is added.
    is_replaying: bool,
}

impl Parked {
    /// Nothing yet.
    pub const fn new(token: u128, deadline_ms: u64, bounds: Bounds) -> Self {
        Self {
            token,
            deadline_ms,
            entries: VecDeque::new(),
            bytes: 0,
            bounds,
            newest_audience: None,
            signals: BTreeMap::new(),
            is_replaying: false,
        }
    }

    /// The process that was to get it ends too: what it did not get is kept for the next.
    pub fn park_again(&mut self, token: u128, deadline_ms: u64) {
        (self.token, self.deadline_ms, self.is_replaying) = (token, deadline_ms, false);
    }

    /// Until when it is kept; none once it is on its way.
    pub fn poll_timeout(&self) -> Option<u64> {
        (!self.is_replaying).then_some(self.deadline_ms)
    }

    /// Whether this token gets it.
    pub const fn is_for(&self, token: u128) -> bool {
        !self.is_replaying && self.token == token
    }

    /// Whether it is on its way to the next process.
    pub const fn is_replaying(&self) -> bool {
        self.is_replaying
    }

    /// Keeps something, behind all that came before.
    pub fn push(&mut self, entry: ParkedEntry) -> Result<(), Overflow> {
        let bytes = self.size_bytes(&entry);
        if self.entries.len() >= self.bounds.entries || self.bytes + bytes > self.bounds.bytes {
            return Err(Overflow);
        }
        self.bytes += bytes;
        if let ParkedEntry::FanOut { audience, .. } = &entry {
            self.newest_audience = Some(Arc::clone(audience));
        }
        self.entries.push_back((bytes, entry));
        Ok(())
    }

    /// Keeps signals of a session.
    pub fn signal(&mut self, session_id: u128, bits: u8) {
        *self.signals.entry(session_id).or_default() |= bits;
    }

    fn size_bytes(&self, entry: &ParkedEntry) -> usize {
        ENTRY_BYTES
            + match entry {
                ParkedEntry::FanOut { event, audience } => {
                    let is_known = self.newest_audience.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, audience));
                    event.len() + if is_known { 0 } else { size_of_val::<[SubscriberId]>(audience) }
                }
                ParkedEntry::To(_, word) => word.size_bytes(),
                ParkedEntry::Between(between) => between_bytes(between),
                ParkedEntry::Began(shards) | ParkedEntry::Ended(shards) => shards.len() * size_of::<ShardEpoch>(),
            }
    }

    /// The next process is there; the signals go to it at once.
    pub fn replay(&mut self) -> BTreeMap<u128, u8> {
        self.is_replaying = true;
        std::mem::take(&mut self.signals)
    }

    /// The next entry for the process that is there.
    pub fn pop(&mut self) -> Option<ParkedEntry> {
        let (bytes, entry) = self.entries.pop_front()?;
        self.bytes -= bytes;
        Some(entry)
    }

    /// How many entries are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

fn between_bytes(between: &Between) -> usize {
    let (event, ids) = match between {
        Between::GuildJoined { user_ids, .. }
        | Between::GuildLeft { user_ids, .. }
        | Between::Lost { user_ids }
        | Between::Mentioned { user_ids, .. } => (0, user_ids.len()),
        Between::Event { event, user_ids } => (event.len(), user_ids.len()),
        Between::Presence { guild_ids, friends, .. } => (USER_BYTES, guild_ids.len() + friends.len()),
        Between::UserUpdated { places, .. } => (USER_BYTES, places.len() * 2),
        Between::Account(_) => (USER_BYTES, 0),
    };
    event + ids * size_of::<u64>()
}

/// Whether the next process does not learn it in another way: presences and accounts are told anew or read.
pub const fn is_to_be_kept(between: &Between) -> bool {
    !matches!(between, Between::Presence { .. } | Between::Account(_))
}

#[cfg(test)]
mod tests {
    use rookery_model::{GuildId, UserId};

    use super::*;

    fn to(id: u64) -> ParkedEntry {
        ParkedEntry::To(SubscriberId(id), Word::Control(ControlForm::GuildJoined(GuildId::new(id))))
    }

    fn fan_out(audience: &Arc<[SubscriberId]>, size: usize) -> ParkedEntry {
        ParkedEntry::FanOut { event: vec![0; size].into(), audience: Arc::clone(audience) }
    }

    fn parked(bounds: Bounds) -> Parked {
        Parked::new(7, 1_000, bounds)
    }

    fn ids(parked: &mut Parked) -> Vec<u64> {
        std::iter::from_fn(|| parked.pop())
            .map(|entry| match entry {
                ParkedEntry::To(id, _) => id.0,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_is_kept_comes_back_in_order_and_only_with_the_token() {
        let mut parked = parked(PARKED_MAX);
        (1..=3).for_each(|id| parked.push(to(id)).unwrap());
        parked.signal(9, 1);
        parked.signal(9, 2);
        assert!(parked.is_for(7) && !parked.is_for(8));
        assert_eq!(parked.poll_timeout(), Some(1_000));
        assert_eq!(parked.replay(), BTreeMap::from([(9, 3)]));
        // It goes to one process, which now has its time.
        assert!(!parked.is_for(7) && parked.poll_timeout().is_none() && parked.is_replaying());
        assert_eq!(ids(&mut parked), [1, 2, 3]);
    }

    #[test]
    fn a_process_that_ends_in_the_middle_leaves_the_rest_to_the_next() {
        let mut parked = parked(PARKED_MAX);
        (1..=3).for_each(|id| parked.push(to(id)).unwrap());
        parked.replay();
        assert!(matches!(parked.pop(), Some(ParkedEntry::To(SubscriberId(1), _))));
        parked.park_again(8, 2_000);
        parked.push(to(4)).unwrap();
        assert!(parked.is_for(8) && !parked.is_for(7));
        assert_eq!(parked.poll_timeout(), Some(2_000));
        parked.replay();
        assert_eq!(ids(&mut parked), [2, 3, 4]);
    }

    #[test]
    fn entries_are_bounded() {
        let mut parked = parked(Bounds { entries: 3, bytes: usize::MAX });
        (1..=3).for_each(|id| parked.push(to(id)).unwrap());
        assert_eq!((parked.push(to(4)), parked.len()), (Err(Overflow), 3));
    }

    #[test]
    fn bytes_are_bounded_and_one_audience_counts_once() {
        let audience: Arc<[SubscriberId]> = (0..1_000).map(SubscriberId).collect();
        let other: Arc<[SubscriberId]> = (0..1_000).map(SubscriberId).collect();
        let bytes = 1_000 * size_of::<SubscriberId>() + 10 * (ENTRY_BYTES + 50);
        let mut parked = parked(Bounds { entries: usize::MAX, bytes });
        for _ in 0..10 {
            parked.push(fan_out(&audience, 50)).unwrap();
        }
        assert_eq!(parked.push(fan_out(&audience, 50)), Err(Overflow));
        let mut both = Parked::new(7, 0, Bounds { entries: usize::MAX, bytes });
        both.push(fan_out(&audience, 50)).unwrap();
        assert_eq!(both.push(fan_out(&other, 50)), Err(Overflow));
        let users = Between::Lost { user_ids: vec![UserId::new(1); 2_000] };
        assert_eq!(both.push(ParkedEntry::Between(users)), Err(Overflow));
        // What did not fit is not counted.
        both.push(ParkedEntry::Between(Between::Lost { user_ids: vec![UserId::new(1)] })).unwrap();
    }
}
