//! What a voice connection is for, a guild, the channel of a call or a stream, with its members in voice.

use std::collections::BTreeMap;
use std::sync::Arc;

use rookery_model::voice::{RoomAdmission, RoomCommand, VoiceEntry, VoiceToken};
use rookery_model::{ChannelId, UserId, VoiceServerId};

/// The members of a server, and their nodes.
#[derive(Debug, Default)]
pub struct Server {
    /// By the region that channels want their rooms in; empty where they leave it open.
    pub places: BTreeMap<Arc<str>, Place>,
    pub members: BTreeMap<UserId, Member>,
}

/// Where the rooms of a server are that want the same region: at one node, and at more where they are too many for one or
/// live near another.
#[derive(Debug, Default)]
pub struct Place {
    /// In the order in which they were needed.
    pub sites: Vec<Site>,
}

/// A node of a place, with how many of its members are there.
#[derive(Debug)]
pub struct Site {
    pub node: Arc<str>,
    pub members: u32,
}

impl Place {
    /// A member more is at a node.
    pub fn come(&mut self, node: &Arc<str>) {
        match self.sites.iter_mut().find(|site| site.node == *node) {
            Some(site) => site.members += 1,
            None => self.sites.push(Site { node: node.clone(), members: 1 }),
        }
    }

    /// A member less is.
    pub fn leave(&mut self, node: &Arc<str>) {
        let Some(at) = self.sites.iter().position(|site| site.node == *node) else { return };
        self.sites[at].members -= 1;
        if self.sites[at].members == 0 {
            self.sites.remove(at);
        }
    }
}

impl Server {
    /// The node of a member.
    pub fn node_of(&self, user_id: UserId) -> Option<&Arc<str>> {
        self.members.get(&user_id)?.node.as_ref()
    }
}

/// A member, or one who is on their way out.
#[derive(Debug)]
pub struct Member {
    /// None: to be put out.
    pub entry: Option<VoiceEntry>,
    /// Which of the server's places they are at.
    pub wanted: Arc<str>,
    /// Where in it.
    pub node: Option<Arc<str>>,
    pub revision: u64,
    pub token: VoiceToken,
    /// When the command is said again; none once it is done.
    pub due_ms: Option<u64>,
    /// Whether the client was told where to go, with this token.
    pub is_told: bool,
}

impl Member {
    /// What their node is to do.
    pub fn command(&self, server_id: VoiceServerId, user_id: UserId) -> RoomCommand {
        let revision = self.revision;
        let Some(entry) = &self.entry else { return RoomCommand::Expel { server_id, user_id, revision } };
        RoomCommand::Admit(Box::new(RoomAdmission {
            revision,
            server_id,
            channel_id: entry.channel_id,
            kind: entry.kind,
            user_id,
            session_id: entry.session_id.clone(),
            rights: entry.rights,
            token: self.token.clone(),
        }))
    }

    /// The room that they are to be in, and its node; of those who leave none.
    pub fn seat(&self) -> Option<(ChannelId, &Arc<str>)> {
        Some((self.entry.as_ref()?.channel_id, self.node.as_ref()?))
    }
}

/// Whether a client that is told of the one has to be told of the other.
pub fn is_elsewhere(old: &VoiceEntry, new: &VoiceEntry) -> bool {
    let of = |entry: &VoiceEntry| (entry.channel_id, entry.subscriber, entry.visit);
    (of(old), &old.session_id, &old.rtc_region) != (of(new), &new.session_id, &new.rtc_region)
}
