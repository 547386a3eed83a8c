//! Tests of background removal in a real cluster, where the environment names one.

use std::time::{Duration, Instant};

use rookery_model::store::{RetentionRow, Write};
use rookery_model::{ChannelId, GuildId, MessageId, UserId};

use super::everywhere::{Everywhere, Reader};
use super::{board, due_day, marked, retention};
use crate::bucket::BUCKET_SPAN_MS;
use crate::cql::shared::Shared;
use crate::cql::tables::messages_to_purge::Due;
use crate::cql::tables::purges::Job;
use crate::cql::tests::{config, drop_keyspaces, id_at, message, page, shared_store, write};
use crate::cql::{CqlEngine, batches, clock, migrate};
use crate::engine::Engine as _;
use crate::tables::purges::Purge;

const DAY_US: i64 = 24 * 3_600_000_000;

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: not after two minutes");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is noted anywhere.
async fn jobs(shared: &Shared) -> Vec<Job> {
    let reader = &Reader::here(&shared.calls);
    let mut jobs = Vec::new();
    for place in shared.tables.purges.places(&shared.calls).await.unwrap() {
        jobs.extend(shared.tables.purges.at_place(reader, place).await.unwrap().into_iter().map(|noted| noted.job));
    }
    jobs
}

/// How many rows of a bucket are stored, marked ones too.
async fn rows(shared: &Shared, channel: ChannelId, bucket: u32) -> usize {
    let reader = &Reader::here(&shared.calls);
    shared.tables.messages.traces(reader, (channel, bucket), i64::MAX, 10_000).await.unwrap().len()
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
    let day = due_day(id(0), clock::now_us());
    assert!(shared.tables.purges.days(&shared.calls).await.unwrap().contains(&Job::Day(day)));
    assert_eq!(rows(shared, channel, 3).await, 20);
    // What another start after a crash would do, once the day is there; twice is as good as once.
    drop(engine);
    let engine = CqlEngine::open(config).await.unwrap();
    let shared = engine.shared();
    marked::day(&Everywhere::of(shared), day).await.unwrap();
    marked::day(&Everywhere::of(shared), day).await.unwrap();
    assert_eq!(rows(shared, channel, 3).await, 11);
    assert_eq!(page(&engine, 1_004).await.len(), 11);
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
    // Days ago: no process ran since.
    let at = engine.shared().clock.take(1) - 5 * 24 * 3_600_000_000;
    let job = Job::all_of(Purge::Channel(channel));
    batches::write_all(engine.shared(), vec![engine.shared().tables.purges.put(job, at)]).await.unwrap();
    drop(engine);
    let engine = CqlEngine::open(config).await.unwrap();
    assert_eq!(page(&engine, 1_006).await, []);
    let shared = engine.shared();
    until("the purge ends", async || !jobs(shared).await.contains(&job)).await;
    assert_eq!(engine.channel(channel).await, Ok(None));
    assert_eq!(engine.guild_channels(guild).await, Ok(vec![]));
    assert_eq!(rows(shared, channel, 0).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_data_centre_is_asked_and_takes_every_removal() {
    let Some((engine, _)) = shared_store().await else { return };
    let shared = engine.shared();
    let channel = ChannelId::new(1_010);
    write(&engine, (0..3).map(|n| Write::PutMessage(message(1_010, id_at(n), "text"))).collect()).await;
    let everywhere = Everywhere::of(shared);
    let data_centres: std::collections::BTreeSet<_> = {
        let state = shared.calls.session.get_cluster_state();
        state.get_nodes_info().iter().map(|node| node.datacenter.clone()).collect()
    };
    assert_eq!(everywhere.readers().len(), data_centres.len());
    let seen = async |rows| {
        for reader in everywhere.readers() {
            let traces = shared.tables.messages.traces(reader, (channel, 0), i64::MAX, 10).await.unwrap();
            assert_eq!(traces.len(), rows);
        }
    };
    // Written at home; the others have it a moment later.
    until("the other data centres have it", async || {
        let mut all = true;
        for reader in everywhere.readers() {
            all &= shared.tables.messages.traces(reader, (channel, 0), i64::MAX, 10).await.unwrap().len() == 3;
        }
        all
    })
    .await;
    everywhere.write(vec![shared.tables.messages.delete_bucket(channel, 0, shared.clock.take(1))]).await.unwrap();
    seen(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_in_several_channels_and_buckets_is_erased_in_all() {
    let Some((engine, _)) = shared_store().await else { return };
    let (user, other) = (UserId::new(1_012), UserId::new(1_013));
    let mut sent = Vec::new();
    for n in 0..2_100_u64 {
        let author_id = if n % 3 == 0 { other } else { user };
        // One id in two channels, over three buckets.
        for channel in [1_012, 1_013] {
            let id = id_at(n * BUCKET_SPAN_MS / 700);
            sent.push(Write::PutMessage(rookery_model::message::MessageRow {
                author_id,
                ..message(channel, id, "text")
            }));
        }
    }
    write(&engine, sent).await;
    let through = id_at(BUCKET_SPAN_MS * 2 + BUCKET_SPAN_MS / 2);
    let of = async |user| engine.messages_of_author(user, None, 10_000).await.unwrap();
    assert_eq!((of(user).await.len(), of(other).await.len()), (2_800, 1_400));
    let stay = of(user).await.into_iter().filter(|(_, id)| *id > through).count();
    assert!(stay > 0);
    write(&engine, vec![Write::EraseUser { user_id: user, through }]).await;
    until("the erasure ends", async || engine.stats().purges_pending == 0).await;
    assert_eq!((of(user).await.len(), of(other).await.len()), (stay, 1_400));
    // A page goes on where the last one ended.
    let all = of(other).await;
    let before = all[699].1;
    assert_eq!(engine.messages_of_author(other, Some(before), 10_000).await.unwrap()[..], all[700..]);
    assert!(all.is_sorted_by(|one, next| one.1 >= next.1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_of_removed_messages_leaves_the_index_when_nobody_writes_into_it() {
    let Some((engine, _)) = shared_store().await else { return };
    let shared = engine.shared();
    let tables = &shared.tables;
    let (emptied, used, written) = (ChannelId::new(1_014), ChannelId::new(1_015), ChannelId::new(1_016));
    // Days ago, by what another process wrote.
    let at = clock::now_us() - 3 * DAY_US;
    let day = due_day(id_at(BUCKET_SPAN_MS * 3), at) - 500_000;
    let mut rows_of = Vec::new();
    for channel_id in [emptied, used, written] {
        rows_of.push(tables.message_buckets.put(channel_id, 3, at));
        for n in 0..1_500 {
            let message_id = id_at(BUCKET_SPAN_MS * 3 + n);
            if channel_id == used && n == 700 {
                rows_of.push(tables.messages.put(&message(1_015, message_id, "stays"), at).unwrap());
                continue;
            }
            let due = Due { channel_id, message_id, deleted_at_us: at + 1 };
            rows_of.push(tables.messages.mark_deleted(channel_id, message_id, at + 1));
            rows_of.push(tables.messages_to_purge.put(day, due));
        }
    }
    batches::write_all(shared, rows_of).await.unwrap();
    // An import writes old messages at this moment, and stores the bucket with each.
    assert!(!shared.buckets.is_stored(written, 3));
    batches::write_all(shared, vec![tables.message_buckets.put(written, 3, shared.clock.take(1))]).await.unwrap();
    marked::day(&Everywhere::of(shared), day).await.unwrap();
    let left = async |channel| {
        (rows(shared, channel, 3).await, tables.message_buckets.of(&shared.calls, channel).await.unwrap())
    };
    assert_eq!(left(emptied).await, (0, vec![]));
    assert_eq!(left(used).await, (1, vec![3]));
    assert_eq!(left(written).await, (0, vec![3]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_setting_whose_guild_is_not_seen_stays() {
    let Some((engine, _)) = shared_store().await else { return };
    let retention = RetentionRow { guild_id: GuildId::new(1_017), max_age_days: 30 };
    write(&engine, vec![Write::PutRetention(retention)]).await;
    retention::pass(engine.shared()).await.unwrap();
    assert_eq!(engine.retention(GuildId::new(1_017)).await, Ok(Some(retention)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_process_erases_another_hides_and_what_one_ends_another_shows_as_ended() {
    let Some(mut config) = config() else { return };
    migrate(config.clone()).await.unwrap();
    config.removal_grace_ms = 3_600_000;
    let hiding = CqlEngine::open(config.clone()).await.unwrap();
    let other = CqlEngine::open(config.clone()).await.unwrap();
    write(&other, (0..10).map(|n| Write::PutMessage(message(5, id_at(n), "text"))).collect()).await;
    write(&other, vec![Write::EraseUser { user_id: UserId::new(77), through: id_at(5) }]).await;
    let removals = hiding.background_removals();
    until("the other process hides it", async || page(&hiding, 5).await.len() == 4).await;
    assert_eq!((rows(hiding.shared(), ChannelId::new(5), 0).await, hiding.stats().purges_pending), (10, 1));
    // Kept pages of it end.
    assert!(hiding.background_removals() > removals);

    // Decided before the erasure, and retried by its process for a while.
    let late = MessageId::new(id_at(4).get() + 1);
    let (tables, before) = (&other.shared().tables, clock::now_us() - 60_000_000);
    let late_put = vec![
        tables.messages.put(&message(5, late, "late"), before).unwrap(),
        tables.messages_by_author.put(UserId::new(77), late, ChannelId::new(5), before),
    ];
    batches::write_all(other.shared(), late_put).await.unwrap();
    assert_eq!(page(&hiding, 5).await.len(), 4);

    config.removal_grace_ms = 100;
    let removing = CqlEngine::open(config.clone()).await.unwrap();
    until("it is removed", async || removing.stats().purges_pending == 0).await;
    until("the others hear of it", async || hiding.stats().purges_pending + other.stats().purges_pending == 0).await;
    assert_eq!(page(&hiding, 5).await.len(), 4);
    assert_eq!(hiding.message(ChannelId::new(5), late).await, Ok(None));
    assert_eq!(hiding.messages_of_author(UserId::new(77), None, 100).await.unwrap().len(), 4);
    // What is left to do is to remove the marks when their day has come.
    let board = board::Board::read(hiding.shared()).await.unwrap();
    let noted = jobs(hiding.shared()).await;
    assert!(noted.iter().all(|job| matches!(job, Job::Day(_))), "{noted:?}");
    assert_eq!(board.jobs().len(), noted.len());
    for engine in [hiding, other, removing] {
        engine.close().await.unwrap();
    }
    drop_keyspaces(&config).await;
}
