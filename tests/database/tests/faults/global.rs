//! `global` durability: a data centre is killed, writing goes on, and nothing is missing anywhere.

use std::time::Instant;

use rookery_core_db::Durability;
use rookery_test_database::{Home, Kind, Load, Plan, differences, digest_of, say};

use crate::stage;

const DCS: [&str; 3] = ["dc1", "dc2", "dc3"];
/// Batches that each home has acknowledged before and after the data centre is killed.
const EACH: u64 = 400;

#[test]
fn no_acknowledged_write_is_missing_when_a_data_centre_is_killed() {
    let Some(stage) = stage("global", 3, 1) else { return };
    let homes = DCS.map(|name| Home { name, store: stage.open(name, Durability::Global) });
    let plan = Plan { writers: 4, readers: 2, ..Plan::new(1) };
    let mut load = Load::start(&stage, &homes, plan);
    let observer = stage.observe("dc2", Durability::Global);
    load.observe(&stage, 1, &observer, plan);
    let ledger = load.ledger().clone();
    stage.block_on(ledger.wait_for_more(&[0, 1, 2], EACH));

    let killed = Instant::now();
    stage.kill_dc("dc1");
    // The region whose data centre died goes on as well: its store asks the others.
    stage.block_on(ledger.wait_for_more(&[0, 1, 2], EACH));
    let after = Instant::now();
    for (number, home) in homes.iter().enumerate() {
        let gap = ledger.longest_pause(number, killed, after);
        say(&format!(
            "global: the longest gap between acknowledgements at {} is {} ms after the kill",
            home.name,
            gap.as_millis()
        ));
    }
    let verdict = load.end(&stage);
    // The survivors have everything between them.
    stage.block_on(verdict.read_all(&observer));
    let summary = verdict.must_be_right();
    let troubles = verdict.ledger().troubles();
    say(&format!("global: {summary:?}; {} operations were not answered at first", troubles.len()));
    for kind in [Kind::Write, Kind::Read, Kind::Claim] {
        let (count, slowest) = verdict.ledger().slowest(kind, killed, after);
        say(&format!(
            "global: {count} of {kind:?} answered while dc1 was dead, the slowest took {} ms",
            slowest.as_millis()
        ));
    }

    stage.cluster().start("dc1-1").unwrap();
    stage.repair();
    let expected = stage.block_on(verdict.expected(stage.folder()));
    for dc in DCS {
        let own = stage.observe(dc, Durability::Regional);
        stage.block_on(verdict.read_all(&own));
        let found = stage.block_on(digest_of(&own));
        assert_eq!(differences(&expected, &found), Vec::<String>::new(), "in {dc}");
    }
    verdict.must_be_right();
}
