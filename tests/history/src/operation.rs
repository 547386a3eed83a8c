//! What clients did.

use std::fmt;

use rookery_model::store::UniqueKey;
use rookery_model::{ChannelId, MessageId};

/// One of those that use the store; its operations may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Client(pub u64);

/// From when to when, in ticks of the history's own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub began: u64,
    /// None where no answer came.
    pub ended: Option<u64>,
}

impl Span {
    /// Whether this was over before the other began.
    pub fn is_before(self, other: Self) -> bool {
        self.ended.is_some_and(|ended| ended < other.began)
    }
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged.
    Ok,
    /// Not applied, now or later.
    Failed,
    /// Applied or not, perhaps later.
    Unknown,
}

/// A message put, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub client: Client,
    pub span: Span,
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    /// None deletes.
    pub content: Option<String>,
    pub outcome: Outcome,
}

/// Which messages were asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The newest.
    Latest,
    /// The newest of those with a lower id.
    Before(MessageId),
    /// The oldest of those with a higher id.
    After(MessageId),
    /// One message, or none.
    One(MessageId),
}

/// A page and what it held, newest first; None where the read failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub client: Client,
    pub span: Span,
    pub channel_id: ChannelId,
    pub window: Window,
    pub limit: usize,
    pub page: Option<Vec<(MessageId, String)>>,
}

/// What a claim was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The key is the claimant's.
    Won,
    /// It is somebody's already.
    Lost { holder: u64 },
    /// The claim was not made.
    Failed,
    /// It may have won, or may yet.
    Unknown,
}

/// An attempt to have a key that only one may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub client: Client,
    pub span: Span,
    pub key: UniqueKey,
    pub owner: u64,
    pub answer: Answer,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended {
            Some(ended) => write!(f, "[{}..{ended}]", self.began),
            None => write!(f, "[{}..]", self.began),
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.span, self.client)?;
        match &self.content {
            Some(content) => write!(f, "puts message {} as {content:?}", self.message_id)?,
            None => write!(f, "deletes message {}", self.message_id)?,
        }
        write!(f, ": {:?}", self.outcome)
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} reads {:?} of {}, limit {}: ",
            self.span, self.client, self.window, self.channel_id, self.limit
        )?;
        match &self.page {
            Some(page) => write!(f, "{} messages", page.len()),
            None => f.write_str("failed"),
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} claims {:?} for {}: {:?}", self.span, self.client, self.key, self.owner, self.answer)
    }
}
