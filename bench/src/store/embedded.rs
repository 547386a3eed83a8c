//! The embedded engine, beside the bare one with the same rows and syncs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rookery_core_db::floor::{BareEngine, BareRows};
use rookery_core_db::{Commit, EmbeddedConfig, Store, Write};
use rookery_model::ChannelId;
use rookery_model::message::{Message, MessageRow};
use serde_json::{Value, json};

use super::rows::Channel;
use super::{PAGE, cpu_of, disk_bytes, extend, newest, view};
use crate::bars::{Bar, bars};
use crate::statistics::{median, percentile, ratio, two, us};
use crate::{cpu, herd};

/// Messages on their way at once: what saturates the group commit.
const IN_FLIGHT: usize = 1_024;
const PAGES: usize = 2_000;
/// One message a millisecond, since any time.
const CHANNEL: Channel = Channel { id: ChannelId::new(1 << 40), begin_ms: 1_750_000_000_000, step_ms: 1, in_a_row: 1 };

pub async fn run(rounds: usize, messages: usize) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_embedded(EmbeddedConfig::new(folder.path().join("store")))?;
    let bare = BareEngine::open(&folder.path().join("bare"))?;
    let (mut through, mut floor, mut latency) = (vec![], vec![], vec![]);
    let mut written = 0;
    for round in 0..=rounds {
        let rows: Vec<MessageRow> = (written..written + messages as u64).map(|n| CHANNEL.message(n)).collect();
        written += messages as u64;
        let before = store.stats();
        let (spent, latencies) = insert(&store, rows.clone()).await?;
        let after = store.stats();
        // The floor syncs as often as the store did: what is compared is the work around the same syncs.
        let groups = (after.groups - before.groups).max(1);
        let bare_spent = insert_bare(&bare, rows, messages.div_ceil(usize::try_from(groups)?))?;
        // The first round is for warming up.
        if round > 0 {
            through.push(us(spent) / messages as f64);
            floor.push(us(bare_spent) / messages as f64);
            latency.push(us(percentile(latencies, 0.99)));
        }
    }
    let stats = store.stats();
    let (page, page_floor) = pages(&store, &bare, rounds).await?;
    let sizes = [disk_bytes(&folder.path().join("store"))?, disk_bytes(&folder.path().join("bare"))?];
    let herd = herd::run(&store, CHANNEL.id, rounds).await?;
    store.close().await?;
    let (insert_ratio, page_ratio) =
        (ratio(median(&through), median(&floor)), ratio(median(&page), median(&page_floor)));
    let messages_per_fdatasync = two(stats.commits as f64 / stats.fsyncs.max(1) as f64);
    let engine_reads = herd["herd_engine_reads_max"].as_f64().context("no count of the herd's reads")?;
    let mut figures = json!({
        "bench": "store",
        "engine": "embedded",
        "floor": "the same rows, encoded before, in batches of the engine of the same size, each with one fdatasync",
        "messages_per_round": messages,
        "rounds": rounds,
        "in_flight": IN_FLIGHT,
        "insert_cpu_us": two(median(&through)),
        "floor_insert_cpu_us": two(median(&floor)),
        "insert_of_floor": insert_ratio,
        "insert_p99_us": median(&latency),
        "messages_per_fdatasync": messages_per_fdatasync,
        "page_of_50_cpu_us": two(median(&page)),
        "floor_page_of_50_cpu_us": two(median(&page_floor)),
        "page_of_floor": page_ratio,
        "disk_bytes": sizes[0],
        "floor_disk_bytes": sizes[1],
    });
    extend(&mut figures, herd);
    let bars = bars([
        Bar::at_most("insert_of_floor", insert_ratio, 2.0),
        Bar::at_least("messages_per_fdatasync", messages_per_fdatasync, 64.0),
        Bar::at_most("page_of_floor", page_ratio, 3.0),
        Bar::exactly("herd_engine_reads_max", engine_reads, 1.0),
    ]);
    extend(&mut figures, json!({ "bars": bars }));
    Ok(figures)
}

/// CPU of a round of inserts, and how long each took until it was durable.
///
/// Submitted and awaited in order, as the owner of a channel does.
async fn insert(store: &Store, rows: Vec<MessageRow>) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let mut latencies = Vec::with_capacity(rows.len());
    let mut waiting: VecDeque<(Instant, Commit)> = VecDeque::with_capacity(IN_FLIGHT);
    let before = cpu::of_self()?;
    for row in rows {
        if waiting.len() == IN_FLIGHT
            && let Some((begun, commit)) = waiting.pop_front()
        {
            commit.await?;
            latencies.push(begun.elapsed());
        }
        waiting.push_back((Instant::now(), store.submit(vec![Write::PutMessage(row)])?));
    }
    for (begun, commit) in waiting {
        commit.await?;
        latencies.push(begun.elapsed());
    }
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
    let ready: Vec<Message> = newest(store, CHANNEL.id).await?.iter().map(view).collect();
    for _ in 0..rounds {
        let spent = cpu_of(PAGES, async || {
            let page: Vec<Message> = newest(store, CHANNEL.id).await?.iter().map(view).collect();
            std::hint::black_box(serde_json::to_vec(&page).context("JSON")?);
            Ok(())
        });
        through.push(us(spent.await?));
        let spent = cpu_of(PAGES, async || {
            std::hint::black_box(bare.newest_messages(CHANNEL.id, PAGE)?);
            std::hint::black_box(serde_json::to_vec(&ready).context("JSON")?);
            Ok(())
        });
        floor.push(us(spent.await?));
    }
    Ok((through, floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_runs_and_shares_the_reads_of_a_herd() {
        let figures = run(1, 2_000).await.unwrap();
        for figure in ["insert_of_floor", "page_of_floor", "messages_per_fdatasync", "herd_p99_of_single"] {
            assert!(figures[figure].as_f64().unwrap() > 0.0, "{figure}: {figures}");
        }
        assert_eq!(figures["herd_engine_reads_max"], 1, "{figures}");
        assert_eq!(figures["bars"].as_array().unwrap().len(), 4, "{figures}");
    }
}
