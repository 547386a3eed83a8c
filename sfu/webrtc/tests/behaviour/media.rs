//! Sound and reports, both ways.

use rookery_model::voice::Ssrc;
use rookery_rtp::RtpHeader;
use rookery_webrtc::{DropReason, Received, SealError, SendError};
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;

use crate::world::World;

#[test]
fn each_hears_the_other_over_the_end_of_the_numbers() {
    let mut world = World::new();
    let (one, other) = (world.join(), world.join());
    world.connect();
    for n in 0..50_u8 {
        let now = world.now();
        world.clients[one].speak(now, &[n; 100]);
        world.clients[other].speak(now, &[100 + n; 60]);
        world.run(20);
    }
    for (listener, first, len) in [(other, 0, 100), (one, 100, 60)] {
        let heard = &world.clients[listener].heard;
        let expected: Vec<_> = (0..50_u8).map(|n| (65_531_u16.wrapping_add(n.into()), vec![first + n; len])).collect();
        assert_eq!(heard, &expected, "{listener}");
    }
    assert_eq!(world.endpoint.drops().total(), 0, "{:?}", world.endpoint.drops());
}

#[test]
fn whatever_encryption_a_client_has() {
    use SrtpProtectionProfile::*;
    let all = [Srtp_Aes128_Cm_Hmac_Sha1_80, Srtp_Aead_Aes_128_Gcm, Srtp_Aead_Aes_256_Gcm];
    let mut world = World::new();
    for profile in all {
        world.profiles = vec![profile];
        world.join();
    }
    world.profiles = all.to_vec();
    world.join();
    world.connect();
    let now = world.now();
    for n in 0..4 {
        world.clients[n].speak(now, &[n as u8; 80]);
        world.exchange();
    }
    // Which of several streams of one section a client plays is its own affair; each was sent three.
    for client in &world.clients {
        assert!(!client.heard.is_empty(), "{}", client.address);
    }
    assert_eq!(world.endpoint.drops().total(), 0, "{:?}", world.endpoint.drops());
}

#[test]
fn reports_come_and_go() {
    let mut world = World::new();
    let n = world.join();
    world.connect();
    let mut compounds = Vec::new();
    // What it sends, opened: its interceptors report of themselves once a second.
    let end_ms = world.now_ms + 5_000;
    while world.now_ms < end_ms && compounds.is_empty() {
        let now = world.now();
        world.clients[n].speak(now, b"opus");
        world.clients[n].handle_timeout(now);
        while let Some((_, datagram)) = world.clients[n].poll_transmit() {
            let from = world.clients[n].address;
            match world.endpoint.handle_datagram(world.now_ms, from, &mut datagram.to_vec()) {
                Received::Rtcp { compound, .. } => compounds.push(compound.to_vec()),
                Received::Dropped(reason) => panic!("{reason:?}"),
                _ => {}
            }
        }
        world.now_ms += 20;
    }
    let compound = compounds.first().expect("a report within five seconds");
    let mut reports = 0;
    let _ = rookery_rtp::rtcp::read(compound, |_| reports += 1);
    assert!(reports > 0, "{compound:?}");
}

#[test]
fn nothing_is_written_before_the_handshake_or_twice() {
    let mut world = World::new();
    let n = world.join();
    let header = RtpHeader { marker: false, payload_type: 111, sequence_number: 7, timestamp: 0, ssrc: Ssrc(1) };
    let mut buffer = [0; 1_500];
    let peer = world.endpoint.get_mut(world.peers[n]).unwrap();
    assert_eq!(peer.write_rtp(&header, b"opus", &mut buffer), Err(SendError::NotReady));
    assert_eq!(peer.write_rtcp(&[0x80, 201, 0, 1, 0, 0, 0, 1], &mut buffer), Err(SendError::NotReady));
    world.connect();
    let peer = world.endpoint.get_mut(world.peers[n]).unwrap();
    assert!(peer.write_rtp(&header, b"opus", &mut buffer).is_ok());
    assert_eq!(peer.write_rtp(&header, b"opus", &mut buffer), Err(SealError::NumberUsed.into()));
    let len = peer.write_rtcp(&[0x80, 201, 0, 1, 0, 0, 0, 1], &mut buffer).unwrap();
    // What the server wrote does not open as the client's.
    let from = world.clients[n].address;
    let received = world.endpoint.handle_datagram(world.now_ms, from, &mut buffer[..len]);
    assert!(matches!(received, Received::Dropped(DropReason::BadTag)), "{received:?}");
}
