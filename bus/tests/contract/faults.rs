//! The faults of the local network, which tests of others rely on.

use bytes::Bytes;
use rookery_bus::{Bus, Faults, LocalNetwork, Received};

use crate::stage::{next_message, subject};

/// What of a thousand numbers arrives, as it arrives.
async fn arrivals(faults: Faults) -> Vec<u32> {
    let network = LocalNetwork::new();
    let (a, b) = (Bus::local(&network, "a"), Bus::local(&network, "b"));
    let mut subscription = b.subscribe(&subject("b")).await.unwrap();
    network.set_faults(faults);
    for number in 0..1_000_u32 {
        a.publish(&subject("b"), Bytes::copy_from_slice(&number.to_be_bytes())).unwrap();
    }
    let mut got = Vec::new();
    while let Some(received) = subscription.try_recv() {
        let Received::Message(payload) = received else { panic!("{received:?}") };
        got.push(u32::from_be_bytes(payload[..].try_into().unwrap()));
    }
    got
}

#[tokio::test]
async fn messages_are_dropped_repeated_and_reordered_by_seed() {
    let all: Vec<u32> = (0..1_000).collect();
    assert_eq!(arrivals(Faults::default()).await, all);

    let dropped = arrivals(Faults { seed: 1, drop_permille: 300, ..Faults::default() }).await;
    assert!((600..800).contains(&dropped.len()), "{}", dropped.len());
    assert!(dropped.is_sorted());

    let repeated = arrivals(Faults { seed: 1, repeat_permille: 300, ..Faults::default() }).await;
    assert!((1_200..1_400).contains(&repeated.len()), "{}", repeated.len());

    let faults = Faults { seed: 1, reorder_permille: 300, ..Faults::default() };
    let mut reordered = arrivals(faults).await;
    assert!(!reordered.is_sorted());
    assert_eq!(reordered, arrivals(faults).await, "the same seed does the same");
    assert_ne!(reordered, arrivals(Faults { seed: 2, ..faults }).await);
    reordered.sort_unstable();
    assert!(reordered.len() >= 999 && reordered.windows(2).all(|pair| pair[0] < pair[1]), "none is lost but the last");
}

#[tokio::test]
async fn messages_are_late_and_overtaken() {
    let network = LocalNetwork::new();
    let bus = Bus::local(&network, "a");
    let mut subscription = bus.subscribe(&subject("a")).await.unwrap();
    network.set_faults(Faults { seed: 3, delay_permille: 1_000, delay_max_ms: 60, ..Faults::default() });
    for number in 0..100_u8 {
        bus.publish(&subject("a"), Bytes::copy_from_slice(&[number])).unwrap();
    }
    assert_eq!(subscription.try_recv(), None);
    let mut got = Vec::new();
    for _ in 0..100 {
        got.push(next_message(&mut subscription).await[0]);
    }
    assert!(!got.is_sorted());
    got.sort_unstable();
    assert_eq!(got, (0..100).collect::<Vec<u8>>());
}
