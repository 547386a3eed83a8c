//! When the driver sends a call again by itself.

use std::sync::Arc;

use scylla::errors::{DbError, RequestAttemptError};
use scylla::policies::retry::{RequestInfo, RetryDecision, RetryPolicy, RetrySession};

use crate::cql::counters::Counters;

/// How often one call goes on to the next node.
const NODES_MAX: u32 = 3;

/// What may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Anything that another node may do better: reads.
    Always,
    /// Only what was certainly not done. The driver reports how the last attempt ended: were it to go on after an
    /// uncertain one, "no connection" could hide that the first was applied. Writes are repeated by the engine, which
    /// remembers.
    Untouched,
}

/// Tries the next node, and the same one with a statement that it forgot.
#[derive(Debug)]
pub struct NextNode {
    again: Again,
    counters: Arc<Counters>,
}

impl NextNode {
    pub fn new(again: Again, counters: &Arc<Counters>) -> Self {
        Self { again, counters: counters.clone() }
    }
}

impl RetryPolicy for NextNode {
    fn new_session(&self) -> Box<dyn RetrySession> {
        Box::new(Session { again: self.again, counters: self.counters.clone(), left: NODES_MAX })
    }
}

struct Session {
    again: Again,
    counters: Arc<Counters>,
    left: u32,
}

impl RetrySession for Session {
    fn decide_should_retry(&mut self, request: RequestInfo<'_>) -> RetryDecision {
        if self.left == 0 || !may_help(request.error, self.again) {
            return RetryDecision::DontRetry;
        }
        self.left -= 1;
        self.counters.retried();
        match request.error {
            RequestAttemptError::DbError(DbError::Unprepared { .. }, _) => RetryDecision::RetrySameTarget(None),
            _ => RetryDecision::RetryNextTarget(None),
        }
    }

    fn reset(&mut self) {
        self.left = NODES_MAX;
    }
}

/// Whether another node may do better.
fn may_help(error: &RequestAttemptError, again: Again) -> bool {
    let read = again == Again::Always;
    match error {
        // Never left this process.
        RequestAttemptError::UnableToAllocStreamId => true,
        RequestAttemptError::BrokenConnectionError(_) => read,
        RequestAttemptError::DbError(error, _) => match error {
            // The driver prepared it anew, and others pushed it out of the node's cache before it was carried out.
            DbError::IsBootstrapping | DbError::Unprepared { .. } => true,
            DbError::Overloaded
            | DbError::Unavailable { .. }
            | DbError::ReadTimeout { .. }
            | DbError::ReadFailure { .. }
            | DbError::ServerError => read,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(error: DbError) -> RequestAttemptError {
        RequestAttemptError::DbError(error, String::new())
    }

    #[test]
    fn only_what_may_be_repeated_is_repeated() {
        assert!(may_help(&database(DbError::IsBootstrapping), Again::Untouched));
        assert!(may_help(&database(DbError::Unprepared { statement_id: vec![1].into() }), Again::Untouched));
        assert!(may_help(&RequestAttemptError::UnableToAllocStreamId, Again::Untouched));
        for error in [DbError::Overloaded, DbError::ServerError] {
            assert!(may_help(&database(error.clone()), Again::Always));
            assert!(!may_help(&database(error), Again::Untouched));
        }
        for error in [DbError::Invalid, DbError::SyntaxError, DbError::Unauthorized] {
            assert!(!may_help(&database(error), Again::Always));
        }
    }
}
