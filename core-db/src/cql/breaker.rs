//! A circuit breaker: a cluster that does not answer is not asked by everybody until it does.
//!
//! Pure: time is passed in. The crates looked at close after the first success or count by rates; the house rule is that
//! three successes close, so this is our own.

use std::time::{Duration, Instant};

/// Failures in a row that open the circuit.
const FAILURES_TO_OPEN: u32 = 10;
/// Successes in a row that close a half-open circuit.
const SUCCESSES_TO_CLOSE: u32 = 3;
/// How long the circuit stays open at first; it doubles with each failed probe.
const OPEN_MIN: Duration = Duration::from_millis(250);
/// The longest that it stays open.
const OPEN_MAX: Duration = Duration::from_secs(5);

/// Whether calls go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All calls go through.
    Closed,
    /// One call at a time goes through, to try.
    HalfOpen,
    /// No call goes through.
    Open,
}

/// Since which change of state a call is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

/// A breaker.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// Rises with every change of state: how a call ends that began before it says nothing about the state after it.
    generation: Generation,
    failures: u32,
    successes: u32,
    open_for: Duration,
    open_until: Instant,
    /// A probe under way ends by its own deadline; one that never came back must not block for ever.
    probe_until: Option<Instant>,
    reason: String,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(now: Instant) -> Self {
        Self {
            state: State::Closed,
            generation: Generation(0),
            failures: 0,
            successes: 0,
            open_for: OPEN_MIN,
            open_until: now,
            probe_until: None,
            reason: String::new(),
        }
    }

    /// Lets a call through now, or does not; in a half-open circuit it is a probe that must end within `deadline`.
    pub fn admit(&mut self, now: Instant, deadline: Duration) -> Option<Generation> {
        match self.state {
            State::Closed => {}
            State::Open if now < self.open_until => return None,
            State::Open => {
                self.change(State::HalfOpen);
                self.successes = 0;
                self.probe_until = Some(now + deadline);
            }
            State::HalfOpen if self.probe_until.is_some_and(|end| now < end) => return None,
            State::HalfOpen => self.probe_until = Some(now + deadline),
        }
        Some(self.generation)
    }

    /// A call was answered.
    pub fn succeeded(&mut self, admitted: Generation) {
        if admitted != self.generation {
            return;
        }
        self.failures = 0;
        if self.state == State::HalfOpen {
            self.probe_until = None;
            self.successes += 1;
            if self.successes >= SUCCESSES_TO_CLOSE {
                self.change(State::Closed);
                self.open_for = OPEN_MIN;
                self.reason.clear();
            }
        }
    }

    /// A call was not answered, or by an error that says that the cluster cannot.
    pub fn failed(&mut self, admitted: Generation, now: Instant, reason: &str) {
        if admitted != self.generation {
            return;
        }
        match self.state {
            State::Closed => {
                self.failures += 1;
                if self.failures >= FAILURES_TO_OPEN {
                    self.open(now, reason);
                }
            }
            State::HalfOpen => {
                self.open_for = (self.open_for * 2).min(OPEN_MAX);
                self.open(now, reason);
            }
            // Nothing is admitted in this state.
            State::Open => {}
        }
    }

    fn open(&mut self, now: Instant, reason: &str) {
        self.change(State::Open);
        self.failures = 0;
        self.probe_until = None;
        self.open_until = now + self.open_for;
        self.reason = reason.to_owned();
    }

    fn change(&mut self, state: State) {
        self.state = state;
        self.generation.0 += 1;
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Why it is not closed.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Duration = Duration::from_secs(2);

    fn admitted(breaker: &mut Breaker, now: Instant) -> Generation {
        breaker.admit(now, DEADLINE).unwrap()
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(now);
        for _ in 0..FAILURES_TO_OPEN {
            let call = admitted(&mut breaker, now);
            breaker.failed(call, now, "no answer");
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_does_not() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        for _ in 0..FAILURES_TO_OPEN * 3 {
            let call = admitted(&mut breaker, now);
            breaker.failed(call, now, "no answer");
            breaker.succeeded(call);
        }
        assert_eq!(breaker.state(), State::Closed);
        let mut breaker = opened(now);
        assert_eq!((breaker.state(), breaker.reason()), (State::Open, "no answer"));
        assert_eq!(breaker.admit(now, DEADLINE), None);
    }

    #[test]
    fn three_successes_close_it() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_MIN;
        for _ in 0..SUCCESSES_TO_CLOSE {
            assert_ne!(breaker.state(), State::Closed);
            let probe = admitted(&mut breaker, later);
            // One probe at a time.
            assert_eq!(breaker.admit(later, DEADLINE), None);
            breaker.succeeded(probe);
        }
        assert_eq!((breaker.state(), breaker.reason()), (State::Closed, ""));
        assert!(breaker.admit(later, DEADLINE).is_some() && breaker.admit(later, DEADLINE).is_some());
    }

    #[test]
    fn calls_that_began_before_it_opened_say_nothing_about_the_probe() {
        let now = Instant::now();
        let mut breaker = Breaker::new(now);
        let early = admitted(&mut breaker, now);
        (0..FAILURES_TO_OPEN).for_each(|_| breaker.failed(early, now, "no answer"));
        assert_eq!(breaker.state(), State::Open);
        let later = now + OPEN_MIN;
        let probe = admitted(&mut breaker, later);
        (0..SUCCESSES_TO_CLOSE).for_each(|_| breaker.succeeded(early));
        assert_eq!((breaker.state(), breaker.admit(later, DEADLINE)), (State::HalfOpen, None));
        breaker.failed(early, later, "no answer");
        assert_eq!(breaker.state(), State::HalfOpen);
        breaker.failed(probe, later, "still none");
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn a_failed_probe_opens_it_for_longer_up_to_a_bound() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut waited = OPEN_MIN;
        for _ in 0..10 {
            assert_eq!(breaker.admit(now + waited - Duration::from_millis(1), DEADLINE), None);
            now += waited;
            let probe = admitted(&mut breaker, now);
            breaker.failed(probe, now, "still none");
            assert_eq!(breaker.state(), State::Open);
            waited = (waited * 2).min(OPEN_MAX);
        }
        assert_eq!(waited, OPEN_MAX);
        assert!(breaker.admit(now + OPEN_MAX, DEADLINE).is_some());
    }

    #[test]
    fn a_probe_that_never_comes_back_makes_room_for_another() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let later = now + OPEN_MIN;
        assert!(breaker.admit(later, DEADLINE).is_some());
        assert_eq!(breaker.admit(later + DEADLINE - Duration::from_millis(1), DEADLINE), None);
        assert!(breaker.admit(later + DEADLINE, DEADLINE).is_some());
    }
}
