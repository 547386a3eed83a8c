//! The round-trip time, smoothed as TCP does it (RFC 6298).

/// An estimate in integers: eight times the mean, four times the deviation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rtt {
    mean_x8: u64,
    deviation_x4: u64,
    measured: bool,
}

/// A sample is no longer than this: what takes longer says nothing about the way.
const SAMPLE_MAX_MS: u64 = 60_000;

impl Rtt {
    pub(crate) fn sample(&mut self, rtt_ms: u64) {
        let rtt_ms = rtt_ms.min(SAMPLE_MAX_MS);
        if self.measured {
            let error = rtt_ms.abs_diff(self.mean_x8 / 8);
            self.deviation_x4 = self.deviation_x4 - self.deviation_x4 / 4 + error;
            self.mean_x8 = self.mean_x8 - self.mean_x8 / 8 + rtt_ms;
        } else {
            *self = Self { mean_x8: rtt_ms * 8, deviation_x4: rtt_ms * 2, measured: true };
        }
    }

    pub(crate) fn mean_ms(self) -> Option<u64> {
        self.measured.then_some(self.mean_x8 / 8)
    }

    /// How long to wait for an answer; nothing until there is a sample.
    pub(crate) fn timeout_ms(self) -> u64 {
        self.mean_x8 / 8 + self.deviation_x4
    }

    /// How long most answers take.
    pub(crate) fn early_timeout_ms(self) -> u64 {
        self.mean_x8 / 8 + self.deviation_x4 / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_way() {
        let mut rtt = Rtt::default();
        assert_eq!((rtt.mean_ms(), rtt.timeout_ms()), (None, 0));
        rtt.sample(100);
        assert_eq!((rtt.mean_ms(), rtt.timeout_ms()), (Some(100), 300));
        for _ in 0..100 {
            rtt.sample(10);
        }
        assert!(rtt.mean_ms().unwrap() < 20 && rtt.timeout_ms() < 40, "{rtt:?}");
        rtt.sample(u64::MAX);
        assert!(rtt.timeout_ms() < 2 * SAMPLE_MAX_MS);
    }
}
