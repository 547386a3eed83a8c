//! How a node knows where shards are that are not its own.

use rookery_placement::{Event, Message, NodeId, Owner};

use crate::lab::{Lab, Manner, SHARDS, region, shard};

fn elsewhere(lab: &Lab, number: u16, epoch: u64) -> Owner {
    let node = NodeId::from_row(lab.node(0).get() + (u64::from(number) << 10)).unwrap();
    Owner { node, epoch }
}

#[test]
fn everybody_knows_every_owner() {
    let lab = Lab::settled(3);
    for number in 0..SHARDS {
        let row = lab.row("eu", number);
        for node in &lab.nodes {
            let owner = node.core.route(&region("eu"), shard(number)).unwrap();
            assert_eq!((owner.node.get(), owner.epoch), (row.node_id, row.epoch));
        }
    }
}

#[test]
fn a_refused_call_teaches_the_way() {
    let mut lab = Lab::settled(2);
    let eu = region("eu");
    let number = *lab.owned(1, "eu").first().unwrap();
    let right = lab.nodes[0].core.route(&eu, shard(number)).unwrap();
    // A hint that is no newer than what was tried is none: the row is read.
    lab.take_events(0);
    lab.with(0, |core, now| core.handle_refused(now, &eu, shard(number), right, Some(right)));
    lab.run_for(10);
    let looked_up = Event::LookedUp { region: eu.clone(), shard: shard(number), owner: Some(right) };
    assert_eq!(lab.take_events(0), [looked_up]);
    assert_eq!(lab.nodes[0].core.route(&eu, shard(number)), Some(right));
    // A newer one is followed.
    let newer = elsewhere(&lab, 7, right.epoch + 1);
    lab.with(0, |core, now| core.handle_refused(now, &eu, shard(number), right, Some(newer)));
    assert_eq!(lab.nodes[0].core.route(&eu, shard(number)), Some(newer));
    // It leads nowhere: what stands in the store is right.
    lab.run_for(20);
    lab.with(0, |core, now| core.handle_refused(now, &eu, shard(number), newer, None));
    lab.run_for(20);
    assert_eq!(lab.nodes[0].core.route(&eu, shard(number)), Some(right));
}

#[test]
fn a_shard_of_another_region_is_looked_up() {
    let mut lab = Lab::new();
    lab.start("eu", 1);
    lab.start("us", 2);
    lab.nodes[0].is_cut_off = true;
    lab.run_for(1_000);
    let us = region("us");
    assert_eq!(lab.nodes[0].core.route(&us, shard(3)), None);
    lab.with(0, |core, now| core.handle_lookup(now, &us, shard(3)));
    lab.run_for(10);
    let owner = lab.nodes[0].core.route(&us, shard(3)).unwrap();
    assert_eq!(owner.node, lab.node(1));
}

#[test]
fn what_was_missed_is_made_good_by_digests() {
    let mut lab = Lab::settled(3);
    lab.start("us", 4);
    lab.nodes[3].is_cut_off = true;
    lab.run_for(100);
    lab.with(2, |core, now| core.handle_drain(now));
    lab.run_for(500);
    lab.nodes[2].is_dead = true;
    lab.nodes[3].is_cut_off = false;
    lab.run_for(3_000);
    for number in 0..SHARDS {
        let row = lab.row("eu", number);
        let owner = lab.nodes[3].core.route(&region("eu"), shard(number)).unwrap();
        assert_eq!((owner.node.get(), owner.epoch), (row.node_id, row.epoch));
    }
    let asked = |sent: &rookery_placement::Outgoing| matches!(sent.message, Message::AskOwned { .. });
    assert!(lab.nodes[3].sent.iter().filter(|sent| asked(sent)).count() <= 4, "once for each node and a little more");
}

/// A call that the node refused itself, while it could not acknowledge, makes it forget nothing: what it hears after that
/// may be of the past.
#[test]
fn a_node_knows_its_own_shards_whatever_it_hears() {
    let mut lab = Lab::settled(2);
    let eu = region("eu");
    let number = *lab.owned(0, "eu").first().unwrap();
    let own = Owner { node: lab.node(0), epoch: lab.row("eu", number).epoch };
    lab.nodes[0].manner = Manner::Keeps;
    lab.with(0, |core, now| core.handle_refused(now, &eu, shard(number), own, None));
    let old = elsewhere(&lab, 7, own.epoch - 1);
    lab.tell(0, Message::Moved { region: eu.clone(), owners: vec![(shard(number), old)] });
    assert_eq!(lab.nodes[0].core.route(&eu, shard(number)), Some(own));
}
