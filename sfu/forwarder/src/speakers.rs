//! Who is heard: the loudest few, so that thousands may be in one room.
//!
//! The choice is the room's, not the receiver's: all hear the same speakers. So a stream needs new numbers once, not once
//! for each receiver, and a packet of somebody who is not heard costs nothing but a look at the places.
//! A receiver that is one of the speakers hears the others, one fewer.
//!
//! Streams keep their senders' SSRCs: bots and clients know whose voice an SSRC is from SPEAKING, and would hear strangers
//! under a reused one.

use crate::MemberKey;
use crate::config::SpeakersConfig;
use crate::packet::Audio;

/// Silence of this length starts the measure anew.
const FORGET_US: u64 = 300_000;
/// Below full scale at which nothing is heard.
const SILENT_DB: u8 = 127;

/// How loud a member is lately.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Loudness {
    /// In sixteenths of a decibel above silence.
    score: u32,
    heard_us: u64,
    voiced_us: u64,
    voice: bool,
}

impl Loudness {
    /// Notes a packet.
    pub(crate) fn note(&mut self, now_us: u64, audio: Audio, config: &SpeakersConfig) {
        let (below_db, voice) = match audio.level {
            Some(level) => {
                let below_db = level.below_full_scale_db.min(SILENT_DB);
                (below_db, level.voice || below_db < config.voice_below_full_scale_db)
            }
            None if audio.silence => (SILENT_DB, false),
            None => (config.assumed_below_full_scale_db.min(SILENT_DB), true),
        };
        let loud = u32::from(SILENT_DB - below_db) << 4;
        self.score = if now_us.saturating_sub(self.heard_us) > FORGET_US || self.heard_us == 0 {
            loud
        } else if loud > self.score {
            self.score + (loud - self.score).div_ceil(2)
        } else {
            self.score - (self.score - loud).div_ceil(8)
        };
        self.heard_us = now_us;
        self.voice = voice;
        if voice {
            self.voiced_us = now_us;
        }
    }
}

/// What a packet's sender is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    Heard,
    /// From this packet on.
    Begins,
    /// From this packet on, instead of somebody else.
    Replaces(MemberKey),
    NotHeard,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    member: MemberKey,
    since_us: u64,
    loudness: Loudness,
    priority: bool,
}

impl Place {
    fn has_voice(&self, now_us: u64, config: &SpeakersConfig) -> bool {
        self.loudness.voiced_us != 0 && now_us.saturating_sub(self.loudness.voiced_us) < config.hangover_us
    }
}

/// The places of those who are heard.
#[derive(Debug)]
pub(crate) struct Speakers {
    places: Vec<Place>,
    limit: usize,
    priority: usize,
}

impl Speakers {
    pub(crate) fn new(config: &SpeakersConfig) -> Self {
        Self { places: Vec::with_capacity(config.speakers_max), limit: config.speakers_max, priority: 0 }
    }

    /// Whether this sender is heard, after [`Loudness::note`].
    pub(crate) fn select(
        &mut self,
        now_us: u64,
        member: MemberKey,
        loudness: Loudness,
        priority: bool,
        silence_too: bool,
        config: &SpeakersConfig,
    ) -> Selection {
        if let Some(place) = self.places.iter_mut().find(|place| place.member == member) {
            place.loudness = loudness;
            if place.priority != priority {
                place.priority = priority;
                self.count_priority();
            }
            return Selection::Heard;
        }
        let free = self.places.len() < self.limit;
        if !(loudness.voice || free && silence_too) {
            return Selection::NotHeard;
        }
        let candidate = Place { member, since_us: now_us, loudness, priority };
        if free {
            self.places.push(candidate);
            self.count_priority();
            return Selection::Begins;
        }
        let Some(at) = self.weakest(now_us, config) else { return Selection::NotHeard };
        if !yields(&self.places[at], &candidate, now_us, config) {
            return Selection::NotHeard;
        }
        let replaced = std::mem::replace(&mut self.places[at], candidate);
        self.count_priority();
        Selection::Replaces(replaced.member)
    }

    fn weakest(&self, now_us: u64, config: &SpeakersConfig) -> Option<usize> {
        (0..self.places.len()).min_by_key(|at| {
            let place = &self.places[*at];
            (place.has_voice(now_us, config), place.priority, place.loudness.score)
        })
    }

    fn count_priority(&mut self) {
        self.priority = self.places.iter().filter(|place| place.priority).count();
    }

    /// Whether a priority speaker has voice, so that others are to be played softer.
    pub(crate) fn is_ducking(&self, now_us: u64, config: &SpeakersConfig) -> bool {
        self.priority > 0 && self.places.iter().any(|place| place.priority && place.has_voice(now_us, config))
    }

    pub(crate) fn remove(&mut self, member: MemberKey) -> bool {
        let before = self.places.len();
        self.places.retain(|place| place.member != member);
        self.count_priority();
        self.places.len() != before
    }

    /// Those whose places are given up because they are silent.
    pub(crate) fn expire(&mut self, now_us: u64, silence_too: bool, config: &SpeakersConfig) -> Vec<MemberKey> {
        let keep_us = if silence_too { config.hangover_us * 4 } else { config.hangover_us };
        let mut gone = Vec::new();
        self.places.retain(|place| {
            let last_us = if silence_too { place.loudness.heard_us } else { place.loudness.voiced_us };
            let keep = now_us.saturating_sub(last_us) < keep_us;
            if !keep {
                gone.push(place.member);
            }
            keep
        });
        self.count_priority();
        gone
    }

    /// Changes how many are heard; those who no longer are, softest first.
    pub(crate) fn set_limit(&mut self, now_us: u64, limit: usize, config: &SpeakersConfig) -> Vec<MemberKey> {
        self.limit = limit.max(1);
        let mut gone = Vec::new();
        while self.places.len() > self.limit
            && let Some(at) = self.weakest(now_us, config)
        {
            gone.push(self.places.swap_remove(at).member);
        }
        self.count_priority();
        gone
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = MemberKey> {
        self.places.iter().map(|place| place.member)
    }
}

/// Whether a place is given to somebody else, whose packet has voice.
fn yields(held: &Place, candidate: &Place, now_us: u64, config: &SpeakersConfig) -> bool {
    if !held.has_voice(now_us, config) {
        return true;
    }
    if held.priority != candidate.priority {
        return candidate.priority;
    }
    now_us.saturating_sub(held.since_us) >= config.hold_us
        && candidate.loudness.score >= held.loudness.score + (u32::from(config.margin_db) << 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::AudioLevel;

    fn key(index: u32) -> MemberKey {
        MemberKey { index, generation: 0 }
    }

    struct Room {
        config: SpeakersConfig,
        speakers: Speakers,
        loudness: [Loudness; 8],
        priority: Option<u32>,
    }

    impl Room {
        fn new(speakers_max: usize) -> Self {
            let config = SpeakersConfig { speakers_max, ..SpeakersConfig::default() };
            let speakers = Speakers::new(&config);
            Self { config, speakers, loudness: Default::default(), priority: None }
        }
        fn hear(&mut self, at_ms: u64, member: u32, audio: Audio) -> Selection {
            let loudness = &mut self.loudness[member as usize];
            loudness.note(at_ms * 1_000, audio, &self.config);
            let priority = self.priority == Some(member);
            self.speakers.select(at_ms * 1_000, key(member), *loudness, priority, false, &self.config)
        }
        fn at(&mut self, at_ms: u64, member: u32, below_full_scale_db: u8) -> Selection {
            let level = Some(AudioLevel { below_full_scale_db, voice: below_full_scale_db < 60 });
            self.hear(at_ms, member, Audio { level, silence: false })
        }
    }

    #[test]
    fn the_first_packet_of_a_voice_is_heard_while_places_are_free() {
        let mut room = Room::new(2);
        assert_eq!(room.at(1_000, 0, 30), Selection::Begins);
        assert_eq!(room.at(1_000, 1, 50), Selection::Begins);
        assert_eq!(room.at(1_020, 0, 30), Selection::Heard);
        assert_eq!(room.at(1_020, 2, 55), Selection::NotHeard);
    }

    #[test]
    fn a_little_louder_does_not_take_a_place_and_much_louder_does_after_the_hold() {
        let mut room = Room::new(1);
        room.at(1_000, 0, 30);
        assert_eq!(room.at(1_020, 1, 10), Selection::NotHeard, "held");
        for at_ms in (1_040..2_000).step_by(20) {
            room.at(at_ms, 0, 30);
            assert_eq!(room.at(at_ms, 2, 27), Selection::NotHeard, "within the margin");
        }
        assert_eq!(room.at(2_000, 1, 10), Selection::Replaces(key(0)));
        assert_eq!(room.at(2_020, 0, 5), Selection::NotHeard, "held again");
    }

    #[test]
    fn who_fell_silent_yields_to_any_voice() {
        let mut room = Room::new(1);
        room.at(1_000, 0, 10);
        for at_ms in (1_020..1_480).step_by(20) {
            room.at(at_ms, 0, 127);
            assert_eq!(room.at(at_ms, 1, 55), Selection::NotHeard);
        }
        room.at(1_500, 0, 127);
        assert_eq!(room.at(1_510, 1, 55), Selection::Replaces(key(0)));
    }

    #[test]
    fn without_a_level_packets_count_and_frames_of_silence_do_not() {
        let mut room = Room::new(1);
        let silence = Audio { level: None, silence: true };
        assert_eq!(room.hear(1_000, 0, silence), Selection::NotHeard);
        assert_eq!(room.hear(1_020, 0, Audio::default()), Selection::Begins);
        assert_eq!(room.hear(1_040, 0, silence), Selection::Heard, "the end of what was heard is heard");
        assert_eq!(room.speakers.expire(1_600_000, false, &room.config), [key(0)]);
    }

    #[test]
    fn a_priority_speaker_gets_a_place_at_once_and_ducks_the_others() {
        let mut room = Room::new(1);
        room.at(1_000, 0, 5);
        assert!(!room.speakers.is_ducking(1_000_000, &room.config));
        room.priority = Some(3);
        assert_eq!(room.at(1_020, 3, 55), Selection::Replaces(key(0)));
        assert!(room.speakers.is_ducking(1_020_000, &room.config));
        assert_eq!(room.at(2_000, 0, 5), Selection::Replaces(key(3)), "priority ends with the voice");
    }

    #[test]
    fn fewer_places_keep_the_loudest() {
        let mut room = Room::new(3);
        for (member, db) in [(0, 30), (1, 10), (2, 50)] {
            room.at(1_000, member, db);
        }
        assert_eq!(room.speakers.set_limit(1_000_000, 1, &room.config), [key(2), key(0)]);
        assert_eq!(room.speakers.iter().collect::<Vec<_>>(), [key(1)]);
    }
}
