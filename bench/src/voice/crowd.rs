//! Everybody of a full room listens to one: loss, and what the way through the node adds in time.

use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail, ensure};
use rookery_model::voice::EncryptionMode;
use serde_json::json;

use super::burst::Sinks;
use super::client::Speaker;
use super::forward::Measured;
use super::node::Node;
use super::{PAYLOAD_BYTES, Part};
use crate::bars::Bar;
use crate::load::timestamps;
use crate::statistics::{median, percentile, two, us};

/// Of what one core could send.
const LOAD: f64 = 0.7;
/// Packets to each, in each round that says what one core could send.
const MEASURED: usize = 20;
const ROUNDS: usize = 5;
/// Packets to each under that load.
const PACED: usize = 300;
/// One of so many receivers has the kernel's times.
const SAMPLE: usize = 10;
/// Between looks at what came: what the kernel keeps for a socket is enough for a second.
const LOOK: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);
/// Beyond what sending takes.
const SLACK_US: f64 = 5_000.0;
const OF_SENDING: f64 = 1.7;

pub async fn run(listeners: usize) -> anyhow::Result<Part> {
    let mut node = Node::start()?;
    let mut measured = Measured::new(&mut node, 1, EncryptionMode::Aes256Gcm, 1, listeners).await?;
    let (mut own, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        own.push(measured.forward(&node, 1, MEASURED * listeners)?);
        floor.push(measured.bare(MEASURED * listeners)?);
    }
    let (own, floor) = (median(own), median(floor));
    let interval = Duration::from_secs_f64(own * listeners as f64 / 1e6 / LOAD);
    let before = node.load()?;
    let waited = node.waited()?;
    let room = &mut measured.room;
    let delays = pace(&mut room.speakers[0], &room.listeners, interval)?;
    let waited = node.waited()?.saturating_sub(waited);
    let load = node.load()?;
    let dropped: u64 = load.packets_dropped.iter().chain(&load.datagrams_dropped).map(|(_, count)| count).sum();
    let lost = load.packets_unsent + load.packets_lost + dropped;
    ensure!(load.packets_out - before.packets_out == (PACED * listeners) as u64, "{before:?} {load:?}");
    let allowed_us = listeners as f64 * floor * OF_SENDING + SLACK_US;
    let p99_us = us(percentile(delays.clone(), 0.99));
    Ok(Part {
        figures: json!({
            "crowd_listeners": listeners,
            "crowd_cpu_us_per_packet": two(own),
            "crowd_floor_cpu_us": two(floor),
            "crowd_ceiling_packets_per_second": (1e6 / own).round(),
            "crowd_packets_per_second": (listeners as f64 / interval.as_secs_f64()).round(),
            "crowd_delay_p50_ms": two(us(percentile(delays, 0.5)) / 1_000.0),
            "crowd_delay_p99_ms": two(p99_us / 1_000.0),
            "crowd_delay_allowed_ms": two(allowed_us / 1_000.0),
            // Where others had the cores the delay is theirs.
            "crowd_waited_for_cpu_ms": two(us(waited) / 1_000.0),
            "crowd_lost": lost,
        }),
        bars: vec![
            Bar::exactly("crowd_lost", lost as f64, 0.0),
            Bar::at_most("crowd_delay_p99_of_allowed", p99_us / allowed_us, 1.0),
        ],
    })
}

/// Has packets said one by one, on time; how long each took to receivers of a sample.
fn pace(speaker: &mut Speaker, listeners: &Sinks, interval: Duration) -> anyhow::Result<Vec<Duration>> {
    for sink in listeners.iter() {
        sink.socket.set_nonblocking(true)?;
    }
    for sink in listeners.iter().step_by(SAMPLE) {
        timestamps::enable(&sink.socket)?;
    }
    let (said, came) = std::thread::scope(|scope| {
        let said = scope.spawn(|| say(speaker, interval));
        let came = listen(listeners);
        (said.join(), came)
    });
    let said = said.map_err(|_| anyhow::anyhow!("the speaker panicked"))??;
    let came = came?;
    let delay = |(n, at): (usize, &Option<u64>)| Some(Duration::from_nanos(at.as_ref()?.saturating_sub(said[n])));
    let delays: Vec<_> = came.iter().flat_map(|times| times.iter().enumerate().filter_map(delay)).collect();
    // The kernel begins to mark packets a little after it was asked to.
    ensure!(delays.len() * 2 > came.len() * PACED, "most packets have no time");
    Ok(delays)
}

fn say(speaker: &mut Speaker, interval: Duration) -> anyhow::Result<Vec<u64>> {
    let begun = Instant::now();
    let mut said = Vec::with_capacity(PACED);
    for n in 0..PACED {
        let due = begun + interval * u32::try_from(n)?;
        pause(due.saturating_duration_since(Instant::now()));
        said.push(now_ns()?);
        speaker.say(&[7; PAYLOAD_BYTES])?;
    }
    Ok(said)
}

/// Reads all packets of all; when those of the sample came, in order.
fn listen(listeners: &Sinks) -> anyhow::Result<Vec<Vec<Option<u64>>>> {
    let mut buffer = [0; 2_048];
    let mut counts = vec![0; listeners.len()];
    let mut times = vec![Vec::with_capacity(PACED); listeners.len().div_ceil(SAMPLE)];
    let mut left = listeners.len() * PACED;
    let mut heard_at = Instant::now();
    while left > 0 {
        let left_before = left;
        for (n, sink) in listeners.iter().enumerate() {
            let is_sampled = n.is_multiple_of(SAMPLE);
            loop {
                let read = if is_sampled {
                    timestamps::receive(&sink.socket, &mut buffer)
                } else {
                    sink.socket.recv(&mut buffer).map(|length| (length, None))
                };
                match read {
                    Ok((_, at)) => {
                        counts[n] += 1;
                        left -= 1;
                        if is_sampled {
                            times[n / SAMPLE].push(at);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error).context("a receiver's socket"),
                }
            }
        }
        if left < left_before {
            heard_at = Instant::now();
        } else if heard_at.elapsed() > PATIENCE {
            let behind = counts.iter().filter(|count| **count < PACED).count();
            bail!("{left} packets to {behind} receivers are lost");
        }
        pause(LOOK);
    }
    Ok(times)
}

#[expect(clippy::disallowed_methods, reason = "speech has its times, and the kernel keeps what is not read yet")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

fn now_ns() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
    u64::try_from(now.as_nanos()).context("the clock")
}
