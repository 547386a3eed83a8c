use rookery_forwarder::{Feedback, Join, NodeId, RoomConfig, RoomKind, SsrcBlock, Transport};
use rookery_model::voice::{VoiceOpcode, node};
use rookery_model::{ChannelId, VoiceServerId};
use rookery_rtp::{UdpEndpoint, UdpLimits};

use super::*;
use crate::mailbox::{Mailbox, mailbox};

struct World {
    state: RoomState,
    endpoint: UdpEndpoint<()>,
    mailboxes: BTreeMap<u64, Mailbox>,
    now_us: u64,
}

impl World {
    fn new(members_max: usize) -> Self {
        let key = VoiceRoomKey { server_id: VoiceServerId::new(1), channel_id: ChannelId::new(5) };
        let room = Room::new(RoomConfig::default(), RoomKind::Voice, NodeId(1), SsrcBlock::of_node(1), 7);
        let state = RoomState::new(key, room, Presence { members_max, interval_us: 250_000 });
        Self { state, endpoint: UdpEndpoint::new(UdpLimits::default()), mailboxes: BTreeMap::new(), now_us: 1_000_000 }
    }

    fn join(&mut self, user: u64, mailbox_capacity: usize) -> MemberKey {
        let flags = MemberFlags::SERVER_DEAFENED;
        let join =
            Join { user: UserId::new(user), transport: Transport::Udp, flags, feedback: Feedback::None, rtx: false };
        let key = self.state.room.join(self.now_us, join).unwrap();
        let streams = self.state.room.streams(key).unwrap();
        let udp = self.endpoint.insert(0, Ssrc(streams.audio.0), ()).unwrap();
        let (mail, mailbox) = mailbox(mailbox_capacity);
        self.mailboxes.insert(user, mailbox);
        let granted = node::VoiceMemberFlags::SPEAKER;
        self.state.insert(Member::new(key, UserId::new(user), udp, user, streams, mail, granted));
        self.state.set_connected(self.now_us, key, true);
        self.state.activate(self.now_us, key);
        key
    }

    fn tell_if_due(&mut self) {
        if self.state.due_us().is_some_and(|due_us| due_us <= self.now_us) {
            self.state.tell();
        }
    }

    /// What is in a mailbox, message by message.
    fn read(&mut self, user: u64) -> Vec<Vec<VoiceOpcode>> {
        let mut read = Vec::new();
        while let Some(Mail::Events(notices)) = self.mailboxes.get_mut(&user).unwrap().try_recv() {
            let notices = notices.iter().filter(|notice| notice.except != Some(UserId::new(user)));
            read.push(notices.map(|notice| notice.payload.opcode()).collect());
        }
        read
    }
}

#[test]
fn who_is_behind_is_told_anew_once_there_is_room() {
    let mut world = World::new(100);
    let speaker = world.join(1, 64);
    world.join(2, 1);
    world.tell_if_due();
    assert_eq!(world.read(2), [[VoiceOpcode::ClientsConnect]]);
    for flags in [SpeakingFlags::VOICE, SpeakingFlags::empty(), SpeakingFlags::VOICE] {
        world.state.set_speaking(world.now_us, speaker, flags);
        world.tell_if_due();
    }
    // One fits, and while it is not read nothing is told anew.
    world.state.catch_up();
    assert_eq!(world.read(2), [[VoiceOpcode::Speaking]]);
    world.state.catch_up();
    assert_eq!(world.read(2), [[VoiceOpcode::ClientsConnect, VoiceOpcode::Speaking]]);
    world.state.catch_up();
    assert!(world.read(2).is_empty(), "once");
}

#[test]
fn who_left_is_told_of_before_it_is_heard_again() {
    let mut world = World::new(100);
    for user in 2..60 {
        world.join(user, 64);
    }
    let first = world.join(1, 64);
    world.now_us += 250_000;
    world.tell_if_due();
    world.state.announce(first);
    world.read(2);
    // It comes back before anybody was told that it left, and speaks at once.
    world.state.remove(world.now_us, first).unwrap();
    world.endpoint = UdpEndpoint::new(UdpLimits::default());
    let second = world.join(1, 64);
    world.state.announce(second);
    let told: Vec<_> = world.read(2).concat();
    assert_eq!(told, [VoiceOpcode::ClientDisconnect, VoiceOpcode::ClientsConnect, VoiceOpcode::Speaking]);
}

#[test]
fn what_is_told_grows_with_the_members_and_not_with_their_square() {
    const MEMBERS: u64 = 3_000;
    let mut world = World::new(200);
    let mut keys = Vec::new();
    for user in 1..=MEMBERS {
        keys.push(world.join(user, 4_096));
        world.now_us += 1_000;
        world.tell_if_due();
    }
    // All say that they speak, and ten are heard.
    for key in &keys {
        world.state.set_speaking(world.now_us, *key, SpeakingFlags::VOICE);
        world.tell_if_due();
    }
    keys.iter().take(10).for_each(|key| world.state.announce(*key));
    for key in keys {
        world.state.remove(world.now_us, key);
        world.now_us += 1_000;
        world.tell_if_due();
    }
    let notices: usize = (1..=MEMBERS).map(|user| world.read(user).concat().len()).sum();
    // Of 200 that they left, of ten that they speak, and of those who came in a few messages.
    assert!((MEMBERS as usize * 10..MEMBERS as usize * 250).contains(&notices), "{notices}");
}
