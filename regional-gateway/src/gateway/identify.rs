//! IDENTIFY and RESUME: from a connection to a session.

use std::sync::Arc;

use rookery_guild::Subscriber;
use rookery_model::gateway::event::{Ready, ReadyApplication, ReadyAuth};
use rookery_model::gateway::{CloseCode, Identify, Intents, Resume, Shard};
use rookery_model::user::Application;
use rookery_model::{ApiError, ApplicationId, ErrorCode};
use rookery_session::{Connection, Session, SessionInit};
use rookery_user::{SessionClient, UserSession};
use tracing::Instrument as _;

use super::identify_line::{Place, TurnedAway};
use super::input::{AskedAt, Attach, Control, Input};
use super::registry::{SessionHandle, SessionId};
use super::session_task::SessionTask;
use super::socket::Socket;
use super::starts::{StartRefused, Starter};
use crate::Region;
use crate::accounts::Identity;
use crate::errors::from_store;
use crate::id_generator::now_ms;

/// Bounds of `large_threshold` in IDENTIFY, members; the lower one is the default.
const LARGE_MIN: u32 = 50;
const LARGE_MAX: u32 = 250;

/// Characters kept of the name of a client's system, which the user's other clients are told.
const OS_MAX_CHARS: usize = 32;

/// What became of a connection.
pub enum Outcome {
    /// A session has it.
    HandedOver,
    /// It stays as it is: closed, or told to try again.
    Again(Box<Connection>, Socket),
}

/// Why no session came of an IDENTIFY.
enum Refusal {
    Close(CloseCode),
    /// INVALID SESSION: again, later.
    TryAgain,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        if error.is(ErrorCode::Unauthorized) {
            return Self::Close(CloseCode::AuthenticationFailed);
        }
        tracing::warn!(%error, "a session could not start");
        Self::Close(CloseCode::UnknownError)
    }
}

/// What was found out about the one who identifies.
struct Admitted {
    identity: Identity,
    application: Option<Application>,
    init: SessionInit,
}

impl Admitted {
    fn starter(&self) -> Starter {
        Starter::of(self.identity.is_bot(), self.init.shard)
    }
}

/// Starts a session; its place is free again when READY is on its way.
pub async fn identify(
    region: &Arc<Region>,
    mut connection: Connection,
    socket: Socket,
    request: &Identify,
    place: Place,
) -> Outcome {
    let admitted = admit(region, request).await;
    let started = match admitted {
        Ok(admitted) => {
            let (user_id, starter) = (admitted.identity.user_id(), admitted.starter());
            let started = start(region, &connection, admitted, request).await;
            if let Err(Refusal::Close(CloseCode::UnknownError)) = started {
                region.starts.give_back(user_id, starter);
            }
            started
        }
        Err(refusal) => Err(refusal),
    };
    match started {
        Ok(start) => {
            run(region, start, connection, socket, request, place).await;
            Outcome::HandedOver
        }
        Err(refusal) => {
            match refusal {
                Refusal::Close(code) => connection.close(code),
                Refusal::TryAgain => connection.invalid_session(region.clock.now_ms(), false),
            }
            Outcome::Again(Box::new(connection), socket)
        }
    }
}

async fn admit(region: &Region, request: &Identify) -> Result<Admitted, Refusal> {
    let identity = region.accounts.authenticate(request.token.bare(), None).await?;
    let user_id = identity.user_id();
    let is_bot = identity.is_bot();
    let application =
        if is_bot { region.store.application(ApplicationId(user_id.0)).await.map_err(from_store)? } else { None };
    let granted = application.as_ref().map_or(Intents::empty(), |application| granted(application.flags));
    let init = SessionInit::from_identify("", user_id, is_bot, granted, request).map_err(Refusal::Close)?;
    let shard = init.shard.unwrap_or(Shard::WHOLE);
    if is_bot {
        let guilds = region.store.guilds_of_user(user_id).await.map_err(from_store)?;
        let on_shard = guilds.iter().filter(|guild_id| shard.holds_guild(**guild_id)).count();
        if on_shard > region.config.gateway.guilds_per_shard_max as usize {
            return Err(Refusal::Close(CloseCode::ShardingRequired));
        }
    }
    match region.starts.take(now_ms(), user_id, Starter::of(is_bot, init.shard)) {
        Ok(()) => Ok(Admitted { identity, application, init }),
        Err(StartRefused::TooFast) => Err(Refusal::TryAgain),
        Err(StartRefused::Spent) => Err(Refusal::Close(CloseCode::RateLimited)),
    }
}

/// The privileged intents that an application's flags grant, in full or limited.
fn granted(flags: u64) -> Intents {
    let pairs = [
        (Intents::GUILD_PRESENCES, 1 << 12 | 1 << 13),
        (Intents::GUILD_MEMBERS, 1 << 14 | 1 << 15),
        (Intents::MESSAGE_CONTENT, 1 << 18 | 1 << 19),
    ];
    pairs.into_iter().filter(|(_, bits)| flags & bits != 0).map(|(intent, _)| intent).collect()
}

/// Looks again, now that a revocation or a drain would find the session.
async fn still_valid(region: &Region, identity: &Identity) -> Result<(), Refusal> {
    if region.draining.is_cancelled() {
        return Err(Refusal::Close(CloseCode::UnknownError));
    }
    let account = region.accounts.get(identity.user_id()).await?.ok_or(ApiError::from(ErrorCode::Unauthorized))?;
    if account.token_epoch == identity.epoch && !account.revoked_devices.contains(&identity.device) {
        Ok(())
    } else {
        Err(Refusal::Close(CloseCode::AuthenticationFailed))
    }
}

/// A session that is registered and does not run yet.
struct Registered {
    handle: Arc<SessionHandle>,
    init: SessionInit,
    ready: Box<Ready>,
    subscriber: UserSession,
    is_bot: bool,
}

async fn start(
    region: &Region,
    connection: &Connection,
    admitted: Admitted,
    request: &Identify,
) -> Result<Registered, Refusal> {
    let Admitted { identity, application, mut init } = admitted;
    let user_id = identity.user_id();
    let registered = region.sessions.register(user_id, identity.device);
    let handle = registered.ok_or(Refusal::Close(CloseCode::RateLimited))?;
    // A token that was revoked before the session could be found is void now, one that is revoked from here on closes it.
    if let Err(refusal) = still_valid(region, &identity).await {
        region.sessions.remove(&handle);
        return Err(refusal);
    }
    init.session_id = handle.id.to_string().into();
    let ready = ready(region, connection, &identity, application.as_ref(), &init);
    let subscriber = UserSession {
        id: handle.subscriber,
        device: identity.device,
        epoch: identity.epoch,
        intents: init.intents,
        shard: init.shard.map(|shard| [shard.id, shard.count]),
        client: client(request, identity.is_bot()),
    };
    Ok(Registered { handle, init, ready, subscriber, is_bot: identity.is_bot() })
}

/// What the client runs on and says of its user's presence.
fn client(request: &Identify, is_bot: bool) -> SessionClient {
    SessionClient {
        kind: request.properties.client_kind(is_bot),
        os: request.properties.os.chars().take(OS_MAX_CHARS).collect(),
        presence: request.presence.clone().map(Box::new),
    }
}

async fn run(
    region: &Arc<Region>,
    start: Registered,
    connection: Connection,
    socket: Socket,
    request: &Identify,
    place: Place,
) {
    let Registered { handle, init, ready, subscriber, is_bot } = start;
    metrics::counter!("rookery_gateway_identifies_total").increment(1);
    let span =
        tracing::info_span!("session", region = region.name(), session_id = %handle.id, user_id = %handle.user_id);
    span.in_scope(|| tracing::debug!(encoding = ?connection.params().encoding, shard = ?init.shard, "identified"));
    let session = Session::new(init, connection);
    let to_guilds = Subscriber {
        id: handle.subscriber,
        user_id: handle.user_id,
        intents: session.intents(),
        large_threshold: request.large_threshold.unwrap_or(LARGE_MIN).clamp(LARGE_MIN, LARGE_MAX),
        capabilities: request.capabilities(),
    };
    let task = SessionTask::new(
        Arc::clone(region),
        Arc::clone(&handle),
        session,
        socket,
        is_bot,
        to_guilds,
        subscriber.clone(),
    );
    handle.start(Box::new(task.asking_for(ready.clone()))).await;
    let question = handle.begin_to_ask();
    let begin = begin(Arc::clone(region), handle, subscriber, ready, is_bot, question, Some(place));
    region.tasks.spawn(begin.instrument(span));
}

/// Asks the owner of a session's user for READY, when it can be reached. While it cannot, a place among those who are
/// worked on is another's.
pub async fn begin(
    region: Arc<Region>,
    handle: Arc<SessionHandle>,
    subscriber: UserSession,
    ready: Box<Ready>,
    is_bot: bool,
    question: u32,
    mut place: Option<Place>,
) {
    let mut from = AskedAt::Nowhere;
    let asked = async {
        let owner = region.owners.user(handle.user_id).await?;
        if !owner.is_in_reach() {
            place = None;
            owner.in_reach().await?;
        }
        if place.is_none() {
            place = Some(region.identify_line.enter().await.map_err(|TurnedAway| ErrorCode::Unavailable)?);
        }
        from = owner.asked();
        if !handle.note_asked(question, from) {
            return Ok(());
        }
        owner.subscribe(&handle, &subscriber, ready, is_bot).await
    };
    if let Err(error) = asked.await
        && handle.question() == question
    {
        handle.send(Input::Control(Control::NotReady(from, Box::new(error)))).await;
    }
    drop(place);
}

/// READY without guilds, DMs and read states, which the user's owner adds.
fn ready(
    region: &Region,
    connection: &Connection,
    identity: &Identity,
    application: Option<&Application>,
    init: &SessionInit,
) -> Box<Ready> {
    Box::new(Ready {
        v: connection.params().version,
        user: identity.account.current_user(),
        guilds: Vec::new(),
        session_id: init.session_id.to_string(),
        resume_gateway_url: region.gateway_url().to_owned(),
        session_type: "normal".into(),
        shard: init.shard.map(|shard| [shard.id, shard.count]),
        application: application.map(|application| ReadyApplication { id: application.id, flags: application.flags }),
        private_channels: Vec::new(),
        relationships: Vec::new(),
        presences: Vec::new(),
        sessions: Vec::new(),
        geo_ordered_rtc_regions: Vec::new(),
        auth: ReadyAuth {},
        user_settings: ReadyAuth {},
        read_state: None,
        trace: vec![region.name().to_owned()],
    })
}

/// Hands a connection to the session that its client names.
pub async fn resume(region: &Arc<Region>, mut connection: Connection, socket: Socket, request: &Resume) -> Outcome {
    match find(region, request).await {
        Ok(session) => {
            let attach = Box::new(Attach { connection, socket, seq: request.seq });
            let Err(attach) = session.attach(attach) else { return Outcome::HandedOver };
            let Attach { mut connection, socket, .. } = *attach;
            // It has too much to do at this moment, or just ended: the next attempt finds out which.
            connection.invalid_session(region.clock.now_ms(), true);
            return Outcome::Again(Box::new(connection), socket);
        }
        Err(Refusal::Close(code)) => connection.close(code),
        Err(Refusal::TryAgain) => {
            metrics::counter!("rookery_gateway_resumes_total", "result" => "unknown").increment(1);
            connection.invalid_session(region.clock.now_ms(), false);
        }
    }
    Outcome::Again(Box::new(connection), socket)
}

async fn find(region: &Region, request: &Resume) -> Result<Arc<SessionHandle>, Refusal> {
    let identity = region.accounts.authenticate(request.token.bare(), None).await?;
    let id: SessionId = request.session_id.parse().map_err(|_| Refusal::TryAgain)?;
    // Somebody else's session is as unknown as one that never was, and so is one of another device: a device that is
    // signed out later must not have left its sessions to a token that stays.
    let is_theirs =
        |session: &Arc<SessionHandle>| session.user_id == identity.user_id() && session.device == identity.device;
    region.sessions.get(id).filter(is_theirs).ok_or(Refusal::TryAgain)
}
