//! `rookery dev`: a region and a point of presence in one process, over the same link as between machines.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use rookery_core_db::Store;
use rookery_link::{DeploymentCa, Identity, LinkTls, Role};
use rookery_pop::{Pop, PopDeps, RunningPop, StatusEntry};
use rookery_region::RunningRegion;
use rookery_service::{Drain, Part, Readiness, Telemetry, operator_http};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::DevConfig;
use crate::node::Node;
use crate::ready::Ready;
use crate::store::{Opened, Schema};
use crate::voice::RunningVoice;
use crate::{descriptors, pop_role, region_role, secrets, start, store, voice};

/// After this a drain is over, finished or not.
const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// How long members of voice rooms that are still here may take to go.
const VOICE_WITHIN: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where everything is kept; made if it is not there.
    #[arg(long, value_name = "DIR", env = "ROOKERY_DATA_DIR", default_value = "rookery-data")]
    data_dir: PathBuf,
    /// Where the REST API answers; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// Where the gateway (WebSocket) answers.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8081")]
    gateway: SocketAddr,
    /// Where the gateway answers over WebTransport, UDP; its certificates are made in the data folder, unless the
    /// configuration names some.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    webtransport: SocketAddr,
    /// Where the voice gateway (WebSocket with TLS) answers; media comes over UDP ports that it tells.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8444")]
    voice: SocketAddr,
    /// Where /healthz, /readyz and /metrics answer.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    operator: SocketAddr,
    /// Written whole, by rename, once every listener answers.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    cluster: store::ClusterArgs,
    /// A configuration file, TOML.
    #[arg(long, value_name = "FILE", env = "ROOKERY_CONFIG")]
    config: Option<PathBuf>,
    /// Changes one setting: `--set rest.global_per_second=100`, `--set limits=off`.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// Runs until SIGTERM or SIGINT, then drains.
pub async fn run(args: DevArgs) -> anyhow::Result<()> {
    let mut config: DevConfig = rookery_service::load(args.config.as_deref(), &args.cluster.before(&args.sets))?;
    config.pop.http = args.http;
    config.gateway.listen = args.gateway;
    config.gateway.sessions_dir.get_or_insert_with(|| args.data_dir.join("sessions"));
    config.gateway.webtransport.listen = Some(args.webtransport);
    config.voice.gateway = args.voice;
    if config.voice.media.ip().is_loopback() {
        config.voice.media.set_ip(args.voice.ip());
    }
    if config.gateway.webtransport.cert.is_none() {
        config.gateway.webtransport.self_signed_dir.get_or_insert_with(|| args.data_dir.join("webtransport"));
    }
    let mut listeners = vec![
        ("--http", args.http),
        ("--gateway", args.gateway),
        ("--webtransport", args.webtransport),
        ("--voice", args.voice),
        ("--operator", args.operator),
    ];
    listeners.extend(config.pop.https.map(|address| ("pop.https", address)));
    if let Some(mistake) = config.limits.public_listener(&listeners) {
        bail!("{mistake}");
    }
    let telemetry = start::telemetry(&config.log.options())?;
    descriptors::share_out(Some(&mut config.gateway), Some(&mut config.pop));
    let drain = Drain::new(DRAIN_DEADLINE);
    drain.listen_for_signals().context("signals")?;
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::remove_stale(path)?;
    }
    std::fs::create_dir_all(&args.data_dir)
        .with_context(|| format!("cannot make the data folder {}", args.data_dir.display()))?;

    let readiness = Readiness::new();
    let parts = tokio::select! {
        // A part that waits gives up with an error when the drain begins; that is no failure of the start.
        biased;
        () = drain.begun() => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
        parts = Parts::start(&args, &config, &readiness, &drain, telemetry) => parts?,
    };
    let ready = parts.ready(&args.data_dir)?;
    let api = ready.api.clone().unwrap_or_default();
    match secrets::leave_admin_token(&api, &parts.admin_token) {
        Ok(path) => tracing::debug!(path = %path.display(), "the operator's secret for `rookery admin`"),
        Err(error) => tracing::warn!("`rookery admin` will need --token-file: {error:#}"),
    }
    announce(&ready);
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::write(path, &ready)?;
    }
    drain.begun().await;
    readiness.start_draining();
    drain.finish(parts.stop()).await;
    tracing::info!("stopped");
    Ok(())
}

/// Everything that runs.
struct Parts {
    pop: RunningPop,
    region: RunningRegion,
    voice: RunningVoice,
    link: region_role::RunningLink,
    /// Cancelled when no request needs the link any more.
    link_stop: CancellationToken,
    uplink: Arc<pop_role::Uplink>,
    store: Store,
    _node: Option<Node>,
    operator: SocketAddr,
    admin_token: String,
    _ready: [Part; 2],
}

impl Parts {
    async fn start(
        args: &DevArgs,
        config: &DevConfig,
        readiness: &Readiness,
        drain: &Drain,
        telemetry: Telemetry,
    ) -> anyhow::Result<Self> {
        let data_dir = &args.data_dir;
        let (region_part, pop_part) = (readiness.part("region"), readiness.part("pop"));
        let store_part = readiness.part("store");
        let rooms = voice::RoomMetrics::default();
        let operator = start_operator(args.operator, readiness, drain, telemetry, rooms.routes()).await?;
        let ca = DeploymentCa::create_or_load(data_dir)?;
        let store = store::open(&config.store, Schema::Migrated, data_dir, &store_part, drain).await?;
        let Opened { store, node } = store.context("stopped while waiting for the database")?;
        store::keep_up(store.clone(), store_part, drain);
        let token_key = secrets::token_key(data_dir)?;
        let admin_token = secrets::admin_token(data_dir)?;
        let public_keys = token_key.public_keys();
        let (region_end, voice_end) = voice::alone(&config.region().name).await?;
        // After the region listens: what is said once is not missed.
        let identity = ca.issue_https(&voice_names(args.voice))?;
        let secret = admin_token.clone();
        let region =
            region_role::start_region(config.region(), store.clone(), token_key, secret, None, Some(region_end))
                .await?;
        let voice = RunningVoice::start(config.voice.clone(), voice::tls(&identity)?, voice_end, &rooms).await?;
        region_part.ready();

        let region_tls = link_tls(&ca, Role::Region)?;
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        // Not the drain's own token: requests that the point of presence still answers need the link to the last one.
        let link_stop = CancellationToken::new();
        let link = region_role::start_link(any_port, &region_tls, region.region.clone(), drain, link_stop.clone())?;
        let uplink = Arc::new(pop_role::Uplink::connect(&[link.address.to_string()], &link_tls(&ca, Role::Pop)?)?);
        let bound = Pop::bind(config.pop()).await?;
        let mut deps = PopDeps::new(uplink.pool.clone(), pop_role::api_config(public_keys, &config.pop()));
        deps.status = status(&bound.http_addr(), &region, voice.address, &operator);
        let pop = bound.start(deps)?;
        uplink.connected().await?;
        pop_part.ready();
        let _ready = [region_part, pop_part];
        Ok(Self { pop, region, voice, link, link_stop, uplink, store, _node: node, operator, admin_token, _ready })
    }

    fn ready(&self, data_dir: &Path) -> anyhow::Result<Ready> {
        let http = self.pop.http_addr;
        let data_dir = data_dir.canonicalize().context("the data folder")?;
        Ok(Ready {
            api: Some(format!("http://{http}/api")),
            gateway: Some(format!("ws://{}", self.region.gateway_addr)),
            webtransport: self.region.webtransport_addr.map(|address| format!("https://{address}")),
            cert_sha256: self.region.region.webtransport().and_then(|it| it.certificates.hashes().into_iter().next()),
            voice: Some(self.voice.address.to_string()),
            ca_file: Some(data_dir.join("ca.pem").display().to_string()),
            web: Some(format!("http://{http}/")),
            operator: Some(format!("http://{}", self.operator)),
            pid: std::process::id(),
            ..Ready::default()
        })
    }

    /// From the outside in: nothing new comes, what is under way ends, then the store closes.
    async fn stop(self) {
        self.pop.shutdown().await;
        self.uplink.close().await;
        self.link_stop.cancel();
        self.link.stopped().await;
        self.region.shutdown().await;
        // The region put everybody out.
        self.voice.shutdown(VOICE_WITHIN).await;
        region_role::close_store(&self.store).await;
    }
}

/// The names under which clients of this machine know the voice gateway.
fn voice_names(address: SocketAddr) -> Vec<String> {
    let ip = address.ip();
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !ip.is_loopback() && !ip.is_unspecified() {
        names.push(ip.to_string());
    }
    names
}

fn link_tls(ca: &DeploymentCa, role: Role) -> anyhow::Result<LinkTls> {
    let identity: Identity = ca.issue(role, &[])?;
    Ok(LinkTls::new(std::slice::from_ref(ca.certificate()), identity)?)
}

/// The operator's port: health, readiness, figures.
pub async fn start_operator(
    address: SocketAddr,
    readiness: &Readiness,
    drain: &Drain,
    telemetry: Telemetry,
    own: operator_http::Router,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("operator cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    let router = operator_http::router(readiness.clone(), telemetry.clone()).merge(own);
    // Figures are wanted to the very end, so this is not one of the tasks that the drain waits for.
    tokio::spawn(operator_http::serve(listener, router, CancellationToken::new()));
    drain.spawn(telemetry.keep_up(drain.token()));
    Ok(address)
}

fn status(http: &SocketAddr, region: &RunningRegion, voice: SocketAddr, operator: &SocketAddr) -> Vec<StatusEntry> {
    let gateway = region.gateway_addr;
    let webtransport = match region.webtransport_addr {
        Some(address) => {
            StatusEntry::running("Gateway (WebTransport)", format!("https://{address}/gateway?v=10&encoding=json"))
        }
        None => StatusEntry::absent("Gateway (WebTransport)"),
    };
    vec![
        StatusEntry::running("REST API", format!("http://{http}/api/v10")),
        StatusEntry::running("Gateway (WebSocket)", format!("ws://{gateway}/?v=10&encoding=json")),
        webtransport,
        StatusEntry::running("Voice", format!("wss://{voice}/?v=8")),
        StatusEntry::running("Operator: health, readiness, metrics", format!("http://{operator}/metrics")),
    ]
}

fn announce(ready: &Ready) {
    let show = |address: &Option<String>| address.clone().unwrap_or_else(|| "not running".into());
    tracing::info!("REST API     {}/v10", show(&ready.api));
    tracing::info!("gateway      {}/?v=10&encoding=json", show(&ready.gateway));
    tracing::info!("             {}/gateway?v=10&encoding=json (WebTransport)", show(&ready.webtransport));
    tracing::info!("voice        {} (wss)", show(&ready.voice));
    tracing::info!("operator     {} (/healthz /readyz /metrics)", show(&ready.operator));
    tracing::info!("web          {}", show(&ready.web));
    tracing::info!("Rookery is ready; Ctrl-C drains and stops it");
}
