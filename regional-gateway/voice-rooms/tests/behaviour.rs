//! What owners and voice nodes are told, one rule a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;
use rookery_model::voice::{
    LinkKey, RoomCommand, RoomEvent, RoomLink, RoomOwner, VoiceBeacon, VoiceEntry, VoiceRights, VoiceRoomKind,
    VoiceToken,
};
use rookery_model::{ChannelId, GuildId, UserId, VoiceServerId};
use rookery_voice_rooms::{Config, Notice, Output, Tokens, VoiceRooms};

const SERVER: VoiceServerId = VoiceServerId::new(1);
const ALICE: UserId = UserId::new(10);
const BOB: UserId = UserId::new(11);

#[derive(Default)]
struct Counted(u64, u64);

impl Tokens for Counted {
    fn next_token(&mut self) -> VoiceToken {
        self.0 += 1;
        VoiceToken::new(format!("token{}", self.0))
    }
    fn next_link_id(&mut self) -> u64 {
        self.1 += 1;
        self.1
    }
    fn next_link_key(&mut self) -> LinkKey {
        self.1 += 1;
        LinkKey([self.1 as u8; 32])
    }
}

fn entry(user_id: UserId, channel: u64) -> VoiceEntry {
    VoiceEntry {
        owner: RoomOwner::Guild(GuildId::new(1)),
        server_id: SERVER,
        channel_id: ChannelId::new(channel),
        kind: VoiceRoomKind::Voice,
        rtc_region: None,
        user_id,
        subscriber: SubscriberId(user_id.get()),
        session_region: None,
        session_id: format!("session{user_id}").into(),
        visit: 0,
        rights: VoiceRights::SPEAK | VoiceRights::HEAR,
    }
}

fn beacon(node: &str, boot: u64, members: u32, is_draining: bool) -> VoiceBeacon {
    VoiceBeacon {
        node: node.into(),
        number: node.bytes().map(u16::from).sum(),
        boot,
        endpoint: format!("{node}.example.org:443").into(),
        members,
        is_draining,
        is_full: false,
    }
}

/// What nodes were told last of their links.
type LinksOf = BTreeMap<String, Vec<RoomLink>>;

struct World {
    rooms: VoiceRooms,
    tokens: Counted,
    now: u64,
}

impl World {
    fn new() -> Self {
        Self { rooms: VoiceRooms::new(Config::default(), "eu", 100), tokens: Counted::default(), now: 0 }
    }
    fn with(config: Config) -> Self {
        Self { rooms: VoiceRooms::new(config, "eu", 100), tokens: Counted::default(), now: 0 }
    }
    /// All that is said is done, until nothing is left to say; the node of each command, and what links nodes were told last.
    fn settle(&mut self) -> (Vec<(String, RoomCommand)>, LinksOf) {
        let (mut said, mut links) = (Vec::new(), LinksOf::new());
        loop {
            self.rooms.handle_timeout(self.now, &mut self.tokens);
            let outputs = self.outputs();
            if outputs.is_empty() {
                return (said, links);
            }
            for output in outputs {
                let Output::Command { node, command, .. } = output else { continue };
                let mut event = done(&command);
                if let RoomEvent::Linked { address: Some(address), .. } = &mut event {
                    address.set_port(u16::from(node.as_bytes()[0]));
                }
                self.rooms.handle_event(&node, event);
                if let RoomCommand::Link { links: told, .. } = &command {
                    links.insert(node.to_string(), told.clone());
                }
                said.push((node.to_string(), command));
            }
        }
    }
    /// Where members are let in, in the order of the commands.
    fn admitted(said: &[(String, RoomCommand)]) -> Vec<(&str, u64)> {
        let admission = |(node, command): &'_ (String, RoomCommand)| match command {
            RoomCommand::Admit(admission) => Some((node.clone(), admission.user_id.get())),
            _ => None,
        };
        let at =
            |(node, user): (String, u64)| (said.iter().find(|(name, _)| *name == node).map_or("", |(n, _)| n), user);
        said.iter().filter_map(admission).map(at).collect()
    }
    fn beacon(&mut self, node: &str, boot: u64, members: u32, is_draining: bool) {
        self.beacon_of("eu", &beacon(node, boot, members, is_draining));
    }
    fn beacon_of(&mut self, region: &str, beacon: &VoiceBeacon) {
        self.rooms.handle_beacon(self.now, &region.into(), beacon, &mut self.tokens);
    }
    fn enter(&mut self, entry: VoiceEntry) {
        self.rooms.handle_entry(self.now, entry, &mut self.tokens);
    }
    /// Time passes, and those nodes say that they are there.
    fn pass(&mut self, ms: u64, alive: &[&str]) {
        self.now += ms;
        for node in alive {
            self.beacon(node, 1, 0, false);
        }
        self.rooms.handle_timeout(self.now, &mut self.tokens);
    }
    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.rooms.poll_output()).collect()
    }
    /// What each node is told, where only commands are expected; they forget at once what they are to forget.
    fn commands(&mut self) -> Vec<(Arc<str>, RoomCommand)> {
        let outputs = self.outputs();
        let of = |output| match output {
            Output::Command { node, command: RoomCommand::Clear { revision }, .. } => {
                self.rooms.handle_event(&node, RoomEvent::Cleared { revision });
                None
            }
            Output::Command { node, command, .. } => Some((node, command)),
            Output::Notice { .. } => panic!("{output:?}"),
        };
        outputs.into_iter().filter_map(of).collect()
    }
    /// The next command is carried out; where the client is sent for it, if anywhere.
    fn carry_out(&mut self) -> Option<(String, Option<String>)> {
        let commands = self.commands();
        let [(node, command)] = &commands[..] else { panic!("{commands:?}") };
        self.rooms.handle_event(node, done(command));
        let notices = self.outputs();
        match &notices[..] {
            [] => None,
            [Output::Notice { notice: Notice::Server { token, endpoint, .. }, .. }] => {
                Some((token.as_str().to_owned(), endpoint.as_deref().map(str::to_owned)))
            }
            other => panic!("{other:?}"),
        }
    }
}

fn done(command: &RoomCommand) -> RoomEvent {
    match command {
        RoomCommand::Admit(a) => RoomEvent::Done { server_id: a.server_id, user_id: a.user_id, revision: a.revision },
        RoomCommand::Expel { server_id, user_id, revision } => {
            RoomEvent::Done { server_id: *server_id, user_id: *user_id, revision: *revision }
        }
        RoomCommand::Clear { revision } => RoomEvent::Cleared { revision: *revision },
        RoomCommand::Link { server_id, channel_id, revision, .. } => RoomEvent::Linked {
            server_id: *server_id,
            channel_id: *channel_id,
            revision: *revision,
            address: Some(([127, 0, 0, 1], 9).into()),
        },
    }
}

fn sent_to(token: &str, node: &str) -> Option<(String, Option<String>)> {
    Some((token.into(), Some(format!("{node}.example.org:443"))))
}

#[test]
fn a_client_is_sent_to_a_room_that_knows_it() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.enter(entry(ALICE, 5));
    assert_eq!(w.carry_out(), sent_to("token1", "a"));
    // Other rights are none of the client's business.
    w.enter(VoiceEntry { rights: VoiceRights::HEAR, ..entry(ALICE, 5) });
    assert_eq!(w.carry_out(), None);
    // Another channel, and another session, are.
    w.enter(entry(ALICE, 6));
    assert_eq!(w.carry_out(), sent_to("token2", "a"));
    w.enter(VoiceEntry { session_id: "another".into(), ..entry(ALICE, 6) });
    assert_eq!(w.carry_out(), sent_to("token3", "a"));
    // Who leaves and comes again before it is done is told anew, though the session is the same.
    w.rooms.handle_leave(w.now, SERVER, ALICE);
    w.enter(VoiceEntry { session_id: "another".into(), visit: 1, ..entry(ALICE, 6) });
    let commands = w.commands();
    let [.., (node, last)] = &commands[..] else { panic!("{commands:?}") };
    w.rooms.handle_event(node, done(last));
    let told = w.outputs();
    assert!(matches!(&told[..], [Output::Notice { notice: Notice::Server { .. }, .. }]), "{told:?}");
    w.enter(VoiceEntry { session_id: "another".into(), visit: 2, ..entry(ALICE, 6) });
    assert!(w.carry_out().is_some(), "also who did not say that they left");
    w.rooms.handle_leave(w.now, SERVER, ALICE);
    assert_eq!(w.rooms.count(), (1, 1), "until it is done");
    assert_eq!(w.carry_out(), None);
    assert_eq!(w.rooms.count(), (0, 0));
    w.rooms.handle_leave(w.now, SERVER, ALICE);
    assert!(w.commands().is_empty());
}

#[test]
fn what_is_not_done_is_said_again() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.enter(entry(ALICE, 5));
    let first = w.commands();
    assert_eq!(w.rooms.poll_timeout(), Some(200));
    w.pass(199, &["a"]);
    assert!(w.commands().is_empty());
    w.pass(1, &["a"]);
    assert_eq!(w.commands(), first);
    // An answer to an older wish says nothing about the newest.
    w.enter(VoiceEntry { rights: VoiceRights::empty(), ..entry(ALICE, 5) });
    w.rooms.handle_event("a", done(&first[0].1));
    let second = w.commands();
    assert!(second.len() == 1 && second != first);
    // Nor does another node's.
    w.rooms.handle_event("b", done(&second[0].1));
    assert!(w.commands().is_empty());
    w.rooms.handle_event("a", done(&second[0].1));
    assert!(matches!(&w.outputs()[..], [Output::Notice { notice: Notice::Server { .. }, .. }]));
    w.rooms.handle_event("a", done(&second[0].1));
    assert!(w.commands().is_empty(), "told once");
    w.pass(1_000, &["a"]);
    assert!(w.commands().is_empty());
}

#[test]
fn a_guild_stays_together_and_goes_where_there_is_room() {
    let mut w = World::new();
    w.beacon("busy", 1, 900, false);
    w.beacon("idle", 1, 3, false);
    for user in 0..20 {
        w.enter(entry(UserId::new(user), user % 3));
    }
    assert!(w.commands().iter().all(|(node, _)| &**node == "idle"));
    w.enter(VoiceEntry { server_id: VoiceServerId::new(2), ..entry(ALICE, 9) });
    assert_eq!(&*w.commands()[0].0, "idle");
    w.beacon("idle", 1, 5_000, false);
    w.enter(VoiceEntry { server_id: VoiceServerId::new(3), ..entry(ALICE, 9) });
    assert_eq!(&*w.commands()[0].0, "busy");
    w.enter(entry(BOB, 1));
    assert_eq!(&*w.commands()[0].0, "idle", "where the server is");
}

#[test]
fn a_silent_node_is_replaced_and_everybody_sent_on() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.enter(entry(ALICE, 5));
    assert_eq!(w.carry_out(), sent_to("token1", "a"));
    w.beacon("b", 1, 0, false);
    w.pass(699, &["b"]);
    assert!(w.commands().is_empty());
    w.pass(1, &["b"]);
    assert_eq!(w.carry_out(), sent_to("token2", "b"));
    // It comes back and nobody goes there for that.
    w.beacon("a", 2, 0, false);
    assert!(w.commands().is_empty());
}

#[test]
fn without_a_node_clients_wait_until_there_is_one() {
    let mut w = World::new();
    w.enter(entry(ALICE, 5));
    let waits = w.outputs();
    assert!(matches!(&waits[..], [Output::Notice { notice: Notice::Server { endpoint: None, .. }, .. }]), "{waits:?}");
    w.enter(entry(BOB, 5));
    w.outputs();
    w.rooms.handle_leave(w.now, SERVER, BOB);
    assert_eq!(w.rooms.count(), (1, 1), "there is nobody to be told");
    w.beacon("draining", 1, 0, true);
    assert!(w.commands().is_empty());
    w.beacon("a", 1, 0, false);
    assert!(w.carry_out().is_some_and(|(_, endpoint)| endpoint.is_some()));
    // The only one dies.
    w.pass(700, &[]);
    assert!(matches!(&w.outputs()[..], [Output::Notice { notice: Notice::Server { endpoint: None, .. }, .. }]));
    w.beacon("a", 2, 0, false);
    assert!(w.carry_out().is_some_and(|(_, endpoint)| endpoint.is_some()));
}

#[test]
fn a_node_that_started_anew_knows_nothing_any_more() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.enter(entry(ALICE, 5));
    assert_eq!(w.carry_out(), sent_to("token1", "a"));
    w.beacon("a", 2, 0, false);
    assert_eq!(w.carry_out(), sent_to("token2", "a"));
}

#[test]
fn a_draining_node_gives_its_rooms_away_where_it_can() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.enter(entry(ALICE, 5));
    assert_eq!(w.carry_out(), sent_to("token1", "a"));
    w.beacon("a", 1, 1, true);
    assert!(w.commands().is_empty(), "there is no other");
    w.enter(VoiceEntry { rights: VoiceRights::HEAR, ..entry(ALICE, 5) });
    assert_eq!(w.carry_out(), None);
    w.beacon("b", 1, 0, false);
    let commands = w.commands();
    let [(from, RoomCommand::Expel { user_id: ALICE, .. }), (to, RoomCommand::Admit(_))] = &commands[..] else {
        panic!("{commands:?}")
    };
    assert_eq!((&**from, &**to), ("a", "b"));
    w.beacon("a", 1, 1, true);
    assert!(w.commands().is_empty());
}

#[test]
fn a_connection_that_is_gone_is_told_of_once_it_is_the_one_that_counts() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.enter(entry(ALICE, 5));
    w.carry_out();
    let gone = |session: &str| RoomEvent::Gone { server_id: SERVER, user_id: ALICE, session_id: session.into() };
    w.rooms.handle_event("a", gone("an earlier one"));
    w.rooms.handle_event("b", gone(&format!("session{ALICE}")));
    assert!(w.commands().is_empty());
    w.rooms.handle_event("a", gone(&format!("session{ALICE}")));
    let notices = w.outputs();
    assert!(matches!(&notices[..], [Output::Notice { notice: Notice::Gone { user_id: ALICE, .. }, .. }]));
}

fn in_region(region: &str, user_id: UserId, channel: u64) -> VoiceEntry {
    VoiceEntry { rtc_region: Some(region.into()), ..entry(user_id, channel) }
}

#[test]
fn a_room_is_in_the_region_that_its_channel_wants() {
    let mut w = World::new();
    w.beacon("a", 1, 50, false);
    w.beacon_of("us", &beacon("b", 1, 0, false));
    w.commands();
    w.enter(entry(ALICE, 5));
    assert_eq!(w.carry_out(), sent_to("token1", "a"), "where the server lives, though another node has fewer members");
    w.enter(in_region("us", BOB, 6));
    assert_eq!(w.carry_out(), sent_to("token2", "b"));
    // Who goes to a channel elsewhere is sent there, and is not kept where they were.
    w.enter(in_region("us", ALICE, 6));
    let commands = w.commands();
    let [(left, RoomCommand::Expel { user_id: ALICE, .. }), (new, RoomCommand::Admit(admission))] = &commands[..]
    else {
        panic!("{commands:?}")
    };
    assert_eq!((&**left, &**new, admission.user_id), ("a", "b", ALICE));
    for (node, command) in &commands {
        w.rooms.handle_event(node, done(command));
    }
    assert_eq!(w.outputs().len(), 1, "where to go");
    w.rooms.handle_leave(w.now, SERVER, ALICE);
    assert!(matches!(&w.commands()[..], [(node, RoomCommand::Expel { .. })] if **node == *"b"));
}

#[test]
fn where_no_node_of_the_wanted_region_is_there_another_one_takes_the_room() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.beacon_of("us", &beacon("b", 1, 0, false));
    w.beacon_of("ap", &beacon("c", 1, 0, false));
    w.commands();
    w.enter(in_region("sa", ALICE, 5));
    assert_eq!(w.carry_out(), sent_to("token1", "a"));
    w.enter(in_region("us", BOB, 6));
    assert_eq!(w.carry_out(), sent_to("token2", "b"));
    // The one node of a region dies: its rooms go home, and where nobody is at home, anywhere.
    w.pass(600, &["a"]);
    w.beacon_of("ap", &beacon("c", 1, 0, false));
    w.pass(300, &["a"]);
    assert_eq!(w.carry_out(), sent_to("token3", "a"));
    w.pass(600, &[]);
    w.beacon_of("ap", &beacon("c", 1, 0, false));
    w.pass(300, &[]);
    let moved: Vec<_> = w.commands().into_iter().map(|(node, _)| node.to_string()).collect();
    assert_eq!(moved, ["c", "c"]);
}

#[test]
fn a_channel_that_wants_another_region_sends_everybody_there() {
    let mut w = World::new();
    w.beacon("a", 1, 0, false);
    w.beacon_of("us", &beacon("b", 1, 0, false));
    w.commands();
    w.enter(entry(ALICE, 5));
    assert_eq!(w.carry_out(), sent_to("token1", "a"));
    w.enter(in_region("us", ALICE, 5));
    let commands = w.commands();
    assert_eq!(commands.iter().map(|(node, _)| &**node).collect::<Vec<_>>(), ["a", "b"]);
    for (node, command) in &commands {
        w.rooms.handle_event(node, done(command));
    }
    let outputs = w.outputs();
    let [Output::Notice { notice: Notice::Server { endpoint, .. }, .. }] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(endpoint.as_deref(), Some("b.example.org:443"));
}

fn cascade(cascade_members: u32) -> Config {
    Config { cascade_members, ..Config::default() }
}

fn from(region: &str, user: u64) -> VoiceEntry {
    VoiceEntry { session_region: Some(region.into()), ..entry(UserId::new(user), 5) }
}

/// The nodes that one is linked to, by number, where each is said to receive.
fn ends(links: &LinksOf, node: &str) -> Vec<(u16, Option<u16>)> {
    links[node].iter().map(|link| (link.node, link.address.map(|address| address.port()))).collect()
}

#[test]
fn what_is_too_much_for_one_node_goes_on_at_a_further_one_which_is_linked() {
    let mut w = World::with(cascade(2));
    w.beacon("a", 1, 0, false);
    w.beacon("b", 1, 10, false);
    (1..=2).for_each(|user| w.enter(entry(UserId::new(user), 5)));
    let (said, links) = w.settle();
    assert_eq!((World::admitted(&said), links.len()), (vec![("a", 1), ("a", 2)], 0));
    w.enter(entry(UserId::new(3), 5));
    let (said, links) = w.settle();
    assert_eq!(World::admitted(&said), [("b", 3)]);
    // Each is told the other's address once it is known, and both have one key for each way.
    assert_eq!((ends(&links, "a"), ends(&links, "b")), (vec![(98, Some(98))], vec![(97, Some(97))]));
    let (a, b) = (&links["a"][0], &links["b"][0]);
    assert!(a.id == b.id && a.seal == b.open && a.open == b.seal && a.seal != a.open);
    // Somebody goes: the next one takes the place where most are.
    w.rooms.handle_leave(w.now, SERVER, UserId::new(1));
    w.settle();
    w.enter(entry(UserId::new(4), 5));
    assert_eq!(World::admitted(&w.settle().0), [("a", 4)]);
    // Nobody is left at one of them.
    w.rooms.handle_leave(w.now, SERVER, UserId::new(3));
    let (_, links) = w.settle();
    assert_eq!((ends(&links, "a"), ends(&links, "b")), (vec![], vec![]));
    assert_eq!(w.rooms.poll_timeout(), Some(700), "nothing is left to say");
}

#[test]
fn another_channel_of_those_nodes_has_no_link_while_it_is_at_one_of_them() {
    let mut w = World::with(cascade(2));
    w.beacon("a", 1, 0, false);
    w.beacon("b", 1, 10, false);
    (1..=3).for_each(|user| w.enter(entry(UserId::new(user), 5)));
    w.settle();
    w.enter(entry(UserId::new(4), 6));
    let (said, links) = w.settle();
    assert_eq!((World::admitted(&said), links.len()), (vec![("b", 4)], 0));
}

#[test]
fn who_is_in_another_region_goes_to_a_node_there_and_regions_have_one_link() {
    let mut w = World::with(cascade(1));
    for node in ["a", "b"] {
        w.beacon(node, 1, 0, false);
    }
    for node in ["x", "y"] {
        w.beacon_of("us", &beacon(node, 1, 0, false));
    }
    w.enter(from("eu", 1));
    w.enter(from("us", 2));
    w.enter(from("us", 3));
    w.enter(from("eu", 4));
    let (said, links) = w.settle();
    let at: BTreeMap<u64, &str> = World::admitted(&said).into_iter().map(|(node, user)| (user, node)).collect();
    let is_home = |user: u64| ["a", "b"].contains(&at[&user]);
    assert_eq!((1..=4).map(is_home).collect::<Vec<_>>(), [true, false, false, true]);
    assert_eq!(at.values().collect::<std::collections::BTreeSet<_>>().len(), 4, "{at:?}");
    let crossing = |node: &str| links[node].iter().filter(|link| link.node > 100).count();
    assert_eq!(crossing("a") + crossing("b"), 1, "{links:?}");
    assert_eq!(links.values().map(Vec::len).sum::<usize>(), 6, "two ends of each of three");
    // A channel that says where its room is has it there alone.
    w.enter(VoiceEntry { rtc_region: Some("eu".into()), ..from("us", 9) });
    let (said, _) = w.settle();
    assert!(["a", "b"].contains(&World::admitted(&said)[0].0), "{said:?}");
    // Nor does anybody go where no node is.
    w.enter(from("ap", 10));
    assert!(["a", "b"].contains(&World::admitted(&w.settle().0)[0].0));
}

#[test]
fn when_the_node_that_all_are_linked_to_dies_another_one_is() {
    let mut w = World::with(cascade(1));
    for node in ["a", "b", "c", "d"] {
        w.beacon(node, 1, 0, false);
    }
    (1..=3).for_each(|user| w.enter(entry(UserId::new(user), 5)));
    let (said, links) = w.settle();
    let root = links.iter().find(|(_, links)| links.len() == 2).map(|(node, _)| node.clone()).unwrap();
    let old: Vec<u64> = links.values().flatten().map(|link| link.id).collect();
    let alive: Vec<&str> = ["a", "b", "c", "d"].into_iter().filter(|node| **node != *root).collect();
    let moved: Vec<u64> = World::admitted(&said).into_iter().filter(|(node, _)| *node == root).map(|at| at.1).collect();
    w.pass(400, &alive);
    w.pass(400, &alive);
    let (said, links) = w.settle();
    let again = World::admitted(&said);
    assert_eq!(again.iter().map(|(_, user)| *user).collect::<Vec<_>>(), moved);
    let members: Vec<usize> = links.values().map(Vec::len).collect();
    assert_eq!((members.iter().sum::<usize>(), members.iter().max()), (4, Some(&2)), "{links:?}");
    assert!(links.values().flatten().all(|link| !old.contains(&link.id)), "a link is never made twice");
    // It comes back, knows nothing, and gets no link for that.
    w.beacon(&root, 2, 0, false);
    assert!(w.settle().1.is_empty());
}

#[test]
fn a_node_that_has_enough_takes_nobody_while_another_one_does() {
    let mut w = World::new();
    w.beacon_of("eu", &VoiceBeacon { is_full: true, ..beacon("a", 1, 0, false) });
    w.enter(entry(ALICE, 5));
    assert_eq!(World::admitted(&w.settle().0), [("a", ALICE.get())], "it is better than none");
    w.beacon("b", 1, 40, false);
    w.enter(entry(BOB, 5));
    let (said, links) = w.settle();
    assert_eq!((World::admitted(&said), links.len()), (vec![("b", BOB.get())], 2));
}

#[test]
fn a_lost_word_about_a_link_is_said_again() {
    let mut w = World::with(cascade(1));
    w.beacon("a", 1, 0, false);
    w.beacon("b", 1, 0, false);
    (1..=2).for_each(|user| w.enter(entry(UserId::new(user), 5)));
    for output in w.outputs() {
        let Output::Command { node, command, .. } = output else { continue };
        w.rooms.handle_event(&node, done(&command));
    }
    assert_eq!(w.rooms.poll_timeout(), Some(0));
    let of_links = |outputs: Vec<Output>| -> Vec<(Arc<str>, RoomCommand)> {
        let command = |output| match output {
            Output::Command { node, command: command @ RoomCommand::Link { .. }, .. } => Some((node, command)),
            _ => None,
        };
        outputs.into_iter().filter_map(command).collect()
    };
    w.rooms.handle_timeout(w.now, &mut w.tokens);
    let first = of_links(w.outputs());
    assert_eq!(first.len(), 2);
    w.pass(200, &["a", "b"]);
    assert_eq!(of_links(w.outputs()), first);
    // An answer to what was said before says nothing about the newest.
    w.rooms.handle_event("a", done(&first[0].1));
    w.rooms.handle_timeout(w.now, &mut w.tokens);
    let second = of_links(w.outputs());
    assert!(second.len() == 1 && &*second[0].0 == "b", "it is told where the other receives: {second:?}");
    w.rooms.handle_event("b", done(&first[1].1));
    w.pass(200, &["a", "b"]);
    assert_eq!(of_links(w.outputs()), second);
}
