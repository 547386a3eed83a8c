//! Feedback of transport-wide congestion control, as the one who receives writes it.

use rookery_model::voice::Ssrc;

/// Bytes before the statuses.
const HEAD_BYTES: usize = 20;
/// What the time at the beginning counts in, and what the distances from it do.
const REFERENCE_US: u64 = 64_000;
const TICK_US: u64 = 250;
/// Statuses in one chunk of two bits for each.
const CHUNK: usize = 7;
/// The form of such a chunk.
const TWO_BITS_EACH: u16 = 0xc000;
/// Statuses of a packet that arrived, which are the bytes that its distance takes.
const SMALL: u16 = 1;
const LARGE: u16 = 2;

/// Packets that one feedback may tell of.
pub const PACKETS_MAX: usize = 1_024;

/// Tells when packets arrived, from the number `base` on, in microseconds of any clock; none for those that did not. Gives the
/// bytes written; none if there is no room, nothing arrived, or there are too many.
///
/// `count` counts feedback packets. Source: draft-holmer-rmcat-transport-wide-cc-extensions-01, section 3.1.
pub fn write(
    sender: Ssrc,
    media: Ssrc,
    count: u8,
    base: u16,
    arrivals: &[Option<u64>],
    buffer: &mut [u8],
) -> Option<usize> {
    let first_us = arrivals.iter().flatten().next()?;
    if arrivals.len() > PACKETS_MAX {
        return None;
    }
    let reference = first_us / REFERENCE_US;
    let zero_us = reference * REFERENCE_US;
    let ticks = |at_us: u64| (at_us as i64 - zero_us as i64).div_euclid(TICK_US as i64);
    let statuses_bytes = 2 * arrivals.len().div_ceil(CHUNK);
    let mut len = HEAD_BYTES + statuses_bytes;
    buffer.get_mut(HEAD_BYTES..len)?.fill(0);
    let mut last = 0;
    for (n, arrival) in arrivals.iter().enumerate() {
        let place = HEAD_BYTES + n / CHUNK * 2;
        let mut bits = u16::from_be_bytes([buffer[place], buffer[place + 1]]) | TWO_BITS_EACH;
        if let Some(at_us) = arrival {
            let at = ticks(*at_us);
            // Eight seconds are what fits; who is that late is late enough.
            let distance = (at - last).clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            last = at;
            let [high, low] = distance.to_be_bytes();
            let status = if high == 0 {
                *buffer.get_mut(len)? = low;
                SMALL
            } else {
                buffer.get_mut(len..len + 2)?.copy_from_slice(&[high, low]);
                LARGE
            };
            len += usize::from(status);
            bits |= status << (12 - 2 * (n % CHUNK));
        }
        buffer[place..place + 2].copy_from_slice(&bits.to_be_bytes());
    }
    let padding = len.next_multiple_of(4) - len;
    if padding > 0 {
        let place = buffer.get_mut(len..len + padding)?;
        place.fill(0);
        place[padding - 1] = padding as u8;
        len += padding;
    }
    let words = u16::try_from(len / 4 - 1).ok()?.to_be_bytes();
    let statuses = (arrivals.len() as u16).to_be_bytes();
    let [_, time @ ..] = (reference as u32).to_be_bytes();
    buffer[..4].copy_from_slice(&[if padding > 0 { 0xaf } else { 0x8f }, 205, words[0], words[1]]);
    buffer[4..8].copy_from_slice(&sender.0.to_be_bytes());
    buffer[8..12].copy_from_slice(&media.0.to_be_bytes());
    buffer[12..14].copy_from_slice(&base.to_be_bytes());
    buffer[14..16].copy_from_slice(&statuses);
    buffer[16..19].copy_from_slice(&time);
    buffer[19] = count;
    Some(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{self, Rtcp};

    fn told(packet: &[u8]) -> (u8, Vec<(u16, Option<i64>)>) {
        let mut told = None;
        rtcp::read(packet, |said| match said {
            Rtcp::TransportFeedback(twcc) => told = Some((twcc.feedback_packet_count(), twcc.packets().collect())),
            other => panic!("{other:?}"),
        })
        .unwrap();
        told.unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let arrivals =
            [Some(130_000), None, None, Some(131_000), Some(400_250), Some(399_000), None, None, Some(399_000), None];
        let mut buffer = [0; 128];
        let len = write(Ssrc(1), Ssrc(9), 7, 65_533, &arrivals, &mut buffer).unwrap();
        assert!(len.is_multiple_of(4));
        let (count, packets) = told(&buffer[..len]);
        let expected: Vec<_> =
            (0..10_u16).zip(arrivals).map(|(n, at)| (65_533_u16.wrapping_add(n), at.map(|at| at as i64))).collect();
        assert_eq!((count, packets), (7, expected));
    }

    #[test]
    fn every_length_and_room_that_is_missing() {
        let arrivals: Vec<_> = (0..40_u64).map(|n| (n % 3 != 1).then_some(1_000_000 + n * 300)).collect();
        for count in 1..=arrivals.len() {
            let mut buffer = [0; 256];
            let len = write(Ssrc(1), Ssrc(2), 0, 10, &arrivals[..count], &mut buffer).unwrap();
            assert_eq!(told(&buffer[..len]).1.len(), count);
            for short in 0..len {
                assert_eq!(write(Ssrc(1), Ssrc(2), 0, 10, &arrivals[..count], &mut buffer[..short]), None, "{short}");
            }
        }
        let mut buffer = [0; 8_192];
        assert_eq!(write(Ssrc(1), Ssrc(2), 0, 10, &[None, None], &mut buffer), None, "nothing arrived");
        assert_eq!(write(Ssrc(1), Ssrc(2), 0, 10, &[Some(1); PACKETS_MAX + 1], &mut buffer), None);
        assert!(write(Ssrc(1), Ssrc(2), 0, 10, &[Some(1); PACKETS_MAX], &mut buffer).is_some());
    }

    #[test]
    fn times_that_do_not_fit_are_the_furthest_that_do() {
        let mut buffer = [0; 64];
        let len = write(Ssrc(1), Ssrc(2), 0, 1, &[Some(64_000_000), Some(164_000_000)], &mut buffer).unwrap();
        assert_eq!(told(&buffer[..len]).1[1].1, Some(64_000_000 + 32_767 * 250));
    }
}
