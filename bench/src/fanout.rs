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
/// The same where members who do not look on are counted.
const FEW_USERS: usize = 10;
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
    /// Of one message on its way to one session.
    bytes: f64,
}

/// Medians of one side.
struct Side {
    single: f64,
    single_floor: f64,
    burst: f64,
    burst_floor: f64,
}

/// Rounds of one side.
#[derive(Default)]
struct Rounds {
    single: Vec<f64>,
    single_floor: Vec<f64>,
    burst: Vec<f64>,
    burst_floor: Vec<f64>,
}

/// With sessions that look on. Compressed sessions, and members who do not look on, take turns with as many sessions of a
/// server of their own that have neither.
pub async fn run(rounds: usize, options: Options) -> anyhow::Result<Value> {
    let is_compared = options.speech != Speech::Json || options.members > 0;
    let plain = Options { sessions: options.sessions, members: 0, speech: Speech::Json };
    let users = if options.members > 0 { FEW_USERS } else { USERS };
    let mut run = Run::start(&options, users).await?;
    let mut beside = if is_compared { Some(Run::start(&plain, users).await?) } else { None };
    let (mut own, mut others) = (Rounds::default(), Rounds::default());
    for round in 1..=rounds {
        run.round(round, &mut own).await?;
        if let Some(beside) = &mut beside {
            beside.round(round, &mut others).await?;
        }
    }
    let p99_ms = us(percentile(run.latencies.clone(), 0.99)) / 1_000.0;
    let side = own.medians();
    let of_floor = [ratio(side.single, side.single_floor), ratio(side.burst, side.burst_floor)];
    let mut held = vec![
        Bar::at_most("of_floor", of_floor[0], 1.35),
        Bar::at_most("burst_of_floor", of_floor[1], 2.0),
        Bar::at_most("last_delivery_p99_ms", p99_ms, 200.0),
    ];
    let mut figures = json!({
        "bench": "fanout",
        "sessions": options.sessions,
        "members": options.members,
        "speech": format!("{:?}", options.speech),
        "rounds": rounds,
        "bytes_per_message": two(run.bytes),
        "server_cpu_us_per_delivery": two(side.single),
        "floor_send_cpu_us": two(side.single_floor),
        "of_floor": of_floor[0],
        "burst": BURST,
        "burst_server_cpu_us_per_delivery": two(side.burst),
        "burst_floor_send_cpu_us": two(side.burst_floor),
        "burst_of_floor": of_floor[1],
        "last_delivery_p50_ms": two(us(percentile(run.latencies.clone(), 0.5)) / 1_000.0),
        "last_delivery_p99_ms": two(p99_ms),
    });
    if let Some(beside) = beside {
        let plain = others.medians();
        let of_plain = [ratio(side.single, plain.single), ratio(side.burst, plain.burst)];
        figures["plain_bytes_per_message"] = two(beside.bytes).into();
        figures["plain_server_cpu_us_per_delivery"] = two(plain.single).into();
        figures["plain_burst_server_cpu_us_per_delivery"] = two(plain.burst).into();
        figures["of_plain"] = of_plain[0].into();
        figures["burst_of_plain"] = of_plain[1].into();
        // Their frames are smaller than what the floor's bars are for: they are judged beside their plain twins.
        held = vec![Bar::at_most("of_plain", of_plain[0], 1.25), Bar::at_most("burst_of_plain", of_plain[1], 1.25)];
        if options.speech != Speech::Json {
            let of_bytes = ratio(run.bytes, beside.bytes);
            figures["bytes_of_plain"] = of_bytes.into();
            held.push(Bar::at_most("bytes_of_plain", of_bytes, 0.6));
        }
    }
    figures["bars"] = json!(bars(held));
    Ok(figures)
}

impl Rounds {
    fn medians(self) -> Side {
        Side {
            single: median(self.single),
            single_floor: median(self.single_floor),
            burst: median(self.burst),
            burst_floor: median(self.burst_floor),
        }
    }
}

impl Run {
    async fn start(options: &Options, users: usize) -> anyhow::Result<Self> {
        let server = Server::start(SETS).await?;
        let seed = server.seed_with(users.min(options.sessions), options.members).await?;
        let mut load = Load::new(options.sessions)?;
        load.start(&server.gateway, &seed.user_tokens, options.speech)?;
        load.heartbeat()?;
        let floor = load.floor()?;
        let mut this = Self {
            server,
            seed,
            load,
            http: reqwest::Client::new(),
            sent: 0,
            floor_sent: 0,
            floor,
            sessions: options.sessions,
            latencies: Vec::new(),
            bytes: 0.0,
        };
        // Warms up, and tells how many bytes a message takes.
        this.bytes = this.singles(0).await?.1;
        this.bursts(0).await?;
        this.latencies.clear();
        Ok(this)
    }

    /// Each figure once, its floor behind it.
    async fn round(&mut self, round: usize, rounds: &mut Rounds) -> anyhow::Result<()> {
        // A long run outlasts what a session may go without one.
        self.load.heartbeat()?;
        let frame = vec![b'x'; self.bytes.round() as usize];
        rounds.single.push(self.singles(round).await?.0);
        rounds.single_floor.push(self.floor(&frame, SINGLES)?);
        rounds.burst.push(self.bursts(round).await?);
        rounds.burst_floor.push(self.floor(&frame.repeat(BURST), BURSTS)? / BURST as f64);
        Ok(())
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
