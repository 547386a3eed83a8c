//! Other servers that forward the same packets to as many receivers, each to its own key, beside the node.
//!
//! pion's SFU has members of its own kind (`pion.rs`). Any other peer is a program that is told on standard input where to receive for how many speakers and where to send, and says on
//! standard output where it receives and which process's CPU counts. It gets plain RTP, which spares it decryption.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use rookery_model::voice::{EncryptionMode, Ssrc};
use rookery_rtp::RtpHeader;
use serde::Deserialize;
use serde_json::{Value, json};

use super::burst::{Sink, Sinks};
use super::forward::{FORWARDED, Measured, ROOMS, burst_packets, us_each};
use super::node::Node;
use super::pion;
use super::program::Program;
use super::{PAYLOAD_BYTES, Part, room_sizes};
use crate::bars::Bar;
use crate::cpu;
use crate::statistics::{median, two};

/// The SSRC and payload type that a peer is to expect.
const SSRC: Ssrc = Ssrc(1_001);
const OPUS: u8 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Peer {
    /// mediasoup: PlainTransports with SRTP.
    Mediasoup,
    /// pion: a small SFU of PeerConnections.
    Pion,
    /// pion/srtp around one socket, and nothing else.
    PionLoop,
}

impl Peer {
    const fn variable(self) -> &'static str {
        match self {
            Self::Mediasoup => "ROOKERY_PEER_MEDIASOUP",
            Self::Pion | Self::PionLoop => "ROOKERY_PEER_PION",
        }
    }
    const fn name(self) -> &'static str {
        match self {
            Self::Mediasoup => "mediasoup",
            Self::Pion => "pion",
            Self::PionLoop => "pion_loop",
        }
    }
    /// Which of the things that its program is.
    const fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Mediasoup => &[],
            Self::Pion => &["sfu"],
            Self::PionLoop => &["loop"],
        }
    }
    /// Its program as `bench-peers` built it.
    pub fn command(self) -> anyhow::Result<Command> {
        let variable = self.variable();
        let program = std::env::var_os(variable).with_context(|| {
            format!("{} is not installed: `eval \"$(cargo xtask bench-peers)\"` sets {variable}", self.name())
        })?;
        Ok(Command::new(program))
    }
    /// How many packets the node is to send for each of the peer's, of as much CPU.
    pub const fn bar(self) -> (&'static str, f64) {
        match self {
            Self::Mediasoup => ("least_of_mediasoup", 1.0),
            Self::Pion => ("least_of_pion", 2.0),
            // It does nothing but what the node's floor does, in the language of pion.
            Self::PionLoop => ("least_of_pion_loop", 1.0),
        }
    }
}

/// What a peer says when it is ready.
#[derive(Deserialize)]
struct Started {
    port: u16,
    pid: u32,
    version: String,
}

/// A peer with its receivers.
struct Running {
    _program: Program,
    pid: u32,
    version: String,
    socket: UdpSocket,
    sequence: u16,
    sinks: Sinks,
}

impl Running {
    fn start(peer: Peer, receivers: usize) -> anyhow::Result<Self> {
        let sink = |_| Sink::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, None);
        let sinks = Sinks::new((0..receivers).map(sink).collect::<anyhow::Result<_>>()?);
        let ports: Vec<_> = sinks.addresses()?.iter().map(SocketAddr::port).collect();
        let mut program = Program::start(peer.command()?.args(peer.arguments()))?;
        let order = json!({ "receivers": ports, "ssrc": SSRC.0, "payload_type": OPUS });
        let Started { port, pid, version } =
            program.ask(&order).with_context(|| format!("{} does not start", peer.name()))?;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect((Ipv4Addr::LOCALHOST, port))?;
        let mut running = Self { _program: program, pid, version, socket, sequence: 0, sinks };
        running.forward(receivers)?;
        Ok(running)
    }

    fn say(&mut self) -> anyhow::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let timestamp = u32::from(self.sequence).wrapping_mul(960);
        let header =
            RtpHeader { marker: false, payload_type: OPUS, sequence_number: self.sequence, timestamp, ssrc: SSRC };
        let packet = [&header.to_bytes()[..], &[7; PAYLOAD_BYTES]].concat();
        self.socket.send(&packet)?;
        Ok(())
    }

    /// CPU microseconds for each packet that the peer sends.
    fn forward(&mut self, packets: usize) -> anyhow::Result<f64> {
        let receivers = self.sinks.len();
        let each = burst_packets(1, receivers);
        let bursts = packets.div_ceil(each * receivers);
        let before = cpu::of_process(self.pid)?;
        for _ in 0..bursts {
            for _ in 0..each {
                self.say()?;
            }
            self.sinks.read(each)?;
        }
        Ok(us_each(cpu::of_process(self.pid)? - before, bursts * each * receivers))
    }
}

/// Beside one peer, in rooms of up to `most` receivers, with AES-256-GCM at both.
pub async fn run(rounds: usize, most: usize, peer: Peer) -> anyhow::Result<Part> {
    if peer == Peer::Pion {
        return pion::run(rounds, most).await;
    }
    let mut node = Node::start()?;
    let mut rows: Vec<Value> = Vec::new();
    let mut least = f64::INFINITY;
    let mut version = String::new();
    // Whoever leaves keeps its address at the node for a while, in case it comes back; another one's socket must not get it.
    let mut rooms = Vec::new();
    for receivers in room_sizes(most, ROOMS) {
        let channel = receivers as u64;
        let mut own = Measured::new(&mut node, channel, EncryptionMode::Aes256Gcm, 1, receivers).await?;
        let mut other = Running::start(peer, receivers)?;
        version.clone_from(&other.version);
        let packets = FORWARDED.min(receivers * 2_000);
        let (mut ours, mut theirs, mut floor) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            ours.push(own.forward(&node, 1, packets)?);
            theirs.push(other.forward(packets)?);
            floor.push(own.bare(packets)?);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        ensure!(ours > 0.0, "no time was counted");
        least = least.min(theirs / ours);
        rows.push(json!({
            "receivers": receivers,
            "cpu_us_per_packet": two(ours),
            "peer_cpu_us_per_packet": two(theirs),
            "floor_cpu_us": two(median(floor)),
            "packets_of_peer": two(theirs / ours),
        }));
        rooms.push(own);
    }
    let (figure, bar) = peer.bar();
    Ok(Part {
        figures: json!({ peer.name(): { "version": version, "rooms": rows } }),
        bars: vec![Bar::at_least(figure, least, bar)],
    })
}
