//! Voice nodes as processes of their own, which die and drain under bots with an unmodified library.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rookery_tests::{Guild, NatsServer, Person, Process, bot_in, free_address, run, text};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

mod programs;
#[path = "programs/singer.rs"]
mod singer;
use programs::skipped;
#[path = "programs/streaming.rs"]
mod streaming;
use singer::{Singer, Stage, sessions};
use streaming::{Streaming, Theatre, sees_again};

/// Between the last packet that a client hears by a node that dies and the first by another one: the node's silence is
/// noticed after 0.7 s, and clients connect anew.
const GAP_MAX_MS: u64 = 2_000;
/// Of the main gateway.
const STREAM_DELETE: u8 = 19;

struct Deployment {
    folder: tempfile::TempDir,
    bus: String,
    _nats: NatsServer,
    /// One deployment at a time: pauses are measured.
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::const_new(());

impl Deployment {
    /// A bus, and certificates for a region, a point of presence and voice nodes.
    async fn prepare() -> anyhow::Result<Self> {
        let turn = TURN.lock().await;
        let folder = tempfile::tempdir()?;
        let nats = NatsServer::start(folder.path()).await?;
        let bus = nats.url.clone();
        let deployment = Self { folder, bus, _nats: nats, _turn: turn };
        for (role, name) in [("region", "region"), ("pop", "pop"), ("https", "voice")] {
            let (ca, out) = (deployment.path("ca").display().to_string(), deployment.path(name).display().to_string());
            let args = ["ca", "--dir", &ca, "issue", "--role", role, "--out", &out, "--name", "127.0.0.1"];
            let args = if role == "https" { &args[..] } else { &args[..8] };
            let ended = run(deployment.folder.path(), args).await?;
            ensure!(ended.code == Some(0), "{ended:?}");
        }
        Ok(deployment)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn identity(&self, shows: &str) -> String {
        let file = |name: &str| self.path(shows).join(name);
        let (ca, certificate, key) = (file("ca.pem"), file("cert.pem"), file("key.pem"));
        format!("ca_file = {ca:?}\ncertificate_file = {certificate:?}\nkey_file = {key:?}\n")
    }

    async fn start(&self, role: &str, name: &str, config: &str) -> anyhow::Result<Process> {
        let path = self.path(name).with_extension("toml");
        std::fs::write(&path, config)?;
        let base = self.path(&format!("{name}-process"));
        Process::start(&base, [Path::new(role), Path::new("--config"), &path]).await
    }

    /// A region of one node and its point of presence; so many members of a guild are at one voice node.
    async fn region(&self, cascade_members: u32) -> anyhow::Result<(Process, Process)> {
        let (link, gateway) = (free_address()?, free_address()?);
        let file = self.path("deployment.json");
        let node = json!({ "name": "eu-1", "number": 1, "link": link, "gateway": "wss://eu-1.example.org",
                           "addresses": ["192.0.2.1"] });
        let region = json!({ "name": "eu", "data_center": "eu", "nats_urls": [self.bus], "nodes": [node] });
        let text = json!({ "name": "choir", "domain": "example.org", "bus": "nats", "regions": [region] });
        std::fs::write(&file, text.to_string())?;
        let data = self.path("data");
        let config = format!(
            "name = \"eu\"\nnode = \"eu-1\"\ndeployment_file = {file:?}\nlimits = \"off\"\ndata_dir = {data:?}\n\
             operator = \"127.0.0.1:0\"\n[voice]\ncascade_members = {cascade_members}\n\
             [degradation]\nenabled = false\n[gateway]\nlisten = {gateway:?}\n\
             public_url = \"ws://{gateway}\"\n[link]\nlisten = {link:?}\n{}",
            self.identity("region")
        );
        let region = self.start("region", "region", &config).await?;
        let keys = data.join("token.pub");
        let config = format!(
            "limits = \"off\"\noperator = \"127.0.0.1:0\"\ntoken_keys_file = {keys:?}\n[pop]\nhttp = \"127.0.0.1:0\"\n\
             [uplink]\nregions = [{link:?}]\n{}",
            self.identity("pop")
        );
        Ok((region, self.start("pop", "pop", &config).await?))
    }

    async fn voice(&self, number: u16) -> anyhow::Result<Process> {
        let (certificate, key) = (self.path("voice").join("cert.pem"), self.path("voice").join("key.pem"));
        let config = format!(
            "operator = \"127.0.0.1:0\"\nregion = \"eu\"\nnode = \"voice-{number}\"\ncertificate_file = {certificate:?}\n\
             key_file = {key:?}\n[bus]\nkind = \"nats\"\ndeployment = \"choir\"\nurls = [{:?}]\n[voice]\n\
             gateway = \"127.0.0.1:0\"\nnode = {number}\n",
            self.bus
        );
        self.start("sfu", &format!("voice-{number}"), &config).await
    }

    /// Two bots in a voice channel.
    async fn singers(
        &self,
        region: &Process,
        api: &str,
        alice: &Person,
        guild: &Guild,
        channel: &str,
    ) -> anyhow::Result<[Singer; 2]> {
        let (gateway, ca_file) = (region.address("gateway")?, self.path("voice").join("ca.pem"));
        let stage = Stage { api, gateway, ca_file: &ca_file, guild: &guild.id, channel };
        let mut singers = Vec::new();
        for (name, hertz) in [("Low", 440), ("High", 880)] {
            let bot = bot_in(guild, alice, name, 8).await?;
            singers.push(Singer::start(&stage, &bot, hertz)?);
        }
        singers.try_into().ok().context("two singers")
    }
}

#[tokio::test]
async fn rooms_go_on_at_another_node_when_theirs_dies_or_drains() -> anyhow::Result<()> {
    if skipped() || std::env::var_os("ROOKERY_SKIP_NATS").is_some() {
        return Ok(());
    }
    let deployment = Deployment::prepare().await?;
    let (region, pop) = deployment.region(2_500).await?;
    let result = moved(&deployment, &region, &pop).await;
    result.with_context(|| format!("the region's log:\n{}", region.log()))
}

async fn moved(deployment: &Deployment, region: &Process, pop: &Process) -> anyhow::Result<()> {
    let api = pop.address("api")?;
    let alice = Person::register(api, "alice").await?;
    let guild = Guild::create(&alice, "Choir").await?;
    let channel = alice.post(&format!("/guilds/{}/channels", guild.id), &json!({ "name": "loft", "type": 2 })).await?;
    let channel = text(&channel, "id")?;
    let first = deployment.voice(1).await?;
    let [mut low, mut high] = deployment.singers(region, api, &alice, &guild, channel).await?;
    high.hears(&low.id).await?;
    low.hears(&high.id).await?;

    // It dies: everybody is sent to the other one.
    let second = deployment.voice(2).await?;
    high.lines.forget();
    first.kill().await?;
    let again = |line: &Value| (line["again"] == low.id.as_str()).then(|| line["pause_ms"].as_u64());
    let pause_ms = high.lines.find("that it hears the other again", again).await?.context("a pause")?;
    ensure!(pause_ms < GAP_MAX_MS, "nothing was heard for {pause_ms} ms");
    high.hears(&low.id).await?;
    low.hears(&high.id).await?;

    // It drains: the guild goes to the one that came back, and the process ends well.
    let third = deployment.voice(1).await?;
    low.lines.forget();
    ensure!(second.terminate().await? == Some(0));
    high.hears(&low.id).await?;
    low.hears(&high.id).await?;
    ensure!(third.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn a_stream_goes_on_at_another_node_when_its_node_dies_or_drains() -> anyhow::Result<()> {
    if std::env::var_os("ROOKERY_SKIP_NATS").is_some() {
        return Ok(());
    }
    let deployment = Deployment::prepare().await?;
    let (region, pop) = deployment.region(2_500).await?;
    let result = streamed(&deployment, &region, &pop).await;
    result.with_context(|| format!("the region's log:\n{}", region.log()))
}

async fn streamed(deployment: &Deployment, region: &Process, pop: &Process) -> anyhow::Result<()> {
    let api = pop.address("api")?;
    let (alice, bob) = (Person::register(api, "alice").await?, Person::register(api, "bob").await?);
    let guild = Guild::create(&alice, "Choir").await?;
    guild.welcome(&alice, &bob).await?;
    let channel = alice.post(&format!("/guilds/{}/channels", guild.id), &json!({ "name": "loft", "type": 2 })).await?;
    let channel = text(&channel, "id")?;
    let first = deployment.voice(1).await?;
    let ca_file = deployment.path("voice").join("ca.pem");
    let theatre = Theatre { ca_file: &ca_file, guild: &guild.id, channel };
    let mut streamer = Streaming::create(&theatre, region, &alice).await?;
    let mut viewer = Streaming::watch(&theatre, region, &bob, &alice).await?;
    let key = theatre.key(&alice);
    viewer.client.sees_from(&mut streamer.client, 1).await?;

    // It dies.
    let second = deployment.voice(2).await?;
    viewer.client.sees_from(&mut streamer.client, 2).await?;
    let died = Instant::now();
    first.kill().await?;
    sees_again(&mut viewer, &mut streamer, 3).await?;
    let gap = died.elapsed();
    ensure!(gap < Duration::from_millis(GAP_MAX_MS), "nothing was seen for {gap:?}");

    // It drains: the stream goes to the one that came back, and the process ends well.
    let third = deployment.voice(1).await?;
    let (ended, seen) = tokio::join!(second.terminate(), sees_again(&mut viewer, &mut streamer, 4));
    seen?;
    ensure!(ended? == Some(0));
    // Of all that nobody was told that it ended.
    for member in [&mut streamer, &mut viewer] {
        member.session.send(&json!({ "op": STREAM_DELETE, "d": { "stream_key": key } })).await?;
        ensure!(member.session.event("STREAM_DELETE").await?["reason"] == "user_requested");
    }
    ensure!(third.terminate().await? == Some(0));
    Ok(())
}

#[tokio::test]
async fn one_channel_is_at_two_nodes_and_goes_on_at_one_when_the_other_dies() -> anyhow::Result<()> {
    if skipped() || std::env::var_os("ROOKERY_SKIP_NATS").is_some() {
        return Ok(());
    }
    let deployment = Deployment::prepare().await?;
    let (region, pop) = deployment.region(1).await?;
    let result = linked(&deployment, &region, &pop).await;
    result.with_context(|| format!("the region's log:\n{}", region.log()))
}

async fn linked(deployment: &Deployment, region: &Process, pop: &Process) -> anyhow::Result<()> {
    let api = pop.address("api")?;
    let alice = Person::register(api, "alice").await?;
    let guild = Guild::create(&alice, "Choir").await?;
    let channel = alice.post(&format!("/guilds/{}/channels", guild.id), &json!({ "name": "loft", "type": 2 })).await?;
    let channel = text(&channel, "id")?;
    let (first, second) = (deployment.voice(1).await?, deployment.voice(2).await?);
    let [mut low, mut high] = deployment.singers(region, api, &alice, &guild, channel).await?;
    high.hears(&low.id).await?;
    low.hears(&high.id).await?;
    ensure!((sessions(&first).await?, sessions(&second).await?) == (1, 1), "they are not at two nodes");

    // One node dies: its bot goes to the other, although that has as many as it should have.
    high.lines.forget();
    low.lines.forget();
    first.kill().await?;
    let ids = (low.id.clone(), high.id.clone());
    for (listener, singer) in [(&mut high, ids.0), (&mut low, ids.1)] {
        let again = |line: &Value| (line["again"] == singer.as_str()).then(|| line["pause_ms"].as_u64());
        let pause_ms = listener.lines.find("that it hears the other again", again).await?.context("a pause")?;
        ensure!(pause_ms < GAP_MAX_MS, "nothing was heard for {pause_ms} ms");
    }
    high.hears(&low.id).await?;
    low.hears(&high.id).await?;
    ensure!(sessions(&second).await? == 2, "they are not at the one that is left");
    Ok(())
}
