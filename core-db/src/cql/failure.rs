//! What a failed call means for what is stored.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use super::calls::chain;
use super::policies::Purpose;
use crate::StoreError;

/// How a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The cluster will never take it.
    Refused(String),
    /// Nothing was or will be applied.
    Untouched(String),
    /// It may have been applied, or may be later.
    Uncertain(String),
}

impl Failure {
    /// What a reader hears.
    pub fn into_read_error(self) -> StoreError {
        match self {
            Self::Refused(reason) | Self::Untouched(reason) | Self::Uncertain(reason) => {
                StoreError::Unavailable(reason)
            }
        }
    }

    /// What a writer hears.
    pub fn into_write_error(self) -> StoreError {
        match self {
            Self::Refused(reason) => StoreError::Invalid(reason),
            Self::Untouched(reason) => StoreError::Unwritable(reason),
            Self::Uncertain(reason) => StoreError::Unknown(reason),
        }
    }

    /// The same failure after an earlier attempt or a part of the batch that may have been applied.
    pub fn into_uncertain(self) -> Self {
        match self {
            Self::Refused(reason) | Self::Untouched(reason) | Self::Uncertain(reason) => Self::Uncertain(reason),
        }
    }
}

/// What is remembered of a call that is sent until its outcome is certain or its time is up.
#[derive(Debug)]
pub struct Attempts {
    deadline: Instant,
    pause: Duration,
    pause_max: Duration,
    is_uncertain: bool,
}

impl Attempts {
    /// None so far; pauses double up to the longest.
    pub fn new(deadline: Instant, pause: Duration, pause_max: Duration) -> Self {
        Self { deadline, pause, pause_max, is_uncertain: false }
    }

    /// How long to wait before the next attempt, or the outcome.
    ///
    /// What was uncertain once stays so: an attempt that is refused afterwards does not undo an earlier one.
    pub fn failed(&mut self, failure: Failure, is_closed: bool, now: Instant) -> ControlFlow<Failure, Duration> {
        self.is_uncertain |= matches!(failure, Failure::Uncertain(_));
        // Nothing was sent: whoever waits is told at once, and the next one probes the cluster.
        let gives_up = !self.is_uncertain && !is_closed;
        if matches!(failure, Failure::Refused(_)) || gives_up || now + self.pause >= self.deadline {
            return ControlFlow::Break(if self.is_uncertain { failure.into_uncertain() } else { failure });
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(self.pause_max);
        ControlFlow::Continue(pause)
    }
}

/// Sorts the driver's errors.
///
/// The driver reports how the last attempt ended. That stands for all of them, because the writes' retry policy goes on
/// only after attempts that were not applied.
pub fn classify(error: &ExecutionError, purpose: Purpose) -> Failure {
    let reason = chain(error);
    match error {
        ExecutionError::BadQuery(_) | ExecutionError::PrepareError(_) => Failure::Refused(reason),
        ExecutionError::EmptyPlan | ExecutionError::ConnectionPoolError(_) => Failure::Untouched(reason),
        ExecutionError::LastAttemptError(attempt) => match attempt {
            RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
                Failure::Refused(reason)
            }
            RequestAttemptError::UnableToAllocStreamId => Failure::Untouched(reason),
            RequestAttemptError::DbError(error, _) => of_database(error, purpose, reason),
            _ => Failure::Uncertain(reason),
        },
        // A timeout of the client, and whatever a later driver may add.
        _ => Failure::Uncertain(reason),
    }
}

fn of_database(error: &DbError, purpose: Purpose, reason: String) -> Failure {
    match error {
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::AlreadyExists { .. }
        | DbError::FunctionFailure { .. }
        | DbError::AuthenticationError
        | DbError::Unauthorized
        | DbError::ConfigError
        | DbError::ProtocolError => Failure::Refused(reason),
        // Refused before anything was sent. A compare-and-set may also find too few nodes at its end.
        DbError::Unavailable { .. } if !purpose.is_compare_and_set() => Failure::Untouched(reason),
        DbError::IsBootstrapping
        | DbError::Unprepared { .. }
        | DbError::RateLimitReached { rejected_by_coordinator: true, .. } => Failure::Untouched(reason),
        _ => Failure::Uncertain(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(error: DbError) -> Failure {
        classify(&ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, "words".into())), Purpose::Write)
    }

    #[test]
    fn only_what_was_never_sent_counts_as_untouched() {
        assert!(matches!(classify(&ExecutionError::EmptyPlan, Purpose::Write), Failure::Untouched(_)));
        assert!(matches!(database(DbError::IsBootstrapping), Failure::Untouched(_)));
        let forgotten = DbError::Unprepared { statement_id: vec![1].into() };
        assert!(matches!(database(forgotten), Failure::Untouched(_)));
        let timeout = ExecutionError::RequestTimeout(std::time::Duration::from_secs(1));
        assert!(matches!(classify(&timeout, Purpose::Write), Failure::Uncertain(_)));
        assert!(matches!(database(DbError::Overloaded), Failure::Uncertain(_)));
        assert!(matches!(database(DbError::ServerError), Failure::Uncertain(_)));
        assert!(matches!(database(DbError::Invalid), Failure::Refused(_)));
    }

    #[test]
    fn an_attempt_that_may_have_applied_makes_every_later_failure_uncertain() {
        let begin = Instant::now();
        let ms = Duration::from_millis;
        let attempts = || Attempts::new(begin + ms(1_000), ms(10), ms(40));
        let words = || "words".to_owned();
        let mut once = attempts();
        assert_eq!(once.failed(Failure::Refused(words()), true, begin), ControlFlow::Break(Failure::Refused(words())));
        let mut later = attempts();
        assert_eq!(later.failed(Failure::Uncertain(words()), true, begin), ControlFlow::Continue(ms(10)));
        let uncertain = ControlFlow::Break(Failure::Uncertain(words()));
        assert_eq!(later.failed(Failure::Refused(words()), true, begin), uncertain);
        let mut last = attempts();
        assert_eq!(last.failed(Failure::Uncertain(words()), true, begin), ControlFlow::Continue(ms(10)));
        // An open circuit does not end the search for certainty; the deadline does.
        assert_eq!(last.failed(Failure::Untouched(words()), false, begin), ControlFlow::Continue(ms(20)));
        assert_eq!(last.failed(Failure::Untouched(words()), false, begin + ms(990)), uncertain);
    }

    #[test]
    fn what_was_never_sent_is_given_up_when_the_circuit_opens() {
        let begin = Instant::now();
        let mut attempts = Attempts::new(begin + Duration::from_secs(1), Duration::from_millis(10), Duration::MAX);
        let untouched = || Failure::Untouched("no node".into());
        assert!(attempts.failed(untouched(), true, begin).is_continue());
        assert_eq!(attempts.failed(untouched(), false, begin), ControlFlow::Break(untouched()));
    }

    #[test]
    fn callers_hear_what_the_interface_promises() {
        let words = || "words".to_owned();
        assert_eq!(Failure::Untouched(words()).into_write_error(), StoreError::Unwritable(words()));
        assert_eq!(Failure::Untouched(words()).into_uncertain().into_write_error(), StoreError::Unknown(words()));
        assert_eq!(Failure::Uncertain(words()).into_read_error(), StoreError::Unavailable(words()));
    }
}
