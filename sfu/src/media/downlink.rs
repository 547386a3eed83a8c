//! What a browser is told of the streams that it gets: at which moment each was where.
//!
//! By that it plays a voice and the picture that belongs to it at the same time (RFC 3550, section 6.4.1).

use rookery_model::voice::Ssrc;
use rookery_rtp::rtcp;
use smallvec::SmallVec;

/// Streams of one browser that are remembered: those that it got last.
const STREAMS_MAX: usize = 48;
/// Between two reports on a stream, and after how long a silence there is none.
const REPORT_US: u64 = 1_000_000;
const SILENT_US: u64 = 2_000_000;

/// What was sent of one stream.
#[derive(Clone, Copy, Debug)]
struct Sent {
    ssrc: Ssrc,
    clock_hz: u32,
    /// The first packet of the newest frame.
    at_us: u64,
    timestamp: u32,
    packets: u32,
    octets: u32,
    reported_us: Option<u64>,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Downlink {
    streams: SmallVec<[Sent; 2]>,
    due_us: Option<u64>,
}

impl Downlink {
    /// Notes a packet that goes out.
    pub(super) fn sent(&mut self, now_us: u64, ssrc: Ssrc, timestamp: u32, payload_bytes: usize, clock_hz: u32) {
        let at = match self.streams.iter().position(|stream| stream.ssrc == ssrc) {
            Some(at) => at,
            None => {
                if self.streams.len() >= STREAMS_MAX {
                    let oldest = self.streams.iter().enumerate().min_by_key(|(_, stream)| stream.at_us);
                    let oldest = oldest.map_or(0, |(at, _)| at);
                    self.streams.swap_remove(oldest);
                }
                let (packets, octets, reported_us) = (0, 0, None);
                self.streams.push(Sent { ssrc, clock_hz, at_us: now_us, timestamp, packets, octets, reported_us });
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[at];
        // Where a frame begins; what is late or belongs to the same frame says nothing.
        if timestamp.wrapping_sub(stream.timestamp) as i32 > 0 {
            (stream.at_us, stream.timestamp) = (now_us, timestamp);
        }
        stream.packets = stream.packets.wrapping_add(1);
        stream.octets = stream.octets.wrapping_add(payload_bytes as u32);
        // The first one soon: until then nothing is in time.
        if stream.reported_us.is_none() || self.due_us.is_none() {
            let due_us = stream.reported_us.map_or(now_us, |at_us| at_us + REPORT_US);
            self.due_us = Some(self.due_us.map_or(due_us, |known| known.min(due_us)));
        }
    }

    /// When there is something to say.
    pub(super) const fn due_us(&self) -> Option<u64> {
        self.due_us
    }

    /// Says what is due, packet by packet. Only distances between moments count, so the clock may have begun at any time.
    pub(super) fn tell(&mut self, now_us: u64, mut send: impl FnMut(&[u8])) {
        if self.due_us.is_none_or(|due_us| due_us > now_us) {
            return;
        }
        self.due_us = None;
        let live = self.streams.iter_mut().filter(|stream| now_us.saturating_sub(stream.at_us) < SILENT_US);
        for stream in live {
            if stream.reported_us.is_none_or(|at_us| at_us + REPORT_US <= now_us) {
                stream.reported_us = Some(now_us);
                let passed_us = now_us.saturating_sub(stream.at_us);
                let ticks = passed_us * u64::from(stream.clock_hz) / 1_000_000;
                let timestamp = stream.timestamp.wrapping_add(ticks as u32);
                let ntp = rtcp::ntp_timestamp(now_us);
                send(&rtcp::write_sender_report(stream.ssrc, ntp, timestamp, stream.packets, stream.octets));
            }
            let due_us = stream.reported_us.map_or(now_us, |at_us| at_us + REPORT_US);
            self.due_us = Some(self.due_us.map_or(due_us, |known| known.min(due_us)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_rtp::rtcp::Rtcp;

    fn told(downlink: &mut Downlink, now_us: u64) -> Vec<(u32, u64, u32, u32, u32)> {
        let mut told = Vec::new();
        downlink.tell(now_us, |packet| {
            rtcp::read(packet, |said| match said {
                Rtcp::SenderReport { ssrc, ntp_timestamp, rtp_timestamp, packet_count, octet_count } => {
                    // Back to microseconds, rounded.
                    let us = (u128::from(ntp_timestamp) * 1_000_000 + (1 << 31)) >> 32;
                    told.push((ssrc.0, us as u64, rtp_timestamp, packet_count, octet_count));
                }
                other => panic!("{other:?}"),
            })
            .unwrap();
        });
        told
    }

    #[test]
    fn a_voice_and_its_picture_are_placed_on_one_clock() {
        let mut downlink = Downlink::default();
        downlink.sent(1_000_000, Ssrc(1), u32::MAX - 479, 100, 48_000);
        downlink.sent(1_010_000, Ssrc(2), 9_000, 1_000, 90_000);
        assert_eq!(downlink.due_us(), Some(1_000_000));
        assert_eq!(told(&mut downlink, 1_020_000), [(1, 1_020_000, 480, 1, 100), (2, 1_020_000, 9_900, 1, 1_000)]);
        downlink.sent(1_040_000, Ssrc(1), 1_440, 50, 48_000);
        assert_eq!(downlink.due_us(), Some(2_020_000));
        assert_eq!(told(&mut downlink, 2_019_999), []);
        let second = told(&mut downlink, 2_020_000);
        assert_eq!(second[0], (1, 2_020_000, 1_440 + 47_040, 2, 150));
    }

    #[test]
    fn a_stream_that_fell_silent_is_not_told_of_until_it_goes_on() {
        let mut downlink = Downlink::default();
        downlink.sent(0, Ssrc(1), 0, 1, 48_000);
        assert_eq!(told(&mut downlink, 0).len(), 1);
        assert_eq!(told(&mut downlink, 1_000_000).len(), 1);
        assert_eq!(told(&mut downlink, 2_000_000), []);
        assert_eq!(downlink.due_us(), None, "nothing is waited for");
        downlink.sent(9_000_000, Ssrc(1), 7, 1, 48_000);
        assert_eq!(told(&mut downlink, 9_000_000).len(), 1);
    }

    #[test]
    fn of_very_many_the_oldest_are_forgotten() {
        let mut downlink = Downlink::default();
        for n in 0..200 {
            downlink.sent(n, Ssrc(n as u32), 0, 1, 48_000);
        }
        let told = told(&mut downlink, 200);
        assert_eq!(told.len(), STREAMS_MAX);
        assert!(told.iter().all(|(ssrc, ..)| *ssrc >= 200 - STREAMS_MAX as u32));
    }
}
