//! Journals that end in the middle of a write, or are damaged.

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write as _};
use std::path::Path;

use rookery_core_db::{EmbeddedConfig, OpenError, Store};

use crate::common::{Dice, batch, check_channel, copy, logged, newest_journal, open};

const CHANNEL: u64 = 1;
const BATCHES: u64 = 10;

/// A closed store of some batches, and where each of them ends in the journal.
async fn made(folder: &Path) -> Vec<u64> {
    let store = open(folder);
    let mut ends = Vec::new();
    for number in 1..=BATCHES {
        store.write(batch(CHANNEL, number)).await.unwrap();
        ends.push(written_bytes(folder));
    }
    store.close().await.unwrap();
    ends
}

/// Where the journal's last byte that is not zero ends.
fn written_bytes(folder: &Path) -> u64 {
    let bytes = std::fs::read(newest_journal(folder)).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

/// Opens a copy of a store whose journal was changed.
fn open_changed(folder: &Path, change: impl FnOnce(&mut std::fs::File)) -> (Result<Store, OpenError>, String) {
    let copied = tempfile::tempdir().unwrap();
    copy(folder, copied.path());
    let mut journal = OpenOptions::new().read(true).write(true).open(newest_journal(copied.path())).unwrap();
    change(&mut journal);
    drop(journal);
    // The folder is removed while the store is open; nothing is written to it any more.
    logged(|| Store::open_embedded(EmbeddedConfig::new(copied.path())))
}

/// Opens it, and says how many messages are there and what was logged.
async fn recovered(folder: &Path, change: impl FnOnce(&mut std::fs::File)) -> (u64, String) {
    let (store, log) = open_changed(folder, change);
    (check_channel(&store.unwrap(), CHANNEL).await, log)
}

#[tokio::test]
async fn a_journal_cut_anywhere_keeps_every_whole_batch_and_says_what_was_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let ends = made(folder.path()).await;
    let (before, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    // Inside the batch's head (13 bytes), the first item's head, keys, values, the end mark (13 bytes).
    let mut cuts = vec![before + 1, before + 5, before + 12, before + 13, before + 14, before + 34, before + 60];
    cuts.extend([end - 14, end - 13, end - 12, end - 5, end - 1]);
    let mut dice = Dice(3);
    cuts.extend((0..6).map(|_| before + 1 + dice.below(end - before - 1)));
    for cut in cuts {
        let (messages, log) = recovered(folder.path(), |journal| journal.set_len(cut).unwrap()).await;
        assert_eq!(messages, BATCHES - 1, "cut at {cut} of {end}");
        assert!(log.contains("torn tail") && log.contains(&format!("valid_bytes={before}")), "{log}");
        assert!(log.contains(&format!("dropped_bytes={}", trimmed(folder.path(), before, cut))), "cut at {cut}: {log}");
    }
    for (cut, messages) in [(end, BATCHES), (before, BATCHES - 1), (ends[4], 5), (0, 0)] {
        let (found, log) = recovered(folder.path(), |journal| journal.set_len(cut).unwrap()).await;
        assert_eq!((found, log.as_str()), (messages, ""), "cut between batches at {cut}");
    }
}

/// Bytes that a cut leaves behind a batch, without zeros at their end: those count as never written.
fn trimmed(folder: &Path, from: u64, to: u64) -> u64 {
    let bytes = std::fs::read(newest_journal(folder)).unwrap();
    let left = &bytes[from as usize..to as usize];
    left.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1)
}

#[tokio::test]
async fn rubbish_behind_the_last_batch_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let ends = made(folder.path()).await;
    let end = ends[ends.len() - 1];
    let mut dice = Dice(5);
    let mut rubbish: Vec<Vec<u8>> =
        [1, 7, 64, 4_096].iter().map(|length| (0..*length).map(|_| 1 + dice.below(255) as u8).collect()).collect();
    // What decodes at first: an end mark, an item, a head with as many items as can be, a value as long as can be.
    rubbish.push(vec![3, 0, 0, 0, 0, 0, 0, 0, 0, b'F', b'J', b'L', 3]);
    rubbish.push(vec![4, 1, 0, 0, 0, 0, 0, 0, 9]);
    rubbish.push([&[1][..], &[0xff; 12]].concat());
    rubbish.push([&[1, 1, 0, 0, 0][..], &[9; 8], &[2, 0, 0], &[1; 8], &[0xff; 10], &[b'v'; 40]].concat());
    for (index, bytes) in rubbish.iter().enumerate() {
        let (messages, log) = recovered(folder.path(), |journal| {
            journal.seek(SeekFrom::Start(end)).unwrap();
            journal.write_all(bytes).unwrap();
        })
        .await;
        assert_eq!(messages, BATCHES, "rubbish {index}");
        assert!(log.contains(&format!("dropped_bytes={}", bytes.len())), "rubbish {index}: {log}");
    }
    // Zeros are what a journal is made of before it is written: nothing to say about them.
    let (messages, log) = recovered(folder.path(), |journal| journal.set_len(end + 1_000_000).unwrap()).await;
    assert_eq!((messages, log.as_str()), (BATCHES, ""));
}

#[tokio::test]
async fn a_last_batch_with_a_hole_is_torn() {
    let folder = tempfile::tempdir().unwrap();
    let ends = made(folder.path()).await;
    let (before, end) = (ends[ends.len() - 2], ends[ends.len() - 1]);
    // A machine that stops may have written a later block of a file and not an earlier one.
    let middle = (before + end) / 2;
    let (messages, log) = recovered(folder.path(), |journal| {
        journal.seek(SeekFrom::Start(middle - 20)).unwrap();
        journal.write_all(&[0; 40]).unwrap();
    })
    .await;
    assert_eq!(messages, BATCHES - 1);
    assert!(log.contains("torn tail"), "{log}");
}

#[tokio::test]
async fn damage_before_acknowledged_batches_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let ends = made(folder.path()).await;
    for (batch, offset) in [(0, 0), (3, 1), (3, 14), (4, 17), (5, 45), (6, 90)] {
        let at = if batch == 0 { offset } else { ends[batch - 1] + offset };
        let begin = if batch == 0 { 0 } else { ends[batch - 1] };
        let (opened, _) = open_changed(folder.path(), |journal| {
            journal.seek(SeekFrom::Start(at)).unwrap();
            journal.write_all(&[0xa5]).unwrap();
        });
        match opened.err() {
            Some(OpenError::Damaged { path, offset, .. }) => {
                assert_eq!(offset, begin, "damage at {at}");
                assert!(path.extension().is_some_and(|extension| extension == "jnl"));
            }
            Some(other) => panic!("damage at {at}: {other}"),
            None => panic!("damage at {at} was not noticed"),
        }
    }
}

#[tokio::test]
async fn writing_goes_on_behind_a_repaired_tail() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(9);
    let mut last = 0;
    for _ in 0..6 {
        let store = open(folder.path());
        assert_eq!(check_channel(&store, CHANNEL).await, last);
        for _ in 0..5 {
            last += 1;
            store.write(batch(CHANNEL, last)).await.unwrap();
        }
        store.close().await.unwrap();
        drop(store);
        let bytes = written_bytes(folder.path());
        let journal = OpenOptions::new().write(true).open(newest_journal(folder.path())).unwrap();
        journal.set_len(bytes - 1 - dice.below(20)).unwrap();
        last -= 1;
    }
}
