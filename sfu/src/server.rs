//! Starting and stopping a node.

use rookery_model::voice::node::VoiceNodeEvent;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::SfuConfig;
use crate::directory::Directory;
use crate::gateway::{self, Admission};
use crate::media;
use crate::node::{VoiceNode, expire_tokens};
use crate::outlet::EventOutlet;
use crate::shared::Shared;

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the settings have mistakes: {}", .0.join("; "))]
    Config(Vec<String>),
    #[error("the voice gateway cannot listen at {address}")]
    Gateway {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("media cannot be received at {address} and the ports above")]
    Media {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

/// A node that runs until it is stopped. Dropped without that it stops too, but nobody waits for it.
pub struct VoiceServer {
    node: VoiceNode,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    _stop: tokio_util::sync::DropGuard,
}

impl VoiceServer {
    /// Opens the ports and starts threads and tasks; what happens to members comes from the receiver, which is to be read.
    ///
    /// The certificate is the configuration's own, which may exchange it while the node runs; of ALPN it should offer nothing, or
    /// `http/1.1`. To be called within a
    /// Tokio runtime, on which the voice gateway runs; media has threads of its own.
    pub fn start(
        config: SfuConfig,
        tls: Arc<rustls::ServerConfig>,
    ) -> Result<(Self, mpsc::Receiver<VoiceNodeEvent>), StartError> {
        let mistakes = config.mistakes();
        if !mistakes.is_empty() {
            return Err(StartError::Config(mistakes));
        }
        let clock = Clock::start();
        let gateway_failed = |source| StartError::Gateway { address: config.gateway, source };
        let listener = gateway::bind(&config).map_err(gateway_failed)?;
        let address = listener.local_addr().map_err(gateway_failed)?;
        let media_failed = |source| StartError::Media { address: config.media, source };
        let cores = media::start(&config, clock).map_err(media_failed)?;
        let (events, receiver) = EventOutlet::new(config.event_capacity);
        let mut threads = Vec::new();
        let (mut handles, mut utilisation) = (Vec::new(), Vec::new());
        for core in cores {
            threads.push(core.thread);
            utilisation.push(core.utilisation);
            handles.push((core.address, core.commands));
        }
        let stopping = CancellationToken::new();
        let shared = Arc::new(Shared {
            session_config: Arc::new(config.session.clone()),
            endpoint: config.endpoint.clone().unwrap_or_else(|| address.to_string()),
            clock,
            directory: Directory::new(handles.len(), config.members_max, config.token_ttl_ms),
            admission: Admission::new(&config),
            cores: handles.into(),
            utilisation: utilisation.into(),
            events,
            tasks: TaskTracker::new(),
            stopping: stopping.clone(),
            config,
        });
        shared.tasks.spawn(gateway::run(Arc::clone(&shared), listener, tls));
        shared.tasks.spawn(expire_tokens(Arc::clone(&shared)));
        let server = Self { node: VoiceNode { shared }, address, threads, _stop: stopping.drop_guard() };
        Ok((server, receiver))
    }

    /// The handle by which rooms are ruled.
    pub fn node(&self) -> VoiceNode {
        self.node.clone()
    }
    /// Where the voice gateway listens.
    pub const fn gateway_address(&self) -> SocketAddr {
        self.address
    }
    /// Where media is received, for each core.
    pub fn media_addresses(&self) -> Vec<SocketAddr> {
        self.node.shared.cores.iter().map(|(address, _)| *address).collect()
    }

    /// Drains for so long at most, then stops: see [`VoiceNode::drain`]. Handles that are left do nothing any more.
    pub async fn stop(self, within: Duration) {
        let Self { node, threads, _stop: stop, .. } = self;
        node.drain(within).await;
        drop(stop);
        let shared = node.shared;
        shared.tasks.close();
        shared.tasks.wait().await;
        for (_, core) in shared.cores.iter() {
            let _ = core.send(media::Command::Stop).await;
        }
        for thread in threads {
            // It is about to end: nothing in it waits for anybody.
            let _ = thread.join();
        }
    }
}
