//! What a browser, or another node, is told of its own packets: when they arrived, which are missing, and how many were
//! lost.
//!
//! A browser's estimate of its path, and so its picture, depends on it.

use rookery_model::voice::Ssrc;
use rookery_rtp::rtcp::{self, Report};
use rookery_rtp::transport_feedback;
use smallvec::SmallVec;

/// Arrivals that wait to be told, and how long the first one waits.
const ARRIVALS_MAX: usize = 128;
const FEEDBACK_AFTER_US: u64 = 50_000;
/// Numbers that one feedback covers at most: what is further apart is not one path's loss.
const SPAN_MAX: usize = 512;
/// Packets of one stream that are asked for again. More at once are lost for good: a key frame follows.
const MISSING_MAX: usize = 48;
/// For packets that were merely overtaken.
const REORDERED_US: u64 = 8_000;
const ASK_AGAIN_US: u64 = 80_000;
const ASKED_MAX: u8 = 6;
/// Between two reports.
const REPORT_US: u64 = 1_000_000;
/// Streams that are reported on; of a browser sound and three layers, each of which may begin anew, over a link to another
/// node the pictures of all who show some there.
const STREAMS_MAX: usize = 28;

/// A packet that did not come.
#[derive(Clone, Copy, Debug)]
struct Missing {
    number: u16,
    due_us: u64,
    asked: u8,
}

/// What came of one SSRC.
#[derive(Clone, Debug)]
struct Stream {
    ssrc: Ssrc,
    clock_hz: u32,
    first: u32,
    /// With how often it began anew above it.
    highest: u32,
    received: u32,
    /// At the last report.
    expected_before: u32,
    received_before: u32,
    transit: u32,
    jitter_q4: u32,
    /// The middle of the last sender report's time, and when it came.
    sender_report: Option<(u32, u64)>,
    has_news: bool,
    missing: SmallVec<[Missing; 8]>,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub(super) struct Uplink {
    arrivals: Vec<(u16, u64)>,
    feedback_due_us: Option<u64>,
    /// The number behind the last one told.
    next: Option<u16>,
    count: u8,
    streams: SmallVec<[Stream; 2]>,
    report_due_us: Option<u64>,
}

impl Uplink {
    /// Notes the transport-wide number of a packet.
    pub(super) fn arrived(&mut self, now_us: u64, number: u16) {
        if self.arrivals.capacity() == 0 {
            self.arrivals.reserve_exact(ARRIVALS_MAX);
        }
        if self.arrivals.len() < ARRIVALS_MAX {
            self.arrivals.push((number, now_us));
        }
        let after_us = if self.arrivals.len() >= ARRIVALS_MAX / 2 { 0 } else { FEEDBACK_AFTER_US };
        let due_us = now_us + after_us;
        self.feedback_due_us = Some(self.feedback_due_us.map_or(due_us, |known| known.min(due_us)));
    }

    /// Notes a packet of a stream. Those that are missing before it are asked for again if that is of use.
    pub(super) fn received(&mut self, now_us: u64, ssrc: Ssrc, number: u16, timestamp: u32, clock_hz: u32, ask: bool) {
        self.report_due_us.get_or_insert(now_us + REPORT_US);
        let at = match self.streams.iter().position(|stream| stream.ssrc == ssrc) {
            Some(at) => at,
            None => {
                if self.streams.len() >= STREAMS_MAX {
                    self.streams.remove(0);
                }
                self.streams.push(Stream::new(ssrc, number, clock_hz));
                self.streams.len() - 1
            }
        };
        self.streams[at].note(now_us, number, timestamp, ask);
    }

    /// Notes a packet that was sent again.
    pub(super) fn recovered(&mut self, ssrc: Ssrc, number: u16) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            let before = stream.missing.len();
            stream.missing.retain(|missing| missing.number != number);
            stream.received += u32::from(stream.missing.len() < before);
        }
    }

    /// Notes a sender report.
    pub(super) fn sender_report(&mut self, now_us: u64, ssrc: Ssrc, ntp_timestamp: u64) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) {
            stream.sender_report = Some(((ntp_timestamp >> 16) as u32, now_us));
        }
    }

    /// When there is something to say.
    pub(super) fn due_us(&self) -> Option<u64> {
        let missing = self.streams.iter().flat_map(|stream| &stream.missing).map(|missing| missing.due_us).min();
        [self.feedback_due_us, self.report_due_us, missing].into_iter().flatten().min()
    }

    /// Says what is due, packet by packet; `buffer` is where it is written.
    pub(super) fn tell(&mut self, now_us: u64, own: Ssrc, buffer: &mut [u8], mut send: impl FnMut(&[u8])) {
        if self.feedback_due_us.is_some_and(|due_us| due_us <= now_us) {
            self.feedback_due_us = None;
            if let Some(len) = self.feedback(own, buffer) {
                send(&buffer[..len]);
            }
        }
        for stream in &mut self.streams {
            if let Some(len) = stream.nack(now_us, own, buffer) {
                send(&buffer[..len]);
            }
        }
        if self.report_due_us.is_some_and(|due_us| due_us <= now_us) {
            let streams = self.streams.iter_mut().filter(|stream| stream.has_news);
            let reports: SmallVec<[Report; STREAMS_MAX]> = streams.map(|stream| stream.report(now_us, own)).collect();
            self.report_due_us = None;
            if !reports.is_empty()
                && let Some(len) = rtcp::write_receiver_report(own, &reports, buffer)
            {
                send(&buffer[..len]);
            }
        }
    }

    fn feedback(&mut self, own: Ssrc, buffer: &mut [u8]) -> Option<usize> {
        let (newest, _) = *self.arrivals.last()?;
        // What was lost between two feedbacks is told by the second one.
        let ahead = |number: u16, of: u16| number.wrapping_sub(of) as i16;
        let oldest = self.arrivals.iter().map(|(number, _)| *number).min_by_key(|number| ahead(*number, newest))?;
        let base = self.next.filter(|next| (0..SPAN_MAX as i16 / 2).contains(&ahead(oldest, *next))).unwrap_or(oldest);
        let mut table = [None; SPAN_MAX];
        let mut len = 0;
        for (number, at_us) in self.arrivals.drain(..) {
            let place = usize::from(number.wrapping_sub(base));
            if place < SPAN_MAX {
                table[place] = Some(at_us);
                len = len.max(place + 1);
            }
        }
        let end = base.wrapping_add(len as u16);
        self.next = Some(self.next.filter(|next| ahead(*next, end) > 0 && ahead(*next, end) < 1_000).unwrap_or(end));
        let count = self.count;
        self.count = self.count.wrapping_add(1);
        let media = self.streams.first().map_or(Ssrc(0), |stream| stream.ssrc);
        transport_feedback::write(own, media, count, base, &table[..len], buffer)
    }
}

impl Stream {
    fn new(ssrc: Ssrc, number: u16, clock_hz: u32) -> Self {
        let first = u32::from(number);
        Self {
            ssrc,
            clock_hz,
            first,
            highest: first.wrapping_sub(1),
            received: 0,
            expected_before: 0,
            received_before: 0,
            transit: 0,
            jitter_q4: 0,
            sender_report: None,
            has_news: false,
            missing: SmallVec::new(),
        }
    }

    fn note(&mut self, now_us: u64, number: u16, timestamp: u32, ask: bool) {
        let ahead = number.wrapping_sub(self.highest as u16) as i16;
        self.has_news = true;
        if ahead <= 0 {
            let before = self.missing.len();
            self.missing.retain(|missing| missing.number != number);
            // Whoever is late was counted as missing, unless too much was.
            self.received += u32::from(self.missing.len() < before || !ask);
            return;
        }
        let ahead = ahead as u16;
        if ask && usize::from(ahead) > MISSING_MAX {
            self.missing.clear();
        } else if ask {
            let due_us = now_us + REORDERED_US;
            for before in (1..ahead).rev() {
                if self.missing.len() >= MISSING_MAX {
                    self.missing.remove(0);
                }
                self.missing.push(Missing { number: number.wrapping_sub(before), due_us, asked: 0 });
            }
        }
        self.highest = self.highest.wrapping_add(ahead.into());
        let is_first = self.received == 0;
        self.received += 1;
        let ticks = (u128::from(now_us) * u128::from(self.clock_hz) / 1_000_000) as u32;
        let transit = ticks.wrapping_sub(timestamp);
        let distance = (transit.wrapping_sub(self.transit) as i32).unsigned_abs();
        self.transit = transit;
        if !is_first && distance < self.clock_hz.saturating_mul(10) {
            self.jitter_q4 = (self.jitter_q4 + distance).saturating_sub((self.jitter_q4 + 8) >> 4);
        }
    }

    fn nack(&mut self, now_us: u64, own: Ssrc, buffer: &mut [u8]) -> Option<usize> {
        let mut due: SmallVec<[u16; MISSING_MAX]> = SmallVec::new();
        self.missing.retain(|missing| {
            if missing.due_us <= now_us {
                if missing.asked >= ASKED_MAX {
                    return false;
                }
                due.push(missing.number);
                (missing.due_us, missing.asked) = (now_us + ASK_AGAIN_US, missing.asked + 1);
            }
            true
        });
        if due.is_empty() { None } else { rtcp::write_nack(own, self.ssrc, due, buffer) }
    }

    fn report(&mut self, now_us: u64, own: Ssrc) -> Report {
        let expected = self.highest.wrapping_sub(self.first).wrapping_add(1);
        let lost = i64::from(expected) - i64::from(self.received);
        let expected_since = expected.wrapping_sub(self.expected_before);
        let lost_since = i64::from(expected_since) - i64::from(self.received.wrapping_sub(self.received_before));
        let fraction = (lost_since.max(0) as u64 * 256).checked_div(expected_since.into()).unwrap_or(0);
        (self.expected_before, self.received_before, self.has_news) = (expected, self.received, false);
        let (last_sender_report, since_us) =
            self.sender_report.map_or((0, 0), |(middle, at_us)| (middle, now_us.saturating_sub(at_us)));
        Report {
            reporter: own,
            ssrc: self.ssrc,
            fraction_lost: fraction.min(255) as u8,
            cumulative_lost: i32::try_from(lost).unwrap_or(i32::MAX),
            extended_sequence_number: self.highest,
            jitter: self.jitter_q4 >> 4,
            last_sender_report,
            delay_since_last_sender_report: u32::try_from(since_us * 65_536 / 1_000_000).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery_rtp::rtcp::Rtcp;

    const OWN: Ssrc = Ssrc(1);
    const VIDEO: Ssrc = Ssrc(9);

    #[derive(Debug, Default, PartialEq)]
    struct Said {
        arrivals: Vec<(u16, Option<i64>)>,
        nacks: Vec<u16>,
        reports: Vec<Report>,
    }

    fn tell(uplink: &mut Uplink, now_us: u64) -> Said {
        let mut said = Said::default();
        uplink.tell(now_us, OWN, &mut [0; 1_400], |packet| {
            rtcp::read(packet, |what| match what {
                Rtcp::TransportFeedback(twcc) => said.arrivals.extend(twcc.packets()),
                Rtcp::Nack { media_ssrc, packets } => {
                    assert_eq!(media_ssrc, VIDEO);
                    said.nacks.extend(packets.iter());
                }
                Rtcp::Report(report) => said.reports.push(report),
                other => panic!("{other:?}"),
            })
            .unwrap();
        });
        said
    }

    #[test]
    fn every_number_is_told_once_and_what_was_lost_between_two_feedbacks_too() {
        let mut uplink = Uplink::default();
        for number in [65_534, 65_535, 1] {
            uplink.arrived(1_000_000, number);
        }
        assert_eq!(uplink.due_us(), Some(1_050_000));
        assert_eq!(tell(&mut uplink, 1_049_999), Said::default());
        let at = Some(1_000_000);
        assert_eq!(tell(&mut uplink, 1_050_000).arrivals, [(65_534, at), (65_535, at), (0, None), (1, at)]);
        uplink.arrived(1_100_000, 4);
        let at = Some(1_100_000);
        assert_eq!(tell(&mut uplink, 1_150_000).arrivals, [(2, None), (3, None), (4, at)]);
        // Late, and told for itself.
        uplink.arrived(1_200_000, 3);
        assert_eq!(tell(&mut uplink, 1_250_000).arrivals, [(3, Some(1_200_000))]);
        uplink.arrived(1_300_000, 5);
        assert_eq!(tell(&mut uplink, 1_350_000).arrivals, [(5, Some(1_300_000))]);
    }

    #[test]
    fn many_are_told_at_once_and_numbers_far_apart_make_no_long_feedback() {
        let mut uplink = Uplink::default();
        for number in 0..500 {
            uplink.arrived(1_000_000, number);
        }
        assert_eq!(tell(&mut uplink, 1_000_000).arrivals.len(), ARRIVALS_MAX);
        uplink.arrived(2_000_000, 30_000);
        assert_eq!(tell(&mut uplink, 3_000_000).arrivals.len(), 1);
    }

    #[test]
    fn what_is_missing_is_asked_for_some_times_and_what_comes_no_more() {
        let mut uplink = Uplink::default();
        for number in [65_530, 65_533, 65_535, 2] {
            uplink.received(1_000_000, VIDEO, number, 0, 90_000, true);
        }
        assert_eq!(tell(&mut uplink, 1_007_000).nacks, Vec::<u16>::new(), "it may come yet");
        uplink.received(1_007_000, VIDEO, 0, 0, 90_000, true);
        uplink.recovered(VIDEO, 1);
        assert_eq!(tell(&mut uplink, 1_008_000).nacks, [65_531, 65_532, 65_534]);
        let mut asked = 1;
        for ms in 1_009..3_000 {
            asked += u32::from(!tell(&mut uplink, ms * 1_000).nacks.is_empty());
        }
        assert_eq!(asked, u32::from(ASKED_MAX));
        // A leap is not asked for.
        uplink.received(3_000_000, VIDEO, 1_000, 0, 90_000, true);
        assert_eq!(tell(&mut uplink, 3_900_000).nacks, Vec::<u16>::new());
    }

    #[test]
    fn reports_count_what_is_lost_and_answer_sender_reports() {
        let mut uplink = Uplink::default();
        for number in (100..200_u16).filter(|number| number % 4 != 0 || *number == 100) {
            let at_us = 1_000_000 + u64::from(number) * 20_000;
            uplink.received(at_us, VIDEO, number, u32::from(number) * 1_800, 90_000, false);
        }
        uplink.sender_report(5_000_000, VIDEO, 0x1111_2222_3333_4444);
        let report = tell(&mut uplink, 5_500_000).reports[0];
        assert_eq!((report.ssrc, report.extended_sequence_number, report.cumulative_lost), (VIDEO, 199, 24));
        assert_eq!(report.fraction_lost, (24 * 256 / 100) as u8);
        assert_eq!((report.last_sender_report, report.delay_since_last_sender_report), (0x2222_3333, 32_768));
        assert_eq!(report.jitter, 0, "an even stream");
        assert_eq!(tell(&mut uplink, 9_000_000).reports, [], "nothing came since");
    }
}
