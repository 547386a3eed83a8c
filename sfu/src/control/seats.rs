//! Whom the nodes of a region want in the rooms here, as a state machine.
//!
//! A controller is a node of the region: what it says of a member has a revision, and what is older than what was heard of
//! that member is answered and not done. Where another controller lets a member in, the member is that one's from then on:
//! its owner moved.

use std::collections::HashMap;

use rookery_model::voice::node::{VoiceMemberKey, VoiceRoomKey};
use rookery_model::voice::{RoomAdmission, RoomCommand, RoomEvent, RoomLink};

/// How long it is remembered that somebody was put out: longer than a message is on its way.
const REMEMBERED_MS: u64 = 60_000;
/// A controller that says nothing for so long is gone, and with it those it let in.
const SILENT_MS: u64 = 30_000;

/// What is to be done at the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Await a member with this token, or change what they may. `is_elsewhere`: their session or room is another than before.
    Admit {
        admission: Box<RoomAdmission>,
        is_elsewhere: bool,
    },
    Remove(VoiceMemberKey),
    /// A room has these links to other nodes, and no others.
    Link {
        room: VoiceRoomKey,
        links: Vec<RoomLink>,
    },
}

/// What a controller is answered once all is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Event(RoomEvent),
    /// The room's links are of this revision; to be told with where its media is received.
    Linked {
        room: VoiceRoomKey,
        revision: u64,
    },
}

/// A room's links, as a controller wants them.
#[derive(Debug)]
struct Ends {
    controller: Box<str>,
    revision: u64,
    /// When there were none any more.
    none_since: Option<u64>,
}

#[derive(Debug)]
struct Seat {
    controller: Box<str>,
    revision: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Here(Box<RoomAdmission>),
    /// Was put out, at this time.
    Out(u64),
}

#[derive(Debug, Default)]
struct Controller {
    heard_ms: u64,
    /// Everything of a lower revision is void.
    cleared: u64,
}

/// The member whom an admission is for.
fn member(admission: &RoomAdmission) -> VoiceMemberKey {
    VoiceMemberKey { server_id: admission.server_id, user_id: admission.user_id }
}

/// Who is wanted here by whom.
#[derive(Debug, Default)]
pub struct Seats {
    seats: HashMap<VoiceMemberKey, Seat>,
    links: HashMap<VoiceRoomKey, Ends>,
    controllers: HashMap<Box<str>, Controller>,
}

impl Seats {
    /// A controller says that it is there.
    pub fn handle_still_there(&mut self, now_ms: u64, controller: &str) {
        self.controllers.entry(controller.into()).or_default().heard_ms = now_ms;
    }

    /// A controller wants something; what is to be done before it is answered.
    pub fn handle_command(&mut self, now_ms: u64, controller: &str, command: RoomCommand) -> (Vec<Act>, Answer) {
        self.handle_still_there(now_ms, controller);
        match command {
            RoomCommand::Clear { revision } => {
                (self.clear(controller, revision), Answer::Event(RoomEvent::Cleared { revision }))
            }
            RoomCommand::Admit(admission) => {
                let (place, revision) = (member(&admission), admission.revision);
                let acts = self.put(controller, place, revision, State::Here(admission));
                (acts, self.done(place, revision))
            }
            RoomCommand::Expel { server_id, user_id, revision } => {
                let place = VoiceMemberKey { server_id, user_id };
                let acts = self.put(controller, place, revision, State::Out(now_ms));
                (acts, self.done(place, revision))
            }
            RoomCommand::Link { server_id, channel_id, revision, links } => {
                let room = VoiceRoomKey { server_id, channel_id };
                let acts = self.link(now_ms, controller, room, revision, links);
                let known = self.links.get(&room).map_or(revision, |ends| ends.revision.max(revision));
                (acts, Answer::Linked { room, revision: known })
            }
        }
    }

    /// The node could not do something: the command counts as not heard, so that it is done when it is said again.
    pub fn handle_refused(&mut self, act: &Act) {
        match act {
            Act::Admit { admission, .. } => drop(self.seats.remove(&member(admission))),
            Act::Remove(place) => drop(self.seats.remove(place)),
            Act::Link { room, .. } => drop(self.links.remove(room)),
        }
    }

    /// A member of a room is gone; which controller is to know, if the member is still wanted with this session.
    pub fn handle_gone(&self, place: VoiceMemberKey, session_id: &str) -> Option<&str> {
        let seat = self.seats.get(&place)?;
        let State::Here(admission) = &seat.state else { return None };
        (*admission.session_id == *session_id).then_some(&*seat.controller)
    }

    /// Forgets who was put out long ago, and controllers that are gone with all that they wanted.
    pub fn handle_timeout(&mut self, now_ms: u64) -> Vec<Act> {
        let is_silent = |controller: &Controller| now_ms.saturating_sub(controller.heard_ms) > SILENT_MS;
        let silent: Vec<Box<str>> =
            self.controllers.extract_if(|_, controller| is_silent(controller)).map(|(name, _)| name).collect();
        let mut acts = Vec::new();
        self.seats.retain(|place, seat| match &seat.state {
            State::Here(_) if silent.contains(&seat.controller) => {
                acts.push(Act::Remove(*place));
                false
            }
            State::Here(_) => true,
            State::Out(at) => now_ms.saturating_sub(*at) < REMEMBERED_MS,
        });
        let is_recent = |ends: &Ends| ends.none_since.is_none_or(|at| now_ms.saturating_sub(at) < REMEMBERED_MS);
        let is_lasting = |ends: &Ends| is_recent(ends) && !silent.contains(&ends.controller);
        acts.extend(self.unlink(is_lasting));
        acts
    }

    /// Who is wanted here, each with their session.
    pub fn all(&self) -> Vec<(VoiceMemberKey, Box<str>)> {
        let here = |(place, seat): (&VoiceMemberKey, &Seat)| match &seat.state {
            State::Here(admission) => Some((*place, admission.session_id.clone())),
            State::Out(_) => None,
        };
        self.seats.iter().filter_map(here).collect()
    }

    /// How many are wanted here.
    pub fn count(&self) -> usize {
        self.seats.values().filter(|seat| matches!(seat.state, State::Here(_))).count()
    }

    fn clear(&mut self, controller: &str, revision: u64) -> Vec<Act> {
        let known = self.controllers.entry(controller.into()).or_default();
        known.cleared = known.cleared.max(revision);
        let mut acts = Vec::new();
        self.seats.retain(|place, seat| {
            let is_void = *seat.controller == *controller && seat.revision < revision;
            if is_void && matches!(seat.state, State::Here(_)) {
                acts.push(Act::Remove(*place));
            }
            !is_void
        });
        acts.extend(self.unlink(|ends| *ends.controller != *controller || ends.revision >= revision));
        acts
    }

    /// Ends the links of rooms that are not to keep them.
    fn unlink(&mut self, keeps: impl Fn(&Ends) -> bool) -> Vec<Act> {
        let gone = self.links.extract_if(|_, ends| !keeps(ends));
        let linked = gone.filter(|(_, ends)| ends.none_since.is_none());
        linked.map(|(room, _)| Act::Link { room, links: Vec::new() }).collect()
    }

    fn link(
        &mut self,
        now_ms: u64,
        controller: &str,
        room: VoiceRoomKey,
        revision: u64,
        links: Vec<RoomLink>,
    ) -> Vec<Act> {
        let cleared = self.controllers.get(controller).map_or(0, |controller| controller.cleared);
        let old = self.links.get(&room);
        let is_own = old.is_some_and(|ends| *ends.controller == *controller);
        let is_old = revision < cleared || old.is_some_and(|ends| is_own && ends.revision >= revision);
        // Another controller may have the room now: what it wants is not this one's to end.
        if is_old || (links.is_empty() && old.is_some() && !is_own) {
            return Vec::new();
        }
        let none_since = links.is_empty().then_some(now_ms);
        let had_none = old.is_none_or(|ends| ends.none_since.is_some());
        self.links.insert(room, Ends { controller: controller.into(), revision, none_since });
        if links.is_empty() && had_none { Vec::new() } else { vec![Act::Link { room, links }] }
    }

    fn put(&mut self, controller: &str, place: VoiceMemberKey, revision: u64, state: State) -> Vec<Act> {
        let cleared = self.controllers.get(controller).map_or(0, |controller| controller.cleared);
        let old = self.seats.get(&place);
        let is_own = old.is_some_and(|seat| *seat.controller == *controller);
        let is_old = revision < cleared || old.is_some_and(|seat| is_own && seat.revision >= revision);
        let is_out = matches!(state, State::Out(_));
        // Of others' members a controller knows nothing: it may only have them come to it.
        if is_old || (is_out && old.is_some() && !is_own) {
            return Vec::new();
        }
        let was = old.and_then(|seat| match &seat.state {
            State::Here(admission) => Some(admission),
            State::Out(_) => None,
        });
        let act = match (&state, was) {
            (State::Here(admission), was) => {
                let is_elsewhere = was.is_none_or(|was| was.token != admission.token);
                Some(Act::Admit { admission: admission.clone(), is_elsewhere })
            }
            (State::Out(_), Some(_)) => Some(Act::Remove(place)),
            (State::Out(_), None) => None,
        };
        self.seats.insert(place, Seat { controller: controller.into(), revision, state });
        act.into_iter().collect()
    }

    /// What is known of a member now: at least what was asked.
    fn done(&self, place: VoiceMemberKey, asked: u64) -> Answer {
        let VoiceMemberKey { server_id, user_id } = place;
        let revision = self.seats.get(&place).map_or(asked, |seat| seat.revision.max(asked));
        Answer::Event(RoomEvent::Done { server_id, user_id, revision })
    }
}

#[cfg(test)]
mod tests {
    use rookery_model::ChannelId;
    use rookery_model::voice::{LinkKey, VoiceRights, VoiceRoomKind, VoiceToken};

    use rookery_model::{UserId, VoiceServerId};

    use super::*;

    const SERVER: VoiceServerId = VoiceServerId::new(1);
    const ALICE: UserId = UserId::new(2);
    const PLACE: VoiceMemberKey = VoiceMemberKey { server_id: SERVER, user_id: ALICE };

    fn admission(revision: u64, token: &str) -> Box<RoomAdmission> {
        Box::new(RoomAdmission {
            revision,
            server_id: SERVER,
            channel_id: ChannelId::new(3),
            kind: VoiceRoomKind::Voice,
            user_id: ALICE,
            session_id: "session".into(),
            rights: VoiceRights::all(),
            token: VoiceToken::new(token),
        })
    }

    fn admit(revision: u64, token: &str) -> RoomCommand {
        RoomCommand::Admit(admission(revision, token))
    }

    fn expel(revision: u64) -> RoomCommand {
        RoomCommand::Expel { server_id: SERVER, user_id: ALICE, revision }
    }

    fn done(revision: u64) -> Answer {
        Answer::Event(RoomEvent::Done { server_id: SERVER, user_id: ALICE, revision })
    }

    const ROOM: VoiceRoomKey = VoiceRoomKey { server_id: SERVER, channel_id: ChannelId::new(3) };

    fn links(ids: &[u64]) -> Vec<RoomLink> {
        let key = |n| LinkKey([n; 32]);
        ids.iter().map(|id| RoomLink { id: *id, node: 7, address: None, seal: key(1), open: key(2) }).collect()
    }

    fn link(revision: u64, ids: &[u64]) -> RoomCommand {
        let VoiceRoomKey { server_id, channel_id } = ROOM;
        RoomCommand::Link { server_id, channel_id, revision, links: links(ids) }
    }

    fn linked(revision: u64, acts: &[&[u64]]) -> (Vec<Act>, Answer) {
        let acts = acts.iter().map(|ids| Act::Link { room: ROOM, links: links(ids) }).collect();
        (acts, Answer::Linked { room: ROOM, revision })
    }

    #[test]
    fn a_room_has_the_links_of_the_newest_word() {
        let mut seats = Seats::default();
        assert_eq!(seats.handle_command(0, "a", link(5, &[1])), linked(5, &[&[1]]));
        assert_eq!(seats.handle_command(0, "a", link(5, &[1])), linked(5, &[]));
        assert_eq!(seats.handle_command(0, "a", link(7, &[1, 2])), linked(7, &[&[1, 2]]));
        assert_eq!(seats.handle_command(0, "a", link(6, &[])), linked(7, &[]), "it comes late");
        assert_eq!(seats.handle_command(0, "a", link(8, &[])), linked(8, &[&[]]));
        assert_eq!(seats.handle_command(0, "a", link(7, &[1, 2])), linked(8, &[]), "so does that");
        assert_eq!(seats.handle_command(0, "a", link(9, &[])), linked(9, &[]), "there are none");
        let all = seats.handle_command(0, "a", link(10, &[3]));
        seats.handle_refused(&all.0[0]);
        assert_eq!(seats.handle_command(0, "a", link(10, &[3])), all, "the node could not, and may now");
    }

    #[test]
    fn links_end_with_the_controller_that_wants_them() {
        let mut seats = Seats::default();
        seats.handle_command(0, "a", link(5, &[1]));
        // The owner moved.
        assert_eq!(seats.handle_command(0, "b", link(2, &[2])), linked(2, &[&[2]]));
        assert_eq!(seats.handle_command(0, "a", link(6, &[])).0, []);
        let (acts, _) = seats.handle_command(0, "b", RoomCommand::Clear { revision: 10 });
        assert_eq!(acts, linked(0, &[&[]]).0);
        assert_eq!(seats.handle_command(0, "b", link(9, &[2])).0, [], "said before it, heard behind it");
        assert_eq!(seats.handle_command(0, "b", link(11, &[4])).0.len(), 1);
        assert_eq!(seats.handle_timeout(30_001), linked(0, &[&[]]).0);
        seats.handle_command(40_000, "b", link(12, &[]));
        seats.handle_still_there(99_999, "b");
        seats.handle_timeout(99_999);
        assert_eq!(seats.links.len(), 1);
        seats.handle_timeout(100_000);
        assert!(seats.links.is_empty());
    }

    #[test]
    fn a_command_is_carried_out_once_and_answered_each_time() {
        let mut seats = Seats::default();
        let is =
            |revision, token, is_elsewhere| vec![Act::Admit { admission: admission(revision, token), is_elsewhere }];
        assert_eq!(seats.handle_command(0, "a", admit(5, "t")), (is(5, "t", true), done(5)));
        assert_eq!(seats.handle_command(0, "a", admit(5, "t")), (vec![], done(5)));
        assert_eq!(seats.handle_command(0, "a", admit(6, "t")), (is(6, "t", false), done(6)), "other rights");
        assert_eq!(seats.handle_command(0, "a", admit(7, "u")), (is(7, "u", true), done(7)), "another session");
        // What comes late changes nothing.
        assert_eq!(seats.handle_command(0, "a", expel(6)), (vec![], done(7)));
        assert_eq!(seats.count(), 1);
        assert_eq!(seats.handle_command(0, "a", expel(8)), (vec![Act::Remove(PLACE)], done(8)));
        assert_eq!(seats.handle_command(0, "a", expel(8)), (vec![], done(8)));
        assert_eq!(seats.handle_command(0, "a", admit(7, "u")), (vec![], done(8)), "nobody comes back by a late word");
        assert_eq!(seats.handle_command(0, "a", expel(9)), (vec![], done(9)));
        assert_eq!(seats.count(), 0);
    }

    #[test]
    fn what_the_node_refused_is_done_when_it_is_said_again() {
        let mut seats = Seats::default();
        let first = seats.handle_command(0, "a", admit(5, "t"));
        seats.handle_refused(&first.0[0]);
        assert_eq!(seats.count(), 0);
        assert_eq!(seats.handle_command(0, "a", admit(5, "t")), first);
    }

    #[test]
    fn who_was_put_out_is_forgotten_after_a_while() {
        let mut seats = Seats::default();
        seats.handle_command(0, "a", admit(5, "t"));
        seats.handle_command(10, "a", expel(6));
        for now in [10_000, 20_000, 30_000, 40_000, 50_000, 60_009] {
            seats.handle_still_there(now, "a");
            assert!(seats.handle_timeout(now).is_empty());
        }
        assert_eq!(seats.seats.len(), 1);
        seats.handle_timeout(60_010);
        assert!(seats.seats.is_empty());
    }

    #[test]
    fn a_controller_that_starts_anew_or_was_cut_off_clears_what_it_had() {
        let mut seats = Seats::default();
        seats.handle_command(0, "a", admit(5, "t"));
        seats.handle_command(0, "b", RoomCommand::Clear { revision: 100 });
        assert_eq!(seats.count(), 1, "another's");
        let cleared = Answer::Event(RoomEvent::Cleared { revision: 10 });
        let clear = || RoomCommand::Clear { revision: 10 };
        assert_eq!(seats.handle_command(0, "a", clear()), (vec![Act::Remove(PLACE)], cleared.clone()));
        assert_eq!(seats.handle_command(0, "a", admit(6, "t")).0, [], "said before it, heard behind it");
        assert_eq!(seats.handle_command(0, "a", admit(11, "t")).0.len(), 1);
        assert_eq!(seats.handle_command(0, "a", clear()), (vec![], cleared), "what came since stays");
    }

    #[test]
    fn a_member_is_the_newest_controllers() {
        let mut seats = Seats::default();
        seats.handle_command(0, "a", admit(500, "t"));
        // Its clock is behind.
        assert_eq!(seats.handle_command(0, "b", admit(5, "u")).0.len(), 1);
        assert_eq!(seats.handle_command(0, "a", expel(501)).0, []);
        assert_eq!(seats.handle_gone(PLACE, "session"), Some("b"));
        assert_eq!(seats.handle_gone(PLACE, "another"), None);
        assert_eq!(seats.handle_command(0, "b", expel(6)).0, [Act::Remove(PLACE)]);
        assert_eq!(seats.handle_gone(PLACE, "session"), None);
    }

    #[test]
    fn with_a_controller_that_is_gone_go_those_it_let_in() {
        let mut seats = Seats::default();
        seats.handle_command(0, "a", admit(5, "t"));
        seats.handle_still_there(20_000, "a");
        assert!(seats.handle_timeout(50_000).is_empty());
        assert_eq!(seats.handle_timeout(50_001), [Act::Remove(PLACE)]);
        assert_eq!(seats.count(), 0);
    }
}
