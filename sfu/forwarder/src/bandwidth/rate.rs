//! Bits per second over the last half second.

const BUCKET_US: u64 = 50_000;
const BUCKETS: usize = 10;

/// Counts bytes by the time at which they passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct RateMeter {
    buckets: [u32; BUCKETS],
    /// Number of the newest bucket since the beginning of time.
    newest: u64,
    oldest: u64,
    started: bool,
}

impl RateMeter {
    pub(crate) fn add(&mut self, at_us: u64, bytes: u32) {
        let bucket = at_us / BUCKET_US;
        if !self.started {
            (self.started, self.newest, self.oldest) = (true, bucket, bucket);
        }
        self.advance(bucket);
        // What is older than the window, or from before a clock that went back, counts as newest.
        let age = self.newest.saturating_sub(bucket);
        let at = if age < BUCKETS as u64 { bucket } else { self.newest };
        let held = &mut self.buckets[(at % BUCKETS as u64) as usize];
        *held = held.saturating_add(bytes);
    }

    fn advance(&mut self, bucket: u64) {
        if bucket <= self.newest {
            return;
        }
        if bucket - self.newest >= BUCKETS as u64 {
            // After a pause it is measured anew.
            self.buckets = [0; BUCKETS];
            self.oldest = bucket;
        } else {
            for passed in self.newest + 1..=bucket {
                self.buckets[(passed % BUCKETS as u64) as usize] = 0;
            }
        }
        self.newest = bucket;
        self.oldest = self.oldest.max(bucket.saturating_sub(BUCKETS as u64 - 1));
    }

    /// None until there is enough to tell.
    pub(crate) fn bps(&self) -> Option<u64> {
        let buckets = self.newest - self.oldest;
        if !self.started || buckets < 3 {
            return None;
        }
        // The newest bucket is not full yet.
        let newest = (self.newest % BUCKETS as u64) as usize;
        let bytes: u64 =
            self.buckets.iter().enumerate().filter(|(at, _)| *at != newest).map(|(_, b)| u64::from(*b)).sum();
        Some(bytes * 8 * 1_000_000 / (buckets.min(BUCKETS as u64 - 1) * BUCKET_US))
    }

    /// As [`bps`](Self::bps), at a moment at which nothing may have passed for a while.
    pub(crate) fn bps_at(&mut self, now_us: u64) -> Option<u64> {
        if self.started {
            self.advance(now_us / BUCKET_US);
        }
        self.bps()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_stream_has_its_rate_and_a_pause_is_forgotten() {
        let mut meter = RateMeter::default();
        for packet in 0..200_u64 {
            meter.add(packet * 10_000, 1_250);
        }
        let bps = meter.bps().unwrap();
        assert!((950_000..=1_050_000).contains(&bps), "{bps}");
        meter.add(60_000_000, 1_250);
        assert_eq!(meter.bps(), None);
    }

    #[test]
    fn nothing_passed_is_a_rate_too() {
        let mut meter = RateMeter::default();
        for packet in 0..100_u64 {
            meter.add(packet * 10_000, 1_250);
        }
        assert!(meter.bps_at(1_300_000).unwrap() < 500_000);
    }
}
