//! What arrives of a stream: its order, its losses and its jitter (RFC 3550, appendix A).

use crate::rewrite::newer;

/// A number so far ahead begins a new stream (about a minute of audio).
const AHEAD_MAX: u16 = 3_000;
/// A number so far behind does too.
const BEHIND_MAX: u16 = 400;

/// How a packet lies to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    First,
    Ahead,
    Late,
    /// Far from everything, for the first time.
    OutOfRange,
    /// The second in a row from a new place: the sender began anew.
    Restarted,
}

/// Counts of one stream as its receiver sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reception {
    started: bool,
    highest: u16,
    /// Packets that came, and those that should have.
    received: u64,
    octets: u64,
    expected: u64,
    /// Of the streams before the last restart.
    restarted_from: Option<u16>,
    /// In units of the timestamp, times 16.
    jitter_q4: u32,
    transit: u32,
}

/// Losses and jitter of what somebody sends, as it arrives here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceptionStats {
    pub packets: u64,
    pub octets: u64,
    /// Expected but never seen; late ones are not lost.
    pub lost: u64,
    /// As RFC 3550, section 6.4.1 smooths it.
    pub jitter_us: u64,
}

impl Reception {
    /// Notes a packet; `clock_hz` is its timestamp's.
    pub(crate) fn note(&mut self, now_us: u64, sequence: u16, timestamp: u32, octets: u16, clock_hz: u32) -> Arrival {
        let arrival = self.place(sequence);
        if arrival == Arrival::OutOfRange {
            return arrival;
        }
        self.received += 1;
        self.octets += u64::from(octets);
        self.note_transit(now_us, timestamp, clock_hz, matches!(arrival, Arrival::First | Arrival::Restarted));
        arrival
    }

    fn place(&mut self, sequence: u16) -> Arrival {
        if !self.started {
            self.started = true;
            self.highest = sequence;
            self.expected = 1;
            return Arrival::First;
        }
        let ahead = sequence.wrapping_sub(self.highest);
        if newer(sequence, self.highest) && ahead <= AHEAD_MAX {
            self.expected += u64::from(ahead);
            self.highest = sequence;
            self.restarted_from = None;
            return Arrival::Ahead;
        }
        if self.highest.wrapping_sub(sequence) <= BEHIND_MAX {
            return Arrival::Late;
        }
        if self.restarted_from == Some(sequence) {
            self.restarted_from = None;
            self.highest = sequence;
            self.expected += 1;
            return Arrival::Restarted;
        }
        self.restarted_from = Some(sequence.wrapping_add(1));
        Arrival::OutOfRange
    }

    fn note_transit(&mut self, now_us: u64, timestamp: u32, clock_hz: u32, first: bool) {
        let transit = to_clock(now_us, clock_hz).wrapping_sub(timestamp);
        let distance = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        // A jump of more than ten seconds is another clock, not jitter.
        if !first && distance < clock_hz.saturating_mul(10) {
            self.jitter_q4 = self.jitter_q4 + distance - ((self.jitter_q4 + 8) >> 4);
        }
    }

    pub(crate) fn stats(&self, clock_hz: u32) -> ReceptionStats {
        ReceptionStats {
            packets: self.received,
            octets: self.octets,
            lost: self.expected.saturating_sub(self.received),
            jitter_us: u64::from(self.jitter_q4 >> 4) * 1_000_000 / u64::from(clock_hz.max(1)),
        }
    }
}

/// A moment in ticks of a clock, on a circle.
pub(crate) const fn to_clock(now_us: u64, clock_hz: u32) -> u32 {
    // In two steps, for microseconds times hertz do not fit for long.
    let seconds = now_us / 1_000_000;
    let rest = now_us % 1_000_000;
    (seconds.wrapping_mul(clock_hz as u64)).wrapping_add(rest * clock_hz as u64 / 1_000_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(reception: &mut Reception, at_ms: u64, sequence: u16) -> Arrival {
        reception.note(at_ms * 1_000, sequence, u32::from(sequence) * 960, 100, 48_000)
    }

    #[test]
    fn losses_are_what_was_expected_and_never_came() {
        let mut reception = Reception::default();
        for sequence in [65_533, 65_534, 1, 2, 0] {
            note(&mut reception, 0, sequence);
        }
        assert_eq!(reception.stats(48_000).lost, 1);
    }

    #[test]
    fn an_even_stream_has_no_jitter_and_an_uneven_one_has() {
        let (mut even, mut uneven) = (Reception::default(), Reception::default());
        for sequence in 0..400_u16 {
            note(&mut even, u64::from(sequence) * 20, sequence);
            note(&mut uneven, u64::from(sequence) * 20 + u64::from(sequence % 2) * 8, sequence);
        }
        assert_eq!(even.stats(48_000).jitter_us, 0);
        let jitter_us = uneven.stats(48_000).jitter_us;
        assert!((7_000..=8_000).contains(&jitter_us), "{jitter_us}");
    }

    #[test]
    fn one_stray_number_changes_nothing_and_two_in_a_row_begin_anew() {
        let mut reception = Reception::default();
        note(&mut reception, 0, 100);
        assert_eq!(note(&mut reception, 20, 40_000), Arrival::OutOfRange);
        assert_eq!(note(&mut reception, 40, 101), Arrival::Ahead);
        assert_eq!(note(&mut reception, 60, 40_001), Arrival::OutOfRange);
        assert_eq!(note(&mut reception, 80, 40_002), Arrival::Restarted);
        assert_eq!(note(&mut reception, 100, 40_003), Arrival::Ahead);
    }
}
