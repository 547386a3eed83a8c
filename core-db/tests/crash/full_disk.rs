//! A disk without room: writes are refused, reads go on, and everything recovers.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rookery_core_db::{EmbeddedConfig, Store, StoreError};
use rookery_model::ChannelId;

use crate::common::{all, batch, check_channel, id_of, number_of, operation_id};

const CHANNEL: u64 = 1;

/// A small file system in memory.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None, with a printed reason, where mounting is not allowed.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={megabytes}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        match mount {
            Ok(output) if output.status.success() => Some(Self(folder)),
            other => {
                println!("SKIPPED: no small file system could be mounted (root is needed): {other:?}");
                None
            }
        }
    }
    fn path(&self) -> PathBuf {
        self.0.path().join("store")
    }
    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }
    /// Leaves so much room.
    fn fill(&self, leave_bytes: u64) {
        let mut ballast = OpenOptions::new().create(true).append(true).open(self.ballast()).unwrap();
        let block = [7; 4_096];
        while ballast.write_all(&block).is_ok() {}
        let length = ballast.metadata().unwrap().len();
        ballast.set_len(length.saturating_sub(leave_bytes)).unwrap();
    }
    fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _unmounted = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

fn open(path: &Path) -> Store {
    let config = EmbeddedConfig { recovery_free_bytes: 2 * 1024 * 1024, ..EmbeddedConfig::new(path) };
    Store::open_embedded(config).unwrap()
}

/// Writes until a batch is refused; answers the last acknowledged one.
async fn write_until_refused(store: &Store, mut last: u64) -> u64 {
    loop {
        // Many at once: the refused ones are refused as a whole.
        let commits: Vec<_> = (1..=64).map(|n| store.submit(batch(CHANNEL, last + n)).unwrap()).collect();
        let mut refused = false;
        for commit in commits {
            match commit.await {
                Ok(()) => {
                    assert!(!refused, "acknowledged behind a refused one");
                    last += 1;
                }
                Err(StoreError::Unwritable(reason)) => {
                    assert!(!reason.is_empty());
                    refused = true;
                }
                Err(other) => panic!("{other}"),
            }
        }
        if refused {
            return last;
        }
    }
}

/// Likewise one by one: a refused batch then stands in the engine's buffer, ready to be written later.
async fn write_singly_until_refused(store: &Store, mut last: u64) -> u64 {
    while store.write(batch(CHANNEL, last + 1)).await.is_ok() {
        last += 1;
    }
    last
}

async fn nothing_behind(store: &Store, last: u64) {
    for number in last + 1..=last + 64 {
        assert_eq!(store.message(ChannelId::new(CHANNEL), id_of(number)).await, Ok(None), "{number} was refused");
        assert_eq!(store.operation(&operation_id(CHANNEL, number)).await, Ok(None), "{number} was refused");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_serves_reads_and_recovers() {
    let Some(disk) = Disk::mount(64) else { return };
    let store = open(&disk.path());
    store.write(batch(CHANNEL, 1)).await.unwrap();
    let mut last = 1;
    for round in 0..3 {
        disk.fill(300_000 + round * 1_234);
        last = write_until_refused(&store, last).await;
        let health = store.health();
        assert!(!health.writable && health.reason.contains("No space left on device"), "{health:?}");

        // While it is full: every acknowledged row is read, and nothing more is taken.
        assert_eq!(check_channel(&store, CHANNEL).await, last);
        nothing_behind(&store, last).await;
        let claim = store.claim(rookery_core_db::UniqueKey::Email("a@example.com".into()), 1).await;
        assert!(matches!(claim, Err(StoreError::Unwritable(_))), "{claim:?}");
        assert!(matches!(store.write(batch(CHANNEL, last + 1)).await, Err(StoreError::Unwritable(_))));

        // Reads go on while the engine is opened anew.
        disk.make_room();
        tokio::time::timeout(Duration::from_secs(20), async {
            while !store.health().writable {
                assert_eq!(all(&store, CHANNEL).await.len() as u64, last);
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("recovers within twenty seconds");
        assert_eq!(check_channel(&store, CHANNEL).await, last);
        nothing_behind(&store, last).await;
        for _ in 0..10 {
            last += 1;
            store.write(batch(CHANNEL, last)).await.unwrap();
        }
        assert_eq!(store.stats().reopens, round + 1);
    }
    store.close().await.unwrap();
    drop(store);
    assert_eq!(check_channel(&open(&disk.path()), CHANNEL).await, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_left_on_a_full_disk_forgets_what_it_refused() {
    let Some(disk) = Disk::mount(64) else { return };
    let store = open(&disk.path());
    store.write(batch(CHANNEL, 1)).await.unwrap();
    disk.fill(300_000);
    let last = write_until_refused(&store, 1).await;
    // Room comes just before the end: whatever the engine still held is written now.
    disk.make_room();
    drop(store);
    let store = open(&disk.path());
    assert_eq!(check_channel(&store, CHANNEL).await, last);
    nothing_behind(&store, last).await;

    disk.fill(50_000);
    let last = write_singly_until_refused(&store, last).await;
    disk.make_room();
    drop(store);
    let store = open(&disk.path());
    assert_eq!(check_channel(&store, CHANNEL).await, last);
    nothing_behind(&store, last).await;

    // Closed and opened while it is full: it can be read, and takes writes as soon as there is room.
    disk.fill(100_000);
    let last = write_until_refused(&store, last).await;
    drop(store);
    let store = open(&disk.path());
    assert_eq!(check_channel(&store, CHANNEL).await, last);
    let last = write_until_refused(&store, last).await;
    disk.make_room();
    tokio::time::timeout(Duration::from_secs(20), async {
        while store.write(batch(CHANNEL, last + 1)).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("recovers within twenty seconds");
    assert_eq!(check_channel(&store, CHANNEL).await, last + 1);
    assert_eq!(number_of(all(&store, CHANNEL).await.last().unwrap().id), last + 1);
}
