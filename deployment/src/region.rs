//! A region: nodes around one data centre of the database, and the points of presence near it.

use serde::{Deserialize, Serialize};

use crate::machines::Machines;
use crate::node::{Node, NodeNumber};
use crate::placement::Placement;
use crate::pop::Pop;
use crate::voice_node::VoiceNode;

/// A region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Unique; what calls, hints and metrics name it by.
    pub name: String,
    /// Its data centre in the database's topology; it cannot be changed later.
    pub data_center: String,
    /// Where it is, for the order in which the others stand in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coordinates: Option<Coordinates>,
    /// Which clients are sent to it first.
    #[serde(default)]
    pub placement: Placement,
    /// NATS servers of the region, `nats://host:port`; needed when the bus is NATS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nats_urls: Vec<String>,
    /// At least one.
    pub nodes: Vec<Node>,
    /// Numbers of nodes that were taken out: what was made there stays at home in this region.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retired_numbers: Vec<NodeNumber>,
    /// None where clients of this region use those of others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pops: Vec<Pop>,
    /// None where its members speak at those of other regions, if at all. Regions find theirs by the bus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub voice_nodes: Vec<VoiceNode>,
    /// What Terraform rents; needed by nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<Machines>,
}

/// A place on earth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordinates {
    /// Degrees north of the equator.
    pub latitude: f64,
    /// Degrees east of Greenwich.
    pub longitude: f64,
}

impl Coordinates {
    /// The way over ground.
    fn distance_km(self, other: Self) -> f64 {
        const EARTH_RADIUS_KM: f64 = 6_371.0;
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let (north, east) = (to - from, (other.longitude - self.longitude).to_radians());
        // Haversine: stays exact for places that are near each other.
        let square = (north / 2.0).sin().powi(2) + from.cos() * to.cos() * (east / 2.0).sin().powi(2);
        2.0 * EARTH_RADIUS_KM * square.sqrt().min(1.0).asin()
    }
}

impl Region {
    /// Every number with which ids are, or were, made here.
    pub fn numbers(&self) -> impl Iterator<Item = NodeNumber> + '_ {
        self.nodes.iter().map(|node| node.number).chain(self.retired_numbers.iter().copied())
    }

    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The way over ground; endless where a place is not known.
    pub(crate) fn distance_km(&self, other: &Self) -> f64 {
        match (self.coordinates, other.coordinates) {
            (Some(own), Some(other)) => own.distance_km(other),
            _ => f64::INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_on_a_globe() {
        let place = |latitude, longitude| Coordinates { latitude, longitude };
        let (falkenstein, ashburn, singapore) = (place(50.48, 12.37), place(39.04, -77.49), place(1.35, 103.82));
        assert!((6_700.0..7_000.0).contains(&falkenstein.distance_km(ashburn)));
        assert!((9_900.0..10_300.0).contains(&falkenstein.distance_km(singapore)));
        // Over the date line, not around the earth.
        assert!(place(0.0, 179.0).distance_km(place(0.0, -179.0)) < 250.0);
        assert_eq!(falkenstein.distance_km(falkenstein), 0.0);
    }
}
