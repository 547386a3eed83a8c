//! Latency of a page in a channel of few messages, and in one of many.
//!
//! Reads of the two alternate, one by one: whatever else the machine does meets both alike.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use rookery_core_db::{Commit, CqlConfig, EmbeddedConfig, MessageRange, Store, Write};
use rookery_model::ChannelId;
use serde_json::{Value, json};

use crate::bars::{Bar, bars};
use crate::cpu;
use crate::statistics::{percentile, ratio, round, us};
use crate::store::rows::Channel;
use crate::store::{PAGE, disk_bytes, keyspace};

/// Messages of the small channel.
const FEW: u64 = 10_000;
/// Between two messages of a channel; a million of them lie in six days.
const STEP_MS: u64 = 500;
/// Messages in a batch while filling.
const BATCH: u64 = 100;
/// Batches on their way at once; in a cluster fewer, since a batch there is one partition's and its nodes take them in turn.
const UNDER_WAY: usize = 32;
const UNDER_WAY_IN_CLUSTER: usize = 4;
/// Reads of each kind in a round.
const READS: u64 = 1_000;
/// How much growth is allowed.
const GROWTH_MAX: f64 = 1.5;
/// CPU that background work may take in [`IDLE_FOR`] when it counts as done.
const IDLE_CPU: Duration = Duration::from_millis(5);
const IDLE_FOR: Duration = Duration::from_millis(250);
/// After so long it is measured anyway.
const SETTLING_MAX: Duration = Duration::from_secs(300);

/// `messages` in the large channel; in a cluster, if contact points are given.
pub async fn run(rounds: usize, messages: Option<usize>, cluster: Option<&str>) -> anyhow::Result<Value> {
    match cluster {
        None => embedded(rounds, messages.unwrap_or(10_000_000) as u64).await,
        Some(contact_points) => {
            let messages = messages.unwrap_or(1_000_000) as u64;
            keyspace::with(contact_points, async |config| cql(config, rounds, messages).await).await
        }
    }
}

async fn embedded(rounds: usize, messages: u64) -> anyhow::Result<Value> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_embedded(EmbeddedConfig::new(folder.path()))?;
    let mut figures = json!({ "bench": "growth", "engine": "embedded" });
    let sides = fill(&store, messages, UNDER_WAY, &mut figures).await?;
    figures["settled_after_s"] = json!(settle().await?);
    figures["disk_bytes"] = json!(disk_bytes(folder.path())?);
    measure(&mut figures, &sides, rounds).await?;
    store.close().await?;
    Ok(figures)
}

async fn cql(config: CqlConfig, rounds: usize, messages: u64) -> anyhow::Result<Value> {
    let store = Store::open_cql(config).await?;
    let mut figures = json!({ "bench": "growth", "engine": "cql" });
    let sides = fill(&store, messages, UNDER_WAY_IN_CLUSTER, &mut figures).await?;
    measure(&mut figures, &sides, rounds).await?;
    store.close().await?;
    Ok(figures)
}

/// A channel that is full up to now.
struct Side {
    store: Store,
    channel: Channel,
    messages: u64,
}

/// The small channel and the large one.
struct Sides {
    few: Side,
    many: Side,
}

/// Fills two channels of one store over the same time, as a quiet and a busy one are: both lie in all its files.
async fn fill(store: &Store, messages: u64, under_way_max: usize, figures: &mut Value) -> anyhow::Result<Sides> {
    ensure!(messages >= FEW, "a channel of {messages} messages is no large one: it takes {FEW}");
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_millis();
    let begin_ms = u64::try_from(now_ms)?.saturating_sub(messages * STEP_MS);
    // An author writes a batch: what is measured is reading, and a cluster puts rows of one partition together.
    let channel =
        |number: u64, step_ms| Channel { id: ChannelId::new(number << 40), begin_ms, step_ms, in_a_row: BATCH };
    let few = Side { store: store.clone(), channel: channel(1, messages * STEP_MS / FEW), messages: FEW };
    let many = Side { store: store.clone(), channel: channel(2, STEP_MS), messages };
    let begun = Instant::now();
    let mut under_way: VecDeque<Commit> = VecDeque::with_capacity(under_way_max);
    let mut next = 0;
    while next < messages {
        if under_way.len() == under_way_max
            && let Some(commit) = under_way.pop_front()
        {
            commit.await?;
        }
        let end = messages.min(next + BATCH);
        let batch = many.messages(next..end).chain(few.messages(next * FEW / messages..end * FEW / messages));
        under_way.push_back(store.submit(batch.collect())?);
        next = end;
    }
    for commit in under_way {
        commit.await?;
    }
    figures["fill_messages_per_second"] = json!(((messages + FEW) as f64 / begun.elapsed().as_secs_f64()).round());
    Ok(Sides { few, many })
}

impl Side {
    fn messages(&self, numbers: Range<u64>) -> impl Iterator<Item = Write> {
        numbers.map(|number| Write::PutMessage(self.channel.message(number)))
    }

    /// How long a page takes from the engine.
    async fn page(&self, range: MessageRange) -> anyhow::Result<Duration> {
        self.store.forget_pages();
        let begun = Instant::now();
        let page = self.store.messages(self.channel.id, range, PAGE).await?;
        let took = begun.elapsed();
        ensure!(page.len() == PAGE, "{range:?} is a page");
        Ok(took)
    }

    /// A place in the middle half of the history; another one for each number.
    fn middle(&self, number: u64) -> MessageRange {
        let half = self.messages / 2;
        // Neighbours in time of reading are far apart in the channel.
        let place = half / 2 + number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % half;
        MessageRange::Before(self.channel.message_id(place))
    }
}

async fn measure(figures: &mut Value, Sides { few, many }: &Sides, rounds: usize) -> anyhow::Result<()> {
    let (mut newest, mut middle) = (Latencies::default(), Latencies::default());
    for round in 0..=rounds as u64 {
        for read in 0..READS {
            let number = round * READS + read;
            let at_end = (few.page(MessageRange::Latest).await?, many.page(MessageRange::Latest).await?);
            let inside = (few.page(few.middle(number)).await?, many.page(many.middle(number)).await?);
            // The first round is for warming up.
            if round > 0 {
                newest.push(at_end);
                middle.push(inside);
            }
        }
    }
    figures["rounds"] = json!(rounds);
    figures["few_messages"] = json!(few.messages);
    figures["many_messages"] = json!(many.messages);
    let mut held = Vec::new();
    for (growth, name, share, latencies) in [
        ("newest_p50_growth", "newest_p50_us", 0.5, &newest),
        ("newest_p99_growth", "newest_p99_us", 0.99, &newest),
        ("middle_p50_growth", "middle_p50_us", 0.5, &middle),
        ("middle_p99_growth", "middle_p99_us", 0.99, &middle),
    ] {
        let [few, many] = latencies.at(share);
        figures[format!("few_{name}")] = json!(few);
        figures[format!("many_{name}")] = json!(many);
        figures[growth] = json!(ratio(many, few));
        held.push(Bar::at_most(growth, ratio(many, few), GROWTH_MAX));
    }
    figures["bars"] = bars(held);
    Ok(())
}

/// Of the two sides.
#[derive(Default)]
struct Latencies {
    few: Vec<Duration>,
    many: Vec<Duration>,
}

impl Latencies {
    fn push(&mut self, (few, many): (Duration, Duration)) {
        self.few.push(few);
        self.many.push(many);
    }

    fn at(&self, share: f64) -> [f64; 2] {
        [us(percentile(self.few.clone(), share)), us(percentile(self.many.clone(), share))]
    }
}

/// Waits until the engine has merged what it will merge, seconds: a figure taken meanwhile would be that of the merging.
async fn settle() -> anyhow::Result<f64> {
    let begun = Instant::now();
    let mut spent = cpu::of_self()?;
    while begun.elapsed() < SETTLING_MAX {
        tokio::time::sleep(IDLE_FOR).await;
        let now = cpu::of_self()?;
        if now.saturating_sub(spent) < IDLE_CPU {
            break;
        }
        spent = now;
    }
    Ok(round(begun.elapsed().as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(figures: &Value, messages: u64) {
        assert_eq!(figures["few_messages"], FEW, "{figures}");
        assert_eq!(figures["many_messages"], messages, "{figures}");
        let bars = figures["bars"].as_array().unwrap();
        assert_eq!(bars.len(), 4, "{figures}");
        assert!(bars.iter().all(|bar| bar["value"].as_f64().unwrap() > 0.0), "{figures}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_runs() {
        check(&run(1, Some(20_000), None).await.unwrap(), 20_000);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_runs_where_there_is_a_cluster() {
        let Some(cluster) = crate::test_cluster() else { return };
        check(&run(1, Some(20_000), Some(&cluster)).await.unwrap(), 20_000);
    }
}
