//! One end of a link.

use std::collections::VecDeque;

use rookery_model::UserId;
use rookery_model::voice::LinkKey;

use crate::crypto::{Opener, Sealer};
use crate::drops::DropReason;
use crate::media::MediaHeader;
use crate::member::RemoteMember;
use crate::message::{self, KEY_FRAMES, Known, MEMBERS, WANTS};
use crate::register::{Incoming, Outgoing};
use crate::wire::{Reader, Writer};

const MEDIA: u8 = 1;
const CONTROL: u8 = 2;
const FEEDBACK: u8 = 3;
/// What a datagram that says something may be long: it fits into every path.
const CONTROL_BYTES: usize = 1_200;
/// What was wanted is said again after this.
const AGAIN_US: u64 = 120_000;
/// Publishers that wait to be asked for a key frame.
const KEY_FRAMES_MAX: usize = 32;

/// Times, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct LinkConfig {
    /// Something is said so often, so that the other end knows that this one is there.
    pub still_there_us: u64,
    /// After so long without anything the link is down.
    pub silent_us: u64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self { still_there_us: 200_000, silent_us: 1_000_000 }
    }
}

/// Which pictures the members of a node want, 0 to 100.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Of those not named.
    pub any: u8,
    /// By the publisher's SSRC.
    pub by_ssrc: Vec<(u32, u8)>,
}

/// What a datagram was.
#[derive(Debug, PartialEq)]
pub enum Received<'a> {
    /// Somebody's packet.
    Media(MediaHeader, &'a [u8]),
    /// What the other end misses of it, as RTCP says such things.
    Feedback(&'a [u8]),
    /// The other end said something: there may be [`Event`]s.
    Said,
    Dropped(DropReason),
}

/// What came of what the other end said, or did not.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The other end is there.
    Up,
    /// It is silent: nothing that it told holds any more.
    Down,
    /// A member who may be heard or seen there, newly or otherwise than before.
    Member(RemoteMember),
    /// A member is there no more.
    Gone(UserId),
    /// The other end wants to see this, and nothing else.
    Wants(Wants),
    /// It asks the publisher of an SSRC for a key frame.
    KeyFrame(u32),
}

/// See the head of the crate.
pub struct NodeLink {
    config: LinkConfig,
    sealer: Sealer,
    opener: Opener,
    is_up: bool,
    heard_us: u64,
    /// The count of the newest word: what was said before and comes behind it is passed over.
    newest_word: u64,
    outgoing: Outgoing,
    incoming: Incoming,
    wants: Wants,
    wants_revision: u32,
    wants_known: u32,
    wants_said_us: Option<u64>,
    /// The revision of what the other end wants.
    wanted: u32,
    key_frames: Vec<u32>,
    /// The other end is to know what is known here.
    owes_known: bool,
    said_us: Option<u64>,
    events: VecDeque<Event>,
}

impl NodeLink {
    /// One end of the link of this name, which was never there before with these keys.
    pub fn new(config: LinkConfig, id: u64, seal: &LinkKey, open: &LinkKey) -> Self {
        Self {
            config,
            sealer: Sealer::new(id, seal),
            opener: Opener::new(open),
            is_up: false,
            heard_us: 0,
            newest_word: 0,
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            wants: Wants::default(),
            wants_revision: 0,
            wants_known: 0,
            wants_said_us: None,
            wanted: 0,
            key_frames: Vec::new(),
            owes_known: false,
            said_us: None,
            events: VecDeque::new(),
        }
    }

    /// Whether the other end is there.
    pub const fn is_up(&self) -> bool {
        self.is_up
    }

    /// Takes a datagram with the link's name, which is decrypted where it lies.
    pub fn handle_datagram<'a>(&mut self, now_us: u64, datagram: &'a mut [u8]) -> Received<'a> {
        let opened = match self.opener.open(datagram) {
            Ok(opened) => opened,
            Err(reason) => return Received::Dropped(reason),
        };
        let (kind, count, body) = (opened.kind, opened.count, opened.body);
        self.heard(now_us);
        let received = match kind {
            MEDIA => MediaHeader::read(body).map(|(header, payload)| Received::Media(header, payload)),
            FEEDBACK => Some(Received::Feedback(body)),
            CONTROL if count < self.newest_word => Some(Received::Said),
            CONTROL => {
                self.newest_word = count;
                self.read(body).map(|()| Received::Said)
            }
            _ => None,
        };
        received.unwrap_or(Received::Dropped(DropReason::Malformed))
    }

    fn heard(&mut self, now_us: u64) {
        self.heard_us = now_us;
        if !self.is_up {
            self.is_up = true;
            self.owes_known = true;
            self.events.push_back(Event::Up);
        }
    }

    /// What comes before a mistake counts.
    fn read(&mut self, body: &[u8]) -> Option<()> {
        let mut reader = Reader(body);
        let known = message::read_known(&mut reader)?;
        self.outgoing.acknowledged(known.members);
        if known.wants <= self.wants_revision {
            self.wants_known = known.wants;
        }
        while let Some(kind) = reader.u8() {
            match kind {
                MEMBERS => {
                    self.owes_known = true;
                    let events = &mut self.events;
                    self.incoming.read(&mut reader, |user, member| {
                        events.push_back(member.map_or(Event::Gone(user), Event::Member));
                    })?;
                }
                WANTS => {
                    self.owes_known = true;
                    let (revision, wants) = message::read_wants(&mut reader)?;
                    if revision > self.wanted {
                        self.wanted = revision;
                        self.events.push_back(Event::Wants(wants));
                    }
                }
                KEY_FRAMES => {
                    for _ in 0..reader.u8()? {
                        self.events.push_back(Event::KeyFrame(reader.u32()?));
                    }
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// Takes who is to be told of from now on, all of them.
    pub fn set_members(&mut self, members: impl IntoIterator<Item = RemoteMember>) {
        self.outgoing.set(members);
    }

    /// Takes which pictures are wanted here from now on.
    pub fn set_wants(&mut self, wants: Wants) {
        if self.wants != wants {
            self.wants = wants;
            self.wants_revision += 1;
            self.wants_said_us = None;
        }
    }

    /// Asks for a key frame.
    pub fn ask_key_frame(&mut self, ssrc: u32) {
        if self.key_frames.len() < KEY_FRAMES_MAX && !self.key_frames.contains(&ssrc) {
            self.key_frames.push(ssrc);
        }
    }

    /// Writes a packet of media; the datagram's length. None while the other end is not there, or if it does not fit.
    pub fn write_media(&mut self, header: &MediaHeader, payload: &[u8], buffer: &mut [u8]) -> Option<usize> {
        if !self.is_up {
            return None;
        }
        self.sealer.seal(MEDIA, buffer, |place| header.write(payload, place))
    }

    /// Writes a compound packet of RTCP about what came; the datagram's length.
    pub fn write_feedback(&mut self, compound: &[u8], buffer: &mut [u8]) -> Option<usize> {
        if !self.is_up {
            return None;
        }
        self.sealer.seal(FEEDBACK, buffer, |place| {
            place.get_mut(..compound.len())?.copy_from_slice(compound);
            Some(compound.len())
        })
    }

    /// Writes the next datagram that is to be sent now, until there is none.
    pub fn poll_transmit(&mut self, now_us: u64, buffer: &mut [u8]) -> Option<usize> {
        if self.transmit_due_us() > now_us {
            return None;
        }
        let room = buffer.len().min(CONTROL_BYTES);
        let Self { sealer, outgoing, incoming, wants, key_frames, .. } = self;
        let says_wants = self.is_up
            && self.wants_known < self.wants_revision
            && self.wants_said_us.is_none_or(|at_us| at_us + AGAIN_US <= now_us);
        let is_up = self.is_up;
        let (wants_revision, known) = (self.wants_revision, Known { members: incoming.known, wants: self.wanted });
        let len = sealer.seal(CONTROL, &mut buffer[..room], |place| {
            let mut writer = Writer::new(place);
            message::write_known(known, &mut writer)?;
            if says_wants {
                message::write_wants(wants_revision, wants, &mut writer)?;
            }
            if is_up && !key_frames.is_empty() {
                message::write_key_frames(key_frames, &mut writer)?;
            }
            if is_up && outgoing.due_us().is_some_and(|due_us| due_us <= now_us) {
                writer.put(&[MEMBERS])?;
                outgoing.write(now_us, &mut writer)?;
            }
            Some(writer.len())
        });
        if says_wants {
            self.wants_said_us = Some(now_us);
        }
        if is_up {
            self.key_frames.clear();
        }
        self.owes_known = false;
        self.said_us = Some(now_us);
        len
    }

    /// When [`Self::poll_transmit`] or [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> u64 {
        let silent_us = if self.is_up { self.heard_us + self.config.silent_us } else { u64::MAX };
        self.transmit_due_us().min(silent_us)
    }

    fn transmit_due_us(&self) -> u64 {
        let still_there_us = self.said_us.map_or(0, |at_us| at_us + self.config.still_there_us);
        if !self.is_up {
            return still_there_us;
        }
        let wants =
            (self.wants_known < self.wants_revision).then(|| self.wants_said_us.map_or(0, |at_us| at_us + AGAIN_US));
        let at_once = (self.owes_known || !self.key_frames.is_empty()).then_some(0);
        [wants, at_once, self.outgoing.due_us()].into_iter().flatten().min().unwrap_or(u64::MAX).min(still_there_us)
    }

    /// Notices that the other end is silent.
    pub fn handle_timeout(&mut self, now_us: u64) {
        if self.is_up && now_us >= self.heard_us + self.config.silent_us {
            self.is_up = false;
            self.incoming = Incoming::default();
            self.wanted = 0;
            self.key_frames.clear();
            self.events.push_back(Event::Down);
        }
    }

    /// Whether [`Self::poll_event`] has something.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// What came of it, the oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn end() -> NodeLink {
        NodeLink::new(LinkConfig::default(), 1, &LinkKey([1; 32]), &LinkKey([2; 32]))
    }

    proptest! {
        /// The other end has the key, and may be of another version, or broken.
        #[test]
        fn whatever_the_other_end_says_is_read_or_refused(
            known in any::<[u8; 8]>(),
            kind in 1_u8..5,
            rest in proptest::collection::vec(prop_oneof![Just(0), 0_u8..8, any::<u8>()], 0..1_400),
        ) {
            let mut link = end();
            link.set_members([]);
            let body = [&known[..], &[kind], &rest].concat();
            let _ = link.read(&body);
            prop_assert!(link.events.len() <= body.len() / 4);
            let mut buffer = [0; 1_400];
            link.heard(0);
            for _ in 0..100 {
                if link.poll_transmit(0, &mut buffer).is_none() {
                    return Ok(());
                }
            }
            prop_assert!(false, "it never ends");
        }
    }
}
