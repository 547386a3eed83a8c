//! `message_buckets`: which buckets of a channel hold messages, newest first; sparse channels are read by it.
//!
//! The embedded engine reads channels by one scan and keeps the index for what walks whole channels by partition.

use rookery_model::ChannelId;

use super::Table;
use crate::key::Key;

/// All buckets of a channel.
pub fn prefix(channel_id: ChannelId) -> Key {
    Key::of(Table::MessageBuckets).id(channel_id.get())
}

/// The key of a bucket that is not empty.
pub fn key(channel_id: ChannelId, bucket: u32) -> Key {
    prefix(channel_id).bucket(bucket)
}
