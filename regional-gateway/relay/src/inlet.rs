//! The stream of another node to this one: repeats, gaps, order, and what to ask for.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::RelayConfig;
use crate::wire::{Ack, Cell, Digest, RANGES_MAX};

/// What comes of packets, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The next frame.
    Frame(Bytes),
    /// Frames are missing here.
    Lost,
}

/// The receiving half of a link.
#[derive(Debug)]
pub struct Inlet {
    config: Arc<RelayConfig>,
    /// 0 until something is known of the stream; the first is 1.
    epoch: u32,
    /// Number of the first cell that is missing.
    next: u64,
    /// All cells before it exist.
    end: u64,
    /// What came too early; its first place is that of `next`, and empty.
    window: VecDeque<Option<Cell>>,
    window_cells: usize,
    window_bytes: usize,
    /// The frame whose cells are coming.
    partial: Partial,
    ack_at_ms: Option<u64>,
    unacknowledged_bytes: usize,
    nack_at_ms: Option<u64>,
    nacks: u32,
    pub(crate) cells_received: u64,
    pub(crate) cells_repeated: u64,
    pub(crate) cells_refused: u64,
}

#[derive(Debug)]
enum Partial {
    /// Between two frames.
    None,
    /// So many bytes are to come in all.
    Some(Vec<u8>, usize),
    /// A frame that broke the rules is left out to its end.
    Skipped,
}

/// So much is not left without an acknowledgement for long.
const UNACKNOWLEDGED_MAX_BYTES: usize = 512 * 1024;

impl Inlet {
    /// Nothing received yet.
    pub fn new(config: Arc<RelayConfig>) -> Self {
        Self {
            config,
            epoch: 0,
            next: 0,
            end: 0,
            window: VecDeque::new(),
            window_cells: 0,
            window_bytes: 0,
            partial: Partial::None,
            ack_at_ms: None,
            unacknowledged_bytes: 0,
            nack_at_ms: None,
            nacks: 0,
            cells_received: 0,
            cells_repeated: 0,
            cells_refused: 0,
        }
    }

    /// Begins anew for another process.
    pub fn restart(&mut self) {
        self.begin(0);
    }

    fn begin(&mut self, epoch: u32) {
        let counts = (self.cells_received, self.cells_repeated, self.cells_refused);
        *self = Self::new(Arc::clone(&self.config));
        (self.cells_received, self.cells_repeated, self.cells_refused) = counts;
        self.epoch = epoch;
    }

    /// Cells and bytes that wait behind a gap, with those of a frame that is not whole.
    pub fn held(&self) -> (usize, usize) {
        let partial = if let Partial::Some(bytes, _) = &self.partial { bytes.capacity() } else { 0 };
        (self.window_cells, self.window_bytes + partial)
    }

    /// Whether this is the current epoch; a newer one becomes it, and what the old one had is lost.
    fn is_current(&mut self, epoch: u32, out: &mut impl FnMut(Delivery)) -> bool {
        if epoch > self.epoch {
            // The first of all is no loss: nothing can be missing before it.
            if epoch > 1 {
                out(Delivery::Lost);
            }
            self.begin(epoch);
        }
        epoch == self.epoch
    }

    /// Takes how far the peer's stream goes.
    pub fn handle_digest(&mut self, now_ms: u64, digest: Digest, mut out: impl FnMut(Delivery)) {
        if !self.is_current(digest.epoch, &mut out) {
            return;
        }
        self.note_end(now_ms, digest.next);
        if digest.probe {
            self.ack_at_ms = Some(now_ms);
            if self.next < self.end {
                self.nack_at_ms = Some(now_ms);
            }
        }
    }

    /// Notes that all cells before `end` exist; new gaps are asked for soon.
    fn note_end(&mut self, now_ms: u64, end: u64) {
        if end > self.end {
            self.end = end;
            self.nack_by(now_ms + self.config.nack_delay_ms);
        }
    }

    fn nack_by(&mut self, at_ms: u64) {
        self.nack_at_ms = Some(self.nack_at_ms.map_or(at_ms, |before_ms| before_ms.min(at_ms)));
    }

    fn ack_by(&mut self, at_ms: u64) {
        self.ack_at_ms = Some(self.ack_at_ms.map_or(at_ms, |before_ms| before_ms.min(at_ms)));
    }

    /// Takes a cell of a packet of so many bytes.
    pub fn handle_cell(
        &mut self,
        now_ms: u64,
        (epoch, seq): (u32, u64),
        cell: Cell,
        packet_bytes: usize,
        mut out: impl FnMut(Delivery),
    ) {
        if !self.is_current(epoch, &mut out) {
            return;
        }
        if seq < self.next {
            self.cells_repeated += 1;
            self.ack_by(now_ms + self.config.ack_delay_ms);
            return;
        }
        if seq > self.end {
            self.note_end(now_ms, seq);
        }
        self.end = self.end.max(seq + 1);
        if seq > self.next {
            self.hold(seq, cell, packet_bytes);
            return;
        }
        self.unacknowledged_bytes += cell.bytes.len();
        self.window.pop_front();
        self.deliver(cell, &mut out);
        while let Some(Some(_)) = self.window.front() {
            let Some(Some(cell)) = self.window.pop_front() else { break };
            self.window_cells -= 1;
            self.window_bytes -= cell.bytes.len();
            self.unacknowledged_bytes += cell.bytes.len();
            self.deliver(cell, &mut out);
        }
        if self.next >= self.end {
            self.nack_at_ms = None;
        }
        self.nacks = 0;
        let delay_ms = if self.unacknowledged_bytes >= UNACKNOWLEDGED_MAX_BYTES { 0 } else { self.config.ack_delay_ms };
        self.ack_by(now_ms + delay_ms);
    }

    /// Keeps a cell that came too early, if there is room.
    fn hold(&mut self, seq: u64, mut cell: Cell, packet_bytes: usize) {
        let distance = seq - self.next;
        let size = cell.bytes.len();
        if distance >= self.config.window_max_cells as u64 || self.window_bytes + size > self.config.window_max_bytes {
            self.cells_refused += 1;
            return;
        }
        let index = distance as usize;
        if self.window.len() <= index {
            self.window.resize_with(index + 1, || None);
        }
        if self.window[index].is_some() {
            self.cells_repeated += 1;
            return;
        }
        // A small part would hold the whole packet for as long as it waits.
        if size < packet_bytes / 4 {
            cell.bytes = Bytes::copy_from_slice(&cell.bytes);
        }
        self.window[index] = Some(cell);
        self.window_cells += 1;
        self.window_bytes += size;
    }

    /// Takes the next cell in order.
    fn deliver(&mut self, cell: Cell, out: &mut impl FnMut(Delivery)) {
        self.next += 1;
        self.cells_received += 1;
        let partial = std::mem::replace(&mut self.partial, Partial::None);
        if cell.first {
            if !matches!(partial, Partial::None | Partial::Skipped) {
                out(Delivery::Lost);
            }
            let frame_bytes = cell.frame_bytes as usize;
            if cell.last {
                out(Delivery::Frame(cell.bytes));
            } else if frame_bytes > self.config.frame_max_bytes || cell.bytes.len() > frame_bytes {
                self.partial = Partial::Skipped;
                out(Delivery::Lost);
            } else {
                let mut bytes = Vec::with_capacity(frame_bytes);
                bytes.extend_from_slice(&cell.bytes);
                self.partial = Partial::Some(bytes, frame_bytes);
            }
            return;
        }
        match partial {
            Partial::Some(mut bytes, frame_bytes) => {
                let size = bytes.len() + cell.bytes.len();
                if size > frame_bytes || (cell.last && size != frame_bytes) {
                    self.partial = if cell.last { Partial::None } else { Partial::Skipped };
                    out(Delivery::Lost);
                    return;
                }
                bytes.extend_from_slice(&cell.bytes);
                if cell.last {
                    out(Delivery::Frame(bytes.into()));
                } else {
                    self.partial = Partial::Some(bytes, frame_bytes);
                }
            }
            Partial::Skipped if !cell.last => self.partial = Partial::Skipped,
            Partial::Skipped => {}
            // The rest of a frame that never began.
            Partial::None => {
                self.partial = if cell.last { Partial::None } else { Partial::Skipped };
                out(Delivery::Lost);
            }
        }
    }

    /// There is room again: what is missing is asked for at once.
    pub fn handle_room(&mut self) {
        if self.next < self.end {
            self.nack_at_ms = Some(0);
            self.nacks = 0;
        }
    }

    /// Whether an acknowledgement is to be sent now although nothing else is.
    pub fn is_due(&self, now_ms: u64) -> bool {
        self.poll_timeout().is_some_and(|at_ms| at_ms <= now_ms)
    }

    /// When one is due.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.ack_at_ms.into_iter().chain(self.nack_at_ms).min()
    }

    /// The acknowledgement that goes with a packet now, once anything is known of the stream.
    ///
    /// `timeout_ms` is how long an answer may take: until then nothing is asked for twice. Without `room` for what is
    /// missing it is not asked for.
    pub fn poll_ack(&mut self, now_ms: u64, timeout_ms: u64, room: bool) -> Option<Ack> {
        if self.epoch == 0 {
            return None;
        }
        self.ack_at_ms = None;
        self.unacknowledged_bytes = 0;
        let mut ack = Ack { epoch: self.epoch, next: self.next, missing: Vec::new() };
        if !room && self.nack_at_ms.is_some() {
            self.nack_at_ms = Some(now_ms + self.config.probe_max_ms);
        } else if self.nack_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            ack.missing = self.missing();
            let (least, most) = (self.config.probe_min_ms, self.config.probe_max_ms);
            let wait_ms = (timeout_ms.clamp(least, most) << self.nacks.min(16)).min(most);
            self.nacks = self.nacks.saturating_add(1);
            self.nack_at_ms = (!ack.missing.is_empty()).then_some(now_ms + wait_ms);
        }
        Some(ack)
    }

    /// Runs of missing cells, the first ones.
    fn missing(&self) -> Vec<(u64, u64)> {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        let end = self.end.min(self.next + self.config.window_max_cells as u64);
        let known = (self.next + self.window.len() as u64).min(end);
        for (seq, place) in (self.next..known).zip(&self.window) {
            if place.is_none() && !extend(&mut runs, seq, 1) {
                return runs;
            }
        }
        if known < end {
            extend(&mut runs, known, end - known);
        }
        runs
    }
}

/// Adds missing cells to the runs; whether there was room.
fn extend(runs: &mut Vec<(u64, u64)>, seq: u64, missing: u64) -> bool {
    if let Some((first, count)) = runs.last_mut()
        && *first + *count == seq
    {
        *count += missing;
        return true;
    }
    let has_room = runs.len() < RANGES_MAX;
    if has_room {
        runs.push((seq, missing));
    }
    has_room
}
