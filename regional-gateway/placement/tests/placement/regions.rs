//! Taking over the shards of a lost region, and giving them back.

use rookery_placement::{StoreCall, TAKE_OVER_MAX_MS, rendezvous};

use crate::lab::{Lab, Manner, SHARDS, config, region, shard};

fn two_regions() -> Lab {
    let mut lab = Lab::new();
    for (name, worker_id) in [("eu", 1), ("eu", 2), ("us", 3), ("us", 4)] {
        lab.start(name, worker_id);
    }
    lab.run_for(3_000);
    lab.assert_all_owned("eu");
    lab.assert_all_owned("us");
    lab
}

fn take_over(lab: &mut Lab) {
    for index in [2, 3] {
        lab.with(index, |core, now| core.handle_take_over(now, &region("eu")));
    }
}

#[test]
fn a_region_that_is_there_loses_nothing_to_a_take_over() {
    let mut lab = two_regions();
    take_over(&mut lab);
    lab.run_for(30_000);
    assert_eq!(lab.owned(2, "eu").len() + lab.owned(3, "eu").len(), 0);
    lab.assert_all_owned("eu");
}

#[test]
fn without_the_command_nobody_takes_a_lost_regions_shards() {
    let mut lab = two_regions();
    (lab.nodes[0].is_dead, lab.nodes[1].is_dead) = (true, true);
    lab.run_for(60_000);
    assert_eq!((0..4).map(|index| lab.owned(index, "eu").len()).sum::<usize>(), 0);
    lab.assert_all_owned("us");
}

#[test]
fn a_lost_regions_shards_are_taken_in_its_own_rows_and_go_home_when_it_returns() {
    let mut lab = two_regions();
    let before: Vec<_> = (0..SHARDS).map(|number| lab.row("eu", number).clone()).collect();
    (lab.nodes[0].is_dead, lab.nodes[1].is_dead) = (true, true);
    lab.run_for(5_000);
    take_over(&mut lab);
    lab.run_for(TAKE_OVER_MAX_MS);
    lab.assert_all_owned("eu");
    lab.assert_all_owned("us");
    for before in &before {
        let row = lab.row("eu", before.virtual_shard);
        assert!(row.epoch > before.epoch && row.id_ceiling_ms > before.id_ceiling_ms);
        let should = rendezvous::owner_of(shard(row.virtual_shard), &[3, 4]).unwrap();
        assert_eq!(row.node_id, lab.node(usize::from(should) - 1).get());
    }
    // Everybody knows the way, also who looks from elsewhere.
    let owner = lab.nodes[2].core.route(&region("eu"), shard(0));
    assert!(owner.is_some() && owner == lab.nodes[3].core.route(&region("eu"), shard(0)));

    lab.start("eu", 1);
    lab.run_for(3_000);
    assert_eq!(lab.owned(4, "eu").len(), usize::from(SHARDS), "a node of its own is back");
    lab.assert_all_owned("eu");
    lab.assert_all_owned("us");
}

#[test]
fn a_take_over_is_ended_by_command() {
    let mut lab = two_regions();
    (lab.nodes[0].is_dead, lab.nodes[1].is_dead) = (true, true);
    take_over(&mut lab);
    lab.run_for(TAKE_OVER_MAX_MS);
    lab.assert_all_owned("eu");
    for index in [2, 3] {
        lab.with(index, |core, now| core.handle_give_back(now, &region("eu")));
    }
    lab.run_for(3_000);
    assert_eq!(lab.owned(2, "eu").len() + lab.owned(3, "eu").len(), 0);
    assert!((0..SHARDS).all(|number| lab.row("eu", number).node_id == 0));
    lab.assert_all_owned("us");
    // Home is never given back.
    lab.with(2, |core, now| core.handle_give_back(now, &region("us")));
    lab.run_for(3_000);
    lab.assert_all_owned("us");
}

#[test]
fn a_process_that_starts_anew_goes_on_with_a_take_over() {
    let mut lab = two_regions();
    (lab.nodes[0].is_dead, lab.nodes[1].is_dead) = (true, true);
    take_over(&mut lab);
    lab.run_for(TAKE_OVER_MAX_MS);
    for index in [2, 3] {
        lab.with(index, |core, now| core.handle_drain(now));
    }
    lab.run_for(3_000);
    (lab.nodes[2].is_dead, lab.nodes[3].is_dead) = (true, true);
    let mut config = config("us", 4);
    config.taken_over = vec![region("eu")];
    lab.start_with(config, 0);
    lab.run_for(3_000);
    lab.assert_all_owned("eu");
    lab.assert_all_owned("us");
}

/// The row of a shard may come to name a node when that has just ended its take-over: nobody else can give it away.
#[test]
fn a_shard_that_was_given_to_who_had_given_its_region_up_is_given_home() {
    let mut lab = two_regions();
    take_over(&mut lab);
    for index in [2, 3] {
        lab.with(index, |core, now| core.handle_give_back(now, &region("eu")));
    }
    let number = *lab.owned(1, "eu").first().unwrap();
    let mut row = lab.row("eu", number).clone();
    lab.nodes[1].manner = Manner::Silent;
    lab.run_for(8_500);
    (row.epoch, row.node_id) = (row.epoch + 1, lab.node(2).get());
    lab.shards.insert(("eu".into(), number), row);
    lab.nodes[1].manner = Manner::Answers;
    lab.run_for(6_000);
    lab.assert_all_owned("eu");
    assert!(lab.owned(1, "eu").contains(&number));
    assert!(lab.nodes[2].core.owned(&region("eu")).next().is_none());
    lab.nodes[2].calls.clear();
    lab.run_for(20_000);
    let is_of_eu = |call: &StoreCall| matches!(call, StoreCall::VirtualShardLeases(name) if *name == region("eu"));
    assert!(!lab.nodes[2].calls.iter().any(is_of_eu), "and then it has nothing to do with that region again");
}

/// One wait must do where a node that was never heard died before the one that should have had its shards.
#[test]
fn owners_who_were_dead_at_the_take_over_are_looked_for_when_it_begins() {
    let mut lab = Lab::new();
    lab.start("eu", 1);
    lab.start("eu", 2);
    lab.run_for(3_000);
    let number = *lab.owned(0, "eu").first().unwrap();
    let before = lab.row("eu", number).clone();
    lab.nodes[0].is_dead = true;
    lab.start("us", 3);
    lab.run_for(1_000);
    lab.with(2, |core, now| core.handle_take_over(now, &region("eu")));
    lab.run_for(8_000);
    lab.nodes[1].is_dead = true;
    assert_eq!(lab.row("eu", number), &before);
    lab.run_for(TAKE_OVER_MAX_MS);
    lab.assert_all_owned("eu");
}
