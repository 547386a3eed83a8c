//! The links between the nodes that have members of one room.
//!
//! Nodes of a region are linked to one of them, its head, and the heads to one of theirs, the root: so a packet crosses once
//! between two regions, and goes over four links at most. What a node is told is all of its links of a room; it answers where
//! the room's media is received there, which the other ends are told then. As long as a link stays, so does its key; another
//! link is never given the same one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use rookery_model::voice::{LinkKey, RoomCommand, RoomLink};
use rookery_model::{ChannelId, VoiceServerId};

use crate::nodes::Nodes;
use crate::rooms::Tokens;

/// A channel of a server.
pub type RoomKey = (VoiceServerId, ChannelId);
/// Two nodes, the lesser name first.
type Pair = (Arc<str>, Arc<str>);

/// A link.
#[derive(Debug)]
struct Made {
    id: u64,
    /// What the first of the pair encrypts with, and what the second does.
    keys: (LinkKey, LinkKey),
}

/// What a node was told last of a room.
#[derive(Debug)]
struct End {
    revision: u64,
    /// When it is said again; none once it is done.
    due_ms: Option<u64>,
    /// Where the room's media is received, once the node has told.
    address: Option<SocketAddr>,
    links: Vec<RoomLink>,
}

#[derive(Debug, Default)]
struct Room {
    /// How many of its members are to be at which node.
    members: BTreeMap<Arc<str>, u32>,
    /// Of each region.
    heads: BTreeMap<Arc<str>, Arc<str>>,
    root: Option<Arc<str>>,
    made: BTreeMap<Pair, Made>,
    ends: BTreeMap<Arc<str>, End>,
}

/// The links of all rooms.
#[derive(Debug, Default)]
pub struct Links {
    rooms: BTreeMap<RoomKey, Room>,
    /// Whose nodes or addresses changed.
    dirty: BTreeSet<RoomKey>,
    /// Commands to be said again, by when.
    due: BTreeSet<(u64, RoomKey, Arc<str>)>,
}

/// With what links are made and said.
pub struct Making<'a, T> {
    pub now_ms: u64,
    pub again_after_ms: u64,
    pub nodes: &'a Nodes,
    /// The highest so far.
    pub revision: &'a mut u64,
    pub tokens: &'a mut T,
}

impl Links {
    /// A member more of a room is to be at a node.
    pub fn come(&mut self, room: RoomKey, node: &Arc<str>) {
        let known = self.rooms.entry(room).or_default();
        let count = known.members.entry(node.clone()).or_default();
        *count += 1;
        if *count == 1 && known.is_of_many() {
            self.dirty.insert(room);
        }
    }

    /// A member less is.
    pub fn leave(&mut self, room: RoomKey, node: &Arc<str>) {
        let Some(known) = self.rooms.get_mut(&room) else { return };
        let Some(count) = known.members.get_mut(node) else { return };
        *count -= 1;
        if *count == 0 {
            known.members.remove(node);
            if known.is_of_many() {
                self.dirty.insert(room);
            } else if known.members.is_empty() {
                self.rooms.remove(&room);
            }
        }
    }

    /// Whether a node has members of a room.
    pub fn has_members(&self, room: RoomKey, node: &str) -> bool {
        self.rooms.get(&room).is_some_and(|room| room.members.contains_key(node))
    }

    /// A node is gone, or knows nothing any more: its links are made anew, with other keys.
    pub fn forget(&mut self, node: &str) {
        for (key, room) in &mut self.rooms {
            room.made.retain(|(a, b), _| **a != *node && **b != *node);
            if let Some(end) = room.ends.remove(node)
                && let Some(due_ms) = end.due_ms
            {
                self.due.remove(&(due_ms, *key, Arc::from(node)));
            }
            if room.is_of_many() {
                self.dirty.insert(*key);
            }
        }
    }

    /// A node has the links that it was told of.
    pub fn done(&mut self, node: &str, room: RoomKey, revision: u64, address: Option<SocketAddr>) {
        let Some(known) = self.rooms.get_mut(&room) else { return };
        let Some(end) = known.ends.get_mut(node).filter(|end| end.revision == revision) else { return };
        if let Some(due_ms) = end.due_ms.take() {
            self.due.remove(&(due_ms, room, Arc::from(node)));
        }
        if end.links.is_empty() {
            known.ends.remove(node);
            self.dirty.insert(room);
        } else if std::mem::replace(&mut end.address, address) != address {
            self.dirty.insert(room);
        }
    }

    /// Whether [`Self::settle`] has something to do.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// When a command is said again.
    pub fn due_ms(&self) -> Option<u64> {
        self.due.first().map(|(due_ms, ..)| *due_ms)
    }

    /// Makes and ends links where nodes of a room came and went; what nodes are told, with what is due again.
    pub fn settle(&mut self, mut making: Making<'_, impl Tokens>) -> Vec<(Arc<str>, RoomCommand)> {
        let mut said = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            let Some(room) = self.rooms.get_mut(&key) else { continue };
            room.link(making.nodes, making.tokens);
            for (node, links) in room.changes(making.nodes) {
                *making.revision += 1;
                let revision = *making.revision;
                let due_ms = making.now_ms + making.again_after_ms;
                let address = room.ends.get(&node).and_then(|end| end.address);
                said.push((node.clone(), command(key, revision, links.clone())));
                let end = End { revision, due_ms: Some(due_ms), address, links };
                if let Some(due_ms) = room.ends.insert(node.clone(), end).and_then(|old| old.due_ms) {
                    self.due.remove(&(due_ms, key, node.clone()));
                }
                self.due.insert((due_ms, key, node));
            }
            if room.members.is_empty() && room.ends.is_empty() {
                self.rooms.remove(&key);
            }
        }
        self.say_again(&mut making, &mut said);
        said
    }

    fn say_again(&mut self, making: &mut Making<'_, impl Tokens>, said: &mut Vec<(Arc<str>, RoomCommand)>) {
        while self.due.first().is_some_and(|(due_ms, ..)| *due_ms <= making.now_ms) {
            let Some((_, key, node)) = self.due.pop_first() else { return };
            let end = self.rooms.get_mut(&key).and_then(|room| room.ends.get_mut(&node));
            let Some(end) = end else { continue };
            let due_ms = making.now_ms + making.again_after_ms;
            end.due_ms = Some(due_ms);
            said.push((node.clone(), command(key, end.revision, end.links.clone())));
            self.due.insert((due_ms, key, node));
        }
    }
}

impl Room {
    /// Whether it has links, or may need them.
    fn is_of_many(&self) -> bool {
        self.members.len() > 1 || !self.ends.is_empty()
    }

    /// Makes the links that are needed and ends the others.
    fn link(&mut self, nodes: &Nodes, tokens: &mut impl Tokens) {
        let pairs = self.pairs(nodes);
        self.made.retain(|pair, _| pairs.contains(pair));
        for pair in pairs {
            self.made.entry(pair).or_insert_with(|| Made {
                id: tokens.next_link_id(),
                keys: (tokens.next_link_key(), tokens.next_link_key()),
            });
        }
    }

    /// Which nodes are to be linked.
    fn pairs(&mut self, nodes: &Nodes) -> BTreeSet<Pair> {
        let region = |name: &str| nodes.get(name).map(|node| node.region.clone());
        let mut there: Vec<(Arc<str>, Arc<str>, u32)> =
            self.members.iter().filter_map(|(name, count)| Some((name.clone(), region(name)?, *count))).collect();
        if there.len() < 2 {
            self.heads.clear();
            self.root = None;
            return BTreeSet::new();
        }
        there.sort_by_key(|(name, _, count)| (!nodes.takes_rooms(name), Reverse(*count), name.clone()));
        // A node that passes on what others say goes on with it when its own members left: nobody has to find another.
        let root = self.root.clone();
        self.heads.retain(|region, head| {
            let others = there.iter().filter(|(name, ..)| name != head);
            let has_region = others.clone().any(|(_, other, _)| other == region);
            let passes_on = others.count() >= 2 && (has_region || root.as_ref() == Some(head));
            nodes.takes_rooms(head) && (passes_on || there.iter().any(|(name, ..)| name == head))
        });
        for (name, region, _) in &there {
            self.heads.entry(region.clone()).or_insert_with(|| name.clone());
        }
        if !self.root.as_ref().is_some_and(|root| self.heads.values().any(|head| head == root)) {
            let of_region = |region: &Arc<str>| -> u32 {
                there.iter().filter(|(_, other, _)| other == region).map(|(_, _, count)| *count).sum()
            };
            let most = self.heads.iter().max_by_key(|(region, head)| (of_region(region), Reverse((*head).clone())));
            self.root = most.map(|(_, head)| head.clone());
        }
        let Some(root) = &self.root else { return BTreeSet::new() };
        let to_heads = there.iter().filter_map(|(name, region, _)| Some((name, self.heads.get(region)?)));
        let to_root = self.heads.values().map(|head| (head, root));
        let is_link = |(a, b): &(&Arc<str>, &Arc<str>)| {
            // Nodes of one number would give the same SSRCs.
            a != b && nodes.get(a).map(|node| node.number) != nodes.get(b).map(|node| node.number)
        };
        to_heads.chain(to_root).filter(is_link).map(|(a, b)| pair(a, b)).collect()
    }

    /// What nodes have to be told that they were not told.
    fn changes(&self, nodes: &Nodes) -> Vec<(Arc<str>, Vec<RoomLink>)> {
        let concerned: BTreeSet<&Arc<str>> =
            self.made.keys().flat_map(|(a, b)| [a, b]).chain(self.ends.keys()).collect();
        let known = concerned.into_iter().filter(|name| nodes.get(name).is_some());
        let told = |name: &Arc<str>| self.ends.get(name).map_or(&[][..], |end| &end.links);
        known
            .map(|name| (name.clone(), self.links_of(name, nodes)))
            .filter(|(name, links)| told(name) != links)
            .collect()
    }

    fn links_of(&self, name: &Arc<str>, nodes: &Nodes) -> Vec<RoomLink> {
        let ends = self.made.iter().filter_map(|((a, b), made)| {
            let (other, seal, open) = match (a == name, b == name) {
                (true, _) => (b, &made.keys.0, &made.keys.1),
                (_, true) => (a, &made.keys.1, &made.keys.0),
                _ => return None,
            };
            let (node, address) = (nodes.get(other)?.number, self.ends.get(other).and_then(|end| end.address));
            Some(RoomLink { id: made.id, node, address, seal: seal.clone(), open: open.clone() })
        });
        ends.collect()
    }
}

fn pair(a: &Arc<str>, b: &Arc<str>) -> Pair {
    if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) }
}

fn command((server_id, channel_id): RoomKey, revision: u64, links: Vec<RoomLink>) -> RoomCommand {
    RoomCommand::Link { server_id, channel_id, revision, links }
}
