//! The owner of a guild or DM, as others reach it.

pub(crate) mod actor;
pub mod command;
mod core_timer;
mod deciding;
mod delivery;
mod reads;
mod recovery;
mod transient;

use std::sync::Arc;
use std::time::Instant;

use rookery_guild::{Caller, GuildCore};
use rookery_model::call::{Call, Reply};
use rookery_model::user::User;
use rookery_model::{ApiError, ErrorCode};
use tokio::sync::oneshot;

use super::{OwnerKey, Shared};
use crate::operations::OperationContext;
use crate::peers::frame::Between;
use command::{CallCommand, GuildCommand};

/// The way to the owner of a guild or DM.
#[derive(Clone)]
pub struct GuildHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) key: OwnerKey,
    /// It was asked for by a channel, so that its absence is the channel's.
    pub(super) via_channel: bool,
}

impl GuildHandle {
    /// Whose owner it is.
    pub const fn key(&self) -> OwnerKey {
        self.key
    }

    /// Carries out a call; returns when what it changed is durable and on its way to everybody who may see it.
    ///
    /// With an operation, its record is written in the same batch. `Unavailable` says that nothing was acknowledged:
    /// the same operation may be tried again.
    pub async fn call(
        &self,
        caller: Caller,
        call: Call,
        operation: Option<OperationContext>,
    ) -> Result<Reply, ApiError> {
        let (reply, answer) = oneshot::channel();
        let command = CallCommand { caller, call, operation, reply, queued_at: Instant::now() };
        self.shared.send_guild(self.key, GuildCommand::Call(Box::new(command)))?;
        self.answer(answer).await
    }

    /// Looks into the core, in order with its commands. What it shows may not be durable yet.
    pub async fn query<R: Send + 'static>(
        &self,
        look: impl FnOnce(&GuildCore) -> R + Send + 'static,
    ) -> Result<R, ApiError> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |core: Result<&GuildCore, ApiError>| drop(reply.send(core.map(look))));
        self.shared.send_guild(self.key, GuildCommand::Query(query))?;
        self.answer(answer).await
    }

    /// Takes over the changed account of somebody who may be a member; nothing to do if the owner is not loaded.
    pub fn user_updated(&self, user: Arc<User>) {
        if let Some(peer) = self.shared.peers.elsewhere(self.key.raw()) {
            let user = Box::new(User::clone(&user));
            if !peer.tell(Between::UserUpdated { user, places: vec![self.key.into()] }) {
                metrics::counter!("rookery_user_updates_dropped_total").increment(1);
            }
            return;
        }
        self.shared.user_updated(self.key, user);
    }

    async fn answer<R>(&self, answer: oneshot::Receiver<Result<R, ApiError>>) -> Result<R, ApiError> {
        // An owner that was cut off has told nobody anything.
        let result = answer.await.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into()));
        match result {
            Err(error) if self.via_channel && error.is(ErrorCode::UnknownGuild) => {
                Err(ErrorCode::UnknownChannel.into())
            }
            result => result,
        }
    }
}
