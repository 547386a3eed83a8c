//! Damage inside the engine's own files, which only this module can make.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rookery_model::MessageId;

use super::{Rows, dumped, open};
use crate::embedded::EmbeddedEngine;
use crate::engine::MessageRange;
use crate::fill::{FillPlan, fill};
use crate::tables::Table;
use crate::{EmbeddedConfig, Store, StoreError};

const MESSAGES: u64 = 6_000;
/// Places in a file at which a bit is flipped, one after the other.
const FLIPS: u64 = 30;

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
