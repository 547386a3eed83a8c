//! The schema: which version a keyspace has, and how it gets the one that this binary works with.
//!
//! Migrations only add. Each is recorded when it is done, so that a run that was cut off goes on where it stopped; a
//! second run finds nothing to do; of two at once, one waits for the other (`lock`).

mod lock;
mod migrations;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use scylla::response::query_result::QueryResult;
use scylla::statement::unprepared::Statement;

use self::lock::Lock;
pub(super) use self::migrations::EXPECTED;
use self::migrations::{MIGRATIONS, Migration};
use super::calls::Values;
use super::connect::{self, Cluster};
use super::policies;
use crate::OpenError;
use crate::config::{CqlConfig, Durability, cannot_lose_one};

/// What a run of migrations did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The version before; 0 for a keyspace that was not there.
    pub from: u32,
    /// The version now.
    pub to: u32,
}

/// The partition of `schema_migrations`.
const SCOPE: &str = "schema";
/// The pause before a statement of the schema is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// Replicas of a data centre where the configuration does not say.
const REPLICAS: usize = 3;

/// Refuses a keyspace whose schema is not this binary's.
pub async fn check(cluster: &Cluster) -> Result<(), OpenError> {
    match version(cluster).await? {
        found if found == EXPECTED => Ok(()),
        found => Err(other_version(&cluster.config, found)),
    }
}

fn other_version(config: &CqlConfig, found: u32) -> OpenError {
    OpenError::Schema { keyspace: config.keyspace.clone(), found, expected: EXPECTED }
}

/// Brings keyspaces and tables to this binary's version.
pub async fn migrate(config: CqlConfig) -> Result<Migrated, OpenError> {
    let cluster = connect::connect(config).await?;
    let from = version(&cluster).await?;
    if from > EXPECTED {
        return Err(other_version(&cluster.config, from));
    }
    if from == EXPECTED {
        return Ok(Migrated { from, to: from });
    }
    bootstrap(&cluster).await?;
    let lock = Lock::acquire(&cluster).await?;
    // In one task: when the lock is lost, the statement under way is not followed by another.
    let outcome = tokio::select! {
        outcome = run(&cluster, &lock) => outcome,
        lost = lock.keep(&cluster) => Err(lost),
    };
    lock.release(&cluster).await;
    outcome.map(|()| Migrated { from, to: EXPECTED })
}

/// Runs what is not recorded yet.
async fn run(cluster: &Cluster, lock: &Lock) -> Result<(), OpenError> {
    // Another process may have done it while this one waited for the lock.
    let found = version(cluster).await?;
    if found > EXPECTED {
        return Err(other_version(&cluster.config, found));
    }
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > found) {
        apply(cluster, migration).await?;
        // Who lost the lock does not say that it is done: the new holder does it again, and that may take it further.
        lock.renew(cluster).await?;
        record(cluster, migration).await?;
        tracing::info!(migration = migration.name, keyspace = cluster.config.keyspace, "migrated");
    }
    Ok(())
}

async fn apply(cluster: &Cluster, migration: &Migration) -> Result<(), OpenError> {
    let config = &cluster.config;
    let keyspace = if migration.is_of_leases() { config.lease_keyspace() } else { config.keyspace.clone() };
    cluster.session.use_keyspace(&keyspace, false).await.map_err(|error| OpenError::Refused {
        contact_points: config.contact_points.clone(),
        reason: error.to_string(),
    })?;
    for statement in migration.statements() {
        if has_column(cluster, &keyspace, &statement).await? {
            continue;
        }
        // Answers only when all reachable nodes agree on the schema.
        execute(cluster, &as_made(&statement, &keyspace, config.durability), &()).await?;
    }
    Ok(())
}

/// Whether a statement adds a column that is there: a run that was cut off did it and did not say so. Not every database knows
/// ADD IF NOT EXISTS.
async fn has_column(cluster: &Cluster, keyspace: &str, statement: &str) -> Result<bool, OpenError> {
    let Some((table, column)) = added_column(statement) else { return Ok(false) };
    let known =
        "SELECT column_name FROM system_schema.columns WHERE keyspace_name = ? AND table_name = ? AND column_name = ?";
    let columns: Vec<(String,)> = rows(cluster, known, &(keyspace, table, column)).await?;
    Ok(!columns.is_empty())
}

/// The table and the column of a statement that adds one.
fn added_column(statement: &str) -> Option<(&str, &str)> {
    let mut words = statement.strip_prefix("ALTER TABLE ")?.split_whitespace();
    let (table, verb, column) = (words.next()?, words.next()?, words.next()?);
    (verb == "ADD").then_some((table, column))
}

async fn record(cluster: &Cluster, migration: &Migration) -> Result<(), OpenError> {
    let record = format!(
        "INSERT INTO {}.schema_migrations (scope, version, name, applied_at) \
         VALUES ('{SCOPE}', ?, ?, toTimestamp(now())) IF NOT EXISTS",
        cluster.config.keyspace
    );
    execute(cluster, &record, &(migration.version.cast_signed(), migration.name)).await.map(drop)
}

/// A statement of a migration; a table that it makes gets the id that follows from its name (`bootstrap` says why), and the
/// time after which another replica is read.
///
/// The lock keeps two processes from making a table at once, but not a node that is asked again after it did not answer.
fn as_made(statement: &str, keyspace: &str, durability: Durability) -> String {
    let Some(rest) = statement.strip_prefix("CREATE TABLE IF NOT EXISTS ") else { return statement.to_owned() };
    let name: String = rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    let has_options = rest.rsplit_once(") WITH ").is_some_and(|(columns, _)| columns.contains("PRIMARY KEY"));
    let joint = if has_options { "AND" } else { "WITH" };
    let (retry, id) = (read_another_after(durability), table_id(&format!("{keyspace}.{name}")));
    format!("{statement} {joint} speculative_retry = '{retry}' AND ID = '{id}'")
}

/// When the node that is asked reads another replica beside those that it waits for. The default is a percentile of what reads took
/// lately; but when a data centre dies, that is soon as long as reads wait for it, which is until the others have noticed: ten
/// seconds and more.
const fn read_another_after(durability: Durability) -> &'static str {
    match durability {
        Durability::Regional => "50ms",
        // Longer than the way to another region and back.
        Durability::Global => "250ms",
    }
}

/// The version of a keyspace: the last of the migrations recorded without a gap; 0 where there is none.
async fn version(cluster: &Cluster) -> Result<u32, OpenError> {
    let config = &cluster.config;
    let known = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    let tables: Vec<(String,)> = rows(cluster, known, &(config.keyspace.as_str(), "schema_migrations")).await?;
    if tables.is_empty() {
        return Ok(0);
    }
    let recorded = format!("SELECT version FROM {}.schema_migrations WHERE scope = '{SCOPE}'", config.keyspace);
    let rows: Vec<(i32,)> = rows(cluster, &recorded, &()).await?;
    Ok(version_of(rows.into_iter().map(|(version,)| version.cast_unsigned())))
}

/// The version that records in ascending order mean. One above this binary's is named whatever is missing below it.
fn version_of(recorded: impl Iterator<Item = u32>) -> u32 {
    let mut version = 0;
    for next in recorded {
        if next == version + 1 || next > EXPECTED {
            version = next;
        }
    }
    version
}

/// Makes the keyspaces and the two tables that migrations themselves need, wherever they are missing.
///
/// Two processes may do this at once, before there is a lock. A keyspace is its name, but a table is its id: two nodes
/// that each make one would disagree about the table for good. So tables get ids that follow from their names.
pub(super) async fn bootstrap(cluster: &Cluster) -> Result<(), OpenError> {
    let config = &cluster.config;
    let replication = replication(cluster)?;
    for keyspace in [config.keyspace.clone(), config.lease_keyspace()] {
        let text = format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy'{}}}",
            replication.iter().map(|(name, replicas)| format!(", '{name}': {replicas}")).collect::<String>()
        );
        execute(cluster, &text, &()).await?;
    }
    for (table, columns) in [
        ("schema_migrations", "scope text, version int, name text, applied_at timestamp, PRIMARY KEY (scope, version)"),
        ("schema_lock", "scope text PRIMARY KEY, holder text"),
    ] {
        let name = format!("{}.{table}", config.keyspace);
        let text = format!("CREATE TABLE IF NOT EXISTS {name} ({columns}) WITH ID = '{}'", table_id(&name));
        execute(cluster, &text, &()).await?;
    }
    Ok(())
}

/// A UUID (version 8) that follows from a table's full name.
pub(super) fn table_id(name: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_128(name.as_bytes());
    let hash = (hash & !(0xf << 76)) | (0x8 << 76);
    let hash = (hash & !(0x3 << 62)) | (0x2 << 62);
    let hex = format!("{hash:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Replicas by data centre: as configured, or three in each as far as it has nodes.
fn replication(cluster: &Cluster) -> Result<BTreeMap<String, usize>, OpenError> {
    let config = &cluster.config;
    let replication: BTreeMap<String, usize> = match config.replication.is_empty() {
        true => cluster.data_centres.iter().map(|(name, nodes)| (name.clone(), (*nodes).min(REPLICAS))).collect(),
        false => config.replication.iter().map(|(name, replicas)| (name.clone(), *replicas as usize)).collect(),
    };
    if let Some(unknown) = replication.keys().find(|name| !cluster.data_centres.contains_key(*name)) {
        let problem = format!("the cluster has no data centre {unknown:?}");
        return Err(OpenError::Config { key: "replication", problem });
    }
    if config.durability == Durability::Global
        && let Some(problem) = cannot_lose_one(replication.iter().map(|(name, replicas)| (name, *replicas)))
    {
        return Err(OpenError::Config { key: "durability", problem });
    }
    Ok(replication)
}

/// Executes one statement of the schema, again while it gets no answer: each may be repeated.
///
/// Tables are made if they do not exist, columns are looked for before they are added, records and the lock are compare-and-sets that see what an earlier attempt did.
async fn execute(cluster: &Cluster, text: &str, values: Values<'_>) -> Result<QueryResult, OpenError> {
    let deadline = Instant::now() + Duration::from_millis(cluster.config.schema_timeout_ms);
    let mut statement = Statement::new(text);
    statement.set_execution_profile_handle(Some(policies::schema_profile(&cluster.config)));
    loop {
        let outcome = cluster.session.query_unpaged(statement.clone(), values).await;
        let error = match outcome.map_err(|error| connect::execution_error(&cluster.config, text, &error)) {
            Ok(result) => return Ok(result),
            Err(error) => error,
        };
        if !error.is_transient() || Instant::now() + PAUSE >= deadline {
            return Err(error);
        }
        tracing::debug!(%error, "trying a statement of the schema again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn rows<R>(cluster: &Cluster, text: &str, values: Values<'_>) -> Result<Vec<R>, OpenError>
where
    R: for<'frame, 'metadata> scylla::deserialize::row::DeserializeRow<'frame, 'metadata>,
{
    let result = execute(cluster, text, values).await?;
    let refused = |error: &dyn std::error::Error| OpenError::Refused {
        contact_points: cluster.config.contact_points.clone(),
        reason: format!("{}; statement: {text}", super::calls::chain(error)),
    };
    let rows = result.into_rows_result().map_err(|error| refused(&error))?;
    let rows = rows.rows::<R>().map_err(|error| refused(&error))?;
    rows.map(|row| row.map_err(|error| refused(&error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_ends_at_the_first_gap_and_never_hides_a_later_binary() {
        assert_eq!(version_of([].into_iter()), 0);
        assert_eq!(version_of([1, 2, 3].into_iter()), 3);
        assert_eq!(version_of([1, 2, 5].into_iter()), 2);
        assert_eq!(version_of([1, 2, EXPECTED + 4].into_iter()), EXPECTED + 4);
        assert_eq!(version_of(1..=EXPECTED), EXPECTED);
    }

    #[test]
    fn every_table_is_made_with_the_id_of_its_name() {
        for statement in MIGRATIONS.iter().flat_map(Migration::statements) {
            let made = as_made(&statement, "one", Durability::Global);
            let Some(columns) = statement.strip_prefix("CREATE TABLE IF NOT EXISTS ") else {
                assert_eq!(made, statement);
                continue;
            };
            let name = columns.split_whitespace().next().unwrap();
            let id = table_id(&format!("one.{name}"));
            assert!(made.ends_with(&format!(" ID = '{id}'")), "{made}");
            assert_eq!(made.matches(") WITH ").count(), 1, "{made}");
            assert!(made.contains(" speculative_retry = '250ms' AND "), "{made}");
            assert_ne!(made, as_made(&statement, "two", Durability::Global));
        }
        let made = |options: &str| {
            let statement = format!("CREATE TABLE IF NOT EXISTS t (a int PRIMARY KEY){options}");
            as_made(&statement, "one", Durability::Regional)
        };
        let bare = made("");
        assert!(bare.contains("(a int PRIMARY KEY) WITH speculative_retry = '50ms' AND ID = '"), "{bare}");
        let options = made(" WITH gc_grace_seconds = 9");
        assert!(options.contains("gc_grace_seconds = 9 AND speculative_retry = '50ms' AND ID = '"), "{options}");
    }

    #[test]
    fn columns_are_added_one_by_one() {
        assert_eq!(added_column("ALTER TABLE messages ADD call blob"), Some(("messages", "call")));
        assert_eq!(added_column("CREATE TABLE IF NOT EXISTS calls (a int PRIMARY KEY)"), None);
        let altered = MIGRATIONS.iter().flat_map(Migration::statements).filter(|one| one.starts_with("ALTER"));
        for statement in altered {
            // Of two in one statement only the first would be looked for.
            assert!(added_column(&statement).is_some() && !statement.contains(','), "{statement}");
        }
    }

    #[test]
    fn ids_of_tables_follow_from_their_names() {
        let id = table_id("rookery.schema_lock");
        assert_eq!(id, table_id("rookery.schema_lock"));
        assert_ne!(id, table_id("rookery.schema_migrations"));
        assert_eq!((id.len(), &id[14..15]), (36, "8"));
        assert!(['8', '9', 'a', 'b'].contains(&id.as_bytes()[19].into()));
    }
}
