//! What is written for a client is what the client reads.

use crate::common::*;
use rookery_model::voice::{EncryptionMode, SecretKey};
use rookery_rtp::extension::{AudioLevel, ElementWriter, native};
use rookery_rtp::{CipherError, OVERHEAD_BYTES, RtpPacket, SendError, rtcp};

#[test]
fn packets_with_and_without_extension_in_both_modes() {
    for mode in EncryptionMode::ALL {
        let mut endpoint = endpoint();
        let member = join(&mut endpoint, ALICE, address(1), KEY);
        endpoint.activate(0, member, mode, &KEY, Some(address(1)));
        let member = endpoint.get_mut(member).expect("there");
        assert_eq!((member.mode(), member.address()), (Some(mode), Some(address(1))));
        let (mut client, mut sender) = (Client::new(ALICE, mode, &KEY), Client::new(BOB, mode, &KEY));
        let mut buffer = [0xaa; 1_500];
        let header = sender.header();
        let len = member.write_rtp(&header, b"opus", &mut buffer).expect("room");
        assert_eq!(len, 12 + 4 + OVERHEAD_BYTES);
        let packet = client.open_rtp(&mut buffer[..len]).expect("decrypts");
        assert_eq!(packet[0], 0x80, "no contributing sources and no padding, which not every library takes off");
        assert_eq!((RtpPacket::parse(&packet).expect("RTP").header, &packet[12..]), (header, &b"opus"[..]));

        let mut elements = [0; 16];
        let mut writer = ElementWriter::new(&mut elements);
        let level = AudioLevel { voice: true, below_overload_db: 30 };
        assert!(writer.push(native::AUDIO_LEVEL, &[level.to_byte()]) && writer.push(native::SPEAKER, &[2, 3, 4]));
        let len = member.write_rtp_with(&header, writer.finish(), b"opus", &mut buffer).expect("room");
        let packet = client.open_rtp(&mut buffer[..len]).expect("decrypts");
        let packet = RtpPacket::parse(&packet).expect("RTP");
        assert_eq!(packet.extensions().get(native::AUDIO_LEVEL).and_then(AudioLevel::read), Some(level));
        assert_eq!((packet.extensions().get(native::SPEAKER), packet.payload()), (Some(&[2, 3, 4][..]), &b"opus"[..]));

        let pli = rtcp::write_pli(BOB, ALICE);
        let len = member.write_rtcp(&pli, &mut buffer).expect("room");
        assert_eq!(client.open_rtcp(&mut buffer[..len]).expect("decrypts"), pli);
    }
}

#[test]
fn nothing_is_written_without_key_or_room() {
    let mut endpoint = endpoint();
    let member = endpoint.insert(0, ALICE, "member").expect("nobody has it");
    let header = Client::aes(BOB).header();
    let mut buffer = [0; 35];
    let write = |endpoint: &mut rookery_rtp::UdpEndpoint<_>, buffer: &mut [u8]| {
        endpoint.get_mut(member).expect("there").write_rtp(&header, b"opus", buffer)
    };
    let mut large = [0; 36];
    assert_eq!(write(&mut endpoint, &mut large), Err(SendError::NotReady));
    endpoint.activate(0, member, EncryptionMode::Aes256Gcm, &KEY, None);
    assert_eq!(write(&mut endpoint, &mut buffer), Err(SendError::Cipher(CipherError::Length)));
    assert_eq!(write(&mut endpoint, &mut large), Ok(36));
    let member = endpoint.get_mut(member).expect("there");
    assert_eq!(member.write_rtcp(&[0; 40], &mut buffer), Err(SendError::Cipher(CipherError::Length)));
}

#[test]
fn the_servers_nonces_keep_away_from_the_clients() {
    for first in [0, 5, 0x7fff_ffff, 0xffff_fff0_u32] {
        let mut endpoint = endpoint();
        let member = join(&mut endpoint, ALICE, address(1), KEY);
        let mut client = Client::aes(ALICE);
        let mut nonces = Vec::new();
        for _ in 0..=first % 7 {
            let packet = client.rtp(b"opus");
            nonces.push(u32::from_be_bytes(*packet.last_chunk().expect("four bytes")));
            assert!(matches!(handle(&mut endpoint, 0, address(1), &packet), Outcome::Rtp(..)));
        }
        let mut buffer = [0; 64];
        let header = Client::aes(BOB).header();
        let len = endpoint.get_mut(member).expect("there").write_rtp(&header, b"opus", &mut buffer).expect("room");
        let own = u32::from_be_bytes(*buffer[..len].last_chunk().expect("four bytes"));
        let newest = *nonces.last().expect("one");
        assert_eq!(own.wrapping_sub(newest), 1 << 31);
    }
}

#[test]
fn another_selection_means_another_key_and_the_old_one_is_good_for_nothing() {
    let mut endpoint = endpoint();
    let member = join(&mut endpoint, ALICE, address(1), KEY);
    let mut old = Client::aes(ALICE);
    let key = SecretKey([9; 32]);
    endpoint.activate(5, member, EncryptionMode::XChaCha20Poly1305, &key, Some(address(1)));
    assert_eq!(
        handle(&mut endpoint, 6, address(1), &old.rtp(b"opus")),
        Outcome::Dropped(rookery_rtp::DropReason::BadTag)
    );
    let mut new = Client::new(ALICE, EncryptionMode::XChaCha20Poly1305, &key);
    assert_eq!(handle(&mut endpoint, 6, address(1), &new.rtp(b"opus")), Outcome::Rtp(member, b"opus".to_vec()));
}
