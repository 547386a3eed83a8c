//! Where members of a server go.

use std::cmp::Reverse;
use std::sync::Arc;

use rookery_model::voice::{VoiceEntry, VoiceRoomKind};
use rookery_model::{UserId, VoiceServerId};

use crate::debts::Debt;
use crate::nodes::{Node, Nodes};
use crate::rooms::{Tokens, VoiceRooms, Wish, notice, wanted};
use crate::server::{Member, Place, Site};

impl VoiceRooms {
    /// The node for a member, who may be at one already; none where none takes anybody.
    ///
    /// It is in the region where the member's session is, if the channel leaves that open and there is a node, else where the
    /// others are. There it is a node that has the room already while there is room for more, and else a further one.
    pub(crate) fn choose(&self, entry: &VoiceEntry, at: Option<&str>) -> Option<Arc<str>> {
        let (wanted, none) = (wanted(entry), Place::default());
        let place = self.servers.get(&entry.server_id).and_then(|server| server.places.get(&wanted)).unwrap_or(&none);
        // A stream has so few viewers that all of it is at one node, while that is there.
        let is_stream = matches!(entry.kind, VoiceRoomKind::Stream(_));
        let takes = |site: &&Site| self.nodes.get(&site.node).is_some_and(|node| node.takes(false));
        if let Some(site) = place.sites.iter().find(takes).filter(|_| is_stream) {
            return Some(site.node.clone());
        }
        let session_region = entry.session_region.as_deref().filter(|_| wanted.is_empty());
        let first = place.sites.first().and_then(|site| self.nodes.get(&site.node));
        let first_region = first.map(|node| &*node.region);
        let regions = [session_region, first_region, Some(&*wanted), Some(&*self.home)];
        // Rather far away than where no room is, and rather there than nowhere.
        [true, false].into_iter().find_map(|more| {
            let there = |region: Option<&str>| self.choose_in(place, entry, at, (region, more));
            regions.into_iter().flatten().find_map(|region| there(Some(region))).or_else(|| there(None))
        })
    }

    fn choose_in(
        &self,
        place: &Place,
        entry: &VoiceEntry,
        at: Option<&str>,
        (region, more): (Option<&str>, bool),
    ) -> Option<Arc<str>> {
        let room = (entry.server_id, entry.channel_id);
        let fits = |node: &Node| node.takes(more) && region.is_none_or(|region| *node.region == *region);
        let open = |site: &&Site| self.nodes.get(&site.node).is_some_and(fits);
        let others = |site: &Site| site.members - u32::from(at == Some(&*site.node));
        let has_room = |site: &&Site| others(site) < self.config.cascade_members;
        // Where the channel is, and of equals what was needed first: so fewer nodes need links.
        let sites = place.sites.iter().filter(open).filter(has_room).enumerate();
        let best = sites.max_by_key(|(order, site)| (self.links.has_members(room, &site.node), Reverse(*order)));
        if let Some((_, site)) = best {
            return Some(site.node.clone());
        }
        let numbers = |number: u16| {
            let there = place.sites.iter().filter_map(|site| self.nodes.get(&site.node));
            there.into_iter().any(|node| node.number == number)
        };
        let further = self.nodes.pick(entry.server_id, |node| fits(node) && !numbers(node.number));
        if let Some(further) = further {
            return Some(further.name.clone());
        }
        place.sites.iter().filter(open).min_by_key(|site| others(site)).map(|site| site.node.clone())
    }

    /// Sends a member who is not let in yet to another node, if theirs takes no more; whether it did.
    pub(crate) fn go_on_elsewhere(&mut self, now_ms: u64, server_id: VoiceServerId, user_id: UserId) -> bool {
        let member = self.servers.get(&server_id).and_then(|server| server.members.get(&user_id));
        let Some(member) = member.filter(|member| !member.is_told) else { return false };
        let (Some(entry), Some(at)) = (&member.entry, member.node.clone()) else { return false };
        if self.nodes.get(&at).is_none_or(|node| node.takes(true)) {
            return false;
        }
        let node = self.choose(entry, Some(&at));
        if node.is_none() || node.as_ref() == Some(&at) {
            return false;
        }
        let (entry, token) = (member.entry.clone(), member.token.clone());
        self.owe(now_ms, &at, Debt::Member(server_id, user_id));
        self.put(now_ms, server_id, user_id, Wish { node, entry, token, is_told: false });
        true
    }

    /// Gives members whose node, or none, is such a one to another that is there.
    pub(crate) fn place_all(
        &mut self,
        now_ms: u64,
        is_from: impl Fn(&Nodes, Option<&str>) -> bool,
        tokens: &mut impl Tokens,
    ) {
        let mut concerned: Vec<(VoiceServerId, UserId)> = Vec::new();
        for (server_id, server) in &self.servers {
            let there = server.members.iter().filter(|(_, member)| is_from(&self.nodes, member.node.as_deref()));
            concerned.extend(there.map(|(user_id, _)| (*server_id, *user_id)));
        }
        concerned.sort_unstable();
        // None of them counts where they were while they are placed anew: so they stay together.
        let taken: Vec<_> = concerned.into_iter().filter_map(|(server, user)| self.take(server, user)).collect();
        for (server_id, user_id, member) in taken {
            self.place_anew(now_ms, server_id, user_id, member, tokens);
        }
        self.servers.retain(|_, server| !server.members.is_empty());
    }

    fn take(&mut self, server_id: VoiceServerId, user_id: UserId) -> Option<(VoiceServerId, UserId, Member)> {
        let member = self.servers.get_mut(&server_id)?.members.remove(&user_id)?;
        self.vacate(server_id, user_id, &member);
        Some((server_id, user_id, member))
    }

    fn place_anew(
        &mut self,
        now_ms: u64,
        server_id: VoiceServerId,
        user_id: UserId,
        member: Member,
        tokens: &mut impl Tokens,
    ) {
        let old = member.node.clone().filter(|name| self.nodes.get(name).is_some());
        let Some(entry) = &member.entry else {
            if let Some(old) = old {
                self.owe(now_ms, &old, Debt::Member(server_id, user_id));
            }
            return;
        };
        let node = self.choose(entry, None);
        // Where nobody else is there, a node that drains is better than none while it lasts.
        if node.is_none() && (old.is_some() || member.node.is_none()) {
            return drop(self.put_back(server_id, user_id, member));
        }
        // The node before may be there still, and must not keep what moved.
        if let Some(old) = old.filter(|old| Some(old) != node.as_ref()) {
            self.owe(now_ms, &old, Debt::Member(server_id, user_id));
        }
        let token = tokens.next_token();
        if node.is_none() {
            self.outputs.push_back(notice(entry, &token, None));
        }
        self.put(now_ms, server_id, user_id, Wish { node, entry: member.entry, token, is_told: false });
    }
}
