//! The configuration of gdnsd, an authoritative name server that answers by place and health.
//!
//! Clients are told apart by the networks of placements, which go by EDNS client subnet where a resolver sends it, and
//! by a GeoIP database where there is one. Each sort of client has an order of regions, the nearest first; a region is
//! passed over while none of its points of presence is healthy.

mod config;
mod nets;
mod zone;

use crate::{Deployment, Region};

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it goes in gdnsd's configuration folder.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// A deployment whose clients go to no name server of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deployment has no `geodns`: nothing says which name servers its domain is delegated to")]
pub struct NoGeoDns;

/// Generates `config`, `geoip/nets` and `zones/<domain>`.
pub fn generate(deployment: &Deployment) -> Result<Vec<File>, NoGeoDns> {
    let geodns = deployment.geodns().ok_or(NoGeoDns)?;
    Ok(vec![
        File { path: "config".to_owned(), text: config::text(deployment, geodns) },
        File { path: "geoip/nets".to_owned(), text: nets::text(deployment) },
        File { path: format!("zones/{}", deployment.domain()), text: zone::text(deployment, geodns) },
    ])
}

/// What stands at the head of every file.
fn head(deployment: &Deployment, comment: char) -> String {
    format!(
        "{comment} Of the deployment {}, by `rookery deployment geodns`: changes here are lost.\n",
        deployment.name()
    )
}

/// Regions with points of presence in the order in which clients near `region` are sent to them.
fn order<'a>(deployment: &'a Deployment, region: &Region) -> Vec<&'a str> {
    let near = deployment.nearest_to(region).into_iter();
    near.filter(|region| !region.pops.is_empty()).map(|region| region.name.as_str()).collect()
}

/// The same as gdnsd reads it.
fn list(deployment: &Deployment, region: &Region) -> String {
    format!("[ {} ]", order(deployment, region).join(", "))
}

/// The TTL of what does not change with health.
const STATIC_TTL_SECONDS: u32 = 300;
