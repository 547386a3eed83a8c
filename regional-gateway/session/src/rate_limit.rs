//! How many payloads a connection may send.

/// A window of fixed length that opens with the first payload after the last one ended.
///
/// Client libraries count the same way, so one that keeps its own limit never meets this one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RateWindow {
    ends_at_ms: u64,
    events: u32,
}

impl RateWindow {
    /// Counts a payload; false if it is one too many.
    pub(crate) const fn admit(&mut self, now_ms: u64, max_events: u32, window_ms: u64) -> bool {
        if now_ms >= self.ends_at_ms {
            self.ends_at_ms = now_ms.saturating_add(window_ms);
            self.events = 0;
        }
        self.events = self.events.saturating_add(1);
        self.events <= max_events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_refused_and_the_next_window_is_free() {
        let mut window = RateWindow::default();
        assert!((0..120).all(|i| window.admit(1_000 + i, 120, 60_000)));
        assert!(!window.admit(60_999, 120, 60_000));
        assert!(window.admit(61_000, 120, 60_000));
    }
}
