//! Inserts and pages through the store, beside the bare engine with the same rows.

mod cql;
mod embedded;
pub mod keyspace;
pub mod rows;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rookery_core_db::{MessageRange, Store};
use rookery_model::message::{Message, MessageRow};
use rookery_model::user::User;
use rookery_model::{ChannelId, UserId};
use serde_json::Value;

use crate::cpu;

pub const PAGE: usize = 50;

/// `messages` in each round of each side; in a cluster, if contact points are given.
pub async fn run(rounds: usize, messages: Option<usize>, cluster: Option<&str>) -> anyhow::Result<Value> {
    match cluster {
        None => embedded::run(rounds, messages.unwrap_or(20_000)).await,
        Some(contact_points) => cql::run(contact_points, rounds, messages.unwrap_or(5_000)).await,
    }
}

/// What a reader of the API is shown of a row.
fn view(row: &MessageRow) -> Message {
    row.view(User::new(UserId::new(7), "somebody"), Vec::new(), Vec::new())
}

/// The newest page of a channel, read from the engine.
async fn newest(store: &Store, channel_id: ChannelId) -> anyhow::Result<rookery_core_db::MessagePage> {
    // The figure is that of a read, not of a page that is kept.
    store.forget_pages();
    let page = store.messages(channel_id, MessageRange::Latest, PAGE).await?;
    ensure!(page.len() == PAGE, "the channel has a page");
    Ok(page)
}

/// CPU of something done so many times in a row.
async fn cpu_of(times: usize, mut work: impl AsyncFnMut() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let before = cpu::of_self()?;
    for _ in 0..times {
        work().await?;
    }
    Ok((cpu::of_self()? - before) / u32::try_from(times).context("too many times")?)
}

/// Adds the figures of another object.
fn extend(figures: &mut Value, more: Value) {
    if let (Some(figures), Value::Object(more)) = (figures.as_object_mut(), more) {
        figures.extend(more);
    }
}

pub fn disk_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        total += if entry.file_type()?.is_dir() { disk_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(total)
}
