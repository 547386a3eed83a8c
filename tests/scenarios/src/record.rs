//! All that is known after a scenario, and what of it must not be.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::deployment::Layout;
use crate::journal::{How, Journal, Life, Outage, What};
use crate::load::{Outcome, Post, Said};
use crate::scene::Scene;
use crate::verdict::milliseconds;

/// A channel's messages as a region shows them, oldest first.
pub type Pages = HashMap<u64, Vec<(u64, String)>>;

/// What clients saw, what was said and what is stored.
pub struct Record {
    pub layout: Arc<Layout>,
    pub scene: Arc<Scene>,
    pub journals: Vec<Journal>,
    pub said: Said,
    /// By region, as its own point of presence shows them in the end.
    pub stored: Vec<Pages>,
    /// Channels that a region could not show in the end.
    pub unread: Vec<String>,
    /// Said in each channel after everything else; none where nobody could say it.
    pub last_words: Vec<(u64, Option<u64>)>,
}

impl Record {
    fn who(&self, member: usize) -> String {
        format!("session {member}, {}", self.scene.members[member].describe(&self.layout))
    }

    fn acknowledged(&self) -> impl Iterator<Item = (u64, &Post)> {
        self.said.posts.iter().filter_map(|post| Some((post.message_id()?, post)))
    }

    /// Acknowledged messages that a region does not show, but for these.
    pub fn not_stored(&self, excused: &HashSet<u64>) -> Vec<String> {
        let mut lost = self.unread.clone();
        for (region, pages) in self.layout.regions.iter().zip(&self.stored) {
            let ids: HashSet<u64> = pages.values().flatten().map(|(id, _)| *id).collect();
            let missing = self.acknowledged().filter(|(id, _)| !ids.contains(id) && !excused.contains(id));
            lost.extend(missing.map(|(id, post)| {
                format!("{} does not show {id} ({:?} in channel {})", region.name, post.content, post.channel_id)
            }));
        }
        lost
    }

    /// Channels of which two regions show different things.
    pub fn disagreements(&self) -> Vec<String> {
        let Some((first, others)) = self.stored.split_first() else { return Vec::new() };
        let mut found = Vec::new();
        for (pages, region) in others.iter().zip(&self.layout.regions[1..]) {
            for (channel, messages) in first {
                if pages.get(channel) != Some(messages) {
                    let count = pages.get(channel).map_or(0, Vec::len);
                    found.push(format!(
                        "channel {channel}: {} messages in {}, {count} in {}",
                        messages.len(),
                        self.layout.regions[0].name,
                        region.name
                    ));
                }
            }
        }
        found
    }

    /// Events that came twice to a session.
    pub fn repeated(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (member, journal) in self.journals.iter().enumerate() {
            for life in &journal.lives {
                let mut ids = HashSet::new();
                let twice = messages(life).filter(|(_, id)| !ids.insert(*id));
                found.extend(twice.map(|(channel, id)| format!("{}: {id} of channel {channel}", self.who(member))));
            }
        }
        found
    }

    /// Messages that came to a client twice, also over several of its sessions.
    pub fn repeated_to_clients(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (member, journal) in self.journals.iter().enumerate() {
            let mut ids = HashSet::new();
            let twice = journal.lives.iter().flat_map(messages).filter(|(_, id)| !ids.insert(*id));
            found.extend(twice.map(|(channel, id)| format!("{}: {id} of channel {channel}", self.who(member))));
        }
        found
    }

    /// Messages that came behind a later one of their channel.
    pub fn reordered(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (member, journal) in self.journals.iter().enumerate() {
            for life in &journal.lives {
                let mut newest: HashMap<u64, u64> = HashMap::new();
                for (channel, id) in messages(life) {
                    let last = newest.entry(channel).or_default();
                    if id < *last {
                        found.push(format!("{}: {id} behind {last} in channel {channel}", self.who(member)));
                    }
                    *last = id.max(*last);
                }
            }
        }
        found
    }

    /// Messages that came to somebody who may not view their channel.
    pub fn leaked(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (number, journal) in self.journals.iter().enumerate() {
            let member = &self.scene.members[number];
            let all = journal.lives.iter().flat_map(messages);
            let wrong = all.filter(|(channel, _)| !self.scene.may_see(member, *channel));
            found.extend(wrong.map(|(channel, id)| format!("{}: {id} of channel {channel}", self.who(number))));
        }
        found
    }

    /// Messages that came and are not stored, or as something else, but for these.
    pub fn invented(&self, excused: &HashSet<u64>) -> Vec<String> {
        let stored: HashMap<u64, &str> = self
            .stored
            .iter()
            .flat_map(|pages| pages.values().flatten())
            .map(|(id, text)| (*id, text.as_str()))
            .collect();
        let mut found = HashSet::new();
        for journal in &self.journals {
            for seen in journal.lives.iter().flat_map(|life| &life.seen) {
                if let What::Message { channel_id, id, content } = &seen.what
                    && stored.get(id) != Some(&content.as_ref())
                    && !excused.contains(id)
                {
                    found.insert(format!("{id} of channel {channel_id} came as {content:?}"));
                }
            }
        }
        found.into_iter().collect()
    }

    /// What servers did that they must not whatever happens.
    pub fn offences(&self) -> Vec<String> {
        let all = self.journals.iter().enumerate();
        all.flat_map(|(member, journal)| journal.offences.iter().map(move |offence| (member, offence)))
            .map(|(member, offence)| format!("{}: {offence}", self.who(member)))
            .collect()
    }

    /// Acknowledged messages that a session missed without having been told that it might.
    ///
    /// A session knows of a guild from GUILD_CREATE until GUILD_DELETE with `unavailable`, or until it ends. In between
    /// there is no gap: what was said after the first of these, or between two messages that came, came as well; and in
    /// the end everything came up to the last words.
    pub fn untold_losses(&self) -> Vec<String> {
        let said = self.said_by_channel();
        let mut found = Vec::new();
        for (number, journal) in self.journals.iter().enumerate() {
            let member = &self.scene.members[number];
            let room = &self.scene.rooms[member.room];
            for (place, life) in journal.lives.iter().enumerate() {
                let goes_on = life.ended.is_none() && place + 1 == journal.lives.len() && journal.is_connected();
                for stretch in stretches(life, room.guild_id) {
                    let channels = [room.open, room.hidden].into_iter().filter(|id| self.scene.may_see(member, *id));
                    for channel in channels {
                        let posts = said.get(&channel).map_or(&[][..], Vec::as_slice);
                        let is_open = goes_on && stretch.ended.is_none();
                        found.extend(stretch.lost(channel, posts, is_open).into_iter().map(|(id, post)| {
                            format!("{}: {id} ({:?}) of channel {channel}", self.who(number), post.content)
                        }));
                    }
                }
            }
        }
        found
    }

    /// Acknowledged messages, said after a client had its guild for the first time, that no session of it heard.
    pub fn losses(&self) -> Vec<String> {
        let said = self.said_by_channel();
        let mut found = Vec::new();
        for (number, journal) in self.journals.iter().enumerate() {
            let member = &self.scene.members[number];
            let room = &self.scene.rooms[member.room];
            let first = journal.lives.first().and_then(|life| Some(stretches(life, room.guild_id).first()?.began));
            let Some(first) = first else {
                found.push(format!("{}: never had its guild", self.who(number)));
                continue;
            };
            let heard: HashSet<u64> = journal.lives.iter().flat_map(messages).map(|(_, id)| id).collect();
            for channel in [room.open, room.hidden].into_iter().filter(|id| self.scene.may_see(member, *id)) {
                let posts = said.get(&channel).into_iter().flatten();
                let missed = posts.filter(|(id, post)| post.began > first && !heard.contains(id));
                found.extend(
                    missed.map(|(id, post)| {
                        format!("{}: {id} ({:?}) of channel {channel}", self.who(number), post.content)
                    }),
                );
            }
        }
        found
    }

    fn said_by_channel(&self) -> HashMap<u64, Vec<(u64, &Post)>> {
        let mut said: HashMap<u64, Vec<(u64, &Post)>> = HashMap::new();
        for (id, post) in self.acknowledged() {
            said.entry(post.channel_id).or_default().push((id, post));
        }
        said
    }

    /// Clients that had to begin a new session.
    pub fn identified_anew(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (member, journal) in self.journals.iter().enumerate() {
            for outage in &journal.outages {
                if outage.back.as_ref().is_some_and(|back| back.how == How::Identified) {
                    found.push(format!("{}: after {}", self.who(member), why(outage)));
                }
            }
        }
        found
    }

    /// Clients that were away for longer than this, or did not come back; of those whose number is asked for.
    pub fn away_for_longer(&self, limit: Duration, since: Instant, of: impl Fn(usize) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (member, journal) in self.journals.iter().enumerate().filter(|(member, _)| of(*member)) {
            if journal.lives.is_empty() {
                found.push(format!("{}: never had a session", self.who(member)));
            }
            for outage in journal.outages.iter().filter(|outage| outage.began >= since) {
                match outage.took() {
                    Some(took) if took <= limit => {}
                    Some(took) => {
                        found.push(format!("{}: {} ms after {}", self.who(member), took.as_millis(), why(outage)))
                    }
                    None => found.push(format!("{}: not back after {}", self.who(member), why(outage))),
                }
            }
        }
        found
    }

    /// Who did not hear the last words of a channel that they may see.
    pub fn not_converged(&self) -> Vec<String> {
        let unsaid = self.last_words.iter().filter(|(_, id)| id.is_none());
        let mut found: Vec<String> =
            unsaid.map(|(channel, _)| format!("nothing could be said in channel {channel}")).collect();
        let words: HashMap<u64, u64> =
            self.last_words.iter().filter_map(|(channel, id)| Some((*channel, (*id)?))).collect();
        for (number, journal) in self.journals.iter().enumerate() {
            let member = &self.scene.members[number];
            let room = &self.scene.rooms[member.room];
            for channel in [room.open, room.hidden].into_iter().filter(|id| self.scene.may_see(member, *id)) {
                if let Some(id) = words.get(&channel)
                    && !journal.has_heard(*id)
                {
                    found.push(format!("{} did not hear the last words of channel {channel}", self.who(number)));
                }
            }
        }
        found
    }

    /// How sessions came back: resumed, identified, not at all; and how often guilds were told away.
    pub fn returns(&self) -> String {
        let outages = || self.journals.iter().flat_map(|journal| &journal.outages);
        let how = |wanted: How| outages().filter(|o| o.back.as_ref().is_some_and(|back| back.how == wanted)).count();
        let open = outages().filter(|outage| outage.back.is_none()).count();
        let seen = self.journals.iter().flat_map(|journal| &journal.lives).flat_map(|life| &life.seen);
        let away = seen.filter(|seen| matches!(seen.what, What::Away(_))).count();
        let (resumed, identified) = (how(How::Resumed), how(How::Identified));
        format!("{resumed} resumed, {identified} identified anew, {open} not back; guilds told away {away} times")
    }

    /// The longest outage that ended.
    pub fn longest_outage(&self, since: Instant) -> String {
        let outages = self.journals.iter().flat_map(|journal| &journal.outages);
        let ended = outages.filter(|outage| outage.began >= since).filter_map(|outage| Some((outage.took()?, outage)));
        match ended.max_by_key(|(took, _)| *took) {
            Some((took, outage)) => format!("{} after {}", milliseconds(took), why(outage)),
            None => milliseconds(Duration::ZERO),
        }
    }

    /// How many attempts to say something had each outcome.
    pub fn attempts(&self) -> String {
        let posts = &self.said.posts;
        let count = |is: fn(&Outcome) -> bool| posts.iter().filter(|post| is(&post.outcome)).count();
        format!(
            "{} acknowledged, {} refused, {} of unknown outcome, {} given up, {} not begun",
            count(|outcome| matches!(outcome, Outcome::Acknowledged(_))),
            count(|outcome| matches!(outcome, Outcome::Refused(_))),
            count(|outcome| matches!(outcome, Outcome::Unknown(_))),
            self.said.given_up.len(),
            self.said.left_out
        )
    }

    /// The longest time between two moments in which nothing was acknowledged in guilds of this home.
    pub fn longest_pause(&self, home: usize, from: Instant, to: Instant) -> Duration {
        let of_home = self.acknowledged().filter(|(_, post)| self.scene.rooms[post.room].home == home);
        let mut moments: Vec<Instant> =
            of_home.map(|(_, post)| post.ended).filter(|at| (from..to).contains(at)).collect();
        moments.extend([from, to]);
        moments.sort();
        moments.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// From the beginning of an acknowledged attempt to its message at each client: median and 99th percentile.
    pub fn delivery_times(&self) -> Option<(Duration, Duration)> {
        let began: HashMap<u64, Instant> = self.acknowledged().map(|(id, post)| (id, post.began)).collect();
        let mut times = Vec::new();
        for seen in self.journals.iter().flat_map(|journal| &journal.lives).flat_map(|life| &life.seen) {
            if let What::Message { id, .. } = &seen.what
                && let Some(began) = began.get(id)
            {
                times.push(seen.at.saturating_duration_since(*began));
            }
        }
        times.sort();
        let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1))).copied();
        Some((at(50)?, at(99)?))
    }
}

/// How a connection was lost, and what attempts to come back met.
fn why(outage: &Outage) -> String {
    let mut words = format!("{:?}", outage.cause);
    for cause in &outage.failed {
        words += &format!(", then {cause:?}");
    }
    format!("{words}, {} attempts unanswered", outage.unanswered)
}

/// Messages of a life, as channel and id, in the order in which they came.
fn messages(life: &Life) -> impl Iterator<Item = (u64, u64)> {
    life.seen.iter().filter_map(|seen| match seen.what {
        What::Message { channel_id, id, .. } => Some((channel_id, id)),
        _ => None,
    })
}

/// A time in which a session had a guild.
struct Stretch {
    began: Instant,
    /// When it was told away; a session that ends does not say so here.
    ended: Option<Instant>,
    /// Channel and id.
    heard: Vec<(u64, u64)>,
}

fn stretches(life: &Life, guild_id: u64) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for seen in &life.seen {
        let open = found.last_mut().filter(|stretch| stretch.ended.is_none());
        match (&seen.what, open) {
            (What::Guild(id), None) if *id == guild_id => {
                found.push(Stretch { began: seen.at, ended: None, heard: Vec::new() });
            }
            (What::Away(id), Some(stretch)) if *id == guild_id => stretch.ended = Some(seen.at),
            (What::Message { channel_id, id, .. }, Some(stretch)) => stretch.heard.push((*channel_id, *id)),
            _ => {}
        }
    }
    found
}

impl Stretch {
    /// Acknowledged messages of a channel that should have come and did not.
    fn lost<'a>(&self, channel: u64, posts: &[(u64, &'a Post)], is_open: bool) -> Vec<(u64, &'a Post)> {
        let heard: HashSet<u64> = self.heard.iter().filter(|(of, _)| *of == channel).map(|(_, id)| *id).collect();
        let (first, last) = (heard.iter().min().copied(), heard.iter().max().copied());
        let is_due = |id: u64, post: &Post| {
            let behind_begin = post.began > self.began || first.is_some_and(|first| id > first);
            let before_end = is_open || last.is_some_and(|last| id < last);
            behind_begin && before_end
        };
        posts.iter().filter(|(id, post)| is_due(*id, post) && !heard.contains(id)).copied().collect()
    }
}

#[cfg(test)]
mod tests;
