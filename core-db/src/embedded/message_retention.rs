//! Removes messages that are older than their guild keeps them; pinned ones stay.
//!
//! A pass walks the guilds with a retention, their channels, and in each channel what is older than the limit, in
//! bounded steps. Where it stands is kept in memory only: after a crash the next pass begins anew.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rookery_model::store::RetentionRow;
use rookery_model::{ChannelId, MessageId, Snowflake};
use tracing::{error, info};

use super::purge::{STEP_ROWS, remove_message};
use crate::StoreError;
use crate::key::Key;
use crate::tables::{Change, Table, View, channels_by_guild, guilds, messages, messages_by_author, pins, retentions};

/// Between the end of a pass and the next.
const INTERVAL: Duration = Duration::from_secs(3_600);
const DAY_MS: u64 = 24 * 3_600 * 1_000;
/// Guilds or channels looked at in one step, when there is nothing to remove in them.
const STEP_PLACES: usize = 100;

/// Where the removal stands.
#[derive(Debug)]
pub struct MessageRetention {
    due: Instant,
    pass: Option<Pass>,
}

/// A pass under way.
#[derive(Debug, Default)]
struct Pass {
    guilds: VecDeque<RetentionRow>,
    /// Channels of the guild that is looked at, each with the id below which messages go.
    channels: VecDeque<(ChannelId, MessageId)>,
    /// The last message looked at in the first of the channels.
    cursor: Option<Key>,
    removed: u64,
}

impl MessageRetention {
    /// A pass is due at once: the process may have been down for days.
    pub fn new() -> Self {
        Self { due: Instant::now(), pass: None }
    }

    /// Whether a step is due.
    pub fn is_due(&self) -> bool {
        self.pass.is_some() || Instant::now() >= self.due
    }

    /// Lets the next pass begin now: a retention was changed, or a step may not have become durable.
    pub fn begin_anew(&mut self) {
        *self = Self::new();
    }

    /// The next step: at most about [`STEP_ROWS`] rows.
    pub fn step(&mut self, view: &impl View) -> Result<Vec<Change>, StoreError> {
        if !self.is_due() {
            return Ok(Vec::new());
        }
        let outcome = self.advance(view);
        if outcome.is_err() {
            // What cannot be read now may be readable at the next pass.
            self.pass = None;
            self.due = Instant::now() + INTERVAL;
        }
        outcome
    }

    fn advance(&mut self, view: &impl View) -> Result<Vec<Change>, StoreError> {
        let pass = match &mut self.pass {
            Some(pass) => pass,
            None => {
                let mut damaged = Vec::new();
                let guilds = retentions::all(view, &mut damaged)?.into();
                for error in damaged {
                    error!(%error, "cannot tell how long a guild keeps messages: it keeps all of them");
                }
                self.pass.insert(Pass { guilds, ..Pass::default() })
            }
        };
        let (mut left, mut changes) = (STEP_ROWS, Vec::new());
        for _ in 0..STEP_PLACES {
            if let Some((channel_id, before)) = pass.channels.front().copied() {
                match pass.remove_old(view, channel_id, before, &mut left, &mut changes) {
                    Ok(true) => {}
                    Ok(false) => return Ok(changes),
                    // One damaged row must not keep the old messages of all other channels.
                    Err(error @ StoreError::Corrupt { .. }) => {
                        error!(%channel_id, %error, "cannot remove the old messages of a channel");
                    }
                    Err(error) => return Err(error),
                }
                pass.channels.pop_front();
                pass.cursor = None;
            } else if let Some(retention) = pass.guilds.pop_front() {
                pass.enter(view, retention, &mut changes)?;
            } else {
                if pass.removed > 0 {
                    info!(messages = pass.removed, "removed messages older than their guilds keep them");
                }
                self.pass = None;
                self.due = Instant::now() + INTERVAL;
                break;
            }
        }
        Ok(changes)
    }
}

impl Pass {
    fn enter(
        &mut self,
        view: &impl View,
        retention: RetentionRow,
        changes: &mut Vec<Change>,
    ) -> Result<(), StoreError> {
        let RetentionRow { guild_id, max_age_days } = retention;
        match guilds::get(view, guild_id) {
            // It was set while the guild was deleted.
            Ok(None) => {
                retentions::delete(changes, guild_id);
                return Ok(());
            }
            // What the guild says of itself does not matter here.
            Ok(Some(_)) | Err(StoreError::Corrupt { .. }) => {}
            Err(other) => return Err(other),
        }
        let (before, mut damaged) = (oldest_kept(max_age_days), Vec::new());
        let channels = channels_by_guild::ids_around(view, guild_id, &mut damaged)?;
        for error in damaged {
            error!(%guild_id, %error, "cannot remove the old messages of a channel");
        }
        self.channels = channels.into_iter().map(|channel_id| (channel_id, before)).collect();
        Ok(())
    }

    /// Removes messages of a channel with ids below one; says whether none is left.
    fn remove_old(
        &mut self,
        view: &impl View,
        channel_id: ChannelId,
        before: MessageId,
        left: &mut usize,
        changes: &mut Vec<Change>,
    ) -> Result<bool, StoreError> {
        let begin = self.cursor.take().unwrap_or_else(|| messages::key(channel_id, before));
        let pinned: HashSet<MessageId> = pins::of(view, channel_id)?.into_iter().map(|pin| pin.message_id).collect();
        let mut damaged = Vec::new();
        let prefix = messages::prefix(channel_id);
        let rows = view.scan_around(Table::Messages, &prefix, Some(&begin), *left, &mut damaged)?;
        let all = rows.len() < *left;
        self.cursor = Some(begin);
        for (key, bytes) in rows {
            match self.remove_unless_pinned(view, (&key, &bytes), &pinned, left, changes) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error @ StoreError::Corrupt { .. }) => {
                    damaged.push(error);
                    *left = left.saturating_sub(1);
                }
                Err(other) => return Err(other),
            }
            self.cursor = Some(Key::stored(&key));
        }
        for error in damaged {
            error!(%channel_id, %error, "an old message stays: what belongs to it is damaged");
        }
        Ok(all && *left > 0)
    }

    /// Takes a step past one message; says whether there was room for it.
    fn remove_unless_pinned(
        &mut self,
        view: &impl View,
        (key, bytes): (&[u8], &[u8]),
        pinned: &HashSet<MessageId>,
        left: &mut usize,
        changes: &mut Vec<Change>,
    ) -> Result<bool, StoreError> {
        let (channel_id, message_id) = messages::ids(key)?;
        if pinned.contains(&message_id) {
            *left = left.saturating_sub(1);
            return Ok(true);
        }
        if !remove_message(view, channel_id, message_id, left, changes)? {
            return Ok(false);
        }
        // A damaged row goes as well; only its index row stays.
        if let Ok(message) = messages::decode(key, bytes) {
            messages_by_author::delete(changes, message.author_id, message_id, channel_id);
        }
        self.removed += 1;
        Ok(true)
    }
}

/// Messages with lower ids are older than so many days.
fn oldest_kept(max_age_days: u32) -> MessageId {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as u64);
    MessageId(Snowflake::floor_of_ms(now_ms.saturating_sub(u64::from(max_age_days) * DAY_MS)))
}
