//! Loopback addresses that a deployment keeps while its processes come and go.
//!
//! Ports that the kernel hands out are not kept: while a process is down its port may become that of a client's
//! connection. So a deployment has a subnet of loopback addresses to itself, by the same reservation as the database
//! clusters of `rookery-test-cluster`.

use std::net::TcpListener;

use anyhow::{Result, bail};

/// Those of subnets that database clusters take last.
const HIGHEST: u8 = 254;
const LOWEST: u8 = 128;
/// Where whoever has a subnet listens, as in `rookery-test-cluster`.
const RESERVATION: (u8, u16) = (254, 7000);
/// The first address of the first region; database nodes are below.
const FIRST_HOST: usize = 100;
const HOSTS_PER_REGION: usize = 10;
const POPS_BEHIND: usize = 5;
const BUS_BEHIND: usize = 9;
/// Beyond, addresses would run into the reservation's.
pub const REGIONS_MAX: usize = 15;

/// Addresses by role, region and index.
#[derive(Debug)]
pub struct Places {
    /// `127.0.254`
    subnet: String,
    _reservation: Option<TcpListener>,
}

impl Places {
    /// A subnet of its own.
    pub fn find() -> Result<Self> {
        for third in (LOWEST..=HIGHEST).rev() {
            let subnet = format!("127.0.{third}");
            if let Ok(listener) = TcpListener::bind((format!("{subnet}.{}", RESERVATION.0), RESERVATION.1)) {
                return Ok(Self { subnet, _reservation: Some(listener) });
            }
        }
        bail!("every subnet of 127.0.{LOWEST} to 127.0.{HIGHEST} is somebody's")
    }

    /// The subnet that a database cluster has reserved.
    pub fn beside(subnet: String) -> Self {
        Self { subnet, _reservation: None }
    }

    fn host(&self, region: usize, behind: usize) -> String {
        format!("{}.{}", self.subnet, FIRST_HOST + region * HOSTS_PER_REGION + behind)
    }

    /// The address of a node.
    pub fn node(&self, region: usize, index: usize) -> String {
        self.host(region, index)
    }

    /// The address of a point of presence.
    pub fn pop(&self, region: usize, index: usize) -> String {
        self.host(region, POPS_BEHIND + index)
    }

    /// The address of a region's NATS server.
    pub fn bus(&self, region: usize) -> String {
        self.host(region, BUS_BEHIND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_places_are_one_and_none_is_the_reservation() {
        let places = Places::beside("127.0.9".into());
        let mut all = Vec::new();
        for region in 0..REGIONS_MAX {
            all.extend((0..POPS_BEHIND).map(|index| places.node(region, index)));
            all.extend((0..BUS_BEHIND - POPS_BEHIND).map(|index| places.pop(region, index)));
            all.push(places.bus(region));
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(!all.contains(&format!("127.0.9.{}", RESERVATION.0)));
    }

    #[test]
    fn two_deployments_have_two_subnets() {
        let (one, other) = (Places::find().unwrap(), Places::find().unwrap());
        assert_ne!(one.subnet, other.subnet);
    }
}
