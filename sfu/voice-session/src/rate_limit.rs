//! How many messages a connection may send.

/// A window of fixed length that opens with the first message after the last one ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RateWindow {
    ends_at_ms: u64,
    events: u32,
}

impl RateWindow {
    /// Counts a message; false if it is one too many.
    pub(crate) const fn admit(&mut self, now_ms: u64, max_events: u32, window_ms: u64) -> bool {
        if now_ms >= self.ends_at_ms {
            *self = Self { ends_at_ms: now_ms.saturating_add(window_ms), events: 0 };
        }
        self.events = self.events.saturating_add(1);
        self.events <= max_events
    }
}
