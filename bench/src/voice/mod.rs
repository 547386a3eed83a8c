//! What a voice node spends on a packet, beside a bare loop and beside other servers; its delay in a crowd, its memory.
//!
//! The node is a process of its own. Whoever speaks and listens is in this one, with a UDP socket each, joined over the voice
//! gateway as any client is. A burst is sent, all of it is received, then comes the next: nothing is lost on the way, and what
//! is counted is the CPU time of the node's whole process.

mod burst;
mod client;
mod crowd;
mod floor;
mod forward;
mod memory;
mod node;
mod peers;
mod pion;
mod program;
mod video;

use clap::ValueEnum;
use rookery_model::voice::node::ROOM_MEMBERS_MAX;
use serde_json::{Value, json};

use crate::bars::{Bar, bars};

pub use node::run as run_node;
pub use peers::Peer;

/// Bytes of Opus in a packet: 20 ms at 64 kbit/s.
const PAYLOAD_BYTES: usize = 160;

/// What of it to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Packets to ever more receivers in one room.
    Forward,
    /// Delay and loss in a room of five times as many.
    Crowd,
    /// Packets of video, beside those of sound.
    Video,
    /// Memory of a member.
    Memory,
}

/// With up to `size` receivers in a room, five times as many in a crowd.
pub async fn run(rounds: usize, size: usize, cases: &[Case], peers: &[Peer]) -> anyhow::Result<Value> {
    let is_wanted = |case| cases.contains(&case) || (cases.is_empty() && peers.is_empty());
    let mut figures = json!({ "bench": "voice", "rounds": rounds, "payload_bytes": PAYLOAD_BYTES });
    let mut held: Vec<Bar> = Vec::new();
    let mut add = |part: Part| {
        for (name, value) in part.figures.as_object().into_iter().flatten() {
            figures[name] = value.clone();
        }
        held.extend(part.bars);
    };
    if is_wanted(Case::Forward) {
        add(forward::run(rounds, size).await?);
    }
    if is_wanted(Case::Video) {
        add(video::run(rounds, size.div_ceil(10)).await?);
    }
    for peer in peers {
        add(peers::run(rounds, size, *peer).await?);
    }
    if is_wanted(Case::Crowd) {
        // Somebody of a room has to speak.
        add(crowd::run((size * 5).min(ROOM_MEMBERS_MAX as usize - 1)).await?);
    }
    if is_wanted(Case::Memory) {
        add(memory::run(size * 2).await?);
    }
    figures["bars"] = bars(held);
    Ok(figures)
}

/// Figures of a case, and what they are held to.
struct Part {
    figures: Value,
    bars: Vec<Bar>,
}

/// How many receivers rooms have: these parts of the most, and nobody has a room without any.
fn room_sizes(most: usize, parts: [usize; 3]) -> Vec<usize> {
    let mut sizes: Vec<_> = parts.map(|part| most / part).into_iter().filter(|size| *size > 0).collect();
    sizes.dedup();
    sizes
}
