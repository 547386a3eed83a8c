//! The state machine.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;
use rookery_model::voice::{RoomCommand, RoomEvent, RoomOwner, VoiceBeacon, VoiceEntry, VoiceToken};
use rookery_model::{UserId, VoiceServerId};

use crate::debts::{Debt, Debts};
use crate::nodes::{Change, Nodes};
use crate::server::{Member, Server, is_elsewhere};

/// Times, milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// A node that says nothing for so long is dead.
    pub silent_after_ms: u64,
    /// A command that is not done is said again.
    pub again_after_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { silent_after_ms: 700, again_after_ms: 200 }
    }
}

/// Makes tokens that nobody can guess.
pub trait Tokens {
    fn next_token(&mut self) -> VoiceToken;
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tell a voice node. It is meant for the process of this start alone: one that starts later must not take it.
    Command { node: Arc<str>, boot: u64, command: RoomCommand },
    /// Tell the owner whose rooms they are.
    Notice { owner: RoomOwner, server_id: VoiceServerId, notice: Notice },
}

/// What an owner is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A member's client is to connect there; with no endpoint it waits until it is told one.
    Server {
        user_id: UserId,
        subscriber: SubscriberId,
        session_id: Box<str>,
        token: VoiceToken,
        endpoint: Option<Arc<str>>,
    },
    /// A member's voice connection is gone for good.
    Gone { user_id: UserId, session_id: Box<str> },
}

/// The voice rooms of the servers whose owners are here.
#[derive(Debug)]
pub struct VoiceRooms {
    config: Config,
    /// The region whose nodes take what wants no other.
    home: Arc<str>,
    nodes: Nodes,
    servers: HashMap<VoiceServerId, Server>,
    debts: Debts,
    /// Commands to be said again, by when.
    due: BTreeSet<(u64, VoiceServerId, UserId)>,
    /// The highest so far.
    revision: u64,
    outputs: VecDeque<Output>,
}

impl VoiceRooms {
    /// Without nodes and rooms, in a region. Revisions are above `revision`, which is above all that an earlier process here gave.
    pub fn new(config: Config, home: impl Into<Arc<str>>, revision: u64) -> Self {
        Self {
            config,
            home: home.into(),
            nodes: Nodes::default(),
            servers: HashMap::new(),
            debts: Debts::default(),
            due: BTreeSet::new(),
            revision,
            outputs: VecDeque::new(),
        }
    }

    /// A member is in a voice channel: newly, or otherwise than before.
    pub fn handle_entry(&mut self, now_ms: u64, entry: VoiceEntry, tokens: &mut impl Tokens) {
        let (server_id, user_id) = (entry.server_id, entry.user_id);
        let wanted = wanted(&entry);
        self.place(server_id, &wanted);
        let server = self.servers.entry(server_id).or_default();
        let node = server.places.get(&wanted).and_then(|place| place.node.clone());
        let left = server.node_of(user_id).filter(|left| Some(*left) != node.as_ref()).cloned();
        let keeps_token = server.members.get(&user_id).and_then(|member| {
            let old = member.entry.as_ref()?;
            (!is_elsewhere(old, &entry)).then(|| (member.token.clone(), member.is_told))
        });
        let (token, is_told) = keeps_token.unwrap_or_else(|| (tokens.next_token(), false));
        if !is_told && node.is_none() {
            self.outputs.push_back(notice(&entry, &token, None));
        }
        // Where they are not any more, they must not be kept.
        if let Some(left) = left.filter(|left| self.nodes.get(left).is_some()) {
            self.owe(now_ms, &left, Debt::Member(server_id, user_id));
        }
        self.put(now_ms, server_id, user_id, Some(entry), token, is_told);
    }

    /// A member is in no voice channel any more.
    pub fn handle_leave(&mut self, now_ms: u64, server_id: VoiceServerId, user_id: UserId) {
        let Some(server) = self.servers.get(&server_id) else { return };
        let Some(member) = server.members.get(&user_id).filter(|member| member.entry.is_some()) else { return };
        let token = member.token.clone();
        self.put(now_ms, server_id, user_id, None, token, false);
    }

    /// A voice node of a region says that it is there; no two have one name.
    pub fn handle_beacon(&mut self, now_ms: u64, region: &Arc<str>, beacon: &VoiceBeacon, tokens: &mut impl Tokens) {
        let change = self.nodes.heard(now_ms, region, beacon);
        let is_this = |_: &Nodes, at: Option<&str>| at == Some(&*beacon.node);
        match change {
            Change::Nothing => {}
            Change::New => {
                // It may have members of a process before this one, or of the time before it was silent.
                self.owe(now_ms, &Arc::from(&*beacon.node), Debt::Everything);
                self.place_all(now_ms, has_no_place, tokens);
            }
            Change::Opened => self.place_all(now_ms, has_no_place, tokens),
            Change::Drains => self.place_all(now_ms, is_this, tokens),
            Change::Restarted => {
                self.debts.forgive(&beacon.node);
                self.place_all(now_ms, is_this, tokens);
                self.place_all(now_ms, has_no_place, tokens);
            }
        }
    }

    /// A voice node tells something.
    pub fn handle_event(&mut self, node: &str, event: RoomEvent) {
        match event {
            RoomEvent::Done { server_id, user_id, revision } => {
                self.debts.done(node, Debt::Member(server_id, user_id), revision);
                self.done(node, server_id, user_id, revision);
            }
            RoomEvent::Cleared { revision } => self.debts.done(node, Debt::Everything, revision),
            RoomEvent::Gone { server_id, user_id, session_id } => {
                let is_there = |server: &&Server| server.node_of(user_id).is_some_and(|at| **at == *node);
                let Some(server) = self.servers.get(&server_id).filter(is_there) else { return };
                let entry = server.members.get(&user_id).and_then(|member| member.entry.as_ref());
                if let Some(owner) = entry.filter(|entry| entry.session_id == session_id).map(|entry| entry.owner) {
                    let notice = Notice::Gone { user_id, session_id };
                    self.outputs.push_back(Output::Notice { owner, server_id, notice });
                }
            }
        }
    }

    /// Says commands again that are not done, and gives the rooms of silent nodes to others.
    pub fn handle_timeout(&mut self, now_ms: u64, tokens: &mut impl Tokens) {
        let silent = now_ms.checked_sub(self.config.silent_after_ms).map(|since| self.nodes.fall_silent(since));
        for node in silent.into_iter().flatten() {
            self.debts.forgive(&node);
            self.place_all(now_ms, |_, at| at == Some(&*node), tokens);
        }
        for (node, command) in self.debts.say_again(now_ms, now_ms + self.config.again_after_ms) {
            self.tell(node, command);
        }
        while let Some(&(due_ms, server_id, user_id)) = self.due.first() {
            if due_ms > now_ms {
                return;
            }
            self.due.pop_first();
            self.say(now_ms, server_id, user_id);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        let again = self.due.first().map(|(due, ..)| *due);
        let silent = self.nodes.longest_silent_ms().map(|heard| heard + self.config.silent_after_ms);
        again.into_iter().chain(silent).chain(self.debts.due_ms()).min()
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Members of all servers, and servers that have some.
    pub fn count(&self) -> (usize, usize) {
        (self.servers.values().map(|server| server.members.len()).sum(), self.servers.len())
    }

    /// Has a node forget something.
    fn owe(&mut self, now_ms: u64, node: &Arc<str>, debt: Debt) {
        self.revision += 1;
        let command = self.debts.owe(node, debt, self.revision, now_ms + self.config.again_after_ms);
        self.tell(node.clone(), command);
    }

    fn tell(&mut self, node: Arc<str>, command: RoomCommand) {
        if let Some(boot) = self.nodes.get(&node).map(|node| node.boot) {
            self.outputs.push_back(Output::Command { node, boot, command });
        }
    }

    /// Gives rooms of a server a node that have none.
    fn place(&mut self, server_id: VoiceServerId, wanted: &Arc<str>) {
        let place = self.servers.entry(server_id).or_default().places.entry(wanted.clone()).or_default();
        if place.node.is_none() {
            place.node = self.nodes.pick(server_id, [wanted, &self.home]).map(|node| node.name.clone());
        }
    }

    /// Puts a member's wish in place and says it to the node.
    fn put(
        &mut self,
        now_ms: u64,
        server_id: VoiceServerId,
        user_id: UserId,
        entry: Option<VoiceEntry>,
        token: VoiceToken,
        is_told: bool,
    ) {
        self.revision += 1;
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        let at = server.members.get(&user_id).map(|member| member.wanted.clone());
        // Whoever is on their way out is still where they were.
        let wanted = entry.as_ref().map(wanted).or(at).unwrap_or_default();
        let member = Member { entry, wanted: wanted.clone(), revision: self.revision, token, due_ms: None, is_told };
        let old = server.members.insert(user_id, member);
        if let Some(due_ms) = old.as_ref().and_then(|old| old.due_ms) {
            self.due.remove(&(due_ms, server_id, user_id));
        }
        let left = old.map(|old| old.wanted);
        if left.as_ref() != Some(&wanted) {
            let place = server.places.entry(wanted).or_default();
            place.members = place.members.saturating_add(1);
            count(&mut self.nodes, place.node.as_deref(), |assigned| assigned.saturating_add(1));
            if let Some(left) = left {
                leave(&mut self.nodes, server, &left);
            }
        }
        self.say(now_ms, server_id, user_id);
    }

    /// Says to the node what it is to do with a member; without a node nothing, and whoever was to leave is gone.
    fn say(&mut self, now_ms: u64, server_id: VoiceServerId, user_id: UserId) {
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        let node = server.node_of(user_id).cloned();
        let Some(member) = server.members.get_mut(&user_id) else { return };
        let Some(node) = node else {
            member.due_ms = None;
            if member.entry.is_none() {
                self.forget(server_id, user_id);
            }
            return;
        };
        let due_ms = now_ms + self.config.again_after_ms;
        member.due_ms = Some(due_ms);
        self.debts.forgive_member(&node, server_id, user_id);
        self.due.insert((due_ms, server_id, user_id));
        let command = member.command(server_id, user_id);
        self.tell(node, command);
    }

    fn done(&mut self, node: &str, server_id: VoiceServerId, user_id: UserId, revision: u64) {
        let is_there = |server: &&mut Server| server.node_of(user_id).is_some_and(|at| **at == *node);
        let Some(server) = self.servers.get_mut(&server_id).filter(is_there) else { return };
        let Some(member) = server.members.get_mut(&user_id).filter(|member| member.revision == revision) else {
            return;
        };
        if let Some(due_ms) = member.due_ms.take() {
            self.due.remove(&(due_ms, server_id, user_id));
        }
        let Some(entry) = &member.entry else { return self.forget(server_id, user_id) };
        if !std::mem::replace(&mut member.is_told, true) {
            let endpoint = self.nodes.get(node).map(|node| node.endpoint.clone());
            self.outputs.push_back(notice(entry, &member.token, endpoint));
        }
    }

    fn forget(&mut self, server_id: VoiceServerId, user_id: UserId) {
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        if let Some(member) = server.members.remove(&user_id) {
            leave(&mut self.nodes, server, &member.wanted);
            if let Some(due_ms) = member.due_ms {
                self.due.remove(&(due_ms, server_id, user_id));
            }
        }
        if server.members.is_empty() {
            self.servers.remove(&server_id);
        }
    }

    /// Gives rooms whose node, or none, is such a one to another that is there.
    fn place_all(&mut self, now_ms: u64, is_from: impl Fn(&Nodes, Option<&str>) -> bool, tokens: &mut impl Tokens) {
        let places = self.servers.iter().flat_map(|(id, server)| server.places.iter().map(move |place| (*id, place)));
        let mut concerned: Vec<(VoiceServerId, Arc<str>)> = places
            .filter(|(_, (_, place))| is_from(&self.nodes, place.node.as_deref()))
            .map(|(id, (wanted, _))| (id, wanted.clone()))
            .collect();
        concerned.sort_unstable();
        for (server_id, wanted) in concerned {
            self.move_place(now_ms, server_id, &wanted, tokens);
        }
    }

    fn move_place(&mut self, now_ms: u64, server_id: VoiceServerId, wanted: &Arc<str>, tokens: &mut impl Tokens) {
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        let Some(place) = server.places.get_mut(wanted) else { return };
        let old = place.node.take();
        let picked = self.nodes.pick(server_id, [wanted, &self.home]).map(|node| node.name.clone());
        // Where nobody else is there, a node that drains is better than none while it lasts.
        let stays = picked.is_none() && old.as_deref().is_some_and(|name| self.nodes.get(name).is_some());
        place.node = if stays { old.clone() } else { picked };
        let (new, members) = (place.node.clone(), place.members);
        let is_same = new == old;
        if !is_same {
            count(&mut self.nodes, old.as_deref(), |assigned| assigned.saturating_sub(members));
            count(&mut self.nodes, new.as_deref(), |assigned| assigned.saturating_add(members));
        }
        let drains_on = stays && old.as_deref().is_some_and(|name| !self.nodes.takes_rooms(name));
        if drains_on || (old.is_none() && new.is_none()) {
            return;
        }
        let there = server.members.iter().filter(|(_, member)| member.wanted == *wanted);
        let members: Vec<(UserId, Option<VoiceEntry>)> =
            there.map(|(user_id, member)| (*user_id, member.entry.clone())).collect();
        let (old, has_node) = (old.filter(|_| !is_same), new.is_some());
        for (user_id, entry) in members {
            // The node before may be there still, and must not keep what moved.
            if let Some(node) = old.as_ref().filter(|name| self.nodes.get(name).is_some()) {
                self.owe(now_ms, node, Debt::Member(server_id, user_id));
            }
            let Some(entry) = entry else {
                self.forget(server_id, user_id);
                continue;
            };
            let token = tokens.next_token();
            if !has_node {
                self.outputs.push_back(notice(&entry, &token, None));
            }
            self.put(now_ms, server_id, user_id, Some(entry), token, false);
        }
    }
}

/// At no node, or at one that drains.
fn has_no_place(nodes: &Nodes, at: Option<&str>) -> bool {
    at.is_none_or(|at| !nodes.takes_rooms(at))
}

fn count(nodes: &mut Nodes, name: Option<&str>, change: impl FnOnce(u32) -> u32) {
    if let Some(node) = name.and_then(|name| nodes.get_mut(name)) {
        node.assigned = change(node.assigned);
    }
}

/// The place of a server that is for somebody.
fn wanted(entry: &VoiceEntry) -> Arc<str> {
    entry.rtc_region.as_deref().unwrap_or_default().into()
}

/// One member less is at a place, which ends with the last.
fn leave(nodes: &mut Nodes, server: &mut Server, wanted: &Arc<str>) {
    let Some(place) = server.places.get_mut(wanted) else { return };
    count(nodes, place.node.as_deref(), |assigned| assigned.saturating_sub(1));
    place.members = place.members.saturating_sub(1);
    if place.members == 0 {
        server.places.remove(wanted);
    }
}

fn notice(entry: &VoiceEntry, token: &VoiceToken, endpoint: Option<Arc<str>>) -> Output {
    let notice = Notice::Server {
        user_id: entry.user_id,
        subscriber: entry.subscriber,
        session_id: entry.session_id.clone(),
        token: token.clone(),
        endpoint,
    };
    Output::Notice { owner: entry.owner, server_id: entry.server_id, notice }
}
