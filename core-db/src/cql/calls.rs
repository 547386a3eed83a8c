//! Calls to the cluster: deadline, breaker, figures, and what an error means.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rookery_model::Timestamp;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::ExecutionError;
use scylla::response::query_result::{QueryResult, QueryRowsResult};
use scylla::response::{PagingState, PagingStateResponse};
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use tokio::sync::{Semaphore, SemaphorePermit};

use std::ops::ControlFlow;
use std::sync::Arc;

use super::breaker::{Breaker, Generation, State};
use super::clock::now_us;
use super::counters::Counters;
use super::failure::{Attempts, Failure, classify};
use super::policies::{Profiles, Purpose};
use super::statement::{Mutation, Statement};
use crate::config::CqlConfig;
use crate::{StoreError, StoreHealth};

/// The first pause before a write is tried again; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// The longest.
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Names of circuits.
const QUORUM: &str = "quorum";
const SERIAL: &str = "serial";
const LEASE: &str = "lease";
const SHARED_LEASE: &str = "shared_lease";

/// The values of a statement.
pub type Values<'a> = &'a (dyn SerializeRow + Sync);

/// Compare-and-set calls under way at a time: each is several rounds of messages between the nodes.
const SERIAL_IN_FLIGHT: usize = 256;
/// After this all replicas that are there have heard of a row.
const SETTLED_AFTER_US: u64 = 60_000_000;
/// Looks for rows elsewhere that may be under way.
const FAR_IN_FLIGHT: usize = 128;
/// A process has one lease.
const LEASES_IN_FLIGHT: usize = 4;
/// It may take over many virtual shards at once, and asks for more only as it is answered: nobody waits here, least of all
/// the lease of the node.
const SHARED_LEASES_IN_FLIGHT: usize = 512;

/// The way to the cluster.
pub struct Calls {
    pub session: Session,
    pub profiles: Profiles,
    pub counters: Arc<Counters>,
    /// Reads and writes at a quorum.
    quorum: Circuit,
    /// Compare-and-set and reads at the serial level. A majority of all replicas may be gone while the local one is
    /// there: what fails here must not stop the others.
    serial: Circuit,
    /// Leases: renewed in time or not at all, so they neither queue behind writes nor share their breaker.
    lease: Circuit,
    /// Leases that nodes compete for, likewise: at the serial level, but not behind a storm of claims.
    shared_lease: Circuit,
    /// Second looks for rows that are not near.
    far: Semaphore,
    write_timeout: Duration,
    attempt_timeout: Duration,
}

/// Calls that fail together.
struct Circuit {
    name: &'static str,
    breaker: Mutex<Breaker>,
    /// Calls under way; those that wait are in the queue of batches, or their callers hold them.
    reads: Semaphore,
    writes: Semaphore,
}

impl Circuit {
    fn new(name: &'static str, in_flight: usize) -> Self {
        let permits = || Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS));
        Self { name, breaker: Mutex::new(Breaker::new(Instant::now())), reads: permits(), writes: permits() }
    }

    fn is_closed(&self) -> bool {
        self.breaker.lock().state() == State::Closed
    }

    /// Does something to the breaker and tells when its state is another one afterwards.
    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.breaker.lock();
        let before = breaker.state();
        let answer = change(&mut breaker);
        let after = breaker.state();
        if before != after {
            note_state(self.name, after, breaker.reason());
        }
        answer
    }
}

impl Calls {
    pub fn new(session: Session, profiles: Profiles, counters: Arc<Counters>, config: &CqlConfig) -> Self {
        Self {
            session,
            profiles,
            counters,
            quorum: Circuit::new(QUORUM, config.statements_in_flight),
            serial: Circuit::new(SERIAL, config.statements_in_flight.min(SERIAL_IN_FLIGHT)),
            lease: Circuit::new(LEASE, LEASES_IN_FLIGHT),
            shared_lease: Circuit::new(SHARED_LEASE, SHARED_LEASES_IN_FLIGHT),
            far: Semaphore::new(FAR_IN_FLIGHT),
            write_timeout: Duration::from_millis(config.write_timeout_ms),
            attempt_timeout: Duration::from_millis(config.write_attempt_timeout_ms.max(config.read_timeout_ms)),
        }
    }

    /// Whether calls go through.
    pub fn health(&self) -> StoreHealth {
        let breaker = self.quorum.breaker.lock();
        match breaker.state() {
            State::Closed => StoreHealth::writable(),
            _ => StoreHealth::unwritable(format!("the database does not answer: {}", breaker.reason())),
        }
    }

    /// Whether the circuit of such calls is closed.
    pub fn is_closed(&self, purpose: Purpose) -> bool {
        self.circuit(purpose).is_closed()
    }

    /// When a write that is submitted now is given up.
    pub fn write_deadline(&self) -> Instant {
        Instant::now() + self.write_timeout
    }

    fn circuit(&self, purpose: Purpose) -> &Circuit {
        match purpose {
            Purpose::Read | Purpose::Write => &self.quorum,
            Purpose::CompareAndSet | Purpose::SerialRead => &self.serial,
            Purpose::Lease | Purpose::LeaseRead => &self.lease,
            Purpose::SharedLease | Purpose::SharedLeaseRead => &self.shared_lease,
        }
    }

    /// Waits for a place among the calls under way.
    async fn place(&self, purpose: Purpose, deadline: Instant) -> Result<SemaphorePermit<'_>, Failure> {
        let circuit = self.circuit(purpose);
        let places = match purpose {
            Purpose::Read | Purpose::SerialRead | Purpose::LeaseRead | Purpose::SharedLeaseRead => &circuit.reads,
            Purpose::Write | Purpose::CompareAndSet | Purpose::Lease | Purpose::SharedLease => &circuit.writes,
        };
        if let Ok(place) = places.try_acquire() {
            return Ok(place);
        }
        let full = || Failure::Untouched(format!("too many calls to the database are under way ({})", purpose.name()));
        match tokio::time::timeout_at(deadline.into(), places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(full()),
        }
    }

    /// Lets a call through, or says why not.
    fn admit(&self, purpose: Purpose) -> Result<Generation, Failure> {
        self.circuit(purpose).change(|breaker| match breaker.admit(Instant::now(), self.attempt_timeout) {
            Some(admitted) => Ok(admitted),
            None => Err(Failure::Untouched(format!("the circuit is open: {}", breaker.reason()))),
        })
    }

    /// Notes how a call ended.
    fn note<T>(
        &self,
        purpose: Purpose,
        admitted: Generation,
        begin: Instant,
        outcome: Result<T, ExecutionError>,
    ) -> Result<T, Failure> {
        self.counters.called(purpose, begin.elapsed());
        let outcome = outcome.map_err(|error| classify(&error, purpose));
        self.circuit(purpose).change(|breaker| match &outcome {
            // The cluster is well enough to find fault with us.
            Ok(_) | Err(Failure::Refused(_)) => breaker.succeeded(admitted),
            Err(Failure::Untouched(reason) | Failure::Uncertain(reason)) => {
                breaker.failed(admitted, Instant::now(), reason);
            }
        });
        outcome
    }

    /// One call that is not tried again here.
    ///
    /// Values are a trait object, here and below, so that the driver's part is compiled once and not for each table.
    pub async fn once(&self, statement: &Statement, values: Values<'_>) -> Result<QueryResult, Failure> {
        let purpose = statement.purpose;
        let _place = self.place(purpose, Instant::now() + self.attempt_timeout).await?;
        let admitted = self.admit(purpose)?;
        let begin = Instant::now();
        let outcome = self.session.execute_unpaged(&statement.prepared, values).await;
        self.note(purpose, admitted, begin, outcome)
    }

    /// The rows of a query that bounds itself.
    pub async fn rows<R>(&self, statement: &Statement, values: impl SerializeRow + Sync) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let mut rows = Vec::new();
        self.each(statement, values, |row| rows.push(row)).await?;
        Ok(rows)
    }

    /// Hands on each row of a query that bounds itself, as it is decoded: rows are large, and copies of them dear.
    pub async fn each<R>(
        &self,
        statement: &Statement,
        values: impl SerializeRow + Sync,
        mut take: impl FnMut(R),
    ) -> Result<(), StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let result = self.once(statement, &values).await.map_err(Failure::into_read_error)?;
        let rows = rows_of(statement, result)?;
        for row in rows.rows::<R>().map_err(|error| not_understood(statement, &error))? {
            take(row.map_err(|error| not_understood(statement, &error))?);
        }
        Ok(())
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

    /// The one row of a query, which somebody near another data centre may have written a moment ago.
    ///
    /// In `regional` the replicas near by hear of it a little later. So before a row is not there, a majority of all
    /// replicas is asked, if `made_at` is not long ago or not known. Where that majority cannot be had, the answer is theirs
    /// who are near.
    pub async fn row_from_anywhere<R>(
        &self,
        statement: &Statement,
        values: impl SerializeRow + Sync,
        made_at: Option<Timestamp>,
    ) -> Result<Option<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let found = self.row(statement, &values).await?;
        // Nor was anything made in the future, further than clocks are apart.
        let is_settled = made_at.is_some_and(|made_at| now_us().abs_diff(made_at.0) > SETTLED_AFTER_US);
        let Some(far) = self.profiles.far().filter(|_| found.is_none() && !is_settled) else { return Ok(found) };
        // Whoever asks for what never was must not take the places of other reads, nor make anybody wait.
        let Ok(_place) = self.far.try_acquire() else { return Ok(found) };
        let mut prepared = (*statement.prepared).clone();
        prepared.set_execution_profile_handle(Some(far));
        // Not noted on the circuit: what is far may be away while this region goes on.
        let outcome = self.session.execute_unpaged(&prepared, &values).await;
        let result = if outcome.is_ok() { "answered" } else { "failed" };
        metrics::counter!("rookery_store_far_reads_total", "result" => result).increment(1);
        match outcome {
            Ok(result) => {
                let rows = rows_of(statement, result)?;
                rows.maybe_first_row().map_err(|error| not_understood(statement, &error))
            }
            Err(error) => {
                tracing::debug!(error = chain(&error), "a row that is not near cannot be looked for elsewhere");
                Ok(None)
            }
        }
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
        let purpose = statement.purpose;
        let _place = self.place(purpose, Instant::now() + self.attempt_timeout).await?;
        let admitted = self.admit(purpose)?;
        let begin = Instant::now();
        let outcome = self.session.execute_single_page(&statement.prepared, values, page).await;
        self.note(purpose, admitted, begin, outcome)
    }

    /// Writes mutations of one partition; with the same timestamps again until it is certain or the time is up.
    pub async fn write(&self, mutations: &[Mutation], deadline: Instant) -> Result<(), Failure> {
        let mut attempts = Attempts::new(deadline, PAUSE_MIN, PAUSE_MAX);
        loop {
            let Err(failure) = self.attempt(mutations, deadline).await else { return Ok(()) };
            match attempts.failed(failure, self.is_closed(Purpose::Write), Instant::now()) {
                ControlFlow::Break(failure) => return Err(failure),
                ControlFlow::Continue(pause) => {
                    self.counters.retried();
                    // Without a place: partitions that do not answer must not keep others from being written.
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&self, mutations: &[Mutation], deadline: Instant) -> Result<(), Failure> {
        let _place = self.place(Purpose::Write, deadline).await?;
        let admitted = self.admit(Purpose::Write)?;
        let begin = Instant::now();
        let outcome = match mutations {
            [] => return Ok(()),
            [one] => self.session.execute_unpaged(&one.statement.prepared, &*one.values as Values<'_>).await,
            several => Box::pin(self.write_batch(several)).await,
        };
        self.note(Purpose::Write, admitted, begin, outcome).map(drop)
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

fn note_state(circuit: &'static str, state: State, reason: &str) {
    let number = match state {
        State::Closed => 0.0,
        State::HalfOpen => 1.0,
        State::Open => 2.0,
    };
    if circuit == QUORUM {
        metrics::gauge!("rookery_store_breaker_state").set(number);
        metrics::gauge!("rookery_store_writable").set(f64::from(state == State::Closed));
    } else {
        metrics::gauge!("rookery_store_serial_breaker_state").set(number);
    }
    match state {
        State::Closed => tracing::info!(circuit, "the database answers again"),
        State::HalfOpen => tracing::debug!(circuit, "trying whether the database answers"),
        State::Open => {
            tracing::error!(circuit, reason, "the database does not answer; calls are refused until it does")
        }
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
