//! The node beside a small SFU of pion's, both with the same members: PeerConnections of pion in a process of their own.
//!
//! Everybody comes over ICE and DTLS. One speaks, the others hear each packet once and in order, or the benchmark ends. A
//! member's sound is encrypted with AES-128-GCM, which the node chooses, at both. Only the server's process counts.

use anyhow::{Context as _, ensure};
use rookery_model::voice::node::VoiceMemberFlags;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Wire, connector, enter, select_web_rtc};
use super::forward::{FORWARDED, ROOMS, burst_packets, us_each};
use super::node::Node;
use super::peers::Peer;
use super::program::Program;
use super::{PAYLOAD_BYTES, Part, room_sizes};
use crate::bars::Bar;
use crate::cpu;
use crate::statistics::{median, two};

/// Members that join at the same time.
const AT_ONCE: usize = 50;
/// Packets before the first round: pools and caches that fill.
const WARM_UP: usize = 10_000;
/// Between two packets of sound.
const INTERVAL_US: u64 = 20_000;
/// Packets of a speaker in a round: four seconds.
const ON_TIME: usize = 200;
/// Members of larger rooms take longer than 20 ms for a packet where they share the machine.
const ON_TIME_RECEIVERS_MAX: usize = 100;

/// How a speaker's packets come.
#[derive(Clone, Copy)]
enum Load {
    /// About so many packets to all listeners, as in `burst.rs`.
    Bursts(usize),
    /// So many packets, one in 20 ms.
    OnTime(usize),
}

#[derive(Deserialize)]
struct Started {
    version: String,
}

#[derive(Deserialize)]
struct Answer {
    sdp: String,
}

/// A server that answers offers.
trait Server {
    async fn answer(&mut self, speaks: bool, offers: Vec<String>) -> anyhow::Result<Vec<String>>;
}

/// The node as members of one channel see it.
struct Channel<'a> {
    node: &'a mut Node,
    channel: u64,
    users: u64,
    /// Whoever is not connected leaves.
    wires: Vec<Wire>,
}

impl Server for Channel<'_> {
    async fn answer(&mut self, speaks: bool, offers: Vec<String>) -> anyhow::Result<Vec<String>> {
        let flags = VoiceMemberFlags { server_deafened: speaks, ..VoiceMemberFlags::SPEAKER };
        let users: Vec<u64> = (self.users + 1..=self.users + offers.len() as u64).collect();
        self.users += offers.len() as u64;
        let tokens = self.node.prepare(self.channel, users.clone(), flags)?;
        let connector = connector(self.node)?;
        let mut answers = Vec::new();
        for ((user, token), offer) in users.into_iter().zip(tokens).zip(offers) {
            let (mut wire, _) = enter(&connector, self.node.gateway, self.channel, user, token).await?;
            answers.push(select_web_rtc(&mut wire, &offer).await?);
            self.wires.push(wire);
        }
        Ok(answers)
    }
}

impl Server for Program {
    async fn answer(&mut self, _speaks: bool, offers: Vec<String>) -> anyhow::Result<Vec<String>> {
        let answer = |offer| Ok(self.ask::<Answer>(&json!({ "sdp": offer }))?.sdp);
        offers.into_iter().map(answer).collect()
    }
}

/// Everybody of one room.
struct Members {
    program: Program,
    listeners: usize,
}

impl Members {
    /// One who speaks, and so many who listen.
    async fn fill(server: &mut impl Server, listeners: usize) -> anyhow::Result<Self> {
        let program = Program::start(Peer::Pion.command()?.arg("members"))?;
        let mut members = Self { program, listeners };
        members.join(server, true, 1).await.context("the speaker does not come in")?;
        for first in (0..listeners).step_by(AT_ONCE) {
            let count = AT_ONCE.min(listeners - first);
            members.join(server, false, count).await.context("a listener does not come in")?;
        }
        let heard: usize = members.program.ask(&json!({ "begin": PAYLOAD_BYTES })).context("nothing is heard")?;
        ensure!(heard == listeners, "{heard} of {listeners} heard it");
        members.speak(Load::Bursts(WARM_UP))?;
        Ok(members)
    }

    async fn join(&mut self, server: &mut impl Server, speaks: bool, count: usize) -> anyhow::Result<()> {
        let offers = self.program.ask(&json!({ "offer": { "count": count, "speaks": speaks } }))?;
        let answers = server.answer(speaks, offers).await?;
        let connected: usize = self.program.ask(&json!({ "connect": answers }))?;
        ensure!(connected == count, "{connected} of {count} are connected");
        Ok(())
    }

    /// Lets everybody hear something; how many packets it were in all.
    fn speak(&mut self, load: Load) -> anyhow::Result<usize> {
        let (bursts, each, interval_us) = match load {
            Load::Bursts(packets) => {
                let each = burst_packets(1, self.listeners);
                (packets.div_ceil(each * self.listeners), each, 0)
            }
            Load::OnTime(packets) => (packets, 1, INTERVAL_US),
        };
        let order = json!({ "speak": {
            "bursts": bursts, "each": each, "interval_us": interval_us, "payload_bytes": PAYLOAD_BYTES } });
        let heard: usize = self.program.ask(&order).context("a packet was lost")?;
        ensure!(heard == self.listeners, "{heard} of {} heard it", self.listeners);
        Ok(bursts * each * self.listeners)
    }

    /// CPU microseconds of a server's process for each packet that it sends.
    fn forward(&mut self, pid: u32, load: Load) -> anyhow::Result<f64> {
        let before = cpu::of_process(pid)?;
        let packets = self.speak(load)?;
        Ok(us_each(cpu::of_process(pid)? - before, packets))
    }
}

/// What one server spends, and the other, by rounds.
#[derive(Default)]
struct Spent {
    own: Vec<f64>,
    other: Vec<f64>,
}

impl Spent {
    /// A round of each.
    fn measure(
        &mut self,
        own: &mut Members,
        node: &Node,
        other: &mut Members,
        sfu: &Program,
        load: Load,
    ) -> anyhow::Result<()> {
        self.own.push(own.forward(node.pid(), load)?);
        self.other.push(other.forward(sfu.pid(), load)?);
        Ok(())
    }
    /// Not a number where nothing was measured, which is no minimum.
    fn ratio(&self) -> f64 {
        median(&self.other) / median(&self.own)
    }
    /// `null` where nothing was measured.
    fn to_json(&self) -> Value {
        if self.own.is_empty() {
            return Value::Null;
        }
        json!({
            "cpu_us_per_packet": two(median(&self.own)),
            "peer_cpu_us_per_packet": two(median(&self.other)),
            "packets_of_peer": two(self.ratio()),
        })
    }
}

/// In rooms of up to `most` receivers.
pub async fn run(rounds: usize, most: usize) -> anyhow::Result<Part> {
    let mut rows: Vec<Value> = Vec::new();
    let mut least = [f64::INFINITY; 2];
    let mut version = String::new();
    for receivers in room_sizes(most, ROOMS) {
        // Each room has servers of its own: pion's has one room.
        let mut node = Node::start()?;
        let mut channel = Channel { node: &mut node, channel: 1, users: 0, wires: Vec::new() };
        let mut own = Members::fill(&mut channel, receivers).await.context("at the node")?;
        let _wires = channel.wires;
        let mut sfu = Program::start(Peer::Pion.command()?.arg("sfu"))?;
        version = sfu.answer::<Started>()?.version;
        let mut other = Members::fill(&mut sfu, receivers).await.context("at pion's server")?;
        let (mut bursts, mut on_time) = (Spent::default(), Spent::default());
        for _ in 0..rounds {
            bursts.measure(&mut own, &node, &mut other, &sfu, Load::Bursts(FORWARDED))?;
            if receivers <= ON_TIME_RECEIVERS_MAX {
                on_time.measure(&mut own, &node, &mut other, &sfu, Load::OnTime(ON_TIME))?;
            }
        }
        let load = node.load()?;
        ensure!(load.packets_unsent == 0, "packets were lost in the node: {load:?}");
        for (least, spent) in least.iter_mut().zip([&bursts, &on_time]) {
            *least = least.min(spent.ratio());
        }
        rows.push(json!({ "receivers": receivers, "bursts": bursts.to_json(), "on_time": on_time.to_json() }));
    }
    let (figure, bar) = Peer::Pion.bar();
    let [bursts, on_time] = least;
    Ok(Part {
        figures: json!({ "pion": { "version": version, "rooms": rows } }),
        bars: vec![Bar::at_least(figure, bursts, bar), Bar::at_least("least_of_pion_on_time", on_time, bar)],
    })
}
