//! One who reads pages.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rookery_core_db::{MessageRange, Store, StoreError};
use rookery_model::{ChannelId, MessageId};
use rookery_test_history::{Client, Window};

use crate::ledger::Kind;
use crate::load::{Shared, home_of};

/// A reader.
pub(crate) struct Reader {
    client: Client,
    home: usize,
    store: Store,
    channels: Vec<ChannelId>,
    shared: Shared,
    dice: StdRng,
}

impl Reader {
    pub fn new(client: Client, home: usize, store: Store, channels: Vec<ChannelId>, shared: Shared, seed: u64) -> Self {
        let dice = StdRng::seed_from_u64(seed ^ client.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { client, home, store, channels, shared, dice }
    }

    pub async fn run(mut self) {
        while !self.shared.is_over() {
            self.step().await;
            tokio::time::sleep(self.shared.pause).await;
        }
    }

    async fn step(&mut self) {
        let channel_id = self.channels[self.dice.random_range(0..self.channels.len())];
        let (channel_id, window) =
            match self.shared.ledger.some_post(home_of(channel_id), self.dice.random_range(0..usize::MAX)) {
                None => (channel_id, Window::Latest),
                Some(post) => match self.dice.random_range(0..10) {
                    0 => (post.channel_id, Window::Before(post.message_id)),
                    1 => (post.channel_id, Window::After(post.message_id)),
                    2..4 => (post.channel_id, Window::One(post.message_id)),
                    _ => (channel_id, Window::Latest),
                },
            };
        let limit = if matches!(window, Window::One(_)) { 1 } else { 50 };
        let pending = self.shared.history.read(self.client, channel_id, window, limit);
        let began = Instant::now();
        match page(&self.store, channel_id, window, limit).await {
            Ok(page) => {
                pending.page(page);
                self.shared.ledger.read(self.home, began);
            }
            Err(error @ StoreError::Unavailable(_)) => {
                pending.failed();
                self.shared.ledger.failed(self.home, Kind::Read, began, error);
            }
            Err(other) => panic!("{}: {other}", self.client),
        }
    }
}

/// What stands in a window.
pub(crate) async fn page(
    store: &Store,
    channel_id: ChannelId,
    window: Window,
    limit: usize,
) -> Result<Vec<(MessageId, String)>, StoreError> {
    let range = match window {
        Window::Latest => MessageRange::Latest,
        Window::Before(id) => MessageRange::Before(id),
        Window::After(id) => MessageRange::After(id),
        Window::One(id) => {
            let message = store.message(channel_id, id).await?;
            return Ok(message.map(|row| (row.id, row.content)).into_iter().collect());
        }
    };
    let page = store.messages(channel_id, range, limit).await?;
    Ok(page.iter().map(|row| (row.id, row.content.clone())).collect())
}
