//! Bytes that nobody thought of.

use crate::common::*;
use proptest::prelude::*;
use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use rookery_rtp::{Received, RtpHeader, RtpPacket, classify, rtcp};

proptest! {
    #[test]
    fn no_datagram_panics_or_passes_for_a_members(
        datagram in proptest::collection::vec(any::<u8>(), 0..120),
        from in 0_u8..3,
        head in prop::sample::select(vec![0x80_u8, 0x90, 0xb1, 0, 22]),
    ) {
        let mut endpoint = endpoint();
        join(&mut endpoint, ALICE, address(1), KEY);
        let mut datagram = datagram;
        if datagram.len() > 12 {
            datagram[0] = head;
            datagram[8..12].copy_from_slice(&ALICE.0.to_be_bytes());
        }
        classify(&datagram);
        let received = endpoint.handle(0, address(from), &mut datagram);
        let is_taken = matches!(received, Received::Rtp { .. } | Received::Rtcp { .. });
        prop_assert!(!is_taken);
    }

    #[test]
    fn no_rtcp_panics(mut compound in proptest::collection::vec(any::<u8>(), 0..200), kind in 199_u8..=207, fmt in 0_u8..32) {
        if let [first, second, high, ..] = &mut compound[..] {
            (*first, *second, *high) = (0x80 | fmt, kind, 0);
        }
        if let Some(words) = (compound.len() / 4).checked_sub(1) {
            compound.truncate(4 * (words + 1));
            if compound.len() >= 4 {
                compound[3] = words as u8;
            }
        }
        let _ = rtcp::read(&compound, |said| match said {
            rtcp::Rtcp::Nack { packets, .. } => assert!(packets.iter().count() <= 17 * 50),
            rtcp::Rtcp::TransportFeedback(twcc) => assert!(twcc.packets().count() <= 4_096),
            rtcp::Rtcp::Remb { ssrcs, .. } => assert!(ssrcs.iter().count() <= 64),
            _ => {}
        });
    }

    #[test]
    fn what_is_written_is_read(
        marker: bool, payload_type in 0_u8..128, sequence_number: u16, timestamp: u32, ssrc: u32,
        payload in proptest::collection::vec(any::<u8>(), 0..1_200),
        xchacha: bool, key: [u8; 32],
    ) {
        let mode = EncryptionMode::ALL[usize::from(xchacha)];
        let key = SecretKey(key);
        let mut endpoint = endpoint();
        let member = endpoint.insert(0, ALICE, "member").expect("nobody has it");
        endpoint.activate(0, member, mode, &key, None);
        let header = RtpHeader { marker, payload_type, sequence_number, timestamp, ssrc: Ssrc(ssrc) };
        let mut buffer = vec![0; 1_500];
        let len = endpoint.get_mut(member).expect("there").write_rtp(&header, &payload, &mut buffer).expect("room");
        let packet = Client::new(ALICE, mode, &key).open_rtp(&mut buffer[..len]).expect("decrypts");
        let packet = RtpPacket::parse(&packet).expect("RTP");
        prop_assert_eq!((packet.header, packet.payload()), (header, &payload[..]));
    }

    #[test]
    fn any_bit_that_changes_on_the_way_is_noticed(bit in 0_usize..36 * 8, xchacha: bool) {
        let mode = EncryptionMode::ALL[usize::from(xchacha)];
        let mut client = Client::new(ALICE, mode, &KEY);
        let mut packet = client.rtp(b"opus");
        packet[bit / 8] ^= 1 << (bit % 8);
        // A changed first byte makes another split of clear and encrypted, or no packet.
        prop_assert_eq!(client.open_rtp(&mut packet), None);
    }
}
