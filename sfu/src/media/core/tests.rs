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
    let (mail, _mailbox) = mpsc::channel(1);
    directory.identify(0, &identify, mail).unwrap().live.grant
}

fn join(core: &mut Core, grant: &Arc<Grant>, session: u64) -> Result<Streams, Refused> {
    let (mail, _mailbox) = mpsc::channel(1);
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
    let core = Core::new(1, presence, false, WebRtcEndpoint::new(config).unwrap());
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
