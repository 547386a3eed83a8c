//! Changes of presence in a large guild: server CPU of a change and of each update that is delivered, beside a bare send of
//! as many bytes.
//!
//! Two servers take turns, alike but for the members who idle: one has ten times as many of them, connected and not. They
//! look at nobody, so a change must cost the same in both.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bars::{Bar, bars};
use crate::cpu;
use crate::load::{Load, Speech};
use crate::server::Server;
use crate::statistics::{median, ratio, two};

/// Members whose presence changes in every round, and how many of them a session looks at.
const CHANGERS: usize = 100;
const LOOKED_AT: usize = 10;
/// People who look; sessions share them.
const LOOKERS_MAX: usize = 1_000;
/// How many more idle members the second guild has.
const TIMES: usize = 10;
/// Connected members who look at nobody: one for so many sessions that look, and some in any case.
const SESSIONS_FOR_IDLE: usize = 6;
const IDLE_MIN: usize = 20;
/// Members without a connection, above which a guild is large: its changes go out in batches, to those who look.
const OFFLINE_MIN: usize = 1_000;
/// What the server does without any change is measured for so long before each round, and is no change's cost.
const QUIET: Duration = Duration::from_secs(2);
/// A batch's time and more: whoever came is told of by then.
const SETTLED: Duration = Duration::from_secs(6);
const SETS: &[&str] = &["pop.connections.max_open=512"];
/// Cost of a change beside ten times the idle members, at the most; no more than the figures vary.
const IDLE_RATIO_MAX: f64 = 1.25;

/// A guild on a server of its own.
struct Guild {
    server: Server,
    changers: Load,
    lookers: Load,
    idle: Load,
    sessions: usize,
    idle_members: usize,
    /// CPU microseconds of a change in each round.
    changes_us: Vec<f64>,
    /// CPU milliseconds of a second without a change.
    quiet_ms: Vec<f64>,
    /// Bytes of an update, in the last round.
    update_bytes: f64,
}

/// With so many sessions, each of which looks at ten members.
pub async fn run(rounds: usize, sessions: usize) -> anyhow::Result<Value> {
    let idle = (sessions / SESSIONS_FOR_IDLE).max(IDLE_MIN);
    let offline = (2 * sessions).max(OFFLINE_MIN);
    let mut few = Guild::start(sessions, idle, offline).await?;
    let mut many = Guild::start(sessions, idle * TIMES, offline * TIMES).await?;
    tokio::time::sleep(SETTLED).await;
    // Warms up, and tells how many bytes an update takes.
    for guild in [&mut few, &mut many] {
        guild.round(0).await?;
        guild.changes_us.clear();
        guild.quiet_ms.clear();
    }
    let mut floor = Floor::start(&mut few, sessions)?;
    let mut floor_us = Vec::new();
    for round in 1..=rounds {
        few.round(round).await?;
        many.round(round).await?;
        floor_us.push(floor.round(&mut few.lookers, few.update_bytes)?);
    }
    let (change_few, change_many) = (median(&few.changes_us), median(&many.changes_us));
    let deliveries_of_change = (sessions * LOOKED_AT) as f64 / CHANGERS as f64;
    let (update_us, floor_us) = (change_few / deliveries_of_change, median(floor_us));
    let ratio_of_idle = ratio(change_few.max(change_many), change_few.min(change_many));
    Ok(json!({
        "bench": "presence",
        "sessions_looking": sessions,
        "changes_of_a_batch": CHANGERS,
        "updates_of_a_change": two(deliveries_of_change),
        "rounds": rounds,
        "bytes_per_update": two(few.update_bytes),
        "idle_members": few.idle_members,
        "idle_members_times_10": many.idle_members,
        "change_server_cpu_us": two(change_few),
        "change_server_cpu_us_idle_times_10": two(change_many),
        "idle_ratio": ratio_of_idle,
        "server_cpu_us_per_update": two(update_us),
        "floor_send_cpu_us": two(floor_us),
        "of_floor": ratio(update_us, floor_us),
        "quiet_cpu_ms_per_s": two(median(&few.quiet_ms)),
        "quiet_cpu_ms_per_s_idle_times_10": two(median(&many.quiet_ms)),
        "bars": bars([Bar::at_most("idle_ratio", ratio_of_idle, IDLE_RATIO_MAX)]),
    }))
}

impl Guild {
    async fn start(sessions: usize, idle: usize, offline: usize) -> anyhow::Result<Self> {
        let server = Server::start(SETS).await?;
        let looking = sessions.min(LOOKERS_MAX);
        let seed = server.seed_with(CHANGERS + looking + idle, offline).await?;
        let (changing, others) = seed.user_tokens.split_at(CHANGERS);
        let (looking, idling) = others.split_at(looking);
        let start = |count: usize, tokens: &[String]| {
            let mut load = Load::new(count)?;
            load.start(&server.gateway, tokens, Speech::Json)?;
            load.heartbeat()?;
            anyhow::Ok(load)
        };
        let (changers, idle_load) = (start(CHANGERS, changing)?, start(idle, idling)?);
        let mut lookers = start(sessions, looking)?;
        let groups: Vec<Vec<String>> = seed.user_ids[..CHANGERS].chunks(LOOKED_AT).map(<[String]>::to_vec).collect();
        lookers.look(&seed.guild_id, &groups)?;
        lookers.heartbeat()?;
        Ok(Self {
            server,
            changers,
            lookers,
            idle: idle_load,
            sessions,
            idle_members: idle + offline,
            changes_us: Vec::new(),
            quiet_ms: Vec::new(),
            update_bytes: 0.0,
        })
    }

    /// Every changer changes once, and everybody who looks is told of it.
    async fn round(&mut self, round: usize) -> anyhow::Result<()> {
        for load in [&mut self.changers, &mut self.lookers, &mut self.idle] {
            load.heartbeat()?;
        }
        let (begun, before) = (Instant::now(), self.server.cpu()?);
        tokio::time::sleep(QUIET).await;
        let quiet = (self.server.cpu()? - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        let (begun, before) = (Instant::now(), self.server.cpu()?);
        self.changers.say(if round.is_multiple_of(2) { "idle" } else { "dnd" })?;
        let answer = self.lookers.presences(LOOKED_AT as u64)?;
        let (spent, took) = (self.server.cpu()? - before, begun.elapsed());
        let of_changes = spent.as_secs_f64() - quiet * took.as_secs_f64();
        self.changes_us.push(of_changes * 1e6 / CHANGERS as f64);
        self.quiet_ms.push(quiet * 1e3);
        self.update_bytes = answer.bytes as f64 / (self.sessions * LOOKED_AT) as f64;
        Ok(())
    }
}

/// Bare sockets, one for each session that looks.
struct Floor {
    sockets: Vec<TcpStream>,
    /// Bytes that each has.
    sent: u64,
}

impl Floor {
    fn start(guild: &mut Guild, sessions: usize) -> anyhow::Result<Self> {
        let sockets = guild.lookers.floor()?;
        anyhow::ensure!(sockets.len() == sessions, "a bare socket for each session");
        Ok(Self { sockets, sent: 0 })
    }

    /// CPU microseconds of an update's share of one bare write, in which all that a session is told of go.
    fn round(&mut self, load: &mut Load, update_bytes: f64) -> anyhow::Result<f64> {
        let frames = vec![b'x'; (update_bytes * LOOKED_AT as f64).round() as usize];
        let before = cpu::of_thread()?;
        for mut socket in &self.sockets {
            socket.write_all(&frames)?;
        }
        let spent = cpu::of_thread()? - before;
        self.sent += frames.len() as u64;
        load.floor_bytes(self.sent)?;
        Ok(spent.as_secs_f64() * 1e6 / (self.sockets.len() * LOOKED_AT) as f64)
    }
}
