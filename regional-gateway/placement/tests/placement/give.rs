//! How shards are given away.

use rookery_model::lease::LeaseSwap;
use rookery_placement::{
    Event, HAND_OVER_MAX_MS, Marks, Message, NodeId, Owner, StoreAnswer, StoreCall, VirtualShard, rendezvous,
};

use crate::lab::{Lab, Manner, SHARDS, region, shard};

#[test]
fn a_node_that_drains_hands_each_shard_to_who_should_own_it_with_floors_above_what_it_used() {
    let mut lab = Lab::settled(3);
    let before = lab.owned(0, "eu");
    let used = Marks { id_ms: 1_700_000_099_000, write_timestamp_us: 1_700_000_099_000_000 };
    lab.nodes[0].used = used;
    lab.with(0, |core, now| core.handle_drain(now));
    lab.run_for(300);
    assert_eq!(lab.nodes[0].events.last(), Some(&Event::Ended));
    lab.nodes[0].is_dead = true;
    lab.assert_all_owned("eu");
    for number in before {
        let should = rendezvous::owner_of(shard(number), &[2, 3]).unwrap();
        let row = lab.row("eu", number);
        assert_eq!(row.node_id, lab.node(usize::from(should) - 1).get());
        assert_eq!((row.id_ceiling_ms, row.write_timestamp_ceiling_us), (used.id_ms, used.write_timestamp_us));
    }
    let asks = lab.nodes[0].events.iter().filter(|event| matches!(event, Event::Released { owner: Some(_), .. }));
    assert!(asks.count() > 0);
}

#[test]
fn nothing_is_acknowledged_between_drained_and_activated() {
    let mut lab = Lab::settled(2);
    lab.nodes[0].holds_drains = true;
    lab.nodes[0].manner = Manner::Keeps;
    lab.take_events(0);
    lab.with(0, |core, now| core.handle_drain(now));
    lab.run_for(100);
    let drained = lab.nodes[0].events.iter().find_map(|event| match event {
        Event::Drain { shard, epoch, .. } => Some((*shard, *epoch)),
        _ => None,
    });
    let (shard, epoch) = drained.unwrap();
    let now_ms = lab.now(0).monotonic_ms;
    let may = |lab: &Lab| lab.nodes[0].core.may_acknowledge(now_ms, &region("eu"), shard, epoch);
    assert!(may(&lab), "what it began it may end");
    lab.with(0, |core, now| core.handle_drained(now, &region("eu"), shard, Marks::default()));
    assert!(!may(&lab));
    assert!(!lab.owned(1, "eu").contains(&shard.number()), "the row was not changed yet");
}

#[test]
fn the_last_node_gives_everything_to_nobody_and_the_next_one_takes_it_at_once() {
    let mut lab = Lab::settled(1);
    lab.with(0, |core, now| core.handle_drain(now));
    lab.run_for(50);
    assert_eq!(lab.nodes[0].events.last(), Some(&Event::Ended));
    assert!((0..SHARDS).all(|number| (lab.row("eu", number).node_id, lab.row("eu", number).epoch) == (0, 2)));
    lab.nodes[0].is_dead = true;
    lab.start("eu", 2);
    lab.run_for(50);
    lab.assert_all_owned("eu");
}

#[test]
fn who_drains_unheard_gives_its_shards_to_nobody_after_a_while() {
    let mut lab = Lab::settled(2);
    let before = lab.owned(0, "eu");
    lab.nodes[0].is_cut_off = true;
    lab.with(0, |core, now| core.handle_drain(now));
    lab.run_for(1_500);
    assert_eq!(lab.owned(0, "eu"), before, "it waits to be asked");
    lab.run_for(1_000);
    assert!(before.iter().all(|number| lab.row("eu", *number).node_id == 0));
    // The other one hears nothing of that; it finds out when the lease is over.
    lab.run_for(6_000);
    lab.assert_all_owned("eu");
}

#[test]
fn a_node_does_not_give_what_it_thinks_it_should_own() {
    let mut lab = Lab::settled(2);
    let number = *lab.owned(0, "eu").first().unwrap();
    let ask = Message::Ask { from: lab.node(1), region: region("eu"), shards: vec![(shard(number), 1)] };
    lab.tell(0, ask);
    lab.run_for(100);
    assert!(lab.owned(0, "eu").contains(&number));
}

#[test]
fn who_is_asked_for_a_shard_that_moved_says_where_it_is() {
    let mut lab = Lab::settled(3);
    let number = *lab.owned(2, "eu").first().unwrap();
    let owner = Owner { node: lab.node(2), epoch: lab.row("eu", number).epoch };
    lab.nodes[0].sent.clear();
    let ask = Message::Ask { from: lab.node(1), region: region("eu"), shards: vec![(shard(number), 0)] };
    lab.tell(0, ask);
    lab.run_for(20);
    let moved = Message::Moved { region: region("eu"), owners: vec![(shard(number), owner)] };
    assert!(lab.nodes[0].sent.iter().any(|sent| sent.message == moved), "{:?}", lab.nodes[0].sent);
}

#[test]
fn a_shard_that_a_lost_answer_made_its_own_is_found_when_asked_for() {
    let mut lab = Lab::settled(2);
    // A compare-and-set of node 0 that was given up long ago is applied: the row names it, and it does not know.
    let number = *lab.owned(1, "eu").first().unwrap();
    let mut row = lab.row("eu", number).clone();
    lab.nodes[1].manner = Manner::Silent;
    lab.run_for(8_500);
    assert!(lab.owned(1, "eu").is_empty());
    row.epoch += 1;
    row.node_id = lab.node(0).get();
    lab.shards.insert(("eu".into(), number), row);
    lab.nodes[1].manner = Manner::Answers;
    lab.run_for(6_000);
    lab.assert_all_owned("eu");
    assert!(lab.owned(1, "eu").contains(&number), "and given to who should own it");
}

/// A hand-over whose answer was lost may be applied at any time: the node must not go on as if it had not been tried.
#[test]
fn an_epoch_that_was_tried_to_be_given_away_is_not_gone_on_with() {
    let mut lab = Lab::settled(2);
    let epochs: Vec<u64> = (0..SHARDS).map(|number| lab.row("eu", number).epoch).collect();
    lab.start("eu", 3);
    lab.nodes[0].manner = Manner::Keeps;
    lab.run_for(100);
    let kept = std::mem::take(&mut lab.nodes[0].kept);
    let is_give = |call: &StoreCall| matches!(call, StoreCall::Swap(LeaseSwap::VirtualShard { .. }));
    let gives: Vec<_> = kept.into_iter().filter(|request| is_give(&request.call)).collect();
    assert!(!gives.is_empty());
    lab.nodes[0].events.clear();
    // Who was to have them is gone, and so node 0 should own them again.
    lab.nodes[2].is_dead = true;
    for request in &gives {
        lab.answer(0, request.op, StoreAnswer::Unknown);
    }
    lab.nodes[0].manner = Manner::Answers;
    lab.run_for(14_000);
    lab.assert_all_owned("eu");
    for event in &lab.nodes[0].events {
        if let Event::Activate { shard, epoch, .. } = event {
            assert!(*epoch > epochs[usize::from(shard.number())], "{event:?}");
        }
    }
    // The first attempts arrive now.
    for request in &gives {
        assert!(matches!(lab.carry_out(&request.call), StoreAnswer::VirtualShardLease(Some(_))));
    }
}

/// It has nothing to give, and so nobody hears that it drains before it is gone.
#[test]
fn nothing_is_given_to_a_node_that_left() {
    let (mut lab, drains) = given_to_a_third(Manner::Answers);
    lab.with(2, |core, now| core.handle_drain(now));
    lab.run_for(50);
    assert_eq!(lab.nodes[2].events.last(), Some(&Event::Ended));
    lab.nodes[2].is_dead = true;
    let third = NodeId::from_row(lab.workers[&3].node_id).unwrap();
    lab.nodes[0].holds_drains = false;
    for (shard, epoch) in drains {
        lab.with(0, |core, now| core.handle_drained(now, &region("eu"), shard, Marks::default()));
        let row = lab.row("eu", shard.number());
        assert!(row.epoch > epoch && row.node_id != third.get(), "{row:?}");
    }
}

/// Who leaves while it is given something has no lease any more that its heirs would have to wait for.
#[test]
fn what_is_given_to_a_node_that_just_leaves_has_an_owner_in_time() {
    let (mut lab, drains) = given_to_a_third(Manner::Keeps);
    for (shard, _) in &drains {
        lab.with(0, |core, now| core.handle_drained(now, &region("eu"), *shard, Marks::default()));
    }
    lab.with(2, |core, now| core.handle_drain(now));
    lab.run_for(20);
    assert_eq!(lab.nodes[2].events.last(), Some(&Event::Ended));
    lab.nodes[2].is_dead = true;
    (lab.nodes[0].manner, lab.nodes[0].holds_drains) = (Manner::Answers, false);
    for request in std::mem::take(&mut lab.nodes[0].kept) {
        let answer = lab.carry_out(&request.call);
        lab.answer(0, request.op, answer);
    }
    assert!(drains.iter().all(|(shard, _)| lab.row("eu", shard.number()).node_id == lab.workers[&3].node_id));
    lab.run_for(HAND_OVER_MAX_MS);
    for (shard, _) in &drains {
        assert!((0..2).any(|index| lab.owned(index, "eu").contains(&shard.number())), "{shard:?}");
    }
}

/// Two nodes and a third one that just came and owns nothing: what the first, whose shell holds its drains, is to give it.
fn given_to_a_third(manner: Manner) -> (Lab, Vec<(VirtualShard, u64)>) {
    let mut lab = Lab::settled(2);
    for index in 0..2 {
        lab.nodes[index].holds_drains = true;
    }
    lab.take_events(0);
    lab.start("eu", 3);
    lab.run_for(20);
    lab.nodes[0].manner = manner;
    let drains: Vec<_> = lab.take_events(0).iter().filter_map(drain).collect();
    assert!(!drains.is_empty() && lab.owned(2, "eu").is_empty());
    (lab, drains)
}

fn drain(event: &Event) -> Option<(VirtualShard, u64)> {
    match event {
        Event::Drain { shard, epoch, .. } => Some((*shard, *epoch)),
        _ => None,
    }
}
