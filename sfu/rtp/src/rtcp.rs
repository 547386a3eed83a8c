//! RTCP: what others report and ask for.
//!
//! `rtcp-types` finds the parts where they lie, without allocating; of the crates looked at, webrtc-rs' and str0m's make
//! vectors of them. REMB, which it leaves out, is read here.

use rookery_model::voice::Ssrc;
use rtcp_types::prelude::*;
use rtcp_types::{
    Compound, FciFeedbackPacketType, Fir, Nack, Packet, PayloadFeedback, Pli, RtcpParseError, TransportFeedback, Twcc,
    TwccPacketStatus,
};

/// Packets that one transport-wide feedback may tell of; what is beyond is passed over, or a small packet could make much
/// work.
const TWCC_PACKETS_MAX: usize = 4_096;
/// Sources that one message may name.
const REMB_SSRCS_MAX: usize = 64;

/// One thing that a compound packet says.
#[derive(Debug)]
pub enum Rtcp<'a> {
    /// A sender relates its timestamps to the clock on the wall.
    SenderReport {
        ssrc: Ssrc,
        /// In 1/2^32 seconds since 1900.
        ntp_timestamp: u64,
        rtp_timestamp: u32,
        packet_count: u32,
        octet_count: u32,
    },
    /// How somebody's stream arrives.
    Report(Report),
    /// A source is gone.
    Bye(Ssrc),
    /// Packets are asked for again.
    Nack { media_ssrc: Ssrc, packets: Nacks<'a> },
    /// A key frame is asked for, because the picture is lost.
    Pli { media_ssrc: Ssrc },
    /// A key frame is asked for, for somebody who just came.
    Fir { media_ssrc: Ssrc, sequence_number: u8 },
    /// How many bits a second the receiver takes.
    Remb { bitrate_bps: u64, ssrcs: RembSsrcs<'a> },
    /// When each packet arrived.
    TransportFeedback(TransportWide<'a>),
}

/// How a stream arrives (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub reporter: Ssrc,
    pub ssrc: Ssrc,
    /// In 1/256 since the last report.
    pub fraction_lost: u8,
    /// Since the beginning; duplicates make it negative.
    pub cumulative_lost: i32,
    /// The highest sequence number, with how often it began anew above it.
    pub extended_sequence_number: u32,
    /// In units of the timestamp.
    pub jitter: u32,
    /// The middle of the NTP timestamp of the last sender report.
    pub last_sender_report: u32,
    /// In 1/65536 seconds.
    pub delay_since_last_sender_report: u32,
}

/// Sequence numbers of packets that are asked for again.
#[derive(Debug)]
pub struct Nacks<'a>(Nack<'a>);

impl Nacks<'_> {
    /// In the order in which they are named.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.0.entries()
    }
}

/// Feedback of transport-wide congestion control.
#[derive(Debug)]
pub struct TransportWide<'a>(Twcc<'a>);

impl<'a> TransportWide<'a> {
    /// Counts the feedback packets, so that a lost one is noticed.
    pub fn feedback_packet_count(&self) -> u8 {
        self.0.feedback_packet_count()
    }
    /// Each packet with when it arrived, in microseconds of the receiver's own clock; none if it did not.
    ///
    /// Ends where the feedback is malformed.
    pub fn packets(&self) -> impl Iterator<Item = (u16, Option<i64>)> + use<'a> {
        let mut at_us = i64::from(self.0.reference_time()) * 64_000;
        self.0.packets().take(TWCC_PACKETS_MAX).map_while(move |packet| {
            let (sequence_number, status) = packet.ok()?;
            let arrived_us = match status {
                TwccPacketStatus::NotReceived => None,
                TwccPacketStatus::Received { delta } => {
                    at_us += i64::from(delta) * 250;
                    Some(at_us)
                }
            };
            Some((sequence_number, arrived_us))
        })
    }
}

/// The streams that a REMB is about.
#[derive(Clone, Copy, Debug)]
pub struct RembSsrcs<'a>(&'a [u8]);

impl RembSsrcs<'_> {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Ssrc> + '_ {
        self.0.as_chunks::<4>().0.iter().map(|bytes| Ssrc(u32::from_be_bytes(*bytes)))
    }
}

/// draft-alvestrand-rmcat-remb-03, section 2.2.
struct Remb<'a> {
    bitrate_bps: u64,
    ssrcs: &'a [u8],
}

impl<'a> FciParser<'a> for Remb<'a> {
    const PACKET_TYPE: FciFeedbackPacketType = FciFeedbackPacketType::PAYLOAD;
    const FCI_FORMAT: u8 = 15;

    fn parse(data: &'a [u8]) -> Result<Self, RtcpParseError> {
        let [b'R', b'E', b'M', b'B', count, exponent, high, low, ssrcs @ ..] = data else {
            return Err(RtcpParseError::WrongImplementation);
        };
        let bytes = 4 * usize::from(*count);
        if ssrcs.len() < bytes || usize::from(*count) > REMB_SSRCS_MAX {
            return Err(RtcpParseError::Truncated { expected: 8 + bytes, actual: data.len() });
        }
        let mantissa = u64::from(u32::from_be_bytes([0, exponent & 0x03, *high, *low]));
        let shift = u32::from(exponent >> 2);
        let bitrate_bps = mantissa.checked_shl(shift).filter(|bits| bits >> shift == mantissa).unwrap_or(u64::MAX);
        Ok(Self { bitrate_bps, ssrcs: &ssrcs[..bytes] })
    }
}

/// Why bytes are no RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the packet is no compound of RTCP packets")]
pub struct RtcpError;

impl From<RtcpParseError> for RtcpError {
    fn from(_: RtcpParseError) -> Self {
        Self
    }
}

/// Reads a compound packet, or a single one (RFC 5506), and tells each thing that it says.
///
/// What is not known is passed over. Of a packet that fails, what came before the mistake was told.
pub fn read<'a>(compound: &'a [u8], mut tell: impl FnMut(Rtcp<'a>)) -> Result<(), RtcpError> {
    for packet in Compound::parse(compound)? {
        match packet? {
            Packet::Sr(sr) => {
                tell(Rtcp::SenderReport {
                    ssrc: Ssrc(sr.ssrc()),
                    ntp_timestamp: sr.ntp_timestamp(),
                    rtp_timestamp: sr.rtp_timestamp(),
                    packet_count: sr.packet_count(),
                    octet_count: sr.octet_count(),
                });
                sr.report_blocks().for_each(|block| tell(Rtcp::Report(report(sr.ssrc(), &block))));
            }
            Packet::Rr(rr) => {
                rr.report_blocks().for_each(|block| tell(Rtcp::Report(report(rr.ssrc(), &block))));
            }
            Packet::Bye(bye) => bye.ssrcs().for_each(|ssrc| tell(Rtcp::Bye(Ssrc(ssrc)))),
            Packet::TransportFeedback(feedback) => transport_feedback(&feedback, &mut tell),
            Packet::PayloadFeedback(feedback) => payload_feedback(&feedback, &mut tell),
            Packet::App(_) | Packet::Sdes(_) | Packet::Xr(_) | Packet::Unknown(_) => {}
        }
    }
    Ok(())
}

fn report(reporter: u32, block: &rtcp_types::ReportBlock<'_>) -> Report {
    // 24 bits with a sign.
    let cumulative_lost = ((block.cumulative_lost() << 8) as i32) >> 8;
    Report {
        reporter: Ssrc(reporter),
        ssrc: Ssrc(block.ssrc()),
        fraction_lost: block.fraction_lost(),
        cumulative_lost,
        extended_sequence_number: block.extended_sequence_number(),
        jitter: block.interarrival_jitter(),
        last_sender_report: block.last_sender_report_timestamp(),
        delay_since_last_sender_report: block.delay_since_last_sender_report_timestamp(),
    }
}

fn transport_feedback<'a>(feedback: &TransportFeedback<'a>, tell: &mut impl FnMut(Rtcp<'a>)) {
    let media_ssrc = Ssrc(feedback.media_ssrc());
    if let Ok(nack) = feedback.parse_fci::<Nack<'a>>() {
        tell(Rtcp::Nack { media_ssrc, packets: Nacks(nack) });
    } else if let Ok(twcc) = feedback.parse_fci::<Twcc<'a>>() {
        tell(Rtcp::TransportFeedback(TransportWide(twcc)));
    }
}

fn payload_feedback<'a>(feedback: &PayloadFeedback<'a>, tell: &mut impl FnMut(Rtcp<'a>)) {
    if feedback.parse_fci::<Pli<'a>>().is_ok() {
        tell(Rtcp::Pli { media_ssrc: Ssrc(feedback.media_ssrc()) });
    } else if let Ok(fir) = feedback.parse_fci::<Fir<'a>>() {
        fir.entries().for_each(|entry| {
            tell(Rtcp::Fir { media_ssrc: Ssrc(entry.ssrc()), sequence_number: entry.sequence() });
        });
    } else if let Ok(Remb { bitrate_bps, ssrcs }) = feedback.parse_fci::<Remb<'a>>() {
        tell(Rtcp::Remb { bitrate_bps, ssrcs: RembSsrcs(ssrcs) });
    }
}

/// Bytes of a [PLI](write_pli).
pub const PLI_BYTES: usize = 12;

/// Asks for a key frame (RFC 4585, section 6.3.1).
pub fn write_pli(sender: Ssrc, media: Ssrc) -> [u8; PLI_BYTES] {
    let mut packet = [0x81, 206, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    packet[4..8].copy_from_slice(&sender.0.to_be_bytes());
    packet[8..12].copy_from_slice(&media.0.to_be_bytes());
    packet
}

/// Bytes of a [sender report](write_sender_report) without reports on others.
pub const SENDER_REPORT_BYTES: usize = 28;

/// Relates a stream's timestamps to a clock (RFC 3550, section 6.4.1).
pub fn write_sender_report(
    ssrc: Ssrc,
    ntp_timestamp: u64,
    rtp_timestamp: u32,
    packet_count: u32,
    octet_count: u32,
) -> [u8; SENDER_REPORT_BYTES] {
    let mut packet = [0; SENDER_REPORT_BYTES];
    packet[..4].copy_from_slice(&[0x80, 200, 0, 6]);
    packet[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
    packet[8..16].copy_from_slice(&ntp_timestamp.to_be_bytes());
    packet[16..20].copy_from_slice(&rtp_timestamp.to_be_bytes());
    packet[20..24].copy_from_slice(&packet_count.to_be_bytes());
    packet[24..].copy_from_slice(&octet_count.to_be_bytes());
    packet
}

/// Microseconds as a sender report tells them: in 1/2^32 seconds.
pub const fn ntp_timestamp(us: u64) -> u64 {
    ((us / 1_000_000) << 32) | (((us % 1_000_000) << 32) / 1_000_000)
}

/// Asks for packets again (RFC 4585, section 6.2.1); the sequence numbers ascend. Gives the bytes written, none if there
/// is no room.
pub fn write_nack(
    sender: Ssrc,
    media: Ssrc,
    packets: impl IntoIterator<Item = u16>,
    buffer: &mut [u8],
) -> Option<usize> {
    let mut len = 12;
    let mut entry: Option<(u16, u16)> = None;
    let mut put = |(first, mask): (u16, u16)| {
        let place = buffer.get_mut(len..len + 4)?;
        place[..2].copy_from_slice(&first.to_be_bytes());
        place[2..].copy_from_slice(&mask.to_be_bytes());
        len += 4;
        Some(())
    };
    for number in packets {
        entry = Some(match entry {
            Some((first, mask)) => match number.wrapping_sub(first) {
                0 => (first, mask),
                ahead @ 1..=16 => (first, mask | 1 << (ahead - 1)),
                _ => {
                    put((first, mask))?;
                    (number, 0)
                }
            },
            None => (number, 0),
        });
    }
    put(entry?)?;
    let words = u16::try_from(len / 4 - 1).ok()?;
    buffer[..4].copy_from_slice(&[0x81, 205, words.to_be_bytes()[0], words.to_be_bytes()[1]]);
    buffer[4..8].copy_from_slice(&sender.0.to_be_bytes());
    buffer[8..12].copy_from_slice(&media.0.to_be_bytes());
    Some(len)
}

/// Reports how streams arrive, 31 at most (RFC 3550, section 6.4.2); those are passed over whose reporter is another.
/// Gives the bytes written, none if there is no room.
pub fn write_receiver_report(sender: Ssrc, reports: &[Report], buffer: &mut [u8]) -> Option<usize> {
    let mut len = 8;
    let mut count = 0_u8;
    for report in reports.iter().filter(|report| report.reporter == sender).take(31) {
        let block = buffer.get_mut(len..len + 24)?;
        block[..4].copy_from_slice(&report.ssrc.0.to_be_bytes());
        let lost = report.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        block[4..8].copy_from_slice(&(u32::from(report.fraction_lost) << 24 | lost).to_be_bytes());
        block[8..12].copy_from_slice(&report.extended_sequence_number.to_be_bytes());
        block[12..16].copy_from_slice(&report.jitter.to_be_bytes());
        block[16..20].copy_from_slice(&report.last_sender_report.to_be_bytes());
        block[20..24].copy_from_slice(&report.delay_since_last_sender_report.to_be_bytes());
        len += 24;
        count += 1;
    }
    let head = buffer.get_mut(..8)?;
    let words = (len / 4 - 1) as u16;
    head[..4].copy_from_slice(&[0x80 | count, 201, words.to_be_bytes()[0], words.to_be_bytes()[1]]);
    head[4..].copy_from_slice(&sender.0.to_be_bytes());
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(compound: &[u8]) -> Result<Vec<String>, RtcpError> {
        let mut all = Vec::new();
        read(compound, |said| {
            all.push(match said {
                Rtcp::SenderReport { ssrc, ntp_timestamp, rtp_timestamp, packet_count, octet_count } => {
                    format!("sr {ssrc} {ntp_timestamp} {rtp_timestamp} {packet_count} {octet_count}")
                }
                Rtcp::Report(report) => format!("{report:?}"),
                Rtcp::Bye(ssrc) => format!("bye {ssrc}"),
                Rtcp::Nack { media_ssrc, packets } => {
                    format!("nack {media_ssrc} {:?}", packets.iter().collect::<Vec<_>>())
                }
                Rtcp::Pli { media_ssrc } => format!("pli {media_ssrc}"),
                Rtcp::Fir { media_ssrc, sequence_number } => format!("fir {media_ssrc} {sequence_number}"),
                Rtcp::Remb { bitrate_bps, ssrcs } => {
                    format!("remb {bitrate_bps} {:?}", ssrcs.iter().collect::<Vec<_>>())
                }
                Rtcp::TransportFeedback(twcc) => format!("twcc {:?}", twcc.packets().collect::<Vec<_>>()),
            });
        })?;
        Ok(all)
    }

    #[test]
    fn a_compound_of_report_description_and_goodbye() {
        let sr = [
            0x81, 200, 0, 12, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, // sender
            0, 0, 0, 7, 64, 0xff, 0xff, 0xff, 0, 1, 0, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 11, // report
        ];
        let sdes = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'c', 0];
        let bye = [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let report = Report {
            reporter: Ssrc(1),
            ssrc: Ssrc(7),
            fraction_lost: 64,
            cumulative_lost: -1,
            extended_sequence_number: 65_544,
            jitter: 9,
            last_sender_report: 10,
            delay_since_last_sender_report: 11,
        };
        let expected = ["sr 1 8589934595 4 5 6".to_owned(), format!("{report:?}"), "bye 1".into(), "bye 2".into()];
        assert_eq!(told(&[&sr[..], &sdes, &bye].concat()), Ok(expected.to_vec()));
        let mut buffer = [0; 64];
        let len = write_receiver_report(Ssrc(1), &[report], &mut buffer).unwrap();
        assert_eq!(told(&buffer[..len]), Ok(vec![format!("{report:?}")]));
        assert_eq!(buffer[8..32], sr[28..]);
    }

    #[test]
    fn what_asks_for_packets_and_pictures() {
        assert_eq!(told(&write_pli(Ssrc(1), Ssrc(9))), Ok(vec!["pli 9".into()]));
        let fir = [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9, 5, 0, 0, 0];
        assert_eq!(told(&fir), Ok(vec!["fir 9 5".into()]));
        let mut buffer = [0; 64];
        let lost = [65_530, 65_531, 65_535, 3, 10, 11, 12_000];
        let len = write_nack(Ssrc(1), Ssrc(9), lost, &mut buffer).unwrap();
        assert_eq!((len, told(&buffer[..len])), (12 + 4 * 3, Ok(vec![format!("nack 9 {lost:?}")])));
        assert_eq!(write_nack(Ssrc(1), Ssrc(9), [], &mut buffer), None);
        assert_eq!(write_nack(Ssrc(1), Ssrc(9), [1, 100], &mut buffer[..16]), None);
    }

    #[test]
    fn remb_with_mantissa_and_exponent() {
        let remb = |exponent_and_mantissa: [u8; 3]| {
            let mut packet = vec![0x8f, 206, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1];
            packet.extend(exponent_and_mantissa);
            packet.extend([0, 0, 0, 9]);
            packet
        };
        assert_eq!(told(&remb([0x0b, 0xd0, 0x90])), Ok(vec![format!("remb {} [Ssrc(9)]", 0x3_d090 * 4)]));
        assert_eq!(told(&remb([0xff, 0xff, 0xff])), Ok(vec![format!("remb {} [Ssrc(9)]", u64::MAX)]));
        let mut other = remb([0, 0, 1]);
        other[12] = b'X';
        assert_eq!(told(&other), Ok(vec![]), "somebody else's message of the same number");
        let mut too_many = remb([0, 0, 1]);
        too_many[16] = 2;
        assert_eq!(told(&too_many), Ok(vec![]));
    }

    #[test]
    fn arrival_times_add_up() {
        // Base 10, 4 packets, reference 1 (64 ms): received after 1 ms, lost, received after 2 ms, received 0.25 ms before.
        let twcc =
            [0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 9, 0, 10, 0, 4, 0, 0, 1, 7, 0xd1, 0x80, 4, 8, 0xff, 0xff, 0, 0];
        let expected = [(10, Some(65_000)), (11, None), (12, Some(67_000)), (13, Some(66_750))];
        assert_eq!(told(&twcc), Ok(vec![format!("twcc {expected:?}")]));
    }

    #[test]
    fn a_small_packet_makes_little_work() {
        // Runs of lost packets: 65,535 of them in 36 bytes.
        let mut twcc = vec![0x8f, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0xff, 0xff, 0, 0, 1, 7];
        twcc.extend([0x1f, 0xff].repeat(8));
        let mut packets = 0;
        read(&twcc, |said| {
            if let Rtcp::TransportFeedback(twcc) = said {
                packets = twcc.packets().count()
            }
        })
        .unwrap();
        assert_eq!(packets, TWCC_PACKETS_MAX);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for bad in [
            &[][..],
            &[0x80],
            &[0x80, 200, 0, 9, 0, 0, 0, 1],
            &[0x00, 201, 0, 1, 0, 0, 0, 1],
            &[0x80, 201, 0, 1, 0, 0, 0],
        ] {
            assert_eq!(told(bad), Err(RtcpError), "{bad:?}");
        }
        assert_eq!(told(&[0x80, 201, 0, 1, 0, 0, 0, 1]), Ok(vec![]), "nothing to report");
    }
}
