//! Idempotency: a mutation with the same operation id happens once, and every retry gets its first answer.
//!
//! Three guards, from near to far: retries that meet the running original wait for it; finished ones are answered from
//! a bounded cache; after a restart, from the row that the mutation stored beside its own writes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use rookery_core_db::Store;
use rookery_model::call::{CallReply, Reply};
use rookery_model::store::{OperationRow, Write};
use rookery_model::{ApiError, UserId};

use crate::errors::from_store;

/// An operation id, as the point of presence minted it.
pub type OperationId = [u8; 16];

/// Bytes of answers kept in memory.
const CACHED_BYTES: u64 = 16 * 1024 * 1024;
/// A point of presence retries within its deadline, which is seconds.
const KEEP: Duration = Duration::from_secs(600);

/// The record that a mutation writes in the same batch as its effects.
#[derive(Clone, Copy, Debug)]
pub struct OperationContext {
    pub id: OperationId,
    pub user_id: Option<UserId>,
}

impl OperationContext {
    /// The write that remembers the answer.
    pub fn record(&self, reply: &Reply) -> Write {
        let mut encoded = Vec::with_capacity(256);
        // Writing to memory fails only if a value cannot be encoded, and replies are plain data; an empty row is never
        // answered from.
        if let Err(error) = ciborium::into_writer(reply, &mut encoded) {
            tracing::error!(%error, "a reply could not be encoded for its operation");
            encoded.clear();
        }
        Write::PutOperation(OperationRow { id: self.id.to_vec(), user_id: self.user_id, reply: encoded })
    }
}

type Outcome = Result<Reply, ApiError>;

/// The operations of this region.
pub struct Operations {
    store: Store,
    recent: Cache<OperationId, Arc<(Option<UserId>, Outcome)>>,
}

impl Operations {
    /// No operation yet; what the store remembers is looked up when asked for.
    pub fn new(store: Store) -> Self {
        let recent = Cache::builder()
            .max_capacity(CACHED_BYTES)
            .weigher(|_, value: &Arc<(Option<UserId>, Outcome)>| weight(&value.1))
            .time_to_live(KEEP)
            .build();
        Self { store, recent }
    }

    /// Runs a mutation unless it ran already; its answer either way.
    ///
    /// Failures that did nothing (5xx, 429 and 401) are not remembered: their retry runs. An answer is for the user who
    /// asked first; another's request with the same id is refused rather than answered with what is not theirs.
    pub async fn once(&self, context: OperationContext, run: impl Future<Output = Outcome> + Send) -> Outcome {
        let attempt = async {
            let outcome = match self.stored(context).await? {
                Some(reply) => Ok(reply),
                None => run.await,
            };
            match outcome {
                Err(error) if error.status >= 500 || matches!(error.status, 401 | 429) => Err(error),
                outcome => Ok(Arc::new((context.user_id, outcome))),
            }
        };
        match self.recent.try_get_with(context.id, attempt).await {
            Ok(first) if first.0 == context.user_id => first.1.clone(),
            Ok(_) => Err(rookery_model::ErrorCode::Unauthorized.into()),
            Err(error) => Err(ApiError::clone(&error)),
        }
    }

    async fn stored(&self, context: OperationContext) -> Result<Option<Reply>, ApiError> {
        let Some(row) = self.store.operation(&context.id).await.map_err(from_store)? else { return Ok(None) };
        if row.user_id != context.user_id {
            return Err(rookery_model::ErrorCode::Unauthorized.into());
        }
        Ok(ciborium::from_reader(row.reply.as_slice()).ok())
    }
}

/// Roughly the bytes of an answer: only messages and lists are large.
fn weight(outcome: &Outcome) -> u32 {
    let extra = match outcome {
        Ok(Reply::Message(message)) => {
            message.content.len() + message.embeds.len() * 512 + message.mentions.len() * 128
        }
        Ok(Reply::Guild(guild)) => guild.roles.len() * 160,
        Ok(Reply::Channels(list)) => list.len() * 400,
        Ok(Reply::Roles(list)) => list.len() * 160,
        Ok(Reply::Operator(_)) => 1 << 20,
        _ => 0,
    };
    u32::try_from(512 + extra).unwrap_or(u32::MAX)
}

/// The answer that goes back over the link.
pub fn encode_reply(reply: &CallReply) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(512);
    if let Err(error) = ciborium::into_writer(reply, &mut encoded) {
        tracing::error!(%error, "a reply could not be encoded");
        encoded.clear();
    }
    encoded
}
