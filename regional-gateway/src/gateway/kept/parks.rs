//! Owners elsewhere that go on with sessions of the process before: they kept what they had for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rookery_model::GuildId;

use super::KeptPark;
use crate::gateway::registry::SessionHandle;
use crate::peers::frame::{ReturningSession, SessionRef};
use crate::peers::returning::Returning;
use crate::peers::{Peer, PeerIndex, Peers};

/// The peers that were asked to keep something, and who of those that were taken up counts on each.
pub struct Parks(BTreeMap<PeerIndex, Park>);

struct Park {
    peer: Arc<Peer>,
    token: u128,
    sessions: Vec<ReturningSession>,
}

impl Parks {
    /// Those that are still among the peers.
    pub fn new(peers: &Peers, kept: Vec<KeptPark>) -> Self {
        let mut parks = BTreeMap::new();
        for KeptPark { peer, token, shards } in kept {
            if let Some(peer) = peers.iter().find(|it| *it.name == *peer) {
                // Its sessions had these from it, and have them still.
                for shard in peers.ownership().read(&shards).iter() {
                    peers.ownership().learn(shard.shard, peer.index, shard.epoch);
                    peers.ownership().serve(shard.shard, peer.index, shard.epoch);
                }
                parks.insert(peer.index, Park { peer: Arc::clone(peer), token, sessions: Vec::new() });
            }
        }
        Self(parks)
    }

    /// Which of them has the owner of this id.
    pub fn of(&self, peers: &Peers, raw: u64) -> Option<PeerIndex> {
        peers.ownership().served_peer(raw).filter(|index| self.0.contains_key(index))
    }

    /// Divides the guilds that a session waits for: those of which the answer comes still, and the others.
    pub fn divide(
        &self,
        peers: &Peers,
        asked: Vec<GuildId>,
        mut waiting: Vec<GuildId>,
    ) -> (Vec<GuildId>, Vec<GuildId>) {
        let asked: Vec<GuildId> = asked.into_iter().filter(|id| self.of(peers, id.get()).is_some()).collect();
        waiting.retain(|id| !asked.contains(id));
        (asked, waiting)
    }

    /// Notes a session that was taken up, with the peers that have something of it.
    pub fn add(&mut self, peers: &Peers, handle: &SessionHandle, guild_ids: &[GuildId]) {
        let mut guilds: BTreeMap<PeerIndex, Vec<GuildId>> = BTreeMap::new();
        for guild_id in guild_ids {
            if let Some(index) = self.of(peers, guild_id.get()) {
                guilds.entry(index).or_default().push(*guild_id);
            }
        }
        let user = self.of(peers, handle.user_id.get());
        for (index, park) in &mut self.0 {
            let (guild_ids, has_user) = (guilds.remove(index).unwrap_or_default(), user == Some(*index));
            if has_user || !guild_ids.is_empty() {
                park.sessions.push(ReturningSession { session: SessionRef::of(handle), guild_ids, has_user });
            }
        }
    }

    /// All are noted: each peer is to be shown its own.
    pub fn expect_returns(self) {
        for Park { peer, token, sessions } in self.0.into_values() {
            peer.expect_return(Returning::new(token, sessions));
        }
    }
}
