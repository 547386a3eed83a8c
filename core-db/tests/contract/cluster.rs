//! The CQL engine in a real cluster, where the environment names one.
//!
//! Making a keyspace takes seconds, so a run has as many as tests run at a time, and empties one before it is used
//! again. What a run leaves behind is dropped by the next one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{LazyLock, Once, OnceLock};

use rookery_core_db::{CqlConfig, Store};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::unprepared::Statement;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, OnceCell};

use crate::Factory;

/// Contact points of the cluster, separated by commas.
const CONTACT_POINTS: &str = "ROOKERY_TEST_CQL";
/// How the keyspaces of tests begin, those of the acceptance tests too; the process's id follows.
const PREFIX: &str = "rookery_test_";

/// A keyspace for one test at a time.
pub struct Cql {
    keyspace: Option<String>,
    config: CqlConfig,
}

/// Keyspaces that no test uses now, and how many there are in all.
#[derive(Default)]
struct Pool {
    free: Vec<String>,
    made: usize,
}

static POOL: LazyLock<std::sync::Mutex<Pool>> = LazyLock::new(Default::default);
/// Tests have a runtime each, which takes its tasks along when it ends; the session that makes keyspaces outlives them.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());
static SESSION: OnceCell<Session> = OnceCell::const_new();
/// One keyspace is made at a time: the cluster changes its schema one step after another anyhow.
static MAKING: Mutex<()> = Mutex::const_new(());

/// The contact points, if there are any.
pub fn contact_points() -> Option<Vec<String>> {
    static GIVEN: OnceLock<Option<Vec<String>>> = OnceLock::new();
    static SKIPPED: Once = Once::new();
    let given = GIVEN.get_or_init(|| {
        let points = std::env::var(CONTACT_POINTS).ok()?;
        Some(points.split(',').map(|point| point.trim().to_owned()).filter(|point| !point.is_empty()).collect())
    });
    if given.is_none() {
        // Past the capture of test output: a run without a cluster must say so.
        SKIPPED.call_once(|| {
            let words = format!("SKIPPED: the contract on the CQL engine, because {CONTACT_POINTS} names no cluster\n");
            std::io::stderr().write_all(words.as_bytes()).unwrap();
        });
    }
    given.clone()
}

impl Cql {
    /// A new, empty store, where there is a cluster.
    pub async fn if_given() -> Option<Self> {
        contact_points()?;
        Some(Self::empty().await)
    }

    /// The same store as another node opens it.
    pub async fn open_as(&self, node_id: u64) -> Store {
        Store::open_cql(CqlConfig { node_id, ..self.config.clone() }).await.unwrap()
    }
}

impl Factory for Cql {
    async fn empty() -> Self {
        let points = contact_points().expect("asked only where there is a cluster");
        RUNTIME.spawn(take(points)).await.unwrap()
    }

    async fn open(&self) -> Store {
        Store::open_cql(self.config.clone()).await.unwrap()
    }
}

impl Drop for Cql {
    fn drop(&mut self) {
        POOL.lock().unwrap().free.extend(self.keyspace.take());
    }
}

fn config(points: Vec<String>, keyspace: &str) -> CqlConfig {
    let mut config = CqlConfig::new(points);
    config.keyspace = keyspace.to_owned();
    // Small enough to be filled by a test.
    config.queue_batches = 2_048;
    // A loaded machine with three nodes on it is slow, not broken.
    config.read_timeout_ms = 20_000;
    config.write_attempt_timeout_ms = 20_000;
    config.write_timeout_ms = 60_000;
    // One process writes here, and removal sees what it has under way.
    config.removal_grace_ms = 1_000;
    config.compare_and_set_timeout_ms = 20_000;
    config.connect_timeout_ms = 20_000;
    config
}

async fn take(points: Vec<String>) -> Cql {
    let session = SESSION.get_or_init(|| connect(points.clone())).await;
    let free = POOL.lock().unwrap().free.pop();
    let keyspace = match free {
        Some(keyspace) => {
            let config = config(points.clone(), &keyspace);
            empty(session, &[keyspace.clone(), config.lease_keyspace()]).await;
            keyspace
        }
        None => make(points.clone()).await,
    };
    Cql { config: config(points, &keyspace), keyspace: Some(keyspace) }
}

async fn make(points: Vec<String>) -> String {
    let _one_at_a_time = MAKING.lock().await;
    let number = {
        let mut pool = POOL.lock().unwrap();
        pool.made += 1;
        pool.made
    };
    let keyspace = format!("{PREFIX}{}_{number}", std::process::id());
    Store::migrate_cql(config(points, &keyspace)).await.unwrap();
    keyspace
}

/// Connects, and drops the keyspaces of runs that are over.
async fn connect(points: Vec<String>) -> Session {
    let session = SessionBuilder::new().known_nodes(&points).build().await.unwrap();
    let rows = session.query_unpaged("SELECT keyspace_name FROM system_schema.keyspaces", ()).await.unwrap();
    let rows = rows.into_rows_result().unwrap();
    for row in rows.rows::<(String,)>().unwrap() {
        let (keyspace,) = row.unwrap();
        let owner = keyspace.strip_prefix(PREFIX).and_then(|rest| rest.split('_').next());
        if owner.is_some_and(|owner| !std::path::Path::new("/proc").join(owner).exists()) {
            session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await.unwrap();
        }
    }
    session
}

/// Truncates the tables that hold rows; asked of all replicas, so that none keeps any.
async fn empty(session: &Session, keyspaces: &[String]) {
    let tables = "SELECT keyspace_name, table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for keyspace in keyspaces {
        let rows = session.query_unpaged(tables, (keyspace,)).await.unwrap().into_rows_result().unwrap();
        for row in rows.rows::<(String, String)>().unwrap() {
            let (keyspace, table) = row.unwrap();
            all.entry(keyspace).or_default().push(table);
        }
    }
    for (keyspace, tables) in all {
        for table in tables.iter().filter(|table| !table.starts_with("schema_")) {
            while holds_rows(session, &keyspace, table).await {
                session.query_unpaged(format!("TRUNCATE {keyspace}.{table}"), ()).await.unwrap();
            }
        }
    }
}

async fn holds_rows(session: &Session, keyspace: &str, table: &str) -> bool {
    let mut query = Statement::new(format!("SELECT * FROM {keyspace}.{table} LIMIT 1"));
    query.set_consistency(Consistency::All);
    let rows = session.query_unpaged(query, ()).await.unwrap().into_rows_result().unwrap();
    rows.rows_num() > 0
}
