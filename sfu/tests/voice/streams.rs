//! Go Live: rooms in which one member is seen and heard, no better than it may be shown.

use rookery_model::UserId;
use rookery_model::voice::node::{PrepareMember, VoiceMemberFlags, VoiceNodeRefusal, VoiceRoomSettings};
use rookery_model::voice::{StreamQuality, StreamSettings, VoiceRoomKind};
use serde_json::{Value, json};

use crate::common::*;

const STREAMER: u64 = 1;
const VP8: u8 = 103;

fn come(user: u64) -> PrepareMember {
    let settings = StreamSettings { streamer: UserId::new(STREAMER), viewers_max: 2, quality: StreamQuality::Standard };
    let is_streamer = user == STREAMER;
    let flags = VoiceMemberFlags {
        may_speak: is_streamer,
        may_stream: is_streamer,
        server_deafened: is_streamer,
        ..VoiceMemberFlags::default()
    };
    let kind = VoiceRoomKind::Stream(settings);
    let settings = VoiceRoomSettings { members_max: 3, kind, ..VoiceRoomSettings::default() };
    PrepareMember { flags, settings, ..prepare(5, user) }
}

async fn join(world: &World, user: u64) -> (Client, Value) {
    let prepared = world.node.prepare_member(come(user)).unwrap();
    let mut wire = world.connect("?v=8").await;
    let mut hello = identify(user, &prepared.token);
    hello["d"]["streams"] = json!([{"type": "screen", "rid": "100", "quality": 100}]);
    wire.send(hello).await;
    let ready = wire.until(2).await;
    let codecs = json!([
        {"name": "opus", "type": "audio", "priority": 1_000, "payload_type": 120},
        {"name": "VP8", "type": "video", "priority": 1_000, "payload_type": VP8, "rtx_payload_type": VP8 + 1}]);
    let client = Client::select_with(wire, user, prepared.token, &ready, AES, codecs).await;
    (client, ready["streams"][0].clone())
}

/// A picture that stands alone, of this size.
fn key_frame(width: u16, height: u16) -> Vec<u8> {
    let ([w, ww], [h, hh]) = (width.to_le_bytes(), height.to_le_bytes());
    vec![0x10, 0x50, 0, 0, 0x9d, 1, 0x2a, w, ww, h, hh, 1, 2, 3]
}

async fn show(streamer: &mut Client, ssrc: u32, frame: u16, picture: &[u8]) {
    show_at(streamer, ssrc, frame, u32::from(frame) * 3_000, picture).await;
}

async fn show_at(streamer: &mut Client, ssrc: u32, frame: u16, timestamp: u32, picture: &[u8]) {
    let mut header = vec![0x80, 0x80 | VP8];
    header.extend(frame.to_be_bytes());
    header.extend(timestamp.to_be_bytes());
    header.extend(ssrc.to_be_bytes());
    let packet = streamer.seal(header, picture);
    streamer.udp.send(&packet).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_streamer_is_heard_and_so_many_listen_as_may() {
    let world = World::new();
    let (mut streamer, _) = join(&world, STREAMER).await;
    let (mut viewer, _) = join(&world, 2).await;
    let (mut other, _) = join(&world, 3).await;
    assert_eq!(world.node.prepare_member(come(4)).err(), Some(VoiceNodeRefusal::Full));
    viewer.say(b"from the audience").await;
    world.until_dropped("not_permitted", 1).await;
    streamer.say(b"on the screen").await;
    for client in [&mut viewer, &mut other] {
        assert_eq!(client.hear().await.of(), (streamer.ssrc, &b"on the screen"[..]));
    }
    world.node.remove_member(key(3)).await.unwrap();
    assert!(world.node.prepare_member(come(4)).is_ok(), "another one instead");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_no_larger_than_was_granted() {
    let world = World::new();
    let (mut streamer, own) = join(&world, STREAMER).await;
    let ssrc = u32::try_from(own["ssrc"].as_u64().unwrap()).unwrap();
    let (mut viewer, _) = join(&world, 2).await;
    let full_hd = json!({"type": "fixed", "width": 1_920, "height": 1_080});
    let stream = json!({"type": "screen", "rid": "100", "ssrc": ssrc, "rtx_ssrc": own["rtx_ssrc"], "active": true,
        "quality": 100, "max_bitrate": 9_000_000, "max_framerate": 60, "max_resolution": full_hd});
    let video =
        json!({"audio_ssrc": streamer.ssrc, "video_ssrc": ssrc, "rtx_ssrc": own["rtx_ssrc"], "streams": [stream]});
    streamer.wire.send(json!({"op": 12, "d": video})).await;
    let told = viewer.wire.until(12).await;
    let granted = json!({"type": "fixed", "width": 1_280.0, "height": 720.0});
    assert_eq!((&told["streams"][0]["max_resolution"], &told["streams"][0]["max_framerate"]), (&granted, &json!(30.0)));

    viewer.wire.send(json!({"op": 15, "d": {"any": 100}})).await;
    let wants = streamer.wire.until(15).await;
    assert_eq!(
        wants,
        json!({"any": 100, "pixelCounts": {ssrc.to_string(): 921_600.0}}),
        "how large it is seen at most"
    );

    let small = key_frame(1_280, 720);
    show(&mut streamer, ssrc, 1, &small).await;
    assert_eq!(viewer.hear().await.of(), (ssrc, &small[..]));
    show(&mut streamer, ssrc, 2, &key_frame(1_920, 1_080)).await;
    show(&mut streamer, ssrc, 3, &[0x10, 0x51, 7]).await;
    world.until_dropped("over_policy", 2).await;
    assert_eq!(viewer.hear_now(), None);
    // Upright it is as good.
    let upright = key_frame(720, 1_280);
    show(&mut streamer, ssrc, 4, &upright).await;
    assert_eq!(viewer.hear().await.of(), (ssrc, &upright[..]));
    show(&mut streamer, ssrc, 5, &[0x10, 0x51, 9]).await;
    assert_eq!(viewer.hear().await.of(), (ssrc, &[0x10, 0x51, 9][..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_no_faster_than_was_granted() {
    let world = World::new();
    let (mut streamer, own) = join(&world, STREAMER).await;
    let ssrc = u32::try_from(own["ssrc"].as_u64().unwrap()).unwrap();
    let (mut viewer, _) = join(&world, 2).await;
    let stream = json!({"type": "screen", "rid": "100", "ssrc": ssrc, "rtx_ssrc": own["rtx_ssrc"], "active": true,
        "quality": 100, "max_bitrate": 4_000_000, "max_framerate": 60});
    let video =
        json!({"audio_ssrc": streamer.ssrc, "video_ssrc": ssrc, "rtx_ssrc": own["rtx_ssrc"], "streams": [stream]});
    streamer.wire.send(json!({"op": 12, "d": video})).await;
    viewer.wire.until(12).await;
    viewer.wire.send(json!({"op": 15, "d": {"any": 100}})).await;
    streamer.wire.until(15).await;

    // 60 frames a second by their timestamps, of which no other frame needs every second one.
    show_at(&mut streamer, ssrc, 100, 0, &key_frame(640, 360)).await;
    let mut heard = vec![viewer.hear().await];
    let (needed, not_needed) = ([0x10, 0x51, 1], [0x30, 0x51, 2]);
    for frame in 1..40 {
        let picture = if frame % 2 == 0 { needed } else { not_needed };
        show_at(&mut streamer, ssrc, 100 + frame, u32::from(frame) * 1_500, &picture).await;
        // The first few are a burst that may be.
        if frame % 2 == 0 || frame <= 5 {
            heard.push(viewer.hear().await);
            assert_eq!(heard.last().unwrap().payload, picture, "frame {frame}");
        }
    }
    world.until_dropped("over_policy", 17).await;
    assert_eq!(viewer.hear_now(), None);
    let numbers: Vec<u16> = heard.iter().map(|packet| packet.sequence.wrapping_sub(heard[0].sequence)).collect();
    assert_eq!(numbers, (0..23).collect::<Vec<u16>>(), "nothing seems to be missing");
}
