//! Requests for key frames of one stream: many receivers' wishes are one request, and not too often.

use crate::config::VideoConfig;

/// What has been asked of a publisher.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyFrameRequests {
    asked_us: Option<u64>,
    /// Somebody wished for one after that.
    wished: bool,
}

impl KeyFrameRequests {
    /// Somebody needs one. Whether to ask for it now; otherwise [`poll`](Self::poll) will say so.
    pub(crate) fn wish(&mut self, now_us: u64, config: &VideoConfig) -> bool {
        self.wished = true;
        self.poll(now_us, true, config)
    }

    /// Whether to ask now; `waiting` is whether anybody still needs one.
    pub(crate) fn poll(&mut self, now_us: u64, waiting: bool, config: &VideoConfig) -> bool {
        let passed_us = self.asked_us.map_or(u64::MAX, |at_us| now_us.saturating_sub(at_us));
        let due = (self.wished && passed_us >= config.key_frame_interval_us)
            || (waiting && passed_us >= config.key_frame_retry_us);
        if due {
            *self = Self { asked_us: Some(now_us), wished: false };
        }
        due
    }

    /// One came.
    pub(crate) fn arrived(&mut self) {
        self.wished = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_are_one_request_and_one_more_when_it_is_time() {
        let (config, mut requests) = (VideoConfig::default(), KeyFrameRequests::default());
        let asked = (0..1_000_u64).filter(|n| requests.wish(5_000_000 + n * 1_000, &config)).count();
        assert_eq!(asked, 2, "at once and after half a second");
    }

    #[test]
    fn it_is_asked_again_while_somebody_waits() {
        let (config, mut requests) = (VideoConfig::default(), KeyFrameRequests::default());
        assert!(requests.wish(0, &config));
        assert!(!requests.poll(900_000, true, &config));
        assert!(requests.poll(1_000_000, true, &config));
        requests.arrived();
        assert!(!requests.poll(9_000_000, false, &config));
    }
}
