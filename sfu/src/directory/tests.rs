use rookery_model::ChannelId;
use rookery_model::VoiceServerId;
use rookery_model::gateway::GatewayToken;
use rookery_model::voice::node::ROOM_MEMBERS_MAX;

use super::*;
use crate::mailbox::{Mailbox, mailbox};

const TTL_MS: u64 = 1_000;

fn room(channel: u64) -> VoiceRoomKey {
    VoiceRoomKey { server_id: VoiceServerId::new(1), channel_id: ChannelId::new(channel) }
}

fn key(user: u64) -> VoiceMemberKey {
    VoiceMemberKey { server_id: VoiceServerId::new(1), user_id: UserId::new(user) }
}

struct World {
    directory: Directory,
    mailboxes: Vec<Mailbox>,
}

impl World {
    fn new(members_max: usize) -> Self {
        Self { directory: Directory::new(2, members_max, TTL_MS), mailboxes: Vec::new() }
    }
    fn prepare_in(&self, now_ms: u64, channel: u64, user: u64, members_max: u32) -> Result<String, VoiceNodeRefusal> {
        let token = Token::generate().unwrap();
        let text = token.reveal().to_owned();
        let prepare = PrepareMember {
            room: room(channel),
            user_id: UserId::new(user),
            session_id: format!("session {user}"),
            flags: VoiceMemberFlags::SPEAKER,
            settings: VoiceRoomSettings { members_max, ..VoiceRoomSettings::default() },
            token: None,
        };
        self.directory.prepare(now_ms, token, prepare).map(|()| text)
    }
    fn prepare(&self, now_ms: u64, channel: u64, user: u64) -> String {
        self.prepare_in(now_ms, channel, user, ROOM_MEMBERS_MAX).unwrap()
    }
    fn identify(&mut self, now_ms: u64, user: u64, token: &str) -> Result<Identified, VoiceCloseCode> {
        let (mail, mailbox) = mailbox(1);
        self.mailboxes.push(mailbox);
        self.directory.identify(now_ms, &identify(user, token), mail)
    }
    fn resume(&self, user: u64, token: &str) -> Result<(), VoiceCloseCode> {
        let resume = VoiceResume {
            server_id: VoiceServerId::new(1),
            channel_id: None,
            session_id: format!("session {user}"),
            token: GatewayToken::new(token),
            seq_ack: None,
        };
        self.directory.resume(&resume).map(drop)
    }
}

fn identify(user: u64, token: &str) -> VoiceIdentify {
    VoiceIdentify {
        server_id: VoiceServerId::new(1),
        channel_id: None,
        user_id: UserId::new(user),
        session_id: format!("session {user}"),
        token: GatewayToken::new(token),
        video: false,
        streams: Vec::new(),
        max_dave_protocol_version: 0,
    }
}

#[test]
fn a_token_is_for_one_member_alone() {
    let mut world = World::new(10);
    let token = world.prepare(0, 5, 7);
    let other = world.prepare(0, 5, 8);
    for (user, token) in [(7, "wrong"), (7, ""), (7, &*other), (9, &*token)] {
        assert_eq!(world.identify(1, user, token).err(), Some(VoiceCloseCode::AuthenticationFailed), "{user} {token}");
    }
    let (mail, _mailbox) = mailbox(1);
    for wrong in [
        VoiceIdentify { session_id: "another".into(), ..identify(7, &token) },
        VoiceIdentify { server_id: VoiceServerId::new(2), ..identify(7, &token) },
        VoiceIdentify { channel_id: Some(ChannelId::new(6)), ..identify(7, &token) },
    ] {
        let refused = world.directory.identify(1, &wrong, mail.clone());
        assert_eq!(refused.err(), Some(VoiceCloseCode::AuthenticationFailed), "{wrong:?}");
    }
    assert!(world.identify(1, 7, &token).is_ok());
}

#[test]
fn a_token_waits_for_a_while() {
    let mut world = World::new(10);
    let token = world.prepare(0, 5, 7);
    assert_eq!(world.directory.expire(TTL_MS - 1), []);
    assert!(world.identify(TTL_MS, 7, &token).is_err());
    let never_came = world.directory.expire(TTL_MS);
    assert_eq!(never_came.iter().map(|member| member.user_id).collect::<Vec<_>>(), [UserId::new(7)]);
    assert_eq!(world.directory.counts(), (0, 0, 0));
    // One that was used does not end with its time.
    let token = world.prepare(2_000, 5, 7);
    world.identify(2_001, 7, &token).unwrap();
    assert_eq!(world.directory.expire(9_000), []);
    assert_eq!(world.directory.counts(), (1, 0, 1));
}

#[test]
fn a_second_session_takes_the_place_of_the_first() {
    let mut world = World::new(10);
    let token = world.prepare(0, 5, 7);
    let first = world.identify(1, 7, &token).unwrap();
    assert!(first.replaced.is_none());
    let second = world.identify(2, 7, &token).unwrap();
    assert_eq!(second.replaced.unwrap().session, first.live.session);
    assert!(!world.directory.ended(3, &first.live, true), "the first is forgotten already");
    let third_token = world.prepare(4, 6, 7);
    assert!(world.resume(7, &token).is_ok(), "until the new one comes");
    let third = world.identify(5, 7, &third_token).unwrap();
    assert_eq!(third.replaced.unwrap().session, second.live.session);
    assert_eq!(world.resume(7, &token), Err(VoiceCloseCode::SessionInvalid));
    assert!(world.identify(6, 7, &token).is_err());
    assert!(world.resume(7, &third_token).is_ok());
    assert_eq!(world.directory.counts(), (1, 0, 1));
}

#[test]
fn who_ended_by_itself_may_come_back_and_who_was_removed_may_not() {
    let mut world = World::new(10);
    let token = world.prepare(0, 5, 7);
    let first = world.identify(1, 7, &token).unwrap();
    assert!(world.directory.ended(2, &first.live, true));
    assert_eq!(world.resume(7, &token), Err(VoiceCloseCode::SessionInvalid));
    world.identify(3, 7, &token).unwrap();
    assert!(world.directory.remove(key(7)).unwrap().is_some());
    assert!(world.identify(4, 7, &token).is_err());
    assert_eq!(world.directory.remove(key(7)).err(), Some(VoiceNodeRefusal::UnknownMember));
    let token = world.prepare(5, 5, 7);
    let again = world.identify(6, 7, &token).unwrap();
    world.directory.ended(7, &again.live, true);
    let gone = world.directory.expire(7 + TTL_MS);
    assert_eq!(gone.iter().map(|member| member.user_id).collect::<Vec<_>>(), [UserId::new(7)], "it did not come back");
    assert_eq!(world.directory.counts(), (0, 0, 0));
}

#[test]
fn rooms_begin_where_the_least_are_and_stay_there() {
    let mut world = World::new(10);
    let cores: Vec<_> = [(5, 1), (6, 2), (5, 3), (6, 4)]
        .map(|(channel, user)| {
            let token = world.prepare(0, channel, user);
            world.identify(1, user, &token).unwrap().live.grant.core
        })
        .to_vec();
    assert_eq!(cores, [0, 1, 0, 1]);
}

#[test]
fn rooms_and_nodes_are_full_at_some_point() {
    let mut world = World::new(3);
    assert_eq!(world.prepare_in(0, 5, 1, 0).err(), Some(VoiceNodeRefusal::Invalid));
    world.prepare_in(0, 5, 1, 2).unwrap();
    let token = world.prepare_in(0, 5, 2, 2).unwrap();
    assert_eq!(world.prepare_in(0, 5, 3, 2), Err(VoiceNodeRefusal::Full), "the room");
    assert!(world.prepare_in(1, 5, 1, 2).is_ok(), "whoever is awaited there may be prepared anew");
    world.identify(2, 2, &token).unwrap();
    assert!(world.prepare_in(2, 5, 2, 2).is_ok(), "and whoever is there");
    world.prepare(2, 6, 3);
    assert_eq!(world.prepare_in(2, 7, 4, 2), Err(VoiceNodeRefusal::Full), "the node");
    world.directory.drain();
    assert_eq!(world.prepare_in(2, 5, 1, 2), Err(VoiceNodeRefusal::Draining));
}

#[test]
fn a_room_that_is_gone_takes_everybody_along() {
    let mut world = World::new(10);
    let token = world.prepare(0, 5, 1);
    world.identify(0, 1, &token).unwrap();
    let awaited = world.prepare(0, 5, 2);
    let elsewhere = world.prepare(0, 6, 3);
    // In the room, and awaited in another.
    let moving = world.prepare(0, 5, 4);
    world.identify(0, 4, &moving).unwrap();
    let moving = world.prepare(0, 6, 4);
    let ended = world.directory.close_room(room(5)).unwrap();
    let mut users: Vec<_> = ended.iter().map(|live| live.grant.user.get()).collect();
    users.sort_unstable();
    assert_eq!(users, [1, 4]);
    assert!(world.identify(1, 2, &awaited).is_err());
    assert!(world.identify(1, 3, &elsewhere).is_ok() && world.identify(1, 4, &moving).is_ok());
    assert_eq!(world.directory.close_room(room(5)).err(), Some(VoiceNodeRefusal::UnknownRoom));
}

#[test]
fn preparing_without_end_keeps_little() {
    let world = World::new(10);
    for n in 0..10_000 {
        world.prepare(n, 5, n % 3);
    }
    let state = world.directory.state.lock();
    assert!(state.expiries.len() <= 2 * 3 + STALE_MAX, "{}", state.expiries.len());
    assert_eq!((state.seats.len(), state.loads.clone()), (3, vec![3, 0]));
}

#[test]
fn a_room_that_is_at_other_nodes_too_stays_where_it_is() {
    let mut world = World::new(100);
    let core = world.directory.link(room(5), true);
    assert_eq!(world.directory.core_of(room(5)), Some(core), "although nobody is here yet");
    // Others come elsewhere, so that the other core is not always the idler one.
    for user in 10..14 {
        world.prepare(0, 20 + user, user);
    }
    let token = world.prepare(0, 5, 1);
    let live = world.identify(0, 1, &token).unwrap().live;
    assert_eq!(live.grant.core, core);
    world.directory.remove(key(1)).unwrap();
    assert_eq!(world.directory.core_of(room(5)), Some(core));
    assert_eq!(world.directory.link(room(5), false), core);
    assert_eq!(world.directory.core_of(room(5)), None);
    // One with members is no longer linked, and goes with them.
    world.prepare(0, 6, 2);
    world.directory.link(room(6), true);
    world.directory.link(room(6), false);
    assert!(world.directory.core_of(room(6)).is_some());
    world.directory.remove(key(2)).unwrap();
    assert_eq!(world.directory.core_of(room(6)), None);
}
