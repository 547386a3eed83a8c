//! A node that somebody else starts, somewhere else.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::cluster::{Lifetime, Starts};
use crate::node::{LocalNode, Membership};
use crate::runtime::{Archive, Runtime};
use crate::topology::{Node, only_token};

/// Where a node that is a whole cluster stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its data centre.
    pub dc: String,
    /// Its rack.
    pub rack: String,
    /// Where it answers; an address of its own, which need not be this machine's.
    pub address: Ipv4Addr,
}

/// Writes the settings of a cluster of one node into a folder; the command that starts it, which is not run.
pub fn standalone(folder: &Path, place: Place, runtime: &Runtime) -> Result<Command> {
    let Place { dc, rack, address } = place;
    let node =
        Node { name: "node".into(), dc, rack, address, is_seed: true, token: only_token(), network_namespace: None };
    let local = LocalNode::new(folder, node);
    local.write_settings(Membership { cluster_name: "standalone", seeds: &[address] })?;
    local.command(runtime, Lifetime::Detached, Starts::Again, Archive::Use)
}
