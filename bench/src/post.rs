//! A message from POST to acknowledgement: server CPU through component, link, owner and store, beside fdatasync.

use std::io::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client;
use crate::server::Server;
use crate::statistics::{median, percentile, us};

const CONCURRENCY: usize = 16;
const SYNCS: usize = 200;
/// Bytes of one sync of the floor: about one message's row.
const SYNC_BYTES: usize = 512;

/// `messages` in each round.
pub async fn run(rounds: usize, messages: usize) -> anyhow::Result<Value> {
    let server = Server::start(&[]).await?;
    let seed = server.seed(CONCURRENCY).await?;
    let http = reqwest::Client::new();
    let url = format!("{}/v10/channels/{}/messages", server.api, seed.channel_id);
    let tokens = seed.user_tokens.clone();
    let post = move |n: usize| {
        http.post(&url)
            .header("Authorization", &tokens[n % tokens.len()])
            .json(&json!({ "content": format!("message number {n} of a benchmark, about as long as people write") }))
    };
    client::requests(messages / 4, CONCURRENCY, post.clone()).await?;
    let (mut cpu, mut p50, mut p99, mut sync_p50, mut sync_p99) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let syncs = fdatasync()?;
        sync_p50.push(us(percentile(syncs.clone(), 0.5)));
        sync_p99.push(us(percentile(syncs, 0.99)));
        let before = server.cpu()?;
        let latencies = client::requests(messages, CONCURRENCY, post.clone()).await?;
        cpu.push(us((server.cpu()? - before) / messages as u32));
        p50.push(us(percentile(latencies.clone(), 0.5)));
        p99.push(us(percentile(latencies, 0.99)));
    }
    Ok(json!({
        "bench": "post",
        "concurrency": CONCURRENCY,
        "messages_per_round": messages,
        "rounds": rounds,
        "server_start_ms": server.started_in.as_millis() as u64,
        "server_cpu_us_per_message": median(cpu),
        "latency_p50_us": median(p50),
        "latency_p99_us": median(p99.clone()),
        "floor_fdatasync_p50_us": median(sync_p50),
        "floor_fdatasync_p99_us": median(sync_p99.clone()),
        "p99_above_fdatasync_p99_us": median(p99) - median(sync_p99),
    }))
}

/// What the disk takes for one small append that is made durable.
fn fdatasync() -> anyhow::Result<Vec<Duration>> {
    let mut file = tempfile::tempfile()?;
    let block = [7; SYNC_BYTES];
    (0..SYNCS)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&block)?;
            file.sync_data()?;
            Ok(begun.elapsed())
        })
        .collect()
}
