//! Mistakes that are made on purpose are found.

use std::sync::Arc;

use rookery_core_db::faults::{FaultEngine, FaultPlan};
use rookery_core_db::{Durability, EmbeddedConfig, Store};
use rookery_test_database::{Home, Load, Plan, Stage, Verdict, differences, digest_of, say};
use rookery_test_history::ViolationKind::{self, LostWrite, ResurrectedDelete, StaleAfterOwnWrite, StaleRead};

use crate::stage;

/// Batches that are acknowledged, whether rightly or not.
const BATCHES: u64 = 1_500;
/// What a page shows that lacks a write.
const OF_A_MISSING_WRITE: [ViolationKind; 4] = [LostWrite, ResurrectedDelete, StaleAfterOwnWrite, StaleRead];

/// Load on a store with faults in front of it, and what came of it.
fn load(stage: &Stage, store: &Store, faults: &Arc<FaultEngine>) -> Verdict {
    let homes = [Home { name: "dc1", store: Store::new(faults.clone()) }];
    let load = Load::start(stage, &homes, Plan::new(5));
    let ledger = load.ledger().clone();
    stage.block_on(ledger.wait_for_more(&[0], BATCHES));
    let verdict = load.end(stage);
    stage.block_on(verdict.read_all(store));
    assert!(faults.injected() > 0, "no fault was injected");
    verdict
}

/// How many violations of a kind that tells of a missing write the history checker found.
fn missing_writes(verdict: &Verdict) -> usize {
    let Err(report) = verdict.history() else { return 0 };
    report.violations.iter().filter(|violation| OF_A_MISSING_WRITE.contains(&violation.kind)).count()
}

#[test]
fn a_store_that_acknowledges_what_it_did_not_write_is_found() {
    let Some(stage) = stage("forgetful", 1, 1) else { return };
    let store = stage.open("dc1", Durability::Regional);
    let plan = FaultPlan { seed: 5, forgotten: 10, ..FaultPlan::default() };
    let faults = Arc::new(FaultEngine::new(store.engine(), plan));
    let verdict = load(&stage, &store, &faults);

    let found = missing_writes(&verdict);
    assert!(found > 0, "{} writes were forgotten and the history checker found none", faults.injected());
    let expected = stage.block_on(verdict.expected(stage.folder()));
    let differences = differences(&expected, &stage.block_on(digest_of(&store)));
    let in_messages = differences.iter().any(|difference| difference.starts_with("messages:"));
    assert!(in_messages, "{} writes were forgotten, and the digests say {differences:?}", faults.injected());
    say(&format!(
        "planted: {} forgotten writes made {found} violations; digests differ in {}",
        faults.injected(),
        differences.join("; ")
    ));
}

#[test]
fn a_store_that_serves_stale_reads_is_found() {
    let Some(stage) = stage("stale", 1, 1) else { return };
    let store = stage.open("dc1", Durability::Regional);
    let folder = tempfile::tempdir_in(stage.folder()).unwrap();
    // Engines live where tasks can be spawned.
    let replica = stage.block_on(async { Store::open_embedded(EmbeddedConfig::new(folder.path())).unwrap() });
    let plan = FaultPlan { seed: 6, stale: 20, lag: 20, ..FaultPlan::default() };
    let faults = Arc::new(FaultEngine::with_replica(store.engine(), replica.engine(), plan));
    let verdict = load(&stage, &store, &faults);
    stage.block_on(replica.close()).unwrap();

    let found = missing_writes(&verdict);
    assert!(found > 0, "{} reads were stale and the history checker found none", faults.injected());
    // What was read wrongly is stored rightly.
    let expected = stage.block_on(verdict.expected(stage.folder()));
    assert_eq!(differences(&expected, &stage.block_on(digest_of(&store))), Vec::<String>::new());
    say(&format!("planted: {} stale reads made {found} violations", faults.injected()));
}
