//! How a lab is, all of it at once.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::health;
use crate::lab::Lab;
use crate::network::{WanBytes, connect_time, wan_bytes};
use crate::plan::{Mode, Options, Role};
use crate::state::{ProcessState, RegionState, State};
use crate::wan::milliseconds;

/// Beyond this, and some round trips, a region counts as out of reach: two packets in a row may get lost.
const REACH_LIMIT: Duration = Duration::from_secs(4);

/// What `lab status --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Whether every process is well and every region reaches every other.
    pub healthy: bool,
    pub mode: Mode,
    pub options: Options,
    pub regions: Vec<RegionStatus>,
    pub processes: Vec<ProcessStatus>,
}

/// A region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RegionStatus {
    pub name: String,
    pub namespace: Option<String>,
    pub cut_from: Vec<String>,
    /// How long the bus of each other region takes to take a connection; null where it does not.
    pub round_trip_ms: BTreeMap<String, Option<f64>>,
    /// What it sent to other regions and got from them since the lab is up, or since what carries packets was started;
    /// null on loopback addresses.
    pub wan_bytes: Option<WanBytes>,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    pub name: String,
    pub role: Role,
    pub region: Option<String>,
    pub node: String,
    /// Null where it does not run.
    pub pid: Option<u32>,
    pub healthy: bool,
    /// Whether somebody broke it.
    pub broken: bool,
    pub detail: String,
    pub addresses: BTreeMap<String, String>,
}

impl Lab {
    /// Asks everything how it is.
    pub fn status(&mut self) -> Result<Status> {
        self.reload()?;
        let state = &self.state;
        let (regions, processes) = thread::scope(|scope| {
            let regions: Vec<_> = state.regions.iter().map(|it| scope.spawn(move || region(state, it))).collect();
            let processes: Vec<_> = state.processes.iter().map(|it| scope.spawn(move || process(state, it))).collect();
            (
                regions.into_iter().filter_map(|it| it.join().ok()).collect::<Vec<_>>(),
                processes.into_iter().filter_map(|it| it.join().ok()).collect::<Result<Vec<_>>>(),
            )
        });
        let processes = processes?;
        let reached = regions.iter().all(|region| region.round_trip_ms.values().all(Option::is_some));
        let healthy = reached && processes.iter().all(|process| process.healthy);
        Ok(Status { healthy, mode: state.mode, options: state.options.clone(), regions, processes })
    }
}

fn region(state: &State, region: &RegionState) -> RegionStatus {
    let others = state.regions.iter().filter(|other| other.name != region.name);
    let round_trip_ms = others.map(|other| (other.name.clone(), round_trip_ms(state, region, &other.name)));
    RegionStatus {
        name: region.name.clone(),
        namespace: region.namespace.clone(),
        cut_from: region.cut_from.clone(),
        round_trip_ms: round_trip_ms.collect(),
        wan_bytes: region.namespace.as_deref().and_then(|namespace| wan_bytes(namespace).ok().flatten()),
    }
}

fn round_trip_ms(state: &State, from: &RegionState, to: &str) -> Option<f64> {
    let bus = state.of_region(to).find(|process| process.role == Role::Bus)?;
    let limit = REACH_LIMIT + milliseconds(state.options.delay_ms) * 4;
    let time = connect_time(from.namespace.as_deref(), bus.address("nats").ok()?, limit).ok()?;
    Some((time.as_secs_f64() * 10_000.0).round() / 10.0)
}

fn process(state: &State, process: &ProcessState) -> Result<ProcessStatus> {
    let pid = process.running()?.map(|running| running.pid());
    let health = match pid {
        None => Err("does not run".to_owned()),
        Some(_) => health::check(process, state.gateways()).map_err(|error| format!("{error:#}")),
    };
    let healthy = health.is_ok();
    let (Ok(detail) | Err(detail)) = health;
    Ok(ProcessStatus {
        name: process.name.clone(),
        role: process.role,
        region: process.region.clone(),
        node: process.node.clone(),
        pid,
        healthy,
        broken: process.broken,
        detail,
        addresses: process.addresses.clone(),
    })
}
