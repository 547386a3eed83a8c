//! `kill -9` under load, and while a store is made.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rookery_core_db::{Commit, Store, StoreError};
use rookery_model::ChannelId;

use crate::common::{Dice, batch, check_channel, child, child_folder, line, number_of, open};

const ROUNDS: u64 = 20;
const CHANNELS: u64 = 8;
/// Batches that a writer has under way at once.
const PIPELINE: usize = 16;

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_kill_9_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut dice = Dice(7);
    let mut acknowledged = [0; CHANNELS as usize + 1];
    let mut total = 0;
    for round in 0..ROUNDS {
        let (mut writer, mut lines) = child("kill::child_writes_until_killed", folder.path());
        // The moment is a number of acknowledgements, some in the very first groups, some well into the load.
        let moment = if round % 4 == 0 { dice.below(20) } else { dice.below(4_000) };
        let mut seen = 0;
        while let Some(line) = line(&mut lines) {
            let Some(rest) = line.strip_prefix("ack ") else { continue };
            let (channel, number) = rest.split_once(' ').unwrap();
            acknowledged[channel.parse::<usize>().unwrap()] = number.parse::<u64>().unwrap();
            seen += 1;
            if seen == moment + 1 {
                writer.kill().unwrap();
            }
        }
        writer.wait().unwrap();
        assert!(seen > moment, "round {round}: the child ended by itself");
        total += seen;

        let store = open(folder.path());
        for channel in 1..=CHANNELS {
            let last = check_channel(&store, channel).await;
            let acknowledged = acknowledged[channel as usize];
            assert!(last >= acknowledged, "round {round}, channel {channel}: {last} of {acknowledged} acknowledged");
        }
        store.close().await.unwrap();
    }
    println!("{ROUNDS} rounds of kill -9, {total} acknowledged batches, none lost");
}

/// Not a test of its own: what the killed process does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs as the child of another test"]
async fn child_writes_until_killed() {
    let Some(folder) = child_folder() else { return };
    let store = open(&folder);
    let writers: Vec<_> = (1..=CHANNELS).map(|channel| tokio::spawn(write(store.clone(), channel))).collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

async fn write(store: Store, channel: u64) {
    let last = store.last_message_id(ChannelId::new(channel)).await.unwrap();
    let mut number = last.map_or(0, number_of);
    let mut under_way: VecDeque<(u64, Commit)> = VecDeque::new();
    loop {
        while under_way.len() < PIPELINE {
            match store.submit(batch(channel, number + 1)) {
                Ok(commit) => {
                    number += 1;
                    under_way.push_back((number, commit));
                }
                Err(StoreError::Busy) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let Some((number, commit)) = under_way.pop_front() else { continue };
        commit.await.unwrap();
        println!("ack {channel} {number}");
    }
}

#[test]
fn a_store_killed_while_it_is_made_can_be_made_again() {
    let mut dice = Dice(11);
    for round in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let (mut maker, mut lines) = child("kill::child_makes_a_store", folder.path());
        while line(&mut lines).is_some_and(|line| line != "begin") {}
        // The moment itself is what is tested: a time, not a condition.
        let moment = Instant::now() + Duration::from_micros(dice.below(60_000));
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        maker.kill().unwrap();
        maker.wait().unwrap();
        let store = open(folder.path());
        assert!(store.health().writable, "round {round}");
    }
}

/// Not a test of its own: makes a store.
#[test]
#[ignore = "runs as the child of another test"]
fn child_makes_a_store() {
    let Some(folder) = child_folder() else { return };
    println!("begin");
    let _store = open(&folder);
    println!("made");
    loop {
        std::thread::park();
    }
}
