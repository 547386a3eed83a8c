//! One node's end towards one other node.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::RelayConfig;
use crate::handshake::{Answered, Handshake};
use crate::inlet::{Delivery, Inlet};
use crate::outlet::{GivenUp, Outlet, SendError};
use crate::refused::Refused;
use crate::stats::Stats;
use crate::wire::{self, Cells, Header, Hello, Section, Sections, Writer};

/// What the caller is told, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer is there: for the first time, or again after [`Event::Down`] and the same process. Of itself it means no
    /// loss.
    Up { incarnation: u64 },
    /// The peer is there, and it is another process: it knows nothing of what was sent before, and what was not
    /// acknowledged is given up. Its own stream begins anew with the next frame.
    Restarted { incarnation: u64, frames_lost: u64 },
    /// Frames of the peer are missing here: it gave them up.
    InboundLost,
    /// The peer did not acknowledge for too long: so many frames were given up, and it will be told.
    OutboundLost { frames: u64 },
    /// Nothing was heard of the peer for too long. Streams go on when it comes back, unless another event says otherwise.
    Down,
    /// The peer's next frame. It may share its memory with others of the same packet.
    Frame(Bytes),
}

/// One end of the two streams between two nodes.
///
/// After each call of [`send`](Self::send), [`handle_packet`](Self::handle_packet) and
/// [`handle_timeout`](Self::handle_timeout) the caller polls [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event) until they have nothing more; events that the caller has no room for may stay, then
/// the peer has to wait. It calls `handle_timeout` at [`poll_timeout`](Self::poll_timeout), which is to be asked again after
/// every other call.
#[derive(Debug)]
pub struct Link {
    config: Arc<RelayConfig>,
    source: Box<str>,
    incarnation: u64,
    handshake: Handshake,
    outlet: Outlet,
    inlet: Inlet,
    up: bool,
    heard_ms: u64,
    /// When a packet must go although nothing is to be said.
    keep_alive_at_ms: u64,
    events: VecDeque<Event>,
    event_bytes: usize,
    /// Of the events, those that say that the own stream was given up.
    losses: usize,
    counts: Stats,
}

/// Events that are always taken, so that a link whose caller does not poll still learns of a restart.
const EVENTS_RESERVE: usize = 64;

impl Link {
    /// An end that knows nothing of its peer.
    ///
    /// `source` is this node's name as the peer's [`peek_source`](crate::peek_source) gives it. `incarnation` is a number
    /// that no other link of this name ever had or will have, such as a random one: one for each link, not for each process.
    ///
    /// # Errors
    /// What is wrong with the name, the number or the configuration.
    pub fn new(config: Arc<RelayConfig>, source: &str, incarnation: u64, now_ms: u64) -> Result<Self, Vec<String>> {
        let mut mistakes = config.mistakes();
        if !(1..=wire::SOURCE_MAX).contains(&source.len()) {
            mistakes.push(format!("source: 1 to {} bytes", wire::SOURCE_MAX));
        }
        if incarnation == 0 {
            mistakes.push("incarnation: not 0".into());
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        Ok(Self {
            source: source.into(),
            incarnation,
            handshake: Handshake::new(now_ms, config.hello_ms, config.keep_alive_ms),
            outlet: Outlet::new(Arc::clone(&config)),
            inlet: Inlet::new(Arc::clone(&config)),
            up: false,
            heard_ms: now_ms,
            keep_alive_at_ms: now_ms,
            events: VecDeque::new(),
            event_bytes: 0,
            losses: 0,
            counts: Stats::default(),
            config,
        })
    }

    /// Takes a frame for the peer; while the peer is not there it waits.
    ///
    /// # Errors
    /// It was not taken.
    pub fn send(&mut self, now_ms: u64, frame: Bytes) -> Result<(), SendError> {
        if self.losses > 0 {
            return Err(SendError::Full);
        }
        self.outlet.send(now_ms, frame)?;
        self.counts.frames_sent += 1;
        Ok(())
    }

    /// Whether so much waits to be acknowledged that the caller should take on no more work for this peer.
    ///
    /// So it is too while an event waits to be polled that says that the stream was given up: what the caller sends before
    /// it knows that would seem to follow what is lost.
    pub fn is_full(&self) -> bool {
        self.losses > 0 || self.outlet.is_full()
    }

    /// Whether all that was sent is acknowledged.
    pub fn is_flushed(&self) -> bool {
        self.outlet.is_empty()
    }

    /// Whether the peer is there.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// The incarnation of the peer, once it is known.
    pub fn peer(&self) -> Option<u64> {
        self.handshake.peer().map(|peer| peer.incarnation)
    }

    /// When the peer was heard of last; before it was, when the link was made.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// Takes a packet from the bus.
    ///
    /// # Errors
    /// Why it, or the rest of it, was not taken. Nothing needs to be done about it but counting.
    pub fn handle_packet(&mut self, now_ms: u64, packet: Bytes) -> Result<(), Refused> {
        self.counts.packets_received += 1;
        let (header, header_bytes) = wire::header(&packet)?;
        let (from, to) = (header.from, header.to);
        if from == self.incarnation {
            return Err(Refused::Own);
        }
        if self.handshake.is_retired(from) {
            return Err(Refused::Retired);
        }
        if self.events.len() >= self.config.events_max + EVENTS_RESERVE {
            return Err(Refused::Busy);
        }
        if to != 0 && to != self.incarnation {
            if !self.handshake.is_peer(from) {
                self.handshake.handle_stranger(now_ms);
            }
            return Err(Refused::NotForUs);
        }
        let mut result = Ok(());
        let packet_bytes = packet.len();
        for section in Sections::new(packet, header_bytes) {
            let taken = section.and_then(|section| self.handle_section(now_ms, (from, to), section, packet_bytes));
            if matches!(taken, Err(Refused::Malformed(_))) {
                result = taken;
                break;
            }
            result = result.and(taken);
        }
        if !self.handshake.is_peer(from) {
            self.handshake.handle_stranger(now_ms);
        } else if to == self.incarnation && !matches!(result, Err(Refused::Malformed(_))) {
            self.hear(now_ms);
        }
        result
    }

    fn handle_section(
        &mut self,
        now_ms: u64,
        (from, to): (u64, u64),
        section: Section,
        packet_bytes: usize,
    ) -> Result<(), Refused> {
        match section {
            Section::Hello(hello) => {
                self.handshake.handle_hello(from, hello.nonce);
                return Ok(());
            }
            Section::HelloAck(hello) if to == self.incarnation => {
                self.handle_answer(now_ms, from, hello);
                return Ok(());
            }
            _ => {}
        }
        // To nobody in particular nothing but hellos is said.
        if to != self.incarnation || !self.handshake.is_peer(from) {
            return Err(Refused::Unverified);
        }
        // Before what it carries: that comes from a peer that is there.
        self.hear(now_ms);
        match section {
            Section::Ack(ack) => self.outlet.handle_ack(now_ms, &ack),
            Section::Digest(digest) => {
                let (events, bytes) = (&mut self.events, &mut self.event_bytes);
                self.inlet.handle_digest(now_ms, digest, |delivery| push(events, bytes, delivery, &mut self.counts));
                Ok(())
            }
            Section::Cells(cells) => self.handle_cells(now_ms, cells, packet_bytes),
            Section::Hello(_) | Section::HelloAck(_) => Ok(()),
        }
    }

    fn handle_cells(&mut self, now_ms: u64, mut cells: Cells, packet_bytes: usize) -> Result<(), Refused> {
        let mut seq = cells.first_seq;
        while let Some(cell) = cells.next_cell()? {
            if self.is_backlogged() {
                return Err(Refused::Busy);
            }
            let (events, bytes) = (&mut self.events, &mut self.event_bytes);
            self.inlet.handle_cell(now_ms, (cells.epoch, seq), cell, packet_bytes, |delivery| {
                push(events, bytes, delivery, &mut self.counts);
            });
            seq += 1;
        }
        Ok(())
    }

    fn handle_answer(&mut self, now_ms: u64, from: u64, hello: Hello) {
        match self.handshake.handle_answer(from, hello) {
            Answered::Nothing => return,
            Answered::First => {
                self.outlet.handle_peer(now_ms);
                self.events.push_back(Event::Up { incarnation: from });
            }
            Answered::Replaced => {
                let given_up = self.outlet.restart();
                self.inlet.restart();
                self.push_loss(given_up, Event::Restarted { incarnation: from, frames_lost: given_up.frames });
            }
        }
        self.up = true;
        self.heard_ms = now_ms;
        // It may not know this process yet: a packet shows it.
        self.keep_alive_at_ms = now_ms;
    }

    /// Whether the caller has to poll before more frames are taken.
    fn is_backlogged(&self) -> bool {
        self.events.len() >= self.config.events_max || self.event_bytes >= self.config.events_max_bytes
    }

    /// Notes that the peer is there.
    fn hear(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        if !self.up
            && let Some(peer) = self.handshake.peer()
        {
            self.up = true;
            self.events.push_back(Event::Up { incarnation: peer.incarnation });
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.up && self.down_at_ms() <= now_ms {
            self.up = false;
            self.events.push_back(Event::Down);
        }
        if let Some(given_up) = self.outlet.handle_timeout(now_ms) {
            self.counts.epochs_lost += 1;
            self.push_loss(given_up, Event::OutboundLost { frames: given_up.frames });
            // The peer should hear of it before it takes what it has for the newest.
            self.keep_alive_at_ms = now_ms;
        }
    }

    fn push_loss(&mut self, given_up: GivenUp, event: Event) {
        self.counts.frames_lost += given_up.frames;
        self.losses += 1;
        self.events.push_back(event);
    }

    fn down_at_ms(&self) -> u64 {
        self.heard_ms + self.config.down_after_ms
    }

    /// The next packet for the peer's subject.
    pub fn poll_transmit(&mut self, now_ms: u64) -> Option<Bytes> {
        let packet = self.poll_handshake(now_ms).or_else(|| self.poll_streams(now_ms))?;
        self.counts.packets_sent += 1;
        self.counts.bytes_sent += packet.len() as u64;
        Some(packet)
    }

    fn poll_handshake(&mut self, now_ms: u64) -> Option<Bytes> {
        if let Some((to, nonce)) = self.handshake.poll_answer() {
            let mut writer = self.writer(wire::OLDEST, to, SECTION_BYTES);
            writer.hello_ack(Hello { nonce, newest: wire::NEWEST });
            return Some(writer.finish());
        }
        let nonce = self.handshake.poll_hello(now_ms)?;
        let mut writer = self.writer(wire::OLDEST, 0, SECTION_BYTES);
        writer.hello(Hello { nonce, newest: wire::NEWEST });
        Some(writer.finish())
    }

    fn poll_streams(&mut self, now_ms: u64) -> Option<Bytes> {
        let peer = self.handshake.peer()?;
        let has_cells = self.outlet.has_cells();
        let has_something = has_cells
            || self.inlet.is_due(now_ms)
            || self.outlet.is_probe_due(now_ms)
            || self.keep_alive_at_ms <= now_ms;
        if !has_something {
            return None;
        }
        self.keep_alive_at_ms = now_ms + self.config.keep_alive_ms;
        let probe = self.outlet.poll_probe(now_ms);
        let ack = self.inlet.poll_ack(now_ms, self.outlet.rtt().timeout_ms(), !self.is_backlogged());
        let runs = ack.as_ref().map_or(0, |ack| ack.missing.len());
        let size = self.outlet.next_cells_bytes() + 2 * SECTION_BYTES + runs * 20;
        let mut writer = self.writer(peer.newest.clamp(wire::OLDEST, wire::NEWEST), peer.incarnation, size);
        if let Some(ack) = &ack {
            writer.ack(ack);
        }
        self.outlet.poll_cells(now_ms, |epoch, seq, cell| writer.cell(epoch, seq, cell));
        // Behind the cells, so that none of them seems to be missing.
        writer.digest(self.outlet.digest(probe));
        Some(writer.finish())
    }

    fn writer(&self, version: u8, to: u64, cells_bytes: usize) -> Writer {
        Writer::new(Header { version, source: &self.source, from: self.incarnation, to }, cells_bytes)
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        let was_backlogged = self.is_backlogged();
        let event = self.events.pop_front()?;
        match &event {
            Event::Frame(bytes) => self.event_bytes -= bytes.len(),
            Event::Restarted { .. } | Event::OutboundLost { .. } => self.losses -= 1,
            _ => {}
        }
        if was_backlogged && !self.is_backlogged() {
            self.inlet.handle_room();
        }
        Some(event)
    }

    /// When [`Link::handle_timeout`] is to be called next, unless something else happens before.
    pub fn poll_timeout(&self) -> Option<u64> {
        let streams = self.handshake.peer().map(|_| {
            let due = self.inlet.poll_timeout().into_iter().chain(self.outlet.poll_timeout());
            due.fold(self.keep_alive_at_ms, u64::min)
        });
        let down = self.up.then(|| self.down_at_ms());
        let times = self.handshake.poll_timeout().into_iter().chain(self.outlet.lost_at_ms());
        times.chain(streams).chain(down).min()
    }

    /// What the link has done and holds.
    pub fn stats(&self) -> Stats {
        let (ring_cells, ring_bytes) = self.outlet.held();
        let (window_cells, window_bytes) = self.inlet.held();
        Stats {
            cells_sent: self.outlet.cells_sent,
            cells_resent: self.outlet.cells_resent,
            cells_received: self.inlet.cells_received,
            cells_repeated: self.inlet.cells_repeated,
            cells_refused: self.inlet.cells_refused,
            ring_cells,
            ring_bytes,
            window_cells,
            window_bytes,
            events: self.events.len(),
            event_bytes: self.event_bytes,
            rtt_ms: self.outlet.rtt().mean_ms(),
            ..self.counts
        }
    }
}

/// More than a section without cells and runs takes.
const SECTION_BYTES: usize = 48;

fn push(events: &mut VecDeque<Event>, event_bytes: &mut usize, delivery: Delivery, counts: &mut Stats) {
    match delivery {
        Delivery::Frame(bytes) => {
            *event_bytes += bytes.len();
            counts.frames_received += 1;
            events.push_back(Event::Frame(bytes));
        }
        Delivery::Lost => {
            counts.epochs_lost += 1;
            events.push_back(Event::InboundLost);
        }
    }
}
