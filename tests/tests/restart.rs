//! A restart under live sessions: they RESUME on the new process, and no event is lost, repeated or out of order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use rookery_tests::{Arrival, Gateway, PATIENCE, Person, Proxy, Rookery};
use serde_json::{Value, json};
use tokio::sync::watch;

/// People who are connected, and the sessions that each of them has.
const USERS: usize = 50;
const SESSIONS_PER_USER: usize = 20;
/// How often the server is restarted while they listen.
const RESTARTS: usize = 2;
/// Messages between two restarts.
const MESSAGES: usize = 40;
const LAST_WORDS: &str = "that was all";
/// How long a client waits before it connects again; what is waited for is the new process.
const RETRY: Duration = Duration::from_millis(100);

const SETTINGS: [&str; 4] = ["--set", "limits=off", "--set", "gateway.drain_timeout_ms=6000"];

/// A server whose gateway keeps its address while processes come and go.
struct Stage {
    folder: tempfile::TempDir,
    proxy: Proxy,
    target: watch::Sender<Option<SocketAddr>>,
}

impl Stage {
    async fn prepare() -> anyhow::Result<Self> {
        let (proxy, target) = Proxy::start().await?;
        Ok(Self { folder: tempfile::tempdir()?, proxy, target })
    }

    fn url(&self) -> String {
        format!("ws://{}", self.proxy.address)
    }

    async fn start(&self) -> anyhow::Result<Rookery> {
        let public_url = format!("gateway.public_url={}", self.url());
        let args = [&SETTINGS[..], &["--set", &public_url]].concat();
        let rookery = Rookery::start(&self.folder.path().join("data"), &args).await?;
        self.target.send_replace(Some(rookery.gateway()?.trim_start_matches("ws://").parse()?));
        Ok(rookery)
    }

    /// What the process left for its successor, if it left something.
    fn left_sessions(&self) -> Vec<std::path::PathBuf> {
        let folder = self.folder.path().join("data").join("sessions");
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

/// What became of an attempt to resume.
enum Attempt {
    Resuming(Gateway),
    /// Nobody answers yet.
    Later,
}

/// Connects and sends RESUME.
async fn attempt(gateway: &Gateway) -> anyhow::Result<Attempt> {
    Ok(gateway.resumed_copy().await.map_or(Attempt::Later, Attempt::Resuming))
}

/// Contents of all messages up to the last words, over as many connections as it takes.
async fn follow(mut gateway: Gateway) -> anyhow::Result<Vec<String>> {
    let mut contents = Vec::new();
    loop {
        match gateway.next().await? {
            Arrival::Payload(payload) => match payload["op"].as_u64() {
                Some(0) if payload["t"] == "MESSAGE_CREATE" => {
                    let content = payload["d"]["content"].as_str().context("a message has a content")?;
                    if content == LAST_WORDS {
                        return Ok(contents);
                    }
                    contents.push(content.to_owned());
                }
                Some(7) => gateway = resume(gateway.leave_for_now().await?).await?,
                Some(9) => bail!("the session is lost after event {}: {payload}", gateway.seq),
                _ => {}
            },
            Arrival::Closed(_) => gateway = resume(gateway).await?,
        }
    }
}

/// Tries until somebody takes the connection.
async fn resume(gateway: Gateway) -> anyhow::Result<Gateway> {
    let mut tries = tokio::time::interval(RETRY);
    let tried = async {
        loop {
            tries.tick().await;
            if let Attempt::Resuming(next) = attempt(&gateway).await? {
                return anyhow::Ok(next);
            }
        }
    };
    tokio::time::timeout(PATIENCE, tried).await.context("nobody takes the session up")?
}

/// Says something until it is acknowledged once; while the process ends nobody knows whether an attempt counts.
async fn say(bot: &Person, channel_id: &str, content: &str) -> anyhow::Result<bool> {
    let body = json!({ "content": content });
    match bot.send(reqwest::Method::POST, &format!("/channels/{channel_id}/messages"), Some(&body)).await {
        Ok((status, _)) if status.is_success() => Ok(true),
        Ok((status, answer)) => {
            ensure!(status.as_u16() == 503, "{status} {answer}");
            Ok(false)
        }
        // Cut off in the middle.
        Err(_) => Ok(false),
    }
}

/// Every message that is stored, in its order.
async fn stored(bot: &Person, channel_id: &str) -> anyhow::Result<Vec<String>> {
    let mut newest_first: Vec<Value> = Vec::new();
    loop {
        let before = newest_first.last().map(|m| format!("&before={}", m["id"].as_str().unwrap_or_default()));
        let path = format!("/channels/{channel_id}/messages?limit=100{}", before.unwrap_or_default());
        let page = bot.get(&path).await?;
        let page = page.as_array().context("a list")?;
        if page.is_empty() {
            let texts = newest_first.iter().rev().filter_map(|m| m["content"].as_str().map(str::to_owned));
            return Ok(texts.collect());
        }
        newest_first.extend(page.iter().cloned());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sessions_lose_nothing() -> anyhow::Result<()> {
    let stage = Stage::prepare().await?;
    let mut rookery = stage.start().await?;
    let seed = rookery.seed(USERS).await?;
    let url: Arc<str> = stage.url().into();
    let tokens: Vec<String> = seed.users.iter().map(|user| user.1.clone()).collect();
    let mut following = Vec::new();
    for token in &tokens {
        let starts = (0..SESSIONS_PER_USER).map(|_| Gateway::start(&url, token, None));
        for gateway in try_join_all(starts).await? {
            following.push(tokio::spawn(follow(gateway)));
        }
    }
    let mut attempts = 0;
    for restart in 0..=RESTARTS {
        let bot = Person::bot(rookery.api()?, &seed.bot.0, &seed.bot.1);
        for n in 0..MESSAGES {
            ensure!(say(&bot, &seed.channel_id, &format!("{restart} {n}")).await?, "{restart} {n} is refused");
            attempts += 1;
        }
        if restart == RESTARTS {
            break;
        }
        // Somebody goes on talking until nobody answers.
        let channel_id = seed.channel_id.clone();
        let talking = tokio::spawn(async move {
            let mut n = 0;
            while say(&bot, &channel_id, &format!("{restart} until the end {n}")).await? {
                n += 1;
            }
            anyhow::Ok(n)
        });
        ensure!(rookery.terminate().await? == Some(0), "it does not end well");
        attempts += talking.await??;
        ensure!(!stage.left_sessions().is_empty(), "nothing is left for the successor");
        rookery = stage.start().await?;
        ensure!(stage.left_sessions().is_empty(), "what was left is taken up once");
    }
    let bot = Person::bot(rookery.api()?, &seed.bot.0, &seed.bot.1);
    let mut said = stored(&bot, &seed.channel_id).await?;
    // Those at the end of a process were stored or were not; the others all were.
    ensure!(said.len() >= attempts, "{attempts} messages acknowledged, {} stored", said.len());
    ensure!(say(&bot, &seed.channel_id, LAST_WORDS).await?);
    said.retain(|content| content != LAST_WORDS);
    for (n, session) in following.into_iter().enumerate() {
        let heard = session.await?.with_context(|| format!("session {n}; the server's log:\n{}", rookery.log()))?;
        ensure!(heard == said, "session {n} heard {heard:?}, said was {said:?}");
    }
    ensure!(rookery.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_costs_the_sessions_and_not_the_start() -> anyhow::Result<()> {
    let stage = Stage::prepare().await?;
    let rookery = stage.start().await?;
    let person = Person::register(rookery.api()?, "scratched").await?;
    let gateway = Gateway::start(&stage.url(), &person.token, None).await?;
    ensure!(rookery.terminate().await? == Some(0));
    let left = stage.left_sessions();
    ensure!(left.len() == 1, "{left:?}");
    let mut bytes = std::fs::read(&left[0])?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&left[0], bytes)?;
    let rookery = stage.start().await?;
    let mut gateway = resume(gateway).await?;
    let answer = gateway.payload().await?;
    ensure!(answer["op"] == 9 && answer["d"] == false, "{answer}; the log:\n{}", rookery.log());
    ensure!(stage.left_sessions().is_empty());
    Ok(())
}

#[tokio::test]
async fn after_a_crash_the_answer_is_honest() -> anyhow::Result<()> {
    let stage = Stage::prepare().await?;
    let rookery = stage.start().await?;
    let person = Person::register(rookery.api()?, "crashed").await?;
    let gateway = Gateway::start(&stage.url(), &person.token, None).await?;
    ensure!(rookery.terminate().await? == Some(0));
    // The successor takes the session up, and dies: what the first one left is not what the client has any more.
    let rookery = stage.start().await?;
    let mut gateway = resume(gateway).await?;
    ensure!(gateway.event("RESUMED").await? == json!({}));
    rookery.kill().await?;
    let rookery = stage.start().await?;
    let mut gateway = resume(gateway).await?;
    let answer = gateway.payload().await?;
    ensure!(answer["op"] == 9 && answer["d"] == false, "{answer}; the log:\n{}", rookery.log());
    Ok(())
}
