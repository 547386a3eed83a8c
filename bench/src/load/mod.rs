//! Thousands of gateway clients in processes of their own, so that neither their cost nor their descriptors are the
//! server's or the measuring process's.

mod child;
mod client;
pub mod timestamps;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde::{Deserialize, Serialize};

pub use child::run as run_child;

/// Clients of one process: with as many sockets of the floor it stays below a usual limit of descriptors.
const CLIENTS_OF_A_PROCESS: usize = 8_000;

/// What clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Speech {
    Json,
    ZlibStream,
}

/// What a process of clients is asked for, one line each.
#[derive(Debug, Serialize, Deserialize)]
pub enum Ask {
    /// Start so many sessions, the tokens in turn; `first` is the number of the first among all.
    Start { gateway: SocketAddr, tokens: Vec<String>, first: usize, count: usize, speech: Speech },
    /// Connect so many bare sockets.
    Floor { address: SocketAddr, first: usize, count: usize },
    /// Wait until every session has so many messages in all.
    Messages(u64),
    /// Wait until every bare socket has so many bytes in all.
    FloorBytes(u64),
    /// Send every session's heartbeat and wait for the answers.
    Heartbeat,
    /// Let sessions look at members of a guild, one group each, the groups in turn.
    Look { guild_id: String, groups: Vec<Vec<String>> },
    /// Let every session say this status of its user.
    Say(String),
    /// Wait until every session was told of so many changes of presence, and count from there anew.
    Presences(u64),
    /// Reset every session's connection and forget it.
    Reset,
}

/// What it answers when that is done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Bytes that the sessions got since the last answer, WebSocket framing included.
    pub bytes: u64,
    /// Nanoseconds of the real-time clock at which the kernel had what the last session of a sample waited for.
    pub last_ns: u64,
    pub error: Option<String>,
}

/// A process of clients.
struct Process {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn spawn() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "clients"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("a process of clients")?;
        let asks = child.stdin.take().context("its input")?;
        let answers = BufReader::new(child.stdout.take().context("its output")?);
        Ok(Self { child, asks, answers })
    }

    fn ask(&mut self, ask: &Ask) -> anyhow::Result<()> {
        writeln!(self.asks, "{}", serde_json::to_string(ask)?).context("the clients are gone")
    }

    fn answer(&mut self) -> anyhow::Result<Answer> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        let answer: Answer = serde_json::from_str(&line).context("the clients are gone")?;
        match answer.error {
            Some(error) => bail!("the clients: {error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All processes of clients of a benchmark.
pub struct Load {
    processes: Vec<Process>,
    /// How many each has.
    shares: Vec<usize>,
}

impl Load {
    /// Processes for so many clients, none of which is started yet.
    pub fn new(clients: usize) -> anyhow::Result<Self> {
        ensure!(clients > 0, "no clients");
        let count = clients.div_ceil(CLIENTS_OF_A_PROCESS);
        let shares = (0..count).map(|n| clients / count + usize::from(n < clients % count)).collect();
        let processes = (0..count).map(|_| Process::spawn()).collect::<anyhow::Result<_>>()?;
        Ok(Self { processes, shares })
    }

    /// Starts all sessions: READY, and the guild's GUILD_CREATE.
    pub fn start(&mut self, gateway: &str, tokens: &[String], speech: Speech) -> anyhow::Result<Answer> {
        let gateway: SocketAddr = gateway.trim_start_matches("ws://").parse().context("the gateway's address")?;
        let tokens = tokens.to_vec();
        self.each(|first, count| Ask::Start { gateway, tokens: tokens.clone(), first, count, speech })
    }

    /// A bare socket for each client; the server's ends of them.
    pub fn floor(&mut self) -> anyhow::Result<Vec<TcpStream>> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let count: usize = self.shares.iter().sum();
        let accept = std::thread::spawn(move || {
            let accept = |_| {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(stream)
            };
            (0..count).map(accept).collect::<std::io::Result<Vec<_>>>()
        });
        self.each(|first, count| Ask::Floor { address, first, count })?;
        let accepted = accept.join().map_err(|_| anyhow::anyhow!("accepting the floor's sockets panicked"))?;
        accepted.context("the floor's sockets")
    }

    /// Waits until every session has so many messages in all.
    pub fn messages(&mut self, messages: u64) -> anyhow::Result<Answer> {
        self.each(|_, _| Ask::Messages(messages))
    }

    /// Waits until every bare socket has so many bytes in all.
    pub fn floor_bytes(&mut self, bytes: u64) -> anyhow::Result<Answer> {
        self.each(|_, _| Ask::FloorBytes(bytes))
    }

    /// Every session acknowledges what it has.
    pub fn heartbeat(&mut self) -> anyhow::Result<Answer> {
        self.each(|_, _| Ask::Heartbeat)
    }

    /// Lets sessions look at members of a guild, one group each.
    pub fn look(&mut self, guild_id: &str, groups: &[Vec<String>]) -> anyhow::Result<Answer> {
        self.each(|_, _| Ask::Look { guild_id: guild_id.to_owned(), groups: groups.to_vec() })
    }

    /// Every session says this status of its user.
    pub fn say(&mut self, status: &str) -> anyhow::Result<Answer> {
        self.each(|_, _| Ask::Say(status.to_owned()))
    }

    /// Waits until every session was told of so many changes of presence since the last such wait.
    pub fn presences(&mut self, presences: u64) -> anyhow::Result<Answer> {
        self.each(|_, _| Ask::Presences(presences))
    }

    /// Resets every session's connection.
    pub fn reset(&mut self) -> anyhow::Result<Answer> {
        self.each(|_, _| Ask::Reset)
    }

    /// Asks all, then waits for all.
    fn each(&mut self, ask: impl Fn(usize, usize) -> Ask) -> anyhow::Result<Answer> {
        let mut first = 0;
        for (process, share) in self.processes.iter_mut().zip(&self.shares) {
            process.ask(&ask(first, *share))?;
            first += share;
        }
        let mut all = Answer::default();
        for process in &mut self.processes {
            let answer = process.answer()?;
            all.bytes += answer.bytes;
            all.last_ns = all.last_ns.max(answer.last_ns);
        }
        Ok(all)
    }
}
