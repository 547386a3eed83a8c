//! The wide-area network between the lab's regions: packets take their time, and a few get lost.
//!
//! The kernel's own means for that (`netem`) is missing from many kernels, so a program of the lab, `rookery-wan`,
//! carries the packets. Each region's network namespace has a TUN device `wan0` to which the other regions' networks
//! are routed; the program reads packets there, holds them, and writes them to the device of the region that they are
//! for. It sees IP packets, so TCP, UDP and QUIC are held alike.

mod path;
mod tun;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

pub use path::{Network, Path, destination};

/// What the device is called in each namespace.
pub const DEVICE: &str = "wan0";
/// The largest packet; as on the devices.
const PACKET_MAX_BYTES: usize = 1500;
/// Packets on their way between two regions; beyond, they are lost as in a full router. 100 Mbit/s over 300 ms.
const IN_FLIGHT_MAX: usize = 4_096;

/// What `rookery-wan` is told, as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WanConfig {
    /// How long a packet takes from one region to another.
    pub delay_ms: f64,
    /// How many of a hundred packets get lost on the way.
    pub loss_percent: f64,
    /// Which they are.
    pub seed: u64,
    /// The regions.
    pub ends: Vec<WanEnd>,
    /// Written once packets are carried.
    pub ready_file: PathBuf,
}

/// One region's end of the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WanEnd {
    /// Its network namespace.
    pub namespace: String,
    /// Its addresses.
    pub network: Network,
}

/// A packet and when it arrives.
struct Held {
    due: Instant,
    bytes: Vec<u8>,
}

/// Makes the devices and carries packets until the process ends. The devices end with it.
pub fn run(config: &WanConfig) -> Result<()> {
    let devices: Vec<Arc<File>> =
        config.ends.iter().map(|end| tun::open(&end.namespace).map(Arc::new)).collect::<Result<_>>()?;
    let mut readers = Vec::new();
    for (from, device) in devices.iter().enumerate() {
        let mut ways = Vec::new();
        for (to, end) in config.ends.iter().enumerate().filter(|(to, _)| *to != from) {
            let path = Path::new(config.delay_ms, config.loss_percent, config.seed, from, to);
            let (sender, receiver) = sync_channel(IN_FLIGHT_MAX);
            let target = Arc::clone(devices.get(to).context("each end has a device")?);
            thread::spawn(move || deliver(&receiver, &target));
            ways.push(Way { network: end.network, path, sender });
        }
        let device = Arc::clone(device);
        readers.push(thread::spawn(move || carry(&device, &mut ways)));
    }
    std::fs::write(&config.ready_file, "ready\n")
        .with_context(|| format!("{} cannot be written", config.ready_file.display()))?;
    for reader in readers {
        reader.join().ok().context("a reader panicked")??;
    }
    Ok(())
}

/// The way from one region to another.
struct Way {
    network: Network,
    path: Path,
    sender: SyncSender<Held>,
}

/// Takes what a region sends and puts it on its way.
fn carry(device: &File, ways: &mut [Way]) -> Result<()> {
    let mut packet = [0; PACKET_MAX_BYTES];
    loop {
        let length = (&*device).read(&mut packet).context("a device cannot be read")?;
        let bytes = packet.get(..length).unwrap_or_default();
        // Packets of IPv6, which the kernel sends by itself when a device comes up, lead nowhere here.
        let Some(to) = destination(bytes) else { continue };
        let Some(way) = ways.iter_mut().find(|way| way.network.contains(to)) else { continue };
        let Some(delay) = way.path.next_delay() else { continue };
        match way.sender.try_send(Held { due: Instant::now() + delay, bytes: bytes.to_vec() }) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => {
                anyhow::bail!("packets to {} are not delivered any more", way.network)
            }
        }
    }
}

/// Hands packets over when they are due. The delay is always the same, so they are due in the order in which they came.
fn deliver(receiver: &Receiver<Held>, device: &File) {
    for Held { due, bytes } in receiver {
        wait_until(due);
        // A device that is down takes nothing: lost, as on any network.
        let _ = (&*device).write(&bytes);
    }
}

fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        // Nobody unparks this thread: it waits for the time, which is what a wire does.
        thread::park_timeout(left);
    }
}

/// A time of a configuration, in milliseconds.
pub(crate) fn milliseconds(ms: f64) -> Duration {
    Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
}
