//! One data centre of three nodes: node after node is killed, and nothing is lost.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rookery_core_db::Durability;
use rookery_test_database::{Home, Load, Plan, differences, digest_of, say};

use crate::stage;

/// How many rounds, where somebody says so.
const ROUNDS_VARIABLE: &str = "ROOKERY_FAULT_ROUNDS";
/// How many otherwise; each takes most of a minute on two cores.
const ROUNDS: u64 = 3;
/// Which nodes die, where somebody says so.
const SEED_VARIABLE: &str = "ROOKERY_FAULT_SEED";
/// Batches acknowledged while a node is dead.
const EACH: u64 = 20;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

#[test]
fn nothing_is_lost_while_one_node_after_the_other_is_killed() {
    let rounds = number(ROUNDS_VARIABLE).unwrap_or(ROUNDS);
    let Some(stage) = stage("rounds", 1, 3) else { return };
    let seed = number(SEED_VARIABLE).unwrap_or_else(rand::random);
    say(&format!("rounds: {SEED_VARIABLE}={seed}"));
    let homes = [Home { name: "dc1", store: stage.open("dc1", Durability::Regional) }];
    let load = Load::start(&stage, &homes, Plan::new(seed));
    let ledger = load.ledger().clone();
    stage.block_on(ledger.wait_for_more(&[0], EACH));

    let mut dice = StdRng::seed_from_u64(seed);
    let nodes = stage.cluster().topology().nodes();
    let begin = Instant::now();
    let mut killed = 0;
    while killed < rounds {
        let name = &nodes[dice.random_range(0..nodes.len())].name;
        stage.cluster().kill(name).unwrap();
        stage.block_on(ledger.wait_for_more(&[0], EACH));
        stage.cluster().start(name).unwrap();
        killed += 1;
    }
    let (end, troubles) = (Instant::now(), ledger.troubles().len());
    let verdict = load.end(&stage);
    let store = stage.observe("dc1", Durability::Regional);
    stage.block_on(verdict.read_all(&store));
    let summary = verdict.must_be_right();
    let expected = stage.block_on(verdict.expected(stage.folder()));
    let found = stage.block_on(digest_of(&store));
    assert_eq!(differences(&expected, &found), Vec::<String>::new());
    say(&format!(
        "rounds: {killed} rounds in {} s, longest gap between acknowledgements {} ms, {troubles} operations not answered at \
         first; {summary:?}; none lost",
        (end - begin).as_secs(),
        ledger.longest_pause(0, begin, end).as_millis(),
    ));
}
