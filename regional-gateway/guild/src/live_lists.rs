//! The member lists that sessions look at, kept true as members, roles and channels change.
//!
//! A list is made when the first session looks at it and forgotten some time after the last one left. What a change does to
//! it goes, at that point of the guild's stream, to those who look at it and may still view its channel: a session that
//! loses sight is taken off before anything of the change is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rookery_model::channel::Channel;
use rookery_model::gateway::guild_subscriptions::{RANGE_MAX_LEN, Range};
use rookery_model::gateway::{
    Event, GuildMemberListUpdate, ListMember, MemberGroupId, MemberListItem, MemberListOp, Presence, Status,
    SubscriberId, Subscription,
};
use rookery_model::{ChannelId, Permissions, RoleId, UserId};

use crate::Outcome;
use crate::access::Rank;
use crate::id_set::IdSet;
use crate::journal::Note;
use crate::member_list::{Item, MemberList, Op, Spans, list_id, sort_name};
use crate::presence::Presences;
use crate::state::{GuildCore, GuildSpace, Space};

/// Up to this many members a guild's lists name the offline ones, too.
const OFFLINE_LISTED_MAX: usize = 1_000;
/// Lists that nobody looks at and that are kept all the same: making one costs by the number of those online, and a client
/// that goes back and forth between channels shall not cause that each time.
const IDLE_LISTS_MAX: usize = 4;

/// Which of the guild's lists: the overwrites that decide who is in it.
type ListKey = Arc<str>;

/// The lists that are looked at.
#[derive(Default)]
pub(crate) struct LiveLists {
    lists: BTreeMap<ListKey, LiveList>,
    looks: HashMap<SubscriberId, Look>,
    /// Those of them that look at a user by name.
    lookers: HashMap<UserId, BTreeSet<SubscriberId>>,
    /// Lists that nobody looks at, the oldest first.
    idle: Vec<ListKey>,
    /// Whether the lists name offline members.
    names_offline: bool,
}

/// What a session looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub typing: bool,
    pub activities: bool,
    pub threads: bool,
    pub members: Vec<UserId>,
    pub channels: BTreeMap<ChannelId, Vec<Range>>,
    /// The lists of those channels that the user views.
    lists: BTreeMap<ListKey, Spans>,
}

impl Look {
    /// Whether the session looks at the guild at all.
    pub fn is_any(&self) -> bool {
        self.typing || self.activities || self.threads || !self.members.is_empty() || !self.channels.is_empty()
    }
}

struct LiveList {
    id: String,
    /// One of the channels that have this list.
    channel_id: ChannelId,
    list: MemberList,
    watchers: BTreeMap<Spans, IdSet>,
}

impl LiveLists {
    pub fn look(&self, id: SubscriberId) -> Look {
        self.looks.get(&id).cloned().unwrap_or_default()
    }
    /// What all sessions look at.
    pub fn looks(&self) -> Vec<(SubscriberId, Subscription)> {
        let of = |look: &Look| Subscription {
            typing: Some(look.typing),
            activities: Some(look.activities),
            threads: Some(look.threads),
            members: Some(look.members.clone()),
            channels: Some(look.channels.clone()),
        };
        self.looks.iter().map(|(id, look)| (*id, of(look))).collect()
    }
    /// Lists in memory.
    pub fn len(&self) -> usize {
        self.lists.len()
    }

    /// The session looks at nothing any more.
    pub fn forget(&mut self, id: SubscriberId) {
        let Some(look) = self.looks.remove(&id) else { return };
        self.drop_lookers(id, look.members.iter());
        for (key, spans) in look.lists {
            self.unwatch(&key, &spans, id);
        }
        if self.looks.is_empty() {
            (self.lists, self.idle) = (BTreeMap::new(), Vec::new());
        }
    }

    /// The sessions that look at a user by name, ascending.
    pub fn lookers(&self, user_id: UserId) -> Vec<SubscriberId> {
        self.lookers.get(&user_id).into_iter().flatten().copied().collect()
    }

    /// Takes over what a session looks at.
    fn put_look(&mut self, id: SubscriberId, look: Look) {
        for user_id in &look.members {
            self.lookers.entry(*user_id).or_default().insert(id);
        }
        if let Some(before) = self.looks.insert(id, look) {
            let now = self.looks.get(&id).map(|look| look.members.clone()).unwrap_or_default();
            self.drop_lookers(id, before.members.iter().filter(|user_id| !now.contains(user_id)));
        }
    }

    fn drop_lookers<'a>(&mut self, id: SubscriberId, users: impl Iterator<Item = &'a UserId>) {
        for user_id in users {
            if let Some(lookers) = self.lookers.get_mut(user_id) {
                lookers.remove(&id);
                if lookers.is_empty() {
                    self.lookers.remove(user_id);
                }
            }
        }
    }

    fn unwatch(&mut self, key: &ListKey, spans: &Spans, id: SubscriberId) {
        let Some(live) = self.lists.get_mut(key) else { return };
        if let Some(ids) = live.watchers.get_mut(spans) {
            ids.set(id, false);
            if ids.is_empty() {
                live.watchers.remove(spans);
            }
        }
        if live.watchers.is_empty() && !self.idle.contains(key) {
            self.idle.push(Arc::clone(key));
            if self.idle.len() > IDLE_LISTS_MAX {
                let oldest = self.idle.remove(0);
                self.lists.remove(&oldest);
            }
        }
    }

    fn watch(&mut self, key: &ListKey, spans: &Spans, id: SubscriberId) {
        let Some(live) = self.lists.get_mut(key) else { return };
        live.watchers.entry(spans.clone()).or_default().set(id, true);
        self.idle.retain(|idle| idle != key);
    }

    /// Where a member stands in the list of a channel; none if not in it.
    fn place(
        &self,
        guild: &GuildSpace,
        presences: &Presences,
        channel: &Channel,
        user_id: UserId,
    ) -> Option<(MemberGroupId, Arc<str>)> {
        let entry = guild.members().get(user_id)?;
        let group = match status(presences, user_id) {
            Status::Offline | Status::Invisible if !self.names_offline => return None,
            Status::Offline | Status::Invisible => MemberGroupId::Offline,
            Status::Online | Status::Idle | Status::Dnd => hoisted(guild, &entry.row.roles),
        };
        guild.can_view(user_id, channel).then(|| (group, sort_name(entry.row.nick.as_deref(), &entry.user)))
    }

    fn make_list(&self, guild: &GuildSpace, presences: &Presences, channel: &Channel) -> MemberList {
        let place = |user_id| {
            let (group, name) = self.place(guild, presences, channel, user_id)?;
            Some((user_id, group, name))
        };
        if self.names_offline {
            let all = guild.members().iter().map(|entry| entry.row.user_id);
            return MemberList::new(groups(guild, true), all.filter_map(place));
        }
        MemberList::new(groups(guild, false), presences.users().filter_map(place))
    }

    fn ensure_list(&mut self, guild: &GuildSpace, presences: &Presences, key: &ListKey, channel: &Channel) {
        if self.lists.contains_key(key) {
            return;
        }
        let list = self.make_list(guild, presences, channel);
        let id = wire_id(guild, channel);
        let live = LiveList { id, channel_id: channel.id, list, watchers: BTreeMap::new() };
        self.lists.insert(Arc::clone(key), live);
    }

    /// The lists that a session may look at now, each with the positions that it asked for.
    fn wanted(&self, guild: &GuildSpace, user_id: UserId, look: &Look) -> BTreeMap<ListKey, (ChannelId, Vec<Range>)> {
        let mut wanted: BTreeMap<ListKey, (ChannelId, Vec<Range>)> = BTreeMap::new();
        for (id, ranges) in &look.channels {
            let Some(channel) = guild.channels().get(id).filter(|channel| guild.can_view(user_id, channel)) else {
                continue;
            };
            let (_, all) = wanted.entry(list_key(guild, channel)).or_insert_with(|| (*id, Vec::new()));
            all.extend(ranges);
        }
        wanted
    }

    fn view(&self, guild: &GuildSpace, presences: &Presences, item: Item) -> Option<MemberListItem> {
        let user_id = match item {
            Item::Group(group) => return Some(MemberListItem::Group(group)),
            Item::Member(user_id) => user_id,
        };
        let presence = presences.get(user_id).map_or_else(Presence::default, |presence| Presence::clone(presence));
        let presence = presence.of(user_id.into(), None);
        let member = guild.members().get(user_id)?.view();
        Some(MemberListItem::Member(Box::new(ListMember { member, presence })))
    }

    fn event(&self, guild: &GuildSpace, presences: &Presences, live: &LiveList, ops: Vec<Op>) -> Event {
        let view = |item| self.view(guild, presences, item);
        let ops = ops.into_iter().filter_map(|op| {
            Some(match op {
                Op::Sync { range, items } => {
                    MemberListOp::Sync { range, items: items.into_iter().filter_map(view).collect() }
                }
                Op::Insert { index, item } => MemberListOp::Insert { index, item: view(item)? },
                Op::Update { index, item } => MemberListOp::Update { index, item: view(item)? },
                Op::Delete { index } => MemberListOp::Delete { index },
                Op::Invalidate { range } => MemberListOp::Invalidate { range },
            })
        });
        Event::GuildMemberListUpdate(Box::new(GuildMemberListUpdate {
            guild_id: guild.id(),
            id: live.id.clone(),
            online_count: live.list.online_count(),
            member_count: u32::try_from(guild.members().len()).unwrap_or(u32::MAX),
            groups: live.list.groups(),
            ops: ops.collect(),
        }))
    }
}

/// What is shown of a member to others.
fn status(presences: &Presences, user_id: UserId) -> Status {
    presences.get(user_id).map_or(Status::Offline, |presence| presence.status)
}

/// The group of somebody who is there: the highest of their hoisted roles.
fn hoisted(guild: &GuildSpace, roles: &[RoleId]) -> MemberGroupId {
    let highest = roles
        .iter()
        .filter_map(|id| guild.roles().get(id))
        .filter(|role| role.hoist)
        .max_by_key(|role| Rank::of_role(role));
    highest.map_or(MemberGroupId::Online, |role| MemberGroupId::Role(role.id))
}

/// All groups that there may be, in their order.
fn groups(guild: &GuildSpace, names_offline: bool) -> Vec<MemberGroupId> {
    let mut roles: Vec<_> = guild.roles().values().filter(|role| role.hoist).collect();
    roles.sort_by_key(|role| std::cmp::Reverse(Rank::of_role(role)));
    let roles = roles.into_iter().map(|role| MemberGroupId::Role(role.id));
    roles.chain([MemberGroupId::Online]).chain(names_offline.then_some(MemberGroupId::Offline)).collect()
}

fn everyone_views(guild: &GuildSpace) -> bool {
    let everyone = guild.roles().get(&RoleId::from(guild.id()));
    everyone.is_some_and(|role| role.permissions.intersects(Permissions::VIEW_CHANNEL | Permissions::ADMINISTRATOR))
}

fn wire_id(guild: &GuildSpace, channel: &Channel) -> String {
    list_id(guild.id(), everyone_views(guild), channel)
}

/// What the id is a hash of: two lists never share one.
fn list_key(guild: &GuildSpace, channel: &Channel) -> ListKey {
    if wire_id(guild, channel) == "everyone" {
        return "everyone".into();
    }
    let mut parts: Vec<String> = channel
        .permission_overwrites
        .iter()
        .filter(|o| (o.allow | o.deny).contains(Permissions::VIEW_CHANNEL))
        .map(|o| format!("{}{:?}{}", o.id, o.kind, o.allow.contains(Permissions::VIEW_CHANNEL)))
        .collect();
    parts.sort_unstable();
    parts.join(",").into()
}

/// The positions in pieces that one operation may write.
fn pieces(spans: &Spans) -> impl Iterator<Item = Range> {
    spans.iter().flat_map(|[first, last]| {
        (first..=last)
            .step_by(RANGE_MAX_LEN as usize)
            .map(move |start| [start, last.min(start.saturating_add(RANGE_MAX_LEN - 1))])
    })
}

fn sync_all(list: &MemberList, spans: &Spans) -> Vec<Op> {
    pieces(spans).map(|range| Op::Sync { range, items: list.slice(range) }).collect()
}

/// How a session's lists change.
struct Turn {
    id: SubscriberId,
    wanted: BTreeMap<ListKey, (ChannelId, Vec<Range>)>,
}

impl GuildCore {
    /// Brings the lists up to what changed since the last time, and tells those who look at them. To be called at the end
    /// of everything that changes the guild.
    pub(crate) fn update_lists(&mut self, out: &mut Outcome) {
        let Space::Guild(guild) = &mut self.space else { return };
        if guild.for_lists.is_empty() {
            return;
        }
        let notes = guild.for_lists.take();
        if self.lists.looks.is_empty() {
            return;
        }
        let names_offline = guild.members().len() <= OFFLINE_LISTED_MAX;
        let all_anew = names_offline != self.lists.names_offline
            || notes.iter().any(|note| matches!(note, Note::Permissions | Note::RoleGone | Note::Order));
        self.lists.names_offline = names_offline;
        let looks_anew = all_anew || notes.iter().any(|note| matches!(note, Note::Channel(_)));
        let mut members = BTreeSet::new();
        members.extend(notes.iter().filter_map(|note| match note {
            Note::Member(id) | Note::Shown(id) => Some(*id),
            _ => None,
        }));
        let turns: Vec<Turn> = if looks_anew {
            self.lists
                .looks
                .keys()
                .copied()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .filter_map(|id| self.turn(id))
                .collect()
        } else {
            let sessions = members.iter().flat_map(|id| self.subscribers.of(*id)).copied();
            sessions.filter(|id| self.lists.looks.contains_key(id)).filter_map(|id| self.turn(id)).collect()
        };
        self.drop_unseen(&turns, looks_anew);
        if all_anew {
            self.make_lists_anew(out);
        }
        // Also in lists that were made anew: where a member stays in place nothing else tells what is shown of them.
        for user_id in members {
            self.place_member(out, user_id);
        }
        for turn in turns {
            self.begin_lists(out, turn, &[]);
        }
    }

    fn turn(&self, id: SubscriberId) -> Option<Turn> {
        let Space::Guild(guild) = &self.space else { return None };
        let user_id = self.subscribers.get(id)?.user_id;
        let look = self.lists.looks.get(&id)?;
        Some(Turn { id, wanted: self.lists.wanted(guild, user_id, look) })
    }

    /// Takes sessions off the lists that they may no longer look at.
    fn drop_unseen(&mut self, turns: &[Turn], looks_anew: bool) {
        for Turn { id, wanted } in turns {
            let Some(look) = self.lists.looks.get_mut(id) else { continue };
            let mut dropped = Vec::new();
            look.lists.retain(|key, spans| {
                let stays = wanted.get(key).is_some_and(|(_, ranges)| Spans::new(ranges.iter().copied()) == *spans);
                if !stays {
                    dropped.push((Arc::clone(key), spans.clone()));
                }
                stays
            });
            for (key, spans) in dropped {
                self.lists.unwatch(&key, &spans, *id);
            }
        }
        if !looks_anew {
            return;
        }
        // A list whose channels all have another one now is nobody's; of the others one of those channels stands for it.
        let idle = std::mem::take(&mut self.lists.idle);
        idle.iter().for_each(|key| drop(self.lists.lists.remove(key)));
        for (key, (channel_id, _)) in turns.iter().flat_map(|turn| &turn.wanted) {
            if let Some(live) = self.lists.lists.get_mut(key) {
                live.channel_id = *channel_id;
            }
        }
    }

    /// Makes every list that is looked at anew, and tells where it differs.
    fn make_lists_anew(&mut self, out: &mut Outcome) {
        let Space::Guild(guild) = &self.space else { return };
        let keys: Vec<ListKey> = self.lists.lists.keys().cloned().collect();
        for key in keys {
            let Some(channel) = self.lists.lists.get(&key).and_then(|live| guild.channels().get(&live.channel_id))
            else {
                continue;
            };
            let new = self.lists.make_list(guild, &self.presences, channel);
            let Some(live) = self.lists.lists.get_mut(&key) else { continue };
            let old = std::mem::replace(&mut live.list, new);
            let counts_changed = old.groups() != live.list.groups();
            let differing: Vec<(Vec<Op>, Arc<[SubscriberId]>)> = live
                .watchers
                .iter_mut()
                .filter_map(|(spans, ids)| {
                    let differs = pieces(spans).filter(|range| old.slice(*range) != live.list.slice(*range));
                    let ops: Vec<Op> = differs.map(|range| Op::Sync { range, items: live.list.slice(range) }).collect();
                    (counts_changed || !ops.is_empty()).then(|| (ops, ids.ids()))
                })
                .collect();
            self.send_list(out, &key, differing);
        }
    }

    /// Puts one member where they belong in every list.
    fn place_member(&mut self, out: &mut Outcome, user_id: UserId) {
        let Space::Guild(guild) = &self.space else { return };
        let keys: Vec<ListKey> = self.lists.lists.keys().cloned().collect();
        for key in keys {
            let Some(channel) = self.lists.lists.get(&key).and_then(|live| guild.channels().get(&live.channel_id))
            else {
                continue;
            };
            let place = self.lists.place(guild, &self.presences, channel, user_id);
            let Some(live) = self.lists.lists.get_mut(&key) else { continue };
            let Some(change) = live.list.put(user_id, place) else { continue };
            let list = &live.list;
            let differing: Vec<(Vec<Op>, Arc<[SubscriberId]>)> = live
                .watchers
                .iter_mut()
                .filter_map(|(spans, ids)| {
                    let ops = change.ops(list, spans);
                    (change.counts_changed || !ops.is_empty()).then(|| (ops, ids.ids()))
                })
                .collect();
            self.send_list(out, &key, differing);
        }
    }

    fn send_list(&self, out: &mut Outcome, key: &ListKey, parts: Vec<(Vec<Op>, Arc<[SubscriberId]>)>) {
        let (Space::Guild(guild), Some(live)) = (&self.space, self.lists.lists.get(key)) else { return };
        for (ops, ids) in parts {
            out.send(self.lists.event(guild, &self.presences, live, ops), ids);
        }
    }

    /// Puts a session on the lists that it may look at, with what it sees of them: those that are new to it, and those
    /// that it asked for now.
    fn begin_lists(&mut self, out: &mut Outcome, turn: Turn, asked: &[ChannelId]) {
        let Space::Guild(guild) = &self.space else { return };
        let Turn { id, wanted } = turn;
        for (key, (channel_id, ranges)) in wanted {
            let Some(look) = self.lists.looks.get_mut(&id) else { return };
            let spans = Spans::new(ranges);
            let before = look.lists.insert(Arc::clone(&key), spans.clone());
            let is_asked = asked.iter().filter_map(|id| guild.channels().get(id)).any(|c| list_key(guild, c) == key);
            if before.as_ref() == Some(&spans) && !is_asked {
                continue;
            }
            if let Some(before) = &before {
                self.lists.unwatch(&key, before, id);
            }
            let Some(channel) = guild.channels().get(&channel_id) else { continue };
            self.lists.ensure_list(guild, &self.presences, &key, channel);
            self.lists.watch(&key, &spans, id);
            let Some(live) = self.lists.lists.get(&key) else { continue };
            let gone = before.map(|before| before.without(&spans)).unwrap_or_default();
            let mut ops: Vec<Op> = gone.into_iter().map(|range| Op::Invalidate { range }).collect();
            ops.extend(sync_all(&live.list, &spans));
            out.send(self.lists.event(guild, &self.presences, live, ops), [id]);
        }
    }

    /// Takes over what a session looks at, and shows it the lists that it asks for.
    pub(crate) fn look_at(&mut self, out: &mut Outcome, id: SubscriberId, look: Look, asked: &[ChannelId]) {
        let Space::Guild(guild) = &self.space else { return };
        if self.lists.looks.is_empty() {
            self.lists.names_offline = guild.members().len() <= OFFLINE_LISTED_MAX;
        }
        self.lists.put_look(id, look);
        let Some(turn) = self.turn(id) else { return };
        // Lists that it leaves altogether; where only the positions change, the client is told which ones go.
        let Some(look) = self.lists.looks.get_mut(&id) else { return };
        let left: Vec<(ListKey, Spans)> = look
            .lists
            .iter()
            .filter(|(key, _)| !turn.wanted.contains_key(*key))
            .map(|(k, s)| (k.clone(), s.clone()))
            .collect();
        look.lists.retain(|key, _| turn.wanted.contains_key(key));
        for (key, spans) in left {
            self.lists.unwatch(&key, &spans, id);
        }
        self.begin_lists(out, turn, asked);
    }

    /// What is shown of a member changed; [`Self::update_lists`] brings the lists up to it.
    pub(crate) fn note_shown(&mut self, user_id: UserId) {
        if let Space::Guild(guild) = &mut self.space {
            guild.for_lists.note(Note::Shown(user_id));
        }
    }

    /// Member lists in memory; for tests and metrics.
    pub fn member_lists(&self) -> usize {
        self.lists.len()
    }
}
