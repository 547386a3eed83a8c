//! What a session keeps to send again.

use bytes::Bytes;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::freeze::ThawedPayload;
use crate::params::Encoding;
use crate::payload::{Body, Exposure, Payload};

/// How long somebody is typing, for who looks at it.
const EPHEMERAL_FOR_S: u16 = 10;

/// A time as [`Stored::Shared`] keeps it.
pub(crate) const fn seconds(now_ms: u64) -> u16 {
    (now_ms / 1_000) as u16
}

/// An event that has a sequence number.
pub(crate) enum Stored {
    Shared {
        payload: Arc<Payload>,
        exposure: Exposure,
        /// What it counts against the bounds.
        bytes: u32,
        /// When it came, in seconds that begin anew every 18 hours.
        at_s: u16,
    },
    /// Shared among sessions that were frozen together.
    Thawed(Arc<ThawedPayload>),
    Own(Box<Own>),
}

/// An event of this session alone: only what was sent is kept.
pub(crate) struct Own {
    pub(crate) name: Cow<'static, str>,
    pub(crate) encoding: Encoding,
    pub(crate) data: Bytes,
}

impl Stored {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Shared { bytes, .. } => *bytes as usize,
            Self::Thawed(thawed) => thawed.form.plain().len(),
            Self::Own(own) => own.data.len(),
        }
    }
    /// Whether it is this session's alone.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Shared { payload, .. } => payload.name(),
            Self::Thawed(thawed) => &thawed.name,
            Self::Own(own) => &own.name,
        }
    }
    pub(crate) fn body(&self, encoding: Encoding) -> Body<'_> {
        match self {
            Self::Shared { payload, exposure, .. } => Body::Shared(payload.form(encoding, *exposure)),
            // Whoever sends it has seen to the encoding.
            Self::Thawed(thawed) => Body::Shared(&thawed.form),
            Self::Own(own) => Body::Own(&own.data),
        }
    }
    /// Whether it tells of a moment only.
    fn is_ephemeral(&self) -> bool {
        match self {
            Self::Shared { payload, .. } => payload.event().is_ephemeral(),
            Self::Thawed(thawed) => thawed.ephemeral,
            Self::Own(_) => false,
        }
    }
    /// Whether that moment is over.
    pub(crate) fn is_stale(&self, now_ms: u64) -> bool {
        match self {
            Self::Shared { at_s, .. } => self.is_ephemeral() && seconds(now_ms).wrapping_sub(*at_s) > EPHEMERAL_FOR_S,
            Self::Thawed(_) | Self::Own(_) => false,
        }
    }
    fn can_be_written_as(&self, encoding: Encoding) -> bool {
        match self {
            Self::Shared { .. } => true,
            Self::Thawed(thawed) => thawed.encoding == encoding,
            Self::Own(own) => own.encoding == encoding,
        }
    }
}

/// The newest events of a session, in order, numbered without gaps.
pub(crate) struct Replay {
    first_seq: u64,
    events: VecDeque<Stored>,
    bytes: usize,
}

impl Replay {
    pub(crate) const fn new() -> Self {
        Self::starting_at(1)
    }
    /// Without events; the first gets this number.
    pub(crate) const fn starting_at(first_seq: u64) -> Self {
        Self { first_seq, events: VecDeque::new(), bytes: 0 }
    }
    pub(crate) fn events(&self) -> impl Iterator<Item = &Stored> {
        self.events.iter()
    }
    /// The number of the newest event, 0 before the first.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + self.events.len() as u64 - 1
    }
    /// The number of the oldest event kept, or of the next one.
    pub(crate) const fn first_seq(&self) -> u64 {
        self.first_seq
    }
    /// See [`Session::touch`](crate::Session::touch).
    pub(crate) fn touch(&self) -> u64 {
        self.first_seq ^ self.events.back().map_or(0, |event| u64::from(event.is_own()))
    }
    pub(crate) fn get(&self, seq: u64) -> Option<&Stored> {
        let place = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        self.events.get(place)
    }
    /// Whether everything after this number that may not be lost is here, in a form that the encoding can carry.
    pub(crate) fn covers(&self, seq: u64, encoding: Encoding) -> bool {
        let Some(skip) = seq.saturating_add(1).checked_sub(self.first_seq) else { return false };
        self.events.iter().skip(skip as usize).all(|e| e.is_ephemeral() || e.can_be_written_as(encoding))
    }

    /// Appends an event and drops the oldest beyond the bounds, but none from `keep_from` on.
    pub(crate) fn push(&mut self, event: Stored, max_events: usize, max_bytes: usize, keep_from: u64) {
        self.bytes += event.bytes();
        self.events.push_back(event);
        while self.first_seq < keep_from && (self.events.len() > max_events || self.bytes > max_bytes) {
            if self.pop().is_none() {
                break;
            }
        }
    }

    /// Drops what the client has received: all but the newest `keep`, and whatever is this session's alone, because
    /// nobody shares the memory of that.
    pub(crate) fn acknowledge(&mut self, seq: u64, keep: usize) {
        let acknowledged = seq.saturating_add(1).saturating_sub(self.first_seq).min(self.events.len() as u64) as usize;
        let own = self.events.iter().take(acknowledged).rposition(|e| matches!(e, Stored::Own(_)));
        let drop = acknowledged.saturating_sub(keep).max(own.map_or(0, |place| place + 1));
        for _ in 0..drop {
            self.pop();
        }
        if drop > 0 && self.events.capacity() > 2 * self.events.len() + 8 {
            self.events.shrink_to_fit();
        }
    }

    /// Takes one out: the numbers of all that follow are one less. Nobody may rely on them yet.
    pub(crate) fn remove(&mut self, seq: u64) -> Option<Stored> {
        let place = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        let event = self.events.remove(place)?;
        self.bytes -= event.bytes();
        Some(event)
    }

    /// Takes out what told of a moment, of all after this number.
    pub(crate) fn remove_ephemeral_after(&mut self, seq: u64) {
        let mut place = self.first_seq;
        let bytes = &mut self.bytes;
        self.events.retain(|event| {
            let keep = place <= seq || !event.is_ephemeral();
            place += 1;
            if !keep {
                *bytes -= event.bytes();
            }
            keep
        });
    }

    /// Forgets everything and gives the memory back; the numbers go on.
    pub(crate) fn clear(&mut self) {
        self.first_seq += self.events.len() as u64;
        self.events = VecDeque::new();
        self.bytes = 0;
    }

    fn pop(&mut self) -> Option<Stored> {
        let event = self.events.pop_front()?;
        self.first_seq += 1;
        self.bytes -= event.bytes();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(bytes: usize) -> Stored {
        Stored::Own(Box::new(Own { name: "READY".into(), encoding: Encoding::Json, data: vec![0; bytes].into() }))
    }
    fn shared() -> Stored {
        let payload = Payload::new(rookery_model::gateway::Event::Resumed);
        Stored::Shared { payload, exposure: Exposure::Full, bytes: 2, at_s: 0 }
    }

    #[test]
    fn bounds_by_count_and_bytes() {
        let mut replay = Replay::new();
        (0..5).for_each(|_| replay.push(own(10), 3, 1_000, u64::MAX));
        assert_eq!((replay.first_seq(), replay.last_seq()), (3, 5));
        replay.push(own(985), 3, 1_000, u64::MAX);
        assert_eq!((replay.first_seq(), replay.last_seq(), replay.bytes), (5, 6, 995));
        replay.push(own(2_000), 3, 1_000, u64::MAX);
        assert_eq!((replay.first_seq(), replay.last_seq(), replay.bytes), (8, 7, 0));
        assert!(replay.covers(7, Encoding::Json) && !replay.covers(6, Encoding::Json));
    }

    #[test]
    fn what_is_still_to_be_sent_stays_beyond_the_bounds() {
        let mut replay = Replay::new();
        (0..5).for_each(|_| replay.push(own(400), 3, 1_000, 2));
        assert_eq!((replay.first_seq(), replay.last_seq()), (2, 5));
        replay.push(own(400), 3, 1_000, 6);
        assert_eq!((replay.first_seq(), replay.last_seq()), (5, 6));
    }

    #[test]
    fn acknowledging_drops_own_events_and_keeps_some_shared_ones() {
        let mut replay = Replay::new();
        replay.push(own(10), 100, 1_000, u64::MAX);
        (0..10).for_each(|_| replay.push(shared(), 100, 1_000, u64::MAX));
        replay.acknowledge(0, 4);
        assert_eq!(replay.first_seq(), 1);
        replay.acknowledge(3, 4);
        assert_eq!(replay.first_seq(), 2);
        replay.acknowledge(8, 4);
        assert_eq!(replay.first_seq(), 5);
        replay.acknowledge(99, 4);
        assert_eq!((replay.first_seq(), replay.last_seq(), replay.bytes), (8, 11, 8));
    }

    #[test]
    fn own_events_cannot_change_their_encoding() {
        let mut replay = Replay::new();
        replay.push(own(10), 100, 1_000, u64::MAX);
        replay.push(shared(), 100, 1_000, u64::MAX);
        assert!(!replay.covers(0, Encoding::Etf));
        assert!(replay.covers(1, Encoding::Etf));
    }
}
