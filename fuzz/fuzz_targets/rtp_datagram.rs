//! Datagrams to the voice socket: raw, and as what a member with a key encrypts.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rookery_model::voice::{EncryptionMode, SecretKey, Ssrc};
use rookery_rtp::{
    DatagramKind, Received, RtpPacket, Sealer, TransportCipher, UdpEndpoint, UdpLimits, classify, clear_len,
};

fuzz_target!(|data: &[u8]| {
    let client = "192.0.2.1:9".parse().expect("an address");
    let mut endpoint = UdpEndpoint::new(UdpLimits::default());
    let member = endpoint.insert(0, Ssrc(1_000), ()).expect("nobody has it");
    let key = SecretKey([7; 32]);
    endpoint.activate(0, member, EncryptionMode::Aes256Gcm, &key, None);

    let mut raw = data.to_vec();
    let received = endpoint.handle(0, client, &mut raw);
    assert!(!matches!(received, Received::Rtp { .. } | Received::Rtcp { .. }), "without the key");

    // The same, signed by a member.
    let mut packet = data.to_vec();
    if packet.len() < 12 {
        return;
    }
    packet[8..12].copy_from_slice(&1_000_u32.to_be_bytes());
    let plain = packet.clone();
    let kind = classify(&plain);
    let Ok(clear) = clear_len(&plain) else { return };
    packet.resize(plain.len() + 20, 0);
    let cipher = TransportCipher::new(EncryptionMode::Aes256Gcm, &key);
    Sealer::new([0; 4]).seal(&cipher, &mut packet, clear, plain.len()).expect("there is room");
    if kind == Some(DatagramKind::Rtp) {
        match (endpoint.handle(0, client, &mut packet), RtpPacket::parse(&plain)) {
            (Received::Rtp { packet, .. }, Ok(parsed)) => {
                assert_eq!(packet, parsed);
                assert!(packet.extensions().iter().count() <= plain.len());
            }
            (Received::Dropped(_), Err(_)) => {}
            (received, parsed) => panic!("{received:?} for {parsed:?}"),
        }
    }
});
