//! What is remembered for minutes and in memory only: nonces of messages, when members last wrote, and what was deleted.

use std::collections::{HashMap, HashSet, VecDeque};

use rookery_model::message::{Message, Nonce};
use rookery_model::{ChannelId, MessageId, Timestamp, UserId};

/// How long a nonce with `enforce_nonce` stands for its message.
const NONCE_AGE_MAX_US: i64 = 5 * 60 * 1_000_000;
const NONCES_MAX: usize = 10_000;
/// Entries after which those that no slowmode can ask for are swept out.
const WRITERS_SWEEP: usize = 10_000;
const SLOWMODE_MAX_US: i64 = rookery_model::limits::SLOWMODE_MAX_SECONDS as i64 * 1_000_000;

/// Deletions remembered: many more than can be decided while a command waits for the rows that it needs.
const DELETED_MAX: usize = 4_096;

type NonceKey = (UserId, ChannelId, Nonce);

/// The short memory of a guild.
#[derive(Default)]
pub(crate) struct Recent {
    nonces: HashMap<NonceKey, (Timestamp, Message)>,
    nonce_order: VecDeque<(Timestamp, NonceKey)>,
    last_written: HashMap<(ChannelId, UserId), Timestamp>,
    /// Size at which the next sweep is due.
    sweep_at: usize,
    deleted: HashSet<MessageId>,
    deleted_order: VecDeque<MessageId>,
}

impl Recent {
    /// The message that the author sent with this nonce a few minutes ago at most.
    pub fn by_nonce(&self, now: Timestamp, author: UserId, channel: ChannelId, nonce: &Nonce) -> Option<&Message> {
        let (at, message) = self.nonces.get(&(author, channel, nonce.clone()))?;
        is_within(now, *at, NONCE_AGE_MAX_US).then_some(message)
    }

    /// Remembers a message by its nonce.
    pub fn note_nonce(&mut self, now: Timestamp, nonce: Nonce, message: &Message) {
        let key = (message.author.id, message.channel_id, nonce);
        self.nonce_order.push_back((now, key.clone()));
        self.nonces.insert(key, (now, message.clone()));
        while let Some((at, key)) = self.nonce_order.front() {
            if self.nonce_order.len() <= NONCES_MAX && is_within(now, *at, NONCE_AGE_MAX_US) {
                break;
            }
            // The same nonce may have been used anew since: that entry stays until its own turn.
            if self.nonces.get(key).is_some_and(|(noted, _)| noted == at) {
                self.nonces.remove(key);
            }
            self.nonce_order.pop_front();
        }
    }

    /// Seconds that the member has to wait for, if any.
    pub fn slowmode_wait_seconds(
        &self,
        now: Timestamp,
        channel: ChannelId,
        author: UserId,
        interval_seconds: u32,
    ) -> Option<f64> {
        let last = self.last_written.get(&(channel, author))?;
        let interval_us = i64::from(interval_seconds) * 1_000_000;
        let wait_us = last.0 + interval_us - now.0;
        // Longer than the interval: it was noted before the clock was set back, and holds nobody up. Rounded up to
        // milliseconds: whoever waits as told is let in.
        (1..=interval_us).contains(&wait_us).then(|| (wait_us as f64 / 1_000.0).ceil() / 1_000.0)
    }

    /// Notes that a member wrote in a channel with slowmode.
    pub fn note_written(&mut self, now: Timestamp, channel: ChannelId, author: UserId) {
        self.last_written.insert((channel, author), now);
        if self.last_written.len() >= self.sweep_at.max(WRITERS_SWEEP) {
            self.last_written.retain(|_, at| is_within(now, *at, SLOWMODE_MAX_US));
            self.sweep_at = self.last_written.len() * 2;
        }
    }

    /// Notes that a message is gone.
    pub fn note_deleted(&mut self, id: MessageId) {
        if self.deleted.insert(id) {
            self.deleted_order.push_back(id);
        }
        if self.deleted_order.len() > DELETED_MAX
            && let Some(oldest) = self.deleted_order.pop_front()
        {
            self.deleted.remove(&oldest);
        }
    }

    /// Whether a message is gone, though a row that was read before may still show it.
    pub fn is_deleted(&self, id: MessageId) -> bool {
        self.deleted.contains(&id)
    }
}

/// Whether something was noted no longer ago than this; a little ahead of a clock that was set back is as good.
const fn is_within(now: Timestamp, at: Timestamp, age_max_us: i64) -> bool {
    (now.0 - at.0).abs() <= age_max_us
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_holds_nobody_up() {
        let mut recent = Recent::default();
        let (channel, author) = (ChannelId::new(1), UserId::new(2));
        let (noon, eleven) = (Timestamp(12 * 3_600_000_000), Timestamp(11 * 3_600_000_000));
        recent.note_written(noon, channel, author);
        assert_eq!(recent.slowmode_wait_seconds(noon, channel, author, 5), Some(5.0));
        assert_eq!(recent.slowmode_wait_seconds(eleven, channel, author, 5), None);
        recent.note_written(eleven, channel, author);
        assert_eq!(recent.slowmode_wait_seconds(eleven, channel, author, 5), Some(5.0));
    }

    #[test]
    fn the_newest_deletions_are_remembered() {
        let mut recent = Recent::default();
        let last = DELETED_MAX as u64 + 10;
        for id in 1..=last {
            recent.note_deleted(MessageId::new(id));
            recent.note_deleted(MessageId::new(id));
        }
        assert!(recent.is_deleted(MessageId::new(last)) && recent.is_deleted(MessageId::new(11)));
        assert!(!recent.is_deleted(MessageId::new(10)) && !recent.is_deleted(MessageId::new(last + 1)));
        assert_eq!((recent.deleted.len(), recent.deleted_order.len()), (DELETED_MAX, DELETED_MAX));
    }

    #[test]
    fn slowmode_waits_to_the_millisecond() {
        let mut recent = Recent::default();
        let (channel, author) = (ChannelId::new(1), UserId::new(2));
        recent.note_written(Timestamp(0), channel, author);
        assert_eq!(recent.slowmode_wait_seconds(Timestamp(1_000_500), channel, author, 5), Some(4.0));
        assert_eq!(recent.slowmode_wait_seconds(Timestamp(5_000_000), channel, author, 5), None);
        assert_eq!(recent.slowmode_wait_seconds(Timestamp(1), channel, UserId::new(3), 5), None);
    }
}
