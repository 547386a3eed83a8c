//! Guilds, voice nodes that die, drain and start anew, and a bus that loses, delays and repeats, from seeds: when all is
//! quiet, every member is in the one room where they should be, knows its token, and nobody else is anywhere; and the nodes
//! of a room are linked as a tree, of which both ends of each link know the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_model::gateway::SubscriberId;
use rookery_model::voice::{
    LinkKey, RoomAdmission, RoomCommand, RoomEvent, RoomLink, RoomOwner, VoiceBeacon, VoiceEntry, VoiceRights,
    VoiceRoomKind, VoiceToken,
};
use rookery_model::{ChannelId, GuildId, UserId, VoiceServerId};
use rookery_voice_rooms::{Config, Notice, Output, Tokens, VoiceRooms};

const SEEDS: u64 = 500;
const NODES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Of each node; channels want one of them or leave it open.
const REGIONS: [&str; 5] = ["eu", "eu", "us", "us", "eu"];
const BEACON_MS: u64 = 100;
/// A node takes no more members than this.
const MEMBERS_MAX: usize = 8;

type Place = (VoiceServerId, UserId);
type Room = (VoiceServerId, ChannelId);
/// Session, token and endpoint.
type Told = (Box<str>, VoiceToken, Option<Arc<str>>);

#[derive(Default)]
struct Counted(u64, u64);

impl Tokens for Counted {
    fn next_token(&mut self) -> VoiceToken {
        self.0 += 1;
        VoiceToken::new(self.0.to_string())
    }
    fn next_link_id(&mut self) -> u64 {
        self.1 += 1;
        self.1
    }
    fn next_link_key(&mut self) -> LinkKey {
        self.1 += 1;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.1.to_be_bytes());
        LinkKey(key)
    }
}

/// A mistake that a simulation has to find.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plant {
    None,
    /// Nodes say that they have links, and have not, now and then.
    LinkLost,
    /// Nodes tell an address of the room at which they do not receive.
    WrongAddress,
}

/// A voice node, in as few words as it can be told.
#[derive(Default)]
struct Node {
    boot: u64,
    is_up: bool,
    is_draining: bool,
    members: BTreeMap<Place, RoomAdmission>,
    newest: BTreeMap<Place, u64>,
    links: BTreeMap<Room, (u64, Vec<RoomLink>)>,
    cleared: u64,
    index: u8,
}

impl Node {
    fn started(index: u8, boot: u64) -> Self {
        Self { index, boot, is_up: true, ..Self::default() }
    }

    /// Where it receives a room's media.
    fn address(&self, room: Room) -> SocketAddr {
        ([10, self.index, self.boot as u8, room.1.get() as u8], 1).into()
    }

    fn link(&mut self, room: Room, revision: u64, links: &[RoomLink], plant: Plant) -> RoomEvent {
        let known = self.links.entry(room).or_insert((self.cleared, Vec::new()));
        if known.0 <= revision {
            let is_lost = plant == Plant::LinkLost && revision.is_multiple_of(7);
            *known = (revision, if is_lost { Vec::new() } else { links.to_vec() });
        }
        let ((server_id, channel_id), revision) = (room, known.0);
        let mut address = self.address(room);
        if plant == Plant::WrongAddress && revision.is_multiple_of(7) {
            address.set_port(2);
        }
        RoomEvent::Linked { server_id, channel_id, revision, address: Some(address) }
    }

    /// None: it cannot, and says nothing.
    fn carry_out(&mut self, command: &RoomCommand, plant: Plant) -> Option<RoomEvent> {
        if let RoomCommand::Link { server_id, channel_id, revision, links } = command {
            return Some(self.link((*server_id, *channel_id), *revision, links, plant));
        }
        if let RoomCommand::Clear { revision } = command {
            self.cleared = self.cleared.max(*revision);
            self.members.retain(|_, admission| admission.revision >= self.cleared);
            self.links.retain(|_, (revision, _)| *revision >= self.cleared);
            self.links.retain(|_, (revision, _)| *revision >= self.cleared);
            return Some(RoomEvent::Cleared { revision: *revision });
        }
        let (place, revision) = match command {
            RoomCommand::Admit(a) => ((a.server_id, a.user_id), a.revision),
            RoomCommand::Expel { server_id, user_id, revision } => ((*server_id, *user_id), *revision),
            RoomCommand::Clear { .. } | RoomCommand::Link { .. } => unreachable!("seen to above"),
        };
        if let RoomCommand::Admit(_) = command
            && self.members.len() >= MEMBERS_MAX
            && !self.members.contains_key(&place)
        {
            return None;
        }
        let newest = self.newest.entry(place).or_insert(self.cleared);
        *newest = (*newest).max(self.cleared);
        if *newest <= revision {
            *newest = revision;
            match command {
                RoomCommand::Admit(admission) => drop(self.members.insert(place, (**admission).clone())),
                _ => drop(self.members.remove(&place)),
            }
        }
        Some(RoomEvent::Done { server_id: place.0, user_id: place.1, revision: *newest })
    }
}

/// On its way.
enum Mail {
    Command(Arc<str>, u64, RoomCommand),
    Event(&'static str, u64, RoomEvent),
}

struct World {
    dice: ChaCha8Rng,
    now: u64,
    rooms: VoiceRooms,
    tokens: Counted,
    nodes: BTreeMap<&'static str, Node>,
    mail: Vec<(u64, Mail)>,
    /// What the owners want.
    wanted: BTreeMap<Place, VoiceEntry>,
    /// What each client was told last: token and endpoint.
    told: BTreeMap<Place, Told>,
    loss_percent: u32,
    plant: Plant,
}

impl World {
    fn new(seed: u64, plant: Plant) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let loss_percent = dice.random_range(0..40);
        let config = Config { cascade_members: dice.random_range(1..6), ..Config::default() };
        let nodes = NODES.into_iter().zip(0..).map(|(name, index)| (name, Node::started(index, 1))).collect();
        Self {
            dice,
            now: 0,
            rooms: VoiceRooms::new(config, REGIONS[0], 0),
            tokens: Counted::default(),
            nodes,
            mail: Vec::new(),
            wanted: BTreeMap::new(),
            told: BTreeMap::new(),
            loss_percent,
            plant,
        }
    }

    fn post(&mut self, mail: impl Fn() -> Mail) {
        let copies = if self.dice.random_range(0..100) < self.loss_percent { 0 } else { self.dice.random_range(1..=2) };
        for _ in 0..copies {
            let at = self.now + self.dice.random_range(0..120);
            self.mail.push((at, mail()));
        }
    }

    fn collect(&mut self) {
        while let Some(output) = self.rooms.poll_output() {
            match output {
                Output::Command { node, boot, command } => {
                    self.post(|| Mail::Command(node.clone(), boot, command.clone()));
                }
                Output::Notice {
                    server_id,
                    owner: _,
                    notice: Notice::Server { user_id, session_id, token, endpoint, .. },
                } => {
                    self.told.insert((server_id, user_id), (session_id, token, endpoint));
                }
                Output::Notice { notice: Notice::Gone { .. }, .. } => panic!("nobody went"),
            }
        }
    }

    fn act(&mut self) {
        let place = (VoiceServerId::new(self.dice.random_range(1..4)), UserId::new(self.dice.random_range(1..8)));
        match self.dice.random_range(0..10) {
            0..5 => {
                let entry = VoiceEntry {
                    owner: RoomOwner::Guild(GuildId::new(place.0.get())),
                    server_id: place.0,
                    channel_id: ChannelId::new(self.dice.random_range(1..4)),
                    kind: VoiceRoomKind::Voice,
                    rtc_region: [None, Some("eu"), Some("us"), Some("sa")][self.dice.random_range(0..4)]
                        .map(Into::into),
                    user_id: place.1,
                    subscriber: SubscriberId(self.dice.random_range(1..3)),
                    session_region: [None, Some("eu"), Some("us")][self.dice.random_range(0..3)].map(Into::into),
                    session_id: self.dice.random_range(1..3).to_string().into(),
                    visit: self.dice.random_range(0..2),
                    rights: VoiceRights::from_bits_truncate(self.dice.random()),
                };
                self.wanted.insert(place, entry.clone());
                self.rooms.handle_entry(self.now, entry, &mut self.tokens);
            }
            5..8 => {
                self.wanted.remove(&place);
                self.rooms.handle_leave(self.now, place.0, place.1);
            }
            _ => {
                let name = NODES[self.dice.random_range(0..NODES.len())];
                let node = self.nodes.get_mut(name).expect("all are there");
                match self.dice.random_range(0..3) {
                    0 => node.is_draining = !node.is_draining,
                    _ if node.is_up => *node = Node { is_up: false, ..Node::started(node.index, node.boot) },
                    _ => *node = Node::started(node.index, node.boot + 1),
                }
            }
        }
    }

    /// A millisecond.
    fn step(&mut self) {
        self.now += 1;
        if self.now.is_multiple_of(BEACON_MS) {
            for (name, region) in NODES.into_iter().zip(REGIONS) {
                let node = &self.nodes[name];
                // Beacons are lost as well.
                if !node.is_up || self.dice.random_range(0..100) < self.loss_percent / 4 {
                    continue;
                }
                let beacon = VoiceBeacon {
                    node: name.into(),
                    number: u16::from(node.index),
                    boot: node.boot,
                    endpoint: name.into(),
                    members: node.members.len() as u32,
                    is_draining: node.is_draining,
                    is_full: node.members.len() >= MEMBERS_MAX,
                };
                self.rooms.handle_beacon(self.now, &region.into(), &beacon, &mut self.tokens);
            }
        }
        if self.rooms.poll_timeout().is_some_and(|due| due <= self.now) {
            self.rooms.handle_timeout(self.now, &mut self.tokens);
        }
        for index in (0..self.mail.len()).rev() {
            if self.mail[index].0 > self.now {
                continue;
            }
            match self.mail.swap_remove(index).1 {
                Mail::Command(name, boot, command) => {
                    let name = NODES.into_iter().find(|known| **known == *name).expect("a node");
                    let node = self.nodes.get_mut(name).expect("all are there");
                    if node.is_up
                        && node.boot == boot
                        && let Some(event) = node.carry_out(&command, self.plant)
                    {
                        self.post(|| Mail::Event(name, boot, event.clone()));
                    }
                }
                // What a process said before it ended is not the next one's.
                Mail::Event(name, boot, event) if self.nodes[name].boot == boot => {
                    self.rooms.handle_event(name, event);
                }
                Mail::Event(..) => {}
            }
        }
        self.collect();
    }

    fn check(&self, seed: u64) {
        let there: BTreeMap<Place, Vec<(&str, &RoomAdmission)>> =
            self.nodes.iter().filter(|(_, node)| node.is_up).fold(BTreeMap::new(), |mut all, (name, node)| {
                for (place, admission) in &node.members {
                    all.entry(*place).or_insert_with(Vec::new).push((name, admission));
                }
                all
            });
        for (place, entry) in &self.wanted {
            let found = there.get(place).map_or(&[][..], Vec::as_slice);
            let [(node, admission)] = found else { panic!("seed {seed}: {place:?} is at {found:?}") };
            let is = (admission.channel_id, &admission.session_id, admission.rights);
            assert_eq!(is, (entry.channel_id, &entry.session_id, entry.rights), "seed {seed}: {place:?}");
            let (session_id, token, endpoint) = &self.told[place];
            assert_eq!((session_id, token), (&entry.session_id, &admission.token), "seed {seed}: {place:?}");
            assert_eq!(endpoint.as_deref(), Some(*node), "seed {seed}: {place:?}");
        }
        let strangers: Vec<_> = there.keys().filter(|place| !self.wanted.contains_key(place)).collect();
        assert!(strangers.is_empty(), "seed {seed}: {strangers:?} are still in");
        assert_eq!(self.rooms.count().0, self.wanted.len(), "seed {seed}");
        let rooms: BTreeSet<Room> = self.wanted.values().map(|entry| (entry.server_id, entry.channel_id)).collect();
        let linked = self.nodes.values().flat_map(|node| node.links.keys().copied());
        for room in linked.chain(rooms).collect::<BTreeSet<Room>>() {
            self.check_links(seed, room);
        }
    }

    /// Its nodes are linked as a tree, and both ends of each link know the same; no other node has a link of it.
    fn check_links(&self, seed: u64, room: Room) {
        let has = |node: &Node| node.members.values().any(|a| (a.server_id, a.channel_id) == room);
        let members: BTreeSet<u8> = self.nodes.values().filter(|node| has(node)).map(|node| node.index).collect();
        let mut pairs = BTreeSet::new();
        let mut crossings = 0;
        for node in self.nodes.values() {
            let links = node.links.get(&room).map_or(&[][..], |(_, links)| links);
            for link in links {
                let other = &self.nodes[NODES[usize::from(link.node)]];
                let back = other.links.get(&room).and_then(|(_, links)| links.iter().find(|back| back.id == link.id));
                let back = back.unwrap_or_else(|| panic!("seed {seed}: {room:?}: {} knows no {link:?}", link.node));
                assert_eq!(
                    (back.node, link.address),
                    (u16::from(node.index), Some(other.address(room))),
                    "seed {seed}"
                );
                assert!(back.seal == link.open && back.open == link.seal && link.seal != link.open, "seed {seed}");
                let ends = (node.index.min(other.index), node.index.max(other.index));
                if pairs.insert(ends) && REGIONS[usize::from(ends.0)] != REGIONS[usize::from(ends.1)] {
                    crossings += 1;
                }
            }
        }
        let ends: BTreeSet<u8> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        let regions: BTreeSet<&str> = ends.iter().map(|index| REGIONS[usize::from(*index)]).collect();
        let nodes: BTreeSet<u8> = ends.union(&members).copied().collect();
        assert_eq!(pairs.len() + 1, nodes.len().max(1), "seed {seed}: {room:?}: {pairs:?} of {nodes:?}");
        assert_eq!(crossings + 1, regions.len().max(1), "seed {seed}: {room:?}: {pairs:?}");
        // So many links make a tree if all can be reached.
        let mut reached: BTreeSet<u8> = nodes.first().copied().into_iter().collect();
        for _ in 0..nodes.len() {
            let next = pairs.iter().filter(|(a, b)| reached.contains(a) || reached.contains(b));
            reached = next.flat_map(|(a, b)| [*a, *b]).chain(reached.iter().copied()).collect();
        }
        assert_eq!(reached, nodes, "seed {seed}: {room:?}: {pairs:?}");
        let relays = nodes.len() - members.len();
        assert!(nodes.len() < 2 || members.len() >= 2, "seed {seed}: {room:?}: {pairs:?}, {relays} for nobody");
    }
}

fn play(seed: u64, plant: Plant) {
    let mut world = World::new(seed, plant);
    for _ in 0..world.dice.random_range(5..60) {
        world.act();
        for _ in 0..world.dice.random_range(0..400) {
            world.step();
        }
    }
    // Everything is well again, and time passes.
    world.loss_percent = 0;
    for node in world.nodes.values_mut() {
        if !node.is_up {
            *node = Node::started(node.index, node.boot + 1);
        }
        node.is_draining = false;
    }
    for _ in 0..4_000 {
        world.step();
    }
    world.check(seed);
}

#[test]
fn everybody_ends_in_the_one_room_where_they_should_be() {
    rookery_test_seeds::seeds(SEEDS).for_each(|seed| play(seed, Plant::None));
}

#[test]
fn links_that_are_not_as_they_should_be_are_found() {
    for plant in [Plant::LinkLost, Plant::WrongAddress] {
        let found = (0..50).filter(|seed| std::panic::catch_unwind(|| play(*seed, plant)).is_err()).count();
        assert!(found > 5, "{found} of 50");
    }
}
