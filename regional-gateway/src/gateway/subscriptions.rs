//! Which guilds a session still has to subscribe to, and which it is subscribed to.

use std::collections::VecDeque;

use rookery_model::GuildId;

/// Pause before a guild that could not be reached is tried again; doubled each time in a row.
const RETRY_MS: u64 = 500;
const RETRY_MAX_MS: u64 = 30_000;

/// The guilds of a session.
#[derive(Default)]
pub struct Subscriptions {
    /// Sorted. Asked for or already delivered.
    subscribed: Vec<GuildId>,
    /// What is left of a start; gone once everything is subscribed.
    starting: Option<Box<Starting>>,
}

#[derive(Default)]
struct Starting {
    waiting: VecDeque<GuildId>,
    /// Asked for, without an answer yet.
    asked: Vec<GuildId>,
    retry_at_ms: Option<u64>,
    failures_in_row: u32,
    /// Bytes of the largest snapshot so far; none before the first.
    largest_bytes: Option<usize>,
    /// Of those that wait, those that the client was told to be away.
    away: Vec<GuildId>,
    /// Those whose owner ended at an epoch, with everything told: the next one goes on with them.
    parked: Vec<(GuildId, u64)>,
    /// When nobody waits for that any longer.
    parked_until_ms: Option<u64>,
    /// Of those asked for, those that an owner is to go on with.
    resuming: Vec<GuildId>,
}

impl Subscriptions {
    /// None yet.
    pub const fn new() -> Self {
        Self { subscribed: Vec::new(), starting: None }
    }

    /// Those of a session of the process before: guilds that it has, guilds that it asked for and whose owners answer it
    /// still, and guilds that it waits for.
    pub fn taken_up(mut subscribed: Vec<GuildId>, asked: Vec<GuildId>, waiting: Vec<GuildId>) -> Self {
        subscribed.extend(&asked);
        subscribed.sort_unstable();
        subscribed.dedup();
        let starting = (!asked.is_empty()).then(|| Box::new(Starting { asked, ..Starting::default() }));
        let mut all = Self { subscribed, starting };
        waiting.into_iter().for_each(|guild_id| all.want(guild_id));
        all
    }

    /// The guilds that it has, and those of which the snapshot did not come yet; parked ones are neither.
    pub fn parts(&self) -> (Vec<GuildId>, Vec<GuildId>) {
        let Some(starting) = &self.starting else { return (self.subscribed.clone(), Vec::new()) };
        let has = |id: &&GuildId| !starting.asked.contains(id);
        let waiting = starting.asked.iter().chain(&starting.waiting).copied().collect();
        (self.subscribed.iter().filter(has).copied().collect(), waiting)
    }

    /// Guilds whose owner ended, with the epoch.
    pub fn parked(&self) -> Vec<(GuildId, u64)> {
        self.starting.as_ref().map_or_else(Vec::new, |starting| starting.parked.clone())
    }

    /// The guild's owner ended at an epoch and has told everything. One that was only asked for is asked for again.
    pub fn park(&mut self, guild_id: GuildId, epoch: u64, until_ms: u64) {
        let is_asked = self.is_asked(guild_id);
        if !self.take_out(guild_id) {
            return;
        }
        let starting = self.starting.get_or_insert_default();
        if is_asked {
            starting.waiting.push_back(guild_id);
        } else {
            starting.parked.push((guild_id, epoch));
            starting.parked_until_ms.get_or_insert(until_ms);
        }
    }

    /// A guild of a session of the process before, whose owner ended at that epoch.
    pub fn take_up_parked(&mut self, guild_id: GuildId, epoch: u64, until_ms: u64) {
        let starting = self.starting.get_or_insert_default();
        if !starting.parked.iter().any(|(parked, _)| *parked == guild_id) {
            starting.parked.push((guild_id, epoch));
            starting.parked_until_ms.get_or_insert(until_ms);
        }
    }

    /// The guilds parked so long that nobody will go on with them, or whose owner went on from elsewhere.
    pub fn give_up_parked(&mut self, is_over: impl Fn(GuildId, u64) -> bool) -> Vec<GuildId> {
        let Some(starting) = self.starting.as_mut() else { return Vec::new() };
        let over = starting.parked.extract_if(.., |(id, epoch)| is_over(*id, *epoch)).map(|(id, _)| id).collect();
        if starting.parked.is_empty() {
            starting.parked_until_ms = None;
        }
        self.settle();
        over
    }

    /// When parked guilds are given up.
    pub fn parked_until_ms(&self) -> Option<u64> {
        self.starting.as_ref()?.parked_until_ms
    }

    /// An owner is asked to go on with the guilds that were parked where it begins.
    pub fn resume_parked(&mut self, follows: impl Fn(GuildId, u64) -> bool) -> Vec<GuildId> {
        let resumed = self.give_up_parked(follows);
        for guild_id in &resumed {
            let starting = self.starting.get_or_insert_default();
            starting.asked.push(*guild_id);
            starting.resuming.push(*guild_id);
            if let Err(place) = self.subscribed.binary_search(guild_id) {
                self.subscribed.insert(place, *guild_id);
            }
        }
        resumed
    }

    /// Whether an owner was asked to go on with it, and did not answer yet.
    pub fn is_resuming(&self, guild_id: GuildId) -> bool {
        self.starting.as_ref().is_some_and(|starting| starting.resuming.contains(&guild_id))
    }

    /// Whether it was asked for, and nothing came yet.
    pub fn is_asked(&self, guild_id: GuildId) -> bool {
        self.starting.as_ref().is_some_and(|starting| starting.asked.contains(&guild_id))
    }

    /// It is asked for again: whoever was asked is no more.
    pub fn ask_again(&mut self, guild_id: GuildId) {
        if self.take_out(guild_id) {
            self.starting.get_or_insert_default().waiting.push_back(guild_id);
        }
    }

    /// The guilds that were asked for, without an answer yet.
    pub fn asked(&self) -> &[GuildId] {
        self.starting.as_ref().map_or(&[], |starting| &starting.asked)
    }

    /// The guilds asked for or already delivered, ascending.
    pub fn subscribed(&self) -> &[GuildId] {
        &self.subscribed
    }

    /// Adds a guild to those to subscribe to, unless it is among them.
    pub fn want(&mut self, guild_id: GuildId) {
        if self.subscribed.binary_search(&guild_id).is_ok() {
            return;
        }
        let starting = self.starting.get_or_insert_default();
        let is_parked = starting.parked.iter().any(|(parked, _)| *parked == guild_id);
        if !is_parked && !starting.waiting.contains(&guild_id) {
            starting.waiting.push_back(guild_id);
        }
    }

    /// The next guild to ask for, of those in reach: at most so many at once, and no more than fit into the room that is left for their
    /// snapshots, as far as the ones before let expect.
    pub fn next(
        &mut self,
        now_ms: u64,
        at_once: usize,
        room_bytes: usize,
        is_in_reach: impl Fn(GuildId) -> bool,
    ) -> Option<GuildId> {
        let starting = self.starting.as_mut()?;
        let fitting = starting.largest_bytes.map_or(1, |largest| (room_bytes / largest.max(1)).max(1));
        let at_once = at_once.min(fitting);
        if starting.asked.len() >= at_once || starting.retry_at_ms.is_some_and(|at| now_ms < at) {
            return None;
        }
        starting.retry_at_ms = None;
        let Some(place) = starting.waiting.iter().position(|id| is_in_reach(*id)) else {
            // Nobody tells when the others are.
            starting.retry_at_ms = (!starting.waiting.is_empty()).then_some(now_ms + RETRY_MS);
            return None;
        };
        let guild_id = starting.waiting.remove(place)?;
        starting.asked.push(guild_id);
        if let Err(place) = self.subscribed.binary_search(&guild_id) {
            self.subscribed.insert(place, guild_id);
        }
        Some(guild_id)
    }

    /// A snapshot was so large.
    pub fn measured(&mut self, bytes: usize) {
        if let Some(starting) = self.starting.as_mut() {
            starting.largest_bytes = Some(starting.largest_bytes.unwrap_or(0).max(bytes));
        }
    }

    /// The session is subscribed to the guild.
    pub fn confirmed(&mut self, guild_id: GuildId) {
        let Some(starting) = self.starting.as_mut() else { return };
        starting.asked.retain(|asked| *asked != guild_id);
        starting.away.retain(|away| *away != guild_id);
        starting.resuming.retain(|resuming| *resuming != guild_id);
        starting.failures_in_row = 0;
        // A session that wants no snapshots subscribes without a look at their size.
        starting.largest_bytes.get_or_insert(0);
        self.settle();
    }

    /// The guild could not be reached: it will be tried again.
    pub fn failed(&mut self, guild_id: GuildId, now_ms: u64) {
        if !self.take_out(guild_id) {
            return;
        }
        let starting = self.starting.get_or_insert_default();
        starting.waiting.push_back(guild_id);
        let pause = (RETRY_MS << starting.failures_in_row.min(16)).min(RETRY_MAX_MS);
        starting.failures_in_row += 1;
        starting.retry_at_ms = Some(now_ms + pause);
    }

    /// The guild's owner is out of reach, and the client is told that it is away; it is asked for again when it can be.
    pub fn cut(&mut self, guild_id: GuildId) {
        self.take_out(guild_id);
        let starting = self.starting.get_or_insert_default();
        if !starting.waiting.contains(&guild_id) {
            starting.waiting.push_back(guild_id);
        }
        if !starting.away.contains(&guild_id) {
            starting.away.push(guild_id);
        }
    }

    /// Whether the client was told that the guild is away.
    pub fn is_away(&self, guild_id: GuildId) -> bool {
        self.starting.as_ref().is_some_and(|starting| starting.away.contains(&guild_id))
    }

    /// The user is not, or no longer, in the guild; whether it was known.
    pub fn left(&mut self, guild_id: GuildId) -> bool {
        let known = self.take_out(guild_id);
        let waited = self.starting.as_mut().is_some_and(|starting| {
            let before = starting.waiting.len();
            starting.waiting.retain(|waiting| *waiting != guild_id);
            starting.away.retain(|away| *away != guild_id);
            let parked = starting.parked.len();
            starting.parked.retain(|(parked, _)| *parked != guild_id);
            starting.waiting.len() != before || starting.parked.len() != parked
        });
        self.settle();
        known || waited
    }

    /// Whether the session gets, or will get, the guild's events.
    pub fn has(&self, guild_id: GuildId) -> bool {
        self.subscribed.binary_search(&guild_id).is_ok()
    }

    /// When [`Self::next`] is to be asked again although nothing happened.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.starting.as_ref()?.retry_at_ms
    }

    /// Whether a guild still waits to be asked for.
    pub fn is_starting(&self) -> bool {
        self.starting.as_ref().is_some_and(|starting| !starting.waiting.is_empty())
    }

    /// All guilds to take leave of.
    pub fn take(&mut self) -> Vec<GuildId> {
        self.starting = None;
        std::mem::take(&mut self.subscribed)
    }

    fn take_out(&mut self, guild_id: GuildId) -> bool {
        if let Some(starting) = self.starting.as_mut() {
            starting.asked.retain(|asked| *asked != guild_id);
            starting.resuming.retain(|resuming| *resuming != guild_id);
        }
        let place = self.subscribed.binary_search(&guild_id);
        place.map(|place| self.subscribed.remove(place)).is_ok()
    }

    fn settle(&mut self) {
        if self.starting.as_ref().is_some_and(|s| s.waiting.is_empty() && s.asked.is_empty() && s.parked.is_empty()) {
            self.starting = None;
            self.subscribed.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: GuildId = GuildId::new(1);
    const B: GuildId = GuildId::new(2);
    const C: GuildId = GuildId::new(3);
    const ROOM: usize = 1_000;

    fn all(_: GuildId) -> bool {
        true
    }

    #[test]
    fn so_many_at_once_and_each_once() {
        let mut subscriptions = Subscriptions::default();
        [A, B, C, A].into_iter().for_each(|guild| subscriptions.want(guild));
        subscriptions.measured(10);
        assert_eq!(
            (
                subscriptions.next(0, 2, ROOM, all),
                subscriptions.next(0, 2, ROOM, all),
                subscriptions.next(0, 2, ROOM, all)
            ),
            (Some(A), Some(B), None)
        );
        subscriptions.want(A);
        subscriptions.confirmed(A);
        assert_eq!((subscriptions.next(0, 2, ROOM, all), subscriptions.next(0, 2, ROOM, all)), (Some(C), None));
        subscriptions.confirmed(B);
        subscriptions.confirmed(C);
        assert!(subscriptions.starting.is_none());
        assert_eq!(subscriptions.take(), [A, B, C]);
    }

    #[test]
    fn what_a_process_leaves_the_next_one_goes_on_with() {
        let mut subscriptions = Subscriptions::default();
        [A, B, C].into_iter().for_each(|guild| subscriptions.want(guild));
        subscriptions.measured(10);
        assert_eq!((subscriptions.next(0, 2, ROOM, all), subscriptions.next(0, 2, ROOM, all)), (Some(A), Some(B)));
        subscriptions.confirmed(A);
        let (subscribed, waiting) = subscriptions.parts();
        assert_eq!((&*subscribed, &*waiting), (&[A][..], &[B, C][..]));
        assert_eq!(subscriptions.asked(), [B]);
        let mut next = Subscriptions::taken_up(subscribed.clone(), vec![], waiting);
        assert!(next.has(A) && next.is_starting());
        assert_eq!(next.next(0, 2, ROOM, all), Some(B));
        // Where the answer comes still, nobody asks again.
        let mut next = Subscriptions::taken_up(subscribed, vec![B], vec![C]);
        assert!(next.has(B) && next.parts() == (vec![A], vec![B, C]));
        next.confirmed(B);
        assert_eq!((next.next(0, 2, ROOM, all), next.next(0, 2, ROOM, all)), (Some(C), None));
        let settled = Subscriptions::taken_up(vec![B, A, B], vec![], vec![]);
        assert_eq!((settled.subscribed(), settled.parts().1.len()), (&[A, B][..], 0));
    }

    #[test]
    fn a_guild_out_of_reach_is_tried_again_later() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.want(A);
        assert_eq!(subscriptions.next(0, 1, ROOM, all), Some(A));
        subscriptions.failed(A, 100);
        assert_eq!((subscriptions.poll_timeout(), subscriptions.next(599, 1, ROOM, all)), (Some(600), None));
        assert_eq!(subscriptions.next(600, 1, ROOM, all), Some(A));
        subscriptions.failed(A, 600);
        assert_eq!(subscriptions.poll_timeout(), Some(1_600));
    }

    #[test]
    fn guilds_out_of_reach_hold_up_nobody() {
        let mut subscriptions = Subscriptions::default();
        [A, B].into_iter().for_each(|guild| subscriptions.want(guild));
        subscriptions.measured(10);
        let without_a = |id| id != A;
        assert_eq!(subscriptions.next(0, 2, ROOM, without_a), Some(B));
        assert_eq!((subscriptions.next(0, 2, ROOM, without_a), subscriptions.poll_timeout()), (None, Some(RETRY_MS)));
        subscriptions.confirmed(B);
        assert_eq!(subscriptions.next(RETRY_MS, 2, ROOM, all), Some(A));
        subscriptions.confirmed(A);
        subscriptions.cut(A);
        subscriptions.cut(A);
        assert!(subscriptions.is_away(A) && !subscriptions.has(A) && !subscriptions.is_away(B));
        // It is asked for at once when it can be.
        assert_eq!(subscriptions.next(RETRY_MS, 2, ROOM, all), Some(A));
        subscriptions.confirmed(A);
        assert!(subscriptions.starting.is_none() && subscriptions.has(A));
    }

    #[test]
    fn a_guild_that_was_left_is_forgotten_and_can_be_joined_again() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.want(A);
        assert_eq!(subscriptions.next(0, 1, ROOM, all), Some(A));
        assert!(subscriptions.left(A));
        assert!(!subscriptions.left(A));
        subscriptions.failed(A, 0);
        assert!(subscriptions.take().is_empty());
        subscriptions.want(A);
        assert_eq!(subscriptions.next(0, 1, ROOM, all), Some(A));
    }

    #[test]
    fn an_owner_goes_on_with_what_the_one_before_ended() {
        let mut subscriptions = Subscriptions::default();
        [A, B, C].into_iter().for_each(|guild| subscriptions.want(guild));
        subscriptions.measured(10);
        while subscriptions.next(0, 3, ROOM, all).is_some() {}
        [A, B].into_iter().for_each(|guild| subscriptions.confirmed(guild));
        [A, B, C].into_iter().for_each(|guild| subscriptions.park(guild, 7, 500));
        // What never came is asked for again.
        assert_eq!((subscriptions.subscribed(), subscriptions.parked()), (&[][..], vec![(A, 7), (B, 7)]));
        assert_eq!(subscriptions.parked_until_ms(), Some(500));
        subscriptions.want(A);
        assert_eq!(subscriptions.next(0, 3, ROOM, all), Some(C));
        subscriptions.confirmed(C);
        assert_eq!(subscriptions.resume_parked(|id, epoch| (id, epoch) == (A, 7)), [A]);
        assert!(subscriptions.has(A) && subscriptions.is_resuming(A) && subscriptions.is_asked(A));
        subscriptions.confirmed(A);
        assert!(!subscriptions.is_resuming(A));
        assert_eq!(subscriptions.give_up_parked(|_, _| true), [B]);
        assert_eq!(subscriptions.parked_until_ms(), None);
        subscriptions.cut(B);
        assert!(subscriptions.is_away(B));
    }

    #[test]
    fn no_more_than_have_room() {
        let mut subscriptions = Subscriptions::default();
        (1..=40).for_each(|id| subscriptions.want(GuildId::new(id)));
        let ask = |subscriptions: &mut Subscriptions| {
            std::iter::from_fn(|| subscriptions.next(0, 16, ROOM, all)).collect::<Vec<_>>()
        };
        let first = ask(&mut subscriptions);
        assert_eq!(first.len(), 1, "nobody knows yet how large they are");
        subscriptions.measured(250);
        subscriptions.confirmed(first[0]);
        let next = ask(&mut subscriptions);
        assert_eq!(next.len(), 4);
        subscriptions.measured(10_000);
        next.into_iter().for_each(|guild| subscriptions.confirmed(guild));
        assert_eq!(ask(&mut subscriptions).len(), 1, "and one always");
    }

    #[test]
    fn guilds_without_snapshots_are_asked_for_all_the_same() {
        let mut subscriptions = Subscriptions::default();
        (1..=40).for_each(|id| subscriptions.want(GuildId::new(id)));
        let mut asked = 0;
        while let Some(guild) = subscriptions.next(0, 16, ROOM, all) {
            asked += 1;
            subscriptions.confirmed(guild);
        }
        assert_eq!(asked, 40);
        assert!(subscriptions.starting.is_none());
    }
}
