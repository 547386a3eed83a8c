//! The stream of one node to another: numbers, the ring of what is not acknowledged, and when to send it again.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::RelayConfig;
use crate::rtt::Rtt;
use crate::wire::{Ack, Cell, Digest};

/// Why a frame was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Too much waits to be acknowledged: the caller waits for [`Link::is_full`](crate::Link::is_full) to end.
    #[error("too much waits to be acknowledged")]
    Full,
    /// No frame may be so large.
    #[error("a frame of {size} bytes; the relay takes {limit}")]
    TooLarge { size: usize, limit: usize },
}

/// A cell in the ring.
#[derive(Debug)]
struct Slot {
    cell: Cell,
    /// When it was sent last.
    sent_ms: u64,
    /// Sent more than once: its acknowledgement says nothing about the way.
    resent: bool,
    /// In the queue of those that are sent again.
    queued: bool,
}

/// The sending half of a link.
#[derive(Debug)]
pub struct Outlet {
    config: Arc<RelayConfig>,
    epoch: u32,
    /// Number of the first cell in the ring: all before it are acknowledged.
    base: u64,
    ring: VecDeque<Slot>,
    ring_bytes: usize,
    /// Cells of the ring that were sent; the others follow them.
    sent: usize,
    in_flight_bytes: usize,
    /// Numbers of cells to be sent again.
    resend: VecDeque<u64>,
    rtt: Rtt,
    /// Since when nothing was acknowledged although something waits.
    stalled_ms: Option<u64>,
    /// When the tail is told again.
    probe_at_ms: Option<u64>,
    probes: u32,
    pub(crate) cells_sent: u64,
    pub(crate) cells_resent: u64,
}

/// What is left of a stream that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Frames that may not have arrived.
    pub frames: u64,
}

impl Outlet {
    /// A stream without frames, in epoch 1.
    pub fn new(config: Arc<RelayConfig>) -> Self {
        Self {
            config,
            epoch: 1,
            base: 0,
            ring: VecDeque::new(),
            ring_bytes: 0,
            sent: 0,
            in_flight_bytes: 0,
            resend: VecDeque::new(),
            rtt: Rtt::default(),
            stalled_ms: None,
            probe_at_ms: None,
            probes: 0,
            cells_sent: 0,
            cells_resent: 0,
        }
    }

    /// Takes a frame: it has a number from here on.
    ///
    /// # Errors
    /// It was not taken.
    pub fn send(&mut self, now_ms: u64, frame: Bytes) -> Result<(), SendError> {
        let (size, limit) = (frame.len(), self.config.frame_max_bytes);
        if size > limit {
            return Err(SendError::TooLarge { size, limit });
        }
        if self.is_full() {
            return Err(SendError::Full);
        }
        self.stalled_ms.get_or_insert(now_ms);
        self.ring_bytes += size;
        let (cell_max, frame_bytes) = (self.config.cell_max_bytes(), size as u32);
        let (mut rest, mut first) = (frame, true);
        loop {
            let bytes = rest.split_to(rest.len().min(cell_max));
            let last = rest.is_empty();
            let cell = Cell { bytes, first, last, frame_bytes };
            self.ring.push_back(Slot { cell, sent_ms: 0, resent: false, queued: false });
            first = false;
            if last {
                return Ok(());
            }
        }
    }

    /// Whether the caller should take on no more work that ends in frames.
    pub fn is_full(&self) -> bool {
        self.ring_bytes >= self.config.ring_max_bytes || self.ring.len() >= self.config.ring_max_cells
    }

    /// Whether everything is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Cells and bytes that wait to be acknowledged.
    pub fn held(&self) -> (usize, usize) {
        (self.ring.len(), self.ring_bytes)
    }

    /// How far the stream was sent.
    pub fn digest(&self, probe: bool) -> Digest {
        Digest { epoch: self.epoch, next: self.base + self.sent as u64, probe }
    }

    pub(crate) fn rtt(&self) -> Rtt {
        self.rtt
    }

    /// Takes what is to be sent now, up to the size of a packet: first what was asked for again.
    ///
    /// `put` gets each cell with its epoch and number.
    pub fn poll_cells(&mut self, now_ms: u64, mut put: impl FnMut(u32, u64, &Cell)) {
        let mut size = 0;
        while let Some(seq) = self.next_seq() {
            let index = (seq - self.base) as usize;
            let slot = &mut self.ring[index];
            // With the number of its own section, at most.
            let cell_size = slot.cell.bytes.len() + CELL_OVERHEAD;
            if size > 0 && (size >= self.config.coalesce_bytes || size + cell_size > self.cells_max_bytes()) {
                break;
            }
            size += cell_size;
            let slot = &mut self.ring[index];
            put(self.epoch, seq, &slot.cell);
            self.cells_sent += 1;
            slot.sent_ms = now_ms;
            if slot.queued {
                slot.queued = false;
                slot.resent = true;
                self.cells_resent += 1;
                self.resend.pop_front();
            } else {
                self.sent += 1;
                self.in_flight_bytes += slot.cell.bytes.len();
                self.probes = 0;
            }
        }
        if size > 0 {
            self.probe_at_ms = Some(now_ms + self.probe_delay_ms());
        }
    }

    /// Bytes of the cells that [`Outlet::poll_cells`] is about to give, with their overhead.
    pub(crate) fn next_cells_bytes(&mut self) -> usize {
        let Some(seq) = self.next_seq() else { return 0 };
        let first = self.ring[(seq - self.base) as usize].cell.bytes.len() + CELL_OVERHEAD;
        if first >= self.config.coalesce_bytes {
            return first;
        }
        let waiting = self.resend.len() + self.ring.len() - self.sent;
        if waiting == 1 {
            return first;
        }
        // Not counted cell by cell: enough for all that wait, or for a packet.
        let unsent_bytes = self.ring_bytes - self.in_flight_bytes;
        let resend_bytes = if self.resend.is_empty() { 0 } else { self.in_flight_bytes };
        let all = unsent_bytes + resend_bytes + waiting * CELL_OVERHEAD;
        all.min(self.cells_max_bytes()).min((self.config.coalesce_bytes * 2).max(first))
    }

    fn cells_max_bytes(&self) -> usize {
        self.config.cell_max_bytes() + CELL_OVERHEAD
    }

    /// The next cell to send.
    fn next_seq(&mut self) -> Option<u64> {
        // Those that were acknowledged in the meantime are no longer in the ring.
        while self.resend.front().is_some_and(|seq| *seq < self.base) {
            self.resend.pop_front();
        }
        if let Some(seq) = self.resend.front() {
            return Some(*seq);
        }
        let fits = self.sent == 0
            || (self.in_flight_bytes < self.config.in_flight_max_bytes && self.sent < self.config.in_flight_max_cells);
        (self.sent < self.ring.len() && fits).then_some(self.base + self.sent as u64)
    }

    /// Whether [`Outlet::poll_cells`] has any.
    pub fn has_cells(&mut self) -> bool {
        self.next_seq().is_some()
    }

    /// Whether the tail is to be told now; then it is counted as told.
    pub fn poll_probe(&mut self, now_ms: u64) -> bool {
        let due = self.probe_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if due {
            self.probes = self.probes.saturating_add(1);
            self.probe_at_ms = Some(now_ms + self.probe_delay_ms());
        }
        due
    }

    pub(crate) fn is_probe_due(&self, now_ms: u64) -> bool {
        self.probe_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }

    fn probe_delay_ms(&self) -> u64 {
        let (least, most) = (self.config.probe_min_ms, self.config.probe_max_ms);
        // A digest that comes early costs little. Until the way is measured the first is at the shortest wait.
        let delay_ms = self.rtt.early_timeout_ms().clamp(least, most);
        (delay_ms << self.probes.min(16)).min(most)
    }

    /// Takes what the peer has, and queues what it misses.
    ///
    /// # Errors
    /// It acknowledges cells that were never sent.
    pub fn handle_ack(&mut self, now_ms: u64, ack: &Ack) -> Result<(), crate::Refused> {
        // Of an epoch that was given up.
        if ack.epoch != self.epoch {
            return Ok(());
        }
        let end = self.base + self.sent as u64;
        if ack.next > end {
            return Err(crate::Refused::Malformed("it acknowledges what was not sent"));
        }
        if ack.next > self.base {
            self.release(now_ms, ack.next);
        }
        let patience_ms = self.rtt.mean_ms().unwrap_or(self.config.nack_delay_ms) / 2;
        for &(first, count) in &ack.missing {
            for seq in first.max(self.base)..(first + count).min(end) {
                let slot = &mut self.ring[(seq - self.base) as usize];
                // What was sent a moment ago cannot have been missed by whoever wrote this.
                if !slot.queued && slot.sent_ms + patience_ms <= now_ms {
                    slot.queued = true;
                    self.resend.push_back(seq);
                }
            }
        }
        Ok(())
    }

    /// Lets go of what is acknowledged.
    fn release(&mut self, now_ms: u64, next: u64) {
        while self.base < next {
            let Some(slot) = self.ring.pop_front() else { break };
            self.base += 1;
            self.sent -= 1;
            let size = slot.cell.bytes.len();
            self.ring_bytes -= size;
            self.in_flight_bytes -= size;
            if self.base == next && !slot.resent {
                self.rtt.sample(now_ms.saturating_sub(slot.sent_ms));
            }
        }
        self.probes = 0;
        self.stalled_ms = (!self.ring.is_empty()).then_some(now_ms);
        self.probe_at_ms = (self.sent > 0).then(|| now_ms + self.probe_delay_ms());
    }

    /// The peer is there for the first time: what waits has its full time from now on.
    pub fn handle_peer(&mut self, now_ms: u64) {
        if self.stalled_ms.is_some() {
            self.stalled_ms = Some(now_ms);
        }
    }

    /// When the stream is given up, or its tail told again.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.lost_at_ms().into_iter().chain(self.probe_at_ms).min()
    }

    pub(crate) fn lost_at_ms(&self) -> Option<u64> {
        self.stalled_ms.map(|since_ms| since_ms + self.config.lost_after_ms)
    }

    /// Gives the stream up when its time is over; the next epoch begins.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Option<GivenUp> {
        let lost = self.lost_at_ms().is_some_and(|at_ms| at_ms <= now_ms);
        lost.then(|| {
            let epoch = self.epoch.saturating_add(1);
            self.give_up(epoch)
        })
    }

    /// Begins anew for another process, which knows nothing of this stream.
    pub fn restart(&mut self) -> GivenUp {
        self.rtt = Rtt::default();
        self.give_up(1)
    }

    fn give_up(&mut self, epoch: u32) -> GivenUp {
        let frames = self.ring.iter().filter(|slot| slot.cell.last).count() as u64;
        let (sent, resent) = (self.cells_sent, self.cells_resent);
        let rtt = self.rtt;
        *self = Self::new(Arc::clone(&self.config));
        (self.epoch, self.rtt, self.cells_sent, self.cells_resent) = (epoch, rtt, sent, resent);
        GivenUp { frames }
    }
}

/// The bytes of a cell's head, with those of a section that begins with it.
const CELL_OVERHEAD: usize = 40;
