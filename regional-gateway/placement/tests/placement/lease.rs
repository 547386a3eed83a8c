//! The node's own lease.

use rookery_model::Timestamp;
use rookery_model::lease::LeaseSwap;
use rookery_placement::{Event, Marks, Message, Outgoing, StoreAnswer, StoreCall};

use crate::lab::{Lab, Manner, config, region, shard};

#[test]
fn a_node_takes_its_lease_and_renews_it() {
    let mut lab = Lab::settled(1);
    let node = lab.node(0);
    assert_eq!((node.worker_id(), node.incarnation()), (1, 1));
    let first = lab.workers[&1].clone();
    lab.run_for(60_000);
    let last = &lab.workers[&1];
    assert_eq!((last.node_id, last.epoch), (node.get(), 1));
    assert!(last.expires_at > first.expires_at && last.id_ceiling_ms > first.id_ceiling_ms);
    assert!(!lab.nodes[0].events.contains(&Event::Suspended));
    lab.assert_all_owned("eu");
}

#[test]
fn each_renewal_is_told_at_once() {
    let mut lab = Lab::new();
    let mut config = config("eu", 1);
    config.timings.heartbeat_interval_ms = 900;
    lab.start_with(config, 0);
    lab.run_for(3_000);
    let mut renewals = 0;
    for _ in 0..1_000 {
        let before = lab.workers[&1].expires_at;
        lab.nodes[0].sent.clear();
        lab.run_for(10);
        let after = lab.workers[&1].expires_at;
        if after != before {
            renewals += 1;
            let is_told =
                |sent: &Outgoing| matches!(&sent.message, Message::Heartbeat(it) if it.lease_expires_at_us == after.0);
            assert!(lab.nodes[0].sent.iter().any(is_told), "{:?}", lab.nodes[0].sent);
        }
    }
    assert_eq!(renewals, 5);
}

#[test]
fn without_answers_it_stops_to_acknowledge_before_the_lease_ends_and_then_loses_everything() {
    let mut lab = Lab::settled(1);
    lab.take_events(0);
    let until_ms = lab.nodes[0].core.acknowledges_until_ms().unwrap();
    lab.nodes[0].manner = Manner::Silent;
    lab.run_for(until_ms - lab.now(0).monotonic_ms - 10);
    lab.assert_all_owned("eu");
    lab.run_for(10);
    assert_eq!(lab.owned(0, "eu").len(), 0);
    assert_eq!(lab.take_events(0), [Event::Suspended]);
    assert!(lab.nodes[0].core.epoch(&region("eu"), shard(0)).is_some(), "it is not lost yet");
    lab.run_for(1_000);
    assert_eq!(lab.take_events(0), [Event::Lost]);
    assert_eq!((lab.nodes[0].core.node(), lab.nodes[0].core.ceilings()), (None, None));
}

#[test]
fn a_renewal_just_in_time_goes_on_with_everything() {
    let mut lab = Lab::settled(1);
    let epoch = lab.row("eu", 0).epoch;
    lab.nodes[0].manner = Manner::Keeps;
    let until_ms = lab.nodes[0].core.acknowledges_until_ms().unwrap();
    lab.run_for(until_ms - lab.now(0).monotonic_ms + 100);
    lab.take_events(0);
    // The last of several is answered.
    let request = lab.nodes[0].kept.pop().unwrap();
    lab.nodes[0].manner = Manner::Answers;
    let answer = lab.carry_out(&request.call);
    lab.answer(0, request.op, answer);
    lab.settle();
    assert_eq!(lab.take_events(0), [Event::Resumed]);
    lab.assert_all_owned("eu");
    lab.run_for(20_000);
    assert_eq!(lab.take_events(0), []);
    assert_eq!(lab.row("eu", 0).epoch, epoch);
}

#[test]
fn an_answer_that_comes_after_the_end_is_too_late() {
    let mut lab = Lab::settled(1);
    let node = lab.node(0);
    lab.nodes[0].manner = Manner::Keeps;
    lab.run_for(2_000);
    let request = lab.nodes[0].kept.remove(0);
    assert!(matches!(request.call, StoreCall::Swap(LeaseSwap::Worker { .. })));
    let answer = lab.carry_out(&request.call);
    assert_eq!(answer, StoreAnswer::Swapped);
    // The process stood still meanwhile: the answer is the first thing that it sees.
    lab.time_ms += 8_000;
    lab.take_events(0);
    lab.answer(0, request.op, answer);
    lab.settle();
    assert_eq!(lab.take_events(0)[..], [Event::Lost]);
    assert!(lab.owned(0, "eu").is_empty());
    // What was written under it ends first; then the node is another one, and takes its shards anew.
    lab.nodes[0].manner = Manner::Answers;
    lab.run_for(2_400);
    assert_eq!(lab.nodes[0].core.node(), None);
    lab.run_for(700);
    assert_eq!((lab.node(0).incarnation(), lab.node(0).worker_id()), (node.incarnation() + 1, 1));
    lab.assert_all_owned("eu");
    assert_eq!(lab.row("eu", 0).epoch, 2);
}

#[test]
fn a_renewal_without_an_answer_is_read_and_counts_from_when_it_was_asked_for() {
    let mut lab = Lab::settled(1);
    lab.nodes[0].manner = Manner::Keeps;
    lab.run_for(2_000);
    let request = lab.nodes[0].kept.remove(0);
    let asked_ms = lab.now(0).monotonic_ms;
    lab.carry_out(&request.call);
    lab.answer(0, request.op, StoreAnswer::Unknown);
    lab.run_for(1_000);
    let read = lab.nodes[0].kept.remove(0);
    assert_eq!(read.call, StoreCall::WorkerLease(1));
    let answer = lab.carry_out(&read.call);
    lab.answer(0, read.op, answer);
    let until_ms = lab.nodes[0].core.acknowledges_until_ms().unwrap();
    assert!(until_ms <= asked_ms + 7_000 && until_ms > asked_ms + 4_900, "{until_ms} of {asked_ms}");
}

#[test]
fn the_lease_of_a_process_that_runs_is_not_taken_and_that_of_a_dead_one_is_waited_out() {
    let mut lab = Lab::settled(1);
    let mut twin = config("eu", 1);
    twin.nonce = 77;
    lab.start_with(twin, 300_000_000);
    lab.run_for(40_000);
    let by = lab.node(0);
    assert_eq!(lab.nodes[1].core.node(), None);
    assert_eq!(lab.take_events(1), [Event::WorkerIdHeld { by }]);
    lab.nodes[0].is_dead = true;
    // Nobody asks what its clock says: five minutes ahead of the dead one's.
    lab.run_for(8_600);
    assert_eq!(lab.nodes[1].core.node(), None);
    lab.run_for(4_000);
    assert_eq!(lab.node(1).incarnation(), 2);
    lab.assert_all_owned("eu");
}

#[test]
fn whoever_ends_in_peace_leaves_a_lease_that_is_taken_at_once_above_what_was_used() {
    let mut lab = Lab::settled(1);
    let used = Marks { id_ms: 1_700_000_004_321, write_timestamp_us: 1_700_000_004_321_000 };
    lab.with(0, |core, now| core.handle_used(now, used));
    lab.with(0, |core, now| core.handle_drain(now));
    lab.run_for(100);
    assert_eq!(lab.nodes[0].events.last(), Some(&Event::Ended));
    let row = lab.workers[&1].clone();
    assert_eq!((row.expires_at, row.id_ceiling_ms), (Timestamp(0), used.id_ms));
    lab.nodes[0].is_dead = true;
    lab.start("eu", 1);
    lab.run_for(20);
    let taken = lab.take_events(1).into_iter().next();
    assert!(matches!(taken, Some(Event::LeaseTaken { node, floors }) if node.incarnation() == 2 && floors == used));
    lab.assert_all_owned("eu");
}

#[test]
fn ceilings_rise_when_a_clock_leaps_ahead_and_stay_when_it_falls_back() {
    let mut lab = Lab::settled(1);
    let before = lab.nodes[0].core.ceilings().unwrap();
    let leapt = Marks { id_ms: before.id_ms - 10, write_timestamp_us: before.write_timestamp_us - 10_000 };
    lab.with(0, |core, now| core.handle_used(now, leapt));
    let after = lab.nodes[0].core.ceilings().unwrap();
    assert!(after.id_ms >= leapt.id_ms + 1_000 && after.id_ms < before.id_ms + 3_000, "{after:?} of {before:?}");
    lab.nodes[0].ahead_us = -300_000_000;
    lab.run_for(10_000);
    assert_eq!(lab.nodes[0].core.ceilings(), Some(after));
}
