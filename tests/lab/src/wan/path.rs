//! What decides about packets: where they go, how long that takes, and whether they arrive.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::milliseconds;

/// A network of 24 bits: `10.89.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network([u8; 3]);

impl Network {
    /// The network of these first three numbers.
    pub fn new(first: u8, second: u8, third: u8) -> Self {
        Self([first, second, third])
    }

    /// Its address with this last number.
    pub fn host(self, last: u8) -> Ipv4Addr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, last)
    }

    /// Whether an address is in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.octets()[..3] == self.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/24", self.host(0))
    }
}

impl FromStr for Network {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let address = text.strip_suffix("/24").and_then(|address| address.parse::<Ipv4Addr>().ok());
        let [a, b, c, d] = address.with_context(|| format!("{text:?} is no network such as 10.89.1.0/24"))?.octets();
        ensure!(d == 0, "{text:?} has bits behind its prefix");
        Ok(Self([a, b, c]))
    }
}

impl TryFrom<String> for Network {
    type Error = anyhow::Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

/// Where an IPv4 packet goes; none for anything else.
pub fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    if packet.first()? >> 4 != 4 {
        return None;
    }
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    Some(address.into())
}

/// The way of packets from one region to another.
#[derive(Debug)]
pub struct Path {
    delay: Duration,
    loss: f64,
    random: fastrand::Rng,
}

impl Path {
    /// Of each pair of regions its own packets get lost; the same seed loses the same ones again.
    pub fn new(delay_ms: f64, loss_percent: f64, seed: u64, from: usize, to: usize) -> Self {
        let pair = (from as u64) << 32 | to as u64;
        let random = fastrand::Rng::with_seed(seed ^ pair.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { delay: milliseconds(delay_ms), loss: loss_percent / 100.0, random }
    }

    /// How long the next packet takes; none where it gets lost.
    pub fn next_delay(&mut self) -> Option<Duration> {
        (self.random.f64() >= self.loss).then_some(self.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_go_where_their_header_says() {
        let mut packet = vec![0; 40];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&[10, 89, 2, 60]);
        let to = destination(&packet).unwrap();
        assert!(Network::new(10, 89, 2).contains(to) && !Network::new(10, 89, 1).contains(to));
        // Torn, empty, and of another protocol.
        assert_eq!(destination(&packet[..19]), None);
        assert_eq!(destination(&[]), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
    }

    #[test]
    fn as_many_get_lost_as_was_asked_for_and_always_the_same() {
        let fates = |seed, from, to| {
            let mut path = Path::new(40.0, 2.0, seed, from, to);
            (0..100_000).map(|_| path.next_delay()).collect::<Vec<_>>()
        };
        let first = fates(1, 0, 1);
        let lost = first.iter().filter(|fate| fate.is_none()).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!(first.iter().flatten().all(|delay| *delay == Duration::from_millis(40)));
        assert_eq!(first, fates(1, 0, 1));
        assert_ne!(first, fates(2, 0, 1));
        assert_ne!(first, fates(1, 1, 0));
        let mut none = Path::new(0.0, 0.0, 1, 0, 1);
        assert!((0..1_000).all(|_| none.next_delay() == Some(Duration::ZERO)));
        let mut all = Path::new(0.0, 100.0, 1, 0, 1);
        assert!((0..1_000).all(|_| all.next_delay().is_none()));
    }

    #[test]
    fn networks_are_read_and_written() {
        let network: Network = "10.89.1.0/24".parse().unwrap();
        assert_eq!(network, Network::new(10, 89, 1));
        assert_eq!(network.to_string(), "10.89.1.0/24");
        for text in ["", "10.89.1.0", "10.89.1.0/16", "10.89.1.1/24", "10.89.1/24", "10.89.256.0/24"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
