//! A room of hundreds.

use crate::common::*;
use std::collections::HashSet;
use tokio::task::JoinSet;

const LISTENERS: u64 = 300;
const PACKETS: u64 = 25;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_hears_one_speaker_without_loss() {
    let world = std::sync::Arc::new(World::new());
    let mut speaker = world.join(5, 1, 8, AES).await;
    let mut joining = JoinSet::new();
    for user in 2..LISTENERS + 2 {
        let world = std::sync::Arc::clone(&world);
        let (version, mode) = if user % 2 == 0 { (8, AES) } else { (4, XCHACHA) };
        joining.spawn(async move { world.join(5, user, version, mode).await });
    }
    let mut listeners = joining.join_all().await;
    assert_eq!(world.node.load().await.members, LISTENERS + 1);
    for n in 0..PACKETS {
        speaker.say(format!("packet {n}").as_bytes()).await;
        for listener in &mut listeners {
            let heard = listener.hear().await;
            assert_eq!(heard.of(), (speaker.ssrc, format!("packet {n}").as_bytes()));
        }
    }
    let load = world.node.load().await;
    assert_eq!((load.packets_in, load.packets_out, load.packets_unsent), (PACKETS, PACKETS * LISTENERS, 0));
    // Each was told whose voice it is, and of some who are there, but never of everybody by everybody.
    let mut told = 0;
    for listener in &mut listeners {
        let version = if listener.user % 2 == 0 { 8 } else { 4 };
        let mut seen = listener.wire.collect_until(|value| value["op"] == 5).await;
        assert_eq!(seen.last().unwrap()["d"]["user_id"], "1");
        seen.extend(listener.wire.settled(version).await);
        let messages = seen.iter().filter(|value| value["op"] == 11);
        let users: Vec<_> = messages.flat_map(|value| value["d"]["user_ids"].as_array().unwrap().clone()).collect();
        assert!(!users.contains(&listener.user.to_string().into()), "nobody is told of itself");
        let distinct: HashSet<_> = users.iter().map(|user| user.to_string()).collect();
        assert_eq!(distinct.len(), users.len(), "nobody twice");
        told = told.max(users.len());
    }
    assert!((100..=200).contains(&told), "{told}");
}
