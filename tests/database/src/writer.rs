//! One who writes messages, changes and deletes them, and reacts to them.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use rookery_core_db::{OperationRow, ReactionCountRow, ReactionRow, ReadState, Store, StoreError, Write};
use rookery_model::message::{MessageFlags, MessageRow, MessageType, ReactionEmoji};
use rookery_model::{ChannelId, MessageId, Snowflake, Timestamp, UserId};
use rookery_test_history::{Client, PendingWrite};

use crate::ledger::Kind;
use crate::load::Shared;

/// How many of its messages a writer remembers to change them.
const REMEMBERED_MAX: usize = 64;
/// The pause before a write that failed is tried again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A message that stands, as its writer knows it.
struct Own {
    row: MessageRow,
    version: u32,
    /// Who reacted, in the order of coming: the users 1, 2, …
    reactions: u32,
    first_reaction_at: Timestamp,
}

/// A writer; its messages are its own, so that it knows in which order they change.
pub(crate) struct Writer {
    client: Client,
    home: usize,
    store: Store,
    channels: Vec<ChannelId>,
    shared: Shared,
    dice: StdRng,
    own: Vec<Own>,
    last_id_ms: u64,
    operations: u64,
}

impl Writer {
    pub fn new(client: Client, home: usize, store: Store, channels: Vec<ChannelId>, shared: Shared, seed: u64) -> Self {
        let dice = StdRng::seed_from_u64(seed ^ client.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { client, home, store, channels, shared, dice, own: Vec::new(), last_id_ms: 0, operations: 0 }
    }

    pub async fn run(mut self) {
        while !self.shared.is_over() {
            self.step().await;
            tokio::time::sleep(self.shared.pause).await;
        }
    }

    async fn step(&mut self) {
        match (self.dice.random_range(0..100), self.own.is_empty()) {
            (..15, false) => self.edit().await,
            (15..30, false) => self.react().await,
            (30..35, false) => self.withdraw().await,
            (35..43, false) => self.delete().await,
            _ => self.post().await,
        }
    }

    fn pick(&mut self) -> usize {
        self.dice.random_range(0..self.own.len())
    }

    async fn post(&mut self) {
        let channel_id = self.channels[self.dice.random_range(0..self.channels.len())];
        let row = message(channel_id, self.new_id(), self.author());
        let (id, content) = (row.id, row.content.clone());
        let batch = vec![
            Write::PutMessage(row.clone()),
            Write::PutReadState(ReadState {
                user_id: self.author(),
                channel_id,
                last_message_id: Some(id),
                mention_count: 0,
                last_pin_timestamp: None,
            }),
            self.operation(),
        ];
        let pending = self.shared.history.put(self.client, channel_id, id, content);
        self.write(batch, Some((channel_id, id)), Some(pending)).await;
        if self.own.len() == REMEMBERED_MAX {
            self.own.remove(0);
        }
        self.own.push(Own { row, version: 0, reactions: 0, first_reaction_at: Timestamp::from_unix_ms(0) });
    }

    async fn edit(&mut self) {
        let place = self.pick();
        let own = &mut self.own[place];
        own.version += 1;
        own.row.content = format!("{} version {}", own.row.id, own.version);
        own.row.edited_timestamp = Some(now());
        let row = own.row.clone();
        let pending = self.shared.history.put(self.client, row.channel_id, row.id, row.content.clone());
        let batch = vec![Write::PutMessage(row), self.operation()];
        self.write(batch, None, Some(pending)).await;
    }

    async fn delete(&mut self) {
        let place = self.pick();
        let row = self.own.swap_remove(place).row;
        self.shared.ledger.deletes(row.id);
        let pending = self.shared.history.delete(self.client, row.channel_id, row.id);
        let batch = vec![Write::DeleteMessage { channel_id: row.channel_id, message_id: row.id }];
        self.write(batch, None, Some(pending)).await;
    }

    async fn react(&mut self) {
        let place = self.pick();
        let own = &mut self.own[place];
        own.reactions += 1;
        if own.reactions == 1 {
            own.first_reaction_at = now();
        }
        let batch = vec![Write::PutReaction(own.reaction(own.reactions)), Write::PutReactionCount(own.count())];
        self.write(batch, None, None).await;
    }

    async fn withdraw(&mut self) {
        let place = self.pick();
        let own = &mut self.own[place];
        if own.reactions == 0 {
            return;
        }
        let gone = Write::DeleteReaction(own.reaction(own.reactions));
        own.reactions -= 1;
        let count = match own.reactions {
            0 => Write::DeleteReactionCount { channel_id: own.row.channel_id, message_id: own.row.id, emoji: emoji() },
            _ => Write::PutReactionCount(own.count()),
        };
        self.write(vec![gone, count], None, None).await;
    }

    /// Writes until it is acknowledged: what was uncertain is repeated with the same ids, as the interface wants it.
    async fn write(&self, batch: Vec<Write>, post: Option<(ChannelId, MessageId)>, pending: Option<PendingWrite>) {
        loop {
            let began = Instant::now();
            match self.store.write(batch.clone()).await {
                Ok(()) => {
                    if let Some(pending) = pending {
                        pending.ok();
                    }
                    return self.shared.ledger.wrote(self.home, began, batch, post);
                }
                Err(error @ (StoreError::Unknown(_) | StoreError::Unwritable(_) | StoreError::Busy)) => {
                    self.shared.ledger.failed(self.home, Kind::Write, began, error);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(other) => panic!("{}: {other}", self.client),
            }
        }
    }

    fn author(&self) -> UserId {
        UserId::new(500_000 + self.client.0)
    }

    /// An id above the writer's earlier ones; no other writer has the same.
    fn new_id(&mut self) -> MessageId {
        self.last_id_ms = now().unix_ms().cast_unsigned().max(self.last_id_ms + 1);
        MessageId(Snowflake::from_parts(self.last_id_ms, u16::try_from(self.client.0).unwrap(), 0))
    }

    fn operation(&mut self) -> Write {
        self.operations += 1;
        let id = (u128::from(now().unix_ms().cast_unsigned()) << 80)
            | (u128::from(self.client.0) << 64)
            | u128::from(self.operations);
        let reply = vec![7; 40];
        Write::PutOperation(OperationRow { id: id.to_be_bytes().to_vec(), user_id: Some(self.author()), reply })
    }
}

impl Own {
    fn reaction(&self, user: u32) -> ReactionRow {
        ReactionRow {
            channel_id: self.row.channel_id,
            message_id: self.row.id,
            emoji: emoji(),
            user_id: UserId::new(u64::from(user)),
        }
    }

    fn count(&self) -> ReactionCountRow {
        ReactionCountRow {
            channel_id: self.row.channel_id,
            message_id: self.row.id,
            emoji: emoji(),
            count: self.reactions,
            first_at: self.first_reaction_at,
        }
    }
}

fn emoji() -> ReactionEmoji {
    ReactionEmoji::unicode("🔥")
}

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(i64::try_from(now.as_millis()).unwrap())
}

fn message(channel_id: ChannelId, id: MessageId, author_id: UserId) -> MessageRow {
    MessageRow {
        channel_id,
        id,
        author_id,
        kind: MessageType::Default,
        content: format!("{id}"),
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
