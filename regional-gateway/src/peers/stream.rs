//! The stream of frames to one other region, over the bus.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rookery_bus::{Bus, PublishError, Received, Subject, Subscription};
use rookery_relay::{Event, Link, RelayConfig, peek_source};
use tokio::sync::mpsc;

use crate::gateway::clock::Clock;

/// Packets that may wait for one region's task; what does not fit is sent again.
const PACKETS_MAX: usize = 4_096;
/// How long what was said last may take to arrive when the process ends.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// Of what the relay holds, the part above which nobody adds to it but answers.
const ROOM_PART: usize = 2;

/// What comes of a stream.
pub enum StreamEvent {
    Frame(Bytes),
    /// The other side is there.
    Up,
    /// It is there, and another process than before: nothing counts that was said.
    Restarted,
    /// Nothing is heard of it.
    Down,
    /// Something is missing in one direction or the other.
    Broken(&'static str),
}

/// One end of the two streams with another region.
pub struct PeerStream {
    link: Link,
    bus: Bus,
    to: Subject,
    packets: mpsc::Receiver<Bytes>,
    clock: Clock,
    config: Arc<RelayConfig>,
}

/// Where packets of other regions come in, each for its own stream.
pub struct Receiving {
    subscription: Subscription,
    streams: HashMap<Box<str>, mpsc::Sender<Bytes>>,
}

impl Receiving {
    /// Nobody is expected yet.
    pub fn new(subscription: Subscription) -> Self {
        Self { subscription, streams: HashMap::new() }
    }

    /// The stream with a node, which others know by the name `region.node`.
    ///
    /// # Errors
    /// What is wrong with a name.
    pub fn open(&mut self, bus: &Bus, own: &str, peer: &str, to: Subject) -> Result<PeerStream, String> {
        let config = Arc::new(RelayConfig::default());
        let (sender, packets) = mpsc::channel(PACKETS_MAX);
        let clock = Clock::start();
        // Never 0, and of 2^64 none comes twice.
        let incarnation = rand::random::<u64>().max(1);
        let link =
            Link::new(Arc::clone(&config), own, incarnation, clock.now_ms()).map_err(|mistakes| mistakes.join("; "))?;
        self.streams.insert(peer.into(), sender);
        Ok(PeerStream { link, bus: bus.clone(), to, packets, clock, config })
    }

    /// Hands packets to their streams until the bus is closed.
    pub async fn run(mut self) {
        while let Some(received) = self.subscription.recv().await {
            let Received::Message(packet) = received else { continue };
            let stream = peek_source(&packet).ok().and_then(|source| self.streams.get(source));
            let result = match stream {
                None => "unknown",
                Some(stream) if stream.try_send(packet).is_ok() => "taken",
                Some(_) => "dropped",
            };
            metrics::counter!("rookery_peer_packets_total", "result" => result).increment(1);
        }
    }
}

impl PeerStream {
    /// Whether more may be sent than answers.
    pub fn has_room(&self) -> bool {
        let stats = self.link.stats();
        !self.link.is_full()
            && stats.ring_bytes < self.config.ring_max_bytes / ROOM_PART
            && stats.ring_cells < self.config.ring_max_cells / ROOM_PART
    }

    /// Sends a frame, in order; false if it was not taken.
    pub fn send(&mut self, frame: Bytes) -> bool {
        let now_ms = self.clock.now_ms();
        let is_taken = self.link.send(now_ms, frame).is_ok();
        self.transmit(now_ms);
        is_taken
    }

    /// What comes next; frames only if they are to be taken now. Losing the future loses nothing.
    pub async fn next(&mut self, takes: bool) -> StreamEvent {
        loop {
            let now_ms = self.clock.now_ms();
            self.link.handle_timeout(now_ms);
            self.transmit(now_ms);
            if takes && let Some(event) = self.poll_event() {
                return event;
            }
            let due_ms = self.link.poll_timeout();
            tokio::select! {
                packet = self.packets.recv() => {
                    // Without a bus only time passes.
                    let Some(packet) = packet else { return std::future::pending().await };
                    self.receive(packet);
                    // What waits besides is answered together.
                    while let Ok(packet) = self.packets.try_recv() {
                        self.receive(packet);
                    }
                }
                () = self.clock.reached(due_ms) => {}
            }
        }
    }

    fn receive(&mut self, packet: Bytes) {
        if let Err(reason) = self.link.handle_packet(self.clock.now_ms(), packet) {
            tracing::trace!(?reason, "a packet is not taken");
            metrics::counter!("rookery_peer_packets_refused_total").increment(1);
        }
    }

    fn poll_event(&mut self) -> Option<StreamEvent> {
        Some(match self.link.poll_event()? {
            Event::Frame(frame) => StreamEvent::Frame(frame),
            Event::Up { .. } => StreamEvent::Up,
            Event::Down => StreamEvent::Down,
            Event::Restarted { .. } => StreamEvent::Restarted,
            Event::InboundLost => StreamEvent::Broken("frames of it are missing"),
            Event::OutboundLost { .. } => StreamEvent::Broken("frames for it are lost"),
        })
    }

    fn transmit(&mut self, now_ms: u64) {
        while let Some(packet) = self.link.poll_transmit(now_ms) {
            match self.bus.publish(&self.to, packet) {
                // The relay sends again what does not arrive; the bus counts what it does not take.
                Ok(()) | Err(PublishError::Full | PublishError::Disconnected | PublishError::Closed) => {}
                Err(error @ PublishError::TooLarge { .. }) => {
                    tracing::error!(%error, "the bus takes smaller messages than the relay sends");
                }
            }
        }
    }

    /// Sends what was handed over, as far as the other side takes it soon; whether it took all of it.
    pub async fn finish(mut self) -> bool {
        let frames_lost = self.link.stats().frames_lost;
        let flushed = async {
            while self.link.is_up() && !self.link.is_flushed() {
                let now_ms = self.clock.now_ms();
                self.link.handle_timeout(now_ms);
                self.transmit(now_ms);
                let due_ms = self.link.poll_timeout();
                tokio::select! {
                    packet = self.packets.recv() => {
                        let Some(packet) = packet else { return };
                        self.receive(packet);
                    }
                    () = self.clock.reached(due_ms) => {}
                }
            }
        };
        if tokio::time::timeout(FINISH_WITHIN, flushed).await.is_err() {
            tracing::warn!(to = %self.to, "another region did not take what was said last");
        }
        // What was given up does not wait any more either.
        self.link.is_up() && self.link.is_flushed() && self.link.stats().frames_lost == frames_lost
    }
}
