//! Messages for a client: those that wait, and those that RESUME may bring back.

use rookery_model::voice::VoiceVersion;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::VoiceConfig;
use crate::payload::Payload;

/// Numbers on the wire go from 1 to this and begin anew. There is no 0, which @discordjs/voice takes for no number.
const WIRE_NUMBERS: u64 = 65_535;

/// The number that a message has on the wire; 0 before the first.
const fn wire(number: u64) -> u16 {
    if number == 0 { 0 } else { ((number - 1) % WIRE_NUMBERS) as u16 + 1 }
}

/// Why RESUME cannot go on where the client stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotKept;

/// The newest messages of a session, in order, numbered without gaps.
pub(crate) struct Outbox {
    version: VoiceVersion,
    /// The number of the oldest that is kept, or of the next one.
    first: u64,
    messages: VecDeque<Arc<Payload>>,
    bytes: usize,
    /// The first that was not given to the connection yet.
    next: u64,
    /// The newest that any connection was given.
    sent_max: u64,
    unsent_bytes: usize,
    /// Up to here messages waited when the connection took over; they do not count as its backlog.
    exempt_until: u64,
}

impl Outbox {
    pub(crate) const fn new(version: VoiceVersion) -> Self {
        Self {
            version,
            first: 1,
            messages: VecDeque::new(),
            bytes: 0,
            next: 1,
            sent_max: 0,
            unsent_bytes: 0,
            exempt_until: 0,
        }
    }

    fn last(&self) -> u64 {
        self.first + self.messages.len() as u64 - 1
    }
    /// Whether more waits than a client that reads would leave.
    pub(crate) fn is_overfull(&self, config: &VoiceConfig) -> bool {
        let unsent = self.last() - (self.next - 1).max(self.exempt_until).min(self.last());
        unsent > config.unsent_max_events as u64 || self.unsent_bytes > config.unsent_max_bytes
    }

    /// Appends a message. While nobody reads, the oldest make room; else only those that were sent.
    pub(crate) fn push(&mut self, payload: Arc<Payload>, config: &VoiceConfig, is_attached: bool) {
        if !is_attached && !self.version.is_numbered() {
            // It would never be sent: these versions resume without replay.
            return;
        }
        self.bytes += payload.len();
        self.unsent_bytes += payload.len();
        self.messages.push_back(payload);
        let keep_from = if is_attached { self.next } else { u64::MAX };
        while self.first < keep_from
            && (self.messages.len() > config.replay_max_events || self.bytes > config.replay_max_bytes)
            && self.pop().is_some()
        {}
        self.next = self.next.max(self.first);
    }

    /// The next message to send, with its number.
    pub(crate) fn take(&mut self) -> Option<(Arc<Payload>, u16)> {
        let number = self.next;
        let payload = Arc::clone(self.get(number)?);
        self.next += 1;
        self.sent_max = self.sent_max.max(number);
        if number > self.exempt_until {
            self.unsent_bytes = self.unsent_bytes.saturating_sub(payload.len());
        }
        if !self.version.is_numbered() {
            self.pop();
        }
        Some((payload, wire(number)))
    }

    /// Drops what the client received.
    pub(crate) fn acknowledge(&mut self, seq: u16) {
        if let Some(number) = self.number(seq).filter(|number| *number < self.next) {
            while self.first <= number && self.pop().is_some() {}
        }
        if self.messages.is_empty() && self.messages.capacity() > 16 {
            self.messages = VecDeque::new();
        }
    }

    /// The connection is gone.
    pub(crate) fn detach(&mut self) {
        self.unsent_bytes = 0;
        if !self.version.is_numbered() {
            self.first += self.messages.len() as u64;
            self.next = self.first;
            self.messages = VecDeque::new();
            self.bytes = 0;
        }
    }

    /// Goes on behind the last message that the client received.
    pub(crate) fn resume(&mut self, seq_ack: Option<u16>) -> Result<(), NotKept> {
        if self.version.is_numbered() {
            // Some clients count from 0 rather than from -1.
            let received = match seq_ack.filter(|seq| *seq != 0) {
                None if self.first == 1 => 0,
                None => return Err(NotKept),
                Some(seq) => self.number(seq).ok_or(NotKept)?,
            };
            if received > self.sent_max {
                return Err(NotKept);
            }
            self.next = received + 1;
        } else {
            self.next = self.first;
        }
        self.exempt_until = self.last();
        self.unsent_bytes = 0;
        Ok(())
    }

    /// Forgets everything, as when the session is over.
    pub(crate) fn clear(&mut self) {
        self.first += self.messages.len() as u64;
        self.next = self.first;
        self.messages = VecDeque::new();
        (self.bytes, self.unsent_bytes) = (0, 0);
    }

    /// The number that one on the wire stands for: of those that are kept, or of the one before them.
    fn number(&self, seq: u16) -> Option<u64> {
        let before = self.first - 1;
        let offset = (u64::from(seq) + WIRE_NUMBERS - before % WIRE_NUMBERS) % WIRE_NUMBERS;
        let number = before + offset;
        (number <= self.last() && wire(number) == seq).then_some(number)
    }
    fn get(&self, number: u64) -> Option<&Arc<Payload>> {
        self.messages.get(usize::try_from(number.checked_sub(self.first)?).ok()?)
    }
    fn pop(&mut self) -> Option<Arc<Payload>> {
        let payload = self.messages.pop_front()?;
        self.first += 1;
        self.bytes -= payload.len();
        Some(payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::ServerEvent;
    use rookery_model::UserId;
    use rookery_model::voice::ClientDisconnect;

    fn message() -> Arc<Payload> {
        Payload::new(&ServerEvent::ClientDisconnect(ClientDisconnect { user_id: UserId::new(1) }))
    }
    fn config() -> VoiceConfig {
        VoiceConfig { replay_max_events: 10, unsent_max_events: 5, ..VoiceConfig::default() }
    }

    #[test]
    fn numbers_begin_anew_without_a_zero() {
        let mut outbox = Outbox::new(VoiceVersion::V8);
        let mut seqs = Vec::new();
        for _ in 0..65_600 {
            outbox.push(message(), &config(), true);
            seqs.push(outbox.take().expect("one waits").1);
        }
        assert_eq!((seqs[0], seqs[65_534], seqs[65_535]), (1, 65_535, 1));
        assert!(!seqs.contains(&0));
        // Across the seam: 10 are kept, the last is 65 (of the second round).
        assert_eq!(outbox.last(), 65_600);
        assert_eq!(outbox.resume(Some(55)), Ok(()));
        assert_eq!(outbox.take().expect("one waits").1, 56);
        assert_eq!(outbox.resume(Some(54)), Err(NotKept));
        assert_eq!(outbox.resume(Some(66)), Err(NotKept), "never sent");
        assert_eq!(outbox.resume(None), Err(NotKept));
    }

    #[test]
    fn at_the_seam_itself_the_right_round_is_meant() {
        let mut outbox = Outbox::new(VoiceVersion::V8);
        for _ in 0..65_538 {
            outbox.push(message(), &config(), true);
            outbox.take();
        }
        for (seq, next) in [(65_534, 65_535), (65_535, 1), (1, 2), (2, 3)] {
            assert_eq!(outbox.resume(Some(seq)), Ok(()), "{seq}");
            assert_eq!(outbox.take().expect("one waits").1, next);
        }
        outbox.acknowledge(65_535);
        assert_eq!(outbox.first, 65_536);
        assert_eq!(outbox.resume(Some(65_535)), Ok(()), "the one before those that are kept");
    }

    #[test]
    fn nothing_received_yet_is_65535_for_nobody() {
        let mut outbox = Outbox::new(VoiceVersion::V8);
        outbox.push(message(), &config(), true);
        outbox.take();
        for seq in [None, Some(0)] {
            assert_eq!(outbox.resume(seq), Ok(()));
            assert_eq!(outbox.take().expect("one waits").1, 1);
        }
        assert_eq!(outbox.resume(Some(65_535)), Err(NotKept));
    }

    #[test]
    fn what_a_reader_still_waits_for_stays_beyond_the_bounds_and_counts_as_backlog() {
        let mut outbox = Outbox::new(VoiceVersion::V8);
        for n in 0..12 {
            assert_eq!(outbox.is_overfull(&config()), n > 5);
            outbox.push(message(), &config(), true);
        }
        assert_eq!((outbox.first, outbox.last()), (1, 12));
        outbox.detach();
        outbox.push(message(), &config(), false);
        assert_eq!((outbox.first, outbox.last()), (4, 13));
        assert_eq!(outbox.resume(None), Err(NotKept), "the first ones are gone");
    }

    #[test]
    fn acknowledging_what_was_not_sent_drops_nothing() {
        let mut outbox = Outbox::new(VoiceVersion::V8);
        (0..4).for_each(|_| outbox.push(message(), &config(), true));
        outbox.take();
        outbox.acknowledge(3);
        assert_eq!(outbox.first, 1);
        outbox.acknowledge(1);
        assert_eq!(outbox.first, 2);
        outbox.acknowledge(40_000);
        assert_eq!(outbox.first, 2);
    }

    #[test]
    fn older_versions_keep_nothing() {
        let mut outbox = Outbox::new(VoiceVersion::V4);
        (0..4).for_each(|_| outbox.push(message(), &config(), true));
        outbox.take();
        assert_eq!(outbox.messages.len(), 3);
        outbox.detach();
        outbox.push(message(), &config(), false);
        assert!(outbox.messages.is_empty());
        assert_eq!(outbox.resume(None), Ok(()));
        assert!(outbox.take().is_none());
        outbox.push(message(), &config(), true);
        assert!(outbox.take().is_some());
    }
}
