//! Reads and writes of the background that leave no data centre out.
//!
//! In `regional` a data centre acknowledges writes that the others have not seen yet, and a link may be down for hours.
//! Removal that only looked at home would miss those for good: their rows would arrive after the job was struck off. So
//! each data centre is asked for what it has, and every removal is acknowledged by all of them before the next step
//! builds on it. While one does not answer, the job waits and what it removes stays hidden.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use scylla::client::execution_profile::ExecutionProfileHandle;
use scylla::cluster::metadata::Strategy;
use scylla::deserialize::row::DeserializeRow;
use scylla::response::PagingState;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};

use crate::StoreError;
use crate::config::Durability;
use crate::cql::batches::{groups, write_all};
use crate::cql::calls::{Calls, Values, chain, not_understood};
use crate::cql::failure::{Failure, classify};
use crate::cql::policies::{Purpose, everywhere};
use crate::cql::shared::Shared;
use crate::cql::statement::{Mutation, Statement};

/// Statements under way at a time.
const CONCURRENT: usize = 16;
/// The pause before a write is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// Who is asked for rows.
#[derive(Clone)]
pub struct Reader<'a> {
    calls: &'a Calls,
    /// None asks as every reader does.
    at: Option<DataCentre>,
}

#[derive(Clone, Debug)]
struct DataCentre {
    name: String,
    profile: ExecutionProfileHandle,
}

/// All data centres.
pub struct Everywhere<'a> {
    pub shared: &'a Shared,
    readers: Vec<Reader<'a>>,
    /// None where an ordinary write is enough.
    write: Option<ExecutionProfileHandle>,
}

impl<'a> Everywhere<'a> {
    /// The data centres that hold replicas now.
    ///
    /// In `global` the ordinary levels are enough: a majority of all that reads meets every majority that wrote.
    pub fn of(shared: &'a Shared) -> Self {
        let calls = &shared.calls;
        let names = data_centres(shared);
        if shared.config.durability == Durability::Global || names.len() < 2 {
            return Self::here(shared);
        }
        let reader = |name: String| {
            let profile = everywhere::read_at(&shared.config, &name, &calls.counters);
            Reader { calls, at: Some(DataCentre { name, profile }) }
        };
        let readers = names.into_iter().map(reader).collect();
        Self { shared, readers, write: Some(everywhere::write_each(&shared.config, &calls.counters)) }
    }

    /// Whom every reader and writer asks.
    pub fn here(shared: &'a Shared) -> Self {
        Self { shared, readers: vec![Reader::here(&shared.calls)], write: None }
    }

    /// Whom to ask, one after the other, to see everything.
    pub fn readers(&self) -> &[Reader<'a>] {
        &self.readers
    }

    /// Writes mutations; answers when every data centre has them.
    pub async fn write(&self, mutations: Vec<Mutation>) -> Result<(), StoreError> {
        let Some(profile) = &self.write else { return write_all(self.shared, mutations).await };
        let mut outcomes = futures_util::stream::iter(groups(mutations))
            .map(|group| async move { self.write_group(profile, &group).await })
            .buffer_unordered(CONCURRENT);
        while let Some(outcome) = outcomes.next().await {
            outcome?;
        }
        Ok(())
    }

    /// Writes mutations of one partition, with the same timestamps again while time is left.
    async fn write_group(&self, profile: &ExecutionProfileHandle, group: &[Mutation]) -> Result<(), StoreError> {
        let mut batch = Batch::new(BatchType::Unlogged);
        for mutation in group {
            batch.append_statement((*mutation.statement.prepared).clone());
        }
        batch.set_is_idempotent(true);
        batch.set_execution_profile_handle(Some(profile.clone()));
        let values: Vec<Values<'_>> = group.iter().map(|one| &*one.values as Values<'_>).collect();
        let deadline = Instant::now() + Duration::from_millis(self.shared.config.write_timeout_ms);
        loop {
            // Past the circuit breaker: that a distant data centre is away says nothing about this one.
            let Err(error) = self.shared.calls.session.batch(&batch, &values).await else { return Ok(()) };
            match classify(&error, Purpose::Write) {
                Failure::Uncertain(_) if Instant::now() + PAUSE < deadline => tokio::time::sleep(PAUSE).await,
                Failure::Refused(reason) => return Err(StoreError::Invalid(reason)),
                Failure::Untouched(reason) | Failure::Uncertain(reason) => {
                    return Err(StoreError::Unavailable(format!("not every data centre takes it: {reason}")));
                }
            }
        }
    }
}

impl<'a> Reader<'a> {
    /// Whom every reader asks.
    pub fn here(calls: &'a Calls) -> Self {
        Self { calls, at: None }
    }

    /// The way to the cluster, for what is noted about rows.
    pub fn calls(&self) -> &'a Calls {
        self.calls
    }

    /// The rows of a query, page by page.
    pub async fn rows<R>(&self, statement: &Statement, values: impl SerializeRow + Sync) -> Result<Vec<R>, StoreError>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let Some(at) = &self.at else { return self.calls.all_rows(statement, values).await };
        let mut prepared = (*statement.prepared).clone();
        prepared.set_execution_profile_handle(Some(at.profile.clone()));
        let (mut all, mut page) = (Vec::new(), PagingState::start());
        loop {
            let outcome = self.calls.session.execute_single_page(&prepared, &values as Values<'_>, page).await;
            let (result, next) = outcome.map_err(|error| {
                StoreError::Unavailable(format!("data centre {} does not answer: {}", at.name, chain(&error)))
            })?;
            let rows = result.into_rows_result().map_err(|error| not_understood(statement, &error))?;
            for row in rows.rows::<R>().map_err(|error| not_understood(statement, &error))? {
                all.push(row.map_err(|error| not_understood(statement, &error))?);
            }
            match next.into_paging_control_flow() {
                ControlFlow::Break(()) => return Ok(all),
                ControlFlow::Continue(next) => page = next,
            }
        }
    }
}

/// The names of the data centres that hold replicas.
fn data_centres(shared: &Shared) -> Vec<String> {
    let state = shared.calls.session.get_cluster_state();
    match state.get_keyspace(&shared.config.keyspace).map(|keyspace| &keyspace.strategy) {
        Some(Strategy::NetworkTopologyStrategy { datacenter_repfactors }) => {
            let held = datacenter_repfactors.iter().filter(|(_, replicas)| **replicas > 0);
            let mut names: Vec<String> = held.map(|(name, _)| name.clone()).collect();
            names.sort();
            names
        }
        _ => Vec::new(),
    }
}
