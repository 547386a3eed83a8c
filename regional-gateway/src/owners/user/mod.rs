//! The owner of a user, as others reach it.

pub(crate) mod actor;
pub mod command;
mod presence;

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rookery_model::call::Reply;
use rookery_model::channel::Channel;
use rookery_model::gateway::event::Ready;
use rookery_model::user::User;
use rookery_model::{ApiError, ChannelId, ErrorCode, GuildId, MessageId, UserId};
use rookery_user::{UserCore, UserSession};
use tokio::sync::oneshot;

use super::Shared;
use crate::errors::from_store;
use crate::gateway::input::AskedAt;
use crate::gateway::registry::SessionHandle;
use crate::operations::OperationContext;
use crate::peers::frame::{SessionRef, ToOwner, UserSessionForm};
use command::{AcknowledgeCommand, Known, Missing, Started, SubscribeCommand, TakeUpCommand, UserCommand};

/// DMs that are read at the same time for a READY.
const DMS_AT_ONCE: usize = 16;
/// How often a READY is put together anew because a DM was opened meanwhile.
const START_ATTEMPTS: usize = 6;

/// The way to the owner of a user.
#[derive(Clone)]
pub struct UserHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) id: UserId,
}

impl UserHandle {
    /// Whose owner it is.
    pub const fn id(&self) -> UserId {
        self.id
    }

    /// Notes that the user read a channel up to a message; returns when that is durable.
    pub async fn acknowledge(
        &self,
        channel_id: ChannelId,
        message_id: MessageId,
        manual: bool,
        mention_count: Option<u32>,
        operation: Option<OperationContext>,
    ) -> Result<Reply, ApiError> {
        let (reply, answer) = oneshot::channel();
        let command = AcknowledgeCommand { channel_id, message_id, manual, mention_count, operation, reply };
        self.shared.send_user(self.id, UserCommand::Acknowledge(Box::new(command)))?;
        received(answer.await)
    }

    /// Whether the user has room for one more guild; 30001 if not.
    pub async fn may_join_guild(&self, id: GuildId) -> Result<(), ApiError> {
        if self.shared.peers.elsewhere(self.id.get()).is_none() {
            return self.query(move |core| core.may_join_guild(id)).await?;
        }
        // Their owner reads the same rows.
        let is_bot = self.shared.accounts.get(self.id).await?.is_some_and(|account| account.user.bot);
        let guilds = self.shared.store.guilds_of_user(self.id).await.map_err(from_store)?;
        let has_room = is_bot || guilds.len() < self.shared.user_limits.guilds_max;
        if has_room || guilds.contains(&id) { Ok(()) } else { Err(ErrorCode::MaxGuilds.into()) }
    }

    /// Looks into the core, in order with its commands. What it shows may not be durable yet.
    pub async fn query<R: Send + 'static>(
        &self,
        look: impl FnOnce(&UserCore) -> R + Send + 'static,
    ) -> Result<R, ApiError> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |core: Result<&UserCore, ApiError>| drop(reply.send(core.map(look))));
        self.shared.send_user(self.id, UserCommand::Query(query))?;
        received(answer.await)
    }

    /// Whether sessions can subscribe to it now.
    pub(crate) fn is_in_reach(&self) -> bool {
        self.shared.peers.is_in_reach(self.id.get())
    }

    /// Waits until they can; not for ever.
    pub(crate) async fn in_reach(&self) -> Result<(), ApiError> {
        self.shared.peers.in_reach(self.id.get()).await
    }

    /// Where it is asked.
    pub(crate) fn asked(&self) -> AskedAt {
        self.shared.peers.elsewhere(self.id.get()).map_or(AskedAt::Here, |peer| AskedAt::There(peer.index))
    }

    /// Starts a session: READY goes to it, and from then on the user's events.
    pub(crate) async fn subscribe(
        &self,
        session: &Arc<SessionHandle>,
        subscriber: &UserSession,
        ready: Box<Ready>,
        is_bot: bool,
    ) -> Result<(), ApiError> {
        self.shared.peers.in_reach(self.id.get()).await?;
        if let Some(peer) = self.shared.peers.elsewhere(self.id.get()) {
            let user_session = UserSessionForm::new(subscriber);
            let session = SessionRef::of(session);
            return peer.ask(ToOwner::StartUser { session, user_session: Box::new(user_session), ready, is_bot });
        }
        let mut known = Known::default();
        // The first attempt finds out what there is to read, and that an owner is loaded while they are read.
        for _ in 0..START_ATTEMPTS {
            let (started, answer) = oneshot::channel();
            let command = SubscribeCommand {
                session: Arc::clone(session),
                subscriber: subscriber.clone(),
                ready: ready.clone(),
                known: (!is_bot).then(|| known.clone()),
                started,
            };
            self.shared.send_user(self.id, UserCommand::Subscribe(Box::new(command)))?;
            match received(answer.await)? {
                Started::Ready => return Ok(()),
                Started::Missing { missing, incarnation } => {
                    if known.incarnation != incarnation {
                        known = Known { incarnation, ..Known::default() };
                    }
                    self.read(missing, &mut known).await?;
                }
            }
        }
        Err(ErrorCode::Unavailable.into())
    }

    /// Goes on with a session of the process before, which waits for RESUME.
    pub(crate) async fn take_up(&self, session: &Arc<SessionHandle>, subscriber: &UserSession) -> Result<(), ApiError> {
        let (taken_up, answer) = oneshot::channel();
        let command = TakeUpCommand {
            session: Arc::clone(session),
            subscriber: subscriber.clone(),
            is_attached: false,
            taken_up,
        };
        self.shared.send_user(self.id, UserCommand::TakeUp(Box::new(command)))?;
        received(answer.await)
    }

    async fn read(&self, missing: Missing, known: &mut Known) -> Result<(), ApiError> {
        self.read_dms(missing.dms, &mut known.dms).await?;
        if !missing.users.is_empty() {
            let users = self.shared.accounts.users(&missing.users).await?;
            known.users.extend(users.into_iter().map(|user| (user.id, user)));
            for id in missing.users {
                // An erased account keeps its relationships for a while.
                known.users.entry(id).or_insert_with(|| User::new(id, "deleted_user"));
            }
        }
        Ok(())
    }

    async fn read_dms(
        &self,
        ids: Vec<ChannelId>,
        dms: &mut HashMap<ChannelId, Option<Channel>>,
    ) -> Result<(), ApiError> {
        let read: Vec<(ChannelId, Option<Channel>)> = stream::iter(ids)
            .map(|id| async move { self.dm_view(id).await.map(|dm| (id, dm)) })
            .buffer_unordered(DMS_AT_ONCE)
            .try_collect()
            .await?;
        dms.extend(read);
        Ok(())
    }

    /// A DM as the user sees it: without themselves among the recipients.
    async fn dm_view(&self, id: ChannelId) -> Result<Option<Channel>, ApiError> {
        let store = &self.shared.store;
        let Some(row) = store.dm(id).await.map_err(from_store)? else { return Ok(None) };
        let others: Vec<UserId> = row.user_ids.iter().copied().filter(|other| *other != self.id).collect();
        let recipients = self.shared.accounts.users(&others).await?;
        let last_message_id = store.last_message_id(id).await.map_err(from_store)?;
        Ok(Some(Channel { recipients, last_message_id, ..row.channel }))
    }
}

fn received<R>(answer: Result<Result<R, ApiError>, oneshot::error::RecvError>) -> Result<R, ApiError> {
    // An owner that was cut off has told nobody anything.
    answer.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into()))
}
