//! The outbox: work that follows from writes, and survives a crash until it is done.

use serde::{Deserialize, Serialize};

use crate::channel::int_enum;
use crate::{AttachmentId, ChannelId, MessageId, Timestamp};

int_enum! {
    /// Who does the work.
    OutboxQueue: u8 {
        /// The search index.
        Search = 1,
        /// Notifications to devices.
        Push = 2,
        /// The object store: files whose rows go. The store itself puts them in; `work` is a [`FileRemoval`] in CBOR.
        Files = 3,
    }
}

/// Where a row stands in its queue: by time, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutboxPlace {
    pub queued_at: Timestamp,
    /// Whatever makes it the only one of its moment: a message's id, for example.
    pub id: u64,
}

/// One piece of work. It may be seen again after it was done, so doing it twice must do no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxRow {
    pub queue: OutboxQueue,
    #[serde(flatten)]
    pub place: OutboxPlace,
    /// What to do, in the encoding of whoever does it. It names things by id and holds nothing that a user wrote: it is
    /// not erased with it.
    #[serde(with = "serde_bytes")]
    pub work: Vec<u8>,
}

/// A file whose row goes.
///
/// Its object may be removed once no row of its message names it any more: a deletion whose outcome was unknown may not
/// have happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRemoval {
    pub channel_id: ChannelId,
    pub message_id: MessageId,
    pub attachment_id: AttachmentId,
    /// Its name in the object store.
    pub object_key: String,
}
