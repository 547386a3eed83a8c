//! `rookery pop`, and how a point of presence is put together.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rookery_link::{ClientOptions, LinkTls, Pool, RegionAddress, Role};
use rookery_pop::{Pop, PopConfig, PopDeps, StatusEntry};
use rookery_service::{Drain, Readiness};
use rookery_token::PublicKeys;

use crate::config::PopRoleConfig;
use crate::ready::Ready;
use crate::{descriptors, dev, region_role, start};

const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// How long `rookery dev` waits for its own region to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs until SIGTERM or SIGINT, then drains.
pub async fn run(args: start::RoleArgs) -> anyhow::Result<()> {
    let Some(mut config) = args.load::<PopRoleConfig>()? else { return Ok(()) };
    let telemetry = start::telemetry(&config.log.options())?;
    descriptors::share_out(None, Some(&mut config.pop));
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::remove_stale(path)?;
    }
    let drain = Drain::new(DRAIN_DEADLINE);
    drain.listen_for_signals().context("signals")?;
    let readiness = Readiness::new();
    let part = readiness.part("pop");
    let region_part = readiness.part("region");
    let operator = dev::start_operator(
        config.operator,
        &readiness,
        &drain,
        telemetry,
        rookery_service::operator_http::Router::new(),
    )
    .await?;
    let uplink = &config.uplink;
    let tls = region_role::link_tls(Role::Pop, &uplink.ca_file, &uplink.certificate_file, &uplink.key_file)?;
    let keys = region_role::read_public_keys(&config.token_keys_file)?;
    let uplink = Arc::new(Uplink::connect(&uplink.regions, &tls)?);
    let mut deps = PopDeps::new(uplink.pool.clone(), api_config(keys, &config.pop()));
    let bound = Pop::bind(config.pop()).await?;
    deps.status = vec![StatusEntry::running("REST API", format!("http://{}/api/v10", bound.http_addr()))];
    let pop = bound.start(deps)?;
    part.ready();
    drain.spawn(follow(uplink.pool.healthy(), region_part, drain.token()));
    tracing::info!(http = %pop.http_addr, %operator, "the point of presence is ready");
    let ready = Ready {
        api: Some(format!("http://{}/api", pop.http_addr)),
        web: Some(format!("http://{}/", pop.http_addr)),
        operator: Some(format!("http://{operator}")),
        pid: std::process::id(),
        ..Ready::default()
    };
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::write(path, &ready)?;
    }
    drain.begun().await;
    readiness.start_draining();
    let ending = async {
        pop.shutdown().await;
        uplink.close().await;
    };
    drain.finish(ending).await;
    Ok(())
}

/// Keeps a part of the readiness in step with the link.
async fn follow(
    mut healthy: tokio::sync::watch::Receiver<bool>,
    part: rookery_service::Part,
    stop: tokio_util::sync::CancellationToken,
) {
    loop {
        if *healthy.borrow_and_update() {
            part.ready();
        } else {
            part.not_ready("no region can be reached");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = healthy.changed() => if changed.is_err() { return },
        }
    }
}

/// The API's settings.
pub fn api_config(public_keys: PublicKeys, pop: &PopConfig) -> rookery_edge_api::Config {
    let max_body_bytes = u32::try_from(pop.requests.max_body_bytes).unwrap_or(u32::MAX);
    rookery_edge_api::Config { public_keys, max_body_bytes, ..rookery_edge_api::Config::default() }
}

/// The way from a point of presence to its regions.
pub struct Uplink {
    pub pool: Arc<Pool>,
}

impl Uplink {
    /// Begins to connect; calls wait for the connection.
    pub fn connect(regions: &[String], tls: &LinkTls) -> anyhow::Result<Self> {
        let regions: Vec<RegionAddress> = regions.iter().map(RegionAddress::new).collect();
        Ok(Self { pool: Arc::new(Pool::connect(&regions, tls, &ClientOptions::default())?) })
    }

    /// Waits until a region answers.
    pub async fn connected(&self) -> anyhow::Result<()> {
        let mut healthy = self.pool.healthy();
        let wait = healthy.wait_for(|healthy| *healthy);
        tokio::time::timeout(CONNECT_TIMEOUT, wait).await.context("the region does not answer on the link")??;
        Ok(())
    }

    /// Lets calls under way end, and disconnects.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}
