//! How each process is.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::http;
use crate::plan::{DOMAIN, Role};
use crate::state::ProcessState;

/// What a process says of itself; an error where it is not well. `gateways` is how many a bus has to other regions.
pub(crate) fn check(process: &ProcessState, gateways: usize) -> Result<String> {
    match process.role {
        Role::Database => http::cql_answers(process.address("cql")?).map(|()| "takes clients".into()),
        Role::Bus => bus(process, gateways),
        Role::Region | Role::Voice | Role::Pop => ready(process.address("operator")?, "/readyz"),
        Role::Relay => http::stun_answers(process.address("turn")?).map(|()| "answers".into()),
        Role::GeoDns => {
            let addresses = http::dns_addresses(process.address("dns")?, DOMAIN)?;
            ensure!(!addresses.is_empty(), "it knows no point of presence");
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            Ok(format!("sends to {}", shown.join(", ")))
        }
        Role::Observability => ready(process.address("prometheus")?, "/-/ready"),
        Role::Wan => {
            let is_ready = process.ready_file.as_ref().is_some_and(|file| file.exists());
            ensure!(is_ready, "it carries no packets yet");
            Ok("carries packets".into())
        }
    }
}

fn ready(address: SocketAddr, path: &str) -> Result<String> {
    let (status, body) = http::get(address, path)?;
    ensure!(status == 200, "{path} says {status}: {}", body.trim());
    Ok("ready".into())
}

fn bus(process: &ProcessState, gateways: usize) -> Result<String> {
    let monitor = process.address("monitor")?;
    ready(monitor, "/healthz")?;
    let (_, body) = http::get(monitor, "/gatewayz")?;
    let known: Value = serde_json::from_str(&body).context("/gatewayz is no JSON")?;
    let names: Vec<&str> =
        known["outbound_gateways"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    ensure!(names.len() >= gateways, "it has gateways to {} of {gateways} regions", names.len());
    Ok(format!("gateways to {}", names.join(", ")))
}

impl ProcessState {
    /// One of its addresses, without scheme and path.
    pub fn address(&self, what: &str) -> Result<SocketAddr> {
        let text = self.addresses.get(what).with_context(|| format!("{} has no address {what}", self.name))?;
        let authority = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        authority.parse().with_context(|| format!("{text:?} is no address"))
    }
}
