//! Start and end of a region.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rookery_core_db::StoreError;
use rookery_model::voice::VoiceRegion;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wtransport::quinn::Endpoint;

use crate::accounts::Accounts;
use crate::config::{GatewayConfig, RegionConfig, ms};
use crate::degradation::{self, Degradation};
use crate::gateway::admission::Admission;
use crate::gateway::clock::Clock;
use crate::gateway::identify_line::{IdentifyLine, LineConfig};
use crate::gateway::kept::{self, KeptPark, KeptSessions};
use crate::gateway::listener;
use crate::gateway::registry::{Sessions, Signal};
use crate::gateway::starts::SessionStarts;
use crate::gateway::webtransport;
use crate::gateway::webtransport::certificates::{CertificateError, Certificates};
use crate::gateway::worker::{WORKERS_MAX, WorkerInbox, WorkerTask, Workers};
use crate::id_generator::{IdGenerator, now_ms};
use crate::operations::Operations;
use crate::owners::Register;
use crate::owners::{Owners, OwnersInit};
use crate::passwords::Passwords;
use crate::peers::parking::Ending;
use crate::peers::stream::PeerStream;
use crate::peers::task::PeerTask;
use crate::peers::{Outgoing, PEERS_MAX, Peer, PeerIndex, PeerInit, Peers, PeersInit};
use crate::placement::Ownership;
use crate::placement::task::{PlacementInit, PlacementTask};
use crate::rate_limit::RateLimiter;
use crate::region::{Region, RegionDeps, WebTransportPlace};
use crate::voice::{VoiceInit, VoiceNews, VoiceTask};

/// Why a region could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the gateway cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("WebTransport cannot listen on {address}")]
    ListenWebTransport {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("the certificate of WebTransport")]
    Certificate(#[from] CertificateError),
    #[error("the store does not give out ids")]
    Ids(#[source] StoreError),
    #[error("passwords cannot be hashed: {0}")]
    Passwords(String),
    #[error("the node's place in its deployment")]
    Placement(#[source] rookery_placement::ConfigError),
}

/// A region that serves.
pub struct RunningRegion {
    pub region: Arc<Region>,
    /// Where the gateway listens.
    pub gateway_addr: SocketAddr,
    /// Where WebTransport answers, if it does.
    pub webtransport_addr: Option<SocketAddr>,
    links: Links,
    voice: RunningVoice,
}

/// The task of voice, which ends after the owners: they put everybody out as they end.
#[derive(Default)]
struct RunningVoice {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl RunningVoice {
    fn start(region: &Arc<Region>, open: Option<(VoiceInit, Arc<Register<VoiceNews>>)>) -> Self {
        let running = Self::default();
        if let Some((init, news)) = open {
            let task = VoiceTask::new(init, news, Arc::clone(region), running.stop.clone());
            running.tasks.spawn(task.run());
        }
        running
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// How long the end waits to hear from the owners that it handed over.
const SERVED_WITHIN: Duration = Duration::from_secs(2);
/// How long a start waits for other nodes, and how often it looks.
const PEERS_OPEN_WITHIN: Duration = Duration::from_secs(3);
const PEERS_LOOK: Duration = Duration::from_millis(20);
/// Between two tellings of what moved.
const TELL_OF_MOVES_PAUSE: Duration = Duration::from_secs(1);

/// The tasks of other regions, which end after everything that may have something for them.
#[derive(Default)]
struct Links {
    park: CancellationToken,
    unanswered: TaskTracker,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// How long other regions may take to say that they keep what they have for the sessions here.
const PARK_WITHIN: Duration = Duration::from_millis(1_500);

impl Links {
    fn ending(&self) -> Ending {
        Ending { park: self.park.clone(), unanswered: self.unanswered.token(), stop: self.stop.clone() }
    }

    /// Asks all of them to keep what they have for the sessions here, which say nothing more.
    async fn park(&self) {
        self.park.cancel();
        self.unanswered.close();
        // Whoever did not answer does not count.
        let _ = tokio::time::timeout(PARK_WITHIN, self.unanswered.wait()).await;
    }

    async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Another region before its task runs.
struct OpenPeer {
    outgoing: Outgoing,
    inbox: WorkerInbox,
    stream: PeerStream,
}

/// The other nodes before anything runs.
struct OpenPeers {
    peers: Peers,
    tasks: Vec<OpenPeer>,
    placement: Option<OpenPlacement>,
    /// Ends all tenures.
    stop: CancellationToken,
}

/// Placement before its task runs.
struct OpenPlacement {
    init: PlacementInit,
    /// The other nodes by worker id.
    peers: HashMap<u16, PeerIndex>,
}

/// The other nodes, each with a worker for its sessions.
fn open_peers(config: &RegionConfig, init: Option<PeersInit>, workers: &mut Workers) -> OpenPeers {
    let stop = CancellationToken::new();
    let Some(PeersInit { peers, placement }) = init else {
        let peers = Peers::new(Vec::new(), Arc::new(Ownership::alone(&stop)));
        return OpenPeers { peers, tasks: Vec::new(), placement: None, stop };
    };
    let (mut all, mut tasks, mut by_worker_id) = (Vec::new(), Vec::new(), HashMap::new());
    for (index, PeerInit { name, worker_id, calls, stream }) in (0..PEERS_MAX as u8).zip(peers) {
        let (worker, inbox) = workers.add_remote(config.gateway.inbox_capacity);
        let outgoing = Peer::open(index, &name, worker, calls);
        by_worker_id.insert(worker_id, outgoing.peer.index);
        all.push(Arc::clone(&outgoing.peer));
        tasks.push(OpenPeer { outgoing, inbox, stream });
    }
    let names = placement.config.regions.iter().map(|name| name.as_str().into()).collect();
    let ownership = Ownership::shared(placement.homes.clone(), names, placement.config.virtual_shards, &stop);
    let placement = Some(OpenPlacement { init: placement, peers: by_worker_id });
    OpenPeers { peers: Peers::new(all, Arc::new(ownership)), tasks, placement, stop }
}

/// Waits until the other nodes are reached, so that they can hand over sessions; not for those that are not there.
async fn peers_open(peers: &Peers) {
    let all_open = async {
        while !peers.iter().all(|peer| peer.is_open()) {
            tokio::time::sleep(PEERS_LOOK).await;
        }
    };
    if tokio::time::timeout(PEERS_OPEN_WITHIN, all_open).await.is_err() {
        tracing::info!("not all other nodes are there");
    }
}

/// Has users look anew at what was missed where owners moved, and tell anew what they are seen as, until the region closes.
async fn tell_of_moves(region: Arc<Region>) {
    loop {
        tokio::select! {
            () = region.closing.cancelled() => return,
            missed = region.peers.ownership().moved() => {
                let registers = &region.owners.shared().registers;
                if !missed.is_empty() {
                    registers.missed(&missed.into());
                }
                registers.have_moved();
            }
        }
        // Shards move by the dozen: one word for many.
        tokio::time::sleep(TELL_OF_MOVES_PAUSE).await;
    }
}

impl Region {
    /// Opens the gateway's port and starts to serve.
    pub async fn start(config: RegionConfig, mut deps: RegionDeps) -> Result<RunningRegion, StartError> {
        let address = config.gateway.listen;
        let refused = |source| StartError::Listen { address, source };
        let listener = listener::bind(&config.gateway).map_err(refused)?;
        let gateway_addr = listener.local_addr().map_err(refused)?;
        let gateway_url = config.gateway.public_url.clone().unwrap_or_else(|| format!("ws://{gateway_addr}"));
        let webtransport = OpenWebTransport::bind(&config.gateway)?;
        let webtransport_addr = webtransport.as_ref().map(|open| open.address);
        let place = webtransport.as_ref().map(|open| open.place(&config.gateway));
        let workers = workers(config.gateway.workers);
        let (mut workers, inboxes) = Workers::new(workers, config.gateway.inbox_capacity);
        let open = open_peers(&config, deps.peers.take(), &mut workers);
        let voice = deps.voice.take().map(|init| (init, Arc::<Register<VoiceNews>>::default()));
        let news = voice.as_ref().map(|(_, news)| Arc::clone(news));
        let regions = match &voice {
            Some((init, _)) => init.regions(),
            None => vec![VoiceRegion::new(config.name.clone(), true)],
        };
        let open_voice = OpenVoice { news, regions };
        let Built { region, peer_tasks, placement } =
            build(config, deps, gateway_url, place, workers, open, open_voice).await?;
        let voice = RunningVoice::start(&region, voice);
        for (worker, inbox) in region.sessions.workers().iter().zip(inboxes) {
            region.tasks.spawn(WorkerTask::new(Arc::clone(&region), Arc::clone(worker), inbox).run());
        }
        let (degradation, config) = (Arc::clone(&region.degradation), region.config.degradation.clone());
        if config.enabled {
            region.tasks.spawn(degradation::run(degradation, config, region.closing.clone()));
        }
        if let Some(folder) = region.config.gateway.sessions_dir.clone() {
            kept::take_up(&region, &folder).await;
        }
        // Behind the sessions of the process before: their owners elsewhere are told of all of them at once.
        let links = Links::default();
        for OpenPeer { outgoing, inbox, stream } in peer_tasks {
            let task = PeerTask::new(Arc::clone(&region), outgoing, inbox, stream, links.ending());
            links.tasks.spawn(task.run());
        }
        // Owners begin when all sessions are there that they are to go on with.
        if let Some(task) = placement {
            peers_open(&region.peers).await;
            // It outlives the region's other tasks: until it has given everything away.
            tokio::spawn(task.run());
            region.tasks.spawn(tell_of_moves(Arc::clone(&region)));
        }
        if let Some(placement) = &region.placement {
            placement.ready().await;
        }
        region.tasks.spawn(listener::run(Arc::clone(&region), listener));
        if let Some(open) = webtransport {
            region.tasks.spawn(open.certificates.keep_up(region.draining.clone()));
            region.tasks.spawn(webtransport::listener::run(Arc::clone(&region), open.endpoint));
        }
        tracing::info!(region = region.name(), %gateway_addr, ?webtransport_addr, "the gateway listens");
        Ok(RunningRegion { region, gateway_addr, webtransport_addr, links, voice })
    }
}

/// WebTransport's port before anybody is served.
struct OpenWebTransport {
    endpoint: Endpoint,
    address: SocketAddr,
    certificates: Arc<Certificates>,
}

impl OpenWebTransport {
    fn bind(config: &GatewayConfig) -> Result<Option<Self>, StartError> {
        let Some(address) = config.webtransport.listen else { return Ok(None) };
        let refused = |source| StartError::ListenWebTransport { address, source };
        let certificates = Certificates::open(&config.webtransport, OffsetDateTime::now_utc())?;
        let endpoint = webtransport::listener::bind(config, address, &certificates).map_err(refused)?;
        let address = endpoint.local_addr().map_err(refused)?;
        Ok(Some(Self { endpoint, address, certificates }))
    }

    fn place(&self, config: &GatewayConfig) -> WebTransportPlace {
        let public = config.webtransport.public_url.clone();
        let url = public.unwrap_or_else(|| format!("https://{}", self.address));
        WebTransportPlace { url, certificates: Arc::clone(&self.certificates) }
    }
}

/// Hands over what is owned here, so that others need not wait for the end of the lease; the sessions here go on with them.
async fn give_away(region: &Region) {
    let Some(placement) = &region.placement else { return };
    let given = placement.drain().await;
    let served = region.peers.ownership().served_elsewhere(&given);
    if tokio::time::timeout(SERVED_WITHIN, served).await.is_err() {
        tracing::warn!("not all owners were heard of at the nodes that they went to");
    }
}

/// Writes down the sessions that can be resumed, for the next process.
async fn keep_sessions(region: &Region, folder: PathBuf) {
    let (payloads, sessions) = region.sessions.workers().keep().await;
    let count = sessions.len();
    let ownership = region.peers.ownership();
    let parked = |peer: &Arc<Peer>| {
        let (peer, token, index) = (peer.name.to_string(), peer.parked()?, peer.index);
        Some(KeptPark { peer, token, shards: ownership.write(&ownership.served_from(index)) })
    };
    let parked = region.peers.iter().filter_map(parked).collect();
    let kept = KeptSessions { kept_at_unix_ms: now_ms(), payloads, sessions, parked };
    let written = tokio::task::spawn_blocking(move || kept::write(&folder, &kept)).await;
    match written {
        Ok(Ok(())) => tracing::info!(region = region.name(), sessions = count, "kept for the next process"),
        Ok(Err(error)) => {
            let error: &(dyn std::error::Error + 'static) = &error;
            tracing::error!(region = region.name(), error, "the sessions are lost; their clients start anew");
        }
        Err(_) => tracing::error!(region = region.name(), "writing the sessions down panicked; they are lost"),
    }
}

/// How many workers: as configured, or one for each core.
fn workers(configured: Option<usize>) -> usize {
    let parallel = || std::thread::available_parallelism().map_or(1, usize::from);
    configured.unwrap_or_else(parallel).min(WORKERS_MAX)
}

/// A region before its tasks run.
struct Built {
    region: Arc<Region>,
    peer_tasks: Vec<OpenPeer>,
    placement: Option<PlacementTask>,
}

/// What owners need for voice.
struct OpenVoice {
    news: Option<Arc<Register<VoiceNews>>>,
    regions: Vec<VoiceRegion>,
}

async fn build(
    config: RegionConfig,
    deps: RegionDeps,
    gateway_url: String,
    webtransport: Option<WebTransportPlace>,
    workers: Workers,
    open: OpenPeers,
    voice: OpenVoice,
) -> Result<Built, StartError> {
    let OpenPeers { peers, tasks: peer_tasks, placement, stop } = open;
    let peers = Arc::new(peers);
    let RegionDeps { store, signing_key, public_keys, operator_secret, .. } = deps;
    let ids = Arc::new(IdGenerator::start(store.clone(), config.worker_id).await.map_err(StartError::Ids)?);
    let parallel = std::thread::available_parallelism().map_or(1, usize::from);
    let passwords = Passwords::new(parallel).map_err(|error| StartError::Passwords(error.to_string()))?;
    let accounts = Arc::new(Accounts::new(store.clone(), signing_key, public_keys, passwords, Arc::clone(&peers)));
    let sessions = Arc::new(Sessions::new(Arc::new(workers), config.gateway.sessions_per_user));
    let degradation = Arc::new(Degradation::new(config.degradation.level_min));
    let line = LineConfig {
        at_once: config.gateway.identify_at_once,
        waiting_max: config.gateway.identify_queue,
        wait: ms(config.gateway.identify_wait_ms),
    };
    let owners = Owners::new(OwnersInit {
        region: config.name.clone().into(),
        config: config.owners.clone(),
        guild_limits: rookery_guild::Limits {
            presence_batch_above: config.presence.batch_above_members,
            presence_batch_ms: config.presence.batch_ms,
            presence_everyone_max: config.presence.everyone_max_members,
            slowmode: config.rest.enabled,
            stream_viewers_max: config.streams.viewers_max,
            stream_quality: config.streams.quality.into(),
            voice_regions: voice.regions,
            ..rookery_guild::Limits::default()
        },
        user_limits: rookery_user::Limits {
            sessions_max: config.gateway.sessions_per_user,
            presence_expiry_ms: config.presence.expiry_ms,
            ..rookery_user::Limits::default()
        },
        store: store.clone(),
        ids: Arc::clone(&ids),
        accounts: Arc::clone(&accounts),
        sessions: Arc::clone(&sessions),
        degradation: Arc::clone(&degradation),
        peers: Arc::clone(&peers),
        stop,
        voice: voice.news,
    });
    let placement = placement.map(|OpenPlacement { init, peers: nodes }| {
        let (store, ids, ownership) = (store.clone(), Arc::clone(&ids), Arc::clone(peers.ownership()));
        PlacementTask::new(init, store, ids, ownership, nodes, Arc::clone(sessions.workers()))
    });
    let (task, placement) = match placement.transpose().map_err(StartError::Placement)? {
        Some((task, handle)) => (Some(task), Some(handle)),
        None => (None, None),
    };
    let region = Arc::new(Region {
        operations: Operations::new(store.clone()),
        limiter: RateLimiter::new(config.rest.clone()),
        identify_line: IdentifyLine::new(line, Arc::clone(&degradation)),
        degradation,
        starts: SessionStarts::new(config.gateway.identify_per_day, config.gateway.identify_concurrency),
        session_config: Arc::new(config.gateway.session.clone()),
        clock: Clock::start(),
        tasks: TaskTracker::new(),
        admission: Admission::new(&config.gateway),
        draining: CancellationToken::new(),
        closing: CancellationToken::new(),
        config,
        store,
        ids,
        owners,
        sessions,
        peers,
        placement,
        accounts,
        operator_secret,
        gateway_url,
        webtransport,
    });
    Ok(Built { region, peer_tasks, placement: task })
}

impl RunningRegion {
    /// Asks all clients to go elsewhere, waits for them as long as the configuration says, closes the rest, and returns
    /// when everything that was acknowledged, or will be, is durable.
    ///
    /// Calls must have stopped coming before: the link's listener drains first. The store stays open.
    pub async fn shutdown(self) {
        let region = self.region;
        let sessions = region.start_drain();
        tracing::info!(region = region.name(), sessions, "draining");
        let all = u32::try_from(region.config.gateway.max_connections).unwrap_or(u32::MAX);
        let within = ms(region.config.gateway.drain_timeout_ms);
        // All places free again means that no connection is left.
        if tokio::time::timeout(within, region.admission.places().acquire_many(all)).await.is_err() {
            tracing::warn!(region = region.name(), "some clients stayed; they are closed");
        }
        region.closing.cancel();
        let folder = region.config.gateway.sessions_dir.clone();
        region.sessions.all().iter().for_each(|session| session.signal(Signal::Shutdown));
        region.tasks.close();
        let within = ms(region.config.gateway.close_timeout_ms);
        match folder {
            None => {
                if tokio::time::timeout(within, region.tasks.wait()).await.is_err() {
                    tracing::warn!(region = region.name(), "some connections did not end in time");
                }
                give_away(&region).await;
                region.owners.stop().await;
                self.voice.stop().await;
                self.links.stop().await;
            }
            Some(folder) => {
                let closed = tokio::time::timeout(within, region.admission.places().acquire_many(all)).await;
                if closed.is_err() {
                    tracing::warn!(region = region.name(), "some connections did not end in time");
                }
                // The sessions here go on with the owners where they are then, and those keep what they have for them.
                give_away(&region).await;
                self.links.park().await;
                // From here on nothing happens any more that a session would have to hear of.
                region.owners.stop().await;
                self.voice.stop().await;
                self.links.stop().await;
                keep_sessions(&region, folder).await;
            }
        }
        tracing::info!(region = region.name(), "stopped");
    }
}
