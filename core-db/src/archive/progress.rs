//! What an export or import tells while it works.

use std::sync::Arc;

use crate::dump::DamagedRow;

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Deleted channels and guilds are still being removed; the export begins when they are gone.
    Waiting { purges: u64 },
    /// Segments of an archive were hashed.
    Checked { segments: u32, segments_total: u32 },
    /// Rows went through; the total is an estimate for an export and 0 if unknown.
    Rows { doing: &'static str, section: &'static str, rows: u64, rows_total: u64 },
    /// A segment is whole and durable: in the archive, or in the store.
    Segment { file: String, rows: u64, done: u32 },
    /// A damaged row was left out.
    Damaged(DamagedRow),
}

/// Where events go.
pub type Report = Arc<dyn Fn(Event) + Send + Sync>;
