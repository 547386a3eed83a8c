//! Opens the way to a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::cluster::metadata::Strategy;
use scylla::errors::{NewSessionError, PrepareError};
use tracing::warn;

use super::calls::{Calls, chain};
use super::clock::WriteClock;
use super::counters::Counters;
use super::dump::Dumps;
use super::failure::{Failure, classify};
use super::policies::{self, Levels, Profiles};
use super::shared::Shared;
use super::statement::Preparer;
use super::tables::Tables;
use super::{lease, purge, schema};
use crate::config::{CqlConfig, Durability, cannot_lose_one};
use crate::{OpenError, StoreError};

/// How often nodes are asked whether they agree on the schema.
const SCHEMA_AGREEMENT_INTERVAL: Duration = Duration::from_millis(20);
/// The first pause before an unreachable cluster is tried again; it doubles.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// The longest.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Replicas of which a majority is left when one is lost.
const SAFE_REPLICAS: usize = 3;

/// A cluster that answers.
pub struct Cluster {
    pub session: Session,
    /// The configuration, with the local data centre filled in.
    pub config: CqlConfig,
    /// How many nodes each data centre has.
    pub data_centres: BTreeMap<String, usize>,
}

/// Connects, and finds out where the nodes are.
pub async fn connect(mut config: CqlConfig) -> Result<Cluster, OpenError> {
    if let Some((key, problem)) = config.mistakes().into_iter().next() {
        return Err(OpenError::Config { key, problem });
    }
    let mut builder = SessionBuilder::new()
        .known_nodes(&config.contact_points)
        .connection_timeout(Duration::from_millis(config.connect_timeout_ms))
        .keyspaces_to_fetch([config.keyspace.clone(), config.lease_keyspace()])
        .schema_agreement_interval(SCHEMA_AGREEMENT_INTERVAL)
        .schema_agreement_timeout(Duration::from_millis(config.schema_timeout_ms))
        .default_execution_profile_handle(policies::schema_profile(&config));
    if let (Some(user), Some(password)) = (&config.user, &config.password) {
        builder = builder.user(user, password);
    }
    // The driver's own deadline ends when the connection stands; a peer that never says a word would hold it for ever.
    let patience = Duration::from_millis(config.connect_timeout_ms) * (1 + config.contact_points.len() as u32);
    let session = match tokio::time::timeout(patience, builder.build()).await {
        Ok(session) => session.map_err(|error| session_error(&config, &error))?,
        Err(_) => return Err(unreachable(&config, format!("no answer within {} ms", patience.as_millis()))),
    };
    let mut data_centres = BTreeMap::new();
    for node in session.get_cluster_state().get_nodes_info() {
        *data_centres.entry(node.datacenter.clone().unwrap_or_default()).or_insert(0) += 1;
    }
    config.local_data_centre = local_data_centre(&config, &session, &data_centres).await?;
    Ok(Cluster { session, config, data_centres })
}

/// The data centre that is configured, or else that of the first contact point.
async fn local_data_centre(
    config: &CqlConfig,
    session: &Session,
    data_centres: &BTreeMap<String, usize>,
) -> Result<String, OpenError> {
    let names = || data_centres.keys().cloned().collect::<Vec<_>>().join(", ");
    let problem = |problem: String| OpenError::Config { key: "local_data_centre", problem };
    if !config.local_data_centre.is_empty() {
        return match data_centres.contains_key(&config.local_data_centre) {
            true => Ok(config.local_data_centre.clone()),
            false => Err(problem(format!("the cluster has no {:?}; it has {}", config.local_data_centre, names()))),
        };
    }
    let point = with_port(&config.contact_points[0]);
    let addresses: BTreeSet<_> = match tokio::net::lookup_host(&point).await {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(_) => BTreeSet::new(),
    };
    let state = session.get_cluster_state();
    let first = state.get_nodes_info().iter().find(|node| addresses.contains(&node.address.ip()));
    match (first.and_then(|node| node.datacenter.clone()), data_centres.keys().next()) {
        (Some(name), _) => Ok(name),
        (None, Some(only)) if data_centres.len() == 1 => Ok(only.clone()),
        _ => Err(problem(format!("is not given, and {point} is no node of the cluster, which has {}", names()))),
    }
}

/// A contact point with CQL's port where it names none.
pub fn with_port(point: &str) -> String {
    let has_port = point.rsplit_once(':').is_some_and(|(host, port)| {
        port.parse::<u16>().is_ok() && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')))
    });
    if has_port { point.to_owned() } else { format!("{point}:9042") }
}

/// Opens a store whose schema is there already.
pub async fn open(config: CqlConfig) -> Result<Shared, OpenError> {
    let cluster = connect(config).await?;
    schema::check(&cluster).await?;
    let Cluster { session, config, .. } = cluster;
    check_replicas(&config, &session)?;
    let counters = Arc::new(Counters::default());
    let profiles = Profiles::new(&config, Levels::of(config.durability), &counters);
    let preparer = Preparer { session: &session, profiles: &profiles, config: &config, counters: &counters };
    let tables = Tables::prepare(preparer).await?;
    let dumps = Dumps::prepare(preparer).await?;
    let calls = Calls::new(session, profiles, counters, &config);
    let shared = Shared::new(config, calls, tables, dumps, WriteClock::new(0));
    lease::take(&shared).await?;
    match purge::load(&shared).await {
        Ok(_) => Ok(shared),
        Err(error) => Err(store_error(&shared.config, &error)),
    }
}

/// Refuses keyspaces whose replicas cannot keep what the durability mode promises.
fn check_replicas(config: &CqlConfig, session: &Session) -> Result<(), OpenError> {
    for keyspace in [config.keyspace.clone(), config.lease_keyspace()] {
        let replicas = replicas(&keyspace, session)?;
        if config.durability == Durability::Global
            && let Some(problem) = cannot_lose_one(replicas.iter().map(|(name, replicas)| (name, *replicas)))
        {
            return Err(OpenError::Config { key: "durability", problem: format!("keyspace {keyspace}: {problem}") });
        }
        match replicas.get(&config.local_data_centre).copied().unwrap_or(0) {
            0 => {
                let problem = format!("keyspace {keyspace} has no replicas in {}", config.local_data_centre);
                return Err(OpenError::Config { key: "local_data_centre", problem });
            }
            few @ 1..SAFE_REPLICAS if config.durability == Durability::Regional => warn!(
                keyspace,
                data_centre = config.local_data_centre,
                replicas = few,
                "an acknowledged write may not survive the loss of a node: that takes three replicas in the data centre"
            ),
            _ => {}
        }
    }
    Ok(())
}

/// Replicas of a keyspace by data centre.
fn replicas(keyspace: &str, session: &Session) -> Result<BTreeMap<String, usize>, OpenError> {
    let state = session.get_cluster_state();
    let strategy = state.get_keyspace(keyspace).map(|keyspace| &keyspace.strategy);
    let Some(Strategy::NetworkTopologyStrategy { datacenter_repfactors }) = strategy else {
        let problem = format!("{keyspace} does not use NetworkTopologyStrategy: replicas are counted by data centre");
        return Err(OpenError::Config { key: "keyspace", problem });
    };
    Ok(datacenter_repfactors.iter().map(|(name, replicas)| (name.clone(), *replicas)).collect())
}

/// Tries something again for as long as the cluster cannot be reached.
///
/// `waiting` hears why and how long the pause is: the caller's readiness says no with it. What no pause mends (a wrong
/// configuration, a schema of another version) is answered at once.
pub async fn when_reachable<T, F>(
    mut attempt: impl FnMut() -> F,
    mut waiting: impl FnMut(&OpenError, Duration),
) -> Result<T, OpenError>
where
    F: Future<Output = Result<T, OpenError>>,
{
    let mut pause = RETRY_MIN;
    loop {
        match attempt().await {
            Err(error) if error.is_transient() => {
                waiting(&error, pause);
                warn!(%error, pause_ms = pause.as_millis() as u64, "cannot open the store yet");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY_MAX);
            }
            other => return other,
        }
    }
}

fn unreachable(config: &CqlConfig, reason: String) -> OpenError {
    OpenError::Unreachable {
        contact_points: config.contact_points.clone(),
        local_data_centre: config.local_data_centre.clone(),
        reason,
    }
}

fn refused(config: &CqlConfig, reason: String) -> OpenError {
    OpenError::Refused { contact_points: config.contact_points.clone(), reason }
}

fn session_error(config: &CqlConfig, error: &NewSessionError) -> OpenError {
    let reason = chain(error);
    match error {
        NewSessionError::IllegalConfig(_) | NewSessionError::EmptyKnownNodesList => refused(config, reason),
        // The driver wraps a refused log-in in what it was about to do; only the words tell.
        _ if reason.contains("Authentication failed") || reason.contains("authenticat") => refused(config, reason),
        _ => unreachable(config, reason),
    }
}

/// Why a statement could not be prepared.
pub fn prepare_error(config: &CqlConfig, text: &str, error: &PrepareError) -> OpenError {
    let reason = format!("{}; statement: {text}", chain(error));
    match error {
        PrepareError::AllAttemptsFailed { first_attempt } => {
            let execution = scylla::errors::ExecutionError::LastAttemptError(first_attempt.clone());
            match classify(&execution, policies::Purpose::Read) {
                Failure::Refused(_) => refused(config, reason),
                _ => unreachable(config, reason),
            }
        }
        _ => unreachable(config, reason),
    }
}

/// Why a statement of the schema failed.
pub fn execution_error(config: &CqlConfig, text: &str, error: &scylla::errors::ExecutionError) -> OpenError {
    let reason = format!("{}; statement: {text}", chain(error));
    match classify(error, policies::Purpose::CompareAndSet) {
        Failure::Refused(_) => refused(config, reason),
        _ => unreachable(config, reason),
    }
}

/// Why the store could not begin.
pub fn store_error(config: &CqlConfig, error: &StoreError) -> OpenError {
    match error {
        StoreError::Corrupt { .. } | StoreError::Invalid(_) => refused(config, error.to_string()),
        _ => unreachable(config, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_points_get_the_port_of_cql() {
        for (point, expected) in [
            ("db1", "db1:9042"),
            ("db1:19042", "db1:19042"),
            ("127.0.0.1", "127.0.0.1:9042"),
            ("[::1]", "[::1]:9042"),
            ("[::1]:7", "[::1]:7"),
        ] {
            assert_eq!(with_port(point), expected);
        }
    }
}
