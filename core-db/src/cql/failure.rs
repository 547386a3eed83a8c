//! What a failed call means for what is stored.

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
        DbError::Unavailable { .. } if purpose != Purpose::CompareAndSet => Failure::Untouched(reason),
        DbError::IsBootstrapping | DbError::RateLimitReached { rejected_by_coordinator: true, .. } => {
            Failure::Untouched(reason)
        }
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
        let timeout = ExecutionError::RequestTimeout(std::time::Duration::from_secs(1));
        assert!(matches!(classify(&timeout, Purpose::Write), Failure::Uncertain(_)));
        assert!(matches!(database(DbError::Overloaded), Failure::Uncertain(_)));
        assert!(matches!(database(DbError::ServerError), Failure::Uncertain(_)));
        assert!(matches!(database(DbError::Invalid), Failure::Refused(_)));
    }

    #[test]
    fn callers_hear_what_the_interface_promises() {
        let words = || "words".to_owned();
        assert_eq!(Failure::Untouched(words()).into_write_error(), StoreError::Unwritable(words()));
        assert_eq!(Failure::Untouched(words()).into_uncertain().into_write_error(), StoreError::Unknown(words()));
        assert_eq!(Failure::Uncertain(words()).into_read_error(), StoreError::Unavailable(words()));
    }
}
