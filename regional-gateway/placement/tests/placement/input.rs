//! Messages and answers that are late, repeated, false or nonsense.

use rookery_placement::{Config, Heartbeat, Message, NodeId, NodePlacement, Now, Owner, StoreAnswer, VirtualShard};

use crate::lab::{Lab, SHARDS, config, region, shard};

fn heartbeat(lab: &Lab, index: usize) -> Heartbeat {
    let sent = lab.nodes[index].sent.iter().rev();
    let last = sent.filter_map(|sent| match &sent.message {
        Message::Heartbeat(heartbeat) => Some(heartbeat.clone()),
        _ => None,
    });
    last.into_iter().next().unwrap()
}

#[test]
fn heartbeats_of_the_past_change_nothing() {
    let mut lab = Lab::settled(2);
    let old = heartbeat(&lab, 1);
    lab.with(1, |core, now| core.handle_drain(now));
    lab.run_for(500);
    lab.nodes[1].is_dead = true;
    lab.assert_all_owned("eu");
    // It comes again, and once more with a number as if it were new: its lease was given back, so it is over.
    lab.tell(0, Message::Heartbeat(old.clone()));
    lab.tell(0, Message::Heartbeat(Heartbeat { sequence: old.sequence + 1_000, ..old }));
    lab.run_for(15_000);
    lab.assert_all_owned("eu");
    assert_eq!(lab.owned(0, "eu").len(), usize::from(SHARDS));
}

#[test]
fn an_incarnation_that_was_replaced_is_not_heard() {
    let mut lab = Lab::settled(2);
    let old = heartbeat(&lab, 1);
    lab.nodes[1].is_dead = true;
    lab.start("eu", 2);
    lab.run_for(16_000);
    lab.assert_all_owned("eu");
    assert_eq!(lab.node(2).incarnation(), 2);
    let draining = Heartbeat { sequence: u64::MAX, is_draining: true, ..old };
    lab.tell(0, Message::Heartbeat(draining));
    lab.run_for(2_000);
    assert!(!lab.owned(2, "eu").is_empty(), "who drains is another one");
}

#[test]
fn nonsense_is_passed_over() {
    let mut lab = Lab::settled(1);
    let stranger = NodeId::from_row(lab.node(0).get() + 3).unwrap();
    let mars = rookery_placement::RegionName::new("mars").unwrap();
    let far = VirtualShard::new(4_095).unwrap();
    let owner = Owner { node: stranger, epoch: u64::MAX };
    let beat = Heartbeat {
        node: stranger,
        sequence: 0,
        lease_expires_at_us: i64::MIN,
        is_draining: false,
        home: mars.clone(),
        serves: vec![(region("eu"), 1); 1_000],
        stands_by_for: Vec::new(),
    };
    for message in [
        Message::Heartbeat(beat.clone()),
        Message::Heartbeat(Heartbeat { node: lab.node(0), home: region("eu"), ..beat.clone() }),
        Message::Ask { from: stranger, region: mars.clone(), shards: vec![(far, 0)] },
        Message::Ask { from: stranger, region: region("eu"), shards: vec![(far, u64::MAX)] },
        Message::Moved { region: region("eu"), owners: vec![(far, owner)] },
        Message::Released { region: region("eu"), shards: vec![(far, u64::MAX)] },
        Message::Owned { from: stranger, region: region("eu"), first: far, last: shard(0), shards: vec![(far, 3)] },
        Message::Ask { from: stranger, region: region("us"), shards: vec![(shard(0), u64::MAX), (far, 1)] },
        Message::Moved { region: region("us"), owners: vec![(shard(1), Owner { node: lab.node(0), epoch: 7 })] },
        Message::Left { node: stranger },
        Message::Left { node: lab.node(0) },
        Message::AskOwned { from: stranger, region: mars },
    ] {
        lab.tell(0, message);
    }
    lab.run_for(20_000);
    lab.assert_all_owned("eu");
    assert_eq!(lab.nodes[0].core.route(&region("eu"), far), None);
}

#[test]
fn false_hints_cost_a_look_and_no_shard() {
    let mut lab = Lab::settled(2);
    let stranger = NodeId::from_row(lab.node(0).get() + 3).unwrap();
    let owners = (0..SHARDS).map(|number| (shard(number), Owner { node: stranger, epoch: u64::MAX })).collect();
    for index in 0..2 {
        lab.tell(index, Message::Moved { region: region("eu"), owners: Vec::clone(&owners) });
    }
    lab.run_for(5_000);
    lab.assert_all_owned("eu");
}

#[test]
fn answers_that_fit_no_request_are_dropped() {
    let mut lab = Lab::settled(1);
    lab.nodes[0].manner = crate::lab::Manner::Keeps;
    lab.run_for(2_000);
    let request = lab.nodes[0].kept.remove(0);
    // Of the wrong kind: no more than "unknown".
    lab.answer(0, request.op, StoreAnswer::VirtualShardLeases(Vec::new()));
    // Twice.
    lab.answer(0, request.op, StoreAnswer::Swapped);
    lab.nodes[0].manner = crate::lab::Manner::Answers;
    lab.run_for(30_000);
    lab.assert_all_owned("eu");
    assert_eq!(lab.node(0).incarnation(), 1);
}

#[test]
fn a_configuration_with_mistakes_makes_no_node() {
    let bad = Config { worker_id: 1_024, ..config("eu", 1) };
    assert!(NodePlacement::new(bad, Now::default()).is_err());
    let unknown = Config { region: region("us"), regions: vec![region("eu")], ..config("eu", 1) };
    let error = NodePlacement::new(unknown, Now::default()).err().unwrap();
    assert!(error.to_string().contains("region us is not among the regions"), "{error}");
}
