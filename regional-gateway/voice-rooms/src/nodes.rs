//! The voice nodes that are there.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use rookery_model::VoiceServerId;
use rookery_model::voice::VoiceBeacon;

/// A node as it was last heard of.
#[derive(Debug)]
pub struct Node {
    pub name: Arc<str>,
    /// Where it is.
    pub region: Arc<str>,
    pub number: u16,
    pub boot: u64,
    pub endpoint: Arc<str>,
    is_draining: bool,
    is_full: bool,
    /// As the node counts them.
    members: u32,
    /// As they were sent there from here.
    pub assigned: u32,
    heard_ms: u64,
}

/// All nodes, by name.
#[derive(Debug, Default)]
pub struct Nodes {
    by_name: BTreeMap<Arc<str>, Node>,
}

/// What a beacon changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Nothing,
    /// It was not known before, or thought dead.
    New,
    /// It takes rooms, and took none before.
    Opened,
    /// It is another process than before.
    Restarted,
    /// Its rooms are to go elsewhere.
    Drains,
}

impl Nodes {
    pub fn get(&self, name: &str) -> Option<&Node> {
        self.by_name.get(name)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Node> {
        self.by_name.get_mut(name)
    }

    /// Takes what a node says of itself.
    pub fn heard(&mut self, now_ms: u64, region: &Arc<str>, beacon: &VoiceBeacon) -> Change {
        let Some(node) = self.by_name.get_mut(&*beacon.node) else {
            let name: Arc<str> = Arc::from(&*beacon.node);
            let node = Node {
                name: name.clone(),
                region: region.clone(),
                number: beacon.number,
                boot: beacon.boot,
                endpoint: Arc::from(&*beacon.endpoint),
                is_draining: beacon.is_draining,
                is_full: beacon.is_full,
                members: beacon.members,
                assigned: 0,
                heard_ms: now_ms,
            };
            self.by_name.insert(name, node);
            return Change::New;
        };
        node.heard_ms = now_ms;
        node.members = beacon.members;
        node.is_full = beacon.is_full;
        let is_new = node.boot != beacon.boot || *node.endpoint != *beacon.endpoint || node.number != beacon.number;
        let drains = beacon.is_draining && !node.is_draining;
        let came = !beacon.is_draining && node.is_draining;
        node.is_draining = beacon.is_draining;
        if is_new {
            node.boot = beacon.boot;
            node.endpoint = Arc::from(&*beacon.endpoint);
            node.number = beacon.number;
        }
        match (is_new, drains, came) {
            (true, ..) => Change::Restarted,
            (_, true, _) => Change::Drains,
            (.., true) => Change::Opened,
            _ => Change::Nothing,
        }
    }

    /// Forgets nodes that were not heard of since; their names.
    pub fn fall_silent(&mut self, heard_before_ms: u64) -> Vec<Arc<str>> {
        self.by_name.extract_if(.., |_, node| node.heard_ms <= heard_before_ms).map(|(name, _)| name).collect()
    }

    /// When the first of them was last heard of.
    pub fn longest_silent_ms(&self) -> Option<u64> {
        self.by_name.values().map(|node| node.heard_ms).min()
    }

    /// Of nodes that fit, the one with the fewest members, and of equals the same one for the same server.
    pub fn pick(&self, server_id: VoiceServerId, fits: impl Fn(&Node) -> bool) -> Option<&Node> {
        let there = self.by_name.values().filter(|node| fits(node));
        there.min_by_key(|node| (node.members.max(node.assigned), weight(server_id, &node.name)))
    }

    /// Whether a node takes rooms.
    pub fn takes_rooms(&self, name: &str) -> bool {
        self.get(name).is_some_and(|node| !node.is_draining)
    }
}

impl Node {
    /// Whether it takes rooms, and, if that is asked for, has room for more members than it has.
    pub fn takes(&self, more: bool) -> bool {
        !(self.is_draining || more && self.is_full)
    }
}

fn weight(server_id: VoiceServerId, name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (server_id.get(), name).hash(&mut hasher);
    hasher.finish()
}
