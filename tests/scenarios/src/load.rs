//! People and bots who talk, and readers who look what is there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use rookery_model::{ChannelId, MessageId};
use rookery_test_history::{Client, History, Window};
use rookery_tests::{Answer, Person};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::deployment::Layout;
use crate::scene::{Member, Scene};

/// Messages that may be on their way at once; beyond, saying more has no point.
const UNDER_WAY_MAX: u32 = 512;
/// How long a client waits for an answer before it looks for another point of presence.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long somebody tries to get a message through.
const SAY_PATIENCE: Duration = Duration::from_secs(45);
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// One in so many messages goes into a hidden channel.
const HIDDEN_ONE_IN: u64 = 8;
/// Between two pages that a region's reader asks for.
const READ_PAUSE: Duration = Duration::from_millis(200);
const PAGE: usize = 100;
/// Clients of the history that only read.
const FIRST_READER: u64 = 1_000_000;
const FIRST_OBSERVER: u64 = 2_000_000;

/// One attempt to say something.
#[derive(Clone, Debug)]
pub struct Post {
    pub room: usize,
    pub channel_id: u64,
    pub author: usize,
    pub began: Instant,
    pub ended: Instant,
    pub content: String,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged as this message.
    Acknowledged(u64),
    /// Refused before anything was done, as the status says.
    Refused(u16),
    /// Nobody knows.
    Unknown(String),
}

impl Post {
    /// The message's id, where it was acknowledged.
    pub fn message_id(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Acknowledged(id) => Some(id),
            _ => None,
        }
    }
}

struct Shared {
    scene: Arc<Scene>,
    layout: Arc<Layout>,
    history: History,
    posts: Mutex<Vec<Post>>,
    /// Things said for which no attempt was acknowledged.
    given_up: Mutex<Vec<String>>,
    /// Not begun, because too many were under way.
    left_out: Mutex<usize>,
}

/// What a load that is over left.
pub struct Said {
    pub history: History,
    pub posts: Vec<Post>,
    pub given_up: Vec<String>,
    pub left_out: usize,
}

/// Load that goes on until it is told to end.
pub struct Load {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    under_way: Arc<Semaphore>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins: so many messages a second over all guilds, each by some member of its guild.
    pub fn start(layout: &Arc<Layout>, scene: &Arc<Scene>, per_second: f64, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            scene: scene.clone(),
            layout: layout.clone(),
            history: History::new(),
            posts: Mutex::default(),
            given_up: Mutex::default(),
            left_out: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let under_way = Arc::new(Semaphore::new(UNDER_WAY_MAX as usize));
        let mut tasks = vec![tokio::spawn(talk(shared.clone(), under_way.clone(), stopped.clone(), per_second, seed))];
        for region in 0..layout.regions.len() {
            tasks.push(tokio::spawn(read_on(shared.clone(), stopped.clone(), region, seed)));
        }
        Self { shared, stop, under_way, tasks }
    }

    /// What is noted so far.
    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// How many messages were acknowledged in guilds of these homes since a moment.
    pub fn acknowledged_since(&self, since: Instant, homes: &[usize]) -> usize {
        let posts = lock(&self.shared.posts);
        let is_new = |post: &&Post| post.ended >= since && post.message_id().is_some();
        posts.iter().filter(is_new).filter(|post| homes.contains(&self.shared.scene.rooms[post.room].home)).count()
    }

    /// Waits until so many more messages are acknowledged in guilds of these homes; whether they were in time.
    pub async fn wait_for_more(&self, homes: &[usize], more: usize, patience: Duration) -> bool {
        let since = Instant::now();
        let mut poll = interval(Duration::from_millis(50));
        while since.elapsed() < patience {
            poll.tick().await;
            if self.acknowledged_since(since, homes) >= more {
                return true;
            }
        }
        false
    }

    /// Ends the load; what was begun comes to its end first.
    pub async fn end(self) -> Said {
        self.stop.send_replace(true);
        for task in self.tasks {
            let _ = task.await;
        }
        // Everybody who talks holds one.
        let _all = self.under_way.acquire_many(UNDER_WAY_MAX).await;
        let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *lock(list));
        Said {
            history: self.shared.history.clone(),
            posts: std::mem::take(&mut *lock(&self.shared.posts)),
            given_up: take(&self.shared.given_up),
            left_out: *lock(&self.shared.left_out),
        }
    }
}

fn lock<T>(list: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn talk(
    shared: Arc<Shared>,
    under_way: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
    per_second: f64,
    seed: u64,
) {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut pace = interval(Duration::from_secs_f64(1.0 / per_second));
    // A machine that was busy does not talk in bursts.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0_u64.. {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = pace.tick() => {}
        }
        let Ok(permit) = under_way.clone().try_acquire_owned() else {
            *lock(&shared.left_out) += 1;
            continue;
        };
        let room = usize::try_from(number).unwrap_or_default() % shared.scene.rooms.len();
        let is_hidden = dice.random_ratio(1, HIDDEN_ONE_IN as u32);
        let members = &shared.scene.rooms[room].members;
        let speakers: Vec<usize> =
            members.iter().copied().filter(|member| !is_hidden || shared.scene.members[*member].is_insider).collect();
        let author = speakers[dice.random_range(0..speakers.len())];
        let channel_id = if is_hidden { shared.scene.rooms[room].hidden } else { shared.scene.rooms[room].open };
        let shared = shared.clone();
        tokio::spawn(async move {
            let _permit = permit;
            say(&shared, room, channel_id, author, &format!("number {number}"), SAY_PATIENCE).await;
        });
    }
}

/// Tries to say something, at one point of presence after the other, until it is acknowledged; the message's id.
///
/// Every attempt has a text of its own: one whose answer did not come may have become a message too.
async fn say(
    shared: &Shared,
    room: usize,
    channel_id: u64,
    author: usize,
    words: &str,
    patience: Duration,
) -> Option<u64> {
    let member = &shared.scene.members[author];
    let apis = shared.layout.apis_from(member.at);
    let first = Instant::now();
    let mut last = String::new();
    for attempt in 0.. {
        let api = &apis[attempt % apis.len()];
        let content = format!("{words} of {author}, attempt {attempt}");
        let pending = shared.history.post(Client(author as u64), ChannelId::new(channel_id), content.clone());
        let began = Instant::now();
        let outcome = post(&member.person.at(api), channel_id, &content).await;
        match &outcome {
            Outcome::Acknowledged(id) => pending.ok(MessageId::new(*id)),
            // Beside 4xx only 503 says that nothing was done; the history takes it at its word.
            Outcome::Refused(_) => pending.failed(),
            Outcome::Unknown(why) => {
                last.clone_from(why);
                pending.unknown();
            }
        }
        if let Outcome::Refused(status) = &outcome {
            last = format!("{status} from {api}");
        }
        let id = match outcome {
            Outcome::Acknowledged(id) => Some(id),
            _ => None,
        };
        lock(&shared.posts).push(Post { room, channel_id, author, began, ended: Instant::now(), content, outcome });
        if id.is_some() {
            return id;
        }
        if first.elapsed() >= patience {
            break;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    lock(&shared.given_up).push(format!("{words} in channel {channel_id}: {last}"));
    None
}

async fn post(person: &Person, channel_id: u64, content: &str) -> Outcome {
    let body = json!({ "content": content });
    let path = format!("/channels/{channel_id}/messages");
    let asked = timeout(ANSWER_PATIENCE, person.ask(Method::POST, &path, Some(&body))).await;
    match asked {
        Ok(Ok(answer)) => outcome(&answer),
        Ok(Err(error)) if is_unsent(&error) => Outcome::Refused(0),
        Ok(Err(error)) => Outcome::Unknown(format!("{error:#}")),
        Err(_) => Outcome::Unknown("no answer in time".into()),
    }
}

/// Nobody listens there: nothing was sent.
fn is_unsent(error: &anyhow::Error) -> bool {
    error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
}

fn outcome(answer: &Answer) -> Outcome {
    match (answer.status, answer.body["id"].as_str().and_then(|id| id.parse().ok())) {
        (200, Some(id)) => Outcome::Acknowledged(id),
        (status @ 400..500, _) => Outcome::Refused(status),
        // Also 503: a region that was reached may have died behind the call.
        (status, _) => Outcome::Unknown(format!("{status} {}", answer.body)),
    }
}

/// Reads newest pages through one region's points of presence, for the history to judge.
async fn read_on(shared: Arc<Shared>, mut stop: watch::Receiver<bool>, region: usize, seed: u64) {
    let mut dice = StdRng::seed_from_u64(seed ^ (region as u64 + 1));
    let readers: Vec<&Member> = shared.scene.members.iter().filter(|member| member.at == region).collect();
    if readers.is_empty() {
        return;
    }
    let mut pace = interval(READ_PAUSE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let client = Client(FIRST_READER + region as u64);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            _ = pace.tick() => {}
        }
        let member = readers[dice.random_range(0..readers.len())];
        let channel_id = shared.scene.rooms[member.room].open;
        // What fails is not what readers are about.
        let _ = page(&shared.history, client, &member.person, channel_id, None).await;
    }
}

/// A page, noted in the history: the newest, or those before a message.
async fn page(
    history: &History,
    client: Client,
    person: &Person,
    channel_id: u64,
    before: Option<u64>,
) -> anyhow::Result<Vec<(u64, String)>> {
    let window = before.map_or(Window::Latest, |id| Window::Before(MessageId::new(id)));
    let pending = history.read(client, ChannelId::new(channel_id), window, PAGE);
    let before = before.map(|id| format!("&before={id}")).unwrap_or_default();
    let path = format!("/channels/{channel_id}/messages?limit={PAGE}{before}");
    let answer = timeout(ANSWER_PATIENCE, person.ask(Method::GET, &path, None)).await.context("no page in time")??;
    let page = answer.success()?;
    let messages = page.as_array().context("a page is a list")?;
    let message = |message: &Value| {
        let id = message["id"].as_str()?.parse::<u64>().ok()?;
        Some((id, message["content"].as_str()?.to_owned()))
    };
    let found: Vec<(u64, String)> =
        messages.iter().map(message).collect::<Option<_>>().context("messages have id and content")?;
    pending.page(found.iter().map(|(id, content)| (MessageId::new(*id), content.clone())));
    Ok(found)
}

/// All of a channel through one region's point of presence, oldest first; tried until it answers or the time is up.
pub async fn read_all(
    history: &History,
    observer: usize,
    person: &Person,
    channel_id: u64,
    patience: Duration,
) -> anyhow::Result<Vec<(u64, String)>> {
    let client = Client(FIRST_OBSERVER + observer as u64);
    let first = Instant::now();
    let mut all: Vec<(u64, String)> = Vec::new();
    loop {
        let before = all.last().map(|(id, _)| *id);
        match page(history, client, person, channel_id, before).await {
            Ok(found) => {
                let is_last = found.len() < PAGE;
                all.extend(found);
                if is_last {
                    all.reverse();
                    return Ok(all);
                }
            }
            Err(error) if first.elapsed() >= patience => return Err(error),
            Err(_) => tokio::time::sleep(RETRY_PAUSE).await,
        }
    }
}

/// Says one thing in each channel after the load, for everybody to hear: behind it nothing is on its way any more.
pub async fn last_words(
    layout: &Arc<Layout>,
    scene: &Arc<Scene>,
    said: &mut Said,
    words: &str,
) -> Vec<(u64, Option<u64>)> {
    let shared = Shared {
        scene: scene.clone(),
        layout: layout.clone(),
        history: said.history.clone(),
        posts: Mutex::default(),
        given_up: Mutex::default(),
        left_out: Mutex::default(),
    };
    let sayings = scene.rooms.iter().enumerate().flat_map(|(room, place)| {
        // A bot sees all channels of its guild.
        let bot = place.members[0];
        let shared = &shared;
        [place.open, place.hidden]
            .map(|channel| async move { (channel, say(shared, room, channel, bot, words, SAY_PATIENCE).await) })
    });
    let spoken = futures_util::future::join_all(sayings).await;
    said.posts.append(&mut lock(&shared.posts));
    said.given_up.append(&mut lock(&shared.given_up));
    spoken
}
