//! `regional` durability in the last data centre that lives: names cannot be decided, messages go on.

use rookery_core_db::{Durability, Store, StoreError, UniqueKey};
use rookery_test_database::{Home, Kind, Load, Plan, say};

use crate::stage;

/// Batches acknowledged before and after the others are killed.
const EACH: u64 = 300;
/// Claims that fail; each makes more attempts than open a circuit.
const CLAIMS: u64 = 3;

#[test]
fn messages_go_on_where_no_majority_can_decide_on_names() {
    let Some(stage) = stage("alone", 3, 1) else { return };
    let mut config = stage.config("dc1", Durability::Regional);
    // A claim that cannot succeed is tried for so long.
    config.write_timeout_ms = 5_000;
    let store = stage.block_on(Store::open_cql(config)).unwrap();
    let plan = Plan { claimers: 0, ..Plan::new(8) };
    let load = Load::start(&stage, &[Home { name: "dc1", store: store.clone() }], plan);
    let ledger = load.ledger().clone();
    stage.block_on(ledger.wait_for_more(&[0], EACH));

    stage.kill_dc("dc2");
    stage.kill_dc("dc3");
    for number in 0..CLAIMS {
        let claim = stage.block_on(store.claim(UniqueKey::Username(format!("alone-{number}")), 1));
        assert!(matches!(claim, Err(StoreError::Unknown(_) | StoreError::Unwritable(_))), "{claim:?}");
    }
    stage.block_on(ledger.wait_for_more(&[0], EACH));
    assert!(store.health().writable, "{:?}", store.health());
    let verdict = load.end(&stage);
    let troubles = ledger.troubles();
    assert!(troubles.iter().all(|trouble| trouble.kind == Kind::Claim), "{troubles:#?}");
    stage.block_on(verdict.read_all(&store));
    say(&format!("alone: {:?}; {CLAIMS} claims were not decided", verdict.must_be_right()));
}
