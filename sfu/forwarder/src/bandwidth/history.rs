//! Transport-wide sequence numbers and when they were sent, so that a receiver's report about them means something.

use super::PacketReport;

/// Numbers that are remembered. At 8 Mbit/s, half a second and more.
const HISTORY: usize = 512;

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    /// In microseconds, on a circle of 71 minutes.
    sent_us: u32,
    length_bytes: u16,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unknown,
    Sent,
    SentAsProbe,
}

/// What was sent to one receiver, by transport-wide sequence number.
#[derive(Clone, Debug)]
pub struct SendHistory {
    sent: Box<[Sent; HISTORY]>,
    next: u16,
}

impl Default for SendHistory {
    fn default() -> Self {
        Self { sent: Box::new([Sent::default(); HISTORY]), next: 0 }
    }
}

impl SendHistory {
    /// Numbers a packet that is sent now.
    pub fn push(&mut self, now_us: u64, length_bytes: u16, probe: bool) -> u16 {
        let number = self.next;
        let state = if probe { State::SentAsProbe } else { State::Sent };
        self.sent[usize::from(number) % HISTORY] = Sent { sent_us: now_us as u32, length_bytes, state };
        self.next = number.wrapping_add(1);
        number
    }

    /// A packet was not sent after all: that it does not arrive says nothing.
    pub fn forget(&mut self, number: u16) {
        let age = self.next.wrapping_sub(number);
        if age != 0 && usize::from(age) <= HISTORY {
            self.sent[usize::from(number) % HISTORY].state = State::Unknown;
        }
    }

    /// What is known of a packet that a receiver reports; each is reported once, and arrival after a loss counts as nothing.
    pub fn take(&mut self, now_us: u64, number: u16, arrived_us: Option<u64>) -> Option<PacketReport> {
        let age = self.next.wrapping_sub(number);
        if age == 0 || usize::from(age) > HISTORY {
            return None;
        }
        let sent = &mut self.sent[usize::from(number) % HISTORY];
        let state = std::mem::take(&mut sent.state);
        if state == State::Unknown {
            return None;
        }
        Some(PacketReport {
            sent_us: now_us.checked_sub(u64::from((now_us as u32).wrapping_sub(sent.sent_us)))?,
            arrived_us,
            length_bytes: u32::from(sent.length_bytes),
            probe: state == State::SentAsProbe,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_sent_is_not_missed() {
        let mut history = SendHistory::default();
        let (kept, unsent) = (history.push(1_000, 100, false), history.push(1_000, 100, false));
        history.forget(unsent);
        history.forget(unsent.wrapping_add(1));
        assert_eq!(history.take(2_000, unsent, None), None);
        assert!(history.take(2_000, kept, Some(1_500)).is_some());
    }

    #[test]
    fn a_report_is_matched_once_and_only_while_it_is_remembered() {
        let mut history = SendHistory::default();
        let first = history.push(1_000, 100, false);
        assert_eq!(
            history.take(9_000, first, Some(77)),
            Some(PacketReport { sent_us: 1_000, arrived_us: Some(77), length_bytes: 100, probe: false })
        );
        assert_eq!(history.take(9_000, first, Some(77)), None);
        assert_eq!(history.take(9_000, first.wrapping_add(1), Some(77)), None, "not sent yet");
        let old = history.push(1_000, 100, false);
        for _ in 0..HISTORY {
            history.push(2_000, 100, false);
        }
        assert_eq!(history.take(9_000, old, Some(77)), None);
    }

    #[test]
    fn times_are_right_after_the_circle_has_turned() {
        let mut history = SendHistory::default();
        let turned_us = u64::from(u32::MAX) + 500;
        let number = history.push(turned_us - 1_000, 1, true);
        let report = history.take(turned_us + 5, number, None).unwrap();
        assert_eq!((report.sent_us, report.probe), (turned_us - 1_000, true));
    }
}
