//! A client of the gateway as unmodified libraries are: it heartbeats, resumes, identifies anew when it must, finds another
//! region when its own is gone, and writes down what came.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use rookery_tests::{Arrival, Gateway, Person, intents};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::deployment::Layout;
use crate::journal::{Back, Cause, How, Journal, Outage, What};
use crate::scene::{Kind, Member, Scene};

/// Clients that start at the same time; later they come as they come.
const STARTED_TOGETHER: usize = 64;
/// How long an attempt to connect, up to HELLO, may take.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long READY or RESUMED may take from there.
const SESSION_PATIENCE: Duration = Duration::from_secs(15);
const ASK_PATIENCE: Duration = Duration::from_secs(5);
const LEAVE_PATIENCE: Duration = Duration::from_secs(1);
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Before IDENTIFY follows on an invalid session; the API asks for one to five seconds.
const INVALID_PAUSE_MS: std::ops::Range<u64> = 1_000..2_500;
/// Shorter than what HELLO asks for, so that a silent connection is noticed within a scenario.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// All clients of a scenario.
pub struct Audience {
    journals: Vec<Arc<Mutex<Journal>>>,
    tasks: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    /// How often everybody was cut off.
    cuts: watch::Sender<u64>,
}

impl Audience {
    /// Connects one client for each member.
    ///
    /// Where nobody answers at a session's `resume_gateway_url` they try there for so long, before they ask for another
    /// gateway. Libraries do not ask: it stands for the name servers that send the name of a dead region elsewhere.
    pub fn connect(layout: &Arc<Layout>, scene: &Scene, url_patience: Duration) -> Self {
        let ((stop, _), (cuts, _)) = (watch::channel(false), watch::channel(0));
        let starts = Arc::new(Semaphore::new(STARTED_TOGETHER));
        let mut audience = Self { journals: Vec::new(), tasks: Vec::new(), stop, cuts };
        for (number, member) in scene.members.iter().enumerate() {
            let journal = Arc::<Mutex<Journal>>::default();
            let cut = audience.cuts.subscribe();
            let client = Client::new(number, member, layout.clone(), journal.clone(), url_patience, cut);
            let (mut stopped, starts) = (audience.stop.subscribe(), starts.clone());
            audience.tasks.push(tokio::spawn(async move {
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => {}
                    () = client.run(starts) => {}
                }
            }));
            audience.journals.push(journal);
        }
        audience
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.journals.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.journals.is_empty()
    }

    /// One client's journal, as far as it is.
    pub fn journal(&self, number: usize) -> MutexGuard<'_, Journal> {
        lock(&self.journals[number])
    }

    /// The clients for whom this is not true yet.
    pub fn without(&self, is_true: impl Fn(usize, &Journal) -> bool) -> Vec<usize> {
        (0..self.len()).filter(|number| !is_true(*number, &self.journal(*number))).collect()
    }

    /// Waits until this is true for all clients; those for whom it is not when the time is up.
    pub async fn wait(&self, patience: Duration, is_true: impl Fn(usize, &Journal) -> bool) -> Vec<usize> {
        let mut poll = tokio::time::interval(Duration::from_millis(50));
        let until = Instant::now() + patience;
        loop {
            poll.tick().await;
            let left = self.without(&is_true);
            if left.is_empty() || Instant::now() >= until {
                return left;
            }
        }
    }

    /// Breaks every connection at once, without a word; all come back as they can.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Cuts all connections and returns the journals.
    pub async fn leave(self) -> Vec<Journal> {
        self.stop.send_replace(true);
        for task in self.tasks {
            // A client that panicked has a journal up to there, and the verdict shows what is missing.
            let _ = task.await;
        }
        self.journals.iter().map(|journal| lock(journal).clone()).collect()
    }
}

fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a RESUME needs.
struct Session {
    ready: Value,
    seq: u64,
}

struct Client {
    person: Person,
    kind: Kind,
    apis: Vec<String>,
    layout: Arc<Layout>,
    journal: Arc<Mutex<Journal>>,
    url_patience: Duration,
    cut: watch::Receiver<u64>,
    random: StdRng,
    session: Option<Session>,
}

impl Client {
    fn new(
        number: usize,
        member: &Member,
        layout: Arc<Layout>,
        journal: Arc<Mutex<Journal>>,
        url_patience: Duration,
        cut: watch::Receiver<u64>,
    ) -> Self {
        Self {
            person: member.person.clone(),
            kind: member.kind,
            apis: layout.apis_from(member.at),
            layout,
            journal,
            url_patience,
            cut,
            random: StdRng::seed_from_u64(number as u64),
            session: None,
        }
    }

    async fn run(mut self, starts: Arc<Semaphore>) {
        let mut turn = starts.acquire_owned().await.ok();
        let mut lost = Instant::now();
        loop {
            let (gateway, url) = self.connect(lost).await;
            let cause = self.follow(gateway, &url, &mut turn).await;
            lost = Instant::now();
            let is_over = self.note(lost, &cause);
            if is_over {
                return;
            }
        }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    /// Writes down how the connection ended and forgets a session that is gone; whether the client gives up.
    fn note(&mut self, at: Instant, cause: &Cause) -> bool {
        let mut journal = lock(&self.journal);
        let has_lived = !journal.lives.is_empty();
        // A connection that never had a session belongs to the outage that it was to end.
        match journal.outages.last_mut() {
            Some(outage) if outage.back.is_none() => {
                outage.failed.push(cause.clone());
            }
            _ if !has_lived => {}
            _ => journal.outages.push(Outage {
                began: at,
                cause: cause.clone(),
                unanswered: 0,
                failed: Vec::new(),
                back: None,
            }),
        }
        let (keeps, is_fatal) = match cause {
            Cause::Reconnect | Cause::Broken | Cause::Silent | Cause::Invalid { resumable: true } => (true, false),
            Cause::Invalid { resumable: false } => (false, false),
            // A session that the server forgot, by the API's table of close codes.
            Cause::Closed(1000 | 4003 | 4007 | 4009) => (false, false),
            Cause::Closed(4004 | 4010..=4014) => (false, true),
            Cause::Closed(_) => (true, false),
        };
        if is_fatal {
            journal.offences.push(format!("closed with {cause:?}, which no client comes back from"));
        }
        if !keeps {
            journal.end_life(at);
            self.session = None;
        }
        is_fatal
    }

    /// Tries until somebody takes RESUME or IDENTIFY; both are sent, not answered.
    async fn connect(&mut self, lost: Instant) -> (Gateway, String) {
        if self.was_refused() {
            let pause = self.random.random_range(INVALID_PAUSE_MS);
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let mut pause = PAUSE_FIRST;
        loop {
            match self.attempt(lost).await {
                Ok(found) => return found,
                Err(_) => {
                    if let Some(outage) = self.journal().outages.last_mut() {
                        outage.unanswered += 1;
                    }
                }
            }
            let jitter = self.random.random_range(0.5..1.5);
            tokio::time::sleep(pause.mul_f64(jitter)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whether the last word of the server was that the session is invalid.
    fn was_refused(&self) -> bool {
        let journal = self.journal();
        let last = journal.outages.last().map(|outage| outage.failed.last().unwrap_or(&outage.cause));
        matches!(last, Some(Cause::Invalid { .. }))
    }

    async fn attempt(&self, lost: Instant) -> anyhow::Result<(Gateway, String)> {
        let resume_url = self.session.as_ref().and_then(|session| session.ready["resume_gateway_url"].as_str());
        let url = match resume_url {
            Some(url) if lost.elapsed() < self.url_patience => url.to_owned(),
            _ => self.find_gateway().await?,
        };
        let trying = async {
            match &self.session {
                Some(session) => Gateway::resume_at(&url, &self.person.token, &session.ready, session.seq).await,
                None => {
                    let mut gateway = Gateway::open(&url).await?;
                    gateway.identify(&self.person.token, &self.fields()).await?;
                    Ok(gateway)
                }
            }
        };
        let gateway = timeout(CONNECT_PATIENCE, trying).await.context("no HELLO in time")??;
        Ok((gateway, url))
    }

    fn fields(&self) -> Value {
        match self.kind {
            Kind::Person => json!({}),
            Kind::Bot => json!({ "intents": intents::GUILDS | intents::GUILD_MESSAGES | intents::MESSAGE_CONTENT }),
        }
    }

    /// Asks the nearest point of presence that answers.
    async fn find_gateway(&self) -> anyhow::Result<String> {
        let mut last = None;
        for api in &self.apis {
            let there = self.person.at(api);
            let asked = timeout(ASK_PATIENCE, there.ask(Method::GET, "/gateway", None));
            let answer = match asked.await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    last = Some(error);
                    continue;
                }
                Err(_) => continue,
            };
            match answer.body["url"].as_str() {
                Some(url) if answer.status == 200 => return Ok(url.to_owned()),
                _ => last = Some(anyhow::anyhow!("{api}: {answer:?}")),
            }
        }
        Err(last.context("no point of presence answers")?)
    }

    /// Reads until the connection is over.
    async fn follow(
        &mut self,
        mut gateway: Gateway,
        url: &str,
        turn: &mut Option<tokio::sync::OwnedSemaphorePermit>,
    ) -> Cause {
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut is_answered = true;
        let mut has_session = false;
        let patience = tokio::time::sleep(SESSION_PATIENCE);
        tokio::pin!(patience);
        loop {
            let arrival = tokio::select! {
                arrival = gateway.next() => arrival,
                _ = beat.tick() => {
                    let sent = gateway.send(&json!({ "op": 1, "d": gateway.seq })).await;
                    if !std::mem::replace(&mut is_answered, false) {
                        return Cause::Silent;
                    }
                    if sent.is_err() {
                        return Cause::Broken;
                    }
                    continue;
                }
                _ = self.cut.changed() => return Cause::Broken,
                () = &mut patience, if !has_session => return Cause::Silent,
            };
            let payload = match arrival {
                Ok(Arrival::Payload(payload)) => payload,
                Ok(Arrival::Closed(code)) => return code.map_or(Cause::Broken, Cause::Closed),
                Err(error) => {
                    self.journal().offences.push(format!("{error:#}"));
                    return Cause::Invalid { resumable: false };
                }
            };
            if let Some(session) = &mut self.session {
                session.seq = gateway.seq;
            }
            match payload["op"].as_u64() {
                Some(0) => {
                    if self.dispatch(&mut gateway, url, payload) {
                        has_session = true;
                        *turn = None;
                    }
                }
                Some(11) => is_answered = true,
                Some(1) => {
                    let _ = gateway.send(&json!({ "op": 1, "d": gateway.seq })).await;
                }
                Some(7) => {
                    // A close that keeps the session; the server may not wait for it.
                    let _ = timeout(LEAVE_PATIENCE, gateway.leave_for_now()).await;
                    return Cause::Reconnect;
                }
                Some(9) => return Cause::Invalid { resumable: payload["d"] == true },
                _ => self.journal().offences.push(format!("an unknown payload: {payload}")),
            }
        }
    }

    /// Writes an event down; whether it is the one that says that there is a session.
    fn dispatch(&mut self, gateway: &mut Gateway, url: &str, mut payload: Value) -> bool {
        let at = Instant::now();
        let data = payload["d"].take();
        let id = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let how = match payload["t"].as_str().unwrap_or_default() {
            "READY" => {
                let mut journal = lock(&self.journal);
                journal.begin(data["session_id"].as_str().unwrap_or_default(), at);
                gateway.ready = data;
                self.session = Some(Session { ready: gateway.ready.clone(), seq: gateway.seq });
                How::Identified
            }
            "RESUMED" => How::Resumed,
            "GUILD_CREATE" => {
                self.journal().see(at, What::Guild(id(&data["id"])));
                return false;
            }
            "GUILD_DELETE" => {
                let guild_id = id(&data["id"]);
                if data["unavailable"] != true {
                    self.journal().offences.push(format!("told to have left guild {guild_id}"));
                }
                self.journal().see(at, What::Away(guild_id));
                return false;
            }
            "MESSAGE_CREATE" => {
                let content = data["content"].as_str().unwrap_or_default().into();
                let what = What::Message { channel_id: id(&data["channel_id"]), id: id(&data["id"]), content };
                self.journal().see(at, what);
                return false;
            }
            _ => return false,
        };
        let region = self.layout.region_of_gateway(url);
        if let Some(outage) = self.journal().outages.last_mut().filter(|outage| outage.back.is_none()) {
            outage.back = Some(Back { at, how, region });
        }
        true
    }
}
