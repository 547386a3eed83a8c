//! The CQL engine while a node of its cluster is killed.
//!
//! Runs where the environment names a cluster of three data centres (`ROOKERY_TEST_CQL`) and says how one of its nodes is
//! killed and brought back: `ROOKERY_TEST_CQL_KILL` and `ROOKERY_TEST_CQL_REVIVE`, commands for `sh -c` that return when it
//! is done. It stands in a binary of its own, because a dead node would disturb every other test.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rookery_core_db::{CqlConfig, Durability, MessageRange, Store, StoreError, Write};
use rookery_model::id::EPOCH_MS;
use rookery_model::message::{MessageFlags, MessageRow, MessageType};
use rookery_model::{ChannelId, MessageId, Snowflake, UserId};
use scylla::client::session_builder::SessionBuilder;

/// Messages that must be acknowledged in each part of the test.
const EACH: u64 = 100;

struct Given {
    config: CqlConfig,
    kill: String,
    revive: String,
}

fn given() -> Option<Given> {
    let variable = |name: &str| std::env::var(name).ok();
    let all = (variable("ROOKERY_TEST_CQL"), variable("ROOKERY_TEST_CQL_KILL"), variable("ROOKERY_TEST_CQL_REVIVE"));
    let (Some(points), Some(kill), Some(revive)) = all else {
        let words = b"SKIPPED: killing a node, because ROOKERY_TEST_CQL, _KILL and _REVIVE do not say which and how\n";
        std::io::stderr().write_all(words).unwrap();
        return None;
    };
    let mut config = CqlConfig::new(points.split(',').map(str::to_owned).collect());
    config.keyspace = format!("rookery_kill_{}", std::process::id());
    config.durability = Durability::Global;
    config.connect_timeout_ms = 20_000;
    config.read_timeout_ms = 20_000;
    config.write_attempt_timeout_ms = 5_000;
    config.write_timeout_ms = 60_000;
    config.compare_and_set_timeout_ms = 20_000;
    Some(Given { config, kill, revive })
}

async fn shell(command: &str) {
    let command = command.to_owned();
    let status = tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(command).status());
    assert!(status.await.unwrap().unwrap().success());
}

fn message(number: u64) -> MessageRow {
    MessageRow {
        channel_id: ChannelId::new(5),
        id: MessageId(Snowflake::floor_of_ms(EPOCH_MS + number)),
        author_id: UserId::new(77),
        kind: MessageType::Default,
        content: number.to_string(),
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

/// Writes message after message, each until its outcome is certain.
async fn write_on(store: Store, acknowledged: Arc<AtomicU64>) -> u64 {
    for number in 0.. {
        loop {
            match store.write(vec![Write::PutMessage(message(number))]).await {
                Ok(()) => break,
                Err(StoreError::Unknown(_) | StoreError::Unwritable(_)) => tokio::task::yield_now().await,
                Err(StoreError::Closed) => return number,
                Err(other) => panic!("{other}"),
            }
        }
        acknowledged.store(number + 1, Ordering::Release);
    }
    unreachable!("numbers do not end")
}

async fn wait_for(acknowledged: &AtomicU64, number: u64) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while acknowledged.load(Ordering::Acquire) < number {
        assert!(Instant::now() < deadline, "only {} of {number} messages", acknowledged.load(Ordering::Acquire));
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_and_none_is_lost_when_a_node_is_killed() {
    let Some(Given { config, kill, revive }) = given() else { return };
    Store::migrate_cql(config.clone()).await.unwrap();
    let store = Store::open_cql(config.clone()).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let writer = tokio::spawn(write_on(store.clone(), acknowledged.clone()));
    wait_for(&acknowledged, EACH).await;
    shell(&kill).await;
    wait_for(&acknowledged, acknowledged.load(Ordering::Acquire) + EACH).await;
    shell(&revive).await;
    wait_for(&acknowledged, acknowledged.load(Ordering::Acquire) + EACH).await;
    store.close().await.unwrap();
    let written = writer.await.unwrap();

    let store = Store::open_cql(config.clone()).await.unwrap();
    let page = store.messages(ChannelId::new(5), MessageRange::Latest, 1_000_000).await.unwrap();
    let found: BTreeSet<u64> = page.iter().map(|message| message.content.parse().unwrap()).collect();
    let lost: Vec<u64> = (0..written).filter(|number| !found.contains(number)).collect();
    assert!(lost.is_empty(), "{lost:?} of {written} acknowledged are lost");
    store.close().await.unwrap();
    let session = SessionBuilder::new().known_nodes(&config.contact_points).build().await.unwrap();
    for keyspace in [config.keyspace.clone(), config.lease_keyspace()] {
        session.query_unpaged(format!("DROP KEYSPACE IF EXISTS {keyspace}"), ()).await.unwrap();
    }
}
