//! Cassandra where ScyllaDB would be: at the address, and in the data centre, that ScyllaDB's rendered files name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use rookery_test_cluster::{Place, standalone};

use super::lab::Machine;
use crate::cql;
use crate::shell::say;

/// Under the name that the repair's unit asks for.
const UNIT: &str = "scylla-server.service";

/// What it needs to see of this machine.
pub fn paths() -> Result<Vec<PathBuf>> {
    Ok(vec![cql::jars::folder()?.canonicalize().context("Cassandra's jars are not there")?])
}

/// Starts it, and does not wait.
pub fn start(machine: &Machine, scratch: &Path, rendered: &Path) -> Result<()> {
    say!("{}: ScyllaDB is in no archive that tests install from; Cassandra starts in its place", machine.name);
    let read = |name: &str| fs::read_to_string(rendered.join("etc/scylla").join(name)).with_context(|| name.to_owned());
    let (settings, place) = (read("scylla.yaml")?, read("cassandra-rackdc.properties")?);
    let value = |text: &str, key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.map(|value| value.trim().to_owned()).with_context(|| format!("{}: no {key}", machine.name))
    };
    let address = value(&settings, "listen_address:")?;
    ensure!(address == value(&settings, "rpc_address:")?, "{}: clients are told another address", machine.name);
    let place = Place { dc: value(&place, "dc=")?, rack: value(&place, "rack=")?, address: address.parse()? };
    let command = standalone(&scratch.join("cassandra"), place, &cql::runtime()?)?;
    let mut script = String::from("exec");
    for word in [command.get_program()].into_iter().chain(command.get_args()) {
        let word = word.to_str().context("a path of Cassandra's is not UTF-8")?;
        script.push_str(&format!(" '{}'", word.replace('\'', r"'\''")));
    }
    let file = scratch.join("cassandra.sh");
    fs::write(&file, script)?;
    let file = file.to_str().context("the path is not UTF-8")?;
    // No transient unit: `systemd-analyze verify` looks for files.
    let unit =
        format!("[Unit]\nDescription=Cassandra in the place of ScyllaDB\n[Service]\nExecStart=/bin/sh \"{file}\"\n");
    machine.write(&format!("/etc/systemd/system/{UNIT}"), "0644", "root", unit.as_bytes())?;
    machine.run("systemctl", &["daemon-reload"])?;
    machine.run_or_explain("systemctl", &["start", UNIT]).map(drop)
}

/// Waits until it answers clients.
pub fn wait(machine: &Machine, address: &str) -> Result<()> {
    let script = format!("bash -c 'exec 3<>/dev/tcp/{address}/9042' 2>/dev/null");
    machine.wait_for("the database does not answer", &script, UNIT).map(drop)
}
