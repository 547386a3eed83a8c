//! Packets sent together, and how much further apart two such groups arrived than they were sent.

/// Packets sent within this time are one group.
const BURST_US: u64 = 5_000;
/// A group that arrives so much later than the one before tells of a pause, not of a queue.
const PAUSE_US: u64 = 3_000_000;

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent_us: u64,
    last_sent_us: u64,
    last_arrived_us: u64,
}

/// Two groups compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Delta {
    pub arrived_us: u64,
    pub sent_delta_us: f64,
    /// By how much the second one was delayed more than the first.
    pub delay_us: f64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    before: Option<Group>,
    current: Option<Group>,
}

impl Groups {
    /// Notes a packet that arrived; a comparison when it begins a new group and two are complete.
    pub(super) fn note(&mut self, sent_us: u64, arrived_us: u64) -> Option<Delta> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::begin(sent_us, arrived_us));
            return None;
        };
        if sent_us < current.first_sent_us {
            return None;
        }
        if arrived_us.saturating_sub(current.last_arrived_us) > PAUSE_US {
            *self = Self { before: None, current: Some(Group::begin(sent_us, arrived_us)) };
            return None;
        }
        if current.takes(sent_us, arrived_us) {
            current.last_sent_us = current.last_sent_us.max(sent_us);
            current.last_arrived_us = current.last_arrived_us.max(arrived_us);
            return None;
        }
        let complete = *current;
        let before = self.before.replace(complete);
        self.current = Some(Group::begin(sent_us, arrived_us));
        before.map(|before| {
            let sent_delta_us = complete.last_sent_us as f64 - before.last_sent_us as f64;
            let arrived_delta_us = complete.last_arrived_us as f64 - before.last_arrived_us as f64;
            Delta { arrived_us: complete.last_arrived_us, sent_delta_us, delay_us: arrived_delta_us - sent_delta_us }
        })
    }
}

impl Group {
    const fn begin(sent_us: u64, arrived_us: u64) -> Self {
        Self { first_sent_us: sent_us, last_sent_us: sent_us, last_arrived_us: arrived_us }
    }

    fn takes(&self, sent_us: u64, arrived_us: u64) -> bool {
        if sent_us - self.first_sent_us <= BURST_US {
            return true;
        }
        // What a queue let go at once belongs together, whenever it was sent.
        let arrived_delta = arrived_us as i64 - self.last_arrived_us as i64;
        let sent_delta = sent_us as i64 - self.last_sent_us as i64;
        arrived_delta < sent_delta
            && (0..=BURST_US as i64).contains(&arrived_delta)
            && sent_us - self.first_sent_us < 100_000
    }
}
