//! `rookery sfu`: a voice node of a region.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rookery_bus::Bus;
use rookery_service::Readiness;

use crate::config::SfuRoleConfig;
use crate::ready::Ready;
use crate::voice::{RoomMetrics, RunningVoice, control};
use crate::{descriptors, dev, start};

/// How long members may take to be moved elsewhere when a node drains.
const MOVED_WITHIN: Duration = Duration::from_secs(5);
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);

/// Runs until SIGTERM or SIGINT, then gives its rooms away.
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
    let rooms = RoomMetrics::default();
    let operator = dev::start_operator(config.operator, &readiness, &drain, telemetry, rooms.routes()).await?;
    let tls = rookery_service::tls::server_config(&config.certificate_file, &config.key_file, &[])?;
    let bus = Bus::connect(&config.bus, &config.node).await.context("the bus")?;
    let init = control(bus, &config.bus.deployment, &config.region, &config.node);
    let voice = RunningVoice::start(config.voice.clone(), Arc::new(tls), init, &rooms).await?;
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
