//! One room at several nodes: each link gets one copy of what anybody behind it hears or wants to see.
//!
//! Nodes form a tree. A packet is taken from a link only if its sender is known to be behind that one, and a sender is
//! known behind one link at a time, never behind one's own node; so packets do not go round, whatever peers say. Should nodes
//! nevertheless be wired in a ring, packets end after [`hops_max`](crate::RoomConfig::hops_max) links.

use rookery_model::UserId;

use super::Room;
use crate::event::Event;
use crate::member::{JoinRefused, Kind, Member, MemberFlags, RemoteJoin};
use crate::outlet::{Feedback, Outlet};
use crate::ssrc::Streams;
use crate::{MemberKey, NodeId, Ssrc};

impl Room {
    /// Adds a link to another node, which is sent what is heard here, and what it [wants](Self::set_wants) to see.
    pub fn add_link(&mut self, node: NodeId, feedback: Feedback) -> Result<MemberKey, JoinRefused> {
        if node == self.node {
            return Err(JoinRefused::Loop);
        }
        if self.links.iter().any(|link| self.node_behind(*link) == Some(node)) {
            return Err(JoinRefused::AlreadyIn);
        }
        if self.links.len() >= self.config.links_max {
            return Err(JoinRefused::TooManyLinks);
        }
        let none = Streams { audio: Ssrc(0), video: Ssrc(0), rtx: Ssrc(0) };
        let mut member = Member::new(UserId::new(0), Kind::Link { node }, MemberFlags::empty(), none);
        member.feedback = feedback;
        if feedback != Feedback::None {
            member.outlet = Some(Box::new(Outlet { is_link: true, ..Outlet::new(feedback, &self.config.bandwidth) }));
        }
        let key = self.insert(member);
        self.begin_hearing(key);
        Ok(key)
    }

    /// Makes a member of another node known, whose packets come over a link.
    pub fn join_remote(&mut self, join: RemoteJoin) -> Result<MemberKey, JoinRefused> {
        if join.origin == self.node {
            return Err(JoinRefused::Loop);
        }
        if self.node_behind(join.link).is_none() {
            return Err(JoinRefused::NoSuchLink);
        }
        if self.users.contains_key(&join.user) {
            return Err(JoinRefused::AlreadyIn);
        }
        if self.remotes >= self.config.remotes_max {
            return Err(JoinRefused::Full);
        }
        if !self.ssrcs.are_free(join.streams) {
            return Err(JoinRefused::SsrcTaken);
        }
        let kind = Kind::Remote { link: join.link, origin: join.origin };
        Ok(self.insert(Member::new(join.user, kind, join.flags, join.streams)))
    }

    fn node_behind(&self, link: MemberKey) -> Option<NodeId> {
        match self.members.get(link)?.kind {
            Kind::Link { node } => Some(node),
            _ => None,
        }
    }

    /// The node at which a member is, if it is another one.
    pub fn origin_of(&self, key: MemberKey) -> Option<NodeId> {
        match self.members.get(key)?.kind {
            Kind::Remote { origin, .. } => Some(origin),
            _ => None,
        }
    }

    /// The link over which a remote member's packets come, and over which to ask for key frames.
    pub fn link_of(&self, key: MemberKey) -> Option<MemberKey> {
        self.members.get(key)?.via()
    }

    /// Lets go all who came over a link that is gone.
    pub(super) fn drop_remotes_of(&mut self, now_us: u64, link: MemberKey) {
        let gone: Vec<(MemberKey, UserId)> = self
            .members
            .iter()
            .filter(|(_, member)| member.via() == Some(link))
            .map(|(key, member)| (key, member.user))
            .collect();
        for (member, user) in gone {
            self.leave(now_us, member);
            self.emit(Event::RemoteLeft { member, user });
        }
    }
}
