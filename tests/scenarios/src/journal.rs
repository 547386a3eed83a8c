//! What one client of the gateway went through.

use std::time::{Duration, Instant};

/// Everything, in its order. A life is a session: from READY until it cannot be resumed any more.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    pub lives: Vec<Life>,
    /// Each time without a connection.
    pub outages: Vec<Outage>,
    /// What a server must not do, whatever the scenario.
    pub offences: Vec<String>,
}

/// A session as its client saw it.
#[derive(Clone, Debug)]
pub struct Life {
    pub session_id: String,
    pub began: Instant,
    /// None while it goes on, or could.
    pub ended: Option<Instant>,
    pub seen: Vec<Seen>,
}

/// What came, and when.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// GUILD_CREATE: from here on nothing of it is missing.
    Guild(u64),
    /// GUILD_DELETE with `unavailable`: something may be missing until it is back.
    Away(u64),
    Message {
        channel_id: u64,
        id: u64,
        content: Box<str>,
    },
}

/// A time without a connection.
#[derive(Clone, Debug)]
pub struct Outage {
    pub began: Instant,
    pub cause: Cause,
    /// Attempts at which nobody answered.
    pub unanswered: usize,
    /// How connections ended that brought no session.
    pub failed: Vec<Cause>,
    pub back: Option<Back>,
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Opcode 7.
    Reconnect,
    /// Opcode 9, with what it says about resuming.
    Invalid { resumable: bool },
    /// A close frame.
    Closed(u16),
    /// Without a word.
    Broken,
    /// Heartbeats are not answered.
    Silent,
}

/// How it came back.
#[derive(Clone, Debug)]
pub struct Back {
    pub at: Instant,
    pub how: How,
    /// The region of that gateway, where it is known.
    pub region: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Resumed,
    /// A session that could have been resumed was refused, or none was left.
    Identified,
}

impl Outage {
    /// How long it took, if it is over.
    pub fn took(&self) -> Option<Duration> {
        self.back.as_ref().map(|back| back.at.saturating_duration_since(self.began))
    }
}

impl Journal {
    /// Whether there is a connection with a session now.
    pub fn is_connected(&self) -> bool {
        !self.lives.is_empty() && self.outages.last().is_none_or(|outage| outage.back.is_some())
    }

    /// Whether a message came, in any life.
    pub fn has_heard(&self, message: u64) -> bool {
        let is_it = |seen: &Seen| matches!(&seen.what, What::Message { id, .. } if *id == message);
        self.lives.iter().rev().any(|life| life.seen.iter().rev().any(is_it))
    }

    /// Begins a session.
    pub fn begin(&mut self, session_id: &str, at: Instant) {
        self.end_life(at);
        self.lives.push(Life { session_id: session_id.to_owned(), began: at, ended: None, seen: Vec::new() });
    }

    /// The session cannot be resumed any more.
    pub fn end_life(&mut self, at: Instant) {
        if let Some(life) = self.lives.last_mut() {
            life.ended.get_or_insert(at);
        }
    }

    /// Something came.
    pub fn see(&mut self, at: Instant, what: What) {
        if let Some(life) = self.lives.last_mut() {
            life.seen.push(Seen { at, what });
        }
    }
}
