//! Members hear each other.

use crate::common::*;
use rookery_model::voice::node::VoiceMemberFlags;

async fn hear_each_other(versions: (u8, u8), modes: (&'static str, &'static str)) {
    let world = World::new();
    let mut alice = world.join(5, 1, versions.0, modes.0).await;
    let mut bob = world.join(5, 2, versions.1, modes.1).await;
    assert_eq!(alice.wire.until(11).await["user_ids"], serde_json::json!(["2"]));
    assert_eq!(bob.wire.until(11).await["user_ids"], serde_json::json!(["1"]));
    for n in 0..20_u8 {
        let payload: Vec<u8> = (0..160).map(|at| at ^ n).collect();
        alice.say(&payload).await;
        let heard = bob.hear().await;
        assert_eq!((heard.of(), heard.payload_type, heard.first_byte), ((alice.ssrc, &payload[..]), 120, 0x80));
        let payload: Vec<u8> = (0..=n).collect();
        bob.say(&payload).await;
        assert_eq!(alice.hear().await.of(), (bob.ssrc, &payload[..]));
    }
    assert_eq!((alice.hear_now(), bob.hear_now()), (None, None), "nobody hears more, nor themselves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_version_8_and_aes() {
    hear_each_other((8, 8), (AES, AES)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_version_4_and_xchacha() {
    hear_each_other((4, 4), (XCHACHA, XCHACHA)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_versions_and_modes() {
    hear_each_other((4, 8), (AES, XCHACHA)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_rooms_hear_nothing() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let mut bob = world.join(5, 2, 8, AES).await;
    // Two rooms on two cores, and a third beside the first.
    let mut carol = world.join(6, 3, 8, AES).await;
    let mut dave = world.join(7, 4, 8, AES).await;
    alice.say(b"for my room").await;
    assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"for my room"[..]));
    let _ = world.node.load().await;
    assert_eq!((carol.hear_now(), dave.hear_now()), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packets_for_clients_are_plain_whatever_came() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let mut bob = world.join(5, 2, 8, AES).await;
    // Two contributing sources, an extension with an audio level, padding, and the payload type of a browser.
    let mut header = vec![0xb2, 0x80 | 111, 0, 9, 0, 0, 1, 0];
    header.extend(alice.ssrc.to_be_bytes());
    header.extend([0, 0, 0, 5, 0, 0, 0, 6, 0xbe, 0xde, 0, 1]);
    let packet = alice.seal(header, &[&[0x10, 0x85, 0, 0][..], b"opus", &[0, 0, 3]].concat());
    alice.udp.send(&packet).await.unwrap();
    let heard = bob.hear().await;
    assert_eq!((heard.first_byte, heard.payload_type, heard.of()), (0x80, 120, (alice.ssrc, &b"opus"[..])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mute_suppression_and_deafness_take_hold_when_they_are_answered() {
    let world = World::new();
    let mut alice = world.join(5, 1, 8, AES).await;
    let mut bob = world.join(5, 2, 8, AES).await;
    let speaker = VoiceMemberFlags::SPEAKER;
    let silenced = [
        VoiceMemberFlags { server_muted: true, ..speaker },
        VoiceMemberFlags { self_muted: true, ..speaker },
        VoiceMemberFlags { suppressed: true, ..speaker },
        VoiceMemberFlags { may_speak: false, ..speaker },
    ];
    for (flags, count) in silenced.into_iter().zip(1..) {
        world.node.update_member(key(1), flags).await.unwrap();
        alice.say(b"not to be heard").await;
        world.until_dropped("not_permitted", count).await;
        world.node.update_member(key(1), speaker).await.unwrap();
        alice.say(b"heard").await;
        assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"heard"[..]), "{flags:?}");
    }
    for deaf in
        [VoiceMemberFlags { server_deafened: true, ..speaker }, VoiceMemberFlags { self_deafened: true, ..speaker }]
    {
        world.node.update_member(key(2), deaf).await.unwrap();
        let before = world.node.load().await.packets_in;
        alice.say(b"not for bob").await;
        while world.node.load().await.packets_in == before {}
        world.node.update_member(key(2), speaker).await.unwrap();
        alice.say(b"for bob").await;
        assert_eq!(bob.hear().await.of(), (alice.ssrc, &b"for bob"[..]));
    }
}
