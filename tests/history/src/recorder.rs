//! Writing a history down while it happens.

use std::collections::{HashMap, HashSet};
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
    posts: Vec<Post>,
    reads: Vec<Read>,
    claims: Vec<Claim>,
}

/// A message whose id the answer tells, if one comes.
#[derive(Debug)]
struct Post {
    client: Client,
    span: Span,
    channel_id: ChannelId,
    content: String,
    message_id: Option<MessageId>,
    outcome: Outcome,
}

impl Operations {
    /// All writes in the order in which they began. A post that was not answered is the message that shows its content;
    /// where none does it says nothing.
    fn all_writes(&self) -> Vec<Write> {
        let mut shown: HashMap<(ChannelId, &str), MessageId> = HashMap::new();
        for read in &self.reads {
            for (id, content) in read.page.iter().flatten() {
                shown.entry((read.channel_id, content)).or_insert(*id);
            }
        }
        let posts = self.posts.iter().filter_map(|post| {
            let message_id =
                post.message_id.or_else(|| shown.get(&(post.channel_id, post.content.as_str())).copied())?;
            Some(Write {
                client: post.client,
                span: post.span,
                channel_id: post.channel_id,
                message_id,
                content: Some(post.content.clone()),
                outcome: post.outcome,
            })
        });
        let mut writes: Vec<Write> = self.writes.iter().cloned().chain(posts).collect();
        writes.sort_by_key(|write| write.span.began);
        writes
    }
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

    /// A new message is about to be written whose id the answer will tell; no two messages have the same content.
    pub fn post(&self, client: Client, channel_id: ChannelId, content: impl Into<String>) -> PendingPost {
        let mut operations = self.lock();
        let (span, content) = (self.begin(), content.into());
        operations.posts.push(Post { client, span, channel_id, content, message_id: None, outcome: Outcome::Unknown });
        PendingPost { history: self.clone(), index: operations.posts.len() - 1 }
    }

    /// These acknowledged posts may be gone: what a lost region had not yet given to others where that is allowed. They
    /// count as of unknown outcome, all others as before.
    pub fn may_be_lost(&self, lost: &HashSet<MessageId>) {
        for post in &mut self.lock().posts {
            if post.message_id.is_some_and(|id| lost.contains(&id)) {
                post.outcome = Outcome::Unknown;
            }
        }
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
        let writes = operations.all_writes();
        let mut violations = check_messages(&writes, &operations.reads);
        violations.extend(check_claims(&operations.claims));
        let summary = Summary {
            writes: operations.writes.len() + operations.posts.len(),
            acknowledged: writes.iter().filter(|write| write.outcome == Outcome::Ok).count(),
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

/// A post that was begun; dropped without an outcome it stays of unknown outcome, without an end.
#[derive(Debug)]
#[must_use = "the outcome is to be noted"]
pub struct PendingPost {
    history: History,
    index: usize,
}

impl PendingPost {
    /// It was acknowledged as this message.
    pub fn ok(self, message_id: MessageId) {
        self.end(Outcome::Ok, Some(message_id));
    }
    /// It was refused: no message shows it.
    pub fn failed(self) {
        self.end(Outcome::Failed, None);
    }
    /// It may have become a message, or may yet.
    pub fn unknown(self) {
        self.end(Outcome::Unknown, None);
    }

    fn end(self, outcome: Outcome, message_id: Option<MessageId>) {
        let mut operations = self.history.lock();
        let ended = self.history.tick();
        if let Some(post) = operations.posts.get_mut(self.index) {
            post.span.ended = Some(ended);
            post.outcome = outcome;
            post.message_id = message_id;
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
