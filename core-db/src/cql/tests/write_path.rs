//! In which order a batch becomes durable, and who waits for whom.

use rookery_model::message::ReactionEmoji;
use rookery_model::store::{OperationRow, ReactionCountRow, UniqueKey, Write};
use rookery_model::{ChannelId, Timestamp};

use super::{config, drop_keyspaces, id_at, message, shared_store, write};
use crate::StoreError;
use crate::cql::cas::{self, Release};
use crate::cql::connect::connect;
use crate::cql::lanes::Lane;
use crate::cql::{CqlEngine, batches, migrate};
use crate::engine::Engine as _;

/// A batch that cannot be finished, because a table of one of its stages is gone.
async fn unfinished(engine: &CqlEngine, batch: Vec<Write>) -> StoreError {
    engine.submit(batch).unwrap().await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_never_vouches_for_what_was_not_done() {
    let Some(mut config) = config() else { return };
    config.write_timeout_ms = 2_000;
    migrate(config.clone()).await.unwrap();
    let engine = CqlEngine::open(config.clone()).await.unwrap();
    let cluster = connect(config.clone()).await.unwrap();
    let drop_table = async |table: &str| {
        let drop = format!("DROP TABLE {}.{table}", config.keyspace);
        cluster.session.query_unpaged(drop, ()).await.unwrap();
    };
    let recorded = |n: u8| {
        let id = [&0xffff_ffff_ffff_u64.to_be_bytes()[2..], &[n; 10]].concat();
        OperationRow { id, user_id: None, reply: vec![1] }
    };
    let (channel, there, never) = (ChannelId::new(1), id_at(5), id_at(6));
    write(&engine, vec![Write::PutMessage(message(1, there, "there")), Write::PutOperation(recorded(0))]).await;
    assert_eq!(engine.operation(&recorded(0).id).await, Ok(Some(recorded(0))));

    // The deletion has its note of what to remove, then fails at one of the message's rows.
    drop_table("reactions").await;
    let delete = Write::DeleteMessage { channel_id: channel, message_id: there };
    let outcome = unfinished(&engine, vec![delete, Write::PutOperation(recorded(1))]).await;
    assert!(matches!(outcome, StoreError::Unknown(_)), "{outcome}");
    assert_eq!(engine.operation(&recorded(1).id).await, Ok(None));

    // No message without what an erasure finds it by.
    drop_table("messages_by_author").await;
    let put = Write::PutMessage(message(1, never, "never"));
    unfinished(&engine, vec![put.clone(), Write::PutOperation(recorded(2))]).await;
    assert_eq!(engine.message(channel, never).await, Ok(None));
    assert_eq!(engine.operation(&recorded(2).id).await, Ok(None));
    drop(engine);
    drop_keyspaces(&config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_hangs_on_a_deleted_message_stays_away_where_a_write_may_arrive_late() {
    let Some((engine, _)) = shared_store().await else { return };
    let (channel, id) = (ChannelId::new(1_010), id_at(5));
    write(&engine, vec![Write::PutMessage(message(1_010, id, "text"))]).await;
    let shared = engine.shared();
    let at = shared.clock.take(1);
    shared.doubts.note(&[Lane::Channel(1_010)]);
    write(&engine, vec![Write::DeleteMessage { channel_id: channel, message_id: id }]).await;
    let emoji = ReactionEmoji { id: None, name: Some("x".into()), animated: false };
    let count = ReactionCountRow { channel_id: channel, message_id: id, emoji, count: 1, first_at: Timestamp(1) };
    let late = vec![
        shared.tables.pins.put(channel, id, Timestamp(1), at),
        shared.tables.reaction_counts.put(&count, at).unwrap(),
    ];
    batches::write_all(shared, late).await.unwrap();
    assert_eq!(engine.pins(channel).await, Ok(vec![]));
    assert_eq!(engine.reaction_counts(channel, &[id]).await, Ok(vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_can_be_claimed_behind_the_deletion_that_frees_it() {
    let Some((engine, _)) = shared_store().await else { return };
    let code = UniqueKey::InviteCode("code1011".into());
    assert_eq!(engine.claim(code.clone(), 1_011).await, Ok(Ok(())));
    // A deletion that is under way, and gives the code free in the end.
    let (ticket, _) = engine.shared().lanes.enter_behind(smallvec::smallvec![Lane::Released]);
    let (first, second) = (engine.claim(code.clone(), 1_011), engine.claim(code.clone(), 1_012));
    let deletion = async {
        // A claim of a key that is free waits for no deletion.
        assert_eq!(engine.claim(UniqueKey::InviteCode("free1011".into()), 1_011).await, Ok(Ok(())));
        let freed = smallvec::smallvec![Release { key: code.clone(), owner: 1_011 }];
        cas::release(engine.shared(), freed).await.unwrap();
        drop(ticket);
    };
    // The first is this owner's already, and would be lost if the deletion were not waited for.
    let outcomes = tokio::join!(first, second, deletion);
    assert_eq!(outcomes, (Ok(Ok(())), Ok(Err(1_011)), ()));
}
