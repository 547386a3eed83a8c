//! A cluster that lives as long as a value does.

use std::ops::Deref;
use std::path::Path;

use anyhow::Result;

use crate::cluster::{Cluster, Lifetime, Starts};
use crate::runtime::Runtime;
use crate::subnet::{Reservation, Subnet};
use crate::topology::Topology;

/// A cluster on a free subnet, empty at first; ended and removed when dropped.
#[derive(Debug)]
pub struct TemporaryCluster {
    cluster: Cluster,
    /// Nodes may be down for a while: their addresses stay theirs.
    _reservation: Reservation,
}

impl TemporaryCluster {
    /// Brings one up in a folder. What an earlier one left there, its processes too, is removed first.
    pub fn start(
        folder: &Path,
        dcs: u8,
        nodes_per_dc: u8,
        lifetime: Lifetime,
        starts: Starts,
        runtime: &Runtime,
    ) -> Result<Self> {
        if let Some(left) = Cluster::open(folder, runtime)? {
            left.delete()?;
        }
        let topology = |subnet| Topology::new(dcs, nodes_per_dc, subnet);
        let (subnet, reservation) = Subnet::find_free(|subnet| Ok(topology(subnet)?.nodes()))?;
        let cluster = Cluster::create(folder, topology(subnet)?, runtime)?.with_lifetime(lifetime).with_starts(starts);
        // Owned from here on: what did start ends when the rest does not.
        let temporary = Self { cluster, _reservation: reservation };
        temporary.up()?;
        Ok(temporary)
    }
}

impl Deref for TemporaryCluster {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for TemporaryCluster {
    fn drop(&mut self) {
        // Nobody to tell here. What is left is found and removed by the next one in the folder.
        let _ = self.cluster.delete();
    }
}
