//! `rookery region`, and how a region is put together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rookery_core_db::Store;
use rookery_link::{DrainOutcome, Identity, LinkTls, Role, Server, ServerOptions};
use rookery_placement::Marks;
use rookery_region::peers::PeersInit;
use rookery_region::voice::VoiceInit;
use rookery_region::{OperatorSecret, Region, RegionConfig, RegionDeps, RunningRegion};
use rookery_service::{Drain, Readiness};
use rookery_token::{PublicKeys, SigningKey};
use tokio_util::sync::CancellationToken;

use crate::config::RegionRoleConfig;
use crate::ready::Ready;
use crate::store::{Opened, Schema};
use crate::{descriptors, dev, secrets, start, store};

const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// How often the start tries to read what nodes have used, and the pause between.
const READ_ATTEMPTS: u32 = 10;
const READ_PAUSE: Duration = Duration::from_secs(1);
/// Public token keys, for points of presence.
pub const TOKEN_KEYS: &str = "token.pub";

/// Runs until SIGTERM or SIGINT, then drains.
pub async fn run(args: start::RoleArgs) -> anyhow::Result<()> {
    let Some(mut config) = args.load::<RegionRoleConfig>()? else { return Ok(()) };
    let place = config.settle();
    let telemetry = start::telemetry(&config.log.options())?;
    descriptors::share_out(Some(&mut config.gateway), None);
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::remove_stale(path)?;
    }
    let drain = Drain::new(DRAIN_DEADLINE);
    drain.listen_for_signals().context("signals")?;
    // As `rookery dev`: sessions outlive a restart.
    config.gateway.sessions_dir.get_or_insert_with(|| config.data_dir.join("sessions"));
    std::fs::create_dir_all(&config.data_dir)
        .with_context(|| format!("cannot make the data folder {}", config.data_dir.display()))?;
    let readiness = Readiness::new();
    let (part, store_part) = (readiness.part("region"), readiness.part("store"));
    let operator = dev::start_operator(
        config.operator,
        &readiness,
        &drain,
        telemetry,
        rookery_service::operator_http::Router::new(),
    )
    .await?;
    let tls = link_tls(Role::Region, &config.link.ca_file, &config.link.certificate_file, &config.link.key_file)?
        .admitting(&[Role::Pop, Role::Region]);
    if let Some(place) = &place {
        place.require_secrets(&config.data_dir)?;
    }
    // The folder is this process's until it ends.
    let Some(Opened { store, node: _node }) =
        store::open(&config.store(), Schema::Expected, &config.data_dir, &store_part, &drain).await?
    else {
        tracing::info!("stopped while waiting for the database");
        return Ok(());
    };
    store::keep_up(store.clone(), store_part, &drain);
    let token_key = secrets::token_key(&config.data_dir)?;
    write_public_keys(&config.data_dir.join(TOKEN_KEYS), &token_key.public_keys())?;
    let admin_token = secrets::admin_token(&config.data_dir)?;
    let (peers, voice) = match &place {
        Some(place) => {
            let bus = place.bus(&config.bus).await?;
            let voice = place.voice(bus.as_ref(), config.voice).await?;
            (place.connect(bus, &tls, used_before(&store).await?).await?, voice)
        }
        None => (None, None),
    };
    let region = start_region(config.region(), store.clone(), token_key, admin_token, peers, voice).await?;
    let link = start_link(config.link.listen, &tls, region.region.clone(), &drain, drain.token())?;
    part.ready();
    let ready = Ready {
        gateway: Some(format!("ws://{}", region.gateway_addr)),
        webtransport: region.webtransport_addr.map(|address| format!("https://{address}")),
        cert_sha256: region.region.webtransport().and_then(|it| it.certificates.hashes().into_iter().next()),
        operator: Some(format!("http://{operator}")),
        link: Some(link.address.to_string()),
        pid: std::process::id(),
        ..Ready::default()
    };
    tracing::info!(gateway = %region.gateway_addr, link = %link.address, %operator, "the region is ready");
    if let Some(path) = &args.ready_file {
        rookery_service::ready_file::write(path, &ready)?;
    }
    drain.begun().await;
    readiness.start_draining();
    let ending = async {
        link.stopped().await;
        region.shutdown().await;
        close_store(&store).await;
    };
    drain.finish(ending).await;
    Ok(())
}

/// Closes the store; what was acknowledged is durable whether or not this succeeds.
pub async fn close_store(store: &Store) {
    if let Err(error) = store.close().await {
        tracing::error!(%error, "the store did not close in order; it repairs itself at the next start");
    }
}

/// Starts a region on a store.
pub async fn start_region(
    config: RegionConfig,
    store: Store,
    token_key: SigningKey,
    admin_token: String,
    peers: Option<PeersInit>,
    voice: Option<VoiceInit>,
) -> anyhow::Result<RunningRegion> {
    let operator_secret = OperatorSecret::new(admin_token).context("the operator's secret is too short")?;
    let public_keys = token_key.public_keys();
    let deps = RegionDeps { store, signing_key: token_key, public_keys, operator_secret, peers, voice };
    Region::start(config, deps).await.context("the region")
}

/// The region's end of the link, taking calls.
pub struct RunningLink {
    pub address: SocketAddr,
    serving: tokio::task::JoinHandle<DrainOutcome>,
}

impl RunningLink {
    /// Waits until no call is under way; it takes none from when it was told to stop.
    pub async fn stopped(self) {
        match self.serving.await {
            Ok(outcome) => tracing::debug!(?outcome, "the link is closed"),
            Err(error) => tracing::error!(%error, "the link's task"),
        }
    }
}

/// How far ids and write timestamps came of all who ever wrote: owners begin above it where nobody noted who owned what.
async fn used_before(store: &Store) -> anyhow::Result<Marks> {
    let mut attempts = 1;
    let all = loop {
        match store.leases().await {
            Ok(all) => break all,
            // A cluster that was reached a moment ago answers again.
            Err(error) if attempts < READ_ATTEMPTS => {
                tracing::warn!(%error, attempts, "what each node has used cannot be read yet");
                attempts += 1;
                tokio::time::sleep(READ_PAUSE).await;
            }
            Err(error) => return Err(error).context("what each node has used"),
        }
    };
    let marks = all
        .iter()
        .map(|lease| Marks { id_ms: lease.id_ceiling_ms, write_timestamp_us: lease.write_timestamp_ceiling_us });
    Ok(marks.fold(Marks::default(), Marks::max))
}

/// Takes calls of points of presence until `stop` is cancelled.
pub fn start_link(
    listen: SocketAddr,
    tls: &LinkTls,
    region: Arc<Region>,
    drain: &Drain,
    stop: CancellationToken,
) -> anyhow::Result<RunningLink> {
    let server = Server::bind(listen, tls, ServerOptions::default())?;
    let address = server.local_addr()?;
    let answer = move |header, payload| rookery_region::link_listener::answer(region.clone(), header, payload);
    let serving = drain.spawn(server.serve(answer, stop));
    Ok(RunningLink { address, serving })
}

/// What a process shows on the link, out of files; its certificate must be one of its role.
pub fn link_tls(role: Role, ca: &Path, certificate: &Path, key: &Path) -> anyhow::Result<LinkTls> {
    let ca = rookery_service::tls::load_certificates(ca)?;
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let identity = Identity::from_pem(&read(certificate)?, &read(key)?)
        .with_context(|| format!("{} and {}", certificate.display(), key.display()))?;
    if !identity.has_role(role) {
        bail!(
            "the certificate {} is not that of a {role}: issue one with `rookery ca --dir DIR issue --role {role} --out DIR`",
            certificate.display()
        );
    }
    Ok(LinkTls::new(&ca, identity)?)
}

/// Writes what points of presence check tokens with.
pub fn write_public_keys(path: &Path, keys: &PublicKeys) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    ciborium::into_writer(keys, &mut bytes).context("the public token keys")?;
    let beside = path.with_extension("pub-new");
    std::fs::write(&beside, bytes)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Reads what a region wrote for points of presence.
pub fn read_public_keys(path: &Path) -> anyhow::Result<PublicKeys> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    ciborium::from_reader(bytes.as_slice()).with_context(|| {
        format!("{} holds no public token keys; copy {TOKEN_KEYS} of a region's data folder", path.display())
    })
}
