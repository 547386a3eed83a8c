//! Browsers' way to the node: offers and answers, and what nobody should send to its socket. Media with real browsers is in
//! `tests/tests/voice_browser.rs`.

use serde_json::{Value, json};
use std::net::Ipv4Addr;
use tokio::net::UdpSocket;

use crate::common::*;

const FINGERPRINT: &str =
    "sha-256 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF";

fn trimmed() -> String {
    format!(
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\na=ice-ufrag:Ab+1\na=ice-pwd:0123456789abcdefghijkl+/\n\
         a=fingerprint:{FINGERPRINT}\na=rtpmap:111 opus/48000/2\na=rtpmap:96 VP8/90000\na=rtpmap:97 rtx/90000"
    )
}

fn select(sdp: &str) -> Value {
    json!({"op": 1, "d": {"protocol": "webrtc", "data": sdp, "sdp": sdp, "rtc_connection_id": "d6b9", "codecs": [
        {"name": "opus", "type": "audio", "priority": 1_000, "payload_type": 111},
        {"name": "H264", "type": "video", "priority": 1_000, "payload_type": 102, "rtx_payload_type": 103}]}})
}

/// Somebody who identified.
async fn enter(world: &World, user: u64) -> (Wire, Value) {
    let prepared = world.node.prepare_member(prepare(5, user)).unwrap();
    let mut wire = world.connect("?v=8").await;
    wire.send(identify(user, &prepared.token)).await;
    let ready = wire.until(2).await;
    (wire, ready)
}

fn line<'a>(sdp: &'a str, begin: &str) -> &'a str {
    sdp.lines().find_map(|line| line.strip_prefix(begin)).unwrap_or_else(|| panic!("{begin} in {sdp}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_is_answered_and_others_are_told_of_who_made_it() {
    let world = World::new();
    let mut bot = world.join(5, 1, 8, AES).await;
    let (mut wire, ready) = enter(&world, 2).await;
    wire.send(select(&trimmed())).await;
    let description = wire.until(4).await;
    let sdp = description["sdp"].as_str().unwrap();
    let port = ready["port"].as_u64().unwrap();
    assert!(line(sdp, "a=candidate:").ends_with(&format!(" 127.0.0.1 {port} typ host")), "{sdp}");
    assert!(line(sdp, "a=fingerprint:").starts_with("sha-256 "), "{sdp}");
    assert_eq!((&description["audio_codec"], &description["video_codec"]), (&json!("opus"), &json!("VP8")));
    assert_eq!((description.get("secret_key"), description.get("mode")), (None, None));
    assert!(description["media_session_id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(bot.wire.until(11).await["user_ids"], json!(["2"]));
    assert_eq!(wire.until(11).await["user_ids"], json!(["1"]));

    // It chooses anew: another answer; then UDP, and is heard and hears.
    wire.send(select(&trimmed())).await;
    let again = wire.until(4).await;
    assert_ne!(line(again["sdp"].as_str().unwrap(), "a=ice-ufrag:"), line(sdp, "a=ice-ufrag:"));
    let mut client = Client::select(wire, 2, String::new(), &ready, XCHACHA).await;
    client.say(b"over UDP").await;
    assert_eq!(bot.hear().await.payload, b"over UDP");
    bot.say(b"as before").await;
    assert_eq!(client.hear().await.payload, b"as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_cannot_be_answered_have_their_codes_and_hurt_nobody() {
    let world = World::new();
    let (mut speaker, mut listener) = (world.join(5, 1, 8, AES).await, world.join(5, 2, 8, AES).await);
    let good = trimmed();
    let without_fingerprint: String =
        good.lines().filter(|line| !line.contains("finger")).map(|l| format!("{l}\n")).collect();
    let cases = [
        (without_fingerprint, 4_020),
        (good.replace("00:11:22", "00:11"), 4_020),
        (format!("{good}\nwhat is this"), 4_020),
        (format!("{good}\na=setup:passive"), 4_020),
        ("v=0".into(), 4_020),
        ("\u{0}".into(), 4_020),
        (format!("{good}\n{}", "m=audio 9 X 0\n".repeat(200)), 4_020),
        // Longer than any message may be.
        (format!("{good}\n{}", "a=x\n".repeat(6_520)), 4_002),
    ];
    for (n, (sdp, code)) in cases.into_iter().enumerate() {
        let (mut wire, _) = enter(&world, 3).await;
        wire.send(json!({"op": 1, "d": {"protocol": "webrtc", "data": sdp}})).await;
        assert_eq!(wire.close_code().await, Some(code), "{n}");
        speaker.say(&[n as u8]).await;
        assert_eq!(listener.hear().await.payload, [n as u8]);
    }
}

/// A connectivity check that nobody signed.
fn check(ufrags: &str) -> Vec<u8> {
    let mut message = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    message.extend([7; 12]);
    message.extend([0, 6]);
    message.extend((ufrags.len() as u16).to_be_bytes());
    message.extend(ufrags.as_bytes());
    message.resize(message.len().next_multiple_of(4), 0);
    // MESSAGE-INTEGRITY of somebody who guesses.
    message.extend([0, 8, 0, 20]);
    message.extend([9; 20]);
    // The checksum that every check has counts in the length, and is good.
    let length = (message.len() + 8 - 20) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    let sum = crc32(&message) ^ 0x5354_554e;
    message.extend([0x80, 0x28, 0, 4]);
    message.extend(sum.to_be_bytes());
    message
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum: u32, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_send_is_counted_and_nobody_hears_a_gap() {
    let world = World::with(|config| config.cores = Some(1));
    let (mut speaker, mut listener) = (world.join(5, 1, 8, AES).await, world.join(5, 2, 8, XCHACHA).await);
    let (mut wire, _) = enter(&world, 3).await;
    wire.send(select(&trimmed())).await;
    let description = wire.until(4).await;
    let ufrag = line(description["sdp"].as_str().unwrap(), "a=ice-ufrag:").to_owned();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    stranger.connect(speaker.media).await.unwrap();
    let mut client_hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 40, 1];
    client_hello.resize(53, 0xff);
    let garbage = [
        check(&format!("{ufrag}:Ab+1")),
        check(&format!("{ufrag}:other")),
        check("nobody:Ab+1"),
        check("without a colon"),
        client_hello,
        vec![20; 60],
        [&[0x80, 111][..], &[5; 40]].concat(),
        [&[0x80, 200, 0, 6][..], &[5; 24]].concat(),
        vec![0, 1, 0, 0],
        vec![255; 1_400],
        vec![],
    ];
    for n in 0..100_u8 {
        for datagram in &garbage {
            stranger.send(datagram).await.unwrap();
        }
        speaker.say(&[n]).await;
        let heard = listener.hear().await;
        assert_eq!((heard.payload.as_slice(), heard.sequence), ([n].as_slice(), u16::from(n) + 1));
    }
    for reason in ["web_rtc_bad_integrity", "web_rtc_unknown_ufrag", "web_rtc_foreign_address", "unknown_ssrc"] {
        world.until_dropped(reason, 100).await;
    }
    let mut answer = [0; 100];
    assert_eq!(recv_now(&stranger, &mut answer), None, "nobody answers strangers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_something_is_told_of_to_all_and_to_who_comes_later() {
    let world = World::new();
    let streamer = |user| {
        let mut prepare = prepare(5, user);
        prepare.flags.may_stream = true;
        world.node.prepare_member(prepare).unwrap()
    };
    let mut wire = world.connect("?v=8").await;
    let mut hello = identify(1, &streamer(1).token);
    hello["d"]["streams"] = json!([{"type": "video", "rid": "100", "quality": 100}]);
    hello["d"]["video"] = json!(true);
    wire.send(hello).await;
    let ready = wire.until(2).await;
    let own = ready["streams"][0].clone();
    wire.send(select(&trimmed())).await;
    wire.until(4).await;
    let mut early = world.join(5, 2, 8, AES).await;
    let stream = json!({"type": "screen", "rid": "100", "ssrc": 4_711, "rtx_ssrc": 4_712, "active": true, "quality": 100,
        "max_bitrate": 9_000_000, "max_framerate": 30.0, "max_resolution": {"type": "fixed", "width": 1_280.0, "height": 720.0}});
    wire.send(json!({"op": 12, "d": {"audio_ssrc": 1, "video_ssrc": 4_711, "rtx_ssrc": 4_712, "streams": [stream]}}))
        .await;
    let mut late = None;
    for round in 0..2 {
        let wire = if round == 0 { &mut early.wire } else { &mut late.insert(world.join(5, 3, 8, AES).await).wire };
        let told = wire.until(12).await;
        assert_eq!((&told["user_id"], &told["video_ssrc"]), (&json!("1"), &own["ssrc"]), "{told}");
        assert_eq!((&told["streams"][0]["ssrc"], &told["streams"][0]["rtx_ssrc"]), (&own["ssrc"], &own["rtx_ssrc"]));
        assert_eq!((&told["streams"][0]["type"], told["streams"][0].get("max_bitrate")), (&json!("screen"), None));
    }
    // A bot that says what it wants to see makes the publisher know; nobody looked before.
    early.wire.send(json!({"op": 15, "d": {"any": 50}})).await;
    assert_eq!(wire.until(15).await, json!({"any": 50}));
    // It may not any more.
    world.node.update_member(key(1), rookery_model::voice::node::VoiceMemberFlags::SPEAKER).await.unwrap();
    for wire in [&mut early.wire, &mut late.as_mut().unwrap().wire] {
        assert_eq!(wire.until(12).await["video_ssrc"], json!(0));
    }
}
