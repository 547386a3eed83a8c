//! Damage inside the engine's own files, which only this module can make.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rookery_model::message::MessageRow;
use rookery_model::store::Write;
use rookery_model::{ChannelId, MessageId};

use super::EmbeddedEngine;
use super::purge::Purger;
use crate::dump::{DumpRow, Section};
use crate::engine::{Engine as _, MessageRange};
use crate::fill::{self, FillPlan, fill};
use crate::tables::purges::Purge;
use crate::tables::{Table, View as _, messages};
use crate::{EmbeddedConfig, Store, StoreError};

const MESSAGES: u64 = 6_000;
/// Places in a file at which a bit is flipped, one after the other.
const FLIPS: u64 = 30;

type Rows = BTreeMap<(ChannelId, MessageId), MessageRow>;

fn open(folder: &Path) -> (std::sync::Arc<EmbeddedEngine>, Store) {
    let engine = std::sync::Arc::new(EmbeddedEngine::open(EmbeddedConfig::new(folder)).unwrap());
    (engine.clone(), Store::new(engine))
}

/// A closed store whose messages lie in one table file, the file, and the messages.
async fn made(folder: &Path) -> (PathBuf, Rows) {
    let (engine, store) = open(folder);
    fill(&store, FillPlan::new(MESSAGES)).await.unwrap();
    let path = {
        let slot = engine.shared.db.read();
        let db = slot.as_ref().unwrap();
        db.tree(Table::Messages).rotate_memtable_and_wait().unwrap();
        db.tree(Table::Messages).major_compact().unwrap();
        db.tree(Table::Messages).path().to_path_buf()
    };
    let (rows, damaged) = dumped(&store).await;
    assert_eq!((rows.len() as u64, damaged), (MESSAGES + 32, 0));
    store.close().await.unwrap();
    let mut files = files(&path);
    files.sort_by_key(|file| fs::metadata(file).unwrap().len());
    (files.pop().unwrap(), rows)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn dumped(store: &Store) -> (Rows, usize) {
    let (mut rows, mut damaged, mut cursor) = (Rows::new(), 0, None);
    loop {
        let page = store.dump(Section::Messages, cursor, 100).await.unwrap();
        for row in page.rows {
            let DumpRow::Write(Write::PutMessage(message)) = row else { panic!("{row:?}") };
            rows.insert((message.channel_id, message.id), message);
        }
        damaged += page.damaged.len();
        assert!(page.damaged.iter().all(|row| row.table == "messages" && !row.key.is_empty()));
        cursor = page.next;
        if cursor.is_none() {
            return (rows, damaged);
        }
    }
}

/// All messages of the channels, in pages from the newest on, or from the oldest.
async fn paged(store: &Store, wanted: &Rows, newest_first: bool) -> Rows {
    let mut rows = Rows::new();
    let mut channels: Vec<_> = wanted.keys().map(|(channel_id, _)| *channel_id).collect();
    channels.dedup();
    for channel_id in channels {
        let mut range = if newest_first { MessageRange::Latest } else { MessageRange::After(MessageId::new(0)) };
        loop {
            let page = store.messages(channel_id, range, 50).await.unwrap();
            let end = if newest_first { page.last() } else { page.first() };
            let Some(end) = end else { break };
            range = if newest_first { MessageRange::Before(end.id) } else { MessageRange::After(end.id) };
            rows.extend(page.iter().map(|message| ((channel_id, message.id), message.clone())));
        }
    }
    rows
}

#[tokio::test]
async fn a_flipped_bit_costs_its_block_and_is_never_served_nor_hidden() {
    let folder = tempfile::tempdir().unwrap();
    let (path, wanted) = made(folder.path()).await;
    let length = fs::metadata(&path).unwrap().len();
    let (mut met, mut lost_many) = (0, 0);
    for flip in 0..FLIPS {
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let at = flip * length / FLIPS + flip % 7;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ (1 << (flip % 8))], at).unwrap();
        // A file that the engine cannot open at all is refused by name, and nothing is served.
        if let Ok(engine) = EmbeddedEngine::open(EmbeddedConfig::new(folder.path())) {
            let store = Store::new(std::sync::Arc::new(engine));
            let lost = check_damaged(&store, &wanted, at).await;
            met += usize::from(lost > 0);
            lost_many += u64::from(lost > 200);
            store.close().await.unwrap();
        }
        file.write_all_at(&byte, at).unwrap();
    }
    // Most of a table file is blocks of rows.
    assert!(met as u64 > FLIPS / 2, "{met} of {FLIPS} flips cost a row");
    // A block of rows has some twenty; a block of the index leads to thousands, but there are few of those.
    assert!(lost_many <= FLIPS / 10, "{lost_many} of {FLIPS} flips cost more than a block of rows");
    let (_, store) = open(folder.path());
    assert_eq!(dumped(&store).await, (wanted, 0));
}

/// Checks what a store with one flipped bit serves; says how many rows that costs.
async fn check_damaged(store: &Store, wanted: &Rows, at: u64) -> usize {
    let (found, damaged) = dumped(store).await;
    for rows in [&found, &paged(store, wanted, true).await, &paged(store, wanted, false).await] {
        assert!(rows.iter().all(|(key, row)| wanted.get(key) == Some(row)), "flip at {at}: a row that never was");
        assert!(rows.len() == wanted.len() || damaged > 0, "flip at {at}: {} rows are silently gone", rows.len());
    }
    assert_eq!(store.stats().corrupt_rows > 0, damaged > 0, "flip at {at}");
    let lost: Vec<_> = wanted.keys().filter(|key| !found.contains_key(key)).collect();
    for (channel_id, id) in lost.iter().take(3) {
        match store.message(*channel_id, *id).await {
            Err(StoreError::Corrupt { table: "messages", key, .. }) => assert!(!key.is_empty()),
            other => panic!("flip at {at}: {other:?}"),
        }
    }
    lost.len()
}

/// A purge that cannot be taken further rests; those behind it are not held up, and the committer does not spin.
#[tokio::test]
async fn a_purge_that_meets_an_error_rests_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let (stuck, next) = (Purge::Channel(ChannelId::new(1)), fill::channel_id(0, 0));
    {
        let slot = engine.shared.db.read();
        let db = slot.as_ref().unwrap();
        // A row that stands among the messages of the first purge and whose key is none of a message.
        let mut key = messages::prefix(ChannelId::new(1)).into_slice().to_vec();
        key.push(7);
        db.tree(Table::Messages).insert(key, vec![1]).unwrap();
    }
    store.write(vec![Write::DeleteChannel { guild_id: None, channel_id: ChannelId::new(1) }]).await.unwrap();
    let guild_id = Some(fill::guild_id(0));
    store.write(vec![Write::DeleteChannel { guild_id, channel_id: next }]).await.unwrap();
    while engine.shared.doomed.channel(next) {
        tokio::task::yield_now().await;
    }
    assert!(engine.shared.doomed.channel(ChannelId::new(1)), "it stays hidden");
    // Nothing is due until it has rested, so the committer sleeps.
    let mut purger = Purger::default();
    let slot = engine.shared.db.read();
    let db = slot.as_ref().unwrap();
    assert!(purger.is_due(&engine.shared.doomed));
    match purger.step(db, &engine.shared.doomed) {
        Err(StoreError::Corrupt { table: "messages", .. }) => {}
        other => panic!("{stuck:?}: {other:?}"),
    }
    assert!(!purger.is_due(&engine.shared.doomed));
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_costs_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (engine, store) = open(folder.path());
    fill(&store, FillPlan::new(2_000)).await.unwrap();
    let channel_id = fill::channel_id(0, 0);
    let before = store.messages(channel_id, MessageRange::Latest, 101).await.unwrap();
    let victim = before[10].id;
    {
        let slot = engine.shared.db.read();
        let db = slot.as_ref().unwrap();
        let key = messages::key(channel_id, victim);
        let mut row = db.get(Table::Messages, &key).unwrap().unwrap().to_vec();
        row[0] = 9;
        db.tree(Table::Messages).insert(key.into_slice(), row).unwrap();
    }
    // The page is as long as before: a client takes a short one for the end.
    let page = engine.messages(channel_id, MessageRange::Latest, 100).await.unwrap();
    let expected: Vec<_> = before.iter().filter(|message| message.id != victim).cloned().collect();
    assert_eq!(page[..], expected);
    let page = engine.messages(channel_id, MessageRange::After(before[100].id), 100).await.unwrap();
    assert_eq!(page.len(), 99);
    assert_eq!(engine.stats().corrupt_rows, 1);
    match engine.message(channel_id, victim).await {
        Err(StoreError::Corrupt { table: "messages", reason, .. }) => assert!(reason.contains("row format 9")),
        other => panic!("{other:?}"),
    }
    let (rows, damaged) = dumped(&store).await;
    assert_eq!((rows.len(), damaged), (2_000 + 24 - 1, 1));
    // It can be deleted like any other.
    store.write(vec![Write::DeleteMessage { channel_id, message_id: victim }]).await.unwrap();
    assert_eq!(dumped(&store).await.1, 0);
}
