//! CPU of a forwarded packet of video, beside one of sound: what a frame's packets to one receiver save by going together.
//!
//! Frames come on time, as a camera sends them, to so many rooms that a node has about as much to do whatever their size; it
//! stays far from the load at which it leaves video out. Sound has a node of its own, which it keeps busy.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rookery_model::voice::EncryptionMode;
use serde_json::json;

use super::client::{Camera, VideoRoom};
use super::crowd::pause;
use super::floor::Floor;
use super::forward::{FORWARDED, Measured, us_each};
use super::node::Node;
use super::{Part, room_sizes};
use crate::bars::Bar;
use crate::statistics::{median, two};

/// Packets of a frame: all full but the last.
pub const FRAME_PACKETS: usize = 8;
/// What a full packet carries, and the last one of a frame.
pub const FULL_BYTES: usize = 1_200;
pub const LAST_BYTES: usize = 600;
/// Frames of a second.
const FRAME_INTERVAL: Duration = Duration::from_micros(1_000_000 / 60);
/// Receivers in all rooms of a size.
const RECEIVERS: usize = 100;

/// Rooms of one size, and the floor of their receivers.
struct Size {
    receivers: usize,
    rooms: Vec<VideoRoom>,
    floors: Vec<Floor>,
    sound: Measured,
    own: Vec<f64>,
    of_sound: Vec<f64>,
    floor: Vec<f64>,
}

impl Size {
    async fn fill(video: &mut Node, sound: &mut Node, channel: u64, receivers: usize) -> anyhow::Result<Self> {
        let mode = EncryptionMode::Aes256Gcm;
        let (mut rooms, mut floors) = (Vec::new(), Vec::new());
        for n in 0..(RECEIVERS / receivers).max(1) {
            let room = VideoRoom::fill(video, channel + n as u64, mode, receivers).await?;
            floors.push(Floor::new(&room.viewers)?);
            rooms.push(room);
        }
        // What they say is done when it answers.
        video.load()?;
        for room in &mut rooms {
            room.camera.show()?;
            room.viewers.check_video(&Camera::payloads_of_first())?;
        }
        let sound = Measured::new(sound, channel, mode, 1, receivers).await?;
        let (own, of_sound, floor) = (vec![], vec![], vec![]);
        Ok(Self { receivers, rooms, floors, sound, own, of_sound, floor })
    }

    fn frames(&self) -> usize {
        FORWARDED.div_ceil(FRAME_PACKETS * self.receivers * self.rooms.len())
    }

    fn packets(&self) -> usize {
        self.frames() * FRAME_PACKETS * self.receivers * self.rooms.len()
    }

    /// CPU microseconds of the node for each packet of video that it sends.
    fn video(&mut self, node: &Node) -> anyhow::Result<f64> {
        let before = node.cpu()?;
        let begun = Instant::now();
        for frame in 0..self.frames() {
            let due = FRAME_INTERVAL * u32::try_from(frame)?;
            pause(due.saturating_sub(begun.elapsed()));
            for room in &mut self.rooms {
                room.camera.show()?;
                room.viewers.read_trains(FRAME_PACKETS)?;
            }
        }
        Ok(us_each(node.cpu()? - before, self.packets()))
    }

    /// CPU microseconds of a bare send of a full packet.
    fn bare(&mut self) -> anyhow::Result<f64> {
        let mut spent = Duration::ZERO;
        for _ in 0..self.frames() {
            for (floor, room) in self.floors.iter_mut().zip(&self.rooms) {
                spent += floor.send_of(FRAME_PACKETS, FULL_BYTES)?;
                room.viewers.read_trains(FRAME_PACKETS)?;
            }
        }
        Ok(us_each(spent, self.packets()))
    }
}

/// With rooms of up to `most` receivers.
pub async fn run(rounds: usize, most: usize) -> anyhow::Result<Part> {
    let (mut video, mut sound) = (Node::start()?, Node::start()?);
    let mut sizes = Vec::new();
    for receivers in room_sizes(most, [10, 2, 1]) {
        sizes.push(Size::fill(&mut video, &mut sound, 1 + sizes.len() as u64 * 1_000, receivers).await?);
    }
    for _ in 0..rounds {
        for size in &mut sizes {
            let own = size.video(&video)?;
            size.own.push(own);
            let of_sound = size.sound.forward(&sound, 1, FORWARDED.min(size.receivers * 2_000))?;
            size.of_sound.push(of_sound);
            let floor = size.bare()?;
            size.floor.push(floor);
        }
    }
    let load = video.load()?;
    let lost: u64 = load.packets_dropped.iter().map(|(_, count)| count).sum();
    ensure!(load.packets_unsent + load.packets_lost + lost == 0, "packets were lost in the node: {load:?}");
    let ratio = |size: &Size| median(&size.of_sound) / median(&size.own);
    let least = sizes.iter().map(ratio).reduce(f64::min).context("nothing was measured")?;
    let rows = sizes.iter().map(|size| {
        json!({
            "receivers": size.receivers,
            "video_cpu_us_per_packet": two(median(&size.own)),
            "sound_cpu_us_per_packet": two(median(&size.of_sound)),
            "floor_cpu_us": two(median(&size.floor)),
            "packets_of_sound": two(ratio(size)),
        })
    });
    Ok(Part {
        figures: json!({ "video_packet_bytes": FULL_BYTES, "video": rows.collect::<Vec<_>>() }),
        bars: vec![Bar::at_least("video_least_of_sound", least, 1.5)],
    })
}
