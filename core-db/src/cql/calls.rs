//! Calls to the cluster: deadline, breaker, figures, and what an error means.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use tokio::sync::Semaphore;

use std::ops::ControlFlow;
use std::sync::Arc;

use super::breaker::{Breaker, State};
use super::counters::Counters;
use super::failure::{Failure, classify};
use super::policies::{Profiles, Purpose};
use super::statement::{Mutation, Statement};
use crate::config::CqlConfig;
use crate::{StoreError, StoreHealth};

/// The first pause before a write is tried again; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// The values of a statement.
pub type Values<'a> = &'a (dyn SerializeRow + Sync);

/// The way to the cluster.
pub struct Calls {
    pub session: Session,
    pub profiles: Profiles,
    pub counters: Arc<Counters>,
    /// Of reads and writes, for which the local data centre is enough, or a majority.
    breaker: Mutex<Breaker>,
    /// Of compare-and-set, which may want a majority of all replicas where reads and writes do not: that it fails must
    /// not refuse them.
    serial_breaker: Mutex<Breaker>,
    /// Statements under way; those that wait are in the queue of batches, which is bounded.
    permits: Semaphore,
    write_timeout: Duration,
    attempt_timeout: Duration,
}

impl Calls {
    pub fn new(session: Session, profiles: Profiles, counters: Arc<Counters>, config: &CqlConfig) -> Self {
        Self {
            session,
            profiles,
            counters,
            breaker: Mutex::new(Breaker::new(Instant::now())),
            serial_breaker: Mutex::new(Breaker::new(Instant::now())),
            permits: Semaphore::new(config.statements_in_flight.min(Semaphore::MAX_PERMITS)),
            write_timeout: Duration::from_millis(config.write_timeout_ms),
            attempt_timeout: Duration::from_millis(config.write_attempt_timeout_ms.max(config.read_timeout_ms)),
        }
    }

    /// Whether calls go through.
    pub fn health(&self) -> StoreHealth {
        let breaker = self.breaker.lock();
        match breaker.state() {
            State::Closed => StoreHealth::writable(),
            _ => StoreHealth::unwritable(format!("the database does not answer: {}", breaker.reason())),
        }
    }

    /// Whether the circuit of reads and writes is closed.
    pub fn is_closed(&self) -> bool {
        self.breaker.lock().state() == State::Closed
    }

    /// Whether a compare-and-set may be tried.
    pub fn is_serial_closed(&self) -> bool {
        self.is_closed() && self.serial_breaker.lock().state() == State::Closed
    }

    fn breaker(&self, purpose: Purpose) -> &Mutex<Breaker> {
        match purpose {
            Purpose::Read | Purpose::Write => &self.breaker,
            Purpose::CompareAndSet | Purpose::SerialRead => &self.serial_breaker,
        }
    }

    /// Lets a call through, or says why not.
    fn admit(&self, purpose: Purpose) -> Result<(), String> {
        let mut breaker = self.breaker(purpose).lock();
        if breaker.admit(Instant::now(), self.attempt_timeout) {
            Ok(())
        } else {
            Err(format!("the circuit is open: {}", breaker.reason()))
        }
    }

    /// Notes how a call ended.
    fn note<T>(&self, purpose: Purpose, begin: Instant, outcome: Result<T, ExecutionError>) -> Result<T, Failure> {
        self.counters.called(purpose, begin.elapsed());
        let mut breaker = self.breaker(purpose).lock();
        let before = breaker.state();
        let outcome = match outcome {
            Ok(answer) => {
                breaker.succeeded();
                Ok(answer)
            }
            Err(error) => {
                let failure = classify(&error, purpose);
                match &failure {
                    // The cluster is well enough to find fault with us.
                    Failure::Refused(_) => breaker.succeeded(),
                    Failure::Untouched(reason) | Failure::Uncertain(reason) => breaker.failed(Instant::now(), reason),
                }
                Err(failure)
            }
        };
        let after = breaker.state();
        if before != after {
            match purpose {
                Purpose::Read | Purpose::Write => note_state(after, breaker.reason()),
                Purpose::CompareAndSet | Purpose::SerialRead => note_serial_state(after, breaker.reason()),
            }
        }
        outcome
    }

    /// One call that is not tried again here.
    ///
    /// Values are a trait object, here and below, so that the driver's part is compiled once and not for each table.
    pub async fn once(&self, statement: &Statement, values: Values<'_>) -> Result<QueryResult, Failure> {
        self.admit(statement.purpose).map_err(Failure::Untouched)?;
        let begin = Instant::now();
        let outcome = self.session.execute_unpaged(&statement.prepared, values).await;
        self.note(statement.purpose, begin, outcome)
    }

    /// The rows of a query that bounds itself.
    pub async fn rows<R>(&self, statement: &Statement, values: impl SerializeRow + Sync) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let result = self.once(statement, &values).await.map_err(Failure::into_read_error)?;
        decode(statement, &rows_of(statement, result)?)
    }

    /// The one row of a query, if there is one.
    pub async fn row<R>(&self, statement: &Statement, values: impl SerializeRow + Sync) -> Result<Option<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let result = self.once(statement, &values).await.map_err(Failure::into_read_error)?;
        let rows = rows_of(statement, result)?;
        rows.maybe_first_row().map_err(|error| not_understood(statement, &error))
    }

    /// All rows of a query without a bound of its own, page by page, each with its own deadline.
    pub async fn all_rows<R>(
        &self,
        statement: &Statement,
        values: impl SerializeRow + Sync,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let mut all = Vec::new();
        let mut page = PagingState::start();
        loop {
            let (result, next) = self.page(statement, &values, page).await.map_err(Failure::into_read_error)?;
            all.extend(decode::<R>(statement, &rows_of(statement, result)?)?);
            match next.into_paging_control_flow() {
                ControlFlow::Break(()) => return Ok(all),
                ControlFlow::Continue(next) => page = next,
            }
        }
    }

    /// At most so many rows of a query from a place on, and the place behind them.
    pub async fn bounded_page(
        &self,
        statement: &Statement,
        values: Values<'_>,
        place: PagingState,
        rows_max: i32,
    ) -> Result<(QueryRowsResult, Option<Vec<u8>>), StoreError> {
        let mut prepared = (*statement.prepared).clone();
        prepared.set_page_size(rows_max);
        let statement = Statement { prepared: Arc::new(prepared), ..statement.clone() };
        let (result, next) = self.page(&statement, values, place).await.map_err(Failure::into_read_error)?;
        let next = match next.into_paging_control_flow() {
            ControlFlow::Break(()) => None,
            ControlFlow::Continue(next) => next.as_bytes_slice().map(|bytes| bytes.to_vec()),
        };
        Ok((rows_of(&statement, result)?, next))
    }

    async fn page(
        &self,
        statement: &Statement,
        values: Values<'_>,
        page: PagingState,
    ) -> Result<(QueryResult, PagingStateResponse), Failure> {
        self.admit(statement.purpose).map_err(Failure::Untouched)?;
        let begin = Instant::now();
        let outcome = self.session.execute_single_page(&statement.prepared, values, page).await;
        self.note(statement.purpose, begin, outcome)
    }

    /// Writes mutations of one partition; with the same timestamps again until it is certain or the time is up.
    pub async fn write(&self, mutations: &[Mutation]) -> Result<(), Failure> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.map_err(|error| Failure::Untouched(error.to_string()))?;
        let deadline = Instant::now() + self.write_timeout;
        let (mut pause, mut uncertain) = (PAUSE_MIN, false);
        loop {
            let failure = match self.attempt(mutations).await {
                Ok(()) => return Ok(()),
                Err(Failure::Refused(reason)) => return Err(Failure::Refused(reason)),
                Err(failure) => failure,
            };
            uncertain |= matches!(failure, Failure::Uncertain(_));
            // Nothing was sent: whoever waits is told at once, and the next one probes the cluster.
            let give_up = !uncertain && !self.is_closed();
            if give_up || Instant::now() + pause >= deadline {
                return Err(if uncertain { failure.into_uncertain() } else { failure });
            }
            self.counters.retried();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(&self, mutations: &[Mutation]) -> Result<(), Failure> {
        self.admit(Purpose::Write).map_err(Failure::Untouched)?;
        let begin = Instant::now();
        let outcome = match mutations {
            [] => return Ok(()),
            [one] => self.session.execute_unpaged(&one.statement.prepared, &*one.values as Values<'_>).await,
            several => self.write_batch(several).await,
        };
        self.note(Purpose::Write, begin, outcome).map(drop)
    }

    /// Unlogged: all of it is one partition, which the replicas apply as one mutation anyhow.
    async fn write_batch(&self, mutations: &[Mutation]) -> Result<QueryResult, ExecutionError> {
        let mut batch = Batch::new(BatchType::Unlogged);
        for mutation in mutations {
            batch.append_statement((*mutation.statement.prepared).clone());
        }
        batch.set_is_idempotent(true);
        batch.set_execution_profile_handle(Some(self.profiles.of(Purpose::Write)));
        let values: Vec<Values<'_>> = mutations.iter().map(|one| &*one.values as Values<'_>).collect();
        self.session.batch(&batch, &values).await
    }
}

fn note_state(state: State, reason: &str) {
    let number = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    metrics::gauge!("rookery_store_breaker_state").set(number);
    metrics::gauge!("rookery_store_writable").set(f64::from(state == State::Closed));
    match state {
        State::Closed => tracing::info!("the database answers again"),
        State::HalfOpen => tracing::debug!("trying whether the database answers"),
        State::Open => tracing::error!(reason, "the database does not answer; calls are refused until it does"),
    }
}

fn note_serial_state(state: State, reason: &str) {
    match state {
        State::Closed => tracing::info!("the database decides on names and leases again"),
        State::HalfOpen => tracing::debug!("trying whether the database decides on names and leases"),
        State::Open => tracing::error!(reason, "no majority decides on names and leases; reads and writes go on"),
    }
}

fn rows_of(statement: &Statement, result: QueryResult) -> Result<QueryRowsResult, StoreError> {
    result.into_rows_result().map_err(|error| not_understood(statement, &error))
}

fn decode<R>(statement: &Statement, rows: &QueryRowsResult) -> Result<Vec<R>, StoreError>
where
    R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let rows = rows.rows::<R>().map_err(|error| not_understood(statement, &error))?;
    rows.map(|row| row.map_err(|error| not_understood(statement, &error))).collect()
}

/// A value that does not fit its column's type; the driver does not say in which row.
pub fn not_understood(statement: &Statement, error: &dyn std::error::Error) -> StoreError {
    StoreError::Corrupt { table: statement.table.name(), key: "not known".into(), reason: chain(error) }
}

/// An error with its causes.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
