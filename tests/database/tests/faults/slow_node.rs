//! A node that keeps its connections and answers nothing.

use std::time::{Duration, Instant};

use rookery_core_db::Durability;
use rookery_test_database::{Home, Kind, Load, Plan, differences, digest_of, say};

use crate::stage;

/// Batches acknowledged while the node is halted.
const EACH: u64 = 1_000;
/// Less than one in so many writes may wait for the node. Asked in turn, three nodes would have one in three wait.
const WAITING_MAX_PART: usize = 10;

#[test]
fn reads_and_writes_go_on_while_a_node_is_halted() {
    let Some(stage) = stage("slow_node", 1, 3) else { return };
    let homes = [Home { name: "dc1", store: stage.open("dc1", Durability::Regional) }];
    let load = Load::start(&stage, &homes, Plan::new(4));
    let ledger = load.ledger().clone();
    stage.block_on(ledger.wait_for_more(&[0], EACH));

    stage.cluster().freeze("dc1-2").unwrap();
    let halted = Instant::now();
    stage.block_on(ledger.wait_for_more(&[0], EACH));
    // While it is halted still: nothing may wait for the node.
    let verdict = load.end(&stage);
    let ended = Instant::now();
    stage.cluster().thaw("dc1-2").unwrap();
    for kind in [Kind::Write, Kind::Read, Kind::Claim] {
        let (count, slowest) = ledger.slowest(kind, halted, ended);
        say(&format!(
            "slow node: {count} of {kind:?} in {} s, the slowest took {} ms",
            (ended - halted).as_secs(),
            slowest.as_millis()
        ));
    }
    // Those that were with the node when it was halted, and no third of all that follow.
    let (writes, _) = ledger.slowest(Kind::Write, halted, ended);
    let deadline = Duration::from_millis(stage.config("dc1", Durability::Regional).write_attempt_timeout_ms);
    let waited = ledger.slower_than(Kind::Write, halted, ended, deadline);
    say(&format!(
        "slow node: {waited} of {writes} writes waited for an attempt's deadline of {} ms",
        deadline.as_millis()
    ));
    assert!(waited * WAITING_MAX_PART < writes, "{waited} of {writes} writes waited for the node that was halted");
    let troubles = ledger.troubles();
    assert!(troubles.is_empty(), "{} troubles: {troubles:#?}", troubles.len());

    let store = stage.observe("dc1", Durability::Regional);
    stage.block_on(verdict.read_all(&store));
    say(&format!("slow node: {:?}", verdict.must_be_right()));
    let expected = stage.block_on(verdict.expected(stage.folder()));
    assert_eq!(differences(&expected, &stage.block_on(digest_of(&store))), Vec::<String>::new());
}
