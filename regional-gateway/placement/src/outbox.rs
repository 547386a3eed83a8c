//! What waits for the shell: events in order, messages gathered by receiver.

use std::collections::{BTreeMap, VecDeque};

use crate::{Event, Message, NodeId, Outgoing, Owner, RegionName, RouteTable, To, VirtualShard};

/// Events and messages that the shell has not fetched yet; a shell fetches all of them after each `handle_*`, so that there
/// is never more than one such call leads to.
#[derive(Default)]
pub struct Outbox {
    pub events: VecDeque<Event>,
    ready: VecDeque<Outgoing>,
    /// Shards to ask for, by node and region.
    asks: BTreeMap<(NodeId, usize), BTreeMap<VirtualShard, u64>>,
    /// Owners to tell of.
    moved: BTreeMap<(To, usize), BTreeMap<VirtualShard, Owner>>,
    /// Shards that nobody owns any more.
    released: BTreeMap<(To, usize), BTreeMap<VirtualShard, u64>>,
}

impl Outbox {
    pub fn send(&mut self, to: To, message: Message) {
        self.ready.push_back(Outgoing { to, message });
    }

    pub fn ask(&mut self, node: NodeId, region: usize, shard: VirtualShard, epoch: u64) {
        self.asks.entry((node, region)).or_default().insert(shard, epoch);
    }

    pub fn tell(&mut self, to: To, region: usize, shard: VirtualShard, owner: Owner) {
        self.moved.entry((to, region)).or_default().insert(shard, owner);
    }

    pub fn tell_released(&mut self, to: To, region: usize, shard: VirtualShard, epoch: u64) {
        self.released.entry((to, region)).or_default().insert(shard, epoch);
    }

    /// The next message; asks are sent only by a node that is somebody.
    pub fn next(&mut self, from: Option<NodeId>, routes: &RouteTable, shards_max: usize) -> Option<Outgoing> {
        if let Some(outgoing) = self.ready.pop_front() {
            return Some(outgoing);
        }
        if let Some(((to, region), owners)) = next_part(&mut self.moved, shards_max) {
            return Some(Outgoing { to, message: Message::Moved { region: name(routes, region), owners } });
        }
        if let Some(((to, region), shards)) = next_part(&mut self.released, shards_max) {
            return Some(Outgoing { to, message: Message::Released { region: name(routes, region), shards } });
        }
        while let Some(((node, region), shards)) = next_part(&mut self.asks, shards_max) {
            let Some(from) = from else { continue };
            let message = Message::Ask { from, region: name(routes, region), shards };
            return Some(Outgoing { to: To::Node(node), message });
        }
        None
    }
}

fn name(routes: &RouteTable, region: usize) -> RegionName {
    routes.name(region).clone()
}

/// Takes the first group, or so much of it.
fn next_part<K: Ord + Copy, V>(
    groups: &mut BTreeMap<K, BTreeMap<VirtualShard, V>>,
    shards_max: usize,
) -> Option<(K, Vec<(VirtualShard, V)>)> {
    let mut entry = groups.first_entry()?;
    let (key, group) = (*entry.key(), entry.get_mut());
    let mut part = Vec::with_capacity(group.len().min(shards_max));
    while part.len() < shards_max
        && let Some(item) = group.pop_first()
    {
        part.push(item);
    }
    if group.is_empty() {
        entry.remove();
    }
    Some((key, part))
}
