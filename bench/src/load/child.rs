//! The process of clients: one thread, one poll.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use mio::{Events, Interest, Poll, Token};

use super::client::Client;
use super::{Answer, Ask, Speech};

/// Sessions that start at the same time in one process: what a server of one machine has room for.
const AT_ONCE: usize = 128;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between looks at the clock while nothing comes.
const POLL: Duration = Duration::from_millis(200);
/// One of so many clients has the kernel's times.
const SAMPLE: usize = 100;
/// The mark of a bare socket among the poll's tokens.
const BARE: usize = 1 << 32;

struct Clients {
    poll: Poll,
    sessions: Vec<Client>,
    bare: Vec<Client>,
    tokens: Vec<String>,
    first: usize,
    buffer: Vec<u8>,
    bytes_told: u64,
}

/// Does what it is asked until nobody asks any more.
pub fn run() -> anyhow::Result<()> {
    let mut clients = Clients {
        poll: Poll::new()?,
        sessions: Vec::new(),
        bare: Vec::new(),
        tokens: Vec::new(),
        first: 0,
        buffer: vec![0; 64 * 1024],
        bytes_told: 0,
    };
    for line in std::io::stdin().lock().lines() {
        let ask: Ask = serde_json::from_str(&line?)?;
        let answer = match clients.carry_out(ask) {
            Ok(()) => clients.answer(),
            Err(error) => Answer { error: Some(format!("{error:#}")), ..Answer::default() },
        };
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&answer)?)?;
    }
    Ok(())
}

impl Clients {
    fn carry_out(&mut self, ask: Ask) -> anyhow::Result<()> {
        match ask {
            Ask::Start { gateway, tokens, first, count, speech } => self.start(gateway, tokens, first, count, speech),
            Ask::Floor { address, first, count } => self.connect_bare(address, first, count),
            Ask::Messages(messages) => self.wait(Goal::Messages(messages), self.sessions.len()),
            Ask::FloorBytes(bytes) => self.wait(Goal::FloorBytes(bytes), self.bare.len()),
            Ask::Heartbeat => {
                let acks = self.sessions.iter().map(|session| session.acks).max().unwrap_or(0) + 1;
                self.sessions.iter_mut().try_for_each(Client::heartbeat)?;
                self.wait(Goal::Acks(acks), self.sessions.len())
            }
            Ask::Look { guild_id, groups } => {
                let first = self.first;
                ensure!(!groups.is_empty(), "nothing to look at");
                let look =
                    |(n, session): (usize, &mut Client)| session.look(&guild_id, &groups[(first + n) % groups.len()]);
                self.sessions.iter_mut().enumerate().try_for_each(look)
            }
            Ask::Say(status) => self.sessions.iter_mut().try_for_each(|session| session.say(&status)),
            Ask::Presences(presences) => {
                self.wait(Goal::Presences(presences), self.sessions.len())?;
                self.sessions.iter_mut().for_each(|session| session.presences = 0);
                Ok(())
            }
            Ask::Reset => {
                self.bytes_told = 0;
                self.sessions.clear();
                Ok(())
            }
        }
    }

    fn answer(&mut self) -> Answer {
        let bytes: u64 = self.sessions.iter().map(|session| session.bytes).sum();
        let since = bytes - self.bytes_told;
        self.bytes_told = bytes;
        let last_ns = self.sessions.iter().map(|session| session.last_ns).max().unwrap_or(0);
        Answer { bytes: since, last_ns, error: None }
    }

    fn start(
        &mut self,
        gateway: SocketAddr,
        tokens: Vec<String>,
        first: usize,
        count: usize,
        speech: Speech,
    ) -> anyhow::Result<()> {
        (self.tokens, self.first) = (tokens, first);
        let mut begun = 0;
        while begun < count {
            let next = (begun + AT_ONCE).min(count);
            for n in begun..next {
                let mut client = Client::session(gateway, first + n, speech, n % SAMPLE == 0)?;
                self.poll.registry().register(client.stream(), Token(n), Interest::READABLE)?;
                self.sessions.push(client);
            }
            // The next ones begin when most of these are there.
            self.wait(Goal::Ready, begun + (next - begun) * 3 / 4)?;
            begun = next;
        }
        self.wait(Goal::Ready, count)
    }

    fn connect_bare(&mut self, address: SocketAddr, first: usize, count: usize) -> anyhow::Result<()> {
        for n in 0..count {
            let mut client = Client::bare(address, first + n)?;
            self.poll.registry().register(client.stream(), Token(BARE | n), Interest::READABLE)?;
            self.bare.push(client);
        }
        Ok(())
    }

    /// Reads until so many clients are where they are to come.
    fn wait(&mut self, goal: Goal, wanted: usize) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut events = Events::with_capacity(1_024);
        let mut reached = self.sessions.iter().chain(&self.bare).filter(|client| goal.is_reached(client)).count();
        while reached < wanted {
            if begun.elapsed() > PATIENCE {
                bail!("{reached} of {wanted} clients have {goal:?} after {PATIENCE:?}");
            }
            self.poll.poll(&mut events, Some(POLL))?;
            for event in &events {
                reached += usize::from(self.read(event.token().0, &goal)?);
            }
        }
        Ok(())
    }

    /// Reads one client; whether that brought it where it is to come.
    fn read(&mut self, token: usize, goal: &Goal) -> anyhow::Result<bool> {
        let n = token & (BARE - 1);
        let (client, token) = if token & BARE == 0 {
            let token = &self.tokens[(self.first + n) % self.tokens.len()];
            (self.sessions.get_mut(n), token.as_str())
        } else {
            (self.bare.get_mut(n), "")
        };
        let client = client.context("a client that is gone")?;
        let before = goal.is_reached(client);
        client.read(&mut self.buffer, token)?;
        Ok(!before && goal.is_reached(client))
    }
}

/// What clients wait for.
#[derive(Debug)]
enum Goal {
    Ready,
    Messages(u64),
    Presences(u64),
    Acks(u64),
    FloorBytes(u64),
}

impl Goal {
    fn is_reached(&self, client: &Client) -> bool {
        match self {
            Self::Ready => client.is_ready,
            Self::Messages(messages) => !client.is_bare() && client.messages >= *messages,
            Self::Presences(presences) => !client.is_bare() && client.presences >= *presences,
            Self::Acks(acks) => !client.is_bare() && client.acks >= *acks,
            Self::FloorBytes(bytes) => client.is_bare() && client.bytes >= *bytes,
        }
    }
}
