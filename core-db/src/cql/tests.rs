//! Tests of what only the CQL engine has, in a real cluster, where the environment names one (`ROOKERY_TEST_CQL`).

mod damage;
mod write_path;

use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rookery_model::id::EPOCH_MS;
use rookery_model::message::{MessageFlags, MessageRow, MessageType, Nonce};
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::store::{UniqueKey, Write};
use rookery_model::{ChannelId, MessageId, Snowflake, Timestamp, UserId};
use scylla::value::CqlValue;
use tokio::sync::OnceCell;

use super::cas::Applied;
use super::connect::connect;
use super::{CqlEngine, batches, clock, migrate, outbox, schema};
use crate::config::CqlConfig;
use crate::engine::{Engine as _, MessageRange};
use crate::{OpenError, Store, StoreError};

/// A configuration with a keyspace name of its own; none where there is no cluster.
pub(super) fn config() -> Option<CqlConfig> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    static SKIPPED: Once = Once::new();
    let Ok(points) = std::env::var("ROOKERY_TEST_CQL") else {
        SKIPPED.call_once(|| {
            let words = b"SKIPPED: tests of the CQL engine, because ROOKERY_TEST_CQL names no cluster\n";
            std::io::stderr().write_all(words).unwrap();
        });
        return None;
    };
    let mut config = CqlConfig::new(points.split(',').map(str::to_owned).collect());
    config.keyspace = format!("rookery_unit_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    // A loaded machine with three nodes on it is slow, not broken.
    config.read_timeout_ms = 20_000;
    config.write_attempt_timeout_ms = 20_000;
    config.write_timeout_ms = 60_000;
    // One process writes here, and removal sees what it has under way.
    config.removal_grace_ms = 1_000;
    config.compare_and_set_timeout_ms = 20_000;
    config.connect_timeout_ms = 20_000;
    Some(config)
}

/// A store in a keyspace that all tests of this file share: each uses ids of its own.
pub(super) async fn shared_store() -> Option<(CqlEngine, CqlConfig)> {
    static KEYSPACE: OnceCell<Option<CqlConfig>> = OnceCell::const_new();
    let made = KEYSPACE.get_or_init(|| async {
        let config = config()?;
        migrate(config.clone()).await.unwrap();
        Some(config)
    });
    // Two stores of one process are two nodes.
    static NODE_ID: AtomicU64 = AtomicU64::new(100);
    let mut config = made.await.clone()?;
    config.node_id = NODE_ID.fetch_add(1, Ordering::Relaxed);
    Some((CqlEngine::open(config.clone()).await.unwrap(), config))
}

pub(super) async fn drop_keyspaces(config: &CqlConfig) {
    let cluster = connect(config.clone()).await.unwrap();
    for keyspace in [config.keyspace.clone(), config.lease_keyspace()] {
        cluster.session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await.unwrap();
    }
}

pub(super) fn id_at(ms: u64) -> MessageId {
    MessageId(Snowflake::floor_of_ms(EPOCH_MS + ms))
}

pub(super) fn message(channel: u64, id: MessageId, content: &str) -> MessageRow {
    MessageRow {
        channel_id: ChannelId::new(channel),
        id,
        author_id: UserId::new(77),
        kind: MessageType::Default,
        content: content.into(),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mention_users: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        flags: MessageFlags::default(),
        pinned: false,
        message_reference: None,
        application_id: None,
        webhook_id: None,
        nonce: None,
        call: None,
    }
}

pub(super) async fn write(engine: &CqlEngine, batch: Vec<Write>) {
    engine.submit(batch).unwrap().await.unwrap();
}

pub(super) async fn page(engine: &CqlEngine, channel: u64) -> Vec<MessageRow> {
    engine.messages(ChannelId::new(channel), MessageRange::Latest, 50).await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_is_made_once_however_many_make_it() {
    let Some(config) = config() else { return };
    // Two processes, each at a node of its own where there are several.
    let at = |point: usize| {
        let mut config = config.clone();
        config.contact_points = vec![config.contact_points[point % config.contact_points.len()].clone()];
        config
    };
    let both = [tokio::spawn(migrate(at(0))), tokio::spawn(migrate(at(1)))];
    for one in both {
        assert_eq!(one.await.unwrap().unwrap().to, schema::EXPECTED);
    }
    // Whichever node made a table, it is the same one.
    let cluster = connect(config.clone()).await.unwrap();
    let ids = "SELECT id FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
    for (keyspace, table) in [(config.keyspace.clone(), "messages"), (config.lease_keyspace(), "leases")] {
        let found = cluster.session.query_unpaged(ids, (&keyspace, table)).await.unwrap().into_rows_result().unwrap();
        let (id,): (CqlValue,) = found.single_row().unwrap();
        assert_eq!(id.as_uuid().unwrap().to_string(), schema::table_id(&format!("{keyspace}.{table}")));
    }
    let again = migrate(config.clone()).await.unwrap();
    assert_eq!((again.from, again.to), (schema::EXPECTED, schema::EXPECTED));
    let engine = CqlEngine::open(config.clone()).await.unwrap();
    write(&engine, vec![Write::PutMessage(message(1, id_at(1), "text"))]).await;
    assert_eq!(page(&engine, 1).await.len(), 1);
    engine.close().await.unwrap();
    drop_keyspaces(&config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_of_another_version_is_refused_with_what_helps() {
    let Some(config) = config() else { return };
    let refused = async || match Store::open_cql(config.clone()).await.map(drop).unwrap_err() {
        error @ OpenError::Schema { .. } => error.to_string(),
        other => panic!("{other}"),
    };
    let expected = schema::EXPECTED.to_string();
    let words = refused().await;
    assert!(
        words.contains("version 0") && words.contains(&expected) && words.contains("rookery admin schema"),
        "{words}"
    );

    let cluster = connect(config.clone()).await.unwrap();
    schema::bootstrap(&cluster).await.unwrap();
    let record = async |version: u32| {
        let insert = format!("INSERT INTO {}.schema_migrations (scope, version) VALUES ('schema', ?)", config.keyspace);
        cluster.session.query_unpaged(insert, (version.cast_signed(),)).await.unwrap();
    };
    for version in 1..=3 {
        record(version).await;
    }
    let words = refused().await;
    assert!(words.contains("version 3") && words.contains("rookery admin schema"), "{words}");

    record(schema::EXPECTED + 1).await;
    let words = refused().await;
    assert!(words.contains(&format!("version {}", schema::EXPECTED + 1)) && words.contains("later"), "{words}");
    assert!(matches!(migrate(config.clone()).await, Err(OpenError::Schema { .. })));
    drop_keyspaces(&config).await;
}

#[tokio::test]
async fn an_unreachable_cluster_is_named() {
    let mut config = CqlConfig::new(vec!["127.0.0.1:1".into()]);
    config.local_data_centre = "somewhere".into();
    config.connect_timeout_ms = 500;
    let mut waited = Vec::new();
    let opening = super::when_reachable(
        || CqlEngine::open(config.clone()),
        |error, pause| {
            assert!(error.is_transient());
            waited.push((error.to_string(), pause));
        },
    );
    // It goes on for ever; two pauses are enough to see that they grow.
    assert!(tokio::time::timeout(Duration::from_secs(2), opening).await.is_err());
    let words = &waited[0].0;
    assert!(words.contains("127.0.0.1:1") && words.contains("somewhere"), "{words}");
    assert!(waited.len() >= 2 && waited[1].1 > waited[0].1, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_centre_that_does_not_exist_is_named_with_those_that_do() {
    let Some(mut config) = config() else { return };
    config.local_data_centre = "atlantis".into();
    match migrate(config.clone()).await {
        Err(OpenError::Config { key: "local_data_centre", problem }) => assert!(problem.contains("atlantis")),
        other => panic!("{other:?}"),
    }
    config.local_data_centre = String::new();
    config.replication = std::collections::BTreeMap::from([("atlantis".into(), 1)]);
    assert!(matches!(migrate(config).await, Err(OpenError::Config { key: "replication", .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_that_arrives_after_the_deletion_brings_nothing_back() {
    let Some((engine, _)) = shared_store().await else { return };
    let id = id_at(5);
    let mut edited = message(1_001, id, "before");
    write(&engine, vec![Write::PutMessage(edited.clone())]).await;
    let at = engine.shared().clock.take(1);
    write(&engine, vec![Write::DeleteMessage { channel_id: ChannelId::new(1_001), message_id: id }]).await;
    // The edit was submitted before the deletion: its timestamp is lower, and it was long under way.
    edited.content = "after".into();
    edited.edited_timestamp = Some(Timestamp(9));
    let late = engine.shared().tables.messages.put(&edited, at).unwrap();
    batches::write_all(engine.shared(), vec![late]).await.unwrap();
    assert_eq!(engine.message(ChannelId::new(1_001), id).await, Ok(None));
    assert_eq!(page(&engine, 1_001).await, []);

    // And one of a message that was never there when it was deleted.
    let never = id_at(6);
    let at = engine.shared().clock.take(1);
    write(&engine, vec![Write::DeleteMessage { channel_id: ChannelId::new(1_001), message_id: never }]).await;
    let late = engine.shared().tables.messages.put(&message(1_001, never, "late"), at).unwrap();
    batches::write_all(engine.shared(), vec![late]).await.unwrap();
    assert_eq!(page(&engine, 1_001).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_replaces_every_column() {
    let Some((engine, _)) = shared_store().await else { return };
    let mut row = message(1_002, id_at(5), "text");
    row.nonce = Some(Nonce::Text("n".into()));
    row.edited_timestamp = Some(Timestamp(0));
    row.mention_users = vec![UserId::new(3)];
    row.flags = MessageFlags::from_bits_retain(1 << 63);
    row.webhook_id = Some(rookery_model::WebhookId::new(0));
    write(&engine, vec![Write::PutMessage(row.clone())]).await;
    assert_eq!(page(&engine, 1_002).await, [row]);
    let bare = message(1_002, id_at(5), "");
    write(&engine, vec![Write::PutMessage(bare.clone())]).await;
    assert_eq!(page(&engine, 1_002).await, [bare]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_page_of_a_busy_channel_is_one_query() {
    let Some((engine, _)) = shared_store().await else { return };
    let now = clock::now_ms() - EPOCH_MS;
    let sent = (0..60).map(|n| Write::PutMessage(message(1_003, id_at(now - n), "text")));
    write(&engine, sent.collect()).await;
    assert_eq!(page(&engine, 1_003).await.len(), 50);
    let before = engine.shared().calls.counters.queries();
    assert_eq!(page(&engine, 1_003).await.len(), 50);
    assert_eq!(engine.shared().calls.counters.queries() - before, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timestamps_of_a_later_start_lie_above_those_of_an_earlier_one() {
    let Some((_, mut config)) = shared_store().await else { return };
    config.node_id = 7;
    let first = CqlEngine::open(config.clone()).await.unwrap();
    // Its clock was an hour ahead.
    let ahead = clock::now_us() + 3_600_000_000;
    while first.shared().clock.last_us() < ahead {
        first.shared().clock.take(1_000_000_000);
    }
    super::lease::renew(first.shared()).await.unwrap();
    let last = first.shared().clock.last_us();
    // Killed: nothing settles the ceiling.
    drop(first);
    let second = CqlEngine::open(config.clone()).await.unwrap();
    let after_crash = second.shared().clock.take(1);
    assert!(after_crash > last);
    second.close().await.unwrap();
    // A clean end leaves no gap.
    let third = CqlEngine::open(config).await.unwrap();
    let after_close = third.shared().clock.take(1);
    assert!(after_close > after_crash && after_close - after_crash < 1_000_000, "{}", after_close - after_crash);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_with_one_node_id_are_not_both_served() {
    let Some((_, mut config)) = shared_store().await else { return };
    config.node_id = 8;
    let write = |number| vec![Write::PutMessage(message(9_000, id_at(number), "one"))];
    let first = CqlEngine::open(config.clone()).await.unwrap();
    first.submit(write(1)).unwrap().await.unwrap();

    // Another one under another name waits for the lease to end, and is told.
    config.holder = "somebody else".into();
    let refused = CqlEngine::open(config.clone()).await;
    assert!(matches!(&refused, Err(OpenError::NodeHeld { node_id: 8, .. })), "{:?}", refused.err());
    first.submit(write(2)).unwrap().await.unwrap();
    // Killed, or given back, it is the other's.
    first.close().await.unwrap();
    let second = CqlEngine::open(config.clone()).await.unwrap();
    second.submit(write(3)).unwrap().await.unwrap();

    // One that takes the lease over under the same name ends the former at its next renewal.
    let third = CqlEngine::open(config).await.unwrap();
    super::lease::renew(second.shared()).await.unwrap();
    assert!(matches!(second.submit(write(4)), Err(StoreError::Unwritable(reason)) if reason.contains("node id 8")));
    assert!(!second.health().writable);
    let claim = second.claim(UniqueKey::Username("eight".into()), 8).await;
    assert!(matches!(claim, Err(StoreError::Unwritable(_))), "{claim:?}");
    assert_eq!(third.claim(UniqueKey::Username("eight".into()), 9).await, Ok(Ok(())));
    third.submit(write(5)).unwrap().await.unwrap();
    assert!(second.raise_id_ceiling(5).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_was_given_back_stays_so_whatever_arrives_late() {
    let Some((engine, mut config)) = shared_store().await else { return };
    let shared = engine.shared().clone();
    let (leases, calls, node_id) = (&shared.tables.leases, &shared.calls, shared.node_id());
    let held = leases.get(calls, node_id).await.unwrap().unwrap();
    engine.close().await.unwrap();
    let given_back = leases.get(calls, node_id).await.unwrap().unwrap();
    assert_eq!(given_back.expires_at_ms, 0);

    // Attempts that the holder made before: whoever waited for them is gone, but they were on their way still.
    let late = super::tables::leases::Lease { id_ceiling_ms: 5, expires_at_ms: held.expires_at_ms + 1, ..held };
    assert!(matches!(leases.raise_ids(calls, node_id, &late).await, Ok(Applied::No(_))));
    assert!(matches!(leases.renew(calls, node_id, &late).await, Ok(Applied::No(_))));
    // One that waited for its turn behind the giving back.
    let raised = super::lease::raise_id_ceiling(&shared, 6).await;
    assert!(matches!(&raised, Err(StoreError::Unwritable(reason)) if reason.contains("given back")), "{raised:?}");
    super::lease::renew(&shared).await.unwrap();
    // Given back twice, as by an attempt that nobody answered.
    super::lease::give_back(&shared).await.unwrap();
    assert_eq!(leases.get(calls, node_id).await.unwrap(), Some(given_back.clone()));

    // The next one, of another name, has it as it was left.
    config.holder = "somebody else".into();
    let next = CqlEngine::open(config).await.unwrap();
    let taken = leases.get(calls, node_id).await.unwrap().unwrap();
    assert_eq!((taken.epoch, taken.id_ceiling_ms), (given_back.epoch + 1, given_back.id_ceiling_ms));
    next.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_the_outbox_that_is_over_and_empty_leaves_the_index() {
    let Some((engine, _)) = shared_store().await else { return };
    let (shared, queue) = (engine.shared().clone(), OutboxQueue::Push);
    let long_ago = Timestamp(1_700_000_000_000_000);
    let hour = outbox::hour_of(long_ago);
    let hours = async || shared.tables.outbox_hours.of(&shared.calls, queue).await.unwrap();
    // As it was written then.
    batches::write_all(&shared, vec![shared.tables.outbox_hours.put(queue, hour, long_ago.0)]).await.unwrap();
    assert_eq!(hours().await, [hour]);
    assert_eq!(engine.outbox(queue, None, 10).await, Ok(vec![]));
    assert_eq!(hours().await, [0; 0]);
    // Put now, as by an import: it is found, and the hour stays while others may be on their way into it.
    let row = OutboxRow { queue, place: OutboxPlace { queued_at: long_ago, id: 1 }, work: vec![1] };
    write(&engine, vec![Write::PutOutbox(row.clone())]).await;
    assert_eq!(engine.outbox(queue, None, 10).await, Ok(vec![row.clone()]));
    write(&engine, vec![Write::DeleteOutbox { queue, place: row.place }]).await;
    assert_eq!(engine.outbox(queue, None, 10).await, Ok(vec![]));
    assert_eq!(hours().await, [hour]);
    engine.close().await.unwrap();
}
