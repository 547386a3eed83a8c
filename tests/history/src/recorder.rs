//! Writing a history down while it happens.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rookery_model::store::UniqueKey;
use rookery_model::{ChannelId, MessageId};

use crate::check::check_messages;
use crate::claims::check_claims;
use crate::operation::{Answer, Claim, Client, Outcome, Read, Span, Window, Write};
use crate::report::{Report, Summary};

/// All that clients did and saw; clones write into the same history.
///
/// Its clock only counts: of two operations in one process the one that ended before the other began has the lower
/// ticks, which is all that is needed.
#[derive(Clone, Debug, Default)]
pub struct History {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    clock: AtomicU64,
    operations: Mutex<Operations>,
}

/// Operations in the order in which they began.
#[derive(Debug, Default)]
struct Operations {
    writes: Vec<Write>,
    reads: Vec<Read>,
    claims: Vec<Claim>,
}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// A message is about to be put, new or edited; contents of one message should differ.
    pub fn put(
        &self,
        client: Client,
        channel: ChannelId,
        message: MessageId,
        content: impl Into<String>,
    ) -> PendingWrite {
        self.write(client, channel, message, Some(content.into()))
    }

    /// A message is about to be deleted.
    pub fn delete(&self, client: Client, channel: ChannelId, message: MessageId) -> PendingWrite {
        self.write(client, channel, message, None)
    }

    fn write(
        &self,
        client: Client,
        channel_id: ChannelId,
        message_id: MessageId,
        content: Option<String>,
    ) -> PendingWrite {
        let mut operations = self.lock();
        // Under the lock, so that the order of the list is that of the clock.
        let span = self.begin();
        operations.writes.push(Write { client, span, channel_id, message_id, content, outcome: Outcome::Unknown });
        PendingWrite { history: self.clone(), index: operations.writes.len() - 1 }
    }

    /// A page is about to be read.
    pub fn read(&self, client: Client, channel_id: ChannelId, window: Window, limit: usize) -> PendingRead {
        let mut operations = self.lock();
        let span = self.begin();
        operations.reads.push(Read { client, span, channel_id, window, limit, page: None });
        PendingRead { history: self.clone(), index: operations.reads.len() - 1 }
    }

    /// A key is about to be claimed. A history's keys are not given free again.
    pub fn claim(&self, client: Client, key: UniqueKey, owner: u64) -> PendingClaim {
        let mut operations = self.lock();
        let span = self.begin();
        operations.claims.push(Claim { client, span, key, owner, answer: Answer::Unknown });
        PendingClaim { history: self.clone(), index: operations.claims.len() - 1 }
    }

    /// Whether a right store could have answered like this.
    ///
    /// What is still pending counts as of unknown outcome.
    pub fn check(&self) -> Result<Summary, Report> {
        let operations = self.lock();
        let mut violations = check_messages(&operations.writes, &operations.reads);
        violations.extend(check_claims(&operations.claims));
        let summary = Summary {
            writes: operations.writes.len(),
            acknowledged: operations.writes.iter().filter(|write| write.outcome == Outcome::Ok).count(),
            reads: operations.reads.len(),
            claims: operations.claims.len(),
        };
        if violations.is_empty() { Ok(summary) } else { Err(Report { summary, violations }) }
    }

    fn begin(&self) -> Span {
        Span { began: self.tick(), ended: None }
    }

    fn tick(&self) -> u64 {
        self.shared.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// A test that panicked while it wrote leaves a whole list behind.
    fn lock(&self) -> MutexGuard<'_, Operations> {
        self.shared.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write that was begun; dropped without an outcome it stays of unknown outcome, without an end.
#[derive(Debug)]
#[must_use = "the outcome is to be noted"]
pub struct PendingWrite {
    history: History,
    index: usize,
}

impl PendingWrite {
    /// It was acknowledged.
    pub fn ok(self) {
        self.end(Outcome::Ok);
    }
    /// It was not and will not be applied.
    pub fn failed(self) {
        self.end(Outcome::Failed);
    }
    /// It may be applied, now or later.
    pub fn unknown(self) {
        self.end(Outcome::Unknown);
    }

    fn end(self, outcome: Outcome) {
        let mut operations = self.history.lock();
        let ended = self.history.tick();
        if let Some(write) = operations.writes.get_mut(self.index) {
            write.span.ended = Some(ended);
            write.outcome = outcome;
        }
    }
}

/// A read that was begun; dropped it counts as failed.
#[derive(Debug)]
#[must_use = "the page is to be noted"]
pub struct PendingRead {
    history: History,
    index: usize,
}

impl PendingRead {
    /// The page that came, in its order.
    pub fn page(self, page: impl IntoIterator<Item = (MessageId, impl Into<String>)>) {
        let page = page.into_iter().map(|(id, content)| (id, content.into())).collect();
        let mut operations = self.history.lock();
        let ended = self.history.tick();
        if let Some(read) = operations.reads.get_mut(self.index) {
            read.span.ended = Some(ended);
            read.page = Some(page);
        }
    }

    /// It failed.
    pub fn failed(self) {}
}

/// A claim that was begun; dropped without an answer it stays of unknown outcome.
#[derive(Debug)]
#[must_use = "the answer is to be noted"]
pub struct PendingClaim {
    history: History,
    index: usize,
}

impl PendingClaim {
    /// The key is the claimant's.
    pub fn won(self) {
        self.end(Answer::Won);
    }
    /// It is somebody else's.
    pub fn lost(self, holder: u64) {
        self.end(Answer::Lost { holder });
    }
    /// The claim was not made.
    pub fn failed(self) {
        self.end(Answer::Failed);
    }
    /// It may have won, or may yet.
    pub fn unknown(self) {
        self.end(Answer::Unknown);
    }

    fn end(self, answer: Answer) {
        let mut operations = self.history.lock();
        let ended = self.history.tick();
        if let Some(claim) = operations.claims.get_mut(self.index) {
            claim.span.ended = Some(ended);
            claim.answer = answer;
        }
    }
}
