//! Several regions behind one handle: the first healthy one is used.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::client::{CallError, Client, ClientOptions, ConnectError, remaining_ms};
use crate::header::CallHeader;
use crate::identity::Role;
use crate::tls::LinkTls;

/// Where a region is and what its certificate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionAddress {
    /// `host:port`, UDP.
    pub address: String,
    /// A DNS name in the region's certificate.
    #[serde(default = "region_name")]
    pub server_name: String,
}

fn region_name() -> String {
    Role::Region.dns_name().to_owned()
}

impl RegionAddress {
    /// A region whose certificate has no further name than its role's.
    pub fn new(address: impl ToString) -> Self {
        Self { address: address.to_string(), server_name: region_name() }
    }
}

/// Clients of several regions, nearest first. Clones share them.
#[derive(Debug, Clone)]
pub struct Pool {
    clients: Vec<Client>,
    healthy: watch::Receiver<bool>,
}

impl Pool {
    /// Starts connecting to every region. Must be called inside a tokio runtime.
    pub fn connect(regions: &[RegionAddress], tls: &LinkTls, options: &ClientOptions) -> Result<Self, ConnectError> {
        let clients = regions
            .iter()
            .map(|region| Client::connect(&region.address, &region.server_name, tls, options.clone()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(clients))
    }

    /// A pool of clients that were made elsewhere, nearest first. Must be called inside a tokio runtime.
    pub fn new(clients: Vec<Client>) -> Self {
        let watched: Vec<_> = clients.iter().map(Client::healthy).collect();
        let (sender, healthy) = watch::channel(watched.iter().any(|healthy| *healthy.borrow()));
        for mut own in watched.clone() {
            let sender = sender.clone();
            let watched = watched.clone();
            // Ends when the client does.
            tokio::spawn(async move {
                while own.changed().await.is_ok() {
                    let any = watched.iter().any(|healthy| *healthy.borrow());
                    sender.send_if_modified(|healthy| std::mem::replace(healthy, any) != any);
                }
            });
        }
        Self { clients, healthy }
    }

    /// Whether any region takes calls, now and as it changes.
    pub fn healthy(&self) -> watch::Receiver<bool> {
        self.healthy.clone()
    }

    /// The clients, nearest first.
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// Makes a call to the first healthy region, or to the next if that one turns out to be out of reach.
    ///
    /// A call that may have been executed is not taken to another region here.
    pub async fn call(&self, mut header: CallHeader, payload: Bytes) -> Result<Bytes, CallError> {
        let deadline = Instant::now() + Duration::from_millis(u64::from(header.deadline_ms));
        let (healthy, others): (Vec<_>, Vec<_>) = self.clients.iter().partition(|client| *client.healthy().borrow());
        let mut result = Err(CallError::Unavailable { reason: "no region is configured".to_owned() });
        for client in healthy.into_iter().chain(others) {
            header.deadline_ms = remaining_ms(deadline);
            result = client.call(header.clone(), payload.clone()).await;
            if !matches!(result, Err(CallError::Unavailable { .. })) {
                break;
            }
        }
        result
    }

    /// Closes every connection in order.
    pub async fn close(&self) {
        for client in &self.clients {
            client.close().await;
        }
    }
}
