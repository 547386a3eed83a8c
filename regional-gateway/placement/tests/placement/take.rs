//! How shards are taken.

use rookery_model::lease::LeaseSwap;
use rookery_placement::{
    Event, HAND_OVER_MAX_MS, Heartbeat, Marks, Message, NodeId, StoreAnswer, StoreCall, TAKE_OVER_MAX_MS, To,
};

use crate::lab::{Lab, Manner, SHARDS, config, region, shard};

fn is_shard_swap(call: &StoreCall) -> bool {
    matches!(call, StoreCall::Swap(LeaseSwap::VirtualShard { .. }))
}

#[test]
fn the_first_owner_begins_above_what_was_stored_before_there_were_rows() {
    let mut lab = Lab::new();
    let mut config = config("eu", 1);
    config.first_floors = Marks { id_ms: 1_650_000_000_000, write_timestamp_us: 1_650_000_000_000_000 };
    lab.start_with(config, 0);
    lab.run_for(100);
    let activated = lab.take_events(0).into_iter().filter(|event| {
        matches!(
            event,
            Event::Activate {
                epoch: 1,
                id_floor_ms: 1_650_000_000_000,
                write_timestamp_floor_us: 1_650_000_000_000_000,
                ..
            }
        )
    });
    assert_eq!(activated.count(), usize::from(SHARDS));
}

#[test]
fn a_dead_nodes_shards_are_taken_when_its_lease_and_writes_are_over_and_not_before() {
    let mut lab = Lab::settled(2);
    let lost = lab.owned(0, "eu");
    assert!(!lost.is_empty() && lost.len() < usize::from(SHARDS), "{lost:?}");
    let ceilings = lab.workers[&1].clone();
    lab.nodes[0].is_dead = true;
    // Its last renewal was asked for two seconds ago at most.
    lab.run_for(10_750 - 2_000 - 600);
    assert_eq!(lab.workers[&1], ceilings);
    lab.run_for(TAKE_OVER_MAX_MS - 10_750 + 2_600);
    lab.assert_all_owned("eu");
    for number in lost {
        let row = lab.row("eu", number);
        assert_eq!((row.node_id, row.epoch), (lab.node(1).get(), 2 + u64::from(row.epoch > 2)));
        assert!(row.id_ceiling_ms >= ceilings.id_ceiling_ms, "ids of the dead may lie that high");
        assert!(row.write_timestamp_ceiling_us >= ceilings.write_timestamp_ceiling_us);
    }
}

#[test]
fn a_node_that_only_the_bus_lost_keeps_its_shards() {
    let mut lab = Lab::settled(2);
    let kept = lab.owned(0, "eu");
    lab.nodes[0].is_cut_off = true;
    lab.run_for(60_000);
    assert_eq!(lab.owned(0, "eu"), kept);
    lab.assert_all_owned("eu");
    assert_eq!(lab.workers[&1].epoch, 1);
}

#[test]
fn a_lease_that_was_renewed_after_all_is_not_ended() {
    let mut lab = Lab::settled(2);
    // The node is not heard, and looks for it get no answer: what is known of its lease grows old.
    lab.nodes[0].is_cut_off = true;
    lab.run_for(2_500);
    lab.nodes[1].manner = Manner::Keeps;
    lab.run_for(1_900);
    lab.nodes[1].manner = Manner::Answers;
    lab.run_for(20_000);
    assert_eq!((lab.workers[&1].epoch, lab.workers[&1].expires_at.0 > 0), (1, true));
    lab.assert_all_owned("eu");
}

/// Compare-and-sets of one row at the same moment hold each other up.
#[test]
fn one_of_those_who_are_left_ends_a_dead_nodes_lease_and_the_others_hear_of_it() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum First {
        Well,
        Dead,
        /// Heard, and without a store that answers.
        Helpless,
    }
    for first in [First::Well, First::Dead, First::Helpless] {
        let mut lab = Lab::settled(4);
        lab.nodes[0].is_dead = true;
        lab.run_for(6_000);
        match first {
            First::Well => {}
            First::Dead => lab.nodes[1].is_dead = true,
            First::Helpless => lab.nodes[1].manner = Manner::Silent,
        }
        let ends = |lab: &Lab, node: usize| {
            let is_end = |call: &&StoreCall| {
                matches!(call, StoreCall::Swap(LeaseSwap::Worker { after, .. })
                    if after.worker_id == 1 && after.expires_at.0 == 0)
            };
            lab.nodes[node].calls.iter().filter(is_end).count()
        };
        while lab.workers[&1].expires_at.0 != 0 {
            assert!(lab.time_ms < 30_000, "nobody ends it: {first:?}");
            lab.run_for(10);
        }
        // Those who are told take their part at once.
        lab.run_for(100);
        let by = if first == First::Well { 1 } else { 2 };
        for node in 1..4 {
            let may_try = node == 1 && first == First::Helpless;
            assert!(may_try || ends(&lab, node) == usize::from(node == by), "{first:?}: {node}");
        }
        let held = |node: usize| lab.nodes[node].core.node().map(NodeId::get);
        let well: Vec<u64> = (by..4).filter_map(held).collect();
        let of_others = lab.shards.values().filter(|row| row.node_id != 0 && !well.contains(&row.node_id)).count();
        assert_eq!(of_others > 0, first != First::Well, "{first:?}: only those of the one that is not over yet");
    }
}

#[test]
fn floors_ahead_of_the_clock_raise_the_ceilings_before_the_shard_is_owned() {
    let mut lab = Lab::new();
    lab.start_with(config("eu", 1), 300_000_000);
    lab.run_for(1_000);
    lab.nodes[0].is_dead = true;
    let ahead = lab.workers[&1].clone();
    lab.start("eu", 2);
    lab.run_for(14_000);
    lab.assert_all_owned("eu");
    let ceilings = lab.nodes[1].core.ceilings().unwrap();
    assert!(ceilings.id_ms >= ahead.id_ceiling_ms + 1_000, "{ceilings:?} above {ahead:?}");
    assert!(lab.workers[&2].id_ceiling_ms >= ahead.id_ceiling_ms + 1_000, "and it stands in the store");
    let floor_ms = lab.nodes[1].events.iter().find_map(|event| match event {
        Event::Activate { id_floor_ms, .. } => Some(*id_floor_ms),
        _ => None,
    });
    assert_eq!(floor_ms, Some(ahead.id_ceiling_ms));
}

#[test]
fn a_compare_and_set_without_an_answer_is_read_and_not_assumed() {
    let mut lab = Lab::new();
    lab.start("eu", 1);
    lab.nodes[0].manner = Manner::Keeps;
    // Up to where the shards are taken, every request is answered.
    while !lab.nodes[0].kept.iter().any(|request| is_shard_swap(&request.call)) {
        lab.run_for(10);
        for request in std::mem::take(&mut lab.nodes[0].kept) {
            if is_shard_swap(&request.call) {
                lab.nodes[0].kept.push(request);
            } else {
                let answer = lab.carry_out(&request.call);
                lab.answer(0, request.op, answer);
            }
        }
        lab.settle();
    }
    let swaps = std::mem::take(&mut lab.nodes[0].kept);
    assert_eq!(swaps.len(), usize::from(SHARDS));
    lab.take_events(0);
    // Half of them are applied, and of none it is said.
    for (number, request) in swaps.into_iter().enumerate() {
        if number % 2 == 0 {
            lab.carry_out(&request.call);
        }
        lab.answer(0, request.op, StoreAnswer::Unknown);
    }
    assert!(lab.take_events(0).is_empty() && lab.owned(0, "eu").is_empty());
    lab.nodes[0].calls.clear();
    lab.nodes[0].manner = Manner::Answers;
    lab.run_for(1_000);
    let calls = &lab.nodes[0].calls;
    let reads = calls.iter().filter(|call| matches!(call, StoreCall::VirtualShardLease(..))).count();
    let swaps = calls.iter().filter(|call| is_shard_swap(call)).count();
    assert_eq!((reads, swaps), (usize::from(SHARDS), usize::from(SHARDS) / 2));
    lab.assert_all_owned("eu");
    assert!((0..SHARDS).all(|number| lab.row("eu", number).epoch == 1));
}

#[test]
fn no_more_is_asked_of_the_store_at_a_time_than_allowed() {
    let mut lab = Lab::new();
    let mut config = config("eu", 1);
    config.limits.takes_at_once = 3;
    lab.start_with(config, 0);
    lab.settle();
    assert_eq!(lab.owned(0, "eu").len(), usize::from(SHARDS), "one after the other all are taken");
    lab.nodes[0].is_dead = true;
    let mut config = crate::lab::config("eu", 2);
    config.limits.takes_at_once = 3;
    lab.start_with(config, 0);
    lab.run_for(10_000);
    lab.nodes[1].manner = Manner::Keeps;
    let mut most = 0;
    for _ in 0..400 {
        lab.run_for(10);
        let kept = std::mem::take(&mut lab.nodes[1].kept);
        most = most.max(kept.iter().filter(|request| is_shard_swap(&request.call)).count());
        for request in kept {
            let answer = lab.carry_out(&request.call);
            lab.answer(1, request.op, answer);
        }
    }
    lab.nodes[1].manner = Manner::Answers;
    lab.run_for(100);
    lab.assert_all_owned("eu");
    assert_eq!(most, 3);
}

#[test]
fn a_node_that_joins_gets_its_share_and_no_shard_is_without_an_owner_for_long() {
    let mut lab = Lab::settled(2);
    lab.start("eu", 3);
    let mut without = [0; SHARDS as usize];
    for _ in 0..300 {
        lab.run_for(10);
        let owned: Vec<u16> = (0..3).flat_map(|index| lab.owned(index, "eu")).collect();
        for (number, ms) in (0_u16..).zip(&mut without) {
            *ms += if owned.contains(&number) { 0 } else { 10 };
        }
    }
    lab.assert_all_owned("eu");
    assert!(without.iter().all(|ms| *ms <= HAND_OVER_MAX_MS), "{without:?}");
    let should = (0..SHARDS)
        .filter(|number| rookery_placement::rendezvous::owner_of(crate::lab::shard(*number), &[1, 2, 3]) == Some(3));
    assert_eq!(lab.owned(2, "eu"), should.collect());
    assert!(lab.nodes[0].core.owned(&region("us")).next().is_none());
}

#[test]
fn a_row_that_names_the_node_is_acted_on_whoever_it_was_read_for() {
    let mut lab = Lab::settled(1);
    // Somebody else has a shard that the node should own, and gives it without being heard.
    let mut row = lab.row("eu", 3).clone();
    let mut lease = lab.workers[&1].clone();
    lab.nodes[0].is_dead = true;
    (lease.worker_id, lease.node_id) = (9, lease.node_id + 8);
    row.node_id = lease.node_id;
    lab.workers.insert(9, lease);
    lab.shards.insert(("eu".into(), 3), row.clone());
    lab.start("eu", 2);
    lab.run_for(15_000);
    let own = lab.row("eu", 4).node_id;
    assert_eq!((own, lab.row("eu", 3).epoch), (lab.node(1).get(), row.epoch + 1), "in the end its lease is over");
    lab.nodes[1].is_dead = true;

    // The same, and the row is read for a client before anybody says anything.
    let mut lab = Lab::settled(1);
    row.epoch = 7;
    lab.with(0, |core, now| core.handle_drain(now));
    lab.nodes[0].is_dead = true;
    let mut lease = lab.workers[&1].clone();
    (lease.worker_id, lease.node_id, lease.expires_at) = (9, row.node_id, rookery_model::Timestamp(1));
    lab.workers.insert(9, lease);
    lab.shards.insert(("eu".into(), 3), row.clone());
    lab.start("eu", 2);
    lab.run_for(1_000);
    assert!(!lab.owned(1, "eu").contains(&3));
    row.epoch = 8;
    row.node_id = lab.node(1).get();
    lab.shards.insert(("eu".into(), 3), row);
    lab.with(1, |core, now| core.handle_lookup(now, &region("eu"), crate::lab::shard(3)));
    lab.settle();
    assert_eq!(lab.owned(1, "eu").len(), usize::from(SHARDS));
}

/// That nobody owns a shard may be heard before it is heard that it is this node's turn.
#[test]
fn a_shard_that_was_released_is_not_asked_for_at_who_had_it() {
    let mut lab = Lab::settled(2);
    let number = *lab.owned(0, "eu").first().unwrap();
    let node = lab.node(0);
    let beat = lab.nodes[0].sent.iter().rev().find_map(|sent| match &sent.message {
        Message::Heartbeat(heartbeat) => Some(heartbeat.clone()),
        _ => None,
    });
    lab.nodes[0].is_dead = true;
    let mut row = lab.row("eu", number).clone();
    (row.epoch, row.node_id) = (row.epoch + 1, 0);
    let shards = vec![(shard(number), row.epoch)];
    lab.shards.insert(("eu".into(), number), row);
    lab.tell(1, Message::Released { region: region("eu"), shards });
    lab.tell(1, Message::Heartbeat(Heartbeat { sequence: u64::MAX, is_draining: true, ..beat.unwrap() }));
    lab.run_for(20);
    assert!(lab.owned(1, "eu").contains(&number));
    let asked = |sent: &rookery_placement::Outgoing| match &sent.message {
        Message::Ask { shards, .. } => {
            sent.to == To::Node(node) && shards.iter().any(|(shard, _)| shard.number() == number)
        }
        _ => false,
    };
    assert!(!lab.nodes[1].sent.iter().any(asked));
}

#[test]
fn an_incarnation_that_was_never_heard_is_looked_for_though_the_one_before_it_is_over() {
    let mut lab = Lab::settled(2);
    lab.with(1, |core, now| core.handle_drain(now));
    lab.run_for(500);
    lab.nodes[1].is_dead = true;
    lab.assert_all_owned("eu");
    // It comes back, and dies, and nobody hears of that but by a row.
    let number = 5;
    let mut row = lab.row("eu", number).clone();
    lab.nodes[0].is_cut_off = true;
    lab.nodes[0].manner = Manner::Silent;
    lab.run_for(8_500);
    lab.start("eu", 2);
    lab.run_for(20);
    (row.epoch, row.node_id) = (row.epoch + 1, lab.node(2).get());
    assert_eq!(lab.node(2).incarnation(), 2);
    lab.nodes[2].is_dead = true;
    lab.shards.insert(("eu".into(), number), row);
    lab.nodes[0].is_cut_off = false;
    lab.nodes[0].manner = Manner::Answers;
    lab.run_for(TAKE_OVER_MAX_MS + 2_500);
    assert!(lab.owned(0, "eu").contains(&number));
}
