//! The line of those who IDENTIFY: so many are worked on at once, others wait their turn, the rest come again.
//!
//! An IDENTIFY costs a look at the account, the memberships and the read states, and a READY made of them. When thousands of
//! clients come at once, as after an outage, all of them worked on together would take the cores from the sessions that
//! are live; one after another they are through in the same time, and nobody else notices. RESUME costs a look at the
//! registry and is not held back: who can resume never waits behind those who start anew.
//!
//! Who cannot wait any more is answered INVALID SESSION (not resumable) and not closed: every library answers it by pausing
//! before its next IDENTIFY, as documented (discord.py and disnake five seconds, discord.js by its identify throttle,
//! serenity one to five seconds, twilight by its queue). A close would be taken for a broken network, and met with a
//! reconnect at once by some. The wait is shorter than the fifteen seconds after which discord.js gives a READY up:
//! no work is done for those who are gone.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::degradation::{Degradation, Feature};

/// How many may be worked on and wait.
#[derive(Clone, Copy, Debug)]
pub struct LineConfig {
    pub at_once: usize,
    pub waiting_max: usize,
    pub wait: Duration,
}

/// No place, nor one in time: later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnedAway;

/// The queue of those who identify.
pub struct IdentifyLine {
    config: LineConfig,
    degradation: Arc<Degradation>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    working: usize,
    waiting: VecDeque<oneshot::Sender<Place>>,
    peak: Peak,
}

/// The most there ever was at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    pub working: usize,
    pub waiting: usize,
}

/// The right to be worked on; given to the next when dropped.
pub struct Place {
    line: Arc<IdentifyLine>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.line.state.lock();
        state.working -= 1;
        let granted = self.line.grant(&mut state);
        drop(state);
        // Only now: a place that nobody took is dropped, and drops into this function again.
        granted.into_iter().for_each(|(next, place)| drop(next.send(place)));
    }
}

impl IdentifyLine {
    /// Nobody is there yet.
    pub fn new(config: LineConfig, degradation: Arc<Degradation>) -> Arc<Self> {
        Arc::new(Self { config, degradation, state: Mutex::default() })
    }

    /// A place to be worked on, once it is one's turn; who loses interest drops the future and leaves the queue.
    pub async fn enter(self: &Arc<Self>) -> Result<Place, TurnedAway> {
        let turn = match self.place_or_turn() {
            Ok(Ok(place)) => return Ok(place),
            Ok(Err(turn)) => turn,
            Err(TurnedAway) => return Err(turned_away("full")),
        };
        match tokio::time::timeout(self.config.wait, turn).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(turned_away("waited")),
        }
    }

    fn place_or_turn(self: &Arc<Self>) -> Result<Result<Place, oneshot::Receiver<Place>>, TurnedAway> {
        if !self.degradation.admits(Feature::NewSessions) {
            return Err(TurnedAway);
        }
        let mut state = self.state.lock();
        if state.working < self.at_once() && state.waiting.is_empty() {
            return Ok(Ok(self.place(&mut state)));
        }
        // Those who left stay in line until their turn; before they take another's place they are cleared away.
        if state.waiting.len() >= self.config.waiting_max {
            state.waiting.retain(|turn| !turn.is_closed());
        }
        if state.waiting.len() >= self.config.waiting_max {
            return Err(TurnedAway);
        }
        let (turn, wait) = oneshot::channel();
        state.waiting.push_back(turn);
        state.peak.waiting = state.peak.waiting.max(state.waiting.len());
        metrics::gauge!("rookery_gateway_identify_waiting").set(state.waiting.len() as f64);
        // With a queue and a free place: the region became less loaded since the last one left.
        let granted = self.grant(&mut state);
        drop(state);
        granted.into_iter().for_each(|(next, place)| drop(next.send(place)));
        Ok(Err(wait))
    }

    /// How many may be worked on now; at least one.
    fn at_once(&self) -> usize {
        let slower = usize::try_from(self.degradation.slowdown(Feature::Identify)).unwrap_or(usize::MAX);
        (self.config.at_once / slower).max(1)
    }

    fn place(self: &Arc<Self>, state: &mut State) -> Place {
        state.working += 1;
        state.peak.working = state.peak.working.max(state.working);
        Place { line: Arc::clone(self) }
    }

    /// Places for the next in line, to be handed over without the lock.
    fn grant(self: &Arc<Self>, state: &mut State) -> Vec<(oneshot::Sender<Place>, Place)> {
        let mut granted = Vec::new();
        while state.working < self.at_once() {
            let Some(next) = state.waiting.pop_front() else { break };
            if !next.is_closed() {
                granted.push((next, self.place(state)));
            }
        }
        metrics::gauge!("rookery_gateway_identify_waiting").set(state.waiting.len() as f64);
        granted
    }

    /// The most there ever was at once.
    pub fn peak(&self) -> Peak {
        self.state.lock().peak
    }
}

fn turned_away(reason: &'static str) -> TurnedAway {
    metrics::counter!("rookery_gateway_identify_turned_away_total", "reason" => reason).increment(1);
    TurnedAway
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures_util::{FutureExt as _, poll};

    use super::*;
    use crate::degradation::Level;

    fn line(at_once: usize, waiting_max: usize) -> Arc<IdentifyLine> {
        at(Level::Normal, at_once, waiting_max)
    }

    fn at(level: Level, at_once: usize, waiting_max: usize) -> Arc<IdentifyLine> {
        let config = LineConfig { at_once, waiting_max, wait: Duration::from_secs(10) };
        IdentifyLine::new(config, Arc::new(Degradation::new(level)))
    }

    #[tokio::test]
    async fn first_come_first_served() {
        let line = line(2, 10);
        let (a, b) = (line.enter().await.ok().unwrap(), line.enter().await.ok().unwrap());
        let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(line.enter())).collect();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        drop(a);
        assert!(matches!(poll!(&mut waiting[1]), Poll::Pending), "it is the first one's turn");
        let first = waiting.remove(0).now_or_never().unwrap().ok().unwrap();
        drop(first);
        drop(b);
        assert!(waiting.into_iter().all(|wait| wait.now_or_never().is_some_and(|place| place.is_ok())));
        assert_eq!(line.peak(), Peak { working: 2, waiting: 3 });
        assert_eq!(line.state.lock().working, 0);
    }

    #[tokio::test]
    async fn who_left_the_line_takes_nobodys_place() {
        let line = line(1, 2);
        let first = line.enter().await.ok().unwrap();
        let mut gone: Vec<_> = (0..2).map(|_| Box::pin(line.enter())).collect();
        for wait in &mut gone {
            assert!(poll!(wait).is_pending());
        }
        assert!(line.enter().now_or_never().is_some_and(|place| place.is_err()), "the line is full");
        drop(gone);
        let mut waits = Box::pin(line.enter());
        assert!(poll!(&mut waits).is_pending());
        drop(first);
        assert!(waits.now_or_never().unwrap().is_ok());
        assert_eq!(line.state.lock().working, 0);
    }

    #[tokio::test]
    async fn a_place_that_was_given_and_not_taken_goes_on() {
        let line = line(1, 10);
        let first = line.enter().await.ok().unwrap();
        let (mut leaves, mut stays) = (Box::pin(line.enter()), Box::pin(line.enter()));
        assert!(poll!(&mut leaves).is_pending() && poll!(&mut stays).is_pending());
        drop(first);
        // Given, not looked at.
        drop(leaves);
        assert!(stays.now_or_never().unwrap().is_ok());
        assert_eq!(line.state.lock().working, 0);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let config = LineConfig { at_once: 1, waiting_max: 10, wait: Duration::from_millis(30) };
        let line = IdentifyLine::new(config, Arc::new(Degradation::new(Level::Normal)));
        let _first = line.enter().await.ok().unwrap();
        let begun = std::time::Instant::now();
        assert_eq!(line.enter().await.err(), Some(TurnedAway));
        assert!(begun.elapsed() >= Duration::from_millis(30));
    }

    #[tokio::test]
    async fn a_loaded_region_works_on_fewer_and_at_last_on_none() {
        let line = at(Level::High, 4, 10);
        let places = [line.enter().await.ok().unwrap(), line.enter().await.ok().unwrap()];
        assert!(line.enter().now_or_never().is_none(), "half as many");
        drop(places);
        assert_eq!(at(Level::Critical, 4, 10).enter().await.err(), Some(TurnedAway));
    }
}
