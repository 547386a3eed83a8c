//! How it is seen, without comparing clocks, that a lease is over.
//!
//! Every renewal changes the row. Whoever saw a renewal at some moment by its own clock, in the row or because its holder
//! spoke of it, knows that it began before that; if the row is still the same when a lease, a write and the slack have
//! gone by, the holder stopped by its own clock, and all its writes have ended. Walls clocks may say what they like.
//!
//! Then the row is *ended* by compare-and-set, which fails if the holder renewed it after all. From then on the holder
//! cannot renew it, and that the incarnation is over is a fact that anybody can read.

use rookery_model::Timestamp;
use rookery_model::lease::WorkerLease;

use crate::Marks;

/// What a lease that was given back, or ended by others, has as the moment of its end.
const ENDED: Timestamp = Timestamp(0);

/// A renewal of a lease, and when it was first seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its epoch and expiry; both only rise.
    renewal: (u64, i64),
    pub seen_ms: u64,
}

impl Mark {
    pub const fn new(epoch: u64, expires_at_us: i64, now_ms: u64) -> Self {
        Self { renewal: (epoch, expires_at_us), seen_ms: now_ms }
    }

    pub const fn of(row: &WorkerLease, now_ms: u64) -> Self {
        Self::new(row.epoch, row.expires_at.0, now_ms)
    }

    /// Takes note of a renewal; the first sight of each counts.
    pub fn see(&mut self, other: Self) {
        if other.renewal > self.renewal {
            *self = other;
        }
    }

    /// Whether it is the renewal that a row shows.
    pub fn is_of(&self, row: &WorkerLease) -> bool {
        self.renewal == (row.epoch, row.expires_at.0)
    }

    pub const fn epoch(&self) -> u64 {
        self.renewal.0
    }
}

/// Whether nobody holds a lease.
pub fn is_ended(row: &WorkerLease) -> bool {
    row.expires_at == ENDED
}

/// A lease as it stands once it is over.
pub fn ended(row: &WorkerLease) -> WorkerLease {
    WorkerLease { expires_at: ENDED, ..row.clone() }
}

/// How far the holders of a lease may have come.
pub const fn ceilings(row: &WorkerLease) -> Marks {
    Marks { id_ms: row.id_ceiling_ms, write_timestamp_us: row.write_timestamp_ceiling_us }
}

/// Whether a row is older than another of the same worker id: answers may come out of order.
pub fn is_older(row: &WorkerLease, than: &WorkerLease) -> bool {
    let age = |row: &WorkerLease| (row.epoch, is_ended(row), row.expires_at);
    age(row) < age(than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_newer_renewal_begins_the_time_anew() {
        let mut mark = Mark::new(3, 100, 1_000);
        mark.see(Mark::new(3, 100, 2_000));
        mark.see(Mark::new(2, 900, 3_000));
        assert_eq!(mark.seen_ms, 1_000);
        mark.see(Mark::new(3, 101, 4_000));
        assert_eq!(mark.seen_ms, 4_000);
        mark.see(Mark::new(4, 1, 5_000));
        assert_eq!((mark.seen_ms, mark.epoch()), (5_000, 4));
    }

    #[test]
    fn a_row_that_was_ended_is_newer_than_any_renewal_of_its_epoch() {
        let row = |epoch, expires_at| WorkerLease {
            worker_id: 1,
            node_id: 0,
            epoch,
            id_ceiling_ms: 0,
            write_timestamp_ceiling_us: 0,
            expires_at: Timestamp(expires_at),
        };
        assert!(is_older(&row(3, 500), &ended(&row(3, 400))));
        assert!(is_older(&ended(&row(3, 500)), &row(4, 1)));
        assert!(!is_older(&row(3, 500), &row(3, 500)));
    }
}
