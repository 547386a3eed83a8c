//! SPEAKING, VIDEO, media sink wants, session updates, and what the room tells.

use crate::common::*;
use rookery_model::UserId;
use rookery_model::voice::{
    ClientDisconnect, ClientFlags, ClientPlatform, ClientsConnect, MediaSinkWants, Quality, SessionUpdateEvent,
    SpeakingFlags, Ssrc, VideoEvent, VideoStream, VoiceCloseCode,
};
use rookery_voice_session::{Event, Payload, ServerEvent};
use serde_json::{Value, json};

fn told(payload: &Value) -> Option<Event> {
    let mut session = session(8);
    send(&mut session, 1, payload);
    session.poll_event()
}

#[test]
fn speaking_with_the_flags_of_all_versions() {
    let cases = [
        (json!(0), SpeakingFlags::empty()),
        (json!(1), SpeakingFlags::VOICE),
        (json!(5), SpeakingFlags::VOICE | SpeakingFlags::PRIORITY),
        (json!(2), SpeakingFlags::SOUNDSHARE),
        (json!(9), SpeakingFlags::VOICE),
        (json!(true), SpeakingFlags::VOICE),
        (json!(false), SpeakingFlags::empty()),
    ];
    for (speaking, flags) in cases {
        let payload = json!({"op": 5, "d": {"speaking": speaking, "delay": 0, "ssrc": OWN}});
        assert_eq!(told(&payload), Some(Event::Speaking { ssrc: OWN, flags }));
    }
}

#[test]
fn without_an_ssrc_its_own_is_meant_and_another_is_refused() {
    let flags = SpeakingFlags::VOICE;
    for d in [json!({"speaking": 1}), json!({"speaking": 1, "ssrc": 0}), json!({"speaking": 1, "ssrc": null})] {
        assert_eq!(told(&json!({"op": 5, "d": d})), Some(Event::Speaking { ssrc: OWN, flags }), "{d}");
    }
    let spoofed = json!({"op": 5, "d": {"speaking": 1, "ssrc": 4_000}});
    assert_eq!(told(&spoofed), Some(Event::Close(VoiceCloseCode::BadRequest)));
}

#[test]
fn a_browser_names_the_ssrc_that_it_chose() {
    let mut session = session(8);
    send(&mut session, 1, &json!({"op": 1, "d": {"protocol": "webrtc", "data": "a=ice-ufrag:x"}}));
    send(&mut session, 1, &json!({"op": 5, "d": {"speaking": 1, "ssrc": 4_000}}));
    let speaking = Event::Speaking { ssrc: Ssrc(4_000), flags: SpeakingFlags::VOICE };
    assert_eq!(events(&mut session).last(), Some(&speaking));
}

#[test]
fn video_of_its_own_is_told_and_of_others_refused() {
    let video = |video_ssrc: u32, rtx_ssrc: u32, stream: u32| {
        json!({"op": 12, "d": {"audio_ssrc": OWN, "video_ssrc": video_ssrc, "rtx_ssrc": rtx_ssrc, "streams": [
            {"type": "video", "rid": "100", "ssrc": stream, "active": true, "quality": 100, "rtx_ssrc": OWN_RTX,
             "max_bitrate": 9_000_000, "max_framerate": 60, "max_resolution": {"type": "source", "width": 0, "height": 0}}]}})
    };
    let Some(Event::Video(told_video)) = told(&video(OWN_VIDEO.0, OWN_RTX.0, OWN_VIDEO.0)) else { panic!("no VIDEO") };
    assert_eq!((told_video.video_ssrc, told_video.streams.len()), (OWN_VIDEO, 1));
    assert_eq!(told_video.streams[0].max_bitrate, Some(9_000_000));
    let cleared = json!({"op": 12, "d": {"audio_ssrc": OWN, "video_ssrc": 0, "rtx_ssrc": 0, "streams": []}});
    assert!(matches!(told(&cleared), Some(Event::Video(_))));
    for spoofed in [video(4_000, 0, OWN_VIDEO.0), video(OWN_VIDEO.0, 4_000, OWN_VIDEO.0), video(OWN_VIDEO.0, 0, 4_000)]
    {
        assert_eq!(told(&spoofed), Some(Event::Close(VoiceCloseCode::BadRequest)), "{spoofed}");
    }
}

#[test]
fn wants_and_codecs_are_told_whole() {
    let wants = json!({"op": 15, "d": {"8964": 100, "any": 50, "pixelCounts": {"8964": 921_600.5}}});
    let Some(Event::MediaSinkWants(wants)) = told(&wants) else { panic!("no wants") };
    assert_eq!((wants.of(Ssrc(8_964)), wants.of(Ssrc(1))), (Quality::FULL, Quality::new(50).expect("up to 100")));
    let codecs = json!({"op": 14, "d": {"codecs": [{"name": "H264", "type": "video", "payload_type": 103}]}});
    assert!(matches!(told(&codecs), Some(Event::SessionUpdate(update)) if update.codecs[0].name == "H264"));
}

#[test]
fn opcodes_that_a_version_does_not_have_are_unknown_to_it_both_ways() {
    for (number, op, exists) in [(4, 15, false), (5, 15, true), (5, 16, false), (6, 16, true), (8, 16, true)] {
        let mut session = session(number);
        send(&mut session, 1, &json!({"op": op, "d": {}}));
        let code = closed_with(&mut session);
        assert_eq!(code, (!exists).then_some(VoiceCloseCode::UnknownOpcode), "{op} in {number}");
    }
    let wants = Payload::new(&ServerEvent::MediaSinkWants(MediaSinkWants::default()));
    assert!(!session(4).send(&wants) && session(5).send(&wants));
}

#[test]
fn the_backends_version_is_told_on_request() {
    let mut session = session(6);
    send(&mut session, 1, &json!({"op": 16, "d": {}}));
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(drain(&mut session), [json!({"op": 16, "d": {"voice": version, "rtc_worker": version}})]);
}

#[test]
fn what_the_room_tells_in_the_form_that_clients_read() {
    let user_id = UserId::new(852_892_297_661_906_993);
    let user = "852892297661906993";
    let stream =
        VideoStream { rid: "100".into(), quality: 100, active: true, ssrc: Some(Ssrc(7)), ..Default::default() };
    let cases = [
        (
            ServerEvent::ClientsConnect(ClientsConnect { user_ids: vec![user_id] }),
            json!({"op": 11, "d": {"user_ids": [user]}}),
        ),
        (ServerEvent::ClientDisconnect(ClientDisconnect { user_id }), json!({"op": 13, "d": {"user_id": user}})),
        (
            ServerEvent::ClientFlags(ClientFlags { user_id, flags: Some(3) }),
            json!({"op": 18, "d": {"user_id": user, "flags": 3}}),
        ),
        (
            ServerEvent::ClientPlatform(ClientPlatform { user_id, platform: None }),
            json!({"op": 20, "d": {"user_id": user, "platform": null}}),
        ),
        (
            ServerEvent::Video(VideoEvent { user_id, audio_ssrc: Ssrc(6), video_ssrc: Ssrc(7), streams: vec![stream] }),
            json!({"op": 12, "d": {"user_id": user, "audio_ssrc": 6, "video_ssrc": 7, "streams": [
                {"type": "video", "rid": "100", "quality": 100, "active": true, "ssrc": 7}]}}),
        ),
        (
            ServerEvent::SessionUpdate(SessionUpdateEvent { video_codec: Some("H264".into()), ..Default::default() }),
            json!({"op": 14, "d": {"video_codec": "H264"}}),
        ),
    ];
    for (event, expected) in cases {
        let mut session = session(7);
        assert!(session.send(&Payload::new(&event)));
        assert_eq!(drain(&mut session), [expected]);
    }
}
