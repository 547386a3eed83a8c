//! Reads that are shared and pages that are kept, in front of an engine that a test controls.

#![allow(clippy::unwrap_used, reason = "what tests share fails like a test")]

mod dice;
mod fake;
mod flights;
mod interleavings;
mod pages;

use std::sync::Arc;
use std::time::Duration;

use rookery_core_db::{CoalesceConfig, Engine, MessageRange, Store, Write};
use rookery_model::message::{MessageFlags, MessageRow, MessageType};
use rookery_model::{ChannelId, MessageId, UserId};

use fake::Fake;

const CHANNEL: ChannelId = ChannelId::new(5);

/// No pages are kept: every read is answered by a call.
fn no_pages() -> CoalesceConfig {
    CoalesceConfig { page_cache_bytes: 0, ..CoalesceConfig::default() }
}

fn store(fake: &Arc<Fake>, config: &CoalesceConfig) -> Store {
    Store::coalescing(fake.clone() as Arc<dyn Engine>, config)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn message(channel_id: ChannelId, id: u64, content: &str) -> MessageRow {
    MessageRow {
        channel_id,
        id: MessageId::new(id),
        author_id: UserId::new(77),
        kind: MessageType::Default,
        content: content.into(),
        edited_timestamp: None,
        tts: false,
        mention_everyone: false,
        mention_users: Vec::new(),
        mention_roles: Vec::new(),
        attachments: Vec::new(),
        embeds: Vec::new(),
        flags: MessageFlags::default(),
        pinned: false,
        message_reference: None,
        application_id: None,
        webhook_id: None,
        nonce: None,
        call: None,
    }
}

fn put(id: u64) -> Vec<Write> {
    vec![Write::PutMessage(message(CHANNEL, id, "text"))]
}

fn delete(id: u64) -> Vec<Write> {
    vec![Write::DeleteMessage { channel_id: CHANNEL, message_id: MessageId::new(id) }]
}

/// The ids of the newest page.
async fn newest(store: &Store, limit: usize) -> Vec<u64> {
    let page = store.messages(CHANNEL, MessageRange::Latest, limit).await.unwrap();
    page.iter().map(|message| message.id.get()).collect()
}
