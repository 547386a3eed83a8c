//! The engine of a cluster, beside the bare driver with the same statements.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use rookery_core_db::floor::{BareDriver, BareMessage};
use rookery_core_db::{CqlConfig, MessageRange, Store, Write};
use rookery_model::message::MessageRow;
use rookery_model::{ChannelId, MessageId};
use serde_json::{Value, json};

use super::rows::Channel;
use super::{PAGE, extend, keyspace};
use crate::bars::{Bar, bars};
use crate::statistics::{median, percentile, ratio, two, us};
use crate::{cpu, herd};

/// Messages on their way at once.
const IN_FLIGHT: usize = 128;
/// Pages asked for at once, each another one, so that none is shared.
const PAGES_IN_FLIGHT: usize = 16;
const PAGES: usize = 1_000;
const CHANNEL: ChannelId = ChannelId::new(1 << 40);
const FLOOR_CHANNEL: ChannelId = ChannelId::new(2 << 40);
/// Between two messages.
const STEP_MS: u64 = 1;

pub async fn run(contact_points: &str, rounds: usize, messages: usize) -> anyhow::Result<Value> {
    keyspace::with(contact_points, async |config| measure(config, rounds, messages).await).await
}

async fn measure(config: CqlConfig, rounds: usize, messages: usize) -> anyhow::Result<Value> {
    let store = Store::open_cql(config.clone()).await?;
    let bare = BareDriver::open(config).await?;
    let channel = channel((messages * (rounds + 1)) as u64)?;
    let (mut through, mut floor, mut unordered) = (Figures::default(), Figures::default(), Figures::default());
    for round in 0..=rounds {
        let numbers = (round * messages) as u64..((round + 1) * messages) as u64;
        let rows: Vec<MessageRow> = numbers.map(|number| channel.message(number)).collect();
        let ready = |row: &MessageRow| BareMessage::prepare(&MessageRow { channel_id: FLOOR_CHANNEL, ..row.clone() });
        let ready: Vec<BareMessage> = rows.iter().map(ready).collect::<Result<_, _>>()?;
        let put = async |row| Ok(store.write(vec![Write::PutMessage(row)]).await?);
        let inserted = at_once(IN_FLIGHT, rows, put).await?;
        let bare_inserted = at_once(IN_FLIGHT, &ready, async |row| Ok(bare.insert(row).await?)).await?;
        let at_once_inserted = at_once(IN_FLIGHT, &ready, async |row| Ok(bare.insert_at_once(row).await?)).await?;
        // The first round is for warming up.
        if round > 0 {
            through.push(inserted, messages);
            floor.push(bare_inserted, messages);
            unordered.push(at_once_inserted, messages);
        }
    }
    let (page, page_floor) = pages(&store, &bare, channel, (messages * (rounds + 1)) as u64, rounds).await?;
    let stats = store.stats();
    let herd = herd::run(&store, CHANNEL, rounds).await?;
    store.close().await?;
    let insert_ratio = ratio(median(&through.cpu_us), median(&floor.cpu_us));
    let page_ratio = ratio(median(&page.cpu_us), median(&page_floor.cpu_us));
    let mut figures = json!({
        "bench": "store",
        "engine": "cql",
        "floor": "the bare driver on the same tables: two prepared puts a message, made ready before, in the store's \
                  order (by author, then the message); one query a page, decoded to typed rows; same nodes, consistency and concurrency",
        "messages_per_round": messages,
        "rounds": rounds,
        "in_flight": IN_FLIGHT,
        "pages_in_flight": PAGES_IN_FLIGHT,
        "insert_cpu_us": two(median(&through.cpu_us)),
        "floor_insert_cpu_us": two(median(&floor.cpu_us)),
        "insert_of_floor": insert_ratio,
        "floor_insert_at_once_cpu_us": two(median(&unordered.cpu_us)),
        "insert_p50_us": median(&through.p50_us),
        "floor_insert_p50_us": median(&floor.p50_us),
        "insert_p99_us": median(&through.p99_us),
        "floor_insert_p99_us": median(&floor.p99_us),
        "page_of_50_cpu_us": two(median(&page.cpu_us)),
        "floor_page_of_50_cpu_us": two(median(&page_floor.cpu_us)),
        "page_of_floor": page_ratio,
        "page_of_50_p99_us": median(&page.p99_us),
        "floor_page_of_50_p99_us": median(&page_floor.p99_us),
        "queries": stats.queries,
        "retries": stats.retries,
        "speculative_reads": stats.speculative_reads,
    });
    let of_herd = |figure: &str| herd[figure].as_f64().context("a figure of the herd is missing");
    let bars = bars([
        Bar::at_most("insert_of_floor", insert_ratio, 1.3),
        Bar::at_most("page_of_floor", page_ratio, 1.3),
        Bar::exactly("herd_engine_reads_max", of_herd("herd_engine_reads_max")?, 1.0),
        Bar::exactly("herd_database_calls_median", of_herd("herd_database_calls_median")?, 1.0),
        Bar::at_most("herd_p99_of_single", of_herd("herd_p99_of_single")?, 2.0),
    ]);
    extend(&mut figures, herd);
    extend(&mut figures, json!({ "bars": bars }));
    Ok(figures)
}

/// A channel that has so many messages by now.
fn channel(messages: u64) -> anyhow::Result<Channel> {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?.as_millis();
    let begin_ms = u64::try_from(now_ms)?.saturating_sub(messages * STEP_MS);
    Ok(Channel { id: CHANNEL, begin_ms, step_ms: STEP_MS, in_a_row: 1 })
}

/// Figures of the rounds of one side.
#[derive(Default)]
struct Figures {
    cpu_us: Vec<f64>,
    p50_us: Vec<f64>,
    p99_us: Vec<f64>,
}

impl Figures {
    fn push(&mut self, (spent, latencies): (Duration, Vec<Duration>), times: usize) {
        self.cpu_us.push(us(spent) / times as f64);
        self.p50_us.push(us(percentile(latencies.clone(), 0.5)));
        self.p99_us.push(us(percentile(latencies, 0.99)));
    }
}

/// CPU of all, and how long each took, with so many on their way.
async fn at_once<T>(
    in_flight: usize,
    items: impl IntoIterator<Item = T>,
    work: impl AsyncFn(T) -> anyhow::Result<()>,
) -> anyhow::Result<(Duration, Vec<Duration>)> {
    let before = cpu::of_self()?;
    let latencies = stream::iter(items)
        .map(|item| async {
            let begun = Instant::now();
            work(item).await.map(|()| begun.elapsed())
        })
        .buffered(in_flight)
        .try_collect()
        .await?;
    Ok((cpu::of_self()? - before, latencies))
}

/// Pages out of the history of the channel, each another one.
async fn pages(
    store: &Store,
    bare: &BareDriver,
    channel: Channel,
    messages: u64,
    rounds: usize,
) -> anyhow::Result<(Figures, Figures)> {
    let (mut through, mut floor) = (Figures::default(), Figures::default());
    let places =
        messages.checked_sub(PAGE as u64).filter(|places| *places > 0).context("too few messages for a page")?;
    for round in 0..=rounds {
        let below = |page: usize| channel.message_id(PAGE as u64 + (round * PAGES + page) as u64 * 7 % places);
        let below: Vec<MessageId> = (0..PAGES).map(below).collect();
        let read = async |id| {
            let page = store.messages(CHANNEL, MessageRange::Before(id), PAGE).await?;
            ensure!(page.len() == PAGE, "there is a page below message {id}");
            Ok(())
        };
        let pages = at_once(PAGES_IN_FLIGHT, below.clone(), read).await?;
        let read = async |id| {
            let rows = bare.messages_below(FLOOR_CHANNEL, id, PAGE as i32).await?;
            ensure!(rows == PAGE, "the floor has a page below message {id}");
            Ok(())
        };
        let bare_pages = at_once(PAGES_IN_FLIGHT, below, read).await?;
        if round > 0 {
            through.push(pages, PAGES);
            floor.push(bare_pages, PAGES);
        }
    }
    Ok((through, floor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn it_runs_where_there_is_a_cluster() {
        let Some(cluster) = crate::test_cluster() else { return };
        let figures = run(&cluster, 1, 200).await.unwrap();
        for figure in ["insert_of_floor", "page_of_floor", "herd_p99_of_single"] {
            assert!(figures[figure].as_f64().unwrap() > 0.0, "{figure}: {figures}");
        }
        assert_eq!(figures["herd_engine_reads_max"], 1, "{figures}");
        assert_eq!(figures["bars"].as_array().unwrap().len(), 5, "{figures}");
    }
}
