//! The state machine.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use rookery_model::gateway::SubscriberId;
use rookery_model::voice::{LinkKey, RoomCommand, RoomEvent, RoomOwner, VoiceBeacon, VoiceEntry, VoiceToken};
use rookery_model::{UserId, VoiceServerId};

use crate::debts::{Debt, Debts};
use crate::links::{Links, Making};
use crate::nodes::{Change, Nodes};
use crate::server::{Member, Server, is_elsewhere};

/// Times, milliseconds, and limits.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// A node that says nothing for so long is dead.
    pub silent_after_ms: u64,
    /// A command that is not done is said again.
    pub again_after_ms: u64,
    /// Members of a server at one node, from which on others go to a further one.
    pub cascade_members: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { silent_after_ms: 700, again_after_ms: 200, cascade_members: 2_500 }
    }
}

/// Makes what nobody can guess.
pub trait Tokens {
    fn next_token(&mut self) -> VoiceToken;
    /// A name for a link, another one each time.
    fn next_link_id(&mut self) -> u64;
    fn next_link_key(&mut self) -> LinkKey;
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
    pub(crate) config: Config,
    /// The region whose nodes take what wants no other.
    pub(crate) home: Arc<str>,
    pub(crate) nodes: Nodes,
    pub(crate) servers: HashMap<VoiceServerId, Server>,
    debts: Debts,
    pub(crate) links: Links,
    /// Commands to be said again, by when.
    due: BTreeSet<(u64, VoiceServerId, UserId)>,
    /// The highest so far.
    revision: u64,
    pub(crate) outputs: VecDeque<Output>,
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
            links: Links::default(),
            due: BTreeSet::new(),
            revision,
            outputs: VecDeque::new(),
        }
    }

    /// A member is in a voice channel: newly, or otherwise than before.
    pub fn handle_entry(&mut self, now_ms: u64, entry: VoiceEntry, tokens: &mut impl Tokens) {
        let (server_id, user_id) = (entry.server_id, entry.user_id);
        let member = self.servers.get(&server_id).and_then(|server| server.members.get(&user_id));
        let old = member.and_then(|member| member.entry.as_ref());
        let stays = old.is_some_and(|old| !is_elsewhere(old, &entry));
        let left = member.and_then(|member| member.node.clone());
        let keeps_token = member.filter(|_| stays).map(|member| (member.token.clone(), member.is_told));
        let node = left.clone().filter(|_| stays).or_else(|| self.choose(&entry, left.as_deref()));
        let (token, is_told) = keeps_token.unwrap_or_else(|| (tokens.next_token(), false));
        if !is_told && node.is_none() {
            self.outputs.push_back(notice(&entry, &token, None));
        }
        // Where they are not any more, they must not be kept.
        if let Some(left) = left.filter(|left| Some(left) != node.as_ref() && self.nodes.get(left).is_some()) {
            self.owe(now_ms, &left, Debt::Member(server_id, user_id));
        }
        self.put(now_ms, server_id, user_id, Wish { node, entry: Some(entry), token, is_told });
    }

    /// A member is in no voice channel any more.
    pub fn handle_leave(&mut self, now_ms: u64, server_id: VoiceServerId, user_id: UserId) {
        let Some(server) = self.servers.get(&server_id) else { return };
        let Some(member) = server.members.get(&user_id).filter(|member| member.entry.is_some()) else { return };
        let (node, token) = (member.node.clone(), member.token.clone());
        self.put(now_ms, server_id, user_id, Wish { node, entry: None, token, is_told: false });
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
                self.links.forget(&beacon.node);
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
            RoomEvent::Linked { server_id, channel_id, revision, address } => {
                self.links.done(node, (server_id, channel_id), revision, address);
            }
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
            self.links.forget(&node);
            self.place_all(now_ms, |_, at| at == Some(&*node), tokens);
        }
        for (node, command) in self.debts.say_again(now_ms, now_ms + self.config.again_after_ms) {
            self.tell(node, command);
        }
        while let Some(&(due_ms, server_id, user_id)) = self.due.first().filter(|(due_ms, ..)| *due_ms <= now_ms) {
            self.due.remove(&(due_ms, server_id, user_id));
            if !self.go_on_elsewhere(now_ms, server_id, user_id) {
                self.say(now_ms, server_id, user_id);
            }
        }
        // Last: what is said above is what links are for.
        let Self { links, nodes, revision, config, .. } = self;
        let making = Making { now_ms, again_after_ms: config.again_after_ms, nodes, revision, tokens };
        for (node, command) in links.settle(making) {
            self.tell(node, command);
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        let again = self.due.first().map(|(due, ..)| *due);
        let silent = self.nodes.longest_silent_ms().map(|heard| heard + self.config.silent_after_ms);
        // Links are made when all is placed that is to be placed by now.
        let links = if self.links.is_dirty() { Some(0) } else { self.links.due_ms() };
        again.into_iter().chain(silent).chain(self.debts.due_ms()).chain(links).min()
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
    pub(crate) fn owe(&mut self, now_ms: u64, node: &Arc<str>, debt: Debt) {
        self.revision += 1;
        let command = self.debts.owe(node, debt, self.revision, now_ms + self.config.again_after_ms);
        self.tell(node.clone(), command);
    }

    fn tell(&mut self, node: Arc<str>, command: RoomCommand) {
        if let Some(boot) = self.nodes.get(&node).map(|node| node.boot) {
            self.outputs.push_back(Output::Command { node, boot, command });
        }
    }

    /// Puts a member's wish in place and says it to the node.
    pub(crate) fn put(&mut self, now_ms: u64, server_id: VoiceServerId, user_id: UserId, wish: Wish) {
        let Wish { node, entry, token, is_told } = wish;
        self.revision += 1;
        let known = self.servers.get(&server_id).and_then(|server| server.members.get(&user_id));
        let at = known.map(|member| member.wanted.clone());
        // Whoever is on their way out is still where they were.
        let wanted = entry.as_ref().map(wanted).or(at).unwrap_or_default();
        let (revision, due_ms) = (self.revision, None);
        let member = Member { entry, wanted, node, revision, token, due_ms, is_told };
        if let Some(old) = self.put_back(server_id, user_id, member) {
            self.vacate(server_id, user_id, &old);
        }
        self.say(now_ms, server_id, user_id);
    }

    /// Puts a member as it is; who was there before.
    pub(crate) fn put_back(&mut self, server_id: VoiceServerId, user_id: UserId, member: Member) -> Option<Member> {
        if let Some(due_ms) = member.due_ms {
            self.due.insert((due_ms, server_id, user_id));
        }
        if let Some((channel_id, node)) = member.seat() {
            self.links.come((server_id, channel_id), node);
        }
        let server = self.servers.entry(server_id).or_default();
        if let Some(node) = &member.node {
            server.places.entry(member.wanted.clone()).or_default().come(node);
            count(&mut self.nodes, node, |assigned| assigned.saturating_add(1));
        }
        server.members.insert(user_id, member)
    }

    /// What a member had is given back.
    pub(crate) fn vacate(&mut self, server_id: VoiceServerId, user_id: UserId, old: &Member) {
        if let Some(due_ms) = old.due_ms {
            self.due.remove(&(due_ms, server_id, user_id));
        }
        if let Some((channel_id, node)) = old.seat() {
            self.links.leave((server_id, channel_id), node);
        }
        let Some(node) = &old.node else { return };
        count(&mut self.nodes, node, |assigned| assigned.saturating_sub(1));
        if let Some(server) = self.servers.get_mut(&server_id)
            && let Some(place) = server.places.get_mut(&old.wanted)
        {
            place.leave(node);
            if place.sites.is_empty() {
                server.places.remove(&old.wanted);
            }
        }
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

    pub(crate) fn forget(&mut self, server_id: VoiceServerId, user_id: UserId) {
        let Some(server) = self.servers.get_mut(&server_id) else { return };
        if let Some(member) = server.members.remove(&user_id) {
            self.vacate(server_id, user_id, &member);
        }
        if self.servers.get(&server_id).is_some_and(|server| server.members.is_empty()) {
            self.servers.remove(&server_id);
        }
    }
}

/// What is wanted of a member from now on, and where.
pub(crate) struct Wish {
    pub node: Option<Arc<str>>,
    pub entry: Option<VoiceEntry>,
    pub token: VoiceToken,
    pub is_told: bool,
}

/// At no node, or at one that drains.
fn has_no_place(nodes: &Nodes, at: Option<&str>) -> bool {
    at.is_none_or(|at| !nodes.takes_rooms(at))
}

fn count(nodes: &mut Nodes, name: &str, change: impl FnOnce(u32) -> u32) {
    if let Some(node) = nodes.get_mut(name) {
        node.assigned = change(node.assigned);
    }
}

/// The place of a server that is for somebody.
pub(crate) fn wanted(entry: &VoiceEntry) -> Arc<str> {
    entry.rtc_region.as_deref().unwrap_or_default().into()
}

pub(crate) fn notice(entry: &VoiceEntry, token: &VoiceToken, endpoint: Option<Arc<str>>) -> Output {
    let notice = Notice::Server {
        user_id: entry.user_id,
        subscriber: entry.subscriber,
        session_id: entry.session_id.clone(),
        token: token.clone(),
        endpoint,
    };
    Output::Notice { owner: entry.owner, server_id: entry.server_id, notice }
}
