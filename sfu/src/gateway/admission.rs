//! Who may connect: so many connections overall and from one address, and so many that are not through their handshakes.

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::SfuConfig;
use crate::events::Connections;

/// Counts the connections of a node.
pub(crate) struct Admission {
    all: Counters,
    by_address: DashMap<u64, Counts>,
    max: Counts,
    max_of_address: Counts,
}

#[derive(Default)]
struct Counters {
    connections: AtomicUsize,
    handshakes: AtomicUsize,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    connections: usize,
    handshakes: usize,
}

impl Admission {
    /// Nobody yet.
    pub(crate) fn new(config: &SfuConfig) -> Arc<Self> {
        Arc::new(Self {
            all: Counters::default(),
            by_address: DashMap::new(),
            max: Counts { connections: config.connections_max, handshakes: config.handshakes_max },
            max_of_address: Counts {
                connections: config.connections_per_address_max,
                handshakes: config.handshakes_per_address_max,
            },
        })
    }

    /// A place for a connection whose handshakes begin, or why there is none.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, &'static str> {
        // Counted first: the guard takes back whatever is not kept.
        let connections = self.all.connections.fetch_add(1, Ordering::AcqRel) + 1;
        let handshakes = self.all.handshakes.fetch_add(1, Ordering::AcqRel) + 1;
        let key = key(address);
        let of_address = {
            let mut counts = self.by_address.entry(key).or_default();
            counts.connections += 1;
            counts.handshakes += 1;
            *counts
        };
        let admitted = Admitted { admission: Arc::clone(self), key, is_handshaking: true };
        Connections { change: 1.0 }.emit();
        if connections > self.max.connections {
            return Err("full");
        }
        if of_address.connections > self.max_of_address.connections {
            return Err("address_full");
        }
        if handshakes > self.max.handshakes || of_address.handshakes > self.max_of_address.handshakes {
            return Err("handshakes");
        }
        Ok(admitted)
    }
}

/// An address of IPv4, or the network of one of IPv6: whoever has one address there has 2^64.
fn key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    }
}

/// A connection's place; free again when this is dropped.
pub(crate) struct Admitted {
    admission: Arc<Admission>,
    key: u64,
    is_handshaking: bool,
}

impl Admitted {
    /// The handshakes are done.
    pub(crate) fn opened(&mut self) {
        self.release(0);
    }

    fn release(&mut self, connections: usize) {
        let handshakes = usize::from(std::mem::take(&mut self.is_handshaking));
        self.admission.all.handshakes.fetch_sub(handshakes, Ordering::AcqRel);
        self.admission.all.connections.fetch_sub(connections, Ordering::AcqRel);
        let Entry::Occupied(mut counts) = self.admission.by_address.entry(self.key) else { return };
        counts.get_mut().handshakes -= handshakes;
        counts.get_mut().connections -= connections;
        if counts.get().connections == 0 {
            counts.remove();
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.release(1);
        Connections { change: -1.0 }.emit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn an_address_has_so_many_and_others_have_theirs() {
        let admission = Admission::new(&SfuConfig { connections_per_address_max: 2, ..SfuConfig::default() });
        let held: Vec<_> = (0..2).map(|_| admission.admit(ADDRESS).unwrap()).collect();
        assert_eq!(admission.admit(ADDRESS).err(), Some("address_full"));
        assert!(admission.admit("127.0.0.2".parse().unwrap()).is_ok());
        drop(held);
        assert!(admission.by_address.is_empty());
        assert!(admission.admit(ADDRESS).is_ok());
    }

    #[test]
    fn handshakes_are_few_and_connections_many() {
        let config =
            SfuConfig { handshakes_max: 3, handshakes_per_address_max: 2, connections_max: 4, ..SfuConfig::default() };
        let admission = Admission::new(&config);
        let mut held: Vec<_> = (0..2).map(|_| admission.admit(ADDRESS).unwrap()).collect();
        assert_eq!(admission.admit(ADDRESS).err(), Some("handshakes"));
        held.iter_mut().for_each(Admitted::opened);
        held.extend((0..2).map(|_| admission.admit(ADDRESS).unwrap()));
        assert_eq!(admission.admit(ADDRESS).err(), Some("full"));
        drop(held);
        assert_eq!(admission.all.connections.load(Ordering::Acquire), 0);
        assert_eq!(admission.all.handshakes.load(Ordering::Acquire), 0);
    }

    #[test]
    fn a_network_counts_as_one_address() {
        assert_eq!(key("2001:db8::1".parse().unwrap()), key("2001:db8::ffff".parse().unwrap()));
        assert_ne!(key("2001:db8::1".parse().unwrap()), key("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(key("::ffff:127.0.0.1".parse().unwrap()), key(ADDRESS));
    }
}
