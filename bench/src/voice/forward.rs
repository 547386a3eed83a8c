//! CPU of a forwarded packet by the number of receivers, for both ways of encryption.

use std::time::Duration;

use anyhow::ensure;
use rookery_model::voice::EncryptionMode;
use serde_json::{Value, json};

use super::client::Room;
use super::floor::Floor;
use super::node::Node;
use super::{PAYLOAD_BYTES, Part, room_sizes};
use crate::bars::Bar;
use crate::statistics::{median, ratio, two};

/// How many speak at once.
const SPEAKERS: [usize; 2] = [1, SPEAKERS_MAX];
const SPEAKERS_MAX: usize = 3;
/// What parts of the most receivers rooms have.
pub const ROOMS: [usize; 3] = [100, 10, 1];
/// Packets that are forwarded in a round, about.
pub const FORWARDED: usize = 60_000;
/// Packets on their way at once, about: as at a node that is never idle.
const ON_THE_WAY: usize = 1_000;
/// Of one speaker: more would not fit into what the kernel keeps.
const OF_ONE_SPEAKER_MAX: usize = 32;

/// Packets of each speaker in a burst.
pub fn burst_packets(speakers: usize, receivers: usize) -> usize {
    (ON_THE_WAY / (speakers * receivers)).clamp(1, OF_ONE_SPEAKER_MAX)
}

/// A room and the floor of its receivers.
pub struct Measured {
    pub room: Room,
    floor: Floor,
}

impl Measured {
    pub async fn new(
        node: &mut Node,
        channel: u64,
        mode: EncryptionMode,
        speakers: usize,
        listeners: usize,
    ) -> anyhow::Result<Self> {
        let mut room = Room::fill(node, channel, mode, speakers, listeners).await?;
        let floor = Floor::new(&room.listeners)?;
        // Everybody's first packet is told of, and shows that all of this works.
        for at in 0..room.speakers.len() {
            let payload = vec![at as u8; PAYLOAD_BYTES];
            room.speakers[at].say(&payload)?;
            room.listeners.check(&payload)?;
        }
        Ok(Self { room, floor })
    }

    /// CPU microseconds of the node for each packet that it sends.
    pub fn forward(&mut self, node: &Node, speakers: usize, packets: usize) -> anyhow::Result<f64> {
        let receivers = self.room.listeners.len();
        let each = burst_packets(speakers, receivers);
        let bursts = packets.div_ceil(each * speakers * receivers);
        let payload = [7; PAYLOAD_BYTES];
        let before = node.cpu()?;
        for _ in 0..bursts {
            for _ in 0..each {
                for speaker in &mut self.room.speakers[..speakers] {
                    speaker.say(&payload)?;
                }
            }
            self.room.listeners.read(each * speakers)?;
        }
        Ok(us_each(node.cpu()? - before, bursts * each * speakers * receivers))
    }

    /// CPU microseconds of a bare send of as much.
    pub fn bare(&mut self, packets: usize) -> anyhow::Result<f64> {
        let receivers = self.room.listeners.len();
        let each = burst_packets(1, receivers);
        let bursts = packets.div_ceil(each * receivers);
        let mut spent = Duration::ZERO;
        for _ in 0..bursts {
            spent += self.floor.send(each)?;
            self.room.listeners.read(each)?;
        }
        Ok(us_each(spent, bursts * each * receivers))
    }
}

pub fn us_each(spent: Duration, packets: usize) -> f64 {
    spent.as_secs_f64() * 1e6 / packets as f64
}

/// What is measured of one room with so many who speak.
struct Row {
    mode: EncryptionMode,
    receivers: usize,
    speakers: usize,
    own: Vec<f64>,
    floor: Vec<f64>,
}

impl Row {
    fn us(&self) -> f64 {
        median(&self.own)
    }
    fn of_floor(&self) -> f64 {
        median(&self.floor) / self.us()
    }
    fn to_json(&self) -> Value {
        json!({
            "mode": self.mode.name(),
            "receivers": self.receivers,
            "speakers": self.speakers,
            "cpu_us_per_packet": two(self.us()),
            "packets_per_cpu_second": (1e6 / self.us()).round(),
            "floor_cpu_us": two(median(&self.floor)),
            "packets_of_floor": two(self.of_floor()),
        })
    }
}

/// With rooms of up to `most` receivers.
pub async fn run(rounds: usize, most: usize) -> anyhow::Result<Part> {
    let mut node = Node::start()?;
    let sizes = room_sizes(most, ROOMS);
    let mut rooms = Vec::new();
    for mode in EncryptionMode::ALL {
        for receivers in &sizes {
            let channel = 1 + rooms.len() as u64;
            rooms.push((mode, *receivers, Measured::new(&mut node, channel, mode, SPEAKERS_MAX, *receivers).await?));
        }
    }
    let of_room = |(mode, receivers, _): &(EncryptionMode, usize, Measured)| {
        SPEAKERS.map(|speakers| Row { mode: *mode, receivers: *receivers, speakers, own: vec![], floor: vec![] })
    };
    let mut rows: Vec<Row> = rooms.iter().flat_map(of_room).collect();
    for _ in 0..rounds {
        for ((_, receivers, measured), rows) in rooms.iter_mut().zip(rows.chunks_mut(SPEAKERS.len())) {
            let packets = FORWARDED.min(*receivers * 2_000);
            for row in rows {
                row.own.push(measured.forward(&node, row.speakers, packets)?);
                row.floor.push(measured.bare(packets)?);
            }
        }
    }
    let load = node.load()?;
    let lost =
        load.packets_unsent + load.packets_lost + load.packets_dropped.iter().map(|(_, count)| count).sum::<u64>();
    ensure!(lost == 0, "packets were lost in the node: {load:?}");
    let least = rows.iter().map(Row::of_floor).fold(f64::INFINITY, f64::min);
    let growth = |row: &Row| {
        let first = rows.iter().find(|first| (first.mode, first.speakers) == (row.mode, row.speakers));
        first.map_or(1.0, |first| row.us() / first.us())
    };
    let growth = rows.iter().map(growth).fold(0.0, f64::max);
    Ok(Part {
        figures: json!({
            "forward": rows.iter().map(Row::to_json).collect::<Value>(),
            "forward_least_of_floor": two(least),
            "forward_growth": ratio(growth, 1.0),
        }),
        bars: vec![Bar::at_least("forward_least_of_floor", least, 0.6), Bar::at_most("forward_growth", growth, 1.2)],
    })
}
