//! Taking over the shards of a lost region, and giving them back.

use rookery_placement::{TAKE_OVER_MAX_MS, rendezvous};

use crate::lab::{Lab, SHARDS, config, region, shard};

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
