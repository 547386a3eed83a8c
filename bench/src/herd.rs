//! A herd: many equal reads at once, beside one read alone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rookery_core_db::{MessageRange, Store};
use rookery_model::ChannelId;
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::cpu;
use crate::statistics::{median, percentile, ratio, round, two, us};

const READERS: usize = 1_000;
const PAGE: usize = 50;
/// Reads alone in each round.
const SINGLES: usize = 100;

/// The newest page of a channel, asked for by a thousand at once and by one alone, of any store.
///
/// Both read from the engine: what is kept of pages is forgotten before. Figures of CPU are for one reader; that of the
/// herd has the cost of a task in it, which its floor is.
pub async fn run(store: &Store, channel_id: ChannelId, rounds: usize) -> anyhow::Result<Value> {
    let (mut single, mut single_cpu) = (vec![], vec![]);
    let (mut herd, mut herd_cpu, mut tasks_cpu) = (vec![], vec![], vec![]);
    let (mut engine_reads, mut calls) = (0, vec![]);
    for _ in 0..rounds {
        let (latencies, spent) = singles(store, channel_id).await?;
        single_cpu.push(us(spent) / SINGLES as f64);
        single.extend(latencies);

        store.forget_pages();
        let before = store.stats();
        let (latencies, spent) = at_once(|| read(store.clone(), channel_id)).await?;
        let after = store.stats();
        engine_reads = engine_reads.max(after.engine_reads - before.engine_reads);
        calls.push((after.queries - before.queries) as f64);
        herd_cpu.push(us(spent) / READERS as f64);
        herd.extend(latencies);
        let (_, spent) = at_once(|| async { Ok(()) }).await?;
        tasks_cpu.push(us(spent) / READERS as f64);
    }
    let (single, herd) = (us(percentile(single, 0.99)), us(percentile(herd, 0.99)));
    Ok(json!({
        "herd_readers": READERS,
        "herd_engine_reads_max": engine_reads,
        // Of a cluster; now and then one that the store makes for itself falls among them, so not the most.
        "herd_database_calls_median": median(calls),
        "herd_p99_us": herd,
        "single_page_p99_us": single,
        "herd_p99_of_single": ratio(herd, single),
        "herd_cpu_us_per_reader": two(median(herd_cpu)),
        "floor_herd_cpu_us_per_reader": two(median(tasks_cpu)),
        "single_page_cpu_us": two(median(single_cpu)),
        "copy_of_page_cpu_us": round(copies(store, channel_id).await?),
    }))
}

async fn read(store: Store, channel_id: ChannelId) -> anyhow::Result<()> {
    let page = store.messages(channel_id, MessageRange::Latest, PAGE).await?;
    ensure!(page.len() == PAGE, "the channel has a page");
    Ok(())
}

async fn singles(store: &Store, channel_id: ChannelId) -> anyhow::Result<(Vec<Duration>, Duration)> {
    let before = cpu::of_self()?;
    let mut latencies = Vec::with_capacity(SINGLES);
    for _ in 0..SINGLES {
        store.forget_pages();
        let begun = Instant::now();
        read(store.clone(), channel_id).await?;
        latencies.push(begun.elapsed());
    }
    Ok((latencies, cpu::of_self()? - before))
}

/// How long each of a thousand took that began together, and the CPU of all.
async fn at_once<F>(work: impl Fn() -> F) -> anyhow::Result<(Vec<Duration>, Duration)>
where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(READERS + 1));
    let tasks: Vec<_> = (0..READERS)
        .map(|_| {
            let (start, work) = (start.clone(), work());
            tokio::spawn(async move {
                start.wait().await;
                let begun = Instant::now();
                work.await.map(|()| begun.elapsed())
            })
        })
        .collect();
    let before = cpu::of_self()?;
    start.wait().await;
    let mut latencies = Vec::with_capacity(READERS);
    for task in tasks {
        latencies.push(task.await.context("a reader")??);
    }
    Ok((latencies, cpu::of_self()? - before))
}

/// What a copy of the page would cost each reader, microseconds, if they did not share its rows.
async fn copies(store: &Store, channel_id: ChannelId) -> anyhow::Result<f64> {
    let page = store.messages(channel_id, MessageRange::Latest, PAGE).await?;
    let before = cpu::of_self()?;
    for _ in 0..READERS {
        std::hint::black_box(page.to_vec());
    }
    Ok(us(cpu::of_self()? - before) / READERS as f64)
}
