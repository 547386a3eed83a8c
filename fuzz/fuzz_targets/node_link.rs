//! Datagrams between two voice nodes: raw, and as the other end encrypts them, whatever it means by them.
//!
//! The data is a row of datagrams: one byte for the kind, two for the length, and what is encrypted.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rookery_model::voice::LinkKey;
use rookery_node_link::{FIRST_BYTE, LinkConfig, MediaHeader, NodeLink, Received, link_id};

const ID: u64 = 7;
const KEYS: [[u8; 32]; 2] = [[1; 32], [2; 32]];
const DATAGRAM_MAX: usize = 1_500;

/// As the crate's head describes it.
fn seal(key: &LessSafeKey, kind: u8, count: u64, body: &[u8]) -> Vec<u8> {
    let mut datagram = count.to_be_bytes().to_vec();
    (datagram[0], datagram[1]) = (FIRST_BYTE, kind);
    datagram.extend(ID.to_be_bytes());
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&count.to_be_bytes());
    let mut sealed = body.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(&datagram), &mut sealed).expect("there is room");
    datagram.extend(sealed);
    datagram
}

fuzz_target!(|data: &[u8]| {
    let link =
        |seal: [u8; 32], open: [u8; 32]| NodeLink::new(LinkConfig::default(), ID, &LinkKey(seal), &LinkKey(open));
    let (mut here, mut there) = (link(KEYS[0], KEYS[1]), link(KEYS[1], KEYS[0]));
    let mut raw = data.to_vec();
    let _ = link_id(&raw);
    assert!(matches!(here.handle_datagram(0, &mut raw), Received::Dropped(_)), "without the key");
    assert!(!here.is_up());

    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEYS[1]).expect("32 bytes"));
    let (mut rest, mut count, mut now_us) = (data, 0, 0);
    while let [kind, high, low, body @ ..] = rest {
        let (body, behind) = body.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(body.len()));
        (rest, count, now_us) = (behind, count + 1, now_us + 10_000);
        let datagram = seal(&key, *kind, count, body);
        if let Received::Media(header, payload) = here.handle_datagram(now_us, &mut datagram.clone()) {
            // What is read is written as the same.
            let mut buffer = vec![0; usize::from(u16::MAX) + DATAGRAM_MAX];
            let (mut reader, mut writer) = (link(KEYS[0], KEYS[1]), link(KEYS[1], KEYS[0]));
            let len = reader.poll_transmit(now_us, &mut buffer).expect("it says that it is there");
            assert_eq!(writer.handle_datagram(now_us, &mut buffer[..len]), Received::Said);
            let len = writer.write_media(&header, payload, &mut buffer).expect("there is room");
            let again = reader.handle_datagram(now_us, &mut buffer[..len]);
            let same = |other: &MediaHeader, bytes: &[u8]| *other == header && bytes == payload;
            assert!(matches!(again, Received::Media(other, bytes) if same(&other, bytes)));
        }
        assert!(here.is_up(), "with the key");
        assert!(matches!(here.handle_datagram(now_us, &mut datagram.clone()), Received::Dropped(_)), "twice");
        while here.poll_event().is_some() {}
        // What it answers can be read.
        let mut buffer = [0; DATAGRAM_MAX];
        while let Some(len) = here.poll_transmit(now_us, &mut buffer) {
            let answer = there.handle_datagram(now_us, &mut buffer[..len]);
            assert!(!matches!(answer, Received::Dropped(_)), "{answer:?}");
        }
        if here.poll_timeout() <= now_us {
            here.handle_timeout(now_us);
        }
    }
});
