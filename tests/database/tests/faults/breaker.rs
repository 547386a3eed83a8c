//! All nodes are killed at once, and come back.

use std::time::{Duration, Instant};

use rookery_core_db::{Durability, Store, StoreError};
use rookery_test_database::{Home, Load, Plan, differences, digest_of, say};

use crate::stage;

/// Batches acknowledged before and after.
const EACH: u64 = 400;
/// Writes that must be refused while the circuit is open.
const REFUSALS: u32 = 200;
/// The longest that a refusal may take: a small part of the shortest deadline of a call.
const REFUSAL_MAX: Duration = Duration::from_millis(250);
/// How long the circuit may take to open, or nodes to start and the circuit to close.
const TURN_MAX: Duration = Duration::from_secs(600);
/// How often its state is looked at.
const PACE: Duration = Duration::from_millis(2);

/// Waits until the store takes writes, or does not; how long that took.
async fn turn(store: Store, writable: bool) -> Duration {
    let begin = Instant::now();
    while store.health().writable != writable {
        assert!(begin.elapsed() < TURN_MAX, "still {:?} after {} s", store.health(), TURN_MAX.as_secs());
        tokio::time::sleep(PACE).await;
    }
    begin.elapsed()
}

/// The longest that a refusal took.
async fn refusals(store: &Store) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..REFUSALS {
        let begin = Instant::now();
        let refused = store.write(vec![rookery_core_db::Write::DeleteImport]).await;
        longest = longest.max(begin.elapsed());
        assert!(matches!(refused, Err(StoreError::Unwritable(_))), "not refused: {refused:?}");
        tokio::time::sleep(PACE).await;
    }
    longest
}

#[test]
fn a_dead_cluster_is_refused_fast_and_taken_again_when_it_is_back() {
    let Some(stage) = stage("breaker", 1, 3) else { return };
    let store = stage.open("dc1", Durability::Regional);
    let load = Load::start(&stage, &[Home { name: "dc1", store: store.clone() }], Plan::new(7));
    let ledger = load.ledger().clone();
    stage.block_on(ledger.wait_for_more(&[0], EACH));
    assert!(store.health().writable, "{:?}", store.health());

    let opening = stage.spawn(turn(store.clone(), false));
    stage.kill_dc("dc1");
    let opened = stage.block_on(opening).unwrap();
    let health = store.health();
    assert!(health.reason.starts_with("the database does not answer: "), "{health:?}");
    let longest = stage.block_on(refusals(&store));
    assert!(longest < REFUSAL_MAX, "a refusal took {} ms", longest.as_millis());

    let (closing, begin) = (stage.spawn(turn(store.clone(), true)), Instant::now());
    stage.cluster().up().unwrap();
    let whole = begin.elapsed();
    let closed = stage.block_on(closing).unwrap();
    stage.block_on(ledger.wait_for_more(&[0], EACH));
    let verdict = load.end(&stage);
    stage.block_on(verdict.read_all(&store));
    let summary = verdict.must_be_right();
    let expected = stage.block_on(verdict.expected(stage.folder()));
    assert_eq!(differences(&expected, &stage.block_on(digest_of(&store))), Vec::<String>::new());
    say(&format!(
        "breaker: open {} ms after the first node was killed ({}); the slowest of {REFUSALS} refusals took {} us; the nodes \
         took {} ms to start and see each other, the circuit closed after {} ms; {summary:?}",
        opened.as_millis(),
        health.reason,
        longest.as_micros(),
        whole.as_millis(),
        closed.as_millis(),
    ));
}
