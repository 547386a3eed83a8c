//! Carries what one owner's outcome means for others: memberships, mentions, events of DMs.

use std::sync::{Arc, Weak};

use futures_util::{StreamExt as _, stream};
use rookery_guild::Effect;
use rookery_model::gateway::Event;
use rookery_model::{ChannelId, GuildId, MessageId, UserId};
use rookery_session::Payload;
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::limbo::ForUser;
use super::user::command::UserCommand;
use crate::peers::frame::Between;

/// Messages with mentions that may wait to be counted in their users' read states.
const MENTIONS_WAITING: usize = 4_096;
/// Users whose owners count one message's mention at the same time.
const USERS_AT_ONCE: usize = 64;

/// The queue of mentions; counting loads their users' owners, which takes longer than the message may wait.
pub struct Carrier {
    jobs: mpsc::Sender<Job>,
}

enum Job {
    Mentions(Mentions),
    /// Answered when everything before it is done.
    Flush(oneshot::Sender<()>),
}

struct Mentions {
    channel_id: ChannelId,
    message_id: MessageId,
    user_ids: Vec<UserId>,
}

impl Carrier {
    /// Starts the worker; it ends with the owners.
    pub fn start(shared: Weak<Shared>) -> Self {
        let (jobs, mut queue) = mpsc::channel(MENTIONS_WAITING);
        tokio::spawn(async move {
            while let Some(job) = queue.recv().await {
                let Some(shared) = shared.upgrade() else { return };
                match job {
                    Job::Mentions(mentions) => count_all(&shared, mentions).await,
                    Job::Flush(done) => drop(done.send(())),
                }
            }
        });
        Self { jobs }
    }

    /// Waits until everything that was handed over is done.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }
}

async fn count_all(shared: &Arc<Shared>, mentions: Mentions) {
    let Mentions { channel_id, message_id, user_ids } = mentions;
    stream::iter(user_ids)
        .for_each_concurrent(USERS_AT_ONCE, |user_id| count(shared, user_id, channel_id, message_id))
        .await;
}

/// Lets the user's owner count a mention, waiting while it has too much to do.
async fn count(shared: &Arc<Shared>, user_id: UserId, channel_id: ChannelId, message_id: MessageId) {
    const ATTEMPTS: u32 = 6;
    for attempt in 0..ATTEMPTS {
        let (done, counted) = oneshot::channel();
        match shared.send_user(user_id, UserCommand::Mentioned { channel_id, message_id, done }) {
            // Waited for, so that the work at hand is bounded.
            Ok(()) if counted.await.is_ok() => return,
            Ok(()) => break,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10 << attempt)).await,
        }
    }
    metrics::counter!("rookery_mentions_dropped_total").increment(1);
}

impl Shared {
    /// Tells somebody outside of a guild what happened to them.
    pub(crate) fn carry(&self, effect: Effect) {
        match effect {
            Effect::MemberJoined { guild_id, user_id } => self.tell_membership(guild_id, vec![user_id], true),
            Effect::MemberLeft { guild_id, user_id } => self.tell_membership(guild_id, vec![user_id], false),
            Effect::GuildDeleted { guild_id, user_ids } => self.tell_membership(guild_id, user_ids, false),
            Effect::Mentioned { channel_id, message_id, mut user_ids } => {
                for (peer, user_ids) in self.peers.take_out_elsewhere(&mut user_ids, UserId::get) {
                    if peer.is_nobody() {
                        // Tried for a moment, and counted if nobody takes it.
                        self.mention_here(channel_id, message_id, user_ids);
                        continue;
                    }
                    let count = user_ids.len() as u64;
                    if !peer.tell(Between::Mentioned { channel_id, message_id, user_ids }) {
                        metrics::counter!("rookery_mentions_dropped_total").increment(count);
                    }
                }
                self.mention_here(channel_id, message_id, user_ids);
            }
            Effect::VoiceConnected(entry) => {
                if let Some(voice) = &self.voice {
                    voice.connected(*entry);
                }
            }
            Effect::VoiceDisconnected { server_id, user_id } => {
                if let Some(voice) = &self.voice {
                    voice.disconnected(server_id, user_id);
                }
            }
        }
    }

    /// Lets the owners here count a mention.
    pub(crate) fn mention_here(&self, channel_id: ChannelId, message_id: MessageId, user_ids: Vec<UserId>) {
        let count = user_ids.len() as u64;
        let job = Job::Mentions(Mentions { channel_id, message_id, user_ids });
        if count > 0 && self.carrier.jobs.try_send(job).is_err() {
            metrics::counter!("rookery_mentions_dropped_total").increment(count);
        }
    }

    /// Tells users that they joined or left a guild.
    fn tell_membership(&self, guild_id: GuildId, mut user_ids: Vec<UserId>, has_joined: bool) {
        for (peer, user_ids) in self.peers.take_out_elsewhere(&mut user_ids, UserId::get) {
            if peer.is_nobody() {
                self.tell_membership_here(guild_id, &user_ids, has_joined);
            } else {
                peer.tell_membership(guild_id, &user_ids, has_joined);
            }
        }
        self.tell_membership_here(guild_id, &user_ids, has_joined);
    }

    /// Tells the owners here of it.
    pub(crate) fn tell_membership_here(&self, guild_id: GuildId, user_ids: &[UserId], has_joined: bool) {
        for user_id in user_ids {
            let item = if has_joined { ForUser::GuildJoined(guild_id) } else { ForUser::GuildLeft(guild_id) };
            self.tell_user_here(*user_id, item);
        }
    }

    /// Sends an event to the sessions of users; those without sessions see it in their next READY.
    pub(crate) fn deliver_to_users(&self, user_ids: &[UserId], event: Arc<Event>) {
        let mut here = user_ids.to_vec();
        for (peer, user_ids) in self.peers.take_out_elsewhere(&mut here, UserId::get) {
            if peer.is_nobody() {
                user_ids.iter().for_each(|id| self.let_wait(*id, ForUser::Event(Arc::clone(&event))));
            } else {
                peer.deliver(&event, &user_ids);
            }
        }
        self.deliver_here(&here, event);
    }

    /// Sends an event to the sessions of users whose owners are here.
    pub(crate) fn deliver_here(&self, user_ids: &[UserId], event: Arc<Event>) {
        let payload = Payload::new(Event::clone(&event));
        for user_id in user_ids {
            if self.is_settled_here(*user_id) {
                let command = UserCommand::Deliver { event: Arc::clone(&event), payload: Arc::clone(&payload) };
                self.send_user_if_loaded(*user_id, command);
            } else {
                self.let_wait(*user_id, ForUser::Event(Arc::clone(&event)));
            }
        }
    }
}
