//! Inserts and pages through the store, beside the bare engine with the same rows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rookery_core_db::floor::{BareEngine, BareRows};
use rookery_core_db::{EmbeddedConfig, MessageRange, Store, Write};
use rookery_model::message::{Message, MessageFlags, MessageRow, MessageType};
use rookery_model::user::User;
use rookery_model::{ChannelId, MessageId, Snowflake, UserId};
use serde_json::{Value, json};

use crate::statistics::{median, percentile, ratio, us};
use crate::{cpu, herd};

/// Messages on their way at once: what saturates the group commit.
const IN_FLIGHT: usize = 1_024;
const PAGE: usize = 50;
const PAGES: usize = 2_000;
const CHANNEL: ChannelId = ChannelId::new(1 << 40);
/// When the first message was written; any time will do.
const BEGIN_MS: u64 = 1_750_000_000_000;

fn message(n: u64) -> MessageRow {
    MessageRow {
        channel_id: CHANNEL,
        // One a millisecond.
        id: MessageId(Snowflake::from_parts(BEGIN_MS + n, 1, 0)),
        author_id: UserId::new(7_000 + n % 100),
        kind: MessageType::Default,
        content: format!("message number {n} of a benchmark, about as long as what people write to each other"),
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
    }
}

/// `messages` in each round of each side.
pub async fn run(rounds: usize, messages: usize) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_embedded(EmbeddedConfig::new(folder.path().join("store")))?;
    let bare = BareEngine::open(&folder.path().join("bare"))?;
    let (mut through, mut floor, mut latency) = (vec![], vec![], vec![]);
    let mut written = 0;
    for round in 0..=rounds {
        let rows: Vec<MessageRow> = (written..written + messages as u64).map(message).collect();
        written += messages as u64;
        let before = store.stats();
        let (spent, latencies) = insert(&store, rows.clone()).await?;
        let after = store.stats();
        // The floor syncs as often as the store did: what is compared is the work around the same syncs.
        let groups = (after.groups - before.groups).max(1);
        let bare_spent = insert_bare(&bare, rows, messages.div_ceil(usize::try_from(groups)?))?;
        if round > 0 {
            through.push(us(spent) / messages as f64);
            floor.push(us(bare_spent) / messages as f64);
            latency.push(us(percentile(latencies, 0.99)));
        }
    }
    let stats = store.stats();
    let (page, page_floor) = pages(&store, &bare, rounds).await?;
    let sizes = [disk_bytes(&folder.path().join("store"))?, disk_bytes(&folder.path().join("bare"))?];
    let herd = herd::run(&store, CHANNEL, rounds).await?;
    store.close().await?;
    let (through, floor, page, page_floor) = (median(through), median(floor), median(page), median(page_floor));
    let two = |value: f64| (value * 100.0).round() / 100.0;
    let mut figures = json!({
        "bench": "store",
        "engine": "embedded",
        "messages_per_round": messages,
        "rounds": rounds,
        "in_flight": IN_FLIGHT,
        "insert_cpu_us": two(through),
        "floor_insert_cpu_us": two(floor),
        "insert_of_floor": ratio(through, floor),
        "insert_p99_us": median(latency),
        "messages_per_fdatasync": two(stats.commits as f64 / stats.fsyncs.max(1) as f64),
        "page_of_50_cpu_us": two(page),
        "floor_page_of_50_cpu_us": two(page_floor),
        "page_of_floor": ratio(page, page_floor),
        "disk_bytes": sizes[0],
        "floor_disk_bytes": sizes[1],
    });
    if let (Some(figures), Value::Object(herd)) = (figures.as_object_mut(), herd) {
        figures.extend(herd);
    }
    Ok(figures)
}

/// CPU of a round of inserts, and how long each took until it was durable.
async fn insert(store: &Store, rows: Vec<MessageRow>) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let before = cpu::of_self()?;
    let latencies = stream::iter(rows)
        .map(|row| async {
            let begun = Instant::now();
            store.write(vec![Write::PutMessage(row)]).await.map(|()| begun.elapsed())
        })
        .buffered(IN_FLIGHT)
        .try_collect()
        .await?;
    Ok((cpu::of_self()? - before, latencies))
}

fn insert_bare(bare: &BareEngine, rows: Vec<MessageRow>, group: usize) -> anyhow::Result<Duration> {
    let rows: Vec<BareRows> =
        rows.into_iter().map(|row| BareRows::prepare(vec![Write::PutMessage(row)])).collect::<Result<_, _>>()?;
    let before = cpu::of_self()?;
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        bare.commit(rows.by_ref().take(group.max(1)))?;
    }
    Ok(cpu::of_self()? - before)
}

/// CPU of the newest page from the store to JSON, beside the bare read and JSON of ready structs.
async fn pages(store: &Store, bare: &BareEngine, rounds: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let (mut through, mut floor) = (vec![], vec![]);
    let author = User::new(UserId::new(7), "somebody");
    let view = |row: &MessageRow| row.view(author.clone(), Vec::new(), Vec::new());
    let ready: Vec<Message> = store.messages(CHANNEL, MessageRange::Latest, PAGE).await?.iter().map(view).collect();
    ensure!(ready.len() == PAGE, "the channel has a page");
    for _ in 0..rounds {
        let before = cpu::of_self()?;
        for _ in 0..PAGES {
            // The figure is that of a read, not of a page that is kept.
            store.forget_pages();
            let rows = store.messages(CHANNEL, MessageRange::Latest, PAGE).await?;
            let page: Vec<Message> = rows.iter().map(view).collect();
            std::hint::black_box(serde_json::to_vec(&page).context("JSON")?);
        }
        through.push(us(cpu::of_self()? - before) / PAGES as f64);
        let before = cpu::of_self()?;
        for _ in 0..PAGES {
            std::hint::black_box(bare.newest_messages(CHANNEL, PAGE)?);
            std::hint::black_box(serde_json::to_vec(&ready).context("JSON")?);
        }
        floor.push(us(cpu::of_self()? - before) / PAGES as f64);
    }
    Ok((through, floor))
}

pub fn disk_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        total += if entry.file_type()?.is_dir() { disk_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(total)
}
