//! Tests of what only the CQL engine has, in a real cluster, where the environment names one (`ROOKERY_TEST_CQL`).

use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rookery_model::id::EPOCH_MS;
use rookery_model::message::{MessageFlags, MessageRow, MessageType, Nonce};
use rookery_model::outbox::{OutboxPlace, OutboxQueue, OutboxRow};
use rookery_model::store::Write;
use rookery_model::{ChannelId, GuildId, MessageId, Snowflake, Timestamp, UserId};
use tokio::sync::OnceCell;

use super::connect::connect;
use super::tables::purges::Job;
use super::{CqlEngine, batches, clock, migrate, outbox, purge, schema};
use crate::bucket::BUCKET_SPAN_MS;
use crate::config::CqlConfig;
use crate::engine::{Engine as _, MessageRange};
use crate::tables::purges::Purge;
use crate::{OpenError, Store};

/// A configuration with a keyspace name of its own; none where there is no cluster.
fn config() -> Option<CqlConfig> {
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
    config.compare_and_set_timeout_ms = 20_000;
    config.connect_timeout_ms = 20_000;
    Some(config)
}

/// A store in a keyspace that all tests of this file share: each uses ids of its own.
async fn shared_store() -> Option<(CqlEngine, CqlConfig)> {
    static KEYSPACE: OnceCell<Option<CqlConfig>> = OnceCell::const_new();
    let made = KEYSPACE.get_or_init(|| async {
        let config = config()?;
        migrate(config.clone()).await.unwrap();
        Some(config)
    });
    let config = made.await.clone()?;
    Some((CqlEngine::open(config.clone()).await.unwrap(), config))
}

async fn drop_keyspaces(config: &CqlConfig) {
    let cluster = connect(config.clone()).await.unwrap();
    for keyspace in [config.keyspace.clone(), config.lease_keyspace()] {
        cluster.session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await.unwrap();
    }
}

fn id_at(ms: u64) -> MessageId {
    MessageId(Snowflake::floor_of_ms(EPOCH_MS + ms))
}

fn message(channel: u64, id: MessageId, content: &str) -> MessageRow {
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
    }
}

async fn write(engine: &CqlEngine, batch: Vec<Write>) {
    engine.submit(batch).unwrap().await.unwrap();
}

async fn page(engine: &CqlEngine, channel: u64) -> Vec<MessageRow> {
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
async fn marked_messages_are_removed_on_their_day_and_later_ones_stay() {
    let Some((engine, config)) = shared_store().await else { return };
    let channel = ChannelId::new(1_004);
    let id = |n: u64| id_at(BUCKET_SPAN_MS * 3 + n);
    write(&engine, (0..20).map(|n| Write::PutMessage(message(1_004, id(n), "text"))).collect()).await;
    let delete = |n| Write::DeleteMessage { channel_id: channel, message_id: id(n) };
    write(&engine, (0..10).map(delete).collect()).await;
    // Put anew after its deletion: the purge must leave it alone.
    write(&engine, vec![Write::PutMessage(message(1_004, id(3), "again"))]).await;
    let shared = engine.shared();
    let day = purge::due_day(id(0), clock::now_us());
    assert!(shared.tables.purges.all(&shared.calls).await.unwrap().contains(&Job::Day(day)));
    let rows = async || shared.tables.messages.traces(&shared.calls, channel, 3, 1_000).await.unwrap().len();
    assert_eq!(rows().await, 20);
    // What another start after a crash would do, once the day is there; twice is as good as once.
    drop(engine);
    let engine = CqlEngine::open(config).await.unwrap();
    let shared = engine.shared();
    purge::marked::day(shared, day).await.unwrap();
    purge::marked::day(shared, day).await.unwrap();
    assert_eq!(shared.tables.messages.traces(&shared.calls, channel, 3, 1_000).await.unwrap().len(), 11);
    assert_eq!(page(&engine, 1_004).await.len(), 11);
    assert!(!shared.tables.purges.all(&shared.calls).await.unwrap().contains(&Job::Day(day)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_was_cut_off_is_finished_by_the_next_start() {
    let Some((engine, config)) = shared_store().await else { return };
    let (guild, channel) = (GuildId::new(1_005), ChannelId::new(1_006));
    let mut row = rookery_model::channel::Channel::new(channel, rookery_model::channel::ChannelType::GuildText);
    row.guild_id = Some(guild);
    let sent = (0..10).map(|n| Write::PutMessage(message(1_006, id_at(n), "text")));
    write(&engine, sent.chain([Write::PutChannel(row)]).collect()).await;
    // As far as a process got that noted the deletion and died.
    let at = engine.shared().clock.take(1);
    let job = Job::all_of(Purge::Channel(channel));
    batches::write_all(engine.shared(), vec![engine.shared().tables.purges.put(job, at)]).await.unwrap();
    drop(engine);
    let engine = CqlEngine::open(config).await.unwrap();
    assert_eq!(page(&engine, 1_006).await, []);
    let shared = engine.shared();
    let deadline = Instant::now() + Duration::from_secs(60);
    while shared.tables.purges.all(&shared.calls).await.unwrap().contains(&job) {
        assert!(Instant::now() < deadline, "the purge does not end");
        tokio::task::yield_now().await;
    }
    assert_eq!(engine.channel(channel).await, Ok(None));
    assert_eq!(engine.guild_channels(guild).await, Ok(vec![]));
    assert!(shared.tables.messages.traces(&shared.calls, channel, 0, 10).await.unwrap().is_empty());
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
    super::cas::keep_timestamp_ceiling(first.shared()).await.unwrap();
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
