//! What a link keeps to.

use crate::wire::OVERHEAD_MAX;

/// The limits and times of a [`Link`](crate::Link); both ends of a stream should have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// The largest packet; below what the bus takes.
    pub packet_max_bytes: usize,
    /// Small frames share a packet up to this size.
    pub coalesce_bytes: usize,
    /// The largest frame.
    pub frame_max_bytes: usize,
    /// What may wait to be acknowledged; beyond, [`Link::is_full`](crate::Link::is_full). A frame more than this may be held.
    pub ring_max_bytes: usize,
    pub ring_max_cells: usize,
    /// What may be on its way: sent and not acknowledged.
    pub in_flight_max_bytes: usize,
    pub in_flight_max_cells: usize,
    /// What is held of a stream behind a gap; at least what the peer may have on its way.
    pub window_max_bytes: usize,
    pub window_max_cells: usize,
    /// What may wait for the caller to poll it; beyond, packets are not taken, and the peer sends them again.
    pub events_max_bytes: usize,
    pub events_max: usize,
    /// How long an acknowledgement waits for a packet to travel with.
    pub ack_delay_ms: u64,
    /// How long something missing may just be late.
    pub nack_delay_ms: u64,
    /// The shortest and the longest wait before the tail of a stream that is not acknowledged is told again.
    pub probe_min_ms: u64,
    pub probe_max_ms: u64,
    /// A link is never silent for longer.
    pub keep_alive_ms: u64,
    /// Silence after which the peer is down.
    pub down_after_ms: u64,
    /// How long a frame may wait without any being acknowledged before the stream is given up.
    pub lost_after_ms: u64,
    /// The first wait for an answer to a hello; it doubles up to `keep_alive_ms`.
    pub hello_ms: u64,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            packet_max_bytes: 512 * 1024,
            coalesce_bytes: 64 * 1024,
            frame_max_bytes: 16 * 1024 * 1024,
            ring_max_bytes: 32 * 1024 * 1024,
            ring_max_cells: 65_536,
            in_flight_max_bytes: 8 * 1024 * 1024,
            in_flight_max_cells: 16_384,
            window_max_bytes: 16 * 1024 * 1024,
            window_max_cells: 32_768,
            events_max_bytes: 16 * 1024 * 1024,
            events_max: 65_536,
            ack_delay_ms: 20,
            nack_delay_ms: 5,
            probe_min_ms: 50,
            probe_max_ms: 1_000,
            keep_alive_ms: 1_000,
            down_after_ms: 3_000,
            lost_after_ms: 10_000,
            hello_ms: 100,
        }
    }
}

impl RelayConfig {
    /// Every mistake, each by the name of its field.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let mut want = |holds: bool, text: &str| {
            if !holds {
                mistakes.push(text.to_owned());
            }
        };
        want(
            (2 * OVERHEAD_MAX..=u32::MAX as usize / 2).contains(&self.packet_max_bytes),
            "packet_max_bytes: at least 4096, and below 2 GiB",
        );
        want(self.coalesce_bytes <= self.packet_max_bytes, "coalesce_bytes: at most packet_max_bytes");
        want((1..=u32::MAX as usize).contains(&self.frame_max_bytes), "frame_max_bytes: at least 1, below 4 GiB");
        want(self.ring_max_bytes > 0, "ring_max_bytes: at least 1");
        want(self.ring_max_cells > 0, "ring_max_cells: at least 1");
        want(self.in_flight_max_bytes > 0, "in_flight_max_bytes: at least 1");
        want(self.in_flight_max_cells > 0, "in_flight_max_cells: at least 1");
        want(
            self.window_max_bytes >= self.in_flight_max_bytes + self.packet_max_bytes,
            "window_max_bytes: at least in_flight_max_bytes and packet_max_bytes together",
        );
        want(
            (self.in_flight_max_cells..=1 << 20).contains(&self.window_max_cells),
            "window_max_cells: at least in_flight_max_cells, at most 1048576",
        );
        want(self.events_max_bytes > 0, "events_max_bytes: at least 1");
        want(self.events_max > 0, "events_max: at least 1");
        want(self.probe_min_ms > 0, "probe_min_ms: at least 1");
        want(self.probe_max_ms >= self.probe_min_ms, "probe_max_ms: at least probe_min_ms");
        want(self.hello_ms > 0, "hello_ms: at least 1");
        want(self.keep_alive_ms >= self.hello_ms, "keep_alive_ms: at least hello_ms");
        want(self.down_after_ms >= 2 * self.keep_alive_ms, "down_after_ms: at least twice keep_alive_ms");
        want(
            self.lost_after_ms >= 2 * self.probe_max_ms.max(self.ack_delay_ms),
            "lost_after_ms: at least twice probe_max_ms and ack_delay_ms",
        );
        mistakes
    }

    /// The largest part of a frame in one packet.
    pub(crate) const fn cell_max_bytes(&self) -> usize {
        self.packet_max_bytes - OVERHEAD_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_mistakes_are_told_together() {
        assert_eq!(RelayConfig::default().mistakes(), Vec::<String>::new());
        let config =
            RelayConfig { packet_max_bytes: 100, window_max_cells: 1, down_after_ms: 0, ..RelayConfig::default() };
        // The coalescing size is above the packet's as well.
        assert_eq!(config.mistakes().len(), 4, "{:?}", config.mistakes());
    }
}
