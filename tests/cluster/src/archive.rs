//! Class archives: what Java has read and checked of the jars, kept so that the next start need not.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cluster::{Cluster, Lifetime};
use crate::runtime::{Archive, Program, Runtime};
use crate::subnet::Subnet;
use crate::topology::Topology;

impl Runtime {
    /// Whether the archives have been made for this Java.
    pub fn has_archives(&self) -> bool {
        [Program::Node, Program::Nodetool].into_iter().all(|program| self.archive(program).is_file())
    }

    /// Makes the archives, once for all clusters of this machine: runs a node of a throw-away cluster up and down.
    pub fn make_archives(&self) -> Result<()> {
        let lock = File::create(self.folder.join("archives.lock")).context("archives.lock could not be made")?;
        lock.lock().context("archives.lock cannot be locked")?;
        if self.has_archives() {
            return Ok(());
        }
        let folder = tempfile::Builder::new().prefix("archives-").tempdir_in(&self.folder);
        let folder = folder.with_context(|| format!("no folder could be made in {}", self.folder.display()))?;
        let one_node = |subnet| Topology::new(1, 1, subnet);
        let (subnet, _reservation) = Subnet::find_free(|subnet| Ok(one_node(subnet)?.nodes()))?;
        let cluster = Cluster::create(&folder.path().join("cluster"), one_node(subnet)?, self)?
            .with_lifetime(Lifetime::OfStartingThread);
        let trained = self.train(&cluster, folder.path());
        // Whatever happened, nothing of it stays.
        cluster.delete()?;
        trained
    }

    fn train(&self, cluster: &Cluster, folder: &Path) -> Result<()> {
        const NODE: &str = "dc1-1";
        let (node, nodetool) = (folder.join("node.jsa"), folder.join("nodetool.jsa"));
        cluster.start_training(NODE, &node)?;
        let status = cluster.nodetool_with(NODE, Archive::Make(&nodetool))?.arg("status").output();
        let status = status.context("nodetool could not be started")?;
        anyhow::ensure!(status.status.success(), "nodetool failed: {}", String::from_utf8_lossy(&status.stderr));
        // The archive is written on the way out.
        cluster.stop(NODE)?;
        for (made, program) in [(node, Program::Node), (nodetool, Program::Nodetool)] {
            let place = self.archive(program);
            std::fs::rename(&made, &place).with_context(|| format!("Java left no archive in {}", made.display()))?;
        }
        Ok(())
    }
}
