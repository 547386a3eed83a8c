//! What the commands print.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use rookery_test_cluster::{CQL_PORT, Cluster, Node, RingEntry, State};
use serde_json::{Value, json};

/// Prints where a client finds each node.
pub fn nodes(cluster: &Cluster, as_json: bool) -> Result<()> {
    let nodes = cluster.nodes()?;
    if as_json {
        return print(&json!({ "nodes": nodes.iter().map(|(node, state)| object(node, *state)).collect::<Vec<_>>() }));
    }
    let mut dcs: Vec<&str> = nodes.iter().map(|(node, _)| node.dc.as_str()).collect();
    dcs.dedup();
    table(&nodes, &[])?;
    print(&format_args!("contact points: {}", super::contact_points(cluster)))?;
    print(&format_args!("data centres: {}", dcs.join(", ")))
}

/// Prints each node with its process and its place in the ring.
pub fn status(cluster: &Cluster, as_json: bool) -> Result<()> {
    let nodes = cluster.nodes()?;
    let viewer = nodes.iter().find(|(_, state)| state.is_running());
    let ring = viewer.map_or(Ok(Vec::new()), |(viewer, _)| cluster.ring(&viewer.name))?;
    if !as_json {
        return table(&nodes, &ring);
    }
    let objects: Vec<Value> = nodes
        .iter()
        .map(|(node, state)| {
            let mut object = object(node, *state);
            object["ring"] = json!(place(node, &ring));
            object
        })
        .collect();
    print(&json!({ "nodes": objects }))
}

fn object(node: &Node, state: State) -> Value {
    json!({
        "name": node.name,
        "address": node.address.to_string(),
        "port": CQL_PORT,
        "dc": node.dc,
        "rack": node.rack,
        "pid": state.pid(),
    })
}

fn table(nodes: &[(Node, State)], ring: &[RingEntry]) -> Result<()> {
    for (node, state) in nodes {
        let process = state.pid().map_or_else(|| "stopped".to_owned(), |pid| format!("pid {pid}"));
        let place = place(node, ring).unwrap_or("");
        let address = node.cql();
        print(&format_args!("{:<8} {:<6} {:<4} {address:<20} {process:<12} {place}", node.name, node.dc, node.rack))?;
    }
    Ok(())
}

fn place<'a>(node: &Node, ring: &'a [RingEntry]) -> Option<&'a str> {
    ring.iter().find(|entry| entry.address == node.address).map(|entry| entry.state.as_str())
}

fn print(line: &dyn std::fmt::Display) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("standard output is closed")
}
