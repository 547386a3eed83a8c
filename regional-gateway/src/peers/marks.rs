//! Where owners begin and end, in order with what they say.
//!
//! An owner that moves says by its old node that it ended, behind all of its events, and by its new one that it begins,
//! before the first. A session that heard the end of one epoch goes on with the next without a gap and without a
//! snapshot; its new owner takes no calls before all nodes have handed over their sessions.

use std::collections::VecDeque;
use std::sync::Arc;

use rookery_guild::Subscriber;
use rookery_model::ErrorCode;
use rookery_model::GuildId;
use rookery_model::gateway::SubscriberId;

use super::frame::{ControlForm, Frame, SessionRef, ShardsForm, SubscriberForm, ToOwner, ToSessions, UserSessionForm};
use super::task::PeerTask;
use crate::gateway::registry::{SessionHandle, Signal};
use crate::gateway::worker::Held;
use crate::placement::{ShardEpoch, ShardEpochs};

/// Batches whose answer may be awaited; whoever answers none of so many is not waited for.
const BATCHES_MAX: usize = 4_096;

/// Marks of one other node that are under way.
#[derive(Default)]
pub struct Marks {
    next_batch: u64,
    /// Owners that begin here, and wait for the other side's sessions.
    begun: VecDeque<(u64, Held)>,
    /// What the other side said and is not carried out yet.
    pub(super) heard: VecDeque<Mark>,
}

/// Something that the other side said.
pub enum Mark {
    Began { batch: u64, shards: Vec<ShardsForm> },
    Ended { shards: Vec<ShardsForm> },
}

impl Marks {
    /// Nobody is waited for any more.
    pub fn let_go(&mut self) {
        self.begun.clear();
    }

    /// All sessions of a batch were handed over.
    pub fn resumed(&mut self, batch: u64) {
        self.begun.retain(|(begun, _)| *begun != batch);
    }

    /// One batch out of all that are awaited.
    fn gather(&mut self) -> u64 {
        self.next_batch += 1;
        self.begun.iter_mut().for_each(|(batch, _)| *batch = self.next_batch);
        self.next_batch
    }

    fn begin(&mut self, held: Option<Held>) -> u64 {
        self.next_batch += 1;
        let Some(held) = held else { return self.next_batch };
        if self.begun.len() >= BATCHES_MAX {
            self.begun.pop_front();
        }
        self.begun.push_back((self.next_batch, held));
        self.next_batch
    }
}

impl PeerTask {
    /// Owners here begin. Of a node that is not open yet they wait for the sessions too, until their time is up: it may be
    /// this one that began a moment ago.
    pub(super) fn owners_began(&mut self, shards: &ShardEpochs, held: Held) {
        self.tell_began(shards, Some(held));
    }

    pub(super) fn tell_began(&mut self, shards: &ShardEpochs, held: Option<Held>) {
        let batch = self.marks.begin(held);
        if self.serves() {
            let shards = self.region.peers.ownership().write(shards);
            self.send(&Frame::ToSessions(ToSessions::Began { batch, shards }));
        }
    }

    /// Owners here ended.
    pub(super) fn owners_ended(&mut self, shards: &ShardEpochs) {
        let ownership = Arc::clone(self.region.peers.ownership());
        self.proxies.owners_ended(&self.region.sessions, |raw| shards.get(ownership.shard_of(raw)).is_some());
        if self.serves() {
            self.send(&Frame::ToSessions(ToSessions::Ended { shards: ownership.write(shards) }));
        }
    }

    /// Says what lives here, to sessions that begin anew.
    pub(super) fn tell_own(&mut self) {
        let ownership = self.region.peers.ownership();
        let shards = ownership.write(&ownership.own());
        // Those that begin wait for the answer to this.
        let batch = self.marks.gather();
        if !shards.is_empty() {
            self.send(&Frame::ToSessions(ToSessions::Began { batch, shards }));
        }
    }

    /// Carries out what was heard, behind all that came before it.
    pub(super) async fn follow_marks(&mut self) {
        while let Some(mark) = self.marks.heard.pop_front() {
            self.outbox.flush().await;
            match mark {
                Mark::Began { batch, shards } => self.began_there(batch, &shards).await,
                Mark::Ended { shards } => {
                    let ownership = Arc::clone(self.region.peers.ownership());
                    let shards = ownership.read(&shards);
                    shards.iter().for_each(|shard| ownership.serve_ended(shard.shard));
                    ownership.note_ended(&shards);
                    self.region.sessions.workers().ended(&Arc::new(shards), false).await;
                }
            }
        }
    }

    async fn began_there(&mut self, batch: u64, shards: &[ShardsForm]) {
        let (ownership, index) = (Arc::clone(self.region.peers.ownership()), self.peer.index);
        let is_news = |shard: &ShardEpoch| !ownership.is_served_by(shard.shard, index, shard.epoch);
        let shards: ShardEpochs = ownership.read(shards).iter().filter(is_news).collect();
        if !shards.is_empty() {
            // So that sessions find it who are to go on there.
            shards.iter().for_each(|shard| ownership.learn(shard.shard, index, shard.epoch));
            let shards = Arc::new(shards);
            ownership.note_began(&shards);
            self.region.sessions.workers().began(&shards, false).await;
            shards.iter().for_each(|shard| ownership.serve(shard.shard, index, shard.epoch));
            ownership.tell_changed();
        }
        // What sessions had for the owners that began is in this queue.
        while let Ok(queued) = self.outgoing.try_recv() {
            self.queued(queued);
        }
        self.send(&Frame::ToOwner(ToOwner::Resumed { batch }));
    }

    /// A guild here that begins is to go on with sessions of the other side.
    pub(super) fn take_up_guild(&mut self, guild_id: GuildId, sessions: Vec<(SessionRef, SubscriberForm)>) {
        let mut taken: Vec<(Arc<SessionHandle>, Subscriber)> = Vec::new();
        let mut numbers: Vec<(u64, SubscriberId)> = Vec::new();
        for (session, form) in sessions {
            match self.proxies.open(&self.region.sessions, &self.worker, session) {
                Some(handle) => {
                    self.proxies.note_guild(session.id, guild_id);
                    let subscriber = form.read(handle.subscriber, handle.user_id);
                    numbers.push((session.id, handle.subscriber));
                    taken.push((handle, subscriber));
                }
                None => self.refuse_guild(session.id, guild_id, ErrorCode::Unavailable.into()),
            }
        }
        let asked = if self.region.peers.elsewhere(guild_id.get()).is_some() {
            Err(ErrorCode::Unavailable.into())
        } else {
            self.region.owners.resume_guild(guild_id, taken)
        };
        if let Err(error) = asked {
            for (number, _) in numbers {
                self.proxies.leave_guild(&self.region.sessions, number, guild_id);
                self.refuse_guild(number, guild_id, error.clone());
            }
        }
    }

    /// A user here is to go on with a session of the other side, which ends if that cannot be.
    pub(super) fn take_up_user(&mut self, session: SessionRef, user_session: UserSessionForm, is_attached: bool) {
        let handle = self.proxies.open(&self.region.sessions, &self.worker, session);
        let is_here = self.region.peers.elsewhere(session.user_id.get()).is_none();
        let Some(handle) = handle.filter(|_| is_here) else {
            let control = ControlForm::NotReady(Box::new(ErrorCode::Unavailable.into()));
            return self.send(&Frame::ToSessions(ToSessions::Control { session: session.id, control }));
        };
        self.proxies.note_user(session.id);
        let user_session = user_session.read(handle.subscriber, session.device);
        let region = Arc::clone(&self.region);
        // Asked at once, so that its turn comes before calls; a token that is void ends it all the same.
        if region.owners.shared().take_up_user(&handle, user_session.clone(), is_attached).is_err() {
            handle.signal(Signal::Lost);
            return;
        }
        self.region.tasks.spawn(async move {
            let account = region.accounts.get(session.user_id).await;
            let is_valid = account.is_ok_and(|account| {
                account.is_some_and(|account| {
                    account.token_epoch == user_session.epoch && !account.revoked_devices.contains(&session.device)
                })
            });
            if !is_valid {
                handle.signal(Signal::Lost);
            }
        });
    }
}
