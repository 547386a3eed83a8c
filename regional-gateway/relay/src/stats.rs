//! What a link has done, for metrics.

/// Counts since the link was made, and what it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub packets_sent: u64,
    pub bytes_sent: u64,
    pub cells_sent: u64,
    /// Of `cells_sent`, those that were sent before.
    pub cells_resent: u64,
    pub packets_received: u64,
    pub cells_received: u64,
    /// Cells that were there already.
    pub cells_repeated: u64,
    /// Cells for which there was no room.
    pub cells_refused: u64,
    pub frames_sent: u64,
    pub frames_received: u64,
    /// Frames that were given up, ours.
    pub frames_lost: u64,
    /// Streams that were given up, ours and the peer's.
    pub epochs_lost: u64,
    /// What waits to be acknowledged.
    pub ring_cells: usize,
    pub ring_bytes: usize,
    /// What waits behind a gap.
    pub window_cells: usize,
    pub window_bytes: usize,
    /// What waits to be polled.
    pub events: usize,
    pub event_bytes: usize,
    /// The smoothed round-trip time, once it was measured.
    pub rtt_ms: Option<u64>,
}
