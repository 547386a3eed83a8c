//! What must hold.

use std::collections::HashSet;

use bytes::Bytes;
use rookery_relay::{Event, RelayConfig, Stats};

/// What does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invariant {
    /// Frames come once and in order, from the first of a stream on.
    Order,
    /// Frames come as they were sent.
    Whole,
    /// After a hole, and of another process, none comes before the event that says so.
    LossToldFirst,
    /// Nothing is given up because a few packets are lost.
    NoNeedlessLoss,
    /// When the faults end, all that is not given up arrives.
    Convergence,
    /// What is held stays within its bounds.
    Bounds,
    /// No end is busy without anything to do.
    Idle,
    NoPanic,
}

impl rookery_test_seeds::Invariant for Invariant {
    const NO_PANIC: Self = Self::NoPanic;
}

/// How an invariant was broken.
pub type Violation = rookery_test_seeds::Violation<Invariant>;

/// Fails with an invariant unless something holds.
pub fn want(holds: bool, invariant: Invariant, what: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// Which frame it is: of which process, of which of its streams to this peer, and the how manieth of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    pub incarnation: u64,
    pub segment: u64,
    pub index: u64,
}

impl Name {
    /// A frame of so many bytes, at least 24, that has the name and what follows from it.
    pub fn frame(self, size: usize) -> Bytes {
        let mut frame = Vec::with_capacity(size);
        for number in [self.incarnation, self.segment, self.index] {
            frame.extend_from_slice(&number.to_be_bytes());
        }
        frame.extend((frame.len()..size).map(|at| self.filler(at)));
        frame.into()
    }

    fn filler(self, at: usize) -> u8 {
        (self.incarnation ^ (self.segment << 3) ^ self.index.wrapping_mul(31) ^ (at as u64 * 7)) as u8
    }

    fn of(frame: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u64::from_be_bytes(frame.get(at..at + 8)?.try_into().ok()?));
        let name = Self { incarnation: number(0)?, segment: number(8)?, index: number(16)? };
        // A part in the middle and the end show a part that is missing or in another's place.
        let is_whole = (24..frame.len()).all(|at| frame[at] == name.filler(at));
        is_whole.then_some(name)
    }
}

/// What one process received from one peer.
#[derive(Debug, Default)]
pub struct Received {
    pub last: Option<Name>,
    up: bool,
    /// Since the last frame.
    lost: bool,
    restarted: bool,
    seen: HashSet<u64>,
    pub frames: u64,
}

impl Received {
    /// Takes an event as the caller hears it.
    pub fn handle(&mut self, event: &Event) -> Result<(), Violation> {
        match event {
            Event::Up { .. } => self.up = true,
            Event::Down => self.up = false,
            Event::Restarted { .. } => (self.up, self.restarted) = (true, true),
            Event::InboundLost => self.lost = true,
            Event::OutboundLost { .. } => {}
            Event::Frame(frame) => self.handle_frame(frame)?,
        }
        Ok(())
    }

    fn handle_frame(&mut self, frame: &[u8]) -> Result<(), Violation> {
        let name = Name::of(frame);
        let Some(name) = name else {
            return Err(Violation { invariant: Invariant::Whole, what: format!("{} bytes", frame.len()) });
        };
        let last = self.last;
        let what = || format!("{name:?} after {last:?}");
        match last {
            Some(last) if (last.incarnation, last.segment) == (name.incarnation, name.segment) => {
                want(name.index == last.index + 1, Invariant::Order, what)?;
            }
            Some(last) if last.incarnation == name.incarnation => {
                want(name.segment > last.segment, Invariant::Order, what)?;
                want(self.lost, Invariant::LossToldFirst, what)?;
                want(name.index == 0, Invariant::Order, what)?;
            }
            Some(_) => {
                want(!self.seen.contains(&name.incarnation), Invariant::Order, what)?;
                want(self.restarted, Invariant::LossToldFirst, what)?;
                want(name.index == 0, Invariant::Order, what)?;
            }
            None => want(name.index == 0, Invariant::Order, what)?,
        }
        want(self.up || self.restarted, Invariant::LossToldFirst, || format!("{name:?} of a peer that is not there"))?;
        self.seen.insert(name.incarnation);
        (self.lost, self.restarted) = (false, false);
        self.last = Some(name);
        self.frames += 1;
        Ok(())
    }
}

/// What a link holds stays within what its configuration says.
pub fn bounds(config: &RelayConfig, stats: &Stats) -> Result<(), Violation> {
    let cells_of_frame = config.frame_max_bytes / (config.packet_max_bytes / 2) + 1;
    let released = config.window_max_bytes + config.frame_max_bytes;
    for (held, most, name) in [
        (stats.ring_bytes, config.ring_max_bytes + config.frame_max_bytes, "ring bytes"),
        (stats.ring_cells, config.ring_max_cells + cells_of_frame, "ring cells"),
        (stats.window_bytes, config.window_max_bytes + config.frame_max_bytes, "window bytes"),
        (stats.window_cells, config.window_max_cells, "window cells"),
        (stats.event_bytes, config.events_max_bytes + released, "event bytes"),
        (stats.events, config.events_max + config.window_max_cells + 70, "events"),
    ] {
        want(held <= most, Invariant::Bounds, || format!("{name}: {held} of {most}"))?;
    }
    Ok(())
}
