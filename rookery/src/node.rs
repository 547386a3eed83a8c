//! What a data folder is to a cluster: one node, and one process at a time.
//!
//! The store itself is elsewhere, so nothing else stops a second process on the same folder, and nothing else tells that
//! a store in the folder is an old one.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context as _, bail};
use rookery_core_db::CqlConfig;
use serde::{Deserialize, Serialize};

/// Locked while a process runs on the folder.
const LOCK: &str = "node.lock";
/// Whose data it is.
const NODE: &str = "node.json";

/// The folder's node, for as long as this lives.
#[derive(Debug)]
pub struct Node {
    holder: String,
    /// Unlocked when closed, also by `kill -9`.
    _lock: File,
}

#[derive(Debug, Serialize, Deserialize)]
struct NodeFile {
    holder: String,
    contact_points: Vec<String>,
    keyspace: String,
}

impl Node {
    /// Takes the folder for a store in a cluster.
    pub fn take(data_dir: &Path, cluster: &CqlConfig) -> anyhow::Result<Self> {
        let path = data_dir.join(LOCK);
        let lock = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another process runs on the data folder {}: stop it, or use another folder", data_dir.display())
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        let holder = match read(data_dir)? {
            Some(node) => node.holder,
            None => format!("{:032x}", rand::random::<u128>()),
        };
        let contact_points = cluster.contact_points.clone();
        let node = NodeFile { holder: holder.clone(), contact_points, keyspace: cluster.keyspace.clone() };
        rookery_service::ready_file::write(&data_dir.join(NODE), &node)?;
        Ok(Self { holder, _lock: lock })
    }

    /// The cluster as this node opens it: the lease that it had when it was killed is its own again.
    pub fn on(&self, cluster: &CqlConfig) -> CqlConfig {
        CqlConfig { holder: self.holder.clone(), ..cluster.clone() }
    }
}

/// The folder's store is in the folder from now on.
pub fn forget(data_dir: &Path) -> anyhow::Result<()> {
    let path = data_dir.join(NODE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Refuses a folder whose store is in a cluster: what lies in the folder may be from before.
pub fn require_embedded(data_dir: &Path) -> anyhow::Result<()> {
    let Some(NodeFile { contact_points, keyspace, .. }) = read(data_dir)? else { return Ok(()) };
    bail!(
        "the store of {} is in the cluster at {}: name it by --cql {} --set store.cql.keyspace={keyspace}, or by --config",
        data_dir.display(),
        contact_points.join(", "),
        contact_points.join(",")
    )
}

fn read(data_dir: &Path) -> anyhow::Result<Option<NodeFile>> {
    let path = data_dir.join(NODE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let node = serde_json::from_slice(&bytes);
    node.with_context(|| format!("{} is damaged: remove it", path.display())).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(keyspace: &str) -> CqlConfig {
        CqlConfig { keyspace: keyspace.into(), ..CqlConfig::new(vec!["one".into(), "two:19042".into()]) }
    }

    #[test]
    fn a_folder_is_one_node_for_one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = Node::take(folder.path(), &cluster("mine")).unwrap();
        let refused = Node::take(folder.path(), &cluster("mine")).unwrap_err().to_string();
        assert!(refused.contains("another process"), "{refused}");
        let holder = first.on(&cluster("mine")).holder;
        drop(first);
        let second = Node::take(folder.path(), &cluster("mine")).unwrap();
        assert_eq!(second.on(&cluster("mine")).holder, holder);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Node::take(other.path(), &cluster("mine")).unwrap().on(&cluster("mine")).holder, holder);
    }

    #[test]
    fn a_folder_says_where_its_store_is() {
        let folder = tempfile::tempdir().unwrap();
        require_embedded(folder.path()).unwrap();
        drop(Node::take(folder.path(), &cluster("mine")).unwrap());
        let refused = require_embedded(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("--cql one,two:19042 --set store.cql.keyspace=mine"), "{refused}");
        forget(folder.path()).unwrap();
        forget(folder.path()).unwrap();
        require_embedded(folder.path()).unwrap();
        std::fs::write(folder.path().join(NODE), "{").unwrap();
        assert!(require_embedded(folder.path()).unwrap_err().to_string().contains("node.json is damaged"));
    }
}
