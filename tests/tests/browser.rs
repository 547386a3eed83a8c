//! Real Chromium with the web client's transport package against `rookery dev`.
//!
//! The page connects over WebTransport, receives a thousand events in order and typing beside them, keeps its session
//! when its address changes, resumes after its connection is lost, comes back after the server was started anew, and
//! takes WebSocket where UDP does not get through.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use rookery_tests::{Lines, Person, Rookery};
use serde_json::{Value, json};
use tokio::process::Command;

const EVENTS: usize = 1_000;
/// Within which a client that cannot use UDP is to be there.
const FALLBACK_MS: u64 = 2_000;

fn skipped() -> bool {
    std::env::var_os("ROOKERY_SKIP_CLIENTS").is_some()
}

fn variable(name: &str) -> anyhow::Result<PathBuf> {
    Ok(std::env::var_os(name)
        .with_context(|| format!("{name} is not set: run the tests by `cargo xtask test`"))?
        .into())
}

fn browser() -> anyhow::Result<Lines> {
    let mut command = Command::new(variable("ROOKERY_NODE")?);
    let program = variable("CARGO_MANIFEST_DIR")?.join("clients/browser/browser.js");
    let bundle = variable("ROOKERY_WEB_TRANSPORT")?;
    let modules = bundle.ancestors().nth(2).context("the bundle lies in the package's dist")?.join("node_modules");
    command.arg(program).env("NODE_PATH", modules).env("ROOKERY_CHROMIUM", variable("ROOKERY_CHROMIUM")?);
    command.env("ROOKERY_WEB_TRANSPORT", bundle);
    Lines::start_told("Chromium", command)
}

/// A server, two people, and a channel that both see.
struct Scene {
    rookery: Rookery,
    ann: Person,
    ben: Person,
    channel_id: String,
    said: usize,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn prepare() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let rookery = Self::start(&folder).await?;
        let api = rookery.api()?;
        let (ann, ben) = (Person::register(api, "ann").await?, Person::register(api, "ben").await?);
        let guild = ann.post("/guilds", &json!({ "name": "Rookery" })).await?;
        let guild_id = guild["id"].as_str().context("a guild has an id")?;
        let channels = ann.get(&format!("/guilds/{guild_id}/channels")).await?;
        let text = channels.as_array().and_then(|all| all.iter().find(|channel| channel["type"] == 0));
        let channel_id = text.and_then(|channel| channel["id"].as_str()).context("a text channel")?.to_owned();
        let invite = ann.post(&format!("/channels/{channel_id}/invites"), &json!({})).await?;
        ben.post(&format!("/invites/{}", invite["code"].as_str().context("a code")?), &json!({})).await?;
        Ok(Self { rookery, ann, ben, channel_id, said: 0, folder })
    }

    async fn start(folder: &tempfile::TempDir) -> anyhow::Result<Rookery> {
        Rookery::start(&folder.path().join("data"), &["--set", "limits=off"]).await
    }

    /// Messages numbered from the first on.
    async fn say(&mut self, count: usize) -> anyhow::Result<()> {
        for n in self.said..self.said + count {
            self.ben.say(&self.channel_id, &n.to_string()).await?;
        }
        self.said += count;
        Ok(())
    }

    async fn tell_where(&self, browser: &mut Lines) -> anyhow::Result<()> {
        let (api, webtransport) = (self.rookery.api()?, self.rookery.address("webtransport")?);
        ask(browser, json!({ "do": "server", "api": api, "webtransport": webtransport })).await.map(drop)
    }

    /// All that was said arrived once, in order.
    fn check(&self, seen: &Value) -> anyhow::Result<()> {
        let events = seen["events"].as_array().context("events")?;
        let said: Vec<&str> = events.iter().filter_map(|event| event["content"].as_str()).collect();
        let wanted: Vec<String> = (0..self.said).map(|n| n.to_string()).collect();
        ensure!(said == wanted, "{} messages came, not {} in order: {said:?}", said.len(), wanted.len());
        Ok(())
    }
}

async fn ask(browser: &mut Lines, task: Value) -> anyhow::Result<Value> {
    browser.tell(&task).await?;
    browser.done(task["do"].as_str().unwrap_or_default()).await
}

async fn open(browser: &mut Lines, token: &str, encoding: &str) -> anyhow::Result<()> {
    ask(browser, json!({ "do": "open", "token": token, "encoding": encoding })).await.map(drop)
}

/// The states in which the page was ready: over what, and whether it resumed.
fn ready(seen: &Value) -> Vec<(String, bool)> {
    let states = seen["states"].as_array().into_iter().flatten();
    let ready = states.filter(|state| state["is"] == "ready");
    ready.map(|it| (it["transport"].as_str().unwrap_or_default().into(), it["resumed"] == true)).collect()
}

#[tokio::test]
async fn a_page_over_webtransport() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut browser = browser()?;
    browser.wait_for("ready").await?;
    let mut scene = Scene::prepare().await?;
    scene.tell_where(&mut browser).await?;
    let token = scene.ann.token.clone();
    open(&mut browser, &token, "json").await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "ready": 1 })).await?;
    ensure!(ready(&seen) == [("webtransport".to_owned(), false)], "{seen}");
    let session_id = seen["sessionId"].clone();

    scene.say(EVENTS).await?;
    let typing = format!("/channels/{}/typing", scene.channel_id);
    scene.ben.post(&typing, &json!({})).await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "messages": scene.said, "datagrams": 1 })).await?;
    scene.check(&seen)?;
    let expected = json!([{ "name": "TYPING_START", "user": scene.ben.id, "transport": "webtransport" }]);
    ensure!(seen["datagrams"] == expected, "{}", seen["datagrams"]);

    // Another address: the session goes on, on the connection that it has.
    ask(&mut browser, json!({ "do": "move" })).await?;
    scene.say(50).await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "messages": scene.said })).await?;
    scene.check(&seen)?;
    ensure!(ready(&seen).len() == 1 && seen["sessionId"] == session_id, "{}", seen["states"]);

    // The connection is lost: RESUME brings what was missed.
    ask(&mut browser, json!({ "do": "drop" })).await?;
    scene.say(50).await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "messages": scene.said, "ready": 2 })).await?;
    scene.check(&seen)?;
    ensure!(ready(&seen)[1] == ("webtransport".to_owned(), true), "{}", seen["states"]);
    ensure!(seen["sessionId"] == session_id, "{}", seen["states"]);

    // The server is started anew: the page comes back by itself, and to the same session.
    let Scene { rookery, ann, ben, channel_id, said, folder } = scene;
    ensure!(rookery.terminate().await? == Some(0));
    let rookery = Scene::start(&folder).await?;
    let (ann, ben) = (ann.at(rookery.api()?), ben.at(rookery.api()?));
    let mut scene = Scene { rookery, ann, ben, channel_id, said, folder };
    scene.tell_where(&mut browser).await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "ready": 3 })).await?;
    ensure!(ready(&seen)[2] == ("webtransport".to_owned(), true), "{}", seen["states"]);
    ensure!(seen["sessionId"] == session_id, "{}", seen["states"]);
    scene.say(10).await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "messages": scene.said })).await?;
    scene.check(&seen)?;
    Ok(())
}

#[tokio::test]
async fn a_page_with_cbor_and_one_that_is_refused() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut browser = browser()?;
    browser.wait_for("ready").await?;
    let mut scene = Scene::prepare().await?;
    scene.tell_where(&mut browser).await?;
    let token = scene.ann.token.clone();
    open(&mut browser, &token, "cbor").await?;
    ask(&mut browser, json!({ "do": "wait", "ready": 1 })).await?;
    scene.say(100).await?;
    let typing = format!("/channels/{}/typing", scene.channel_id);
    scene.ben.post(&typing, &json!({})).await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "messages": scene.said, "datagrams": 1 })).await?;
    scene.check(&seen)?;
    ensure!(ready(&seen) == [("webtransport".to_owned(), false)], "{seen}");
    ensure!(seen["datagrams"][0]["user"] == scene.ben.id, "ids are exact: {}", seen["datagrams"]);

    // The session's close has the gateway's code, and a page sees it.
    open(&mut browser, &format!("{token}x"), "json").await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "refused": 1 })).await?;
    let expected = json!({ "is": "refused", "closed": { "code": 4004, "reason": "Authentication failed." } });
    ensure!(seen["states"].as_array().and_then(|states| states.last()) == Some(&expected), "{}", seen["states"]);
    Ok(())
}

#[tokio::test]
async fn a_page_without_udp() -> anyhow::Result<()> {
    if skipped() {
        return Ok(());
    }
    let mut browser = browser()?;
    browser.wait_for("ready").await?;
    let mut scene = Scene::prepare().await?;
    scene.tell_where(&mut browser).await?;
    ask(&mut browser, json!({ "do": "block", "blocked": true })).await?;
    let token = scene.ann.token.clone();
    open(&mut browser, &token, "json").await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "ready": 1 })).await?;
    ensure!(ready(&seen) == [("websocket".to_owned(), false)], "{seen}");
    let connected_ms = seen["connectedMs"][0].as_u64().context("a time")?;
    ensure!(connected_ms <= FALLBACK_MS, "it took {connected_ms} ms");
    scene.say(100).await?;
    let seen = ask(&mut browser, json!({ "do": "wait", "messages": scene.said })).await?;
    scene.check(&seen)?;
    ensure!(seen["datagrams"] == json!([]), "{}", seen["datagrams"]);
    Ok(())
}
