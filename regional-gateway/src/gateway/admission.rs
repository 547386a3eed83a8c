//! Who may connect: so many connections overall and from one address, and so many that are not through their handshake.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::GatewayConfig;

/// Counts the connections of a gateway.
pub struct Admission {
    /// All of them; who takes every permit waits until nobody is connected.
    places: Arc<Semaphore>,
    by_address: DashMap<AddressKey, Counts>,
    handshakes: AtomicUsize,
    max_handshakes: usize,
    max_of_address: Counts,
}

/// An address of IPv4, or the network of one of IPv6: whoever has one address there has 2^64.
type AddressKey = u64;

#[derive(Clone, Copy, Default)]
struct Counts {
    connections: usize,
    handshakes: usize,
}

/// Why somebody may not connect; the text is a label of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Full,
    AddressFull,
    Handshakes,
}

impl Refused {
    /// As counters name it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::Handshakes => "handshakes",
        }
    }
}

impl Admission {
    /// Nobody yet.
    pub fn new(config: &GatewayConfig) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::new(Semaphore::new(config.max_connections)),
            by_address: DashMap::new(),
            handshakes: AtomicUsize::new(0),
            max_handshakes: config.max_handshakes,
            max_of_address: Counts {
                connections: config.max_connections_per_address,
                handshakes: config.max_handshakes_per_address,
            },
        })
    }

    /// The places of all connections.
    pub const fn places(&self) -> &Arc<Semaphore> {
        &self.places
    }

    /// A place for a connection whose handshake begins.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Refused> {
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Refused::Full)?;
        // Counted first: the guard takes back whatever is not kept.
        self.handshakes.fetch_add(1, Ordering::AcqRel);
        let key = key(address);
        let counts = {
            let mut counts = self.by_address.entry(key).or_default();
            counts.connections += 1;
            counts.handshakes += 1;
            *counts
        };
        let admitted = Admitted { admission: Arc::clone(self), key, is_handshaking: true, _permit: permit };
        if counts.connections > self.max_of_address.connections {
            return Err(Refused::AddressFull);
        }
        let too_many = self.handshakes.load(Ordering::Acquire) > self.max_handshakes;
        if too_many || counts.handshakes > self.max_of_address.handshakes {
            return Err(Refused::Handshakes);
        }
        Ok(admitted)
    }
}

fn key(address: IpAddr) -> AddressKey {
    match address.to_canonical() {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    }
}

/// A connection's place; free again when this is dropped.
pub struct Admitted {
    admission: Arc<Admission>,
    key: AddressKey,
    is_handshaking: bool,
    _permit: OwnedSemaphorePermit,
}

impl Admitted {
    /// The handshake is done.
    pub fn opened(&mut self) {
        self.release(0);
    }

    fn release(&mut self, connections: usize) {
        let handshakes = usize::from(std::mem::take(&mut self.is_handshaking));
        self.admission.handshakes.fetch_sub(handshakes, Ordering::AcqRel);
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn admission(config: GatewayConfig) -> Arc<Admission> {
        Admission::new(&config)
    }

    #[test]
    fn an_address_has_so_many_and_others_have_theirs() {
        let admission = admission(GatewayConfig { max_connections_per_address: 2, ..GatewayConfig::default() });
        let held: Vec<_> = (0..2).map(|_| admission.admit(ADDRESS).unwrap()).collect();
        assert_eq!(admission.admit(ADDRESS).err(), Some(Refused::AddressFull));
        assert!(admission.admit("127.0.0.2".parse().unwrap()).is_ok());
        drop(held);
        assert!(admission.by_address.is_empty());
        assert!(admission.admit(ADDRESS).is_ok());
    }

    #[test]
    fn handshakes_are_few_and_connections_many() {
        let config = GatewayConfig { max_handshakes: 3, max_handshakes_per_address: 2, ..GatewayConfig::default() };
        let admission = admission(config);
        let mut held: Vec<_> = (0..2).map(|_| admission.admit(ADDRESS).unwrap()).collect();
        assert_eq!(admission.admit(ADDRESS).err(), Some(Refused::Handshakes));
        let other = admission.admit("::1".parse().unwrap()).unwrap();
        assert_eq!(admission.admit("2001:db8::1".parse().unwrap()).err(), Some(Refused::Handshakes), "all together");
        held.iter_mut().for_each(Admitted::opened);
        assert!(admission.admit(ADDRESS).is_ok());
        drop((held, other));
        assert_eq!((admission.handshakes.load(Ordering::Acquire), admission.by_address.len()), (0, 0));
    }

    #[test]
    fn a_network_counts_as_one_address() {
        assert_eq!(key("2001:db8::1".parse().unwrap()), key("2001:db8::ffff".parse().unwrap()));
        assert_ne!(key("2001:db8::1".parse().unwrap()), key("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(key("::ffff:127.0.0.1".parse().unwrap()), key(ADDRESS));
    }
}
