//! The messages that are written and read.

use rookery_model::message::{MessageFlags, MessageRow, MessageType};
use rookery_model::{ChannelId, MessageId, Snowflake, UserId};

/// Authors, each of whom writes a few messages and lets the next write.
const AUTHORS: u64 = 100;

/// A channel whose messages are made as they are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    pub id: ChannelId,
    /// When its first message is written, Unix milliseconds.
    pub begin_ms: u64,
    /// Between two messages.
    pub step_ms: u64,
    /// Messages that an author writes in a row.
    pub in_a_row: u64,
}

impl Channel {
    /// The id of a message.
    pub fn message_id(&self, number: u64) -> MessageId {
        MessageId(Snowflake::from_parts(self.begin_ms + number * self.step_ms, 1, 0))
    }

    /// A message.
    pub fn message(&self, number: u64) -> MessageRow {
        MessageRow {
            channel_id: self.id,
            id: self.message_id(number),
            author_id: UserId::new(7_000 + number / self.in_a_row % AUTHORS),
            kind: MessageType::Default,
            content: format!(
                "message number {number} of a benchmark, about as long as what people write to each other"
            ),
            edited_timestamp: None,
            tts: false,
            mention_everyone: false,
            mention_users: Vec::new(),
            mention_roles: Vec::new(),
            attachments: Vec::new(),
            embeds: Vec::new(),
            flags: MessageFlags::empty(),
            pinned: false,
            message_reference: None,
            application_id: None,
            webhook_id: None,
            nonce: None,
            call: None,
        }
    }
}
