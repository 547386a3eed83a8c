//! What owners write: one cell for each shard, in which the write with the highest timestamp wins.

use std::collections::BTreeMap;

use crate::check::{Check, Invariant};
use crate::process::Place;
use crate::queue::ProcessId;

/// A write of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write {
    pub process: ProcessId,
    pub place: Place,
    pub epoch: u64,
    pub timestamp_us: i64,
    /// Milliseconds and a number, as a snowflake.
    pub id: u64,
}

#[derive(Default)]
struct Cell {
    stands: Option<Write>,
    /// The acknowledged write of the highest epoch, and of those the newest.
    acknowledged: Option<Write>,
    /// The highest id that was issued, and at which epoch.
    last_id: Option<(u64, u64)>,
}

/// All cells.
#[derive(Default)]
pub struct Cells {
    cells: BTreeMap<Place, Cell>,
    pub acknowledged: u64,
}

impl Cells {
    /// An owner gives a write its id.
    pub fn issue(&mut self, check: &mut Check, write: &Write) {
        let cell = self.cells.entry(write.place).or_default();
        if let Some((id, epoch)) = cell.last_id
            && write.id <= id
        {
            let what = format!("{write:?} has an id that is not above {id} of epoch {epoch}");
            check.violate(Invariant::IdsRise, what);
        }
        cell.last_id = cell.last_id.max(Some((write.id, write.epoch)));
    }

    /// A write arrives where it is stored.
    pub fn apply(&mut self, check: &mut Check, write: Write) {
        let cell = self.cells.entry(write.place).or_default();
        if let Some(acknowledged) = cell.acknowledged
            && acknowledged.epoch > write.epoch
            && write.timestamp_us >= acknowledged.timestamp_us
        {
            check.violate(Invariant::NotHidden, format!("{write:?} came later and hides {acknowledged:?}"));
        }
        if cell.stands.is_none_or(|stands| write.timestamp_us > stands.timestamp_us) {
            cell.stands = Some(write);
        }
    }

    /// An owner acknowledges a write.
    pub fn acknowledge(&mut self, check: &mut Check, write: Write) {
        let cell = self.cells.entry(write.place).or_default();
        self.acknowledged += 1;
        if let Some(acknowledged) = cell.acknowledged
            && acknowledged.epoch > write.epoch
        {
            let what = format!("{write:?} is acknowledged after {acknowledged:?}");
            return check.violate(Invariant::OneOwner, what);
        }
        match cell.stands {
            Some(stands) if stands.epoch < write.epoch => {
                check.violate(Invariant::NotHidden, format!("{stands:?} of an owner before hides {write:?}"));
            }
            None => check.violate(Invariant::NotHidden, format!("{write:?} is not there")),
            Some(_) => {}
        }
        let is_newer = |known: Write| (write.epoch, write.timestamp_us) > (known.epoch, known.timestamp_us);
        if cell.acknowledged.is_none_or(is_newer) {
            cell.acknowledged = Some(write);
        }
    }
}
