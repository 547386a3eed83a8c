//! What `rookery dev` and `rookery sfu` have in common: a voice node that serves, and how regions and it find one another.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use rookery_bus::{Bus, LocalNetwork};
use rookery_link::Identity;
use rookery_region::voice::VoiceInit;
use rookery_service::operator_http::{self, Router};
use rookery_sfu::control::{Control, ControlInit};
use rookery_sfu::{SfuConfig, VoiceNode, VoiceServer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Names where there is one process.
const ALONE: &str = "dev";
/// Nothing else could take its rooms.
const SILENT_AFTER_ALONE: Duration = Duration::from_secs(30);

/// `/metrics/rooms` of the operator's port, which answers before there is a voice node.
#[derive(Default)]
pub struct RoomMetrics {
    node: Arc<OnceLock<VoiceNode>>,
}

impl RoomMetrics {
    /// The route: counts of each room in Prometheus' text format; 503 until the node is there.
    pub fn routes(&self) -> Router {
        let node = Arc::clone(&self.node);
        let render = async |node: Arc<OnceLock<VoiceNode>>| Some(node.get()?.room_metrics().await);
        operator_http::figures("/metrics/rooms", move || render(Arc::clone(&node)))
    }
}

/// A voice node that serves.
pub struct RunningVoice {
    pub address: SocketAddr,
    server: VoiceServer,
    control: TaskTracker,
    drain: CancellationToken,
    stop: CancellationToken,
}

impl RunningVoice {
    /// Opens the ports and begins to carry out what regions want.
    pub async fn start(
        config: SfuConfig,
        tls: Arc<rustls::ServerConfig>,
        init: ControlInit,
        rooms: &RoomMetrics,
    ) -> anyhow::Result<Self> {
        let (server, events) = VoiceServer::start(config, tls).context("the voice node")?;
        rooms.node.get_or_init(|| server.node());
        let (drain, stop) = (CancellationToken::new(), CancellationToken::new());
        let control = Control::open(init, server.node(), events).await.context("the bus")?;
        let tasks = TaskTracker::new();
        tasks.spawn(control.run(drain.clone(), stop.clone()));
        Ok(Self { address: server.gateway_address(), server, control: tasks, drain, stop })
    }

    /// Has others take the rooms, for as long as that may take, and ends.
    pub async fn shutdown(self, within: Duration) {
        self.drain.cancel();
        self.server.stop(within).await;
        self.stop.cancel();
        self.control.close();
        self.control.wait().await;
    }
}

/// The region's and the voice node's ends of voice in one process.
pub async fn alone(region: &str) -> anyhow::Result<(VoiceInit, ControlInit)> {
    let network = LocalNetwork::new();
    let init = VoiceInit::open(Bus::local(&network, "region"), ALONE, &[region], ALONE).await.context("voice")?;
    let init = init.silent_after(SILENT_AFTER_ALONE);
    Ok((init, control(Bus::local(&network, "voice"), ALONE, region, ALONE)))
}

/// How the voice node of this name is told what regions want.
pub fn control(bus: Bus, deployment: &str, region: &str, name: &str) -> ControlInit {
    ControlInit { bus, deployment: deployment.into(), region: region.into(), name: name.into(), boot: rand::random() }
}

/// What the voice gateway shows; of ALPN it offers nothing, because WebSocket clients ask for nothing else.
pub fn tls(identity: &Identity) -> anyhow::Result<Arc<rustls::ServerConfig>> {
    let config = rustls::ServerConfig::builder_with_provider(rookery_service::tls::provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(identity.chain().to_vec(), identity.key().clone_key())
        });
    Ok(Arc::new(config.context("the certificate of the voice gateway")?))
}
