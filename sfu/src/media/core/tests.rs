use rookery_model::voice::VoiceIdentify;
use rookery_model::voice::node::{PrepareMember, VoiceRoomSettings};
use rookery_model::{ChannelId, VoiceServerId};

use rookery_forwarder::Streams;
use rookery_model::UserId;
use rookery_model::voice::node::VoiceMemberFlags;
use rookery_webrtc::{Certificate, WebRtcConfig, WebRtcLimits};
use std::sync::Arc;

use super::*;
use crate::directory::{Directory, Grant};
use crate::mailbox::mailbox;
use crate::media::command::{MemberRef, Refused};
use crate::secret::Token;

fn grant(directory: &Directory, channel: u64, user: u64) -> Arc<Grant> {
    let token = Token::generate().unwrap();
    let text = token.reveal().to_owned();
    let session_id = "s".to_owned();
    let (server_id, user_id) = (VoiceServerId::new(1), UserId::new(user));
    let room = VoiceRoomKey { server_id, channel_id: ChannelId::new(channel) };
    let flags = VoiceMemberFlags::SPEAKER;
    let settings = VoiceRoomSettings::default();
    directory.prepare(0, token, PrepareMember { room, user_id, session_id, flags, settings, token: None }).unwrap();
    let identify: VoiceIdentify = serde_json::from_value(serde_json::json!(
        {"server_id": server_id, "user_id": user_id, "session_id": "s", "token": text}
    ))
    .unwrap();
    let (mail, _mailbox) = mailbox(1);
    directory.identify(0, &identify, mail).unwrap().live.grant
}

fn join(core: &mut Core, grant: &Arc<Grant>, session: u64) -> Result<Streams, Refused> {
    let (mail, _mailbox) = mailbox(1);
    core.join(0, grant, session, mail)
}

fn world() -> (Core, Directory) {
    let presence = Presence { members_max: 10, interval_us: 0 };
    let config = WebRtcConfig {
        certificate: Certificate::generate().unwrap(),
        candidates: vec![],
        epoch: std::time::Instant::now(),
        limits: WebRtcLimits::default(),
    };
    let core = Core::new(1, presence, false, Trains::Known, WebRtcEndpoint::new(config).unwrap());
    (core, Directory::new(1, 100, 1_000))
}

#[test]
fn members_of_rooms_that_meet_get_other_ssrcs() {
    let (mut core, directory) = world();
    let first = join(&mut core, &grant(&directory, 5, 1), 1).unwrap();
    // Another room has what would be the next one's video.
    let taken = Ssrc(first.rtx.0 + 2);
    let place = Place { room: 99, member: core.rooms[0].members().next().unwrap().key };
    let wraps = first.rtx.0 % (1 << 20) > (1 << 20) - 10;
    let other = core.endpoint.insert(0, taken, place).unwrap();
    let second = join(&mut core, &grant(&directory, 5, 2), 2).unwrap();
    assert!(wraps || second.audio.0 == first.rtx.0 + 4, "{first:?} {second:?}");
    for ssrc in [second.audio, second.video, second.rtx] {
        assert_ne!(Ssrc(ssrc.0), taken);
    }
    assert_eq!((core.endpoint.len(), core.rooms[0].members().count()), (3, 2));
    assert!(core.endpoint.get(other).is_some());
}

#[test]
fn a_later_session_takes_the_place_and_an_older_one_does_not() {
    let (mut core, directory) = world();
    let grant = grant(&directory, 5, 1);
    let first = join(&mut core, &grant, 1).unwrap();
    let second = join(&mut core, &grant, 3).unwrap();
    assert_ne!(first, second);
    assert_eq!(join(&mut core, &grant, 2), Err(Refused::Outdated));
    let member = |session| MemberRef { room: grant.room, user: grant.user, session };
    core.leave(0, member(1));
    assert_eq!(core.stats().members, 1, "the older one has left already");
    core.leave(0, member(3));
    assert_eq!((core.stats().members, core.stats().rooms), (0, 0));
}

/// What is told of a member who says this of its video.
fn said(video: serde_json::Value) -> Option<(Vec<u8>, Vec<Option<u32>>)> {
    let (mut core, directory) = world();
    let grant = grant(&directory, 5, 1);
    join(&mut core, &grant, 1).unwrap();
    let member = core.rooms[0].members().next().unwrap();
    let shown = members::shown(member, &serde_json::from_value(video).unwrap())?;
    assert_eq!(shown.stream.ssrc, Some(Ssrc(member.streams.video.0)));
    let qualities = shown.specs.iter().map(|spec| spec.quality).collect();
    Some((qualities, shown.sources.iter().map(|source| source.ssrc.map(|ssrc| ssrc.0)).collect()))
}

#[test]
fn what_is_shown_is_what_is_active_in_three_layers_at_most() {
    let stream = |quality: u8, active: bool, ssrc: u32| serde_json::json!({"rid": "x", "quality": quality, "active": active, "ssrc": ssrc});
    let video = |ssrc: u32, streams: &[serde_json::Value]| serde_json::json!({"audio_ssrc": 1, "video_ssrc": ssrc, "rtx_ssrc": 0, "streams": streams});
    assert_eq!(said(video(0, &[])), None);
    assert_eq!(said(video(7, &[])), Some((vec![100], vec![Some(7)])), "as older clients say it");
    assert_eq!(said(video(7, &[stream(100, false, 7)])), None, "what is named counts");
    assert_eq!(said(video(0, &[stream(0, true, 7)])), Some((vec![1], vec![Some(7)])));
    assert_eq!(said(video(9, &[stream(50, true, 0)])), Some((vec![50], vec![Some(9)])));
    let alike = [stream(0, true, 7), stream(1, true, 8), stream(100, true, 9)];
    assert_eq!(said(video(0, &alike)), Some((vec![1, 100], vec![Some(7), Some(9)])), "0 and 1 are one quality");
    let many =
        [stream(100, true, 4), stream(25, true, 2), stream(50, true, 3), stream(10, true, 1), stream(50, true, 9)];
    assert_eq!(said(video(0, &many)), Some((vec![25, 50, 100], vec![Some(2), Some(3), Some(4)])), "the best");
}
