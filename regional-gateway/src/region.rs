//! What every part of a region shares.

use std::sync::Arc;

use rand::seq::SliceRandom as _;
use rookery_core_db::Store;
use rookery_guild::Effect;
use rookery_model::gateway::Event;
use rookery_model::user::Account;
use rookery_model::{ApiError, DeviceId, UserId};
use rookery_session::SessionConfig;
use rookery_token::{PublicKeys, SigningKey};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::config::RegionConfig;
use crate::degradation::{Degradation, Level};
use crate::errors::from_store;
use crate::gateway::admission::Admission;
use crate::gateway::clock::Clock;
use crate::gateway::identify_line::IdentifyLine;
use crate::gateway::registry::{Sessions, Signal};
use crate::gateway::starts::{SessionStarts, StartsLeft};
use crate::gateway::webtransport::certificates::Certificates;
use crate::id_generator::{IdGenerator, now_ms};
use crate::operations::Operations;
use crate::operator_secret::OperatorSecret;
use crate::owners::{GuildHandle, Owners};
use crate::peers::{Peers, PeersInit};
use crate::placement::task::PlacementHandle;
use crate::rate_limit::RateLimiter;
use crate::voice::VoiceInit;

/// What a region is made with.
pub struct RegionDeps {
    pub store: Store,
    /// Signs new tokens.
    pub signing_key: SigningKey,
    /// Checks tokens: the signing key's public half and those of its predecessors.
    pub public_keys: PublicKeys,
    pub operator_secret: OperatorSecret,
    /// The other nodes of the deployment, if there are any.
    pub peers: Option<PeersInit>,
    /// The way to voice nodes, if there is voice.
    pub voice: Option<VoiceInit>,
}

/// A region: the one object that calls and sessions hold.
pub struct Region {
    pub config: RegionConfig,
    pub store: Store,
    pub ids: Arc<IdGenerator>,
    pub owners: Owners,
    pub sessions: Arc<Sessions>,
    pub peers: Arc<Peers>,
    /// What keeps up with who owns what; none where this is the only node.
    pub placement: Option<PlacementHandle>,
    pub accounts: Arc<Accounts>,
    pub operations: Operations,
    pub limiter: RateLimiter,
    pub operator_secret: OperatorSecret,
    /// What is left out or done later under load.
    pub degradation: Arc<Degradation>,
    /// The line of those who identify.
    pub identify_line: Arc<IdentifyLine>,
    pub(crate) starts: SessionStarts,
    pub(crate) session_config: Arc<SessionConfig>,
    pub(crate) clock: Clock,
    /// Sockets, sessions and what they started.
    pub(crate) tasks: TaskTracker,
    /// Places for connections.
    pub(crate) admission: Arc<Admission>,
    /// Nobody new is taken.
    pub(crate) draining: CancellationToken,
    /// Whoever is still here is closed.
    pub(crate) closing: CancellationToken,
    pub(crate) gateway_url: String,
    pub(crate) webtransport: Option<WebTransportPlace>,
}

/// Where WebTransport answers, and what it shows.
pub struct WebTransportPlace {
    /// What clients are told, without path: `https://gateway.example.org:8443`.
    pub url: String,
    pub certificates: Arc<Certificates>,
}

/// How much a region does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// With a connection, or waiting for RESUME.
    pub sessions: u32,
    /// DMs included.
    pub guilds_loaded: u32,
    pub users_loaded: u32,
    pub draining: bool,
    pub load_level: Level,
}

impl Region {
    /// The region's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Where clients connect, without a trailing slash.
    pub fn gateway_url(&self) -> &str {
        &self.gateway_url
    }

    /// Where clients connect by WebTransport, if they can.
    pub const fn webtransport(&self) -> Option<&WebTransportPlace> {
        self.webtransport.as_ref()
    }

    /// What the region does at the moment.
    pub fn figures(&self) -> Figures {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Figures {
            sessions: count(self.sessions.count()),
            guilds_loaded: count(self.owners.guilds_loaded()),
            users_loaded: count(self.owners.users_loaded()),
            draining: self.draining.is_cancelled(),
            load_level: self.degradation.level(),
        }
    }

    /// Whether the region takes calls and sessions: it is not draining, and its store takes writes.
    pub fn is_ready(&self) -> bool {
        !self.draining.is_cancelled() && self.store.health().writable
    }

    /// Whether sessions go on in the next process.
    pub(crate) const fn keeps_sessions(&self) -> bool {
        self.config.gateway.sessions_dir.is_some()
    }

    /// How often an account may still start a session.
    pub fn session_starts(&self, user_id: UserId) -> StartsLeft {
        self.starts.left(now_ms(), user_id)
    }

    /// Closes a user's live sessions with 4004: all of them, or those of one device. Their tokens are void already.
    pub async fn revoke(&self, user_id: UserId, device: Option<DeviceId>) {
        for session in self.sessions.of_user(user_id) {
            if device.is_none_or(|device| session.device == device) {
                session.signal(Signal::Revoked);
            }
        }
    }

    /// Sends an event to a user's own sessions.
    pub async fn dispatch_to_user(&self, user_id: UserId, event: Event) {
        self.owners.deliver_to_user(user_id, event);
    }

    /// Tells a user's sessions, and the guilds that they are in, of a changed name or avatar.
    pub async fn user_updated(&self, account: &Account) {
        let user_id = account.user.id;
        self.owners.deliver_to_user(user_id, Event::UserUpdate(Box::new(account.current_user())));
        match self.places_of(user_id).await {
            Ok(places) => {
                let user = Arc::new(account.user.clone());
                for place in places {
                    place.user_updated(Arc::clone(&user));
                }
            }
            Err(error) => tracing::warn!(%error, "guilds that are loaded do not hear of a changed user"),
        }
    }

    /// The owners of everything that knows the user by name.
    async fn places_of(&self, user_id: UserId) -> Result<Vec<GuildHandle>, ApiError> {
        let mut places = Vec::new();
        for id in self.store.guilds_of_user(user_id).await.map_err(from_store)? {
            places.push(self.owners.guild(id).await?);
        }
        for id in self.store.dms_of_user(user_id).await.map_err(from_store)? {
            places.push(self.owners.dm(id).await?);
        }
        Ok(places)
    }

    /// Tells those outside of a guild what happened to them; for outcomes that no owner handled, such as a new guild's.
    pub fn carry(&self, effects: Vec<Effect>) {
        self.owners.carry(effects);
    }

    /// Takes no new connections and asks every session to go elsewhere, a few at a time; how many there are.
    pub fn start_drain(self: &Arc<Self>) -> u32 {
        let sessions = self.figures().sessions;
        if !self.draining.is_cancelled() {
            self.draining.cancel();
            let region = Arc::clone(self);
            self.tasks.spawn(async move { region.ask_to_reconnect().await });
        }
        sessions
    }

    /// Sends RECONNECT to all, spread over half of the time that a drain may take.
    ///
    /// In no order and with uneven pauses: otherwise the shards of one bot, or all who came back from an earlier storm in
    /// step, would come to the next process in step as well.
    async fn ask_to_reconnect(&self) {
        const STEPS: usize = 20;
        let mut sessions = self.sessions.all();
        sessions.shuffle(&mut rand::rng());
        let pause = crate::config::ms(self.config.gateway.drain_timeout_ms / 2) / STEPS as u32;
        let mut steps = sessions.chunks(sessions.len().div_ceil(STEPS).max(1)).peekable();
        while let Some(step) = steps.next() {
            step.iter().for_each(|session| session.signal(Signal::Reconnect));
            if steps.peek().is_some() {
                tokio::select! {
                    () = self.closing.cancelled() => return,
                    () = tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))) => {}
                }
            }
        }
    }
}
