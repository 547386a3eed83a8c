//! A message's way to all sessions that look on: server CPU of one delivery, beside a bare send of as many bytes.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::bars::{Bar, bars};
use crate::cpu;
use crate::load::{Load, Speech};
use crate::server::{Seed, Server};
use crate::statistics::{median, percentile, ratio, two, us};

/// Single messages of a round; each waits until everybody has the one before, so that no two share a write.
const SINGLES: usize = 20;
/// Bursts of a round, and messages of a burst.
const BURSTS: usize = 5;
const BURST: usize = 10;
/// People of the guild who have sessions; sessions share them.
const USERS: usize = 1_000;
/// Clients and floor of 15,000 want nearly all descriptors that a process usually may have.
const SETS: &[&str] = &["pop.connections.max_open=512"];

/// What is measured besides.
pub struct Options {
    pub sessions: usize,
    /// Of the guild, beside those who look on.
    pub members: usize,
    pub speech: Speech,
}

struct Run {
    server: Server,
    seed: Seed,
    load: Load,
    http: reqwest::Client,
    /// Messages that every session has.
    sent: u64,
    /// Bytes that every bare socket has.
    floor_sent: u64,
    floor: Vec<TcpStream>,
    sessions: usize,
    latencies: Vec<Duration>,
}

/// With sessions that look on.
pub async fn run(rounds: usize, options: Options) -> anyhow::Result<Value> {
    let mut run = Run::start(&options).await?;
    // Warms up, and tells how many bytes a message takes.
    let (_, bytes) = run.singles(0).await?;
    run.bursts(0).await?;
    run.latencies.clear();
    let frame = vec![b'x'; bytes.round() as usize];
    let (mut single, mut single_floor, mut burst, mut burst_floor) = (vec![], vec![], vec![], vec![]);
    for round in 1..=rounds {
        single.push(run.singles(round).await?.0);
        single_floor.push(run.floor(&frame, SINGLES)?);
        burst.push(run.bursts(round).await?);
        burst_floor.push(run.floor(&frame.repeat(BURST), BURSTS)? / BURST as f64);
    }
    let (single_floor, burst_floor) = (median(single_floor), median(burst_floor));
    let (single, burst) = (median(single), median(burst));
    let p99_ms = us(percentile(run.latencies.clone(), 0.99)) / 1_000.0;
    let of_floor = [ratio(single, single_floor), ratio(burst, burst_floor)];
    Ok(json!({
        "bench": "fanout",
        "sessions": options.sessions,
        "members": options.members,
        "speech": format!("{:?}", options.speech),
        "rounds": rounds,
        "bytes_per_message": two(bytes),
        "server_cpu_us_per_delivery": two(single),
        "floor_send_cpu_us": two(single_floor),
        "of_floor": of_floor[0],
        "burst": BURST,
        "burst_server_cpu_us_per_delivery": two(burst),
        "burst_floor_send_cpu_us": two(burst_floor),
        "burst_of_floor": of_floor[1],
        "last_delivery_p50_ms": two(us(percentile(run.latencies.clone(), 0.5)) / 1_000.0),
        "last_delivery_p99_ms": two(p99_ms),
        "bars": bars([
            Bar::at_most("of_floor", of_floor[0], 1.35),
            Bar::at_most("burst_of_floor", of_floor[1], 2.0),
            Bar::at_most("last_delivery_p99_ms", p99_ms, 200.0),
        ]),
    }))
}

impl Run {
    async fn start(options: &Options) -> anyhow::Result<Self> {
        let server = Server::start(SETS).await?;
        let seed = server.seed_with(USERS.min(options.sessions), options.members).await?;
        let mut load = Load::new(options.sessions)?;
        load.start(&server.gateway, &seed.user_tokens, options.speech)?;
        load.heartbeat()?;
        let floor = load.floor()?;
        Ok(Self {
            server,
            seed,
            load,
            http: reqwest::Client::new(),
            sent: 0,
            floor_sent: 0,
            floor,
            sessions: options.sessions,
            latencies: Vec::new(),
        })
    }

    async fn post(&self, content: String) -> anyhow::Result<()> {
        self.http
            .post(format!("{}/v10/channels/{}/messages", self.server.api, self.seed.channel_id))
            .header("Authorization", format!("Bot {}", self.seed.bot_token))
            .json(&json!({ "content": content }))
            .send()
            .await?
            .error_for_status()?;
        Ok(())
    }

    /// Messages one after the other: CPU microseconds of a delivery, and bytes of it.
    async fn singles(&mut self, round: usize) -> anyhow::Result<(f64, f64)> {
        let before = self.server.cpu()?;
        let mut bytes = 0;
        for n in 0..SINGLES {
            let begun_ns = now_ns()?;
            self.post(format!("round {round:3} message {n:3}: about as long as what people write to each other"))
                .await?;
            self.sent += 1;
            let answer = self.load.messages(self.sent)?;
            bytes += answer.bytes;
            self.latencies.push(Duration::from_nanos(answer.last_ns.saturating_sub(begun_ns)));
        }
        let deliveries = (SINGLES * self.sessions) as f64;
        Ok((cpu_us(self.server.cpu()? - before) / deliveries, bytes as f64 / deliveries))
    }

    /// Messages ten at a time: CPU microseconds of a delivery.
    async fn bursts(&mut self, round: usize) -> anyhow::Result<f64> {
        let before = self.server.cpu()?;
        for burst in 0..BURSTS {
            let posts =
                (0..BURST).map(|n| self.post(format!("round {round:3} burst {burst} message {n}: as people write")));
            try_join_all(posts).await?;
            self.sent += BURST as u64;
            self.load.messages(self.sent)?;
        }
        Ok(cpu_us(self.server.cpu()? - before) / (BURSTS * BURST * self.sessions) as f64)
    }

    /// CPU microseconds of one bare send: this thread alone writes, and what it wrote is read elsewhere.
    fn floor(&mut self, frame: &[u8], times: usize) -> anyhow::Result<f64> {
        let mut spent = Duration::ZERO;
        for _ in 0..times {
            let before = cpu::of_thread()?;
            for mut socket in &self.floor {
                socket.write_all(frame)?;
            }
            spent += cpu::of_thread()? - before;
            self.floor_sent += frame.len() as u64;
            self.load.floor_bytes(self.floor_sent)?;
        }
        Ok(cpu_us(spent) / (times * self.floor.len()) as f64)
    }
}

fn cpu_us(spent: Duration) -> f64 {
    spent.as_secs_f64() * 1e6
}

fn now_ns() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
    u64::try_from(now.as_nanos()).context("the clock")
}
