//! Guilds, voice nodes that die, drain and start anew, and a bus that loses, delays and repeats, from seeds: when all is
//! quiet, every member is in the one room where they should be, knows its token, and nobody else is anywhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rookery_model::gateway::SubscriberId;
use rookery_model::voice::{
    RoomAdmission, RoomCommand, RoomEvent, RoomOwner, VoiceBeacon, VoiceEntry, VoiceRights, VoiceRoomKind, VoiceToken,
};
use rookery_model::{ChannelId, GuildId, UserId, VoiceServerId};
use rookery_voice_rooms::{Config, Notice, Output, Tokens, VoiceRooms};

const SEEDS: u64 = 500;
const NODES: [&str; 3] = ["a", "b", "c"];
/// Of each node; channels want one of them or leave it open.
const REGIONS: [&str; 3] = ["eu", "eu", "us"];
const BEACON_MS: u64 = 100;

type Place = (VoiceServerId, UserId);
/// Session, token and endpoint.
type Told = (Box<str>, VoiceToken, Option<Arc<str>>);

#[derive(Default)]
struct Counted(u64);

impl Tokens for Counted {
    fn next_token(&mut self) -> VoiceToken {
        self.0 += 1;
        VoiceToken::new(self.0.to_string())
    }
}

/// A voice node, in as few words as it can be told.
#[derive(Default)]
struct Node {
    boot: u64,
    is_up: bool,
    is_draining: bool,
    members: BTreeMap<Place, RoomAdmission>,
    newest: BTreeMap<Place, u64>,
    cleared: u64,
}

impl Node {
    fn carry_out(&mut self, command: &RoomCommand) -> RoomEvent {
        if let RoomCommand::Clear { revision } = command {
            self.cleared = self.cleared.max(*revision);
            self.members.retain(|_, admission| admission.revision >= self.cleared);
            return RoomEvent::Cleared { revision: *revision };
        }
        let (place, revision) = match command {
            RoomCommand::Admit(a) => ((a.server_id, a.user_id), a.revision),
            RoomCommand::Expel { server_id, user_id, revision } => ((*server_id, *user_id), *revision),
            RoomCommand::Clear { .. } => unreachable!("seen to above"),
        };
        let newest = self.newest.entry(place).or_insert(self.cleared);
        *newest = (*newest).max(self.cleared);
        if *newest <= revision {
            *newest = revision;
            match command {
                RoomCommand::Admit(admission) => drop(self.members.insert(place, (**admission).clone())),
                RoomCommand::Expel { .. } | RoomCommand::Clear { .. } => drop(self.members.remove(&place)),
            }
        }
        RoomEvent::Done { server_id: place.0, user_id: place.1, revision: *newest }
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
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let loss_percent = dice.random_range(0..40);
        let nodes = NODES.map(|name| (name, Node { boot: 1, is_up: true, ..Node::default() })).into();
        Self {
            dice,
            now: 0,
            rooms: VoiceRooms::new(Config::default(), REGIONS[0], 0),
            tokens: Counted::default(),
            nodes,
            mail: Vec::new(),
            wanted: BTreeMap::new(),
            told: BTreeMap::new(),
            loss_percent,
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
                    _ if node.is_up => *node = Node { boot: node.boot, ..Node::default() },
                    _ => *node = Node { boot: node.boot + 1, is_up: true, ..Node::default() },
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
                    boot: node.boot,
                    endpoint: name.into(),
                    members: node.members.len() as u32,
                    is_draining: node.is_draining,
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
                    if node.is_up && node.boot == boot {
                        let event = node.carry_out(&command);
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
    }
}

fn play(seed: u64) {
    let mut world = World::new(seed);
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
            *node = Node { boot: node.boot + 1, is_up: true, ..Node::default() };
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
    let seeds = std::env::var("SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    (0..seeds).for_each(play);
}
