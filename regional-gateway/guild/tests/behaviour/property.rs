//! Random calls by random people: nobody ever hears of what they cannot see, and the caches never lie.

use std::collections::BTreeMap;

use rookery_guild::{Outcome, SubscriberId};
use rookery_model::gateway::event::EventData;
use rookery_model::gateway::{Capabilities, ChannelInfoChannel, Event, Intents, Status};
use rookery_model::{ChannelId, MessageId, UserId};

use crate::mirror::Mirror;
use crate::rng::Rng;
use crate::world::*;

mod actions;
mod lists;
mod promises;
mod sight;

use lists::Looker;
use sight::Passive;

const PEOPLE: [UserId; 5] = [OWNER, ALICE, BOB, BOT, STRANGER];
/// Members who are never connected, and may be online all the same.
const OTHERS: [UserId; 6] =
    [UserId::new(201), UserId::new(202), UserId::new(203), UserId::new(204), UserId::new(205), UserId::new(206)];

struct Run {
    world: World,
    rng: Rng,
    mirrors: Vec<Mirror>,
    newest: BTreeMap<ChannelId, MessageId>,
    accepted: u32,
    /// Texts of voice channels that somebody saw the channel of and must not get.
    withheld: usize,
    looks: BTreeMap<SubscriberId, Looker>,
    passive: BTreeMap<SubscriberId, Passive>,
    statuses: BTreeMap<UserId, Status>,
    /// Operations of member lists, and deltas, that were carried out.
    told: [usize; 2],
    /// Changes of who is in which voice channel, by their own wish.
    joined: usize,
    /// Statuses of voice channels that came or changed, and those that ended.
    statuses_told: [usize; 2],
    /// Streams that began, and those who came to watch one.
    streamed: [usize; 2],
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut run = Self {
            world: World::new(),
            rng: Rng(seed),
            mirrors: vec![],
            newest: BTreeMap::new(),
            accepted: 0,
            withheld: 0,
            looks: BTreeMap::new(),
            passive: BTreeMap::new(),
            statuses: BTreeMap::new(),
            told: [0; 2],
            joined: 0,
            statuses_told: [0; 2],
            streamed: [0; 2],
        };
        for id in OTHERS {
            run.world.rows.users.insert(id, user(id));
            run.world.rows.members.insert(id, member_row(run.world.guild_id(), id, run.world.now));
        }
        run.world.reload();
        let all = Intents::all();
        for (user, intents) in [(OWNER, None), (ALICE, None), (BOB, None), (BOT, Some(all)), (ALICE, Some(all))] {
            run.subscribe(user, intents);
        }
        run.subscribe_passive(BOB, Capabilities::PASSIVE_GUILD_UPDATE_V2);
        run.subscribe_passive(ALICE, Capabilities::PASSIVE_GUILD_UPDATE);
        run
    }

    fn subscribe_passive(&mut self, user: UserId, capabilities: Capabilities) {
        let (id, outcome) = self.world.subscribe_with(user, None, capabilities);
        self.mirrors.push(Mirror::new(id, user));
        self.passive.insert(id, Passive::default());
        self.deliver(&outcome);
        self.read_statuses(id);
    }

    fn subscribe(&mut self, user: UserId, intents: Option<Intents>) {
        let (id, outcome) = self.world.subscribe(user, intents);
        self.mirrors.push(Mirror::new(id, user));
        if intents.is_none() {
            self.looks.insert(id, Looker::default());
        }
        self.deliver(&outcome);
        self.read_statuses(id);
    }

    fn read_statuses(&mut self, id: SubscriberId) {
        let outcome = self.world.core.request_channel_info(id, &[ChannelInfoChannel::STATUS.to_owned()]);
        self.deliver(&outcome);
    }

    fn step(&mut self) {
        if self.rng.chance(5) {
            self.world.pass_ms(10_000);
        }
        if self.rng.chance(2) {
            self.reload();
        }
        match self.rng.below(100) {
            0..=14 => self.look(),
            15..=34 => self.status(),
            35..=39 => self.come_and_go(),
            40..=49 => self.pass_interval(),
            _ => {}
        }
        if self.rng.chance(15) {
            self.voice();
        }
        if self.rng.chance(50) {
            self.stream();
        }
        let call = match self.rng.below(100) {
            0..=7 => self.stage(),
            8..=13 => self.voice_status(),
            _ => self.call(),
        };
        let by = if self.rng.chance(50) {
            self.world.rows.properties.as_ref().expect("it").owner_id
        } else {
            self.rng.pick(&PEOPLE)
        };
        let rows_before = self.world.rows.clone();
        let audience_before: Vec<(UserId, bool)> = self.mirrors.iter().map(|m| (m.user_id, m.is_in)).collect();
        match self.world.call(by, call.clone()) {
            Ok(outcome) => {
                self.accepted += 1;
                self.check_ids(&outcome);
                self.check_audiences(&outcome, &rows_before);
                self.deliver(&outcome);
            }
            Err(error) => assert!((400..500).contains(&error.status), "{call:?}: {error}"),
        }
        for (mirror, (_, was_in)) in self.mirrors.iter().zip(audience_before) {
            assert!(was_in || !mirror.is_in, "nobody comes back unasked");
        }
        self.rejoin();
        self.check_state(&call);
        self.check_streams(&call);
        self.check_lists();
    }

    /// A refused call and a write that was lost both leave what the rows say.
    fn reload(&mut self) {
        self.world.reload();
        (self.looks, self.statuses) = (BTreeMap::new(), BTreeMap::new());
        let (old, passive) = (std::mem::take(&mut self.mirrors), std::mem::take(&mut self.passive));
        for mirror in old.into_iter().filter(|mirror| mirror.is_in) {
            if passive.contains_key(&mirror.id) {
                self.subscribe_passive(mirror.user_id, Capabilities::PASSIVE_GUILD_UPDATE_V2);
            } else {
                self.subscribe(mirror.user_id, None);
            }
            assert_eq!(self.mirrors.last().expect("the new one").channels, mirror.channels, "a reload changes nothing");
        }
    }

    /// Sessions of members who came back subscribe again.
    fn rejoin(&mut self) {
        self.mirrors.retain(|mirror| mirror.is_in);
        self.looks.retain(|id, _| self.mirrors.iter().any(|mirror| mirror.id == *id));
        self.statuses.retain(|user, _| self.world.core.is_member(*user));
        for user in PEOPLE {
            if self.world.core.is_member(user) && self.mirrors.iter().all(|m| m.user_id != user) {
                self.subscribe(user, None);
            }
        }
    }

    fn deliver(&mut self, outcome: &Outcome) {
        outcome.dispatches.iter().for_each(|dispatch| survives_transit(&dispatch.event));
        for dispatch in &outcome.dispatches {
            if let Event::VoiceChannelStatusUpdate(update) = &*dispatch.event {
                self.statuses_told[usize::from(update.status.is_none())] += 1;
            }
        }
        for mirror in &mut self.mirrors {
            for event in events_for(outcome, mirror.id) {
                mirror.take(&event);
                if let Event::GuildMemberListUpdate(update) = &*event {
                    self.told[0] += update.ops.len();
                    self.looks.get_mut(&mirror.id).expect("it looks").take(update);
                }
                if let Some(passive) = self.passive.get_mut(&mirror.id) {
                    self.told[1] += usize::from(passive.take(&event));
                }
            }
        }
        for (id, looker) in &mut self.looks {
            let user = self.mirrors.iter().find(|mirror| mirror.id == *id).expect("a session").user_id;
            looker.forget_unseen(&self.world.rows, self.world.now, user);
        }
    }
}

#[test]
fn random_calls_keep_every_promise() {
    let (mut accepted, mut withheld, mut joined, mut told, mut streamed) = (0, 0, 0, [0; 2], [0; 2]);
    let mut statuses = [0; 2];
    for seed in 0..120 {
        let mut run = Run::new(seed);
        for _ in 0..250 {
            run.step();
        }
        (accepted, withheld, joined) = (accepted + run.accepted, withheld + run.withheld, joined + run.joined);
        statuses = [statuses[0] + run.statuses_told[0], statuses[1] + run.statuses_told[1]];
        told = [told[0] + run.told[0], told[1] + run.told[1]];
        streamed = [streamed[0] + run.streamed[0], streamed[1] + run.streamed[1]];
    }
    // A generator that is refused everything proves nothing.
    assert!(accepted > 6_000, "only {accepted} calls were accepted");
    assert!(withheld > 100, "only {withheld} texts of voice channels were withheld");
    assert!(told[0] > 5_000 && told[1] > 200, "only {told:?} operations of member lists and deltas");
    assert!(joined > 300, "only {joined} changes of voice");
    assert!(statuses[0] > 300 && statuses[1] > 100, "only {statuses:?} statuses of channels and ends");
    eprintln!("{statuses:?} {streamed:?} {joined}");
    assert!(streamed[0] > 300 && streamed[1] > 100, "only {streamed:?} streams and viewers");
}

#[test]
fn no_text_upsets_the_reader_of_mentions() {
    let mut rng = Rng(7);
    let parts = ["<", "@", "!", "&", ">", "1", "é", "👍", "<@", "<@&", "@everyone", "99999999999999999999", "`"];
    for _ in 0..20_000 {
        let text: String = (0..rng.below(12)).map(|_| rng.pick(&parts)).collect();
        let found = rookery_guild::Mentions::parse(&text);
        assert_eq!(found.everyone, text.contains("@everyone"));
        for id in &found.users {
            assert!(
                text.contains(&format!("<@{id}>"))
                    || text.contains(&format!("<@!{id}>"))
                    || text.contains(id.to_string().trim_start_matches('0')),
                "{text}"
            );
        }
    }
}

/// Clients are told the same after an event was sent to another process.
fn survives_transit(event: &Event) {
    let mut bytes = Vec::new();
    ciborium::into_writer(event, &mut bytes).expect("plain data");
    let there: Event = ciborium::from_reader(bytes.as_slice()).unwrap_or_else(|error| panic!("{error}: {event:?}"));
    let told = |event: &Event| serde_json::to_string(&EventData(event)).expect("plain data");
    assert_eq!(told(&there), told(event));
}
