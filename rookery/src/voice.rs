//! Voice: the node in `rookery dev`, `rookery sfu`, and how regions and voice nodes find one another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rookery_bus::{Bus, LocalNetwork};
use rookery_link::Identity;
use rookery_region::voice::VoiceInit;
use rookery_service::Readiness;
use rookery_sfu::control::{Control, ControlInit};
use rookery_sfu::{SfuConfig, VoiceServer};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::SfuRoleConfig;
use crate::ready::Ready;
use crate::{descriptors, dev, start};

/// Names where there is one process.
const ALONE: &str = "dev";
/// Nothing else could take its rooms.
const SILENT_AFTER_ALONE: Duration = Duration::from_secs(30);
/// How long members may take to be moved elsewhere when a node drains.
const MOVED_WITHIN: Duration = Duration::from_secs(5);
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

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
    pub async fn start(config: SfuConfig, tls: Arc<rustls::ServerConfig>, init: ControlInit) -> anyhow::Result<Self> {
        let (server, events) = VoiceServer::start(config, tls).context("the voice node")?;
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

fn control(bus: Bus, deployment: &str, region: &str, name: &str) -> ControlInit {
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

/// `rookery sfu`: runs until SIGTERM or SIGINT, then gives its rooms away.
pub async fn run(args: start::RoleArgs) -> anyhow::Result<()> {
    let Some(config) = args.load::<SfuRoleConfig>()? else { return Ok(()) };
    let telemetry = start::telemetry(&config.log.options())?;
    descriptors::share_out(None, None);
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::remove_stale(path)?;
    }
    let drain = rookery_service::Drain::new(DRAIN_DEADLINE);
    drain.listen_for_signals().context("signals")?;
    let readiness = Readiness::new();
    let part = readiness.part("voice");
    let operator = dev::start_operator(config.operator, &readiness, &drain, telemetry).await?;
    let tls = rookery_service::tls::server_config(&config.certificate_file, &config.key_file, &[])?;
    let bus = Bus::connect(&config.bus, &config.node).await.context("the bus")?;
    let init = control(bus, &config.bus.deployment, &config.region, &config.node);
    let voice = RunningVoice::start(config.voice.clone(), Arc::new(tls), init).await?;
    part.ready();
    tracing::info!(voice = %voice.address, %operator, "the voice node is ready");
    let ready = Ready {
        voice: Some(voice.address.to_string()),
        operator: Some(format!("http://{operator}")),
        pid: std::process::id(),
        ..Ready::default()
    };
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::write(path, &ready)?;
    }
    drain.begun().await;
    readiness.start_draining();
    drain.finish(voice.shutdown(MOVED_WITHIN)).await;
    Ok(())
}
