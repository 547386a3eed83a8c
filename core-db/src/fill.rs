//! Rows of every kind out of a seed, as many as wanted: for tests, benchmarks and drills of backup and restore.

mod rows;

use std::collections::VecDeque;

use rookery_model::channel::{Channel, ChannelType};
use rookery_model::store::{DmRow, SettingsRow, UniqueKey, Write};
use rookery_model::{MessageId, Snowflake};

use self::rows::{account, application, dm_id, guild, invite_code, member, message, plain, read_state, relationship};
pub use self::rows::{channel_id, guild_id, message_id, user_id};
use crate::{Commit, Store, StoreError};

/// When the first message was written, Unix milliseconds; any time will do.
const BEGIN_MS: u64 = 1_750_000_000_000;
/// Between two messages; a million of them lie in a span of six days.
const STEP_MS: u64 = 500;
const CHANNELS_OF_GUILD: u64 = 5;
/// Messages in a batch, and batches on their way at once.
const BATCH: u64 = 100;
const UNDER_WAY: usize = 32;

/// How much.
#[derive(Clone, Copy, Debug)]
pub struct FillPlan {
    pub messages: u64,
    /// The first message's number: a store can be filled piece by piece.
    pub first: u64,
}

impl FillPlan {
    /// So many messages, and what belongs to them.
    pub const fn new(messages: u64) -> Self {
        Self { messages, first: 0 }
    }
    const fn users(&self) -> u64 {
        20 + self.messages / 500
    }
    const fn guilds(&self) -> u64 {
        2 + self.messages / 20_000
    }
}

/// Fills a store. The same plan makes the same rows, and filling twice is the same as once.
pub async fn fill(store: &Store, plan: FillPlan) -> Result<(), StoreError> {
    let mut filler = Filler { store, under_way: VecDeque::new() };
    filler.people(plan).await?;
    filler.guilds(plan).await?;
    filler.dms(plan).await?;
    let mut number = plan.first;
    let end = plan.first + plan.messages;
    while number < end {
        let batch = (number..end.min(number + BATCH)).flat_map(|number| message(plan, number)).collect();
        filler.submit(batch).await?;
        number += BATCH;
    }
    filler.settle().await?;
    store.raise_id_ceiling(BEGIN_MS + end * STEP_MS).await
}

struct Filler<'a> {
    store: &'a Store,
    under_way: VecDeque<Commit>,
}

impl Filler<'_> {
    async fn submit(&mut self, batch: Vec<Write>) -> Result<(), StoreError> {
        if self.under_way.len() >= UNDER_WAY
            && let Some(commit) = self.under_way.pop_front()
        {
            commit.await?;
        }
        self.under_way.push_back(self.store.submit(batch)?);
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), StoreError> {
        while let Some(commit) = self.under_way.pop_front() {
            commit.await?;
        }
        Ok(())
    }

    /// Claims a key; by the seed, nobody else holds it.
    async fn claim(&self, key: UniqueKey, owner: u64) -> Result<(), StoreError> {
        match self.store.claim(key, owner).await? {
            Ok(()) => Ok(()),
            Err(holder) => Err(StoreError::Invalid(format!("a unique key is held by {holder} already"))),
        }
    }

    async fn people(&mut self, plan: FillPlan) -> Result<(), StoreError> {
        for number in 0..plan.users() {
            let account = account(number);
            let (id, name) = (account.user.id.get(), account.user.username.clone());
            let state = read_state(plan, number);
            let settings = SettingsRow { user_id: user_id(number), kind: 1, body: number.to_be_bytes().to_vec() };
            let friend = Write::PutRelationship(relationship(number));
            let batch =
                vec![Write::PutAccount(account), Write::PutReadState(state), Write::PutSettings(settings), friend];
            self.submit(batch).await?;
            // The keys of some are enough: each costs a round of its own.
            if number < 500 {
                self.claim(UniqueKey::Email(format!("{name}@example.com")), id).await?;
                self.claim(UniqueKey::Username(name), id).await?;
            }
        }
        self.submit(vec![Write::PutApplication(application())]).await
    }

    async fn guilds(&mut self, plan: FillPlan) -> Result<(), StoreError> {
        for number in 0..plan.guilds() {
            let mut batch = guild(number);
            batch.extend((0..plan.users().min(200)).map(|user| Write::PutMember(member(number, user))));
            self.submit(batch).await?;
            self.claim(UniqueKey::InviteCode(invite_code(number)), guild_id(number).get()).await?;
        }
        Ok(())
    }

    async fn dms(&mut self, plan: FillPlan) -> Result<(), StoreError> {
        for number in 0..plan.users().min(50) {
            let (one, other) = (user_id(number), user_id(number + 1));
            let channel_id = dm_id(number);
            let mut channel = Channel::new(channel_id, ChannelType::Dm);
            channel.last_message_id = Some(message_id(number));
            let dm = DmRow { channel, user_ids: vec![one, other], call_message_id: None };
            let listing = Write::PutDmListing { user_id: one, channel_id };
            let mut message = plain(channel_id, number, one);
            message.id = MessageId(Snowflake::from_parts(BEGIN_MS + number, 2, 0));
            self.submit(vec![Write::PutDm(dm), listing, Write::PutMessage(message)]).await?;
            self.claim(UniqueKey::DmPair(one, other), channel_id.get()).await?;
        }
        Ok(())
    }
}
