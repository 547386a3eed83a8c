//! Two rooms, their members, what happens to them, and what must be true of all that is sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rookery_forwarder::*;
use rookery_model::UserId;
use rookery_test_seeds::Violation;
use smallvec::smallvec;

use crate::model::{Place, ROOMS, User, may_hear, may_see};
use crate::plant::Plant;
use crate::receiver::{Identity, Seen};
use crate::sender::Stream;

const ROUNDS: u64 = 150;
const ROUND_US: u64 = 20_000;
const SOUND: u8 = 9;
const LAYERS: [LayerSpec; 3] = [
    LayerSpec { quality: 25, expected_bps: 200_000 },
    LayerSpec { quality: 50, expected_bps: 300_000 },
    LayerSpec { quality: 100, expected_bps: 400_000 },
];

rookery_test_seeds::tally! {
    /// What was reached.
    pub struct Counts {
        heard,
        seen,
        not_permitted,
        not_selected,
        too_late,
        paced,
        again,
        padding,
        layer_switches,
        moves,
        key_frames,
        degraded,
    }
}

/// A packet on its way to a room.
struct UnderWay {
    due_round: u64,
    user: usize,
    place: Place,
    identity: Identity,
    packet: Packet,
    late: bool,
}

pub struct World {
    random: ChaCha8Rng,
    plant: Plant,
    now_us: u64,
    round: u64,
    speakers_max: usize,
    rooms: Vec<Room>,
    users: Vec<User>,
    streams: BTreeMap<(usize, u8), Stream>,
    network: VecDeque<UnderWay>,
    /// By receiver and sender, sound or picture.
    seen: BTreeMap<(MemberKey, MemberKey, usize, bool), Seen>,
    stored: BTreeMap<(usize, Slot), (Identity, Packet)>,
    transport: BTreeMap<(usize, MemberKey), u16>,
    asked: BTreeMap<(usize, MemberKey, Layer), u64>,
    heard_at: BTreeMap<(usize, MemberKey), u64>,
    /// In this round, by room and receiver.
    voices: BTreeMap<(usize, MemberKey), BTreeSet<MemberKey>>,
    replaced: [usize; ROOMS],
    layers: BTreeMap<(usize, MemberKey, MemberKey), u8>,
    counts: Counts,
    nth: u64,
    lossy: bool,
    narrow: bool,
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What is sent is what the model says.
    Model,
    NoPanic,
}

impl rookery_test_seeds::Invariant for Rule {
    const NO_PANIC: Self = Self::NoPanic;
}

impl rookery_test_seeds::World for World {
    type Plant = Plant;
    type Action = ();
    type Counts = Counts;
    type Invariant = Rule;

    fn new(seed: u64, plant: Plant) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let speakers_max = random.random_range(1..=4);
        let mut config = RoomConfig::default();
        config.speakers.speakers_max = speakers_max + usize::from(plant == Plant::OneSpeakerTooMany);
        config.speakers.hold_us = 100_000;
        config.speakers.hangover_us = 200_000;
        config.speakers.silence_members_max = random.random_range(0..6);
        config.video.upgrade_after_us = 300_000;
        config.video.cache_packets = 64;
        config.video.audio_reserve_bps = 1_000;
        config.bandwidth.min_bps = 1_000;
        (config.overload.down_after_us, config.overload.up_after_us) = (0, 0);
        if plant == Plant::AsksTooOften {
            config.video.key_frame_interval_us = 100_000;
        }
        let rooms = (0..ROOMS as u16)
            .map(|room| {
                Room::new(config.clone(), RoomKind::Voice, NodeId(room), SsrcBlock::of_node(room), random.random())
            })
            .collect();
        let users = (0..random.random_range(3..=7))
            .map(|id| User {
                id,
                transport: if random.random() { Transport::Udp } else { Transport::WebRtc },
                place: None,
                flags: MemberFlags::MAY_SPEAK | MemberFlags::MAY_STREAM,
                shows: false,
                wants: 0,
            })
            .collect();
        let (lossy, narrow) = (random.random(), random.random_bool(0.25));
        Self {
            random,
            plant,
            now_us: 5_000_000,
            round: 0,
            speakers_max,
            rooms,
            users,
            streams: BTreeMap::new(),
            network: VecDeque::new(),
            seen: BTreeMap::new(),
            stored: BTreeMap::new(),
            transport: BTreeMap::new(),
            asked: BTreeMap::new(),
            heard_at: BTreeMap::new(),
            voices: BTreeMap::new(),
            replaced: [0; ROOMS],
            layers: BTreeMap::new(),
            counts: Counts::default(),
            nth: 0,
            lossy,
            narrow,
        }
    }

    fn run(&mut self) -> Result<Counts, Violation<Rule>> {
        let broken =
            |round: u64, why: String| Violation { invariant: Rule::Model, what: format!("round {round}: {why}") };
        for round in 0..ROUNDS {
            self.round = round;
            self.step().map_err(|why| broken(round, why))?;
        }
        self.finish().map_err(|why| broken(self.round, why))
    }
}

impl World {
    fn step(&mut self) -> Result<(), String> {
        self.voices.clear();
        self.replaced = [0; ROOMS];
        for _ in 0..self.random.random_range(0..=2) {
            let user = self.random.random_range(0..self.users.len());
            self.act(user)?;
        }
        for user in 0..self.users.len() {
            self.send_all(user);
        }
        self.deliver()?;
        for room in 0..ROOMS {
            self.pass_time(room)?;
        }
        self.check_voices()?;
        self.now_us += ROUND_US;
        Ok(())
    }

    fn act(&mut self, at: usize) -> Result<(), String> {
        if self.users[at].place.is_none() {
            let room = self.random.random_range(0..ROOMS);
            return self.join(at, room);
        }
        match self.random.random_range(0..40) {
            0 => self.leave(at),
            1 | 2 => {
                let room = self.users[at].place.map_or(0, |place| 1 - place.room);
                self.leave(at)?;
                self.counts.moves += 1;
                self.join(at, room)
            }
            3..12 => {
                let flag = 1 << self.random.random_range(0..9_u16);
                // Rights come back sooner than they go.
                let rights = (MemberFlags::MAY_SPEAK | MemberFlags::MAY_STREAM).bits();
                let flags = (self.users[at].flags.bits() ^ flag) | if self.random.random() { rights } else { 0 };
                self.set_flags(at, MemberFlags::from_bits_retain(flags))
            }
            12..18 => self.set_flags(at, MemberFlags::MAY_SPEAK | MemberFlags::MAY_STREAM),
            18..24 => {
                let shows = !self.users[at].shows;
                self.show(at, shows)
            }
            24..30 => {
                let wants = [0, 25, 50, 100, 100][self.random.random_range(0..5)];
                self.want(at, wants)
            }
            30..34 => self.estimate(at),
            34..38 => self.ask_again(at),
            _ => {
                let Some(place) = self.users[at].place else { return Ok(()) };
                let busy = if self.random.random_bool(0.6) { 900 } else { 100 };
                for _ in 0..self.random.random_range(1..5) {
                    self.rooms[place.room].set_utilisation(self.now_us, busy);
                }
                self.take_events(place.room)
            }
        }
    }

    fn join(&mut self, at: usize, room: usize) -> Result<(), String> {
        let user = &mut self.users[at];
        let feedback = if user.transport == Transport::Udp { Feedback::None } else { Feedback::ReceiverEstimate };
        let feedback = if self.random.random() && user.transport == Transport::WebRtc {
            Feedback::TransportWide
        } else {
            feedback
        };
        let join = Join {
            user: UserId::new(user.id + 1),
            transport: user.transport,
            flags: self.plant.flags(user.flags),
            feedback,
            rtx: self.random.random(),
        };
        let key = match self.rooms[room].join(self.now_us, join) {
            Ok(key) => key,
            Err(JoinRefused::AlreadyIn) if self.plant == Plant::ForgetsLeaving => return Ok(()),
            Err(refused) => return Err(format!("{refused}")),
        };
        let streams = self.rooms[room].streams(key).ok_or("no SSRCs")?;
        let place = Place { room, key, streams };
        (user.place, user.shows) = (Some(place), false);
        user.wants = if user.transport == Transport::WebRtc { 100 } else { 0 };
        for layer in [0, 1, 2, SOUND] {
            let own = if layer == SOUND { streams.audio } else { Ssrc(streams.video.0 + u32::from(layer) * 100_000) };
            if user.transport == Transport::WebRtc {
                let bound = match layer {
                    SOUND => self.rooms[room].bind_audio(key, own),
                    _ => self.rooms[room].bind_layer(key, own, Layer(layer)),
                };
                if !bound {
                    return Err("cannot bind".into());
                }
            }
            self.streams.insert((at, layer), Stream::new(own, &mut self.random));
        }
        for other in self.users.iter().filter(|other| other.id != self.users[at].id) {
            if other.place.is_some_and(|other| other.room == room && other.streams.audio == streams.audio) {
                return Err("an SSRC twice".into());
            }
        }
        self.take_events(room)
    }

    fn leave(&mut self, at: usize) -> Result<(), String> {
        let Some(place) = self.users[at].place else { return Ok(()) };
        self.excuse(place.room);
        if self.plant != Plant::ForgetsLeaving && !self.rooms[place.room].leave(self.now_us, place.key) {
            return Err("it was not there".into());
        }
        self.users[at].place = None;
        self.users[at].shows = false;
        self.network.retain(|under_way| under_way.user != at);
        self.take_events(place.room)
    }

    fn set_flags(&mut self, at: usize, flags: MemberFlags) -> Result<(), String> {
        let Some(place) = self.users[at].place else { return Ok(()) };
        self.excuse(place.room);
        self.users[at].flags = flags;
        self.rooms[place.room].set_flags(self.now_us, place.key, self.plant.flags(flags));
        self.take_events(place.room)
    }

    fn show(&mut self, at: usize, shows: bool) -> Result<(), String> {
        let Some(place) = self.users[at].place else { return Ok(()) };
        self.excuse(place.room);
        let layers = if self.users[at].transport == Transport::Udp { 1 } else { 3 };
        if shows {
            let room = &mut self.rooms[place.room];
            room.publish_video(self.now_us, place.key, &LAYERS[..layers]).map_err(|refused| refused.to_string())?;
        } else {
            self.rooms[place.room].unpublish_video(self.now_us, place.key);
        }
        self.users[at].shows = shows;
        // What is shown now has nothing to do with what was asked for before.
        self.asked.retain(|(room, publisher, _), _| (*room, *publisher) != (place.room, place.key));
        self.take_events(place.room)
    }

    fn want(&mut self, at: usize, wants: u8) -> Result<(), String> {
        let Some(place) = self.users[at].place else { return Ok(()) };
        self.excuse(place.room);
        self.users[at].wants = wants;
        if self.plant != Plant::IgnoresWishes || wants > 0 {
            let wants = Wants { any: wants, by_ssrc: smallvec![] };
            self.rooms[place.room].set_wants(self.now_us, place.key, wants);
        }
        self.take_events(place.room)
    }

    fn estimate(&mut self, at: usize) -> Result<(), String> {
        let Some(place) = self.users[at].place else { return Ok(()) };
        let bps = if self.narrow { self.random.random_range(50_000..1_500_000) } else { 5_000_000 };
        self.rooms[place.room].handle_receiver_estimate(self.now_us, place.key, bps);
        self.take_events(place.room)
    }

    /// A receiver asks for something that it has got, or cannot decode.
    fn ask_again(&mut self, at: usize) -> Result<(), String> {
        let Some(place) = self.users[at].place else { return Ok(()) };
        let senders: Vec<_> =
            self.users.iter().filter_map(|user| user.place).filter(|other| other.room == place.room).collect();
        for sender in senders {
            let nth = self.random.random_range(0..200);
            let key = (place.key, sender.key, place.room, true);
            let Some(number) = self.seen.get(&key).and_then(|seen| seen.any_number(nth)) else { continue };
            let mut sent = Vec::new();
            let room = &mut self.rooms[place.room];
            let wrong = number.wrapping_add(7);
            room.handle_nack(self.now_us, place.key, sender.streams.video, [number, wrong], |f| sent.push(f));
            self.check_stored(place.room, sent)?;
            if nth.is_multiple_of(8) {
                self.rooms[place.room].handle_key_frame_request(self.now_us, place.key, sender.streams.video);
                self.take_events(place.room)?;
            }
        }
        Ok(())
    }

    fn send_all(&mut self, at: usize) {
        let Some(place) = self.users[at].place else { return };
        let browser = self.users[at].transport == Transport::WebRtc;
        // Speaks for a second, then is silent for one or more; sends on all the while.
        let speaks = (self.round / 50 + at as u64).is_multiple_of(2 + at as u64 % 2);
        let below_db = if speaks { self.random.random_range(10..50) } else { 127 };
        let mut packets = Vec::new();
        if let Some(stream) = self.streams.get_mut(&(at, SOUND)) {
            packets.push((SOUND, stream.sound(browser, below_db)));
        }
        if self.users[at].shows && self.round.is_multiple_of(2) {
            // The smallest layer for ever, the largest on and off.
            for layer in 0..if browser { 3 } else { 1 } {
                let Some(stream) = self.streams.get_mut(&(at, layer)) else { continue };
                if layer < 2 || self.round % 100 < 70 {
                    packets.extend(stream.frame(&mut self.random).into_iter().map(|packet| (layer, packet)));
                }
            }
        }
        for (layer, packet) in packets {
            self.put_under_way(at, place, layer, packet);
        }
    }

    fn put_under_way(&mut self, user: usize, place: Place, layer: u8, packet: Packet) {
        let fate = self.random.random_range(0..100);
        let late = self.lossy && (4..10).contains(&fate);
        if let Some(stream) = self.streams.get_mut(&(user, layer)).filter(|_| self.lossy && fate < 10) {
            stream.disturbed += 1;
            if fate < 4 {
                return;
            }
        }
        let due_round = self.round + if late { self.random.random_range(1..=3) } else { 0 };
        let identity = (layer, packet.sequence);
        self.network.push_back(UnderWay { due_round, user, place, identity, packet, late });
    }

    fn deliver(&mut self) -> Result<(), String> {
        let mut due: Vec<_> = Vec::new();
        let mut later = VecDeque::new();
        for under_way in std::mem::take(&mut self.network) {
            if under_way.due_round <= self.round { due.push(under_way) } else { later.push_back(under_way) }
        }
        self.network = later;
        for under_way in due {
            self.arrive(under_way)?;
        }
        Ok(())
    }

    fn arrive(&mut self, under_way: UnderWay) -> Result<(), String> {
        let UnderWay { user, place, identity, packet, late, .. } = under_way;
        let mut sent = Vec::new();
        let told = self.plant.packet(packet);
        let verdict = self.rooms[place.room].forward(self.now_us, place.key, &told, |forward| sent.push(forward));
        if self.plant == Plant::SendsBack
            && self.nth % 50 == 49
            && let Some(first) = sent.first().copied()
        {
            sent.push(Forward { receiver: place.key, ..first });
        }
        if let Verdict::Forwarded { store: Some(slot), .. } = verdict {
            self.stored.insert((place.room, slot), (identity, packet));
        }
        if identity.0 == SOUND {
            self.check_selection(user, place, &packet, verdict, &sent, late)?;
        }
        let mut receivers = BTreeSet::new();
        for forward in sent {
            self.nth += 1;
            let Some(forward) = self.plant.forward(self.nth, packet.sequence, forward) else { continue };
            self.check(place.room, user, identity, &packet, &forward, late)?;
            receivers.insert(forward.receiver);
        }
        if identity.0 == SOUND && !late && matches!(verdict, Verdict::Forwarded { .. }) {
            let sender = &self.users[user];
            let may = self.users.iter().filter(|other| may_hear(other, sender)).filter_map(|other| other.place);
            let may: BTreeSet<_> = may.map(|place| place.key).collect();
            if may != receivers {
                return Err(format!("{may:?} may hear {user}, {receivers:?} did"));
            }
        }
        if let Some(stream) = self.streams.get_mut(&(user, identity.0)) {
            stream.missing.remove(&identity.1);
        }
        self.take_events(place.room)
    }

    /// A voice has to be heard while there are places for all, and nobody is heard who has none.
    fn check_selection(
        &mut self,
        user: usize,
        place: Place,
        packet: &Packet,
        verdict: Verdict,
        sent: &[Forward],
        late: bool,
    ) -> Result<(), String> {
        match verdict {
            Verdict::Dropped(DropReason::NotPermitted) => self.counts.not_permitted += 1,
            Verdict::Dropped(DropReason::NotSelected) => self.counts.not_selected += 1,
            Verdict::Dropped(DropReason::TooLate) => self.counts.too_late += 1,
            _ => {}
        }
        let Payload::Audio(audio) = packet.payload else { return Ok(()) };
        let voice = audio.level.map_or(!audio.silence, |level| level.voice);
        self.heard_at.insert((place.room, place.key), self.now_us);
        let talkers = self
            .heard_at
            .iter()
            .filter(|((room, _), at_us)| *room == place.room && self.now_us - **at_us < 2_000_000)
            .count();
        let limit = self.rooms[place.room].quality();
        let full = limit < Quality::FewerSpeakers;
        if voice && !late && full && talkers <= self.speakers_max && self.users[user].speaks() {
            let heard = matches!(verdict, Verdict::Forwarded { .. });
            if !heard {
                return Err(format!("{user} has a voice and is {verdict:?} of {talkers}"));
            }
        }
        for forward in sent {
            self.voices.entry((place.room, forward.receiver)).or_default().insert(place.key);
        }
        Ok(())
    }

    fn user_at(&self, room: usize, key: MemberKey) -> Option<&User> {
        self.users.iter().find(|user| user.place.is_some_and(|place| (place.room, place.key) == (room, key)))
    }

    /// One packet to one receiver.
    fn check(
        &mut self,
        room: usize,
        sender: usize,
        identity: Identity,
        packet: &Packet,
        forward: &Forward,
        late: bool,
    ) -> Result<(), String> {
        let sender = &self.users[sender];
        let Some(from) = sender.place else { return Err("a sender who left".into()) };
        let receiver = self.user_at(room, forward.receiver).ok_or("a receiver who left")?;
        let is_video = identity.0 != SOUND;
        let (may, ssrc) = if is_video {
            (may_see(receiver, sender), from.streams.video)
        } else {
            (may_hear(receiver, sender), from.streams.audio)
        };
        if !may {
            return Err(format!("{} gets {identity:?} of {}, which is not for it", receiver.id, sender.id));
        }
        if forward.header.ssrc != ssrc {
            return Err(format!("SSRC {:?} instead of {ssrc:?}", forward.header.ssrc));
        }
        let at = sender.id as usize;
        self.check_transport(room, forward)?;
        let streams = &self.streams;
        let missing = |after: Identity, before: Identity| {
            streams.get(&(at, after.0)).map_or(0, |stream| stream.missing_between(after, before))
        };
        let seen = self.seen.entry((forward.receiver, from.key, room, is_video)).or_default();
        let source = (forward.body != Body::Padding).then_some((identity, packet));
        if is_video {
            seen.take(forward, source, None::<fn(Identity, Identity) -> usize>)?;
            self.note_layer(room, forward, from.key, identity.0);
        } else if !(late && seen.is_empty()) {
            // Who comes after a packet that is late for others begins with it, and is not looked at before the next one.
            seen.take(forward, source, Some(missing))?;
            self.counts.heard += 1;
        }
        Ok(())
    }

    fn note_layer(&mut self, room: usize, forward: &Forward, from: MemberKey, layer: u8) {
        self.counts.seen += 1;
        self.counts.padding += u64::from(forward.body == Body::Padding);
        let before = self.layers.insert((room, forward.receiver, from), layer);
        self.counts.layer_switches += u64::from(before.is_some_and(|before| before != layer));
    }

    fn check_transport(&mut self, room: usize, forward: &Forward) -> Result<(), String> {
        let Some(number) = forward.transport_sequence else { return Ok(()) };
        match self.transport.insert((room, forward.receiver), number) {
            Some(before) if before.wrapping_add(1) != number => {
                Err(format!("transport number {number} after {before}"))
            }
            _ => Ok(()),
        }
    }

    /// Packets that come from where they were kept.
    fn check_stored(&mut self, room: usize, sent: Vec<Forward>) -> Result<(), String> {
        for forward in sent {
            self.nth += 1;
            let Some(forward) = self.plant.forward(self.nth, 0, forward) else { continue };
            if forward.body == Body::Padding {
                let sender = self.users.iter().filter_map(|user| user.place);
                let sender = sender.filter(|place| place.room == room && place.streams.video == forward.header.ssrc);
                let seen = sender.filter_map(|place| self.seen.get(&(forward.receiver, place.key, room, true))).next();
                if !seen.is_some_and(|seen| seen.was_padded(forward.header.sequence)) {
                    return Err("padding for what was none".into());
                }
                self.check_transport(room, &forward)?;
                continue;
            }
            let (Body::Stored(slot) | Body::Retransmission { slot, .. }) = forward.body else {
                return Err(format!("{:?} without a packet", forward.body));
            };
            let (identity, packet) = *self.stored.get(&(room, slot)).ok_or("nothing is kept there")?;
            let sender = self.user_at(room, slot.publisher).ok_or("of somebody who left")?.clone();
            let original = match forward.body {
                Body::Retransmission { original_sequence, .. } => Some(original_sequence),
                _ => Some(forward.header.sequence).filter(|number| {
                    let key = (forward.receiver, slot.publisher, room, true);
                    self.seen.get(&key).is_some_and(|seen| seen.was(*number, identity))
                }),
            };
            let Some(original) = original else {
                self.counts.paced += 1;
                self.check(room, sender.id as usize, identity, &packet, &forward, false)?;
                continue;
            };
            self.counts.again += 1;
            self.check_transport(room, &forward)?;
            let receiver = self.user_at(room, forward.receiver).ok_or("to somebody who left")?;
            let key = (forward.receiver, slot.publisher, room, true);
            let may = may_see(receiver, &sender);
            if !may || !self.seen.get_mut(&key).is_some_and(|seen| seen.take_again(original, identity)) {
                let was = self.seen.get(&key).and_then(|seen| seen.what_was(original));
                return Err(format!("{identity:?} comes again as {original}, which was {was:?} (may see: {may})"));
            }
        }
        Ok(())
    }

    fn pass_time(&mut self, room: usize) -> Result<(), String> {
        let end_us = self.now_us + ROUND_US;
        let mut calls = 0;
        while let Some(due_us) = self.rooms[room].poll_timeout().filter(|due_us| *due_us < end_us) {
            calls += 1;
            if calls > 100 {
                return Err("time does not pass".into());
            }
            let mut sent = Vec::new();
            self.rooms[room].handle_timeout(due_us.max(self.now_us), |forward| sent.push(forward));
            self.check_stored(room, sent)?;
            self.take_events(room)?;
        }
        Ok(())
    }

    fn take_events(&mut self, room: usize) -> Result<(), String> {
        while let Some(event) = self.rooms[room].poll_event() {
            match event {
                Event::KeyFrame { publisher, layer, .. } => {
                    self.counts.key_frames += 1;
                    let before_us = self.asked.insert((room, publisher, layer), self.now_us);
                    // Rooms may be ahead of the round by up to one.
                    if before_us.is_some_and(|at_us| at_us + 500_000 > self.now_us + ROUND_US) {
                        return Err(format!("{publisher:?} is asked for key frames too often"));
                    }
                    let at = self.user_at(room, publisher).ok_or("asked of somebody who left")?.id as usize;
                    if let Some(stream) = self.streams.get_mut(&(at, layer.0)) {
                        stream.key_wanted = true;
                    }
                }
                Event::Heard { heard: false, .. } => self.replaced[room] += 1,
                Event::Quality(_) => {
                    self.counts.degraded += 1;
                    self.excuse(room);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_voices(&mut self) -> Result<(), String> {
        for (room, replaced) in self.replaced.into_iter().enumerate() {
            // One's own voice takes a place that one does not hear.
            let most = self.rooms[room].speakers().count();
            if most > self.speakers_max {
                return Err(format!("{most} are heard"));
            }
            let heard = self.voices.iter().filter(|((at, _), _)| *at == room).map(|(_, voices)| voices.len()).max();
            if heard.unwrap_or(0) > self.speakers_max + replaced {
                return Err(format!("{heard:?} voices at one receiver"));
            }
        }
        Ok(())
    }

    /// What waits for a receiver may be given up; then there is a gap that nobody lost.
    fn excuse(&mut self, room: usize) {
        let waiting: BTreeSet<MemberKey> = self
            .users
            .iter()
            .filter_map(|user| user.place)
            .filter(|place| place.room == room)
            .filter(|place| self.rooms[room].member_stats(place.key).is_some_and(|stats| stats.waiting_packets > 0))
            .map(|place| place.key)
            .collect();
        for ((receiver, _, at, _), seen) in &mut self.seen {
            seen.excused |= *at == room && waiting.contains(receiver);
        }
    }

    fn finish(&mut self) -> Result<Counts, String> {
        for _ in 0..60 {
            self.round += 1;
            self.deliver()?;
            for room in 0..ROOMS {
                self.pass_time(room)?;
            }
            self.now_us += ROUND_US;
        }
        for ((receiver, sender, room, is_video), seen) in &self.seen {
            let Some(user) = self.user_at(*room, *sender) else { continue };
            if !is_video || seen.excused || self.rooms[*room].stats().paced_out > 0 {
                continue;
            }
            let disturbed: usize =
                (0..3).filter_map(|layer| self.streams.get(&(user.id as usize, layer))).map(|s| s.disturbed).sum();
            // With a key frame whose first packet is late, two more that came before it have to be asked for.
            if self.user_at(*room, *receiver).is_some() && seen.holes() > 3 * disturbed {
                return Err(format!("{} numbers are missing, {disturbed} packets were lost or late", seen.holes()));
            }
        }
        Ok(self.counts)
    }
}
