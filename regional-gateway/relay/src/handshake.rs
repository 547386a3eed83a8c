//! Which process the peer is.
//!
//! A packet may be old: of a process that has ended since, held somewhere on the bus. So nobody is believed before they
//! answered a challenge, which is a number that nobody could have answered earlier, and whoever was replaced is never
//! believed again. Clocks play no part in it: a process may start with a clock that is behind its predecessor's.

use std::collections::VecDeque;

use crate::wire::Hello;

/// The peer's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) incarnation: u64,
    /// The newest version of the packets that it speaks.
    pub(crate) newest: u8,
}

/// Finding it out.
#[derive(Debug)]
pub(crate) struct Handshake {
    peer: Option<Peer>,
    /// Processes that were replaced, the newest last.
    retired: VecDeque<u64>,
    challenge: Option<Challenge>,
    next_nonce: u64,
    /// An answer that is to be sent, and to whom.
    answer: Option<(u64, u64)>,
    first_ms: u64,
    longest_ms: u64,
}

#[derive(Debug)]
struct Challenge {
    nonce: u64,
    next_ms: u64,
    tries: u32,
}

/// Replaced processes that are remembered.
const RETIRED_MAX: usize = 64;
/// Hellos of one challenge while there is a peer: another one only seems to be there.
const TRIES_MAX: u32 = 6;

/// What an answer led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    Nothing,
    First,
    Replaced,
}

impl Handshake {
    pub(crate) fn new(now_ms: u64, first_ms: u64, longest_ms: u64) -> Self {
        let challenge = Challenge { nonce: 1, next_ms: now_ms, tries: 0 };
        Self {
            peer: None,
            retired: VecDeque::new(),
            challenge: Some(challenge),
            next_nonce: 2,
            answer: None,
            first_ms,
            longest_ms,
        }
    }

    pub(crate) fn peer(&self) -> Option<Peer> {
        self.peer
    }

    pub(crate) fn is_peer(&self, incarnation: u64) -> bool {
        self.peer.is_some_and(|peer| peer.incarnation == incarnation)
    }

    pub(crate) fn is_retired(&self, incarnation: u64) -> bool {
        self.retired.contains(&incarnation)
    }

    /// A process showed up that is not the peer: it is challenged.
    pub(crate) fn handle_stranger(&mut self, now_ms: u64) {
        if self.challenge.is_none() {
            self.challenge = Some(Challenge { nonce: self.next_nonce, next_ms: now_ms, tries: 0 });
            self.next_nonce += 1;
        }
    }

    /// Somebody challenges this process.
    pub(crate) fn handle_hello(&mut self, from: u64, nonce: u64) {
        self.answer = Some((from, nonce));
    }

    /// Somebody answers.
    pub(crate) fn handle_answer(&mut self, from: u64, hello: Hello) -> Answered {
        let answers = self.challenge.as_ref().is_some_and(|challenge| challenge.nonce == hello.nonce);
        // The peer may answer a challenge that was meant for another; that other one may still come.
        if !answers || self.is_peer(from) {
            return Answered::Nothing;
        }
        // Nobody else can use this number any more: of two who answered, the second came first.
        self.challenge = None;
        let before = self.peer.replace(Peer { incarnation: from, newest: hello.newest });
        let Some(before) = before else { return Answered::First };
        if self.retired.len() == RETIRED_MAX {
            self.retired.pop_front();
        }
        self.retired.push_back(before.incarnation);
        Answered::Replaced
    }

    /// The number of a hello that is to be sent now.
    pub(crate) fn poll_hello(&mut self, now_ms: u64) -> Option<u64> {
        let has_peer = self.peer.is_some();
        let challenge = self.challenge.as_mut()?;
        if challenge.next_ms > now_ms {
            return None;
        }
        if has_peer && challenge.tries == TRIES_MAX {
            self.challenge = None;
            return None;
        }
        let wait_ms = (self.first_ms << challenge.tries.min(16)).min(self.longest_ms);
        challenge.next_ms = now_ms + wait_ms;
        challenge.tries = challenge.tries.saturating_add(1);
        Some(challenge.nonce)
    }

    /// The answer that is to be sent, and to whom.
    pub(crate) fn poll_answer(&mut self) -> Option<(u64, u64)> {
        self.answer.take()
    }

    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.challenge.as_ref().map(|challenge| challenge.next_ms)
    }
}
