//! Reads and writes that race, on virtual time: what was acknowledged is seen, whatever the order of moments.

use std::sync::Arc;

use rookery_core_db::{CoalesceConfig, MessageRange, Store, StoreError, Write};
use rookery_model::{ChannelId, MessageId};
use rookery_test_history::{Client, History, PendingWrite, Window};
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::fake::{Fake, Fate};
use crate::{message, ms, store};

const SEEDS: u64 = 10_000;
const CLIENTS: u64 = 5;

/// One of the tasks that use the store.
#[derive(Clone)]
struct User {
    client: Client,
    fake: Arc<Fake>,
    store: Store,
    history: History,
}

impl User {
    async fn run(self, mut dice: Dice) {
        for number in 0..10 {
            // Few messages of two channels, so that everybody meets everybody.
            let channel = ChannelId::new(1 + dice.below(2));
            let id = MessageId::new(1 + dice.below(6));
            match dice.below(5) {
                0 => {
                    let text = format!("{} of {}", number, self.client);
                    let note = self.history.put(self.client, channel, id, text.clone());
                    self.write(&mut dice, note, Write::PutMessage(message(channel, id.get(), &text))).await;
                }
                1 => {
                    let note = self.history.delete(self.client, channel, id);
                    self.write(&mut dice, note, Write::DeleteMessage { channel_id: channel, message_id: id }).await;
                }
                _ => self.read(&mut dice, channel, id).await,
            }
            sleep(ms(dice.one_of(&[0, 0, 1, 3, 8]))).await;
        }
    }

    async fn write(&self, dice: &mut Dice, note: PendingWrite, write: Write) {
        let fates = [Fate::Fine, Fate::Fine, Fate::Fine, Fate::Failed, Fate::UnknownApplied, Fate::UnknownLost];
        self.fake.set_fate(dice.one_of(&fates));
        let commit = self.store.submit(vec![write]).unwrap();
        if dice.below(8) == 0 {
            // The caller goes away; the write goes on.
            return drop(timeout(ms(1), commit).await);
        }
        match commit.await {
            Ok(()) => note.ok(),
            Err(StoreError::Unwritable(_)) => note.failed(),
            Err(StoreError::Unknown(_)) => note.unknown(),
            Err(other) => panic!("{other}"),
        }
    }

    async fn read(&self, dice: &mut Dice, channel: ChannelId, id: MessageId) {
        let (window, range) = match dice.below(8) {
            0 => (Window::Before(id), MessageRange::Before(id)),
            1 => (Window::After(id), MessageRange::After(id)),
            2 => return self.read_one(channel, id).await,
            _ => (Window::Latest, MessageRange::Latest),
        };
        let limit = dice.one_of(&[2, 50]);
        let note = self.history.read(self.client, channel, window, limit);
        let read = self.store.messages(channel, range, limit);
        // Some give up on the way, leaders among them.
        let patience_ms = if dice.below(6) == 0 { dice.below(12) } else { 1_000 };
        match timeout(ms(patience_ms), read).await {
            Ok(page) => note.page(page.unwrap().iter().map(|row| (row.id, row.content.clone()))),
            Err(_) => note.failed(),
        }
    }

    async fn read_one(&self, channel: ChannelId, id: MessageId) {
        let note = self.history.read(self.client, channel, Window::One(id), 1);
        note.page(self.store.message(channel, id).await.unwrap().map(|row| (row.id, row.content)));
    }
}

/// Plays a seed; how often reads were joined and pages served from those kept.
fn play(seed: u64) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let history = History::new();
    let stats = runtime.block_on(async {
        let mut dice = Dice::new(seed);
        let fake = Fake::with_dice(seed ^ 0x5eed);
        let config = CoalesceConfig { page_cache_bytes: dice.one_of(&[0, 1 << 20]), ..CoalesceConfig::default() };
        let store = store(&fake, &config);
        let tasks: Vec<_> = (1..=CLIENTS)
            .map(|client| {
                let user =
                    User { client: Client(client), fake: fake.clone(), store: store.clone(), history: history.clone() };
                tokio::spawn(user.run(Dice::new(seed.wrapping_mul(31).wrapping_add(client))))
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        store.stats()
    });
    if let Err(report) = history.check() {
        panic!("seed {seed}: {report}");
    }
    (stats.coalesced_reads, stats.page_cache_hits)
}

#[test]
fn what_was_acknowledged_is_seen_by_every_read_that_begins_later() {
    let (mut joined, mut kept) = (0, 0);
    for seed in 0..SEEDS {
        let (coalesced, hits) = play(seed);
        joined += coalesced;
        kept += hits;
    }
    // Else there was nothing to go wrong.
    assert!(joined > SEEDS && kept > SEEDS, "{joined} reads joined, {kept} pages kept");
}
